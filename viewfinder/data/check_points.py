"""Findings about points: missing, outside, contradicting each other, swapped, far from where all others have them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.findings import Finding, counted
from viewfinder.data.shapes import FAR, Shapes
from viewfinder.data.survey import Part

__all__ = [
    "conflicting_points",
    "empty_columns",
    "missing_values",
    "point_range",
    "points_outside",
    "samples_without_points",
    "suspicious_points",
    "swapped_sides",
]

SAME_PLACE = 0.05
"""Share of the image's longer side within which two people's annotations of one point agree."""


def missing_values(part: Part) -> Iterator[Finding]:
    """Count the missing points by name."""
    missing = _missing(part)
    counts, total = missing.sum(axis=0), len(missing)
    pairs = zip(part.dataset.names, counts.tolist(), strict=True)
    where = tuple(f"{name}: {count:,} ({100 * count / total:.1f} %)" for name, count in pairs if count)
    if where:
        rows = counted(int(missing.any(axis=1).sum()), "sample")
        message = f"{rows} of {total:,} miss points; of each point, {_span(counts / total)} is missing"
        advice = "Missing points are normal: the loss counts what is annotated. `viewfinder show` draws them."
        yield Finding("missing-values", "info", message, where, advice)


def empty_columns(part: Part) -> Iterator[Finding]:
    """Find points that nobody annotated."""
    pairs = zip(part.dataset.names, np.asarray(_missing(part).all(axis=0)), strict=True)
    never = tuple(name for name, empty in pairs if empty)
    if never:
        message = f"{counted(len(never), 'point')} of {len(part.dataset.names)} annotated in no sample"
        yield Finding("empty-columns", "error", message, never, "Annotate them, or remove their columns.")


def samples_without_points(part: Part) -> Iterator[Finding]:
    """Find samples that nobody annotated."""
    rows = np.flatnonzero(_missing(part).all(axis=1))
    if len(rows):
        message = f"{counted(len(rows), 'sample')} without a single point"
        advice = "Delete them if something should be there: training learns nothing from them."
        yield Finding("samples-without-points", "warning", message, part.wheres(rows), advice)


def _span(shares: NDArray[np.float64]) -> str:
    low, high = 100 * shares.min(), 100 * shares.max()
    return f"{high:.1f} %" if high - low < 0.05 else f"{low:.1f} to {high:.1f} %"


def point_range(part: Part) -> Iterator[Finding]:
    """Find coordinates that are no pixels: infinite ones, and sets that were scaled to 0 to 1."""
    xy = _xy(part)
    infinite = np.flatnonzero(np.isinf(xy).any(axis=(1, 2)))
    if len(infinite):
        message = f"{counted(len(infinite), 'sample')} with infinite coordinates"
        yield Finding("value-range", "error", message, part.wheres(infinite), "Correct them, or leave them blank.")
    there = xy[np.isfinite(xy)]
    side = part.seen.sizes[:, :2].max(initial=0)
    if there.size and side > 8 and np.abs(there).max() <= 2:
        message = f"no coordinate is larger than {np.abs(there).max():.3g} in images of up to {side} pixels"
        advice = "Coordinates are pixels: multiply them by the image's width and height, or undo what scaled them."
        yield Finding("value-range", "error", message, advice=advice)


def points_outside(part: Part) -> Iterator[Finding]:
    """Find points outside their image."""
    xy, limits = _xy(part), part.seen.sizes[:, None, 1::-1]
    outside = ((xy < 0) | (xy > limits)).any(axis=2) & part.seen.readable[:, None] & np.isfinite(xy).all(axis=2)
    rows, points = np.nonzero(outside)
    if len(rows):
        names = part.dataset.names
        where = tuple(
            f"{part.where(row)}: {names[k]} ({xy[row, k, 0]:.1f}, {xy[row, k, 1]:.1f})"
            for row, k in zip(rows.tolist(), points.tolist(), strict=True)
        )
        message = f"{counted(len(rows), 'point')} of {counted(len(np.unique(rows)), 'sample')} outside the image"
        advice = "Look whether x and y, or two images, were mixed up; leave blank what cannot be seen."
        yield Finding("points-outside", "warning", message, where, advice)


def conflicting_points(part: Part) -> Iterator[Finding]:
    """Find equal images whose points differ."""
    xy, where = _xy(part), []
    for rows in part.repeated(part.exact):
        there = np.isfinite(xy[rows])
        highest, lowest = (np.where(there, xy[rows], end) for end in (-np.inf, np.inf))
        spread = (highest.max(axis=0) - lowest.min(axis=0)).max(axis=1)
        tolerance = SAME_PLACE * part.seen.sizes[rows[0], :2].max()
        names = [part.dataset.names[k] for k in np.flatnonzero(spread > tolerance)]
        if names:
            where.append(" = ".join(part.wheres(rows)) + ": " + ", ".join(names))
    if where:
        yield Finding(
            "conflicting-targets",
            "error",
            f"{counted(len(where), 'image')} with points at more than one place",
            tuple(where),
            "Decide which one is right, and delete the other copies.",
        )


def swapped_sides(part: Part) -> Iterator[Finding]:
    """Find samples whose left and right points were exchanged: they fit the usual shape better the other way round."""
    names = part.dataset.names
    pairs = Shapes.of(_shares(part)).swapped(names)
    if pairs:
        where = tuple(
            f"{part.where(row)}: " + ", ".join(f"{names[left]} ↔ {names[right]}" for left, right in found)
            for row, found in sorted(pairs.items())
        )
        yield Finding(
            "swapped-sides",
            "warning",
            f"{counted(len(where), 'sample')} with left and right the other way round",
            where,
            "Left and right are the person's own; exchange the points where they are wrong.",
        )


def suspicious_points(part: Part) -> Iterator[Finding]:
    """Find points far from where all other samples have them."""
    names = part.dataset.names
    strange = Shapes.of(_shares(part)).strange()
    if strange:
        where = tuple(f"{part.where(row)}: {names[point]} ({score:.0f} times)" for row, point, score in strange)
        yield Finding(
            "suspicious-points",
            "warning",
            f"{counted(len(where), 'sample')} with a point {FAR:.0f} or more times the usual spread off",
            where,
            "Look at them, the strangest first: a rare pose is fine, a slip of the mouse is not.",
        )


def _xy(part: Part) -> NDArray[np.float32]:
    return np.asarray(part.dataset.labelled().array())


def _missing(part: Part) -> NDArray[np.bool_]:
    """Return (N, K) which points are not annotated."""
    return np.asarray(np.isnan(_xy(part)).any(axis=2), dtype=bool)


def _shares(part: Part) -> NDArray[Any]:
    """Return points (N, K, 2) as shares of the image's longer side: pictures differ in size, shapes do not."""
    sides = np.maximum(part.seen.sizes[:, :2].max(axis=1), 1)
    return np.where(np.isfinite(_xy(part)), _xy(part) / sides[:, None, None], np.nan)
