"""Where the time of a training step goes, by kind of work, for our recipes: torch's profiler on real steps.

    python benchmarks/profile_step.py [--recipes digits keypoints detect] [--steps 20] [--threads 1]

The sets are the real ones of the data folder. "batch" is what making a batch costs the thread that does it, which runs
beside the step where there is a second core. Convolutions are computed as `viewfinder train` computes them: in bfloat16
where the recipe says "auto" and the processor can. All others are shares of the step's own time. Profiling itself
slows small operations down most.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import torch
from beside import data_folder, save

import viewfinder as vf
from viewfinder.config import load_recipe
from viewfinder.training.device import settled
from viewfinder.training.distributed import ALONE
from viewfinder.training.loop import Session, train_step
from viewfinder.training.start import _session, split_for

DIGITS, FACES = "digit-recognizer.zip", "facial-keypoints-detection.zip"
SETS = {
    "digits": DIGITS,
    "keypoints": FACES,
    "images": "flowers",
    "detect": "cards-voc",
    "seed-digits": DIGITS,
    "seed-keypoints": FACES,
    "seed-keypoints-mlp": FACES,
    "seed-keypoints-cnn": FACES,
}
KINDS = {
    "convolution, backward": ("convolution_backward",),
    "convolution": ("convolution", "mkldnn", "conv2d"),
    "convolution, by Fourier transforms": ("aten::bmm", "_Convolution"),
    "normalisation": ("batch_norm",),
    "pooling": ("pool",),
    "activation": ("relu", "threshold", "clamp", "sigmoid"),
    "optimiser and averages": ("foreach", "Optimizer", "lerp", "addcdiv", "addcmul"),
    "linear": ("addmm", "linear", "aten::mm", "matmul"),
    "layout and type": ("copy_", "to_copy", "contiguous", "aten::to", "clone", "permute", "convert"),
}
"""Parts of operations' names; the first kind that fits counts."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="+", choices=SETS, default=[*SETS][:5])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    cv2.setNumThreads(given.threads)
    torch.set_num_threads(given.threads)
    report = {recipe: profiled(recipe, given.steps) for recipe in given.recipes}
    print_table(report)
    save("profile_step", {"steps": given.steps, "threads": given.threads, "recipes": report}, ["torch"])


def profiled(name: str, steps: int) -> dict[str, float]:
    """Return milliseconds a step and a batch, and the shares of the step's time by kind."""
    with TemporaryDirectory() as folder:
        session = session_of(name, Path(folder))
    batches = [session.loader.batch_at(step) for step in range(2)]

    def step(number: int) -> None:
        train_step(session, batches[number % 2])

    making = seconds(session.loader.batch_at, steps)
    taken = seconds(step, steps)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        seconds(step, steps)
    return {"step ms": 1000 * taken, "batch ms": 1000 * making, **shares(profile.key_averages())}


def session_of(name: str, folder: Path) -> Session:
    cpu = torch.device("cpu")
    recipe = settled(load_recipe(name), cpu)
    train, _ = split_for(vf.read(data_folder() / SETS[name]), recipe)
    session = _session(recipe, {"train": train}, folder, cpu, ALONE)
    session.progress.total = 10**6
    return session


def seconds(work: Any, times: int) -> float:
    """Return the mean seconds of a call, after two that do not count."""
    work(0), work(1)
    start = time.perf_counter()
    for number in range(times):
        work(number)
    return (time.perf_counter() - start) / times


def shares(events: Any) -> dict[str, float]:
    spent: dict[str, float] = defaultdict(float)
    for event in events:
        spent[kind_of(event.key)] += event.self_cpu_time_total
    every = sum(spent.values())
    return {kind: spent[kind] / every for kind in (*KINDS, "other")}


def kind_of(operation: str) -> str:
    return next((kind for kind, parts in KINDS.items() if any(part in operation for part in parts)), "other")


def print_table(report: dict[str, dict[str, float]]) -> None:
    print(f"{'':36}" + "".join(f"{name:>20}" for name in report))
    for row in next(iter(report.values())):
        values = [one[row] for one in report.values()]
        cells = [f"{value:.1f}" if row.endswith(" ms") else f"{value:.0%}" for value in values]
        print(f"{row:36}" + "".join(f"{cell:>20}" for cell in cells))


if __name__ == "__main__":
    main()
