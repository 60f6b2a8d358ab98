"""What the trainings of time_to_accuracy.py say together: seconds until an accuracy, tables and a picture.

A training is a dictionary with its "way", "seed" and "points": (processor seconds, accuracy in percent or RMSE in
pixels). "ours" has one point a training, and its curve goes through the trainings of one seed.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from viewfinder.evaluate.plots import LIGHT

DIGITS, KEYPOINTS = "digits", "keypoints"
LEVELS = (99.0, 99.3, 99.5)
HEIGHTS = {DIGITS: "wrong, % of the validation rows", KEYPOINTS: "RMSE, pixels"}
TICKS = {DIGITS: [0.3, 0.5, 0.7, 1, 2, 5, 10, 20], KEYPOINTS: [1.4, 1.6, 2, 3, 4, 6, 10]}
NEVER = float("inf")
Point = tuple[float, float]
Curve = list[Point]
Curves = dict[str, dict[int, Curve]]


def curves(trainings: list[dict[str, Any]]) -> Curves:
    """Return by way and seed the curve: points in order of time."""
    found: Curves = {}
    for one in trainings:
        found.setdefault(one["way"], {}).setdefault(one["seed"], []).extend(
            (cpu, value) for cpu, value in one["points"]
        )
    return {way: {seed: sorted(curve) for seed, curve in seeds.items()} for way, seeds in found.items()}


def seconds_until(curve: Curve, level: float, higher: bool) -> float:
    """Return when a curve reaches a level for good; infinite where it does not."""
    since = NEVER
    for seconds, value in curve:
        good = value >= level if higher else value <= level
        since = min(since, seconds) if good else NEVER
    return since


def summary(what: str, trainings: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the tables show; null is "never"."""
    cut = [f"{one['way']} seed {one['seed']}" for one in trainings if one["ended"] in ("", "minutes")]
    by_way = curves(trainings)
    found = until_levels(by_way) if what == DIGITS else beside_each(by_way)
    return {"not_to_the_end": cut, **found}


def until_levels(by_way: Curves) -> dict[str, Any]:
    """Return by level: seconds a way and seed, their medians, and the ratio of the medians.

    Where theirs never is there, "more_than" is the ratio of their whole training to our median.
    """
    found = {}
    ends = [curve[-1][0] for curve in by_way.get("seed-digits", {}).values() if curve]
    for level in LEVELS:
        seconds = {
            way: {seed: seconds_until(curve, level, True) for seed, curve in seeds.items()}
            for way, seeds in by_way.items()
        }
        middle = {way: median(each.values()) for way, each in seconds.items()}
        ours, theirs = middle.get("ours", NEVER), middle.get("seed-digits", NEVER)
        more_than = median(ends) / ours if ends and theirs == NEVER else NEVER
        found[f"{level:.1f} %"] = {
            "seconds": {way: {str(seed): finite(one) for seed, one in each.items()} for way, each in seconds.items()},
            "median": {way: finite(one) for way, one in middle.items()},
            "ratio": finite(theirs / ours) if ours < NEVER else None,
            "more_than": finite(more_than) if ours < NEVER else None,
        }
    return found


def beside_each(by_way: Curves) -> dict[str, Any]:
    """Return by described system and seed: its best RMSE, when, when ours is there, and ours when it ends."""
    found: dict[str, Any] = {}
    for way, seeds in by_way.items():
        for seed, curve in seeds.items():
            if way == "ours" or not curve or seed not in by_way.get("ours", {}):
                continue
            found.setdefault(way, {})[str(seed)] = beside(curve, by_way["ours"][seed])
    return found


def beside(theirs: Curve, ours: Curve) -> dict[str, float | None]:
    best, at = min((value, seconds) for seconds, value in theirs)
    reached, end = seconds_until(ours, best, False), theirs[-1][0]
    within = [value for seconds, value in ours if seconds <= end]
    return {
        "best": best,
        "best_at": at,
        "end_at": end,
        "ours_there_at": finite(reached),
        "ratio": finite(at / reached) if reached < NEVER else None,
        "ours_at_their_end": within[-1] if within else None,
        "part": within[-1] / best if within else None,
    }


def finite(value: float) -> float | None:
    return round(value, 2) if value < NEVER else None


def print_tables(what: str, found: dict[str, Any]) -> None:
    rows = {key: value for key, value in found.items() if key != "not_to_the_end"}
    if what == DIGITS:
        print(f"{'until':<10}{'ours':>12}{'seed-digits':>14}{'ratio':>10}   (seconds, median of seeds)")
        for level, one in rows.items():
            ours, theirs = (shown(one["median"].get(way)) for way in ("ours", "seed-digits"))
            ratio = f"> {shown(one['more_than'])}" if one["more_than"] else shown(one["ratio"])
            print(f"{level:<10}{ours:>12}{theirs:>14}{ratio:>9}×")
    else:
        print(
            f"{'':<22}{'seed':>5}{'best':>9}{'at':>9}{'ours at':>9}{'ratio':>8}{'ends':>9}{'ours then':>11}{'part':>7}"
        )
        for way, seeds in rows.items():
            for seed, one in seeds.items():
                times = [shown(one[key]) for key in ("best_at", "ours_there_at", "ratio", "end_at")]
                ends = [shown(one[key], 2) for key in ("ours_at_their_end", "part")]
                print(f"{way:<22}{seed:>5}{one['best']:>6.2f} px" + "".join(f"{time:>9}" for time in times[:2]), end="")
                print(f"{times[2]:>7}×{times[3]:>9}{ends[0]:>8} px{ends[1]:>7}")
    if found["not_to_the_end"]:
        print("not trained to the recipe's end:", ", ".join(found["not_to_the_end"]))


def shown(value: float | None, digits: int = 1) -> str:
    return "never" if value is None else f"{value:.{digits}f}"


def draw(what: str, trainings: list[dict[str, Any]], path: Path) -> None:
    """Draw every curve over the logarithm of time into a PNG."""
    figure = Figure(figsize=(8, 4.2), facecolor=LIGHT.paper, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for (way, seeds), (colour, dashes, marker) in zip(sorted(curves(trainings).items()), LIGHT.cycle, strict=False):
        label = "viewfinder, each point a training" if way == "ours" else f"{way} in Keras 3"
        for curve in seeds.values():
            heights = [max(100 - value, 0.01) if what == DIGITS else value for _, value in curve]
            seconds = [second for second, _ in curve]
            axes.plot(seconds, heights, linestyle=dashes, marker=marker, color=colour, label=label, lw=1.4, ms=3.5)
            label = ""
    axes.set(xscale="log", yscale="log", xlabel="processor seconds of training, on one core", ylabel=HEIGHTS[what])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_yticks(TICKS[what], [f"{tick:g}" for tick in TICKS[what]])
    axes.grid(color=LIGHT.grid)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"drawn to {path}")
