"""COCO: one json for many images. https://cocodataset.org/#format-data

Ids are arbitrary: classes are those of `categories` in the order of their ids. Where there is a json a split
(`instances_train2017.json`, `valid/_annotations.coco.json`), the splits are kept. An image that no json lists was not
looked at, and is left out; one that is listed without an annotation is a negative. Crowds are left out.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from viewfinder.data.dataset import Dataset
from viewfinder.data.formats.folders import SPLITS
from viewfinder.data.formats.layout import Layout
from viewfinder.data.formats.marks import Marks, Notes, boxes_dataset, size_of
from viewfinder.data.formats.writing import Item, boxes_of, new_folder, written
from viewfinder.errors import DataError

__all__ = ["parts", "read", "sniff", "write"]

LOOKS_FOR = "images with a COCO .json"
_LOOK_AT = 50
_NO_BOX = [float("nan")] * 4


def sniff(path: Path) -> bool:
    """Whether a folder or a zip holds images, and a json with categories and images among the first ones."""
    layout = Layout.of(path)
    contents = (layout.content(name) for name in layout.ending(".json")[:_LOOK_AT])
    return bool(layout.images) and any(b'"categories"' in content and b'"images"' in content for content in contents)


def parts(path: Path) -> tuple[str, ...]:
    """Return the parts that a path has."""
    layout = Layout.of(path)
    files = _files(layout, Notes())
    return _arranged(layout, files).parts()


def read(path: Path, part: str) -> Dataset:
    """Return a part. Raises DataError where there is no such part, or no json can be used."""
    bare, notes = Layout.of(path), Notes()
    files = _files(bare, notes)
    layout = _arranged(bare, files)
    names = tuple(dict.fromkeys(name for file in files for _, name in sorted(file.categories.items(), key=_by_id)))
    marks: dict[str, Marks] = {}
    for file in files:
        found = file.marks(layout)
        own = Notes()
        for image, mark in found.items():
            if image in marks:
                own.add("duplicate-labels", f"{mark.where}: {image}, as {marks[image].where}")
            elif layout.part(image) == part:
                marks[image] = mark
        if not file.split or (file.split == "test") == (part == "test"):
            notes.merge(file.notes)
            notes.merge(own)
    return boxes_dataset(layout, marks, names, format="coco", part=part, notes=notes, negatives=False)


def write(dataset: Dataset, path: Path) -> None:
    """Write a folder "images" and annotations.json, for each split where there are splits.

    Raises DataError where the folder exists or the dataset holds no boxes.
    """
    boxes = boxes_of(dataset, "coco")
    categories = [{"id": i, "name": name} for i, name in enumerate(dataset.names, start=1)]
    with new_folder(path) as root:
        said: dict[str, dict[str, list[Any]]] = defaultdict(lambda: {"images": [], "annotations": []})
        for item in written(dataset, root):
            rows = boxes.select(np.array([item.row]))
            one = said[item.split]
            one["images"].append(
                {"id": item.row + 1, "file_name": item.name, "width": item.width, "height": item.height}
            )
            first = int(boxes.offsets[item.row]) + 1
            one["annotations"] += _annotations(item, first, rows.classes.tolist(), rows.xyxy.tolist())
        for split, content in said.items():
            text = json.dumps({**content, "categories": categories}, ensure_ascii=False)
            (root / split / "annotations.json").write_text(text + "\n", encoding="utf-8")


def _annotations(item: Item, first: int, classes: list[int], boxes: list[list[float]]) -> Iterable[dict[str, Any]]:
    for i, (label, (x0, y0, x1, y1)) in enumerate(zip(classes, boxes, strict=True), start=first):
        width, height = round(x1 - x0, 3), round(y1 - y0, 3)
        yield {
            "id": i,
            "image_id": item.row + 1,
            "category_id": label + 1,
            "bbox": [round(x0, 3), round(y0, 3), width, height],
            "area": round(width * height, 3),
            "iscrowd": 0,
        }


@dataclass(frozen=True)
class _File:
    """One json.

    Args:
        name: where it is.
        images: its entries by their ids.
        annotations: lists of entries by the ids of their images; None where the file has none at all.
        categories: names by id.
    """

    name: str
    images: dict[Any, dict[str, Any]]
    annotations: dict[Any, list[dict[str, Any]]] | None
    categories: dict[Any, str]
    notes: Notes = field(default_factory=Notes)

    @classmethod
    def of(cls, name: str, content: bytes) -> _File:
        """Return what a json says. Raises DataError where it is not of COCO."""
        try:
            said = json.loads(content)
        except (ValueError, RecursionError):
            raise DataError("is not json, or is cut off", where=name) from None
        if not isinstance(said, dict) or not all(_are_entries(said.get(key)) for key in ("images", "categories")):
            raise DataError("is not of COCO: expected lists of images and categories", where=name)
        if not _are_entries(said.get("annotations", [])):
            raise DataError("is not of COCO: its annotations are no list", where=name)
        notes = Notes()
        annotations: dict[Any, list[dict[str, Any]]] | None = defaultdict(list) if "annotations" in said else None
        if annotations is not None:
            for one in _unique(said["annotations"], "annotation", name, notes, keep=True):
                annotations[_id(one.get("image_id"))].append(one)
        categories = {
            _id(one.get("id")): str(one.get("name", one.get("id")))
            for one in _unique(said["categories"], "category", name, notes)
        }
        images = {_id(one.get("id")): one for one in _unique(said["images"], "image", name, notes)}
        return cls(name, images, annotations, categories, notes)

    @property
    def split(self) -> str:
        """The split that the file's name, or a folder above it, says."""
        words = [word for part in reversed(self.name.lower().split("/")) for word in re.split(r"[^a-z]+", part)]
        return next((SPLITS[word] for word in words if word in SPLITS), "")

    def find(self, layout: Layout, entry: dict[str, Any]) -> str | None:
        """Return the image that an entry is about."""
        folder = posixpath.dirname(self.name)
        folders = [folder, f"{folder}/images", f"{posixpath.dirname(folder)}/images", "", "images"]
        return layout.find(str(entry.get("file_name", "")), folders if folder else ["", "images"])

    def marks(self, layout: Layout) -> dict[str, Marks]:
        """Return marks by image, and note entries without one."""
        marks: dict[str, Marks] = {}
        if self.annotations is None:
            return marks
        for key, entry in self.images.items():
            image = self.find(layout, entry)
            if image is None:
                self.notes.add("labels-without-images", f"{self.name}: {entry.get('file_name')}")
            elif image in marks:
                self.notes.add("duplicate-labels", f"{self.name}: {entry.get('file_name')}")
            else:
                marks[image] = self._marks(entry, self.annotations.get(key, []), image)
        for key in self.annotations.keys() - self.images.keys():
            self.notes.add("labels-without-images", f"{self.name}: annotations of image {key}")
        return marks

    def _marks(self, entry: dict[str, Any], annotations: list[dict[str, Any]], image: str) -> Marks:
        where = f"{self.name}: {entry.get('file_name')}"
        crowds = [one for one in annotations if one.get("iscrowd")]
        self.notes.add("crowds", *[where] * len(crowds))
        objects = [one for one in annotations if not one.get("iscrowd")]
        ids = [_id(one.get("category_id")) for one in objects]
        classes = [self.categories.get(number, f"category {number}") for number in ids]
        xyxy = np.reshape([_box(one.get("bbox")) for one in objects], (-1, 4)).astype(np.float64)
        xyxy[:, 2:] += xyxy[:, :2]
        return Marks(where, image, classes, xyxy, size_of(entry.get("width"), entry.get("height")))


def _files(layout: Layout, notes: Notes) -> list[_File]:
    """Return all files of COCO; of a download with captions and keypoints beside them only the boxes'."""
    every = layout.ending(".json")
    chosen = [name for name in every if posixpath.basename(name).startswith("instances")] or every
    files, faults = [], []
    for name in chosen:
        try:
            files.append(_File.of(name, layout.content(name)))
        except DataError as error:
            faults.append(f"{name}: {error.what}")
    if not files:
        raise DataError(
            f"no label file can be used, such as {faults[0]}" if faults else "holds no json", where=layout.source.path
        )
    notes.add("unreadable-labels", *faults)
    return files


def _arranged(layout: Layout, files: list[_File]) -> Layout:
    """Return the layout with the splits that the files' names say."""
    if not all(file.split for file in files):
        return layout
    splits = {file.find(layout, entry): file.split for file in reversed(files) for entry in file.images.values()}
    given = {image: split for image, split in splits.items() if image is not None}
    only_train = {*given.values(), *layout.splits.values()} == {"train"}
    return replace(layout, splits={} if only_train else {**layout.splits, **given})


def _unique(
    entries: list[dict[str, Any]], noun: str, where: str, notes: Notes, keep: bool = False
) -> Iterable[dict[str, Any]]:
    """Yield entries, and note ids that are used twice; of those the first one alone unless `keep`."""
    seen: set[Any] = set()
    for entry in entries:
        if (key := _id(entry.get("id"))) in seen and "id" in entry:
            notes.add("duplicate-ids", f"{where}: {noun} {key}")
            if not keep:
                continue
        seen.add(key)
        yield entry


def _are_entries(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _id(value: Any) -> Any:
    """Return an id by which the lists of a file find each other: 7, "7" and 7.0 are one, as pandas may have written."""
    if value is None:
        return None
    text = str(int(value) if isinstance(value, float) and value.is_integer() else value)
    return int(text) if text.isdecimal() and text == str(int(text)) else text


def _by_id(pair: tuple[Any, str]) -> tuple[bool, int, str]:
    number = pair[0]
    return not isinstance(number, int), number if isinstance(number, int) else 0, str(number)


def _box(value: Any) -> list[float]:
    """Return x, y, width, height; NaN where that is not what it is."""
    if not isinstance(value, list) or len(value) != 4:
        return _NO_BOX
    try:
        return [float(side) for side in value]
    except (TypeError, ValueError, OverflowError):
        return _NO_BOX
