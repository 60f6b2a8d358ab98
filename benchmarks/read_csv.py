"""How long the two Kaggle downloads take to read, beside the usual way: pandas.read_csv, then str.split(" ") a row.

    python benchmarks/read_csv.py [FOLDER WITH THE TWO ZIPS] [--runs 3]

Every measurement is a process of its own and takes turns with the others; what counts is the ratio. "cpu" is
the processor time, which a busy machine changes less; memory is the highest resident size of the process, in which
pages of files that it has mapped count too. The libraries are loaded before, and all pixels are added up within, since
what only lies in a mapped file is read then. All ways must give the same pixels. "pandas" turns the texts straight into
uint8, the leanest form of that way, and the ratios are to it; "floats" turns them into what a network takes, as usual.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from statistics import median
from typing import Any

from beside import data_folder, in_own_process, peak_memory, save

DIGITS, FACES = "digit-recognizer.zip", "facial-keypoints-detection.zip"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=data_folder())
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--zip", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        print(json.dumps(one_run(given.way, given.folder / given.zip)))
        return
    if not (given.folder / FACES).is_file():
        sys.exit(f"{given.folder} holds no {FACES}: name the folder of the two downloads, or set VIEWFINDER_DATA to it")
    report = {name: compare(given.folder, name, given.runs) for name in (FACES, DIGITS)}
    print_table(report)
    save("read_csv", {"runs": given.runs, "median": report}, ["numpy", "pandas"])


def compare(folder: Path, name: str, runs: int) -> dict[str, dict[str, float]]:
    """Return the median seconds and megabytes of each way; the ways take turns, so that all see the same machine."""
    taken: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as cache:
            for way in WAYS:
                taken[way].append(
                    in_own_process(__file__, str(folder), "--way", way, "--zip", name, VIEWFINDER_CACHE=cache)
                )
    sums = {one["sum"] for ones in taken.values() for one in ones}
    assert len(sums) == 1, f"the ways read different pixels: {sums}"
    return {
        way: {key: median(one[key] for one in ones) for key in ("seconds", "cpu", "mb")} for way, ones in taken.items()
    }


def one_run(way: str, path: Path) -> dict[str, float]:
    if way.startswith("pandas"):
        import pandas  # noqa: F401
    else:
        from viewfinder.data.formats import kaggle_digits, kaggle_faces  # noqa: F401
    start, used = time.perf_counter(), time.process_time()
    total = int(WAYS[way](path).sum(dtype="float64"))
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    return {"seconds": seconds, "cpu": cpu, "mb": peak_memory(), "sum": total}


def with_pandas(path: Path, kind: str = "uint8") -> Any:
    import numpy as np
    import pandas as pd

    with zipfile.ZipFile(path) as outer:
        if path.name == DIGITS:
            with outer.open("train.csv") as file:
                return pd.read_csv(file).iloc[:, 1:].to_numpy(dtype=kind)
        with (
            outer.open("training.zip") as inner,
            zipfile.ZipFile(inner) as archive,
            archive.open("training.csv") as file,
        ):
            table = pd.read_csv(file)
    return np.stack([np.array(row.split(" "), dtype=kind) for row in table["Image"]])


def with_pandas_floats(path: Path) -> Any:
    return with_pandas(path, "float32")


def with_viewfinder(path: Path) -> Any:
    import viewfinder as vf

    return vf.read(path).images.pixels


WAYS = {
    "pandas": with_pandas,
    "pandas, floats": with_pandas_floats,
    "viewfinder, first": with_viewfinder,
    "viewfinder, again": with_viewfinder,
}


def print_table(report: dict[str, dict[str, dict[str, float]]]) -> None:
    print(f"{'':32}{'way':20}{'seconds':>9}{'ratio':>8}{'cpu':>8}{'peak MB':>9}")
    for name, ways in report.items():
        for way, one in ways.items():
            ratio = ways["pandas"]["seconds"] / one["seconds"]
            print(f"{name:32}{way:20}{one['seconds']:9.2f}{ratio:7.1f}×{one['cpu']:8.2f}{one['mb']:9.0f}")


if __name__ == "__main__":
    main()
