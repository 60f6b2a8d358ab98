"""Targets as columns: one object holds the targets of all samples.

Coordinates are pixels, x right, y down, continuous: pixel (row i, column j) covers [j, j+1) × [i, i+1),
so an image is [0, W] × [0, H] and mirroring is x → W − x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.boxes import areas, clipped, move_boxes

if TYPE_CHECKING:  # answers draw: reading data should not wait for OpenCV
    from viewfinder.data.answers import Answer, Boxes, Label, Points

__all__ = ["BoxSets", "Floats", "Integers", "Labels", "PointSets", "Targets", "flip_order", "move_points"]

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
_INT64 = np.dtype(np.int64)


class Targets(Protocol):
    """A column of targets, a row a sample."""

    def __len__(self) -> int: ...

    def select(self, rows: NDArray[Any]) -> Targets:
        """Return the targets of `rows` (integers or booleans), in that order."""
        ...

    def joined(self, other: Any) -> Targets:
        """Return these targets followed by `other`, a column of the same kind."""
        ...

    def moved(self, matrices: NDArray[Any], mirrored: NDArray[np.bool_], names: Sequence[str]) -> Targets:
        """Return the targets after each image was moved.

        Args:
            matrices: (N, 2, 3) affine maps from old to new pixels.
            mirrored: (N,) true where the map mirrors: left and right swap their names there.
            names: the dataset's names.
        """
        ...

    def within(self, sizes: NDArray[Any]) -> Targets:
        """Return what of the targets is inside images of these widths and heights (N, 2)."""
        ...

    def renamed(self, names: Sequence[str], new: Sequence[str]) -> Targets:
        """Return the same targets for a dataset whose names are `new` instead of `names`, all of which are in `new`."""
        ...

    def one(self, row: int, names: Sequence[str]) -> Answer:
        """Return the target of one sample, in the form that a prediction has."""
        ...

    def complete(self) -> NDArray[np.bool_]:
        """Return (N,) whether all of a sample's target is known."""
        ...

    def strata(self) -> NDArray[Any]:
        """Return (N,) numbers: samples with the same one are spread evenly over the parts of a split."""
        ...

    def array(self) -> NDArray[Any]:
        """Return the numbers as one array; a loss and a fingerprint start from it."""
        ...


@dataclass(frozen=True)
class Labels:
    """A class a sample: `ids` is (N,) int64, each an index into the dataset's names."""

    ids: Integers

    def __post_init__(self) -> None:
        if self.ids.ndim != 1 or self.ids.dtype != np.int64:
            raise ValueError(f"expected ids of shape (N,) and type int64, got {self.ids.shape} {self.ids.dtype}")

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, rows: NDArray[Any]) -> Labels:
        return Labels(self.ids[rows])

    def joined(self, other: Labels) -> Labels:
        return Labels(np.concatenate([self.ids, other.ids]))

    def moved(self, matrices: NDArray[Any], mirrored: NDArray[np.bool_], names: Sequence[str]) -> Labels:
        return self

    def within(self, sizes: NDArray[Any]) -> Labels:
        return self

    def renamed(self, names: Sequence[str], new: Sequence[str]) -> Labels:
        return Labels(np.array([new.index(name) for name in names], dtype=np.int64)[self.ids])

    def one(self, row: int, names: Sequence[str]) -> Label:
        from viewfinder.data.answers import Label

        return Label(names[self.ids[row]], tuple(names))

    def complete(self) -> NDArray[np.bool_]:
        return np.ones(len(self), dtype=bool)

    def strata(self) -> Integers:
        return self.ids

    def array(self) -> Integers:
        return self.ids


@dataclass(frozen=True)
class PointSets:
    """K points a sample: `xy` is (N, K, 2) float32 in pixels of the image, NaN where not annotated."""

    xy: Floats

    def __post_init__(self) -> None:
        if self.xy.ndim != 3 or self.xy.shape[2] != 2 or self.xy.dtype != np.float32:
            raise ValueError(f"expected xy of shape (N, K, 2) and type float32, got {self.xy.shape} {self.xy.dtype}")

    def __len__(self) -> int:
        return len(self.xy)

    def select(self, rows: NDArray[Any]) -> PointSets:
        return PointSets(self.xy[rows])

    def joined(self, other: PointSets) -> PointSets:
        return PointSets(np.concatenate([self.xy, other.xy]))

    def moved(self, matrices: NDArray[Any], mirrored: NDArray[np.bool_], names: Sequence[str]) -> PointSets:
        xy = move_points(self.xy, matrices)
        swapped = xy[:, flip_order(names)]
        return PointSets(np.where(mirrored[:, None, None], swapped, xy).astype(np.float32))

    def within(self, sizes: NDArray[Any]) -> PointSets:
        inside = ((self.xy >= 0) & (self.xy <= sizes[:, None])).all(axis=2, keepdims=True)
        return PointSets(np.where(inside, self.xy, np.float32(np.nan)))

    def renamed(self, names: Sequence[str], new: Sequence[str]) -> PointSets:
        xy = np.full((len(self.xy), len(new), 2), np.nan, dtype=np.float32)
        xy[:, [new.index(name) for name in names]] = self.xy
        return PointSets(xy)

    def one(self, row: int, names: Sequence[str]) -> Points:
        from viewfinder.data.answers import Points

        return Points(self.xy[row], tuple(names))

    def complete(self) -> NDArray[np.bool_]:
        return np.asarray(np.isfinite(self.xy).all(axis=(1, 2)))

    def strata(self) -> NDArray[np.bool_]:
        return self.complete()

    def array(self) -> Floats:
        return self.xy


@dataclass(frozen=True)
class BoxSets:
    """Boxes with a class each, any number a sample; a sample without one is a negative: there is nothing in it.

    Args:
        xyxy: (M, 4) float32 x0 y0 x1 y1 in pixels of the image, the boxes of all samples in order.
        classes: (M,) int64, each an index into the dataset's names.
        offsets: (N + 1,) int64: the boxes of sample i are those from offsets[i] up to offsets[i + 1].
    """

    xyxy: Floats
    classes: Integers
    offsets: Integers

    def __post_init__(self) -> None:
        m = len(self.classes)
        if self.xyxy.shape != (m, 4) or self.xyxy.dtype != np.float32:
            raise ValueError(
                f"expected xyxy of shape ({m}, 4) and type float32, got {self.xyxy.shape} {self.xyxy.dtype}"
            )
        whole = self.offsets.ndim == 1 and len(self.offsets) > 0 and self.offsets[0] == 0 and self.offsets[-1] == m
        if not whole or (np.diff(self.offsets) < 0).any() or {self.offsets.dtype, self.classes.dtype} != {_INT64}:
            raise ValueError(f"expected int64 classes, and int64 offsets that rise from 0 to {m}, got {self.offsets}")

    @classmethod
    def of(cls, boxes: Sequence[NDArray[Any]], classes: Sequence[NDArray[Any]]) -> BoxSets:
        """Return a column from a sequence of (M, 4) boxes and one of (M,) classes, a pair a sample."""
        xyxy = np.concatenate([np.zeros((0, 4)), *(np.reshape(one, (-1, 4)) for one in boxes)])
        ids = np.concatenate([np.zeros(0, dtype=np.int64), *classes])
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, which `check` tells of
            sides = xyxy.astype(np.float32)
        return cls(sides, ids.astype(np.int64), np.cumsum([0, *map(len, classes)], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> Integers:
        """(N,) how many boxes each sample has."""
        return np.diff(self.offsets)

    @property
    def samples(self) -> Integers:
        """(M,) which sample each box is of."""
        return np.repeat(np.arange(len(self)), self.counts)

    def select(self, rows: NDArray[Any]) -> BoxSets:
        index = np.arange(len(self))[rows]
        counts = self.counts[index]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        every = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][index] - offsets[:-1], counts)
        return BoxSets(self.xyxy[every], self.classes[every], offsets.astype(np.int64))

    def kept(self, boxes: NDArray[np.bool_]) -> BoxSets:
        """Return the column with those boxes alone for which (M,) `boxes` is true; all samples stay."""
        offsets = np.concatenate([[0], np.cumsum(boxes)])[self.offsets]
        return BoxSets(self.xyxy[boxes], self.classes[boxes], offsets.astype(np.int64))

    def gathered(self, offsets: Integers) -> BoxSets:
        """Return a column whose sample i has the boxes of the samples from offsets[i] up to offsets[i + 1]."""
        return replace(self, offsets=self.offsets[offsets])

    def with_more(self, samples: Integers, xyxy: NDArray[Any], classes: Integers) -> BoxSets:
        """Return the column with further boxes (K, 4), behind those of their samples (K,), which never fall."""
        at = self.offsets[samples + 1]
        more = np.bincount(samples, minlength=len(self))
        return BoxSets(
            np.insert(self.xyxy, at, xyxy, axis=0),
            np.insert(self.classes, at, classes),
            self.offsets + np.concatenate([[0], np.cumsum(more)]).astype(np.int64),
        )

    def clipped(self, width: float, height: float, least: float = 0.0) -> BoxSets:
        """Return boxes cut at the edges of images of one size.

        Those are left out of which nothing, or a share of less than `least` of their area, is inside.
        """
        return self._cut(np.array([width, height]), least)

    def within(self, sizes: NDArray[Any]) -> BoxSets:
        return self._cut(sizes[self.samples], 0)

    def _cut(self, sizes: NDArray[Any], least: float) -> BoxSets:
        xyxy = clipped(self.xyxy, sizes)
        left = areas(xyxy)
        return replace(self, xyxy=xyxy).kept((left > 0) & (left >= least * areas(self.xyxy)))

    def joined(self, other: BoxSets) -> BoxSets:
        offsets = np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]])
        xyxy = np.concatenate([self.xyxy, other.xyxy])
        return BoxSets(xyxy, np.concatenate([self.classes, other.classes]), offsets)

    def moved(self, matrices: NDArray[Any], mirrored: NDArray[np.bool_], names: Sequence[str]) -> BoxSets:
        """Return the box around the four moved corners of each box; it may reach outside: see `clipped`."""
        samples = self.samples
        classes = np.where(mirrored[samples], flip_order(names)[self.classes], self.classes)
        return BoxSets(move_boxes(self.xyxy, matrices[samples]), classes, self.offsets)

    def renamed(self, names: Sequence[str], new: Sequence[str]) -> BoxSets:
        return replace(self, classes=np.array([new.index(name) for name in names], dtype=np.int64)[self.classes])

    def one(self, row: int, names: Sequence[str]) -> Boxes:
        from viewfinder.data.answers import Boxes

        boxes = slice(self.offsets[row], self.offsets[row + 1])
        return Boxes(self.xyxy[boxes], tuple(names[i] for i in self.classes[boxes]), tuple(names))

    def complete(self) -> NDArray[np.bool_]:
        return np.ones(len(self), dtype=bool)

    def strata(self) -> Integers:
        """Return the class of a sample's boxes that the fewest samples have; -1 without boxes."""
        pairs = np.unique(np.stack([self.samples, self.classes], axis=1), axis=0)
        frequency = np.bincount(pairs[:, 1], minlength=1)
        order = np.lexsort((pairs[:, 1], frequency[pairs[:, 1]], pairs[:, 0]))
        rows, first = np.unique(pairs[order, 0], return_index=True)
        strata = np.full(len(self), -1, dtype=np.int64)
        strata[rows] = pairs[order[first], 1]
        return strata

    def array(self) -> NDArray[np.float64]:
        """Return (M, 6) float64: sample, class, x0, y0, x1, y1."""
        return np.column_stack([self.samples, self.classes, self.xyxy]).astype(np.float64)


def move_points(xy: NDArray[Any], matrices: NDArray[Any]) -> Floats:
    """Return points (N, K, 2) after the affine maps (N, 2, 3); NaN stays NaN."""
    moved = np.einsum("nij,nkj->nki", matrices[:, :, :2], xy) + matrices[:, None, :, 2]
    return np.asarray(moved, dtype=np.float32)


def flip_order(names: Sequence[str]) -> Integers:
    """Return (K,) the index of each name's mirror image: left_… ↔ right_…, all others themselves.

    The word may stand anywhere in the name ("mouth_left_corner"), between underscores, hyphens or blanks.
    """
    return np.array(_flip_order(tuple(names)), dtype=np.int64)


@lru_cache
def _flip_order(names: tuple[str, ...]) -> tuple[int, ...]:
    index = {name: i for i, name in enumerate(names)}
    return tuple(index.get(_other_side(name), i) for i, name in enumerate(names))


def _other_side(name: str) -> str:
    sides = {"left": "right", "right": "left", "Left": "Right", "Right": "Left", "l": "r", "r": "l"}
    for separator in ("_", "-", " "):
        words = name.split(separator)
        if len(words) > 1 and any(word in sides for word in words):
            return separator.join(sides.get(word, word) for word in words)
    return sides.get(name, name)
