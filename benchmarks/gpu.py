"""Training on a GPU: images a second beside a plain PyTorch DataLoader loop, and seconds until digits are read well.

    python benchmarks/gpu.py [--recipes digits keypoints] [--seconds 4] [--turns 3] [--workers 8]
    python benchmarks/gpu.py --seeds 5 [--epochs 1 2 4 8 12 24]

Ours is what `viewfinder train` does: the loader, the step, the averaged weights. "recorded": each step is started as
one; "as it comes": kernel after kernel, as with several processes; "compiled": with `train.compile`, for the recipes of
--compile; "without data": one batch again and again. "DataLoader" is the loop of PyTorch's tutorials at its best: the
same network, loss and batch, bfloat16, channels last, a fused optimiser, no averages, pinned memory, and workers that
turn, zoom and shift images with OpenCV (nothing else that ours does to them); with boxes there is none. The ways take
turns; the clock is the wall's.

Until an accuracy: each number of --epochs is a training of its own, from nothing, in one process, on a split of its
seed; its seconds are those of the clock from the first step to the end, its one validation included. The first training
of the process, which loads the GPU's libraries, is made once before and told apart. What is not measured again stays in
the results, `results/NAME OF THE GPU/gpu.json`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from accuracy_curves import DIGITS, LEVELS, NEVER, Curve, seconds_until
from beside import data_folder, save, saved, usable_cores
from profile_step import SETS
from time_to_accuracy import SHORT, split
from torch.utils.data import DataLoader, Dataset

import viewfinder as vf
from viewfinder.config import load_recipe
from viewfinder.training.device import quiet_torch, settled
from viewfinder.training.distributed import ALONE
from viewfinder.training.loop import Session, train_step
from viewfinder.training.start import _session, split_for

GPU = torch.device("cuda")
WARM_STEPS = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="*", choices=SETS, default=["digits", "keypoints"])
    parser.add_argument("--seconds", type=float, default=4, help="of steps, for each turn")
    parser.add_argument("--turns", type=int, default=3, help="in which each way is measured once")
    parser.add_argument("--workers", type=int, default=8, help="of the DataLoader")
    parser.add_argument(
        "--compile", nargs="+", choices=SETS, default=[], help="recipes for which `train.compile` is measured as well"
    )
    parser.add_argument("--seeds", type=int, default=0, help="splits of digits on which it is seen how good it gets")
    parser.add_argument("--epochs", nargs="+", type=float, default=[1, 2, 4, 8, 12, 24], help="of those trainings")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("a GPU is needed that torch can use; here is none")
    name = torch.cuda.get_device_name(GPU)
    report: dict[str, Any] = {"gpu": name, "workers": given.workers, "images_a_second": {}}
    folder = "-".join(name.lower().split())
    known = saved("gpu", folder)
    for recipe in given.recipes:
        with quiet_torch(usable_cores(), GPU):
            report["images_a_second"][recipe] = rates(recipe, given)
    report["images_a_second"] = known.get("images_a_second", {}) | report["images_a_second"]
    report["until"] = until(given.seeds, given.epochs) if given.seeds else known.get("until")
    save("gpu", report, ["torch"], folder=folder)


def rates(recipe: str, given: argparse.Namespace) -> dict[str, float]:
    """Return the median images a second of each way over all turns."""
    with tempfile.TemporaryDirectory() as folder:
        ways = ways_of(recipe, Path(folder), given)
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(given.turns):
            for way, steps in ways.items():
                taken[way].append(speed(steps(), given.seconds))
    found = {way: round(load_recipe(recipe).train.batch * median(ones)) for way, ones in taken.items()}
    for way, rate in found.items():
        print(f"{recipe:<12}{way:<14}{rate:>12,} images/s{found['recorded'] / rate:>8.2f}", flush=True)
    return found


def ways_of(name: str, folder: Path, given: argparse.Namespace) -> dict[str, Callable[[], Iterator[None]]]:
    """Return for each way what makes an endless row of steps."""
    recipe = settled(load_recipe(name), GPU)
    parts = {"train": split_for(vf.read(data_folder() / SETS[name]), recipe)[0]}

    def session(**changes: Any) -> Session:
        made = _session(load_recipe(recipe, changes), parts, folder, GPU, ALONE, fresh=True)
        made.progress.total = 10**9
        return made

    recorded, as_it_comes = session(), session(**{"train.cuda_graphs": False})
    ways = {"recorded": lambda: our_steps(recorded), "as it comes": lambda: our_steps(as_it_comes)}
    if name in given.compile:
        compiled = session(**{"train.compile": True})
        ways["compiled"] = lambda: our_steps(compiled)
    alone = session()
    ways["without data"] = lambda: same_steps(alone)
    if parts["train"].task not in ("classify", "keypoints"):
        return ways
    plain = session()
    loader = DataLoader(
        Varied(plain), recipe.train.batch, shuffle=True, num_workers=given.workers, pin_memory=True,
        persistent_workers=given.workers > 0, drop_last=True,
        worker_init_fn=one_thread,
    )  # fmt: skip
    return {**ways, "DataLoader": lambda: plain_steps(plain, loader)}


def our_steps(session: Session) -> Iterator[None]:
    with closing(session.loader.batches(session.progress.step, 10**9)) as batches:
        for batch in batches:
            train_step(session, batch)
            yield


def same_steps(session: Session) -> Iterator[None]:
    batch = session.loader.batch_at(0)
    while True:
        train_step(session, batch)
        yield


def plain_steps(session: Session, loader: DataLoader[Any]) -> Iterator[None]:
    network, optim = session.network.train(), session.recipe.optim
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=optim.weight_decay, fused=True)
    while True:
        for images, targets in loader:
            there = {name: value.to(GPU, non_blocking=True) for name, value in targets.items()}
            with torch.autocast(GPU.type, torch.bfloat16):
                loss = session.task.loss(network(images.to(GPU, non_blocking=True)), there)["total"]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            yield


def one_thread(_: int) -> None:
    cv2.setNumThreads(0)


class Varied(Dataset[Any]):
    """Turned, zoomed and shifted images with their labels or points, one after the other."""

    def __init__(self, session: Session) -> None:
        self.pixels, self.size, self.augment = session.loader.pixels, session.loader.size, session.recipe.augment
        self.targets = session.task.collate(session.loader.targets)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        image, spec = np.asarray(self.pixels[np.array([row])])[0], self.augment
        turn, zoom, right, down = np.random.uniform(-1, 1, 4)
        middle = ((self.size - 1) / 2, (self.size - 1) / 2)
        matrix = cv2.getRotationMatrix2D(middle, spec.rotate * turn, (1 + spec.zoom) ** zoom)
        matrix[:, 2] += spec.shift * self.size * np.array([right, down])
        moved = cv2.warpAffine(image, matrix, (self.size, self.size)).reshape(image.shape)
        targets = {name: value[row] for name, value in self.targets.items()}
        if "points" in targets:
            linear, shift = torch.from_numpy(matrix).float().split([2, 1], dim=1)
            targets["points"] = targets["points"] @ linear.T + shift[:, 0]
        return torch.from_numpy(moved), targets


def speed(steps: Iterator[None], seconds: float) -> float:
    """Return steps a second of the wall's clock."""
    for _ in range(WARM_STEPS):
        next(steps)
    torch.cuda.synchronize()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        next(steps)
        count += 1
    torch.cuda.synchronize()
    rate = count / (time.perf_counter() - start)
    steps.close()  # type: ignore[attr-defined]
    return rate


def until(seeds: int, epochs: list[float]) -> dict[str, Any]:
    """Return what each training of digits reached in which seconds, and the seconds until each level by seed."""
    first = trained(0, min(epochs))
    print(f"the first training of the process: {first['seconds']:.2f} s", flush=True)
    trainings = [trained(seed, each) for seed in range(seeds) for each in sorted(epochs)]
    found: dict[str, list[float | None]] = {}
    for level in LEVELS:
        by_seed = [seconds_until(curve_of(trainings, seed), level, True) for seed in range(seeds)]
        found[str(level)] = [None if seconds == NEVER else seconds for seconds in by_seed]
        print(f"{level} %: {', '.join(f'{seconds:.2f} s' for seconds in by_seed)}", flush=True)
    return {"first": first, "trainings": trainings, "seconds": found}


def curve_of(trainings: list[dict[str, Any]], seed: int) -> Curve:
    return [(one["seconds"], one["accuracy"]) for one in trainings if one["seed"] == seed]


def trained(seed: int, epochs: float) -> dict[str, Any]:
    train, val = split(DIGITS, seed)
    changes = {"train.seed": seed, "train.validations": 1, "train.minutes": 0.9 if epochs <= SHORT[DIGITS] else 5}
    with tempfile.TemporaryDirectory() as folder:
        recipe, start = load_recipe(DIGITS, changes), time.perf_counter()
        run = vf.train(train, val=val, recipe=recipe, epochs=epochs, out=Path(folder) / "run", device="cuda")
        seconds = time.perf_counter() - start
        events = run.events()
        accuracy = next(event for event in events if event["event"] == "validation")["metrics"]["accuracy"]
    one = {"seed": seed, "epochs": epochs, "seconds": events[-1]["seconds"], "with_start": seconds}
    print(f"seed {seed}, {epochs:g} epochs: {one['seconds']:.2f} s, {100 * accuracy:.2f} %", flush=True)
    return {**one, "accuracy": 100 * accuracy}


if __name__ == "__main__":
    main()
