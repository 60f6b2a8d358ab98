"""Charts, each drawn for light and for dark pages. Lines differ in dash and marker, to be told apart without colours.

Matplotlib is used through its objects alone; pyplot's global state is never touched.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import NDArray

from viewfinder.evaluate.errors import Worst
from viewfinder.evaluate.history import Curves, History, Verdict
from viewfinder.tasks.base import Metric
from viewfinder.tasks.sections import Bars, Lines, Matrix

__all__ = ["DARK", "DRAW", "LIGHT", "Look", "Picture", "loss", "metric", "picture", "worst_sheet"]

DPI = 200
CURVES, WIDE = (4.6, 4.0), (9.6, 4.0)
"""Width and height of the training's curves in inches; a page shows 100 pixels an inch."""
TILE_SIDE, WORDS_HEIGHT = 0.94, 0.7
"""On the sheet of worst images: the longer side of a tile in widths of a column, the room for words below in inches."""
MANY = 8
"""From so many validations on, the scale of a metric leaves out the first quarter."""
NUMBERED = 30
"""Matrices of more classes than this show colours only."""


@dataclass(frozen=True)
class Look:
    """The colours of a page; blue and orange from Okabe and Ito's palette, safe for colour-blind people."""

    paper: str
    ink: str
    quiet: str
    grid: str
    blue: str
    orange: str
    green: str
    violet: str

    @property
    def cycle(self) -> list[tuple[str, Any, str]]:
        """(colour, dashes, marker) a line."""
        return [
            (self.blue, "-", "o"),
            (self.orange, (0, (5, 2)), "s"),
            (self.green, (0, (1, 1.5)), "^"),
            (self.violet, (0, (5, 2, 1, 2)), "D"),
            (self.blue, (0, (3, 3)), "v"),
            (self.orange, "-", "P"),
            (self.green, (0, (6, 2)), "X"),
            (self.violet, (0, (1, 1.5)), "*"),
        ]


LIGHT = Look("#ffffff", "#1b2430", "#5c6773", "#e4e8ec", "#0072b2", "#c75a00", "#00795a", "#8a4a9e")
DARK = Look("#1a2029", "#e8edf2", "#9aa7b4", "#2f3843", "#56b4e9", "#f0983a", "#3cc79c", "#c99add")


@dataclass(frozen=True)
class Picture:
    """A chart as PNG for light and dark pages; `wide` ones want a row of their own."""

    title: str
    about: str
    light: bytes
    dark: bytes
    width: int
    height: int
    wide: bool = False


def picture(title: str, about: str, draw: Callable[[Look], Figure]) -> Picture:
    """Return what `draw` draws, in both looks."""
    light, dark = draw(LIGHT), draw(DARK)
    width, height = (round(100 * side) for side in light.get_size_inches())
    return Picture(title, about, _png(light), _png(dark), width, height, width > 500)


def bars(section: Bars, look: Look) -> Figure:
    """Draw a number a name, as horizontal bars."""
    values = np.asarray(section.values, dtype=float)
    figure, axes = _figure(look, 4.6, 0.9 + 0.27 * len(values))
    places = np.arange(len(values))
    known = np.nan_to_num(values)
    axes.barh(places, known, height=0.62, color=look.blue)
    axes.set_yticks(places, [_short(name) for name in section.names])
    _named(axes.get_yticklabels(), look)
    axes.invert_yaxis()
    percent = section.unit == "%"
    span = max(known.max(initial=0), -known.min(initial=0)) or 1.0
    for place, value in enumerate(values):
        label = "unknown" if np.isnan(value) else f"{100 * value:.1f}" if percent else _amount(value)
        axes.text(
            max(0.0, np.nan_to_num(value)) + 0.015 * span, place, label, va="center", color=look.ink, fontsize=8.5
        )
    axes.set_xlim(min(0.0, 1.1 * known.min(initial=0)), 1.16 * span)
    axes.set_xlabel(section.unit)
    axes.xaxis.set_major_formatter(lambda x, _: f"{100 * x:g}" if percent else f"{x:,g}")
    axes.xaxis.grid(True, color=look.grid, linewidth=0.8)
    axes.tick_params(axis="y", length=0)
    return figure


def matrix(section: Matrix, look: Look) -> Figure:
    """Draw counts as coloured cells: what is right in calm blue, what is wrong in orange by its own scale."""
    counts = np.asarray(section.counts, dtype=float)
    size = len(counts)
    side = 4.6 if size <= 12 else min(9.4, 1.6 + 0.3 * size)
    figure, axes = _figure(look, side, side)
    axes.imshow(_cell_colours(counts, look), interpolation="nearest")
    step = max(1, -(-size // 50))
    shown = np.arange(0, size, step)
    names = [_short(section.names[i]) for i in shown]
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xticks(shown, names, rotation=0 if max(map(len, names)) <= 3 else 90)
    axes.set_yticks(shown, names)
    _named([*axes.get_xticklabels(), *axes.get_yticklabels()], look)
    axes.set(xlabel="predicted", ylabel="true")
    axes.tick_params(length=0)
    if size <= NUMBERED:
        _number_cells(axes, counts, look)
    edges = np.arange(size + 1) - 0.5
    axes.hlines(edges, -0.5, size - 0.5, color=look.grid, linewidth=0.6)
    axes.vlines(edges, -0.5, size - 0.5, color=look.grid, linewidth=0.6)
    return figure


def lines(section: Lines, look: Look) -> Figure:
    """Draw curves over a common axis."""
    figure, axes = _figure(look, 4.6, 4.2 if section.diagonal else 3.3)
    for (name, (x, y)), (colour, dashes, marker) in zip(section.curves.items(), _endless(look), strict=False):
        few = len(x) <= 25
        axes.plot(x, y, color=colour, linestyle=dashes, marker=marker if few else None, markersize=4, label=name)
    if section.diagonal:
        low, high = _common_range(section)
        axes.plot([low, high], [low, high], color=look.quiet, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
    if section.mark is not None:
        axes.axvline(section.mark, color=look.quiet, linewidth=1, linestyle=(0, (1, 2)), zorder=1)
    axes.set(xlabel=section.x_label, ylabel=section.y_label)
    axes.grid(True, color=look.grid, linewidth=0.8)
    if len(section.curves) > 1:
        _legend(axes, look)
    return figure


DRAW: dict[type, Callable[[Any, Look], Figure]] = {Bars: bars, Matrix: matrix, Lines: lines}


def loss(history: History, verdict: Verdict, look: Look) -> Figure:
    """Draw training and validation loss, hatched between where they drift apart; below, the learning rate.

    What the loss is made of has panels of its own beside the total, each with its own scale.
    """
    figure = _blank(look, *(WIDE if history.parts else CURVES))
    figure.set_layout_engine("constrained", wspace=0.04)
    grid = figure.add_gridspec(2, 1 + len(history.parts), height_ratios=(3.4, 1))
    rated = len(history.step_rate) > 1
    axes = _axes(figure, look, grid[0, 0] if rated else grid[:, 0])
    _losses(axes, history, Curves(history.train, history.val, history.step_loss), look)
    if rated:
        below = _axes(figure, look, grid[1, 0])
        below.sharex(axes)
        axes.tick_params(labelbottom=False)
        axes.set_xlabel("")
        _rate(below, history, look)
    if verdict.overfits:
        after = history.epochs >= history.epochs[int(history.val.argmin())]
        gap = (history.epochs[after], history.train[after], history.val[after])
        axes.fill_between(*gap, facecolor="none", edgecolor=look.orange, hatch="////", linewidth=0, alpha=0.45)
    axes.set_ylabel("total loss" if history.parts else "loss")
    _legend(axes, look)
    for column, (name, curves) in enumerate(history.parts.items(), 1):
        axes = _axes(figure, look, grid[:, column])
        _losses(axes, history, curves, look)
        axes.set_ylabel(f"{name} loss")
    return figure


def left_out(validations: int) -> int:
    """Return of how many first validations, in which little is learnt yet, a metric may lie beyond the scale."""
    return validations // 4 if validations >= MANY else 0


def metric(history: History, measured: Metric, look: Look) -> Figure:
    """Draw a metric of the validation samples; of many the scale leaves out the first ones: see `left_out`."""
    figure, axes = _figure(look, *CURVES)
    values = history.metrics[measured.name] * (100 if measured.unit == "%" else 1)
    axes.plot(history.epochs, values, color=look.orange, **_marked(history))
    late = values[left_out(len(values)) :]
    late = late if np.isfinite(late).any() else values
    low, high = float(np.nanmin(late)), float(np.nanmax(late))
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    axes.set(xlim=(0, None), ylim=(low - margin, high + margin))
    _mark_best(axes, history, look)
    axes.set(xlabel="epoch", ylabel=measured.unit)
    axes.grid(True, color=look.grid, linewidth=0.8)
    return figure


def worst_sheet(worst: Sequence[Worst], measured: Metric) -> bytes:
    """Return a PNG of the worst images, worst first: six a row, or four where they are large."""
    most, side = (4, 3.15) if any(one.large for one in worst) else (6, 2.1)
    columns = min(most, len(worst))
    words = WORDS_HEIGHT / side
    rows = [worst[first : first + columns] for first in range(0, len(worst), columns)]
    ends = np.cumsum([0.2, *(max(map(_height, row)) + words for row in rows)])
    width, height = columns, float(ends[-1])
    figure = Figure((side * width, side * height), dpi=110, facecolor=LIGHT.paper)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0), aspect="equal")
    axes.axis("off")
    said, true = worst[0].prediction.marks
    legend = f". {true.capitalize()}: truth, {said}: prediction" if said else ""
    head = f"Worst first, by {measured.name}{legend}"
    axes.text(width / 2, 0.12, head, ha="center", va="center", fontsize=9, color=LIGHT.quiet)
    for row, end in zip(rows, ends[1:].tolist(), strict=True):
        for column, one in enumerate(row):
            _place(axes, one, measured, column, end - words + 0.03)
    axes.set(xlim=(0, width), ylim=(height, 0))
    return _png(figure)


def _height(one: Worst) -> float:
    return float(TILE_SIDE * one.tile.shape[0] / max(one.tile.shape))


def _place(axes: Axes, one: Worst, measured: Metric, x: float, low: float) -> None:
    """Put a tile into the column at x so that it ends at y = low, and words below it."""
    tall, wide = _height(one), TILE_SIDE * one.tile.shape[1] / max(one.tile.shape)
    left = x + (1 - wide) / 2
    axes.imshow(one.tile, extent=(left, left + wide, low, low - tall))
    said, differs = one.prediction.text(), one.prediction.differences(one.target)
    words = [f"{_short(said, 26)}, truly {_short(one.target.text())}"] * bool(said and not differs)
    words += [_short(differs, 46) or f"{measured.name} {measured.text(one.error)}", _short(one.where, 34)]
    style: dict[str, Any] = {"fontsize": 7.5, "color": LIGHT.ink, "linespacing": 1.4, "parse_math": False}
    axes.text(x + 0.5, low + 0.03, "\n".join(words), ha="center", va="top", **style)


def _blank(look: Look, width: float, height: float) -> Figure:
    return Figure((width, height), dpi=DPI, facecolor=look.paper, layout="constrained")


def _figure(look: Look, width: float, height: float) -> tuple[Figure, Axes]:
    figure = _blank(look, width, height)
    return figure, _axes(figure, look, figure.add_gridspec(1, 1)[0])


def _axes(figure: Figure, look: Look, where: SubplotSpec) -> Axes:
    axes = figure.add_subplot(where, facecolor=look.paper)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(look.grid)
    axes.tick_params(color=look.grid, labelcolor=look.quiet, labelsize=9)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=look.quiet, fontsize=9.5, parse_math=False)
    axes.set_axisbelow(True)
    return axes


def _named(labels: Iterable[Text], look: Look) -> None:
    """Names come from outside: they are text, never formulas."""
    for label in labels:
        label.set(color=look.ink, parse_math=False)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # shown as a box
        FigureCanvasAgg(figure).print_figure(file, format="png")
    return file.getvalue()


def _legend(axes: Axes, look: Look) -> None:
    axes.grid(True, which="major", color=look.grid, linewidth=0.8)
    legend = axes.legend(frameon=False, fontsize=9, handlelength=2.6)
    _named(legend.get_texts(), look)


def _losses(axes: Axes, history: History, curves: Curves, look: Look) -> None:
    axes.plot(history.step_epochs, curves.steps, ".", color=look.blue, markersize=2.5, alpha=0.3)
    trained: dict[str, Any] = {"linestyle": (0, (5, 2)), "label": "training", **_marked(history, "s")}
    axes.plot(history.epochs, curves.train, color=look.blue, **trained)
    if len(curves.val):
        axes.plot(history.epochs, curves.val, color=look.orange, label="validation", **_marked(history))
    _mark_best(axes, history, look)
    both = np.concatenate([curves.train, curves.val])
    _loss_scale(axes, both if len(curves.train) > 1 else np.concatenate([both, curves.steps]))
    axes.set(xlim=(0, None), xlabel="epoch")
    axes.grid(True, color=look.grid, linewidth=0.8)


def _rate(axes: Axes, history: History, look: Look) -> None:
    axes.plot(history.step_epochs, history.step_rate, color=look.green)
    axes.set(xlabel="epoch", ylabel="learning\nrate")
    axes.set_ylim(0, 1.15 * float(history.step_rate.max()))
    axes.grid(True, color=look.grid, linewidth=0.8)


def _loss_scale(axes: Axes, values: NDArray[np.float64]) -> None:
    """Use a logarithmic scale where losses fall to less than a tenth."""
    values = values[np.isfinite(values)]
    if not len(values) or values.min() <= 0 or values.max() < 10 * values.min():
        return
    axes.set_yscale("log")
    axes.set_ylim(0.7 * values.min(), 1.4 * values.max())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if values.max() < 300 * values.min() else (1,)))
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def _marked(history: History, marker: str = "o") -> dict[str, Any]:
    return {"marker": marker, "markersize": 3.2} if len(history.epochs) <= 40 else {}


def _mark_best(axes: Axes, history: History, look: Look) -> None:
    if history.best is None:
        return
    axes.axvline(history.best, color=look.quiet, linewidth=1, linestyle=(0, (1, 2)), zorder=1)
    where = axes.get_xaxis_transform()
    axes.text(history.best, 1.01, "best", transform=where, ha="center", va="bottom", color=look.quiet, fontsize=8.5)


def _cell_colours(counts: NDArray[Any], look: Look) -> NDArray[Any]:
    right = np.eye(len(counts), dtype=bool)
    share = np.where(right, 0.3 * (counts > 0), 0.0)
    wrong = np.where(right, 0.0, counts)
    share = np.where(right, share, 0.15 * (wrong > 0) + 0.75 * wrong / max(4.0, wrong.max()))
    blue, orange = (LinearSegmentedColormap.from_list("", [look.paper, colour]) for colour in (look.blue, look.orange))
    return np.where(right[..., None], blue(share), orange(share))[..., :3]


def _number_cells(axes: Axes, counts: NDArray[Any], look: Look) -> None:
    strongest = max(4.0, (counts * (1 - np.eye(len(counts)))).max())
    for row, column in np.argwhere(counts > 0):
        strong = row != column and counts[row, column] > 0.75 * strongest
        colour = look.paper if strong else look.ink
        axes.text(column, row, f"{counts[row, column]:.0f}", ha="center", va="center", color=colour, fontsize=8)


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def _common_range(section: Lines) -> tuple[float, float]:
    every = np.concatenate([values for curve in section.curves.values() for values in curve])
    return float(np.nanmin(every)), float(np.nanmax(every))


def _endless(look: Look) -> list[tuple[str, Any, str]]:
    return look.cycle * 4


def _short(name: str, longest: int = 22) -> str:
    return name if len(name) <= longest else f"{name[: longest // 2]}…{name[-(longest // 2 - 1) :]}"
