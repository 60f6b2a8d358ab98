"""Kaggle's Facial Keypoints Detection: a column a coordinate, and `Image`, a square of gray values in one text.

Read from the download (a zip with zips inside), from a folder with its files (zipped or not), or from one csv file.
A blank coordinate is a point that nobody annotated; where only one of the two is there, the point is missing too.
Coordinates are taken as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.formats.competition import Files, side_table
from viewfinder.data.formats.csv_text import blocks, gray_line, gray_row, gray_texts, header, long_fields, written
from viewfinder.data.sources import Source
from viewfinder.data.store import Rows, fetch, key_of
from viewfinder.data.targets import PointSets
from viewfinder.errors import DataError

__all__ = ["lookup", "parts", "read", "sample", "sniff", "write"]

FILES = Files(
    {
        "train": ("training.csv", "training.zip", "training.csv.zip"),
        "test": ("test.csv", "test.zip", "test.csv.zip"),
    }
)
_BLOCK = 1 << 19
LOOKUP = ("IdLookupTable.csv", "IdLookupTable.csv.zip")
ENDING = ".csv"
LOOKS_FOR = "training.zip or training.csv with columns such as left_eye_center_x, left_eye_center_y, and Image"


def sniff(path: Path) -> bool:
    """Whether a path holds rows with a column `Image`."""
    source = Source(path)
    return (source.find(*LOOKUP) is not None and bool(FILES.parts(source))) or "Image" in FILES.columns(source)


def parts(path: Path) -> tuple[str, ...]:
    """Return the parts that a path has."""
    source = Source(path)
    return (read(path, "train").part,) if source.is_csv else FILES.parts(source)


def read(path: Path, part: str) -> Dataset:
    """Return a part: gray images (96, 96, 1), and points where the file has them.

    A single csv file without points is the part "test", whatever was asked for; its names are then unknown.
    Raises DataError with file, row and column for anything that is not a coordinate or a gray value.
    """
    source = Source(path)
    file = FILES.part(source, part)
    key = key_of("kaggle-faces", source.key(file))
    stored = fetch(key, lambda rows: _parse(source, file, rows), source=str(path), kind=f"kaggle-faces {part}")
    xy, names = stored.arrays["xy"], tuple(stored.arrays["names"].tolist())
    if not names and part == "train" and not source.is_csv:
        raise DataError("has no columns of coordinates", where=source.where(file), hint=f"expected {LOOKS_FOR}")
    if names and part == "test" and source.is_csv:
        raise DataError("has no part 'test'", where=path, hint="it has points: read it as part 'train'")
    return Dataset(
        "keypoints",
        names,
        ArrayImages.of(stored.pixels, f"{Path(file).stem}.csv", first=1, digest=stored.digest),
        PointSets(xy) if names else None,
        source=str(path),
        format="kaggle-faces",
        part=part if names else "test",
        ids=stored.arrays.get("ids"),
        notes=stored.notes(),
    )


def lookup(path: Path) -> list[dict[str, str]] | None:
    """Return the rows of IdLookupTable.csv (RowId, ImageId, FeatureName, Location), None where there is none."""
    return side_table(Source(path), *LOOKUP)


def sample(path: Path) -> list[dict[str, str]] | None:
    """Return the rows of the sample submission (RowId, Location), None where the download has none."""
    return side_table(Source(path), "SampleSubmission.csv", "SampleSubmission.csv.zip")


def _parse(source: Source, file: str, rows: Rows) -> Mapping[str, NDArray[Any]]:
    coordinates: list[list[float]] = []
    ids: list[int] = []
    with source.open_inside(file, ".csv") as (name, stream):
        where = source.where(file, name)
        columns = _Columns.of(header(stream, where), where)
        size = 0
        for block in blocks(stream, where, _BLOCK):
            images = []
            for values, image in long_fields(block, columns.image, where):
                at = f"{where} row {len(coordinates) + 1}"
                columns.count(values, at)
                images.append(_image(image, size, at))
                size = size or len(images[0])
                coordinates.append(_coordinates(values, columns, at))
                if columns.id is not None:
                    ids.append(_id(values[columns.id], f"{at}, ImageId"))
            if images:
                rows(np.stack(images).reshape(-1, math.isqrt(size), math.isqrt(size), 1))
    if not coordinates:
        raise DataError("has no rows", where=where, hint="download it again")
    xy = np.array(coordinates, dtype=np.float32).reshape(len(coordinates), -1, 2)
    xy[np.isnan(xy).any(axis=2)] = np.nan
    arrays: dict[str, NDArray[Any]] = {"xy": xy, "names": np.array(columns.points, dtype=np.str_)}
    return {**arrays, "ids": np.array(ids)} if columns.id is not None else arrays


@dataclass(frozen=True)
class _Columns:
    names: list[str]
    image: int
    id: int | None
    points: list[str]
    xy: list[int]
    """The columns of x and y, point by point."""

    @classmethod
    def of(cls, names: list[str], where: str) -> _Columns:
        if "Image" not in names:
            raise DataError("has no column 'Image'", where=where, hint=f"expected {LOOKS_FOR}")
        points = list(dict.fromkeys(name[:-2] for name in names if name.endswith(("_x", "_y"))))
        wanted = [f"{point}_{axis}" for point in points for axis in "xy"]
        missing = next((name for name in wanted if name not in names), None)
        if missing is not None:
            raise DataError(f"has no column {missing!r}", where=where, hint="every point needs an x and a y")
        index = names.index("ImageId") if "ImageId" in names else None
        return cls(names, names.index("Image"), index, points, [names.index(name) for name in wanted])

    def count(self, values: Sequence[bytes], where: str) -> None:
        if len(values) != len(self.names):
            fault = f"has {len(values)} values, expected {len(self.names)}"
            raise DataError(fault, where=where, hint="correct or delete the row")


def _image(text: memoryview, size: int, where: str) -> NDArray[np.uint8]:
    """Return one row's gray values (size,); `size` 0 stands for the first row, which decides it."""
    gray = gray_line(text)
    if gray is None:
        texts = bytes(text[:-1]).split()
        gray = gray_row(texts, [f"Image pixel {i}" for i in range(1, len(texts) + 1)], where)
    if size == 0 and (len(gray) == 0 or math.isqrt(len(gray)) ** 2 != len(gray)):
        raise DataError(f"{len(gray)} gray values make no square image", where=f"{where}, Image")
    if size and len(gray) != size:
        fault = f"has {len(gray)} gray values, the rows before have {size}"
        raise DataError(fault, where=f"{where}, Image", hint="correct or delete the row")
    return gray


def _coordinates(values: Sequence[bytes], columns: _Columns, where: str) -> list[float]:
    try:
        row = [float(values[i] or b"nan") for i in columns.xy]
    except ValueError:
        row = [math.inf]
    if math.inf in row or -math.inf in row:
        return [_coordinate(values[i], f"{where}, {columns.names[i]}") for i in columns.xy]
    return row


def _coordinate(text: bytes, where: str) -> float:
    shown = text.decode("utf-8", "replace").strip()
    try:
        value = float(shown or "nan")
    except ValueError:
        value = math.inf
    if math.isinf(value):
        raise DataError(f"{shown[:20]!r} is not a coordinate", where=where, hint="expected pixels, or nothing at all")
    return value


def _id(text: bytes, where: str) -> int:
    shown = text.decode("utf-8", "replace").strip()
    if not shown.isdecimal():
        raise DataError(f"{shown[:20]!r} is not a whole number", where=where, hint="correct the row")
    return int(shown)


def write(dataset: Dataset, path: Path) -> None:
    """Write a csv file in the competition's form. Raises DataError unless all images are gray squares of one size."""
    xy: Sequence[Sequence[float]] | None = None
    if dataset.targets is not None:
        xy = dataset.targets_of(PointSets).xy.reshape(len(dataset), -1).astype(np.float64).tolist()
    ids = np.arange(1, len(dataset) + 1) if dataset.ids is None else dataset.ids
    names = ["ImageId"] if xy is None else [f"{name}_{axis}" for name in dataset.names for axis in "xy"]
    with written(path) as file:
        file.write(",".join([*names, "Image"]) + "\n")
        for i, text in enumerate(gray_texts(dataset.images, " ")):
            before = [str(ids[i])] if xy is None else [_shown(value) for value in xy[i]]
            file.write(",".join([*before, text]) + "\n")


def _shown(value: float) -> str:
    return "" if math.isnan(value) else repr(float(np.float32(value)))
