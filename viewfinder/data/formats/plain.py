"""Images without targets: a folder with images anywhere below it, a zip of them, or a single image."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np

from viewfinder.data.dataset import Dataset
from viewfinder.data.findings import Finding, counted
from viewfinder.data.images import SUFFIXES, FileImages
from viewfinder.data.sources import Source
from viewfinder.errors import DataError

__all__ = ["parts", "read", "sniff"]

LOOKS_FOR = "images"
LABELS = (".json", ".xml", ".txt")


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
    notes = _like_labels(path, files)
    return Dataset("", (), images, source=str(path), format="plain", part="test", ids=np.array(files), notes=notes)


def _like_labels(path: Path, images: tuple[str, ...]) -> tuple[Finding, ...]:
    """Return a finding where files are named as labels of these images would be: their owner thinks they are."""
    source = Source(path)
    stems = {PurePosixPath(name).stem for name in images}
    names = [PurePosixPath(name) for name in (source.files() if source.is_container else ())]
    alike = tuple(str(name) for name in names if name.suffix.lower() in LABELS and name.stem in stems)
    if not alike:
        return ()
    what = f"{counted(len(alike), 'file')} with the name of an image, but no labels that can be read"
    advice = (
        "Labels are labelme, PASCAL VOC, YOLO (with data.yaml or classes.txt) or COCO; all images count as unlabelled."
    )
    return (Finding("unknown-labels", "error", what, alike, advice),)


def _files(path: Path) -> tuple[str, ...]:
    source = Source(path)
    names = source.files() if source.is_container else [path.name]
    return tuple(name for name in names if name.lower().endswith(SUFFIXES))
