"""Answers as labels, to be corrected instead of drawn: a folder that the labelling tools and viewfinder itself read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.appearing import try_place
from viewfinder.data.boxes import areas, clipped
from viewfinder.data.dataset import Dataset
from viewfinder.data.formats.folders import check_names
from viewfinder.data.reading import write
from viewfinder.data.targets import BoxSets, Labels, PointSets, Targets
from viewfinder.deploy.pictures import Pictures
from viewfinder.deploy.predictor import Predictor
from viewfinder.deploy.stream import Answered, Progress, answers, told
from viewfinder.errors import DataError, InputError, nearest

__all__ = ["Prelabels", "check_format", "write_prelabels"]

FORMATS: Mapping[str, tuple[str, ...]] = {
    "labelme": ("boxes", "points"),
    "voc": ("boxes",),
    "yolo": ("boxes",),
    "coco": ("boxes",),
    "folders": ("label",),
}
"""The kinds of answers that a format holds."""


@dataclass(frozen=True)
class Prelabels:
    """What was written: the folder, how many images, how many of them show nothing, and those that are left out."""

    folder: Path
    count: int
    negatives: int
    unreadable: tuple[DataError, ...]


def check_format(format: str, predictor: Predictor) -> None:
    """Raise InputError where a format is unknown, or holds no answers of this model's kind."""
    kind = predictor.about.answer
    fitting = [name for name, kinds in FORMATS.items() if kind in kinds]
    if format not in FORMATS:
        raise InputError(f"unknown format {format!r}", where="--as", hint=nearest(format, fitting))
    if format not in fitting:
        hint = f"this model's can be written as {', '.join(fitting)}"
        raise InputError(f"{format} holds no answers of the kind {kind!r}", where="--as", hint=hint)


def write_prelabels(
    predictor: Predictor,
    pictures: Pictures,
    out: Path,
    format: str,
    *,
    threads: int = 1,
    progress: Progress = lambda done, of: None,
) -> Prelabels:
    """Answer images and write them with their answers as labels into a new folder, which appears when all is done.

    Photos keep their bytes. Boxes end at the edges of their image, and points outside of it are left out.

    Args:
        predictor: the model file, loaded for one thread; its threshold decides what becomes a label.
        pictures: the images; those that cannot be read are left out and named in what is returned.
        out: the folder.
        format: "labelme", "voc", "yolo", "coco"; "folders" for classes.
        threads: how many images are worked on at once.
        progress: called with (done, of) after each image.

    Raises:
        InputError: the format does not hold such answers.
        DataError: there is something at `out` already, no folder can be called like a class, or no image can be read.
        OSError: nothing can be written there; that is found out first.
    """
    check_format(format, predictor)
    if format == "folders":
        check_names(predictor.names, predictor.path.name, hint="write a table with --table")
    if out.exists():
        hint = "choose another --out: labels that somebody may have corrected are never replaced"
        raise DataError("exists", where=out, hint=hint)
    try_place(out)
    images = pictures.column()
    readable: list[Answered] = []
    unreadable: list[DataError] = []
    for one in told(answers(predictor, pictures, [range(len(pictures))], threads), progress, len(pictures)):
        if isinstance(one.answer, DataError):
            unreadable.append(one.answer)
        else:
            readable.append(one)
    if not readable:
        raise DataError(f"none of {len(pictures):,} images can be read", where=pictures.name(0))
    kind, column = COLUMNS[predictor.about.answer]
    targets = column(readable, predictor.names)
    chosen = images.select(np.array([one.row for one in readable], dtype=np.int64))
    write(Dataset(kind, predictor.names, chosen, targets), out, format)
    negatives = int((targets.counts == 0).sum()) if isinstance(targets, BoxSets) else 0
    return Prelabels(out, len(readable), negatives, tuple(unreadable))


def _boxes(readable: Sequence[Answered], names: Sequence[str]) -> BoxSets:
    xyxy, classes = [], []
    for one in readable:
        answer: Any = one.answer
        inside = clipped(answer.xyxy, _size(one))
        kept = np.flatnonzero(areas(inside) > 0)
        xyxy.append(inside[kept])
        classes.append(np.array([names.index(answer.classes[i]) for i in kept], dtype=np.int64))
    return BoxSets.of(xyxy, classes)


def _points(readable: Sequence[Answered], names: Sequence[str]) -> PointSets:
    xy = np.stack([np.asarray(_said(one).xy) for one in readable])
    sizes = np.stack([_size(one) for one in readable])
    inside = ((xy >= 0) & (xy <= sizes[:, None])).all(axis=2, keepdims=True)
    return PointSets(np.where(inside, xy, np.nan).astype(np.float32))


def _labels(readable: Sequence[Answered], names: Sequence[str]) -> Labels:
    return Labels(np.array([names.index(_said(one).label) for one in readable], dtype=np.int64))


COLUMNS: Mapping[str, tuple[str, Callable[[Sequence[Answered], Sequence[str]], Targets]]] = {
    "boxes": ("detect", _boxes),
    "points": ("keypoints", _points),
    "label": ("classify", _labels),
}
"""By the kind of the answers: the kind of dataset, and how its targets are made of them."""


def _said(one: Answered) -> Any:
    return one.answer


def _size(one: Answered) -> NDArray[np.float64]:
    return np.array([one.width, one.height], dtype=np.float64)
