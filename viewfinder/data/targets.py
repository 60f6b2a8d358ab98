"""Targets as columns: one object holds the targets of all samples.

Coordinates are pixels, x right, y down, continuous: pixel (row i, column j) covers [j, j+1) × [i, i+1),
so an image is [0, W] × [0, H] and mirroring is x → W − x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # answers draw: reading data should not wait for OpenCV
    from viewfinder.data.answers import Answer, Label, Points

__all__ = ["Floats", "Integers", "Labels", "PointSets", "Targets", "flip_order", "move_points"]

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


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

    def renamed(self, names: Sequence[str], new: Sequence[str]) -> Targets:
        """Return the same targets for a dataset whose names are `new` instead of `names`, all of which are in `new`."""
        ...

    def one(self, row: int, names: Sequence[str]) -> Answer:
        """Return the target of one sample, in the form that a prediction has."""
        ...

    def complete(self) -> NDArray[np.bool_]:
        """Return (N,) whether all of a sample's target is known."""
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

    def renamed(self, names: Sequence[str], new: Sequence[str]) -> Labels:
        return Labels(np.array([new.index(name) for name in names], dtype=np.int64)[self.ids])

    def one(self, row: int, names: Sequence[str]) -> Label:
        from viewfinder.data.answers import Label

        return Label(names[self.ids[row]], tuple(names))

    def complete(self) -> NDArray[np.bool_]:
        return np.ones(len(self), dtype=bool)

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

    def renamed(self, names: Sequence[str], new: Sequence[str]) -> PointSets:
        xy = np.full((len(self.xy), len(new), 2), np.nan, dtype=np.float32)
        xy[:, [new.index(name) for name in names]] = self.xy
        return PointSets(xy)

    def one(self, row: int, names: Sequence[str]) -> Points:
        from viewfinder.data.answers import Points

        return Points(self.xy[row], tuple(names))

    def complete(self) -> NDArray[np.bool_]:
        return np.asarray(np.isfinite(self.xy).all(axis=(1, 2)))

    def array(self) -> Floats:
        return self.xy


def move_points(xy: NDArray[Any], matrices: NDArray[Any]) -> Floats:
    """Return points (N, K, 2) after the affine maps (N, 2, 3); NaN stays NaN."""
    moved = np.einsum("nij,nkj->nki", matrices[:, :, :2], xy) + matrices[:, None, :, 2]
    return np.asarray(moved, dtype=np.float32)


def flip_order(names: Sequence[str]) -> Integers:
    """Return (K,) the index of each name's mirror image: left_… ↔ right_…, all others themselves.

    The word may stand anywhere in the name ("mouth_left_corner"), between underscores, hyphens or blanks.
    """
    index = {name: i for i, name in enumerate(names)}
    return np.array([index.get(_other_side(name), i) for i, name in enumerate(names)], dtype=np.int64)


def _other_side(name: str) -> str:
    sides = {"left": "right", "right": "left", "Left": "Right", "Right": "Left", "l": "r", "r": "l"}
    for separator in ("_", "-", " "):
        words = name.split(separator)
        if len(words) > 1 and any(word in sides for word in words):
            return separator.join(sides.get(word, word) for word in words)
    return sides.get(name, name)
