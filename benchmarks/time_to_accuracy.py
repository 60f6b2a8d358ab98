"""How soon a model is good: processor time until an accuracy, ours beside the notes' systems in Keras 3.

    python benchmarks/time_to_accuracy.py digits    [--seeds 5] [--ways ours seed-digits] [--epochs 1 2 4 6 8 12]
    python benchmarks/time_to_accuracy.py keypoints [--seeds 1] [--minutes 12] [--plot docs/time-to-accuracy.png]

Both sides get the same rows: our recipe's own split (one in ten for validation; look-alike faces on one side), another
one with each seed. Each training is a process of its own, kept on one core, with one thread. Its seconds are processor
time from the first step on, batches and augmentation included. Validation is taken off on both sides: Keras' after
each epoch is measured and subtracted, ours comes after the end.

Theirs is one training by the notes' recipe, validated after every epoch; --minutes cuts it off at the end of the epoch
in which so much processor time is used up, and the result says so. Ours falls along a one-cycle schedule and is good at
its end only: each number of --epochs is a training of its own, from nothing, and its end is what counts.

"Until" an accuracy is the first time from which on it never lies below: for theirs no later epoch of that training, for
ours no longer training of that seed. For keypoints it is the time at which ours has the best RMSE that a described
system has at any time, and how good ours is when theirs ends (at most the same time).

Each side computes as its recipe says: ours in bfloat16 where the processor can, theirs in float32; Keras' own
compilation is part of its first epoch. The described keypoint systems learn from complete rows only, as in the notes,
and all are judged on all points that are annotated.

Results are kept after every epoch, and a second call adds to them: what is there for the same recipe and seed is not
measured again, and trainings by a recipe that is another one now are dropped: for ours the recipe as it is for a
training so long. --seeds 0 prints what is there. Two calls may run at once, one --ways on each core.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_curves import DIGITS, KEYPOINTS, draw, print_tables, summary
from beside import HERE, data_folder, lines_of, pin, save, saved, see_that_it_is_there, threads

import viewfinder as vf
from viewfinder.config import Recipe, load_recipe
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.training.start import split_for

KERAS = HERE.parent / ".venv-keras" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
ZIPS = {"digits": "digit-recognizer.zip", "keypoints": "facial-keypoints-detection.zip"}
THEIRS = {"digits": ["seed-digits"], "keypoints": ["seed-keypoints", "seed-keypoints-mlp", "seed-keypoints-cnn"]}
EPOCHS = {"digits": [1.0, 2, 4, 6, 8, 12], "keypoints": [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64]}
SHORT = {"digits": 6, "keypoints": 6}
"""So many epochs are over in the minutes, on one core, for which the recipe has a budget: ours is then what it says."""
Training = dict[str, Any]


def main() -> None:
    given = arguments()
    if given.train_ours:
        print(json.dumps(train_ours(given.what, given.seed, given.epochs[0], given.cores)))
        return
    results = Results(given.what)
    for other in given.add:
        results.mine += json.loads(other.read_text(encoding="utf-8"))["trainings"]
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        for way in given.ways or ["ours", *THEIRS[given.what]]:
            wanted = (given.epochs or EPOCHS[given.what]) if way == "ours" else [0.0]
            for epochs in wanted:
                measure(results, given, {"way": way, "seed": seed, "epochs": epochs})
    report = results.save(quiet=False) if results.mine else results.report()
    print_tables(given.what, report["summary"])
    if given.plot:
        draw(given.what, report["trainings"], given.plot)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=ZIPS)
    parser.add_argument("--seeds", type=int, default=1, help="how many; 0: print what is there")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--ways", nargs="+", choices=["ours", *THEIRS[DIGITS], *THEIRS[KEYPOINTS]])
    parser.add_argument("--epochs", nargs="+", type=float, help="of our trainings")
    parser.add_argument("--minutes", type=float, default=0, help="of processor time after which theirs are cut off")
    parser.add_argument(
        "--cores", nargs="+", type=int, default=[0], help="the core that ours uses, and the one of theirs"
    )
    parser.add_argument("--keras", type=Path, default=KERAS, help="the Python that has Keras")
    parser.add_argument("--add", type=Path, nargs="+", default=[], help="results of another copy, to be taken up")
    parser.add_argument("--plot", type=Path, help="where to draw the curves, such as docs/time-to-accuracy-digits.png")
    parser.add_argument("--train-ours", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(results: Results, given: argparse.Namespace, asked: Training) -> None:
    """Make one training in a process of its own and keep what it says as it goes on."""
    asked = asked | {"recipe": digest_of(recipe_for(given.what, asked["way"], asked["epochs"]))}
    if results.has(asked, given.minutes):
        return
    training = asked | {"date": date.today().isoformat(), "points": [], "ended": ""}
    lines = ours if asked["way"] == "ours" else theirs
    for line in lines(given, asked):
        if "value" in line:
            training["points"].append([round(line.pop("cpu"), 2), round(line.pop("value"), 4)])
        training |= line
        results.keep(training)
        cpu, value = training["points"][-1]
        print(f"{time.strftime('%X')}  {asked['way']}, seed {asked['seed']}: {cpu:.1f} s, {value:.3f}", flush=True)


def ours(given: argparse.Namespace, asked: Training) -> Iterator[Training]:
    about = ["--seed", str(asked["seed"]), "--epochs", str(asked["epochs"]), "--cores", str(given.cores[0])]
    return lines_of(Path(__file__), given.what, "--train-ours", *about, **threads(1))


def theirs(given: argparse.Namespace, asked: Training) -> Iterator[Training]:
    see_that_it_is_there(given.keras)
    about = ["--seed", str(asked["seed"]), "--minutes", str(given.minutes), "--cores", str(given.cores[-1])]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow"}
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.npz"
        write_rows(rows, *split(given.what, asked["seed"]))
        arguments = ["train", asked["way"], str(rows), *about]
        yield from lines_of(HERE / "keras_systems.py", *arguments, python=given.keras, **threads(1), **quiet)


def split(what: str, seed: int) -> tuple[Dataset, Dataset]:
    """Return (train, val) by our recipe's own rule."""
    train, val = split_for(vf.read(data_folder() / ZIPS[what]), load_recipe(what, {"train.seed": seed}))
    assert val is not None
    return train, val


def write_rows(path: Path, train: Dataset, val: Dataset) -> None:
    arrays = {}
    for name, part in {"train": train, "val": val}.items():
        assert isinstance(part.images, ArrayImages)
        arrays[f"{name}_x"] = part.images.pixels[part.images.rows]
        arrays[f"{name}_y"] = part.labelled().array()
    np.savez(path, **arrays)


def train_ours(what: str, seed: int, epochs: float, cores: list[int]) -> Training:
    pin(cores)
    train, val = split(what, seed)
    marks: dict[str, float] = {}

    def note(event: dict[str, Any]) -> None:
        marks[event["event"]] = time.process_time()

    recipe = recipe_for(what, "ours", epochs)
    changes = {"train.seed": seed, "train.threads": 1, "data.val": 0}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        run = vf.train(train, recipe=recipe, epochs=epochs, changes=changes, out=out, device="cpu", on_event=note)
        used, before = marks["end"] - marks["start"], time.process_time()
        metrics = run.evaluate(val).metrics
        value = 100 * metrics["accuracy"] if what == DIGITS else metrics["rmse"]
        about = {"precision": run.recipe.train.precision, "rows": len(train), "versions": run.info["versions"]}
    return {"cpu": used, "value": value, "validating": time.process_time() - before, "ended": "epochs", **about}


def recipe_for(what: str, way: str, epochs: float) -> Recipe:
    """Return the recipe of a way, ours with what its budgets change for a training of so many epochs."""
    if way != "ours":
        return load_recipe(way)
    return load_recipe(what, {"train.minutes": 0.9 if epochs <= SHORT[what] else 5})


def digest_of(recipe: Recipe) -> str:
    """Return what changes with what a recipe does, not with its words or its budgets for other minutes."""
    does = recipe.model_dump(mode="json", exclude_defaults=True, exclude={"name", "about", "budgets"})
    does["train"].pop("minutes", None)
    return blake2b(json.dumps(does, sort_keys=True).encode(), digest_size=6).hexdigest()


class Results:
    """What `results/time_to_accuracy_….json` holds. Each save takes up what another process has written meanwhile."""

    def __init__(self, what: str) -> None:
        self.what, self.mine = what, []

    def has(self, asked: Training, minutes: float) -> bool:
        """Whether such a training is there: whole, or cut off no sooner than it would be now."""
        same = [one for one in self.all() if identity(one) == identity(asked)]
        return any(
            one["ended"] not in ("", "minutes") or (minutes and one["points"] and one["points"][-1][0] >= 60 * minutes)
            for one in same
        )

    def keep(self, training: Training) -> None:
        self.mine = [one for one in self.mine if identity(one) != identity(training)] + [training]
        self.save(quiet=True)

    def all(self) -> list[Training]:
        """Return all trainings of the recipes as they are now, in order."""
        every = {
            identity(one): one
            for one in [*saved(self.name).get("trainings", []), *self.mine]
            if one["recipe"] == digest_of(recipe_for(self.what, one["way"], one["epochs"]))
        }
        return [every[key] for key in sorted(every)]

    def report(self) -> dict[str, Any]:
        trainings = self.all()
        return {"summary": summary(self.what, trainings), "trainings": trainings}

    def save(self, quiet: bool) -> dict[str, Any]:
        report = self.report()
        save(self.name, report, ["torch"], quiet=quiet)
        return report

    @property
    def name(self) -> str:
        return f"time_to_accuracy_{self.what}"


def identity(training: Training) -> tuple[str, int, float]:
    return training["way"], training["seed"], training["epochs"]


if __name__ == "__main__":
    main()
