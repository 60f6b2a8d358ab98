"""How good a recipe is on a small set: every image is judged by a model that saw neither it nor one that looks like it.

    python benchmarks/five_fold.py webcam-a webcam-b [--recipe detect] [--minutes 2] [--folds 5]
    python benchmarks/five_fold.py webcam-a --test webcam-b        # trained on one place, tested in another

Images that look alike are in one fold. The metrics are those of all images together, not a mean of the folds'.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from beside import save
from numpy.typing import NDArray

import viewfinder as vf
from viewfinder.data.dataset import Dataset
from viewfinder.data.joining import joined, whole
from viewfinder.data.similar import similar_groups


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", type=Path)
    parser.add_argument("--test", nargs="*", type=Path, help="judge on these instead of on folds")
    parser.add_argument("--recipe", default="detect")
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    changes = dict(one.split("=", 1) for one in given.set)
    about = {"recipe": given.recipe, "minutes": given.minutes, "changes": changes}
    every = together(given.sources)
    if given.test:
        name, metrics = "across", judged(every, together(given.test), given.recipe, given.minutes, changes)
        about["test"] = [path.name for path in given.test]
    else:
        name, metrics = "five_fold", cross_validated(every, given.folds, given.recipe, given.minutes, changes)
    print_table(metrics)
    about["sources"] = [path.name for path in given.sources]
    save(name, {**about, "images": len(every), "metrics": metrics}, ["torch"])


def together(sources: list[Path]) -> Dataset:
    return joined([replace(whole(path), splits=None) for path in sources])


def judged(train: Dataset, test: Dataset, recipe: str, minutes: float, changes: dict[str, str]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        run = vf.train(train, recipe=recipe, minutes=minutes, changes=changes, out=Path(folder) / "run")
        return run.evaluate(test).metrics


def cross_validated(
    every: Dataset, count: int, recipe: str, minutes: float, changes: dict[str, str]
) -> dict[str, float]:
    fold = folds(similar_groups(every.images), count)
    predictions: list[Any] = [None] * len(every)
    for number in range(count):
        rows = np.flatnonzero(fold == number)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            # no validation: the last weights are judged, so that no fold chooses its own best checkpoint
            whole_course = changes | {"data.val": "0"}
            run = vf.train(every.select(fold != number), recipe=recipe, minutes=minutes, changes=whole_course, out=out)
            evaluation = run.evaluate(every.select(rows))
        for row, answer in zip(rows, evaluation.predictions, strict=True):
            predictions[row] = answer
        print(f"fold {number + 1}: {len(rows)} images, {evaluation.described()[0][1]:.4f}", flush=True)
    return dict(run.task.measure(predictions, every.labelled()))


def folds(groups: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return (N,) a fold an image: whole groups, the largest first, each into the fold that is smallest so far."""
    fold, sizes = np.zeros(len(groups), dtype=np.int64), np.zeros(count, dtype=np.int64)
    names, members = np.unique(groups, return_counts=True)
    for group in names[np.argsort(-members, kind="stable")]:
        smallest = int(sizes.argmin())
        fold[groups == group] = smallest
        sizes[smallest] += int((groups == group).sum())
    return fold


def print_table(metrics: dict[str, float]) -> None:
    for name, value in metrics.items():
        print(f"{name:<12} {value:8.4f}")


if __name__ == "__main__":
    main()
