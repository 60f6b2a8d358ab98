"""How many photos a second `viewfinder predict --table` answers, beside the usual loop: cv2.imread, then session.run.

    python benchmarks/predict.py [--photos 400] [--side 640] [--runs 3]

The photos are drawn faces as JPEG files, the network is that of the recipe "images" with fresh weights. Every
measurement is a process of its own and takes turns with the others; starting and loading the model is not counted. What
counts is the ratio. In the loop ONNX Runtime has all cores that the process may use. All ways must give the same
answers. Memory is the highest resident size of the process.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from beside import in_own_process, peak_memory, save

CLASSES = ("a", "b", "c", "d", "e")
DRAWN = 40
"""Different photos; the others are copies of them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=400)
    parser.add_argument("--side", type=int, default=640, help="of the photos, in pixels")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--way", choices=("prepare", *WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way == "prepare":
        draw(given.folder / "photos", given.photos, given.side)
        export(given.folder / "model.onnx")
        print(json.dumps("prepared"))
        return
    if given.way:
        print(json.dumps(one_run(given.way, given.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        size = ("--photos", str(given.photos), "--side", str(given.side))
        in_own_process(__file__, "--way", "prepare", "--folder", folder, *size)
        report = compare(folder, given.runs)
    print_table(report)
    photos = f"{given.photos} JPEG files of {given.side}×{given.side}"
    packages = ("numpy", "opencv-python-headless", "onnxruntime")
    save("predict", {"photos": photos, "runs": given.runs, "median": report}, packages)


def draw(folder: Path, count: int, side: int) -> None:
    import cv2

    from viewfinder.data.samples import faces

    drawn = faces(min(DRAWN, count), seed=1, size=side).images
    folder.mkdir()
    files = [cv2.imencode(".jpg", drawn[row][:, :, ::-1])[1].tobytes() for row in range(len(drawn))]
    for row in range(count):
        (folder / f"{row:06d}.jpg").write_bytes(files[row % len(files)])


def export(path: Path) -> None:
    import onnx
    import torch

    from viewfinder.config import load_recipe
    from viewfinder.deploy.description import KEY, Description
    from viewfinder.deploy.onnx import traced
    from viewfinder.tasks import create

    recipe = load_recipe("images")
    task = create(recipe, CLASSES)
    torch.manual_seed(1)
    model = traced(task.answering(task.build()).eval(), recipe.data.size, recipe.data.channels, task.output_names)
    about = Description(task.name, task.answer.kind, CLASSES, recipe.data.size, recipe.data.channels)
    onnx.helper.set_model_props(model, {KEY: about.as_json()})
    onnx.save(model, str(path))


def compare(folder: str, runs: int) -> dict[str, dict[str, float]]:
    """Return the medians of each way; the ways take turns, so that all see the same machine."""
    taken: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for _ in range(runs):
        for way in WAYS:
            taken[way].append(in_own_process(__file__, "--way", way, "--folder", folder))
    sums = [one.pop("sum") for ones in taken.values() for one in ones]
    assert max(sums) - min(sums) < 1e-3 * max(sums), f"the ways give different answers: {sums}"
    return {way: {key: median(one[key] for one in ones) for key in ones[0]} for way, ones in taken.items()}


def one_run(way: str, folder: Path) -> dict[str, float]:
    from viewfinder.deploy.predictor import load
    from viewfinder.deploy.stream import cores

    files = sorted((folder / "photos").iterdir())
    threads = {"plain loop": cores(), "viewfinder, one thread": 1, "viewfinder": cores()}[way]
    model = load(folder / "model.onnx", threads=1)
    start, used = time.perf_counter(), time.process_time()
    scores = with_loop(folder, files, threads) if way == "plain loop" else with_viewfinder(folder, model, threads)
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    count = len(files)
    return {"photos_per_second": count / seconds, "cpu_ms": 1000 * cpu / count, "mb": peak_memory(), "sum": sum(scores)}


def with_loop(folder: Path, files: list[Path], threads: int) -> list[float]:
    import cv2
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(folder / "model.onnx"), options)
    side = session.get_inputs()[0].shape[1]
    scores = []
    with (folder / "loop.csv").open("w", newline="") as file:
        table = csv.writer(file)
        for path in files:
            image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            fitted = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
            said = session.run(None, {"image": fitted[np.newaxis]})[0][0]
            table.writerow([path.name, *said.tolist()])
            scores.append(float(said.max()))
    return scores


def with_viewfinder(folder: Path, model: Any, threads: int) -> list[float]:
    from viewfinder.deploy.bulk import write_table
    from viewfinder.deploy.pictures import find_pictures

    table = folder / "table.csv"
    write_table(model, find_pictures([folder / "photos"]), table, threads=threads, overwrite=True)
    with table.open(encoding="utf-8", newline="") as file:
        return [float(row["score"]) for row in csv.DictReader(file)]


WAYS = ("plain loop", "viewfinder, one thread", "viewfinder")


def print_table(report: dict[str, dict[str, float]]) -> None:
    print(f"{'way':26}{'photos/s':>10}{'ratio':>8}{'cpu ms':>9}{'peak MB':>9}")
    for way, one in report.items():
        ratio = one["photos_per_second"] / report["plain loop"]["photos_per_second"]
        print(f"{way:26}{one['photos_per_second']:10.0f}{ratio:7.2f}×{one['cpu_ms']:9.2f}{one['mb']:9.0f}")


if __name__ == "__main__":
    main()
