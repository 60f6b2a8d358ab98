"""Images without targets: a folder with images anywhere below it, a zip of them, or a single image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from viewfinder.data.dataset import Dataset
from viewfinder.data.images import SUFFIXES, FileImages
from viewfinder.data.sources import Source
from viewfinder.errors import DataError

__all__ = ["parts", "read", "sniff"]

LOOKS_FOR = "images"


def sniff(path: Path) -> bool:
    """Whether a path is an image or holds one."""
    return bool(_files(path))


def parts(path: Path) -> tuple[str, ...]:
    """Return "test", the part without targets."""
    return ("test",)


def read(path: Path, part: str) -> Dataset:
    """Return all images, in the order of their paths; whatever part was asked for, it is the part "test".

    The task is empty, since nothing says what the images are for.
    """
    files = _files(path)
    if not files:
        raise DataError("holds no images", where=path, hint=f"known: {', '.join(suffix[1:] for suffix in SUFFIXES)}")
    images = FileImages.of(path if Source(path).is_container else path.parent, files)
    return Dataset("", (), images, source=str(path), format="plain", part="test", ids=np.array(files))


def _files(path: Path) -> tuple[str, ...]:
    source = Source(path)
    names = source.files() if source.is_container else [path.name]
    return tuple(name for name in names if name.lower().endswith(SUFFIXES))
