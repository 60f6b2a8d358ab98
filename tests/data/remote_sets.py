"""Small sets, and an object storage that they are put into."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import cv2
import numpy as np
from fsspec.implementations.memory import MemoryFileSystem

from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.reading import write
from viewfinder.data.targets import BoxSets

__all__ = ["URL", "Line", "boxes", "photos", "same", "stored", "zipped"]

URL = "memory://bucket/set"


class Line:
    """How many files are read before the line goes dead."""

    left: float = math.inf


def photos(folder: Path, count: int = 60) -> Path:
    rng = np.random.default_rng(3)
    for row in range(count):
        file = folder / "ab"[row % 2] / f"{row:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), rng.integers(0, 255, (14 + row % 4, 17, 1), dtype=np.uint8))
    return folder


def boxes(folder: Path, format: str) -> Path:
    rng = np.random.default_rng(4)
    images = ArrayImages.of(rng.integers(0, 255, (12, 40, 52, 3), dtype=np.uint8))
    sides = [np.array([[10, 8, 40, 38]]) + rng.integers(0, 2, 4) for _ in range(12)]
    write(Dataset("detect", ("face",), images, BoxSets.of(sides, [np.zeros(1, np.int64)] * 12)), folder, format)
    return folder


def zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder))


def stored(system: MemoryFileSystem, path: Path) -> str:
    """Put a file or a folder into the storage and return its URL."""
    url = f"{URL}/{path.name}"
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            inside = f"/{file.relative_to(path).as_posix()}" if path.is_dir() else ""
            system.pipe_file(f"{url}{inside}", file.read_bytes())
    return url


def same(here: Dataset, there: Dataset) -> None:
    assert (here.task, here.names, here.format, len(here)) == (there.task, there.names, there.format, len(there))
    assert here.targets is not None and there.targets is not None
    for one, other in zip(vars(here.targets).values(), vars(there.targets).values(), strict=True):
        np.testing.assert_array_equal(one, other)
    for row in range(len(here)):
        np.testing.assert_array_equal(here.images[row], there.images[row])
