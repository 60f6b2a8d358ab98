"""Images a second of the notes' recipes' training steps: ours beside Keras 3 on TensorFlow.

    python benchmarks/step.py [--systems seed-digits seed-keypoints] [--threads 1 2] [--seconds 10] [--turns 3]

The same network, batch, optimiser and float32 on both sides, and the same rows; first it is shown that both networks
give the same answers with the same weights. Ours is the loader and the step of `viewfinder train`. Theirs is
`model.fit`, on arrays that are ready or, with augmentation, on ImageDataGenerator; compiled by XLA where that is
faster. The sides take turns in processes of their own on the same cores. "cpu" is images a second of processor time,
which a busy machine changes less. A recipe that does not vary its images is measured without augmentation only. Figures
of other systems and thread counts stay in the results.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from contextlib import closing
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from beside import HERE, in_own_process, pin, save, saved, see_that_it_is_there, threads
from time_to_accuracy import KERAS, split, write_rows
from torch import nn

from viewfinder import tasks
from viewfinder.augment.geometry import moving
from viewfinder.config import Augment, Recipe, load_recipe
from viewfinder.data.targets import Labels, PointSets
from viewfinder.training.device import keeping_memory
from viewfinder.training.loader import Loader
from viewfinder.training.loop import Progress, Session, train_step

SYSTEMS = ["seed-digits", "seed-keypoints", "seed-keypoints-mlp", "seed-keypoints-cnn"]
OURS = {"classify": "digits", "keypoints": "keypoints"}
ROWS, COMPARED, WARM_STEPS = 3000, 32, 3
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow"}


def main() -> None:
    given = arguments()
    if given.rows:
        pin(given.cores)
        print(json.dumps(our_steps(given.systems[0], given.rows, given.threads[0], given.seconds, given.augment)))
        return
    see_that_it_is_there(given.keras)
    rows = [row for system in given.systems for row in measured(system, given)]
    print_table(rows)
    theirs = [row.pop("versions") for row in rows]
    rows = [row | {"turns": given.turns, "date": date.today().isoformat()} for row in rows]
    others = [row for row in saved("step").get("images_a_second", []) if case(row) not in map(case, rows)]
    save("step", {"keras": theirs[0], "images_a_second": sorted([*others, *rows], key=case)}, ["torch"])


def case(row: dict[str, Any]) -> tuple[int, int, bool]:
    return SYSTEMS.index(row["system"]), row["threads"], row["augmented"]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS[:2])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--seconds", type=float, default=10, help="of steps, for each turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--cores", nargs="+", type=int, default=[0, 1], help="the first of them are used")
    parser.add_argument("--keras", type=Path, default=KERAS, help="the Python that has Keras")
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--augment", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def measured(system: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    recipe = load_recipe(system)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npz"
        train, val = split(OURS[recipe.task], 0)
        write_rows(path, train.select(train.labelled().complete()).select(range(ROWS)), val.select(range(COMPARED)))
        assert_same_network(system, path, given.keras)
        kinds = [True, False] if moving(recipe.augment) else [False]
        return [
            {"system": system, "threads": count, "augmented": augment, **in_turns(system, path, count, augment, given)}
            for count in given.threads
            for augment in kinds
        ]


def in_turns(system: str, rows: Path, count: int, augment: bool, given: argparse.Namespace) -> dict[str, Any]:
    """Return the median images a second of each side over all turns."""
    flags = [f"--seconds={given.seconds}", *(["--augment"] if augment else [])]
    cores = ["--cores", *map(str, given.cores[:count])]
    ways = {
        "ours": [__file__, f"--rows={rows}", "--systems", system, f"--threads={count}", *flags, *cores],
        "keras": [str(HERE / "keras_systems.py"), "step", system, str(rows), *flags, *cores],
    }
    taken: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for _ in range(given.turns):
        for way, (script, *about) in ways.items():
            python = {"python": str(given.keras)} if way == "keras" else {}
            taken[way].append(in_own_process(script, *about, **python, **threads(count), **QUIET))
    found = {way: {key: median(one[key] for one in ones) for key in RATES} for way, ones in taken.items()}
    ratios = {f"ratio_{key}": round(found["ours"][key] / found["keras"][key], 3) for key in RATES}
    return {**found, **ratios, "xla": taken["keras"][0]["xla"], "versions": taken["keras"][0]["versions"]}


RATES = ("wall", "cpu")


def our_steps(system: str, path: Path, count: int, seconds: float, augment: bool) -> dict[str, float]:
    torch.set_num_threads(count)
    recipe = load_recipe(system)
    if not augment:
        recipe = recipe.model_copy(update={"augment": Augment()})
    session = our_session(recipe, dict(np.load(path)))
    at, used = [], []
    with keeping_memory(), closing(session.loader.batches(0, session.progress.total)) as batches:
        for batch in batches:
            train_step(session, batch)
            at.append(time.perf_counter())
            used.append(time.process_time())
            if len(at) > WARM_STEPS and at[-1] - at[WARM_STEPS] >= seconds:
                break
    images = recipe.train.batch * (len(at) - 1 - WARM_STEPS)
    return {"wall": images / (at[-1] - at[WARM_STEPS]), "cpu": images / (used[-1] - used[WARM_STEPS])}


def our_session(recipe: Recipe, rows: dict[str, Any]) -> Session:
    targets = Labels(rows["train_y"]) if recipe.task == "classify" else PointSets(rows["train_y"])
    names = tasks.usual_names(recipe)
    task = tasks.create(recipe, names)
    task.prepare(targets)
    torch.manual_seed(0)
    about = {"names": names, "task": task, "batch": recipe.train.batch, "augment": recipe.augment, "seed": 0}
    loader = Loader(rows["train_x"], targets, **about)
    session = Session(recipe, task, task.build(), loader, None, task.metrics[0], None, Path(), str, torch.device("cpu"))
    session.progress = Progress(10**9, [])
    return session


def assert_same_network(system: str, path: Path, keras: Path) -> None:
    """Give both networks the same weights, and compare what they answer for the same images."""
    recipe, rows = load_recipe(system), dict(np.load(path))
    torch.manual_seed(1)
    network = tasks.create(recipe, tasks.usual_names(recipe)).build().eval()
    with torch.inference_mode():
        outputs = network(torch.from_numpy(rows["val_x"]))
    expected = outputs.softmax(1) if recipe.task == "classify" else outputs
    weights = path.with_name("weights.npz")
    np.savez(weights, val_x=rows["val_x"], **keras_weights(network))
    said = in_own_process(str(HERE / "keras_systems.py"), "answer", system, str(weights), python=str(keras), **QUIET)
    off = np.abs(expected.numpy() - np.array(said["outputs"])).max()
    assert off < 1e-3, f"{system}: the two networks differ by {off}"


def keras_weights(network: nn.Module) -> dict[str, Any]:
    """Return a network's weights as Keras lays them out: kernels (H, W, in, out), matrices (in, out), channels last."""
    arrays: list[torch.Tensor] = []
    channels, flattened = 1, False
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            channels = layer.out_channels
            arrays.append(layer.weight.permute(2, 3, 1, 0))
        elif isinstance(layer, nn.Linear):
            side = 1 if flattened else math.isqrt(layer.in_features // channels)
            planes = layer.weight.reshape(layer.out_features, -1, side, side)
            arrays.append(planes.permute(2, 3, 1, 0).reshape(layer.in_features, -1))
            flattened = True
        else:
            continue
        if layer.bias is not None:
            arrays.append(layer.bias)
    return {f"weight_{i}": array.detach().contiguous().numpy() for i, array in enumerate(arrays)}


def print_table(rows: list[dict[str, Any]]) -> None:
    print(f"{'system':<22}{'threads':>8}{'augmented':>11}{'ours':>10}{'keras':>10}{'ratio':>8}{'cpu ratio':>11}")
    for row in rows:
        about = f"{row['system']:<22}{row['threads']:>8}{'yes' if row['augmented'] else 'no':>11}"
        rates = f"{row['ours']['wall']:>10.0f}{row['keras']['wall']:>10.0f}"
        print(f"{about}{rates}{row['ratio_wall']:>7.2f}×{row['ratio_cpu']:>10.2f}×")


if __name__ == "__main__":
    main()
