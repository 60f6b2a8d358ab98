"""Contact sheets: a look at the data with its targets, and at what augmentation makes of it.

picture = sheet(dataset, count=40, seed=42)                                        # (H, W, 3) uint8 RGB
picture = sheet(dataset, count=8, seed=42, augment=recipe.augment, data=recipe.data)
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from viewfinder.augment import TRAINING_ONLY
from viewfinder.config import Augment, Data
from viewfinder.data.answers import Answer
from viewfinder.data.dataset import Dataset
from viewfinder.data.findings import counted
from viewfinder.data.images import fit
from viewfinder.data.split import strata_of
from viewfinder.errors import DataError
from viewfinder.show.pictures import rendered

__all__ = ["VERSIONS", "sheet", "some_rows"]

VERSIONS = 6
"""Augmented versions beside each image."""
COLUMNS, TILE, LARGEST = 8, 176, 208
GAP, CAPTION, HEAD, LINE, DPI = 8, 30, 32, 15, 100
INK, QUIET, PAPER, MOUNT = "#1b2430", "#5c6773", 255, 240

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Tile:
    """A picture (H, W, 3) with its target drawn on it, what is said about it, and where it is from."""

    picture: Pixels
    text: str = ""
    where: str = ""


def sheet(dataset: Dataset, count: int, seed: int, augment: Augment | None = None, data: Data | None = None) -> Pixels:
    """Return a contact sheet (H, W, 3) uint8 RGB: images with their targets, and where each is from.

    Small images are enlarged by whole factors, so that pixels stay what they are; large ones are shrunk.

    Args:
        dataset: where samples are taken from; of each class as many, and of complete and incomplete points.
        count: how many at most; images that cannot be read are passed over.
        seed: decides which, and the augmentation.
        augment: show each image beside six augmented versions, targets moved along; nothing of others is laid in.
        data: with `augment`, the size and the channels that images are fitted to first; None: those of the first one.

    Raises:
        DataError: no image can be read.
    """
    rows, images = _readable(dataset, count, seed)
    if augment is None:
        tiles = _plain(dataset, rows, images)
        return _arranged(tiles, min(COLUMNS, len(tiles)), f"{_title(dataset)}, {len(tiles)} shown")
    tiles = _varied(dataset.select(rows), images, augment, data, seed)
    shown = _settings(augment.model_dump(exclude_defaults=True, exclude=set(TRAINING_ONLY)))
    training_only = _settings(augment.model_dump(exclude_defaults=True, include=set(TRAINING_ONLY)))
    about = f"left: as the network sees it; then {shown}" + (training_only and f"; in training also {training_only}")
    return _arranged(tiles, 1 + VERSIONS, _title(dataset), about)


def _settings(changed: dict[str, Any]) -> str:
    settings = {name: value for name, value in changed.items() if value}
    return ", ".join(f"{name} {value if isinstance(value, str) else f'{value:g}'}" for name, value in settings.items())


def some_rows(dataset: Dataset, seed: int) -> NDArray[np.int64]:
    """Return all rows (N,) in a random order in which every class comes first, every class comes second, and so on."""
    order = np.random.default_rng(seed).permutation(len(dataset))
    strata = strata_of(dataset)[order]
    by_stratum = np.argsort(strata, kind="stable")
    starts = np.searchsorted(strata[by_stratum], strata[by_stratum])
    turn = np.empty(len(order), dtype=np.int64)
    turn[by_stratum] = np.arange(len(order)) - starts
    return np.asarray(order[np.argsort(turn, kind="stable")], dtype=np.int64)


def _readable(dataset: Dataset, count: int, seed: int) -> tuple[NDArray[np.int64], list[Pixels]]:
    """Return rows that can be read, class by class, and their images."""
    found: dict[int, Pixels] = {}
    for row in some_rows(dataset, seed).tolist():
        if len(found) == count:
            break
        try:
            found[row] = dataset.images[row]
        except DataError:
            continue
    if not found:
        raise DataError("no image can be read", where=dataset.source, hint="run `viewfinder check` to see why")
    rows = np.array(list(found), dtype=np.int64)
    rows = rows[np.argsort(strata_of(dataset)[rows], kind="stable")]
    return rows, [found[row] for row in rows.tolist()]


def _plain(dataset: Dataset, rows: NDArray[np.int64], images: Sequence[Pixels]) -> list[Tile]:
    shown = dataset.select(rows)
    return [_tile(image, shown, i, shown.images.where(i)) for i, image in enumerate(images)]


def _varied(dataset: Dataset, images: Sequence[Pixels], augment: Augment, data: Data | None, seed: int) -> list[Tile]:
    from viewfinder.augment.geometry import compose, draw, draw_frames, warp_numpy
    from viewfinder.augment.pixels import draw_light, light_numpy

    size, channels = (data.size, data.channels) if data else (max(images[0].shape[:2]), images[0].shape[2])
    side = round(size * data.detail) if data else size
    generator = np.random.default_rng(seed)
    places = generator.spawn(1)[0]
    fitted = [fit(image, size, channels) for image in images]
    kept = [fit(image, side, channels) for image in images]
    still, large = (_moved(dataset, np.stack([one.matrix for one in every])) for every in (fitted, kept))
    copies = np.repeat(np.arange(len(fitted)), VERSIONS)
    moves = draw(augment, len(copies), size, generator)
    to_pixels = np.stack([one.matrix for one in kept])[copies]
    matrices = compose(draw_frames(augment, to_pixels, side, size, places), moves.matrices)
    each = zip(copies, matrices, strict=True)
    pixels = np.concatenate(
        [warp_numpy(kept[i].pixels[None], matrix[None], augment.border, size) for i, matrix in each]
    )
    pixels = light_numpy(pixels, augment, draw_light(augment, pixels.shape, generator))
    moved = _moved(large.select(copies), matrices, moves.mirrored)
    tiles = []
    for row, one in enumerate(fitted):
        tiles.append(_tile(one.pixels, still, row, dataset.images.where(row)))
        tiles += [_tile(pixels[i], moved, i) for i in range(row * VERSIONS, (row + 1) * VERSIONS)]
    return tiles


def _moved(dataset: Dataset, matrices: NDArray[np.float64], mirrored: NDArray[np.bool_] | None = None) -> Dataset:
    targets = dataset.targets
    mirrored = np.zeros(len(dataset), dtype=bool) if mirrored is None else mirrored
    return dataset if targets is None else replace(dataset, targets=targets.moved(matrices, mirrored, dataset.names))


def _tile(image: Pixels, dataset: Dataset, row: int, where: str = "") -> Tile:
    longest = max(image.shape[:2])
    factor = LARGEST / longest if longest > LARGEST else max(1, round(TILE / longest))
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    large = cv2.resize(image, (width, height), interpolation=method)
    rgb = np.asarray(cv2.cvtColor(large, cv2.COLOR_GRAY2RGB) if large.ndim == 2 else large, dtype=np.uint8)
    if dataset.targets is None:
        return Tile(rgb, "", where)
    answer: Answer = dataset.targets.one(row, dataset.names)
    # The strip of words below the picture is cut off: the caption says them in better type.
    picture = answer.scaled(factor).draw(rgb)[:height, :width]
    incomplete = "" if dataset.targets.complete()[row] else "incomplete"
    return Tile(picture, (answer.text() or incomplete) * bool(where), where)


def _title(dataset: Dataset) -> str:
    return f"{dataset.title}: {counted(len(dataset), 'sample')}"


def _arranged(tiles: Sequence[Tile], columns: int, title: str, about: str = "") -> Pixels:
    """Return tiles in a grid under a title, each on a mount of one size with its caption below."""
    height, width = (max(tile.picture.shape[axis] for tile in tiles) for axis in (0, 1))
    down, across, lines = height + CAPTION + GAP, width + GAP, -(-len(tiles) // columns)
    below = textwrap.wrap(about, columns * across // 7)
    head = HEAD + LINE * len(below) + (GAP if below else 0)
    canvas = np.full((head + lines * down + GAP, columns * across + GAP, 3), PAPER, dtype=np.uint8)
    words = [(GAP, GAP, title, INK, 11.0), *((GAP, HEAD + i * LINE, line, QUIET, 8.5) for i, line in enumerate(below))]
    for i, tile in enumerate(tiles):
        top, left = head + i // columns * down, GAP + i % columns * across
        canvas[top : top + height, left : left + width] = MOUNT
        h, w = tile.picture.shape[:2]
        y, x = top + (height - h) // 2, left + (width - w) // 2
        canvas[y : y + h, x : x + w] = tile.picture
        said = textwrap.shorten(tile.text, width // 7, placeholder=" …")
        first = [(left, top + height + 2, said, INK, 8.5)] * bool(tile.text)
        words += [*first, (left, top + height + (15 if first else 2), _short(tile.where, width * 10 // 56), QUIET, 7)]
    return _written(canvas, words)


def _written(canvas: Pixels, words: Sequence[tuple[int, int, str, str, float]]) -> Pixels:
    """Return a canvas with words (left, top, text, colour, size) on it."""
    height, width = canvas.shape[:2]
    figure = Figure((width / DPI, height / DPI), dpi=DPI)
    figure.figimage(canvas)
    for left, top, text, colour, size in words:
        place = {"x": left / width, "y": 1 - top / height, "va": "top"}
        figure.text(s=text, **place, color=colour, fontsize=size, parse_math=False)
    return rendered(figure)


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"…{text[1 - longest :]}"
