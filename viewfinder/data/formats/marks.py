"""What label files say, checked once and for all, as a dataset.

A format's reader turns its files into `Marks`; here they meet the images. What does not fit becomes a finding with the
file's name: a box that reaches outside its image is clipped, one without an area is dropped, and an image whose
label file cannot be used, or holds a box of no place or of an unknown class, is left out: nobody knows what is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.boxes import areas, clipped
from viewfinder.data.dataset import Dataset
from viewfinder.data.findings import Finding, Severity, counted
from viewfinder.data.formats.layout import Layout
from viewfinder.data.targets import BoxSets
from viewfinder.errors import DataError

__all__ = ["Marks", "Notes", "boxes_dataset", "collect", "given_splits", "in_order", "size_of"]

Boxes = NDArray[np.float64]

KINDS: dict[str, tuple[Severity, str, str, str]] = {
    "unreadable-labels": (
        "error",
        "label file",
        "cannot be used; the images are left out",
        "Repair or delete them: nobody knows what these images show.",
    ),
    "unknown-classes": (
        "error",
        "box",
        "of a class that is not in the list; their images are left out",
        "Add the class to the list.",
    ),
    "value-range": ("error", "box", "with a side that is no number; their images are left out", "Draw them again."),
    "missing-folders": ("warning", "folder", "without images", "Correct the paths in data.yaml."),
    "labels-without-images": ("warning", "label", "without an image; left out", "Add the images or delete the labels."),
    "duplicate-labels": ("warning", "label", "about an image that has one already; left out", "Keep one of them."),
    "duplicate-ids": (
        "warning",
        "id",
        "used twice",
        "Number them anew; of images and categories the first one counts.",
    ),
    "wrong-size": (
        "warning",
        "label",
        "with another size than the image",
        "Look at them with `viewfinder show`: was the image changed after it was labelled?",
    ),
    "empty-boxes": ("warning", "box", "without an area inside the image; left out", "Draw them again, or delete them."),
    "images-without-labels": ("warning", "image", "without labels; left out", "Label them, or delete them."),
    "other-shapes": (
        "warning",
        "shape",
        "left out",
        "Rectangles and polygons are read as boxes; points, where there are no boxes, as keypoints.",
    ),
    "clipped-boxes": ("info", "box", "reached outside the image and was clipped", ""),
    "negatives": ("info", "image", "without a label file: there is nothing in it, as far as training knows", ""),
    "crowds": ("info", "crowd", "left out: a box around many objects says nothing about one", ""),
    "other-images": ("info", "image", "left out: in none of the folders that data.yaml names", ""),
    "other-files": ("info", "file", "left out: neither images nor labels", ""),
}
"""Severity, what it is about, what is said of it, and advice."""
PLURALS = {"box": "boxes", "was": "were", "it": "them", "has": "have"}


@dataclass
class Notes:
    """Findings while a source is read: places by kind of finding."""

    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, *places: str) -> None:
        """Note places where something of a kind, a key of `KINDS`, was found."""
        self.places.setdefault(kind, []).extend(places)

    def merge(self, other: Notes) -> None:
        """Add all that others noted."""
        for kind, places in other.places.items():
            self.add(kind, *places)

    def first_error(self) -> str:
        """Return what to add to a sentence about labels: " that can be used, such as a.json: …", or nothing."""
        errors = [place for kind, found in self.places.items() if KINDS[kind][0] == "error" for place in found]
        return f" that can be used, such as {errors[0]}" if errors else ""

    def findings(self) -> tuple[Finding, ...]:
        """Return a finding for each kind."""
        return tuple(self._finding(kind, places) for kind, places in self.places.items() if places)

    def _finding(self, kind: str, places: list[str]) -> Finding:
        severity, noun, said, advice = KINDS[kind]
        words = [PLURALS.get(word, word) if len(places) > 1 else word for word in said.split(" ")]
        return Finding(kind, severity, f"{counted(len(places), noun)} {' '.join(words)}", tuple(places), advice)


@dataclass(frozen=True)
class Marks:
    """What one label file says about one image.

    Args:
        where: the label file, for people.
        image: the image's path in the source; what the label file calls it until `collect` has found it.
        classes: the class of each box.
        xyxy: (M, 4) float64 in pixels, or in shares of the image's size where `relative`; corners in any order.
        size: the width and height that the file gives, if it does.
        points: the place of each named point.
        others: what else is marked, in words.
    """

    where: str
    image: str
    classes: Sequence[str] = ()
    xyxy: Boxes = field(default_factory=lambda: np.zeros((0, 4)))
    size: tuple[int, int] | None = None
    relative: bool = False
    points: dict[str, tuple[float, float]] = field(default_factory=dict)
    others: tuple[str, ...] = ()


def collect(
    layout: Layout, files: Sequence[str], part: str, notes: Notes, parse: Callable[[bytes, str], Marks]
) -> tuple[dict[str, Marks], dict[str, Marks], frozenset[str]]:
    """Read one label file an image.

    Args:
        layout: where the files are.
        files: the label files.
        part: which one notes are about.
        notes: where to note what is wrong.
        parse: makes marks from a file's bytes and its name; raises DataError where it cannot.

    Returns:
        The marks by image of the part, those of all other parts, and the images whose label file cannot be used.

    Raises:
        DataError: no label file can be used.
    """
    marks: dict[str, Marks] = {}
    unusable: dict[str, str] = {}
    readable = 0
    for file, content in zip(files, layout.contents(files), strict=True):
        try:
            if isinstance(content, DataError):
                raise content
            said = parse(content, file)
        except DataError as error:
            image = layout.image_of(file)
            unusable |= {image or file: f"{file}: {error.what}"}
            inside = (layout.part_of_file(file) if image is None else layout.part(image)) == part
            notes.add("other-files" if image is None else "unreadable-labels", *[unusable[image or file]] * inside)
            continue
        readable += 1
        image = layout.image_of(file, said.image)
        if image is None:
            notes.add("labels-without-images", *[file] * (layout.part_of_file(file) == part))
        elif image in marks:
            notes.add("duplicate-labels", *[f"{file}: as {marks[image].where}"] * (layout.part(image) == part))
        else:
            marks[image] = replace(said, where=file, image=image)
    if not readable and unusable:
        raise DataError(f"no label file can be used, such as {next(iter(unusable.values()))}", where=layout.source.path)
    here = {image: mark for image, mark in marks.items() if layout.part(image) == part}
    others = {image: mark for image, mark in marks.items() if layout.part(image) != part}
    return here, others, frozenset(unusable) - frozenset(marks)


def boxes_dataset(
    layout: Layout,
    marks: dict[str, Marks],
    names: Sequence[str],
    *,
    format: str,
    part: str,
    notes: Notes,
    left_out: frozenset[str] = frozenset(),
    negatives: bool = True,
) -> Dataset:
    """Return a part of a source as a dataset of boxes.

    Args:
        layout: where the images are.
        marks: by image.
        names: the classes.
        format: the format's name.
        part: "train" or "test".
        notes: what was found already; more is added.
        left_out: images of which nothing can be said.
        negatives: whether an image without marks shows nothing, or was forgotten and is left out.

    Raises:
        DataError: there is no such part, or nothing of it is left.
    """
    images = [image for image in layout.images if layout.part(image) == part]
    if not images:
        raise DataError(f"has no part {part!r}", where=layout.source.path, hint=f"parts: {', '.join(layout.parts())}")
    unlabelled = part == "test" and not marks and not left_out
    if not unlabelled:
        images = _known(images, marks, left_out, negatives, notes)
    images = _clear(images, marks, frozenset(names), notes)
    if not images:
        what = f"no image has labels{notes.first_error()}"
        raise DataError(what, where=layout.source.path, hint=f"are they {format} labels?")
    targets = None if unlabelled else _targets(layout, images, marks, names, notes)
    return Dataset(
        "detect",
        tuple(names),
        layout.column(images),
        targets,
        source=str(layout.source.path),
        format=format,
        part=part,
        splits=given_splits(layout, images),
        ids=np.array(images),
        notes=notes.findings(),
    )


def given_splits(layout: Layout, images: Sequence[str]) -> NDArray[np.str_] | None:
    """Return (N,) the splits of images where the layout has train and val, None where it leaves the choice."""
    splits = [layout.splits.get(image, "") for image in images]
    return np.array(splits) if {"train", "val"} <= {*splits} else None


def size_of(width: Any, height: Any) -> tuple[int, int] | None:
    """Return a width and a height that a file gives, None where they are no whole numbers above 0."""
    whole = isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0
    return (width, height) if whole else None


def in_order(names: set[str]) -> tuple[str, ...]:
    """Return class names in alphabetical order, numbers by their value."""
    return tuple(sorted(names, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)))


def _known(
    images: Sequence[str], marks: dict[str, Marks], left_out: frozenset[str], negatives: bool, notes: Notes
) -> list[str]:
    """Return the images of which it is known what they show; those without a label are noted."""
    without = (image for image in images if image not in marks and image not in left_out)
    notes.add("negatives" if negatives else "images-without-labels", *without)
    return [image for image in images if image in marks or (negatives and image not in left_out)]


def _clear(images: Sequence[str], marks: dict[str, Marks], known: frozenset[str], notes: Notes) -> list[str]:
    """Return the images whose boxes all have a place and a known class."""
    clear = []
    for image in images:
        mark = marks.get(image)
        doubts = [] if mark is None else list(_doubts(mark, known))
        for kind, place in doubts:
            notes.add(kind, place)
        if not doubts:
            clear.append(image)
    return clear


def _doubts(mark: Marks, known: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield a kind of finding and a place for each box without a place or a known class."""
    with np.errstate(over="ignore"):
        finite = np.asarray(np.isfinite(mark.xyxy.astype(np.float32)).all(axis=1))
    for name, box, there in zip(mark.classes, mark.xyxy, finite, strict=True):
        if not there or name not in known:
            kind = "unknown-classes" if there else "value-range"
            yield kind, f"{mark.where}: {name} ({_shown(box)})"


def _targets(
    layout: Layout, images: Sequence[str], marks: dict[str, Marks], names: Sequence[str], notes: Notes
) -> BoxSets:
    nothing = Marks("", "")
    every = [marks.get(image, nothing) for image in images]
    sizes = _sizes(layout, images, every, notes)
    index = {name: i for i, name in enumerate(names)}
    xyxy = [
        _upright(one.xyxy) * (np.tile(size, 2) if one.relative else 1.0) for one, size in zip(every, sizes, strict=True)
    ]
    ids = [np.array([index[name] for name in one.classes], dtype=np.int64) for one in every]
    boxes = BoxSets.of(xyxy, ids)
    said = np.concatenate([np.zeros(0, dtype=object), *(np.array(one.classes, dtype=object) for one in every)])
    rows = boxes.samples
    inside = clipped(boxes.xyxy, sizes[rows])
    empty = ~(areas(inside) > 0)
    cut = ~empty & (np.abs(inside - boxes.xyxy) > 0.01).any(axis=1)
    for kind, which in {"empty-boxes": empty, "clipped-boxes": cut}.items():
        for i in np.flatnonzero(which).tolist():
            notes.add(kind, f"{every[rows[i]].where}: {said[i]} ({_shown(boxes.xyxy[i])})")
    return BoxSets(inside, boxes.classes, boxes.offsets).kept(~empty)


def _sizes(layout: Layout, images: Sequence[str], every: Sequence[Marks], notes: Notes) -> NDArray[np.float64]:
    """Return (N, 2) widths and heights; without end for images that cannot be read, which `check` names."""
    sizes = np.full((len(images), 2), np.inf)
    rows = [row for row, one in enumerate(every) if len(one.classes)]
    for row, size in zip(rows, layout.sizes([images[row] for row in rows]), strict=True):
        one = every[row]
        if size is None:
            sizes[row] = 1.0 if one.relative else np.inf
            continue
        sizes[row] = size
        if one.size is not None and one.size != size:
            notes.add("wrong-size", f"{one.where}: {one.size[0]}×{one.size[1]}, the image is {size[0]}×{size[1]}")
    return sizes


def _upright(xyxy: Boxes) -> Boxes:
    """Return boxes whose corners are in order: first the smaller x and y."""
    return np.concatenate([np.minimum(xyxy[:, :2], xyxy[:, 2:]), np.maximum(xyxy[:, :2], xyxy[:, 2:])], axis=1)


def _shown(box: NDArray[Any]) -> str:
    return ", ".join(f"{side:.6g}" for side in box.tolist())
