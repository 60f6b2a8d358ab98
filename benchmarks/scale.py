"""Time and memory of training as rows grow from 1,000 to 1,000,000, and as images grow: the line through them.

    python benchmarks/scale.py [--rows 1000 … 1000000] [--sides 32 … 256] [--steps 100] [--picture docs/scale.png]

Rows: digits of 28×28 pixels in an .npz file, recipe "digits". Sides: drawn faces of that side, recipe "images" at that
size. Each training is a process of its own that reads the file, splits off 200 samples for validation and takes the
same few steps, so that what grows is what depends on the rows: reading, starting, the order. "read" is
`viewfinder.read`, "start" is from there to the first step, both in seconds of processor time, without imports; "MB" is
the highest resident size of the process. The lines are least squares; a slope of 1 in the logarithms is proportional.
The set itself takes 784 MB a million rows.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from beside import in_own_process, peak_memory, save

KEPT = 200
"""Samples for validation, however many rows there are."""
FACES = 1_000

Row = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", type=int, default=[1_000, 10_000, 100_000, 300_000, 1_000_000])
    parser.add_argument("--sides", nargs="+", type=int, default=[32, 64, 96, 128, 192, 256])
    parser.add_argument("--steps", type=int, default=100, help="of each training; images take a third of them")
    parser.add_argument("--picture", type=Path, help="draw both lines into this file")
    parser.add_argument("--way", choices=("digits", "images", "write-digits", "write-images"), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        one = {"write-digits": write_digits, "write-images": write_images}.get(given.way)
        print(json.dumps(one(given.file, given.count) if one else trained(given.way, given.file, given.steps)))
        return
    rows = [measured("digits", count, given.steps) for count in given.rows]
    sides = [measured("images", side, max(1, given.steps // 3)) for side in given.sides]
    lines = {"rows": lines_of_rows(rows), "sides": lines_of_sides(sides)}
    print_tables(rows, sides, lines)
    save("scale", {"steps": given.steps, "rows": rows, "sides": sides, "lines": lines}, ["numpy", "torch"])
    if given.picture:
        draw(rows, sides, given.picture)


def measured(recipe: str, count: int, steps: int) -> Row:
    """Return what a training on digits of so many rows, or on faces of this side, took."""
    with tempfile.TemporaryDirectory() as folder:
        file = ("--file", str(Path(folder) / "set.npz"), "--count", str(count))
        in_own_process(__file__, "--way", f"write-{recipe}", *file)
        row = in_own_process(__file__, "--way", recipe, *file, "--steps", str(steps), VIEWFINDER_CACHE=f"{folder}/c")
    return {"rows" if recipe == "digits" else "side": count, **row}


def write_digits(file: Path, count: int) -> str:
    """Write handwritten digits, each as often as it takes, none of them twice in the same place."""
    from viewfinder.data.samples import digits

    rng, every = np.random.default_rng(1), digits()
    which = rng.integers(0, len(every), count)
    pixels = np.stack([every.images[row] for row in range(len(every))])[which]
    for start in range(0, count, 10_000):  # grains of noise, so that no two images are equal
        block = pixels[start : start + 10_000]
        np.bitwise_xor(block, rng.integers(0, 8, block.shape, dtype=np.uint8), out=block)
    np.savez(file, images=pixels, labels=every.labelled().array()[which])
    return "written"


def write_images(file: Path, side: int) -> str:
    from viewfinder.data.samples import faces

    every = faces(100, seed=1, size=side).images
    pixels = np.stack([every[row] for row in range(len(every))])
    np.savez(file, images=np.resize(pixels, (FACES, *pixels.shape[1:])), labels=np.arange(FACES) % 5)
    return "written"


def trained(recipe: str, file: Path, steps: int) -> Row:
    """Read a file, train for some steps, and return the seconds of each part and the highest memory."""
    import viewfinder as vf

    read, train = vf.read, vf.train  # what they import is not counted
    at: dict[str, float] = {"begun": time.process_time()}
    told: dict[str, dict[str, Any]] = {}

    def listen(event: dict[str, Any]) -> None:
        at.setdefault(event["event"], time.process_time())
        told.setdefault(event["event"], event)

    data = read(file)
    at["read"] = time.process_time()
    batch = vf.load_recipe(recipe).train.batch
    per_epoch = (len(data) - KEPT) // batch
    changes = {"data.val": KEPT / len(data), "train.epochs": steps / per_epoch, "train.validations": 1}
    changes["data.size"] = data.images[0].shape[0]
    run = train(data, recipe=recipe, changes=changes, out=file.parent / "run", device="cpu", on_event=listen)
    stepping = told["validation"]["seconds"]
    assert run.ended == "steps", run.ended
    return {
        "read": round(at["read"] - at["begun"], 3),
        "start": round(at["start"] - at["read"], 3),
        "images_per_second": round(told["validation"]["step"] * batch / stepping, 1),
        "epoch": round(per_epoch * stepping / told["validation"]["step"], 2),
        "mb": round(peak_memory(), 1),
    }


def lines_of_rows(rows: Sequence[Row]) -> Row:
    """Return what a million rows take: seconds to read and to start, seconds an epoch, and MB."""
    millions = [row["rows"] / 1e6 for row in rows]
    return {name: round(slope(millions, [row[name] for row in rows]), 3) for name in ("read", "start", "epoch", "mb")}


def lines_of_sides(sides: Sequence[Row]) -> Row:
    """Return the power of an image's pixels by which its time grows, and MB a MB of pixels, with the network's maps."""
    pixels = [row["side"] ** 2 for row in sides]
    seconds = [1 / row["images_per_second"] for row in sides]
    megabytes = [3 * FACES * count / 1e6 for count in pixels]
    power = slope(np.log(pixels), np.log(seconds))
    return {"power": round(power, 3), "mb": round(slope(megabytes, [row["mb"] for row in sides]), 3)}


def slope(x: Any, y: Any) -> float:
    return float(np.polyfit(x, y, 1)[0]) if len(x) > 1 else float("nan")


def print_tables(rows: Sequence[Row], sides: Sequence[Row], lines: dict[str, Row]) -> None:
    for what, table in (("rows", rows), ("side", sides)):
        print(f"{what:>10}{'read s':>9}{'start s':>9}{'images/s':>10}{'s an epoch':>12}{'peak MB':>9}")
        for row in table:
            parts = f"{row[what]:10,.0f}{row['read']:9.2f}{row['start']:9.2f}{row['images_per_second']:10,.0f}"
            print(f"{parts}{row['epoch']:12.1f}{row['mb']:9,.0f}")
    per_million = "a million rows: read {read:.2f} s, start {start:.2f} s, an epoch {epoch:.0f} s, {mb:,.0f} MB"
    print(per_million.format(**lines["rows"]))
    print(
        "an image's time grows with its pixels to the power of {power:.2f}; {mb:.2f} MB a MB of pixels".format(
            **lines["sides"]
        )
    )


def draw(rows: Sequence[Row], sides: Sequence[Row], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.2), layout="constrained")
    count, pixels = [row["rows"] for row in rows], [row["side"] ** 2 for row in sides]
    before = [row["read"] + row["start"] for row in rows]
    panels = (
        (axes[0], count, before, "rows", "seconds until the first step"),
        (axes[1], count, [row["mb"] for row in rows], "rows", "peak memory, MB"),
        (axes[2], pixels, [1000 / row["images_per_second"] for row in sides], "pixels of an image", "ms an image"),
    )
    for axis, x, y, below, title in panels:
        axis.loglog(x, y, "o-", color="#1f77b4")
        axis.set(xlabel=below, title=title)
        axis.grid(which="major", alpha=0.3)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
