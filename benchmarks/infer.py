"""Milliseconds an image for each of our recipes: the model file in Predictor, beside PyTorch and OpenCV's DNN module.

    python benchmarks/infer.py [--recipes digits seed-digits …] [--threads 1 2] [--batches 1 64] [--seconds 1]

Networks have fresh weights: time does not depend on what they learnt. All take turns, so that each sees the same
machine; what counts is the ratio to our float32 file. An image is pixels of the input's size in, decoded answers out;
"not read" stands where OpenCV cannot read the graph.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import onnx
import torch
from beside import own_recipes, save
from numpy.typing import NDArray

from viewfinder import tasks
from viewfinder.config import load_recipe
from viewfinder.deploy.description import KEY, Description
from viewfinder.deploy.onnx import traced
from viewfinder.deploy.predictor import Predictor
from viewfinder.deploy.quantise import quantise

Way = Callable[[NDArray[np.uint8]], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="+", default=own_recipes())
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 64])
    parser.add_argument("--seconds", type=float, default=1.0, help="for each way, recipe, batch and thread count")
    given = parser.parse_args()
    rows = [
        row
        for recipe in given.recipes
        for threads in given.threads
        for row in measured(recipe, threads, given.batches, given.seconds)
    ]
    print_table(rows)
    save("infer", {"ms_an_image": rows}, ["torch", "onnxruntime", "opencv-python-headless"])


def measured(recipe: str, threads: int, batches: list[int], seconds: float) -> list[dict[str, Any]]:
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    with tempfile.TemporaryDirectory() as folder:
        size, channels, ways = all_ways(recipe, threads, Path(folder))
        pixels = np.random.default_rng(0).integers(0, 256, (max(batches), size, size, channels), dtype=np.uint8)
        return [
            {"recipe": recipe, "threads": threads, "batch": batch, **timed(ways, pixels[:batch], seconds)}
            for batch in batches
        ]


def all_ways(name: str, threads: int, folder: Path) -> tuple[int, int, dict[str, Way]]:
    recipe = load_recipe(name)
    task = tasks.create(recipe, tasks.usual_names(recipe))
    torch.manual_seed(0)
    answering = task.answering(task.build().eval()).eval()
    size, channels = recipe.data.size, recipe.data.channels
    about = Description(task.name, task.answer.kind, task.names, size, channels)
    model = traced(answering, size, channels, task.output_names)
    file, small = folder / "float32.onnx", folder / "int8.onnx"
    calibration = np.random.default_rng(1).integers(0, 256, (32, size, size, channels), dtype=np.uint8)
    for path in (file, small):
        onnx.helper.set_model_props(model, {KEY: about.as_json()})
        onnx.save(model, str(path))
        if path == file:
            model = quantise(file, calibration, folder)
    ways: dict[str, Way] = {
        "float32": Predictor(file, threads).outputs,
        "int8": Predictor(small, threads).outputs,
        "pytorch": eager(answering),
        "opencv": opencv(file),
    }
    return size, channels, ways


def eager(answering: torch.nn.Module) -> Way:
    def run(pixels: NDArray[np.uint8]) -> object:
        with torch.inference_mode():
            return answering(torch.from_numpy(pixels))

    return run


def opencv(file: Path) -> Way:
    def run(pixels: NDArray[np.uint8]) -> object:
        network = read()
        network.setInput(pixels)
        return network.forward(network.getUnconnectedOutLayersNames())

    cached: list[Any] = []

    def read() -> Any:
        if not cached:
            cached.append(cv2.dnn.readNetFromONNX(str(file)))
        return cached[0]

    return run


def timed(ways: dict[str, Way], pixels: NDArray[np.uint8], seconds: float) -> dict[str, float | None]:
    """Return milliseconds an image, the median of turns; None for a way that cannot do it."""
    taken: dict[str, list[float]] = {}
    for name, way in ways.items():
        try:
            way(pixels)
            taken[name] = []
        except cv2.error:
            taken[name] = [float("nan")]
    until = time.perf_counter() + seconds * len(ways)
    while time.perf_counter() < until:
        for name, way in ways.items():
            if taken[name] and np.isnan(taken[name][0]):
                continue
            start = time.perf_counter()
            way(pixels)
            taken[name].append(1000 * (time.perf_counter() - start) / len(pixels))
    return {name: None if np.isnan(times[0]) else median(times) for name, times in taken.items()}


def print_table(rows: list[dict[str, Any]]) -> None:
    print(f"{'recipe':<20}{'threads':>8}{'batch':>6}{'float32':>18}{'int8':>18}{'pytorch':>18}{'opencv':>18}")
    for row in rows:
        cells = [text(row[way], row["float32"]) for way in ("float32", "int8", "pytorch", "opencv")]
        print(f"{row['recipe']:<20}{row['threads']:>8}{row['batch']:>6}" + "".join(f"{cell:>18}" for cell in cells))


def text(value: float | None, ours: float) -> str:
    return "not read" if value is None else f"{value:.2f} ms ({value / ours:.2f}×)"


if __name__ == "__main__":
    main()
