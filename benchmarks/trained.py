"""What our recipes reach in their minutes: trains them on the real sets and keeps the figures of the best checkpoint.

    python benchmarks/trained.py digits keypoints cards faces     # 5, 10, 20 and 20 minutes
    python benchmarks/trained.py digits --minutes 1
    python benchmarks/trained.py --runs runs/faces                # adds trainings that are over

Nothing else should run meanwhile: minutes are of the clock. Figures of other minutes or cores stay in the results.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from beside import data_folder, result_path, save

import viewfinder as vf
from viewfinder.training.run import Run, open_run

FACES = {"data.merge_classes": "face", "data.size": 448, "predict.size": 576}
TRAININGS: dict[str, tuple[str, str, float, dict[str, Any]]] = {
    "digits": ("digit-recognizer.zip", "digits", 5, {}),
    "keypoints": ("facial-keypoints-detection.zip", "keypoints", 10, {}),
    "cards": ("cards-voc", "detect", 20, {}),
    "faces": ("faces-voc", "detect", 20, FACES),
}
"""By name: the set, the recipe, the minutes of our README, what is changed in the recipe."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(TRAININGS)}")
    parser.add_argument("--minutes", type=float, help="instead of the usual ones")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--runs", type=Path, nargs="*", default=[], help="run folders that are over")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in TRAININGS]:
        parser.error(f"{unknown[0]} is none of {', '.join(TRAININGS)}")
    for folder in given.runs:
        keep(figures(open_run(folder)))
    for name in given.names:
        source, recipe, minutes, changes = TRAININGS[name]
        with tempfile.TemporaryDirectory() as folder:
            changes = changes | {"train.seed": given.seed}
            data, out = vf.read(data_folder() / source), Path(folder) / "run"
            keep(figures(vf.train(data, recipe=recipe, minutes=given.minutes or minutes, changes=changes, out=out)))


def figures(run: Run) -> dict[str, Any]:
    """Return what a training was and what its best checkpoint reached."""
    events = run.events()
    end, start = events[-1], next(event for event in events if event["event"] == "start")
    at_best = [event for event in events if event["event"] == "validation" and event["step"] == end["best_step"]]
    recipe, data = run.recipe, run.info["data"]
    return {
        "set": Path(data["train"]["source"]).name,
        "recipe": recipe.name,
        "minutes": recipe.train.minutes,
        "size": recipe.data.size,
        "answered_at": recipe.at_prediction().data.size,
        "merged": recipe.data.merge_classes,
        "seed": recipe.train.seed,
        "threads": run.info["threads"],
        "rows": data["train"]["rows"],
        "kept_back": data["val"]["rows"],
        "steps": start["total"],
        "best_step": end["best_step"],
        "waited": end.get("waited"),
        "metrics": at_best[-1]["metrics"],
    }


def keep(one: dict[str, Any]) -> None:
    """Put a training's figures among the results, in the place of those of an equal one."""
    path = result_path("trained")
    known = json.loads(path.read_text(encoding="utf-8"))["trainings"] if path.is_file() else []
    same = ("set", "recipe", "minutes", "size", "answered_at", "merged", "seed", "threads")
    others = [other for other in known if any(other[key] != one[key] for key in same)]
    every = sorted([*others, one], key=lambda each: [str(each[key]) for key in same])
    metrics = ", ".join(f"{name} {value:.4f}" for name, value in one["metrics"].items())
    print(f"{one['set']}, {one['recipe']}, {one['minutes']} minutes, {one['threads']} threads: {metrics}")
    save("trained", {"trainings": every}, ["torch"])


if __name__ == "__main__":
    main()
