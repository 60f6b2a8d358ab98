"""Writes the README's table of what is measured from the files in `results/`.

    python benchmarks/table.py            # writes it
    python benchmarks/table.py --check    # exit 1 where the README says something else

Each kind of processor has a column; what was not measured there is blank. A test holds the README to the results.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
START, END = "<!-- measured: made by benchmarks/table.py -->\n", "<!-- end of measured -->\n"
COLUMNS = {
    "amx": "AVX-512 with AMX", "bfloat16": "AVX-512 with bfloat16", "avx512": "AVX-512", "avx2": "AVX2 alone",
    "nvidia-h200": "NVIDIA H200",
}  # fmt: skip
"""By the results' folder; a folder of another name is called by it."""
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
    kinds = sorted((path.name for path in (HERE / "results").iterdir() if path.is_dir()), key=place)
    heads = [COLUMNS.get(kind, kind) + measured_on(HERE / "results" / kind) for kind in kinds]
    lines = [f"| what | {' | '.join(heads)} |", "|---|" + "---|" * len(kinds)]
    for name, rows in ROWS.items():
        said = {kind: told(rows, result) if (result := read(kind, name)) else {} for kind in kinds}
        labels = dict.fromkeys(label for one in said.values() for label in one)
        for label in labels:
            cells = [cell(said[kind].get(label), f"benchmarks/results/{kind}/{name}.json") for kind in kinds]
            lines.append(f"| {' | '.join([label, *cells])} |")
    return "\n".join(lines) + "\n"


def measured_on(folder: Path) -> str:
    """Return the days of a column's results, as they stand behind its name."""
    every = sorted(
        {str(json.loads(path.read_text(encoding="utf-8")).get("date", "")) for path in folder.glob("*.json")}
    )
    days = [day for day in every if day]
    return f", {' to '.join(dict.fromkeys([days[0], days[-1]]))}" if days else ""


def place(kind: str) -> tuple[int, str]:
    return (list(COLUMNS).index(kind) if kind in COLUMNS else len(COLUMNS), kind)


def told(rows: Callable[[dict[str, Any]], list[Row]], result: dict[str, Any]) -> dict[str, str]:
    """Return what a result says, by row; what was measured before a change that counts says so."""
    every = rows(result)
    assert len(dict(every)) == len(every), f"two rows of one name: {[label for label, _ in every]}"
    return {label: measured + since(result.get("before", {}), label) for label, measured in every}


def since(before: str | dict[str, str], label: str) -> str:
    """Return the changes that came after a row: those of the whole result, or those whose key is in the row's label."""
    changes = before if isinstance(before, dict) else {"": before}
    return "".join(f"; before {change}" for part, change in changes.items() if part in label)


def cell(measured: str | None, file: str) -> str:
    return f"[{measured}]({file})" if measured else ""


def read(kind: str, name: str) -> dict[str, Any] | None:
    path = HERE / "results" / kind / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def trained(result: dict[str, Any]) -> list[Row]:
    known = {"digits": accuracy, "keypoints": error_in_pixels, "detect": precision}
    every = sorted(result["trainings"], key=lambda one: (list(known).index(one["recipe"]), one["set"], one["minutes"]))
    return [known[one["recipe"]](one) for one in every]


def accuracy(one: dict[str, Any]) -> Row:
    return trained_row(one, f"{100 * one['metrics']['accuracy']:.2f} %")


def error_in_pixels(one: dict[str, Any]) -> Row:
    return trained_row(one, f"{one['metrics']['rmse']:.2f} px RMSE")


def precision(one: dict[str, Any]) -> Row:
    return trained_row(one, f"AP {one['metrics']['ap']:.3f}, AP50 {one['metrics']['ap50']:.3f}")


def trained_row(one: dict[str, Any], reached: str) -> Row:
    merged = f" as one class, {one['size']} pixels, answered at {one['answered_at']}" if one["merged"] else ""
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


def until_accuracy(result: dict[str, Any]) -> list[Row]:
    rows = []
    for level, one in result["summary"].items():
        if level.endswith("%") and one["median"].get("ours") and (one["ratio"] or one["more_than"]):
            ratio = f"{one['ratio']:.0f} ×" if one["ratio"] else f"more than {one['more_than']:.0f} ×"
            seconds = f"{one['median']['ours']:.0f} s of one core"
            ours, theirs = (len(one["seconds"][way]) for way in ("ours", "seed-digits"))
            what = f"`digits` until it stays at {level}; seeds: {ours} of ours, {theirs} of theirs"
            rows.append((what, f"{seconds}; the classic recipe in Keras {ratio}"))
    return rows


def until_rmse(result: dict[str, Any]) -> list[Row]:
    rows, cut = [], result["summary"]["not_to_the_end"]
    for system, seeds in result["summary"].items():
        for seed, one in [] if system == "not_to_the_end" else seeds.items():
            if f"{system} seed {seed}" not in cut and one["ratio"] and one["ours_at_their_end"]:
                soon = f"{one['best']:.2f} px: {one['ours_there_at']:.0f} s of one core, {one['ratio']:.0f} × as soon"
                at_end = f"{one['ours_at_their_end']:.2f} px after as long as it takes"
                rows.append((f"`keypoints` until the best of `{system}` in Keras, seed {seed}", f"{soon}; {at_end}"))
    return rows


def step(result: dict[str, Any]) -> list[Row]:
    return [
        (
            f"steps of `{one['system']}` {'with' if one['augmented'] else 'without'} augmentation"
            f", {one['threads']} thread{'s' * (one['threads'] != 1)}",
            f"{one['ours']['wall']:.0f} images a second, {one['ratio_wall']:.2f} × Keras"
            f" (by processor time {one['ratio_cpu']:.2f} ×)",
        )
        for one in result["images_a_second"]
        if one["threads"] == 2
    ]


def augment(result: dict[str, Any]) -> list[Row]:
    rows = []
    for case, ways in result["images_per_second"].items():
        others = {way: speed for way, speed in ways.items() if way != "viewfinder" and speed}
        best = max(others, key=lambda way: others[way])
        ratio = ways["viewfinder"] / others[best]
        rows.append(
            (f"varying images of {case}", f"{ways['viewfinder']:,.0f} a second, {ratio:.1f} × {best}, the next")
        )
    return rows


def open_folder(result: dict[str, Any]) -> list[Row]:
    ways = result["median"]
    first, again = (
        ways["OpenCV loop"]["seconds"] / ways[f"viewfinder, {when}"]["seconds"] for when in ("first", "again")
    )
    return [(f"reading {result['photos']} beside an OpenCV loop", f"{first:.1f} × as fast, again {again:.0f} ×")]


def waiting(result: dict[str, Any]) -> list[Row]:
    worst = max(result["recipes"], key=lambda one: one["waited"])
    what = f"waiting for data, the longest of {len(result['recipes'])} recipes on two cores"
    return [(what, f"{100 * worst['waited']:.1f} % of the time (`{worst['recipe']}`)")]


def processes(result: dict[str, Any]) -> list[Row]:
    rows = []
    for one in result["compared"]:
        if one["way"].endswith("processes") and one["precision"] == "float64":
            what = f"losses of `{one['recipe']}` in {one['way']} beside one, float64"
            rows.append((what, f"apart by {max(one['apart'].values()):.0e} of themselves in {one['steps']} steps"))
    return rows


def gpu(result: dict[str, Any]) -> list[Row]:
    rows, plain = [], f"a plain PyTorch loop with a DataLoader of {result['workers']} workers"
    for recipe, ways in result["images_a_second"].items():
        said = f"{ways['recorded']:,} images a second"
        if "DataLoader" in ways:
            said += f", {ways['recorded'] / ways['DataLoader']:.1f} × {plain}, which waits for its host"
        rows.append((f"`{recipe}` while it trains on a GPU", said))
    until = result["until"] or {"seconds": {}, "trainings": []}
    started = {(one["seed"], one["seconds"]): one["with_start"] for one in until["trainings"]}
    for level, seconds in until["seconds"].items():
        middle = median(math.inf if one is None else one for one in seconds)
        whole = median(started.get((seed, one), math.inf) for seed, one in enumerate(seconds))
        what = f"`digits` until it stays at {level} %, on a GPU, the median of {len(seconds)} seeds"
        rows.append((what, f"{middle:.1f} s, with its start {whole:.1f} s" if whole < math.inf else "never"))
    return rows


def scale(result: dict[str, Any]) -> list[Row]:
    line = result["lines"]["rows"]
    each = f"{line['mb']:,.0f} MB, {line['read'] + line['start']:.0f} s to read and start"
    return [("a million rows of 28×28 more, of which the pixels are 784 MB", each)]


def large(result: dict[str, Any]) -> list[Row]:
    size, run = result["sets"]["files"]["pixels_gb"], result["runs"]["files, first"]
    memory = max(one["peak_gb"] for one in result["runs"].values())
    return [
        (f"training on {size:.0f} GB of pixels", f"{memory:.1f} GB, begins with {100 * run['read_by_then']:.1f} % read")
    ]


ROWS: dict[str, Callable[[dict[str, Any]], list[Row]]] = {
    "trained": trained,
    "five_fold": five_fold,
    "time_to_accuracy_digits": until_accuracy,
    "time_to_accuracy_keypoints": until_rmse,
    "step": step,
    "augment": augment,
    "waiting": waiting,
    "infer": infer,
    "read_csv": read_csv,
    "open_folder": open_folder,
    "predict": predict,
    "processes": processes,
    "gpu": gpu,
    "scale": scale,
    "large": large,
}
"""By the results' name, in the order of the table."""


if __name__ == "__main__":
    main()
