"""Findings about images: what cannot be read, what shows nothing, what is there twice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.findings import Finding, counted
from viewfinder.data.survey import Part

__all__ = ["blank_images", "exact_duplicates", "images", "near_duplicates", "pixel_range", "similar_images"]

BLANK = 8
"""Images whose values differ by less than this show nothing: sensor noise and JPEG make a wall differ by more."""
DARK = 64
"""A set that uses less than this of 0 to 255 was scaled wrongly."""
MANY = 0.05
"""Share of images that look like another one from which a random split is too kind."""


def images(part: Part) -> Iterator[Finding]:
    """Count the images by size and colour."""
    sizes, counts = np.unique(part.seen.sizes[part.seen.readable], axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    where = [f"{counts[i]:,} of {_size(sizes[i])}" for i in order]
    if len(sizes) == 1:
        yield Finding("images", "info", f"all images are {_size(sizes[0])}")
    elif len(sizes) > 1:
        smallest, largest = sizes[sizes[:, :2].prod(axis=1).argsort(kind="stable")[[0, -1]]]
        message = f"images have {len(sizes)} sizes, from {_size(smallest)} to {_size(largest)}"
        yield Finding("images", "info", message, tuple(where), "Training fits each into the recipe's square.")


def _size(size: NDArray[np.int64]) -> str:
    height, width, channels = size.tolist()
    return f"{width}×{height} {'gray' if channels == 1 else 'RGB'}"


def unreadable_images(part: Part) -> Iterator[Finding]:
    """Find images that cannot be decoded."""
    why = part.seen.unreadable
    if why:
        where = tuple(f"{part.where(row)}: {why[row]}" for row in sorted(why))
        yield Finding(
            "unreadable-images",
            "error",
            f"{counted(len(why), 'image')} cannot be read",
            where,
            "Replace the files, or delete them together with their targets.",
        )


def blank_images(part: Part) -> Iterator[Finding]:
    """Find images of (nearly) a single value."""
    contrast = part.seen.highest.astype(int) - part.seen.lowest
    rows = np.flatnonzero(part.seen.readable & (contrast < BLANK))
    if len(rows):
        where = tuple(f"{part.where(row)}: all {_values(part, row)}" for row in rows.tolist())
        message = f"{counted(len(rows), 'image')} of a single shade"
        yield Finding("blank-images", "warning", message, where, "Delete them, or find out what went wrong with them.")


def _values(part: Part, row: int) -> str:
    low, high = part.seen.lowest[row], part.seen.highest[row]
    return str(low) if low == high else f"{low} to {high}"


def pixel_range(part: Part) -> Iterator[Finding]:
    """Find a whole set that was not scaled to 0 to 255."""
    highest = int(part.seen.highest.max(initial=0))
    if part.seen.readable.any() and BLANK <= highest < DARK:
        yield Finding(
            "pixel-range",
            "warning",
            f"no pixel of any image is brighter than {highest} of 255",
            advice="Multiply the values so that they fill 0 to 255; they may have been saved as 0 to 1 or 0 to 16.",
        )


def exact_duplicates(part: Part) -> Iterator[Finding]:
    """Find images that are equal in every pixel."""
    groups = part.repeated(part.exact)
    if groups:
        yield Finding(
            "exact-duplicates",
            "warning",
            f"{counted(sum(map(len, groups)), 'image')} in {counted(len(groups), 'group')} are equal in every pixel",
            tuple(" = ".join(part.wheres(rows)) for rows in groups),
            "Keep one of each: copies count twice, and on both sides of a split they falsify the validation.",
        )


def near_duplicates(part: Part) -> Iterator[Finding]:
    """Find pictures that were saved again: smaller, compressed, a little brighter."""
    groups = [rows for rows in part.repeated(part.near) if len(np.unique(part.exact[rows])) > 1]
    if groups:
        yield Finding(
            "near-duplicates",
            "warning",
            f"{counted(sum(map(len, groups)), 'image')} in {counted(len(groups), 'group')} are nearly equal",
            tuple(" ~ ".join(part.wheres(rows)) for rows in groups),
            "They may be one picture, saved twice: keep one of each, or train with --set data.similar=true.",
        )


def similar_images(part: Part) -> Iterator[Finding]:
    """Find images that look alike."""
    groups = [] if part.similar is None else part.repeated(part.similar)
    groups = [rows for rows in groups if len(np.unique(part.near[rows])) > 1]
    count = sum(map(len, groups))
    if groups:
        yield Finding(
            "similar-images",
            "warning" if count >= MANY * len(part.dataset) else "info",
            f"{counted(count, 'image')} in {counted(len(groups), 'group')} look alike",
            tuple(" ~ ".join(part.wheres(rows)) for rows in groups),
            "They may be of one occasion: --set data.similar=true keeps them on one side, or validation is too kind.",
        )
