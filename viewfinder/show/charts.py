"""Charts about a dataset's targets: how many samples a class has, and which points are missing together.

Matplotlib is used through its objects alone; pyplot's global state is never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from viewfinder.data.dataset import Dataset
from viewfinder.data.findings import counted
from viewfinder.data.targets import BoxSets, Labels, PointSets

__all__ = ["box_counts", "charts", "label_counts", "missing_values"]

INK, QUIET, GRID, BLUE, ORANGE = "#1b2430", "#5c6773", "#e4e8ec", "#0072b2", "#c75a00"
MOST_CLASSES, MOST_PATTERNS = 60, 12
OVER = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
"""Behind words that a line may cross."""


def charts(dataset: Dataset) -> dict[str, Figure]:
    """Return the charts that fit a dataset's targets, by name: "counts" or "missing"."""
    return {name: draw(dataset) for name, draw in CHARTS.get(type(dataset.targets), {}).items() if dataset.names}


def label_counts(dataset: Dataset) -> Figure:
    """Draw how many samples each class has; of more than 60 classes the most frequent ones."""
    return _counts_of(dataset, np.asarray(dataset.labelled().array()), "Samples")


def box_counts(dataset: Dataset) -> Figure:
    """Draw how many boxes each class has; of more than 60 classes the most frequent ones."""
    return _counts_of(dataset, dataset.labelled().array()[:, 1].astype(np.int64), "Boxes")


def _counts_of(dataset: Dataset, ids: NDArray[np.int64], things: str) -> Figure:
    counts = np.bincount(ids, minlength=len(dataset.names))
    shown = np.sort(np.argsort(-counts, kind="stable")[:MOST_CLASSES])
    height = 0.9 + 0.26 * len(shown)
    figure, axes = _figure(6.4, height)
    places = np.arange(len(shown))
    axes.barh(places, counts[shown], height=0.66, color=BLUE)
    axes.set_yticks(places, [_short(dataset.names[i]) for i in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    for place, count in zip(places.tolist(), counts[shown].tolist(), strict=True):
        share = f"{count:,}  ({100 * count / max(1, len(ids)):.1f} %)"
        axes.text(count + 0.01 * counts.max(), place, share, va="center", color=INK, fontsize=8.5, bbox=OVER)
    axes.set_xlim(0, 1.22 * max(1, counts.max()))
    axes.axvline(len(ids) / len(counts), color=ORANGE, linewidth=1.2, linestyle=(0, (4, 2)))
    axes.text(len(ids) / len(counts), -0.7, "if all were equal", color=ORANGE, fontsize=8, ha="center", va="bottom")
    more = f", the {len(shown)} most frequent ones of {len(counts)} classes" if len(shown) < len(counts) else ""
    _titled(axes, f"{things} a class in {dataset.name}{more}")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.grid(True, color=GRID, linewidth=0.8)
    _texts(axes.get_yticklabels())
    return figure


def missing_values(dataset: Dataset) -> Figure:
    """Draw the share of samples that miss each point, and below it which points are there together."""
    missing = np.isnan(np.asarray(dataset.labelled().array())).any(axis=2)
    patterns, counts = _patterns(missing)
    wide = 2.6 + 0.36 * len(dataset.names)
    figure, above = _figure(wide, 3.6 + 0.3 * len(patterns))
    figure.delaxes(above)
    grid = figure.add_gridspec(2, 1, height_ratios=(1.7, 0.3 * len(patterns) + 0.3))
    above, below = (_styled(figure.add_subplot(grid[i])) for i in (0, 1))
    _shares(above, missing, f"Missing points in {dataset.name}")
    _combinations(below, patterns, counts, len(missing))
    below.set_xticks(range(len(dataset.names)), [_short(name) for name in dataset.names], rotation=90)
    _texts(below.get_xticklabels())
    return figure


CHARTS: dict[type, dict[str, Callable[[Dataset], Figure]]] = {
    Labels: {"counts": label_counts},
    PointSets: {"missing": missing_values},
    BoxSets: {"counts": box_counts},
}


def _patterns(missing: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return the most frequent rows and how often each is there."""
    rows, counts = np.unique(missing, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_PATTERNS]
    return rows[order], counts[order]


def _shares(axes: Axes, missing: NDArray[np.bool_], title: str) -> None:
    shares = 100 * np.asarray(missing.mean(axis=0))
    places = np.arange(len(shares))
    axes.bar(places, shares, width=0.66, color=ORANGE)
    for place, share in zip(places.tolist(), shares.tolist(), strict=True):
        axes.text(place, share + 1.5, f"{share:.1f}" if share else "0", ha="center", color=INK, fontsize=8)
    axes.set(xlim=(-0.6, len(shares) - 0.4), ylim=(0, max(10.0, 1.15 * shares.max())), ylabel="% of samples")
    axes.set_xticks([])
    axes.yaxis.grid(True, color=GRID, linewidth=0.8)
    _titled(axes, title)


def _combinations(axes: Axes, patterns: NDArray[np.bool_], counts: NDArray[np.int64], total: int) -> None:
    """Draw a row a pattern: filled where a point is annotated, a ring where it is missing."""
    lines = np.arange(len(patterns))
    for where, colour, fill in ((~patterns, BLUE, BLUE), (patterns, ORANGE, "none")):
        y, x = np.nonzero(where)
        axes.scatter(x, y, s=52, linewidth=1.2, edgecolor=colour, facecolor=fill)
    axes.set(xlim=(-0.6, patterns.shape[1] - 0.4), ylim=(len(patterns) - 0.4, -0.6))
    names = [f"{counted(count, 'sample')}, {100 * count / total:.1f} %" for count in counts.tolist()]
    axes.set_yticks(lines, names)
    axes.tick_params(length=0)
    axes.yaxis.grid(True, color=GRID, linewidth=0.8)
    axes.spines[["left", "bottom"]].set_visible(False)
    rest = total - int(counts.sum())
    more = f"; {rest:,} samples have other combinations" if rest else ""
    _titled(axes, f"● annotated   ○ missing, together in one sample{more}", QUIET, 8.5)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure((width, height), dpi=140, facecolor="white", layout="constrained")
    return figure, _styled(figure.add_subplot())


def _styled(axes: Axes) -> Axes:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    axes.tick_params(color=GRID, labelcolor=QUIET, labelsize=8.5)
    axes.yaxis.label.set(color=QUIET, fontsize=9)
    axes.set_axisbelow(True)
    return axes


def _titled(axes: Axes, title: str, colour: str = INK, size: float = 10) -> None:
    axes.set_title(title, loc="left", color=colour, fontsize=size, pad=14 if colour == INK else 6, parse_math=False)


def _texts(labels: Sequence[Text]) -> None:
    """Names come from outside: they are text, never formulas."""
    for label in labels:
        label.set(color=INK, parse_math=False)


def _short(name: str, longest: int = 24) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
