"""How long the network waits for data, for every recipe: the loader must never starve it.

    python benchmarks/waiting.py [--recipes digits keypoints …] [--seconds 20]

Two cores: each recipe trains for --seconds, on drawn images of its kind, and "waited" is the share of that time in
which no batch was ready, as the training itself records it. One core: the loader's thread and the network take
turns, beside a loader without a thread that makes each batch when it is asked for; the thread should cost nothing.
Each of these trainings is a process of its own, bound to its cores; those on one core last a quarter of --seconds and
take turns. Nothing is validated meanwhile.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

from beside import in_own_process, own_recipes, save

MOST = 0.05
"""The share of the time that the network may wait on two cores."""
ROWS, DRAWN = 512, 64
"""Images of a set, and how many of them are different."""
TURNS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="+")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        print(json.dumps(one_run(given.recipes[0], given.way, given.seconds)))
        return
    every = own_recipes() + ["detect-timm"] * bool(importlib.util.find_spec("timm"))
    rows = [measured(recipe, given.seconds) for recipe in given.recipes or every]
    print_table(rows)
    save("waiting", {"seconds": given.seconds, "recipes": rows}, ["torch", "opencv-python-headless"])
    if starved := [row["recipe"] for row in rows if row["waited"] >= MOST]:
        sys.exit(f"waited for more than {MOST:.0%} of the time: {', '.join(starved)}")


def measured(recipe: str, seconds: float) -> dict[str, Any]:
    turns = [("two cores", seconds)] + [(way, seconds / 4) for way in list(WAYS)[1:]] * TURNS
    taken: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for way, long in turns:
        arguments = ("--recipes", recipe, "--way", way, "--seconds", str(long))
        taken[way].append(in_own_process(__file__, *arguments))
    speed = {way: round(median(one["images_per_second"] for one in ones), 1) for way, ones in taken.items()}
    row = {"recipe": recipe, "waited": taken["two cores"][0]["waited"], "images_per_second": speed}
    print(text(row), flush=True)
    return row


def one_run(recipe: str, way: str, seconds: float) -> dict[str, float]:
    """Train for a while and return the speed and the share of the time in which the network waited."""
    cores, thread = WAYS[way]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    from viewfinder.config import load_recipe
    from viewfinder.training.loader import Batch, Loader

    def one_after_the_other(self: Loader, first: int, last: int) -> Iterator[Batch]:
        for step in range(first, last):
            yield self.batch_at(step)

    if not thread:
        Loader.batches = one_after_the_other  # type: ignore[assignment,method-assign]
    told = told_by_training(recipe, seconds)
    steady = [event for event in told if event["event"] == "train"]
    first, last = (steady[0], told[-1]) if len(steady) > 1 else (told[0], told[-1])
    speed = load_recipe(recipe).train.batch * (last["step"] - first["step"]) / (last["seconds"] - first["seconds"])
    return {"images_per_second": speed, "waited": told[-1]["waited"]}


def told_by_training(recipe: str, seconds: float) -> list[dict[str, Any]]:
    """Train for so many seconds and return the events."""
    import viewfinder as vf

    told: list[dict[str, Any]] = []

    def listen(event: dict[str, Any]) -> None:
        told.append(event)
        if event["event"] == "train" and event["seconds"] > seconds:
            signal.raise_signal(signal.SIGINT)  # as Ctrl-C: the step is finished, and the end is told

    changes = {"data.val": 0, "data.similar": False, "train.epochs": 10_000, "train.validations": 1}
    changes |= {"model.pretrained": False} if recipe == "detect-timm" else {}
    with tempfile.TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
        out = Path(folder) / "run"
        vf.train(drawn(recipe), recipe=recipe, changes=changes, out=out, device="cpu", on_event=listen)
    return told


def drawn(recipe_name: str) -> Any:
    """Return a dataset of the recipe's kind: digits, or faces as large as it keeps its training images."""
    from dataclasses import replace

    import numpy as np

    from viewfinder import tasks
    from viewfinder.config import load_recipe
    from viewfinder.data.samples import digits, faces
    from viewfinder.data.targets import BoxSets, Labels

    recipe = load_recipe(recipe_name)
    side, kind = round(recipe.data.size * recipe.data.detail), tasks.learns_from(recipe)
    if side == 28:
        return digits()
    every = faces(DRAWN, seed=1, size=side, channels=recipe.data.channels)
    xy = every.targets.xy
    boxes = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
    targets = {
        "classify": lambda: Labels(np.arange(DRAWN) % 5),
        "keypoints": lambda: every.targets,
        "detect": lambda: BoxSets.of(boxes[:, None], np.zeros((DRAWN, 1), dtype=np.int64)),
    }[kind]()
    names = {"classify": tuple("abcde"), "keypoints": every.names, "detect": ("face",)}[kind]
    return replace(every, task=kind, names=names, targets=targets).select(np.resize(np.arange(DRAWN), ROWS))


WAYS = {"two cores": (2, True), "one core": (1, True), "one core, no thread": (1, False)}
"""How many cores, and whether a thread reads ahead."""


def text(row: dict[str, Any]) -> str:
    two, one, plain = row["images_per_second"].values()
    verdict = "" if row["waited"] < MOST else "  too much"
    shares = f"{row['recipe']:22}{100 * row['waited']:7.1f} %{two:12,.0f}{one:12,.0f}{plain:12,.0f}"
    return f"{shares}{one / plain:8.2f}×{verdict}"


def print_table(rows: list[dict[str, Any]]) -> None:
    print(f"\n{'images a second':22}{'waited':>9}{'two cores':>12}{'one core':>12}{'no thread':>12}{'ratio':>9}")
    for row in rows:
        print(text(row))


if __name__ == "__main__":
    main()
