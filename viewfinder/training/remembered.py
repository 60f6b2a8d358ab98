"""What a run remembers of its data, so that it knows it again: a fingerprint, which rows, and which images.

A set that lies in memory is known by the content of all its images. A large set of files would have to be read from
end to end for that, before the first step: it is known by the files' paths and sizes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.config import Recipe
from viewfinder.data.dataset import Dataset, Images
from viewfinder.data.images import FileImages
from viewfinder.data.remote import is_url
from viewfinder.data.rows import PixelRows, digests, fit_rows, is_large

__all__ = ["about", "arrays", "fits", "is_large_for", "same", "seen"]

Arrays = Mapping[str, NDArray[Any]]
Marks = NDArray[np.uint64]

CONTENT, PATHS = "content", "paths and sizes"
REPAIRED = 0.01
"""The share of a large set's files that may have another size than before: those that were cut off, and repaired."""


def about(part: Dataset, recipe: Recipe) -> dict[str, Any]:
    """Return what `run.json` says of a part of the data."""
    source = part.source if is_url(part.source) else ""
    if part.source and Path(part.source).exists():
        source = str(Path(part.source).resolve())
    kind = PATHS if isinstance(part.images, FileImages) and is_large_for(part.images, recipe) else CONTENT
    known = {"rows": len(part), "fingerprint": _fingerprint(part, kind), "fingerprint_of": kind}
    return {"source": source, "name": part.name, "format": part.format, "part": part.part} | known


def arrays(parts: Mapping[str, Dataset], recipe: Recipe, pixels: PixelRows) -> dict[str, NDArray[Any]]:
    """Return what `split.safetensors` holds: the rows of each part, and what its images are known by.

    Args:
        pixels: the fitted training images.
    """
    found: dict[str, NDArray[Any]] = {name: np.ascontiguousarray(part.source_rows()) for name, part in parts.items()}
    for name, part in parts.items():
        if not is_large_for(part.images, recipe):
            if name == "train":
                found["digests"] = digests(pixels)
        elif isinstance(part.images, FileImages):
            found[f"{name} files"] = _marks(part.images)
    return found


def is_large_for(images: Images, recipe: Recipe) -> bool:
    """Whether the images stay on disk while the recipe trains on them."""
    return is_large(images, *_form(recipe))


def fits(part: Dataset, known: Mapping[str, Any]) -> bool:
    """Whether a part of the data has the fingerprint that `run.json` says."""
    return bool(_fingerprint(part, known.get("fingerprint_of", CONTENT)) == known["fingerprint"])


def same(part: Dataset, name: str, known: Mapping[str, Any], before: Arrays) -> bool:
    """Whether a part is the one that a run began with: it fits, and next to all of its files have their size."""
    files = before.get(f"{name} files")
    if not fits(part, known) or files is None or not isinstance(part.images, FileImages):
        return fits(part, known)
    return int((_marks(part.images) != files).sum()) <= max(1, REPAIRED * len(part))


def seen(images: Images, recipe: Recipe, before: Arrays) -> int:
    """Return how many of the images were trained on: by their pixels; of a large set by path and size."""
    if "train files" in before:
        marks = _marks(images) if isinstance(images, FileImages) else np.empty(0, dtype=np.uint64)
        return int(np.isin(marks, before["train files"]).sum())
    if "digests" not in before:
        return 0
    return int(np.isin(digests(fit_rows(images, *_form(recipe))[0]), before["digests"]).sum())


def _form(recipe: Recipe) -> tuple[int, int]:
    """Return the side and the channels of the images that a recipe trains on."""
    return round(recipe.data.size * recipe.data.detail), recipe.data.channels


def _fingerprint(part: Dataset, kind: str) -> str:
    return part.outline if kind == PATHS else part.fingerprint


def _marks(images: FileImages) -> Marks:
    """Return (N,) a number for each file, from its path and its size."""
    sizes = images.states()[images.rows, 0].tolist()
    every = (f"{images.where(row)} {size}" for row, size in enumerate(sizes))
    marks = (hashlib.blake2b(one.encode(errors="surrogatepass"), digest_size=8).digest() for one in every)
    return np.array([int.from_bytes(mark, "little") for mark in marks], dtype=np.uint64)
