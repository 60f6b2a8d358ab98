"""Everything once, in two minutes, with data that is always at hand: train, evaluate, look, export.

    for outcome in demo("demo"):
        print(outcome.metric, outcome.report)

It is written as a user would write it: what it calls is public, and a good start for one's own script.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import viewfinder as vf
from viewfinder.config import load_recipe
from viewfinder.data.dataset import Dataset
from viewfinder.data.samples import digits, faces
from viewfinder.errors import RunError
from viewfinder.show.pictures import save
from viewfinder.show.sheet import sheet

__all__ = ["Outcome", "demo"]

RECORD = "demo.json"
VAL, SEED, SHOWN = 0.15, 42, 12


@dataclass(frozen=True)
class Outcome:
    """What one task came to.

    Args:
        what: the data and the recipe, for people.
        metric: the task's first metric on images that were not trained on, "accuracy 98.88 %".
        seconds: for everything: data, training, evaluation, export.
        difference: the largest one between the model file's answers and the trained model's.
        run, report, sheet, model: the run folder, the report's page, the contact sheet, the model file.
    """

    what: str
    metric: str
    seconds: float
    difference: float
    run: Path
    report: Path
    sheet: Path
    model: Path


def demo(
    out: str | Path = "demo",
    *,
    minutes: float = 1.2,
    people: int = 1600,
    say: Callable[[str], None] = lambda line: None,
    on_event: Callable[[dict[str, Any]], None] | None = None,
) -> list[Outcome]:
    """Train two models, measure them, and return what came out.

    Args:
        out: the folder to write into; an earlier demo in it is replaced.
        minutes: how long to train in all; a third of it on digits, the rest on faces.
        people: how many faces to draw.
        say: is told what happens now.
        on_event: is told every event of the trainings.

    Raises:
        RunError: the folder holds something else than a demo.
    """
    folder = Path(out)
    _make_room(folder)

    def outcome(what: str, recipe: str, for_minutes: float, make: Callable[[], Dataset]) -> Outcome:
        begun = time.monotonic()
        say(what)
        dataset = make()
        train, val = dataset.split(val=VAL, seed=SEED)
        picture = _drawn(dataset, recipe, folder / f"{recipe}.png")
        run = vf.train(train, val, recipe, minutes=for_minutes, out=folder / recipe, on_event=on_event)
        say("measuring it and writing the report")
        evaluation = run.evaluate(val)
        report = run.folder / "report" / evaluation.save(run.folder / "report").name
        say("exporting it and comparing the file with the trained model")
        exported = run.exported(run.folder / "model.onnx")
        metric, value = evaluation.described()[0]
        took, text = time.monotonic() - begun, f"{metric.name} {metric.text(value)}"
        return Outcome(what, text, took, exported.largest_difference, run.folder, report, picture, exported.path)

    outcomes = [
        outcome("classify: 1,797 handwritten digits", "digits", minutes / 3, digits),
        outcome(f"keypoints: {people:,} drawn faces", "keypoints", minutes * 2 / 3, lambda: faces(people, SEED)),
    ]
    record = [{name: str(value) for name, value in vars(one).items()} for one in outcomes]
    (folder / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
    return outcomes


def _make_room(folder: Path) -> None:
    """Remove an earlier demo, and nothing else."""
    if folder.exists() and not folder.is_dir():
        raise RunError("is a file", where=folder, hint="name a folder for the demo")
    found = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    if found and RECORD not in found:
        raise RunError("exists and holds something else than a demo", where=folder, hint="name another folder")
    for recipe in ("digits", "keypoints"):
        shutil.rmtree(folder / recipe, ignore_errors=True)
        (folder / f"{recipe}.png").unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).write_text("[]", encoding="utf-8")


def _drawn(dataset: Dataset, recipe: str, path: Path) -> Path:
    wanted = load_recipe(recipe)
    picture = sheet(dataset, SHOWN, SEED, wanted.augment, wanted.data)
    save(picture, path)
    return path
