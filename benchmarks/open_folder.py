"""How long a folder of photos takes until all pixels are there as one array, beside a plain OpenCV loop.

    python benchmarks/open_folder.py [--count 20000] [--side 128] [--size 64] [--runs 3]

The photos are drawn faces as JPEG files, a folder a class. Until each is fitted to --size and all are one array: that
is `viewfinder.read` and what training does with it, first and again; the loop is cv2.imread and cv2.resize. Every
measurement is a process of its own and takes turns with the others; all must give the same pixels. "cpu" is the
processor time, memory the highest resident size of the process, in which pages of files that it has mapped count too.
The files are in the system's memory, as they are after they were written; what counts is the ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from beside import in_own_process, peak_memory, save

CLASSES = 5
DRAWN = 200
"""Different photos; the others are copies of them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=128, help="of the photos, in pixels")
    parser.add_argument("--size", type=int, default=64, help="that they are fitted to")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--way", choices=("prepare", *WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way == "prepare":
        draw(given.folder, given.count, given.side)
        print(json.dumps("prepared"))
        return
    if given.way:
        print(json.dumps(one_run(given.way, given.folder, given.size)))
        return
    with tempfile.TemporaryDirectory() as folder:
        photos = ("--folder", f"{folder}/photos", "--size", str(given.size))
        in_own_process(__file__, "--way", "prepare", *photos, "--count", str(given.count), "--side", str(given.side))
        report = compare(photos, given.runs)
    print_table(report)
    about = f"{given.count} JPEG files of {given.side}×{given.side}, fitted to {given.size}×{given.size}"
    save("open_folder", {"photos": about, "runs": given.runs, "median": report}, ["numpy", "opencv-python-headless"])


def draw(folder: Path, count: int, side: int) -> None:
    import cv2

    from viewfinder.data.samples import faces

    drawn = faces(min(DRAWN, count), seed=1, size=side).images
    files = [cv2.imencode(".jpg", drawn[row][:, :, ::-1])[1].tobytes() for row in range(len(drawn))]
    for number in range(CLASSES):
        (folder / f"class_{number}").mkdir(parents=True)
    for row in range(count):
        (folder / f"class_{row % CLASSES}" / f"{row:06d}.jpg").write_bytes(files[row % len(files)])


def compare(photos: tuple[str, ...], runs: int) -> dict[str, dict[str, float]]:
    """Return the median seconds and megabytes of each way; the ways take turns, so that all see the same machine."""
    taken: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as cache:
            for way in WAYS:
                taken[way].append(in_own_process(__file__, "--way", way, *photos, VIEWFINDER_CACHE=cache))
    sums = {one["sum"] for ones in taken.values() for one in ones}
    assert len(sums) == 1, f"the ways give different pixels: {sums}"
    return {
        way: {key: median(one[key] for one in ones) for key in ("seconds", "cpu", "mb")} for way, ones in taken.items()
    }


def one_run(way: str, folder: Path, size: int) -> dict[str, float]:
    start, used = time.perf_counter(), time.process_time()
    pixels = WAYS[way](folder, size)
    total = int(pixels.sum(dtype="uint64"))  # counted: what is mapped is there when it was looked at
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    return {"seconds": seconds, "cpu": cpu, "mb": peak_memory(), "sum": total}


def with_loop(folder: Path, size: int) -> Any:
    import cv2
    import numpy as np

    paths = sorted(os.path.join(root, name) for root, _, names in os.walk(folder) for name in names)  # noqa: PTH118
    pixels = np.empty((len(paths), size, size, 3), dtype=np.uint8)
    for path, result in zip(paths, pixels, strict=True):
        image = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
        cv2.resize(image, (size, size), result, interpolation=cv2.INTER_AREA)
    return pixels


def with_viewfinder(folder: Path, size: int) -> Any:
    import viewfinder as vf
    from viewfinder.data.images import fit_all

    return fit_all(vf.read(folder).images, size, 3)[0]


WAYS = {"OpenCV loop": with_loop, "viewfinder, first": with_viewfinder, "viewfinder, again": with_viewfinder}


def print_table(report: dict[str, dict[str, float]]) -> None:
    print(f"{'way':20}{'seconds':>9}{'ratio':>8}{'cpu':>8}{'peak MB':>9}")
    for way, one in report.items():
        ratio = report["OpenCV loop"]["seconds"] / one["seconds"]
        print(f"{way:20}{one['seconds']:9.2f}{ratio:7.1f}×{one['cpu']:8.2f}{one['mb']:9.0f}")


if __name__ == "__main__":
    main()
