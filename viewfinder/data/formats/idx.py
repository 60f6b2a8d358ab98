"""MNIST's original files: `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, `t10k-…` for the test part.

Compressed (.gz) or not, in a folder or a zip. The layout is described on MNIST's page (yann.lecun.com/exdb/mnist):
two zero bytes, the type (8: unsigned byte), the number of axes, each axis's length as 4 bytes, then the values.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.appearing import appearing
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.decoding import LARGEST
from viewfinder.data.sources import LARGEST as LARGEST_IN_GZ
from viewfinder.data.sources import Source
from viewfinder.data.store import Rows, fetch, key_of
from viewfinder.data.targets import Labels
from viewfinder.errors import DataError

__all__ = ["parts", "read", "sniff", "write"]

LOOKS_FOR = "train-images-idx3-ubyte and train-labels-idx1-ubyte"
_PREFIX = {"train": "train", "test": "t10k"}
_BLOCK, _BLOCK_PIXELS = 1024, 1 << 26


def sniff(path: Path) -> bool:
    """Whether a path holds one of the image files."""
    return bool(parts(path))


def parts(path: Path) -> tuple[str, ...]:
    """Return the parts that a path has."""
    source = Source(path)
    return tuple(part for part in _PREFIX if _find(source, part, "images") is not None)


def read(path: Path, part: str) -> Dataset:
    """Return a part: gray images (28, 28, 1), and labels, whose names are their numbers.

    Raises DataError where a file is missing, cut off or not of the form above.
    """
    source = Source(path)
    images, labels = _find(source, part, "images"), _find(source, part, "labels")
    if images is None:
        raise DataError(f"has no part {part!r}", where=path, hint=f"parts: {', '.join(parts(path)) or 'none'}")
    if labels is None:
        hint = f"put {_PREFIX.get(part, part)}-labels-idx1-ubyte beside it"
        raise DataError("has images without their labels", where=path, hint=hint)
    key = key_of("idx", source.key(images), source.key(labels))
    stored = fetch(key, lambda rows: _parse(source, images, labels, rows), source=str(path), kind=f"idx {part}")
    ids = stored.arrays["labels"]
    return Dataset(
        "classify",
        tuple(str(number) for number in range(max(10, int(ids.max()) + 1))),
        ArrayImages.of(stored.pixels, Path(images).name, first=1, digest=stored.digest),
        Labels(ids),
        source=str(path),
        format="idx",
        part=part,
        notes=stored.notes(),
    )


def _find(source: Source, part: str, what: str) -> str | None:
    axes = {"images": 3, "labels": 1}[what]
    prefix = f"{_PREFIX.get(part, part)}-{what}"
    names = [f"{prefix}{dot}idx{axes}-ubyte" for dot in "-."]
    return source.find(*names, *(f"{name}.gz" for name in names))


def _parse(source: Source, images: str, labels: str, rows: Rows) -> Mapping[str, NDArray[Any]]:
    with _open(source, images) as (stream, where):
        count, height, width = _axes(stream, 3, where)
        block = max(1, min(_BLOCK, _BLOCK_PIXELS // (height * width)))
        for start in range(0, count, block):
            n = min(block, count - start)
            rows(_values(stream, n * height * width, where).reshape(n, height, width, 1))
        _at_end(stream, where)
    with _open(source, labels) as (stream, where):
        (label_count,) = _axes(stream, 1, where)
        if label_count != count:
            raise DataError(f"has {label_count} labels for {count} images", where=where, hint="download both again")
        ids = _values(stream, count, where).astype(np.int64)
        _at_end(stream, where)
    return {"labels": ids}


@contextmanager
def _open(source: Source, name: str) -> Iterator[tuple[IO[bytes], str]]:
    where = source.where(name)
    with source.open(name) as raw:
        if not name.endswith(".gz"):
            yield raw, where
            return
        try:
            with gzip.GzipFile(fileobj=raw) as inflated:
                yield inflated, where  # type: ignore[misc]
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise DataError("is damaged or cut off", where=where, hint="download it again") from None


def _axes(stream: IO[bytes], wanted: int, where: str) -> tuple[int, ...]:
    start = stream.read(4 + 4 * wanted)
    if len(start) < 4 + 4 * wanted or start[:4] != bytes((0, 0, 8, wanted)):
        raise DataError(f"is not an idx file of bytes with {wanted} axes", where=where, hint="download it again")
    axes = struct.unpack(f">{wanted}I", start[4:])
    if 0 in axes or math.prod(axes[1:]) > LARGEST or (where.endswith(".gz") and math.prod(axes) > LARGEST_IN_GZ):
        raise DataError(f"says that it has {' × '.join(map(str, axes))} values", where=where, hint="download it again")
    return axes


def _values(stream: IO[bytes], count: int, where: str) -> NDArray[np.uint8]:
    content = stream.read(count)
    if len(content) < count:
        raise DataError("is cut off", where=where, hint="download it again")
    return np.frombuffer(content, np.uint8)


def _at_end(stream: IO[bytes], where: str) -> None:
    if stream.read(1):
        raise DataError("is longer than it says", where=where, hint="download it again")


def write(dataset: Dataset, path: Path) -> None:
    """Write both files of the dataset's part into a folder.

    Raises DataError unless the classes are numbers below 256 and all images gray of one size.
    """
    ids = dataset.targets_of(Labels).ids
    if dataset.names != tuple(map(str, range(len(dataset.names)))) or len(dataset.names) > 256:
        raise DataError("has classes that are no numbers from 0", where=dataset.source, hint="npz holds every dataset")
    shape = dataset.images[0].shape
    prefix = _PREFIX[dataset.part]
    path.mkdir(parents=True, exist_ok=True)
    with appearing(path / f"{prefix}-images-idx3-ubyte") as beside, beside.open("wb") as file:
        file.write(struct.pack(">4B3I", 0, 0, 8, 3, len(dataset), *shape[:2]))
        for row in range(len(dataset)):
            image = dataset.images[row]
            if image.shape != (*shape[:2], 1):
                raise DataError("is not gray, or not of the first one's size", where=dataset.images.where(row))
            file.write(image.tobytes())
    with appearing(path / f"{prefix}-labels-idx1-ubyte") as beside:
        beside.write_bytes(struct.pack(">4B1I", 0, 0, 8, 1, len(ids)) + ids.astype(np.uint8).tobytes())
