"""Writes the README's table of what is measured from the files in `results/`.

    python benchmarks/table.py            # writes it
    python benchmarks/table.py --check    # exit 1 where the README says something else

A row is left out where its results are not there. A test holds the README to them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
START, END = "<!-- measured: made by benchmarks/table.py -->\n", "<!-- end of measured -->\n"
Row = tuple[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    given = parser.parse_args()
    before = README.read_text(encoding="utf-8")
    head, _, rest = before.partition(START)
    after = head + START + table() + END + rest.partition(END)[2]
    if given.check and after != before:
        sys.exit("the README's table is not that of benchmarks/results: run benchmarks/table.py")
    if not given.check:
        README.write_text(after, encoding="utf-8")


def table() -> str:
    """Return the table as Markdown."""
    lines = ["| what | measured | where |", "|---|---|---|"]
    for name, rows in ROWS.items():
        path = HERE / "results" / f"{name}.json"
        if not path.is_file():
            continue
        said = rows(json.loads(path.read_text(encoding="utf-8")))
        where = f"[{name}](benchmarks/results/{path.name})"
        lines += [f"| {what} | {measured} | {where} |" for what, measured in said]
    return "\n".join(lines) + "\n"


def trained(result: dict[str, Any]) -> list[Row]:
    known = {"digits": accuracy, "keypoints": error_in_pixels, "detect": precision}
    every = sorted(result["trainings"], key=lambda one: (list(known).index(one["recipe"]), one["set"], one["minutes"]))
    return [known[one["recipe"]](one) for one in every]


def accuracy(one: dict[str, Any]) -> Row:
    return trained_row(one, f"{one['metrics']['accuracy']:.2%}".replace("%", " %"))


def error_in_pixels(one: dict[str, Any]) -> Row:
    return trained_row(one, f"{one['metrics']['rmse']:.2f} px RMSE")


def precision(one: dict[str, Any]) -> Row:
    return trained_row(one, f"AP {one['metrics']['ap']:.3f}, AP50 {one['metrics']['ap50']:.3f}")


def trained_row(one: dict[str, Any], reached: str) -> Row:
    merged = f" as one class, {one['size']}×{one['size']}" if one["merged"] else ""
    clock = f"{one['minutes']:g} minute{'s' * (one['minutes'] != 1)}"
    cores = f"{one['threads']} cores" if one["threads"] != 1 else "one core"
    return f"`{one['recipe']}` on {one['set']}{merged}, {clock} on {cores}, {one['kept_back']:,} kept back", reached


def five_fold(result: dict[str, Any]) -> list[Row]:
    sets, metrics = " and ".join(result["sources"]), result["metrics"]
    what = f"`{result['recipe']}` on {sets}, five fold, {result['minutes']:g} minutes each"
    return [(what, f"AP {metrics['ap']:.3f}, AP50 {metrics['ap50']:.3f}")]


def infer(result: dict[str, Any]) -> list[Row]:
    chosen = [row for row in result["ms_an_image"] if (row["threads"], row["batch"]) == (1, 1)]
    return [
        (
            f"an image through the file of `{row['recipe']}`, one thread",
            f"{row['float32']:.1f} ms, int8 {row['int8']:.1f} ms; PyTorch {row['pytorch'] / row['float32']:.1f} ×",
        )
        for row in chosen
    ]


def read_csv(result: dict[str, Any]) -> list[Row]:
    rows = []
    for name, ways in result["median"].items():
        ours, again, usual = ways["viewfinder, first"], ways["viewfinder, again"], ways["pandas"]
        times = f"{usual['seconds'] / ours['seconds']:.1f} × as fast, {ours['mb']:.0f} MB instead of {usual['mb']:.0f}"
        rows.append((f"reading {name} beside pandas", f"{times}; again in {again['seconds']:.2f} s"))
    return rows


def predict(result: dict[str, Any]) -> list[Row]:
    ways = result["median"]
    ratio = ways["viewfinder"]["photos_per_second"] / ways["plain loop"]["photos_per_second"]
    return [("`predict --table` on photos beside a plain loop", f"{ratio:.1f} × as many a second")]


ROWS: dict[str, Callable[[dict[str, Any]], list[Row]]] = {
    "trained": trained,
    "five_fold": five_fold,
    "infer": infer,
    "read_csv": read_csv,
    "predict": predict,
}
"""By the results' name, in the order of the table."""


if __name__ == "__main__":
    main()
