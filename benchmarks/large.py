"""Training on a set that is larger than memory may be: how much memory it takes, and how soon it begins.

    python benchmarks/large.py [--gigabytes 12] [--seconds 120] [--array 3] [--folder WHERE THERE IS ROOM]

The set is a folder a class of JPEGs, 224×224, so many that their pixels take the gigabytes; 400 different photos are
drawn, and every file is a hard link to one of them: each is read and decoded as a file of its own. A process trains
the recipe `images` on it and is stopped after the seconds, "first": files are decoded when they are needed. Then the
same again: what was decoded is on the disk now. Last comes a set of one array (MNIST's idx format, 224×224 gray) of
`--array` gigabytes, which is parsed before the first step, and again.

Memory is what `ps` shows, mapped pages included: VmRSS, looked at twenty times a second, and the kernel's own record
of the highest, ru_maxrss. "first event" is the time from the start of the process, reading the set's list included, to
the first training event; "read by then" is the share of the images that had been asked for. "waited" is the share of
the time that the training waited for data.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import struct
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

from beside import in_own_process, peak_memory, save

SIDE, CLASSES, DRAWN = 224, 40, 400
BATCH, AHEAD = 32, 3
LIMIT = 3.0
"""Gigabytes of memory that it must stay under."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=12)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--array", type=float, default=3)
    parser.add_argument("--folder", type=Path, help="where the sets lie while it runs")
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.source:
        print(json.dumps(trained(given.source, given.seconds)))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        room = Path(name)
        enough(room, given.gigabytes + 2 * given.array)
        sets = {"files": write_files(room / "files", given.gigabytes)}
        report = {way: one_run(way, room, given.seconds) for way in ("files, first", "files, again")}
        shutil.rmtree(room / "cache")
        if given.array:
            sets["array"] = write_array(room / "array", given.array)
            report |= {way: one_run(way, room, given.seconds) for way in ("array, first", "array, again")}
    print_table(sets, report)
    assert all(one["peak_gb"] < LIMIT for one in report.values()), f"more than {LIMIT} GB of memory"
    save("large", {"batch": BATCH, "seconds": given.seconds, "sets": sets, "runs": report}, ["torch", "numpy"])


def enough(room: Path, gigabytes: float) -> None:
    free = shutil.disk_usage(room).free / 1e9
    if free < gigabytes + 5:
        sys.exit(f"{room} has {free:.0f} GB free, {gigabytes + 5:.0f} are needed: name another --folder")


def write_files(folder: Path, gigabytes: float) -> dict[str, float]:
    """Write so many files that their pixels take the gigabytes, and return what was written."""
    import cv2
    import numpy as np

    count = round(gigabytes * 1e9 / (SIDE * SIDE * 3))
    rng, drawn = np.random.default_rng(0), folder.parent / "drawn"
    drawn.mkdir()
    for number in range(DRAWN):
        coarse = rng.integers(0, 256, (14, 14, 3), dtype=np.uint8)
        coarse[..., number % 3] //= 2 + number % CLASSES // 3  # something to learn
        photo = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        noise = rng.integers(0, 24, photo.shape, dtype=np.uint8)
        cv2.imwrite(str(drawn / f"{number}.jpg"), cv2.add(photo, noise), [cv2.IMWRITE_JPEG_QUALITY, 88])
    for number in range(count):
        file = folder / f"class-{number % CLASSES:02d}" / f"{number:06d}.jpg"
        if number < CLASSES:
            file.parent.mkdir(parents=True)
        os.link(drawn / f"{number % DRAWN}.jpg", file)
    size = sum((drawn / f"{number}.jpg").stat().st_size for number in range(DRAWN)) / DRAWN
    return {"images": count, "pixels_gb": count * SIDE * SIDE * 3 / 1e9, "files_gb": count * size / 1e9}


def write_array(folder: Path, gigabytes: float) -> dict[str, float]:
    """Write MNIST's two files with so many gigabytes of gray images, and return what was written."""
    import numpy as np

    count = round(gigabytes * 1e9 / (SIDE * SIDE))
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, count, dtype=np.uint8)
    folder.mkdir()
    with (folder / "train-images-idx3-ubyte").open("wb") as file:
        file.write(struct.pack(">4B3I", 0, 0, 8, 3, count, SIDE, SIDE))
        for first in range(0, count, 512):
            shade = (20 * labels[first : first + 512, None, None]).astype(np.uint8)
            file.write((shade + rng.integers(0, 60, (len(shade), SIDE, SIDE), dtype=np.uint8)).tobytes())
    content = struct.pack(">4B1I", 0, 0, 8, 1, count) + labels.tobytes()
    (folder / "train-labels-idx1-ubyte").write_bytes(content)
    return {"images": count, "pixels_gb": count * SIDE * SIDE / 1e9, "files_gb": count * SIDE * SIDE / 1e9}


def one_run(way: str, room: Path, seconds: float) -> dict[str, float]:
    arguments = ("--source", str(room / way.split(",", maxsplit=1)[0]), "--seconds", str(seconds))
    return dict(in_own_process(__file__, *arguments, VIEWFINDER_CACHE=str(room / "cache")))


def trained(source: Path, seconds: float) -> dict[str, float]:
    """Train for some seconds and return what it took."""
    began, highest, over = time.perf_counter(), [0.0], threading.Event()
    parsed_before = parsed()
    watching = threading.Thread(target=watch, args=(highest, over))
    watching.start()
    import viewfinder as vf

    marks: dict[str, float] = {}
    events: list[dict[str, Any]] = []
    validations = 0

    def see(event: dict[str, Any]) -> None:
        nonlocal validations
        validations += event["event"] == "validation"
        now = time.perf_counter() - began
        if event["event"] == "train":
            marks.setdefault("first_event", now)
            marks.setdefault("first_step", event["step"])
            events.append(event)
            if now > marks["first_event"] + seconds:
                raise KeyboardInterrupt

    data = vf.read(source)
    marks |= {"read": time.perf_counter() - began, "read_gb": memory()}
    channels = data.images[0].shape[2]
    changes = {"data.size": SIDE, "data.channels": channels, "train.batch": BATCH}
    changes |= {"data.val": 0.004, "train.validations": 30}  # a few in the time, as they take memory too
    with contextlib.suppress(KeyboardInterrupt), tempfile.TemporaryDirectory() as out:
        vf.train(data, recipe="images", epochs=1, changes=changes, out=Path(out) / "run", on_event=see)
    over.set()
    watching.join()
    quarter = max(1, len(events) // 4)
    return {
        "list_seconds": marks["read"],
        "list_gb": marks["read_gb"],
        "first_event_seconds": marks["first_event"],
        "read_by_then": 1.0 if parsed() > parsed_before else (marks["first_step"] + AHEAD) * BATCH / len(data),
        "steps": events[-1]["step"],
        "images_per_second_early": median(event["images_per_second"] for event in events[:quarter]),
        "images_per_second_late": median(event["images_per_second"] for event in events[-quarter:]),
        "validations": validations,
        "waited": sum(event["waited"] for event in events) / len(events),
        "peak_vmrss_gb": highest[0],
        "peak_gb": max(highest[0], peak_memory() / 1000),
    }


def parsed() -> int:
    """Return how many sets were parsed as a whole so far."""
    return len(list(Path(os.environ["VIEWFINDER_CACHE"]).glob("*.arrays")))


def watch(highest: list[float], over: threading.Event) -> None:
    while not over.wait(0.05):
        highest[0] = max(highest[0], memory())


def memory() -> float:
    """Return the resident memory of this process in GB, mapped pages included; NaN where the system does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return next((int(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith("VmRSS")), float("nan"))


def print_table(sets: dict[str, dict[str, float]], report: dict[str, dict[str, float]]) -> None:
    for name, one in sets.items():
        size = f"{one['pixels_gb']:.1f} GB of pixels, {one['files_gb']:.1f} GB of files"
        print(f"{name}: {one['images']:,.0f} images, {size}")
    heads = ("list s", "first event s", "read by then", "early img/s", "late img/s", "waited", "peak GB")
    print(f"{'':14}" + "".join(f"{head:>14}" for head in heads))
    for way, one in report.items():
        shown = (
            f"{one['list_seconds']:.1f}",
            f"{one['first_event_seconds']:.1f}",
            f"{100 * one['read_by_then']:.2f} %",
            f"{one['images_per_second_early']:.0f}",
            f"{one['images_per_second_late']:.0f}",
            f"{100 * one['waited']:.1f} %",
            f"{one['peak_gb']:.2f}",
        )
        print(f"{way:14}" + "".join(f"{text:>14}" for text in shown))


if __name__ == "__main__":
    main()
