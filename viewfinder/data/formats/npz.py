"""NumPy's own archive: `images` with `labels` or `points`, as viewfinder writes it; also Keras's and MedMNIST's names.

images   `images`, `x_train`, `train_images`; `x_test`, `test_images`; `x_val`, `val_images`: (N, H, W[, 1 or 3]) uint8
labels   `labels`, `y_train`, `train_labels` …: (N,) or (N, 1) whole numbers, or names of classes
points   `points`, `train_points` …: (N, K, 2) pixels, NaN where not annotated
boxes    `boxes`, `classes`, `offsets`: all boxes (M, 4), their classes (M,), where each image's begin (N + 1,)
names    the classes, or the points
groups, splits, ids   (N,), as in `Dataset`; of the images for training, where the file has a test part, too

Where the images are more than may lie in memory they are unpacked, once, into the cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.appearing import appearing
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.findings import Finding
from viewfinder.data.memory import most_in_memory
from viewfinder.data.sources import ZIP_FAULTS, open_zip, readable
from viewfinder.data.store import Rows, fetch, key_of
from viewfinder.data.targets import BoxSets, Labels, PointSets, Targets
from viewfinder.errors import DataError

__all__ = ["parts", "read", "sniff", "write"]

ENDING = ".npz"
LOOKS_FOR = "an .npz file with images, and labels or points"

BLOCK = 256

_READ_HEAD: dict[tuple[int, int], Callable[[Any], Any]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_TRAIN = (("images", "labels", "points"), ("x_train", "y_train", ""), ("train_images", "train_labels", "train_points"))
_KEYS = {
    "train": _TRAIN,
    "val": (("x_val", "y_val", ""), ("val_images", "val_labels", "val_points")),
    "test": (("x_test", "y_test", ""), ("test_images", "test_labels", "test_points")),
}
"""The names of images, labels and points of each part."""


def sniff(path: Path) -> bool:
    """Whether a path is an .npz file."""
    return path.suffix.lower() == ".npz" and path.is_file()


def parts(path: Path) -> tuple[str, ...]:
    """Return the parts that a file has."""
    with _Archive(path) as archive:
        return tuple(part for part in ("train", "test") if archive.keys(part) is not None)


def read(path: Path, part: str) -> Dataset:
    """Return a part. Where the file has a val part, it follows the train part, and `splits` says which is which.

    Raises DataError where a key is missing, or an array has another shape, type or range.
    """
    with _Archive(path) as archive:
        if part not in ("train", "test") or archive.keys(part) is None:
            has = ", ".join(part for part in ("train", "test") if archive.keys(part) is not None)
            raise DataError(
                f"has no part {part!r}", where=path, hint=f"parts: {has}" if has else f"expected {LOOKS_FOR}"
            )
        pieces = [archive.piece(part)]
        if part == "train" and archive.keys("val") is not None:
            pieces.append(archive.piece("val"))
        counts = [piece.shape[0] for piece in pieces]
        columns = archive.columns(part, sum(counts))
        if len(counts) > 1:
            columns["splits"] = np.repeat(["train", "val"], counts)
        images, notes = archive.images(pieces)
        task, names, targets = archive.targets([piece.values for piece in pieces])
        if targets is not None and len(targets) != len(images):
            raise DataError(f"offsets are of {len(targets)} images, not {len(images)}", where=path)
        return Dataset(
            task,
            names,
            images,
            targets,
            source=str(path),
            format="npz",
            part=part,
            notes=notes,
            **columns,
        )


Values = tuple[str, NDArray[Any]] | None
"""A key and its array: the labels or points of one part."""


class _Piece(NamedTuple):
    """The images of one part, of which only the head was read so far, and what is known of them."""

    key: str
    shape: tuple[int, ...]
    in_order: bool
    """Whether an image's values lie side by side in the file."""
    values: Values


class _Archive:
    """An open .npz file, whose arrays are checked as they are taken from it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        open_zip(path, str(path)).close()
        try:
            self._file: Any = np.load(path, allow_pickle=False)
        except (ValueError, *ZIP_FAULTS):
            raise DataError("is no .npz file, or is damaged", where=path, hint="save it with numpy.savez") from None

    def __enter__(self) -> _Archive:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def keys(self, part: str) -> tuple[str, str, str] | None:
        """Return the names of images, labels and points of a part, None where it has no images."""
        return next((keys for keys in _KEYS[part] if keys[0] in self._file), None)

    def piece(self, part: str) -> _Piece:
        """Return what a part has; its images are not read yet."""
        images, *targets = self.keys(part) or ("", "", "")
        shape, dtype, in_order = self._head(images)
        if dtype != np.uint8:
            raise self._error(images, f"has the type {dtype}", "save whole numbers from 0 to 255 as uint8")
        if len(shape) not in (3, 4) or (*shape, 1)[3] not in (1, 3) or 0 in shape:
            raise self._error(images, f"has the shape {shape}", "expected (N, H, W) or (N, H, W, 1 or 3)")
        key = next((key for key in targets if key and key in self._file), None)
        values = None if key is None else (key, self._array(key))
        if values is not None and values[1].shape[:1] != shape[:1]:
            has = f"{len(values[1])} rows" if values[1].ndim else "a single value"
            raise self._error(values[0], f"has {has} for {shape[0]} images", "save one for each")
        return _Piece(images, shape, in_order, values)

    def images(self, pieces: Sequence[_Piece]) -> tuple[ArrayImages, tuple[Finding, ...]]:
        """Return the images of all pieces, one behind the other, and what is to be said about reading them."""
        if any(piece.shape[1:] != pieces[0].shape[1:] for piece in pieces):
            raise self._error(pieces[1].key, f"has the shape {pieces[1].shape}", f"{pieces[0].shape} is before it")
        size = sum(math.prod(piece.shape) for piece in pieces)
        if size <= most_in_memory() or not all(piece.in_order for piece in pieces):
            arrays = [self._array(piece.key) for piece in pieces]
            return ArrayImages.of(np.concatenate(arrays) if len(arrays) > 1 else arrays[0], self._path.name), ()
        infos = [self._file.zip.getinfo(f"{piece.key}.npy") for piece in pieces]
        key = key_of("npz", [(info.filename, info.file_size, info.CRC) for info in infos])
        stored = fetch(key, lambda rows: self._unpack(pieces, rows), source=str(self._path), kind="npz")
        return ArrayImages.of(stored.pixels, self._path.name, digest=stored.digest), stored.notes()

    def _head(self, key: str) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
        """Return an array's shape and type, and whether its rows lie one behind the other."""
        try:
            with self._file.zip.open(f"{key}.npy") as member:
                shape, fortran, dtype = _READ_HEAD[np.lib.format.read_magic(member)](member)
        except (ValueError, KeyError, *ZIP_FAULTS):
            dtype = np.dtype(object)
        if dtype.hasobject:  # it cannot be read, or has a head that only NumPy knows
            array = self._array(key)
            return array.shape, array.dtype, False
        return shape, dtype, not fortran

    def _unpack(self, pieces: Sequence[_Piece], rows: Rows) -> dict[str, NDArray[Any]]:
        for piece in pieces:
            shape = (piece.shape[1], piece.shape[2], (*piece.shape, 1)[3])
            with readable(str(self._path)), self._file.zip.open(f"{piece.key}.npy") as member:
                _READ_HEAD[np.lib.format.read_magic(member)](member)
                for first in range(0, piece.shape[0], BLOCK):
                    count = min(BLOCK, piece.shape[0] - first)
                    content = member.read(count * math.prod(shape))
                    if len(content) < count * math.prod(shape):
                        raise self._error(piece.key, "is cut off", "save it again with numpy.savez")
                    rows(np.frombuffer(content, np.uint8).reshape(count, *shape))
        return {}

    def targets(self, values: Sequence[Values]) -> tuple[str, tuple[str, ...], Targets | None]:
        """Return the task, the names and the column of targets of all pieces."""
        there = [value for value in values if value is not None]
        if not there and "boxes" in self._file:
            return "detect", *self._boxes()
        names = tuple(str(name) for name in self._array("names").ravel()) if "names" in self._file else ()
        if len(there) < len(values):
            return "", names, None
        key, array = there[0][0], np.concatenate([array for _, array in there])
        if key.endswith("points"):
            return "keypoints", *self._points(key, array, names)
        return "classify", *self._labels(key, array, names)

    def columns(self, part: str, rows: int) -> dict[str, NDArray[Any]]:
        """Return groups, splits and ids of a part: where the file has two, they are of the one for training."""
        there = [key for key in ("groups", "splits", "ids") if key in self._file]
        if part == "test" and self.keys("train") is not None:
            return {}
        columns = {key: self._array(key) for key in there}
        for key, column in columns.items():
            if column.shape != (rows,):
                raise self._error(key, f"has the shape {column.shape}, expected ({rows},)", "save one for each image")
        if unknown := {*map(str, columns.get("splits", ()))} - {"train", "val", "test"}:
            raise self._error("splits", f"has the value {min(unknown)!r}", "use train, val and test")
        return columns

    def _points(self, key: str, xy: NDArray[Any], names: tuple[str, ...]) -> tuple[tuple[str, ...], PointSets]:
        if xy.ndim == 2 and xy.shape[1] % 2 == 0:
            xy = xy.reshape(len(xy), -1, 2)
        if xy.ndim != 3 or xy.shape[2] != 2 or xy.dtype.kind not in "iuf":
            raise self._error(key, f"has the shape {xy.shape} and the type {xy.dtype}", "expected numbers (N, K, 2)")
        names = names or tuple(f"point_{i}" for i in range(xy.shape[1]))
        if len(names) != xy.shape[1]:
            raise self._error("names", f"has {len(names)} names for {xy.shape[1]} points", "save one for each")
        if np.isinf(xy).any():
            raise self._error(key, f"is infinite in row {np.argwhere(np.isinf(xy))[0][0]}", "NaN is for missing points")
        return names, PointSets(xy.astype(np.float32))

    def _boxes(self) -> tuple[tuple[str, ...], BoxSets]:
        columns = [self._array(key) if key in self._file else np.zeros(0) for key in ("boxes", "classes", "offsets")]
        try:
            boxes = BoxSets(columns[0].astype(np.float32), *(column.astype(np.int64) for column in columns[1:]))
        except ValueError as error:
            raise self._error("boxes", "cannot be used", str(error)) from None
        names = tuple(str(name) for name in self._array("names").ravel()) if "names" in self._file else ()
        names = names or tuple(str(number) for number in range(int(boxes.classes.max(initial=-1)) + 1))
        if ((boxes.classes < 0) | (boxes.classes >= len(names))).any():
            raise self._error("classes", f"has a number that is none of the {len(names)} names", "correct it")
        return names, boxes

    def _labels(self, key: str, labels: NDArray[Any], names: tuple[str, ...]) -> tuple[tuple[str, ...], Labels]:
        labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
        if labels.ndim != 1 or labels.dtype.kind not in "iuU":
            fault = f"has the shape {labels.shape} and the type {labels.dtype}"
            raise self._error(key, fault, "expected (N,) whole numbers or names")
        if labels.dtype.kind == "U":
            names = names or tuple(np.unique(labels).tolist())
            index = {name: i for i, name in enumerate(names)}
            labels = np.array([index.get(name, -1) for name in labels.tolist()])
        names = names or tuple(str(number) for number in range(int(labels.max()) + 1))
        wrong = np.flatnonzero((labels < 0) | (labels >= len(names)))
        if len(wrong):
            fault = f"has a label in row {wrong[0]} that is none of the {len(names)} names"
            raise self._error(key, fault, "correct the label, or the names")
        return names, Labels(labels.astype(np.int64))

    def _array(self, key: str) -> NDArray[Any]:
        try:
            array: NDArray[Any] = self._file[key]
        except (ValueError, MemoryError, *ZIP_FAULTS):
            raise self._error(key, "cannot be read", "save it again with numpy.savez, without objects") from None
        return array

    def _error(self, key: str, fault: str, hint: str) -> DataError:
        return DataError(f"{key} {fault}", where=self._path, hint=hint)


_ARRAYS: dict[type, Callable[[Any], dict[str, NDArray[Any]]]] = {
    Labels: lambda targets: {"labels": targets.ids},
    PointSets: lambda targets: {"points": targets.xy},
    BoxSets: lambda targets: {"boxes": targets.xyxy, "classes": targets.classes, "offsets": targets.offsets},
}
"""What is written of each kind of targets."""


def write(dataset: Dataset, path: Path) -> None:
    """Write a dataset of any task. Raises DataError unless all images have one size and as many channels."""
    first = dataset.images[0]
    pixels = np.empty((len(dataset), *first.shape), dtype=np.uint8)
    for row in range(len(dataset)):
        image = dataset.images[row]
        if image.shape != first.shape:
            shown = " × ".join(map(str, image.shape))
            raise DataError(f"is {shown}, not {' × '.join(map(str, first.shape))}", where=dataset.images.where(row))
        pixels[row] = image
    columns = {"groups": dataset.groups, "splits": dataset.splits, "ids": dataset.ids}
    arrays: dict[str, Any] = {name: column for name, column in columns.items() if column is not None}
    if dataset.targets is not None:
        arrays |= _ARRAYS[type(dataset.targets)](dataset.targets)
    with appearing(path) as beside, beside.open("wb") as file:
        np.savez_compressed(file, images=pixels, names=np.array(dataset.names, dtype=np.str_), **arrays)
