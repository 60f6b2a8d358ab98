"""labelme: a json an image, with named shapes. https://github.com/wkentaro/labelme

Rectangles and polygons are boxes; where there is not one in a source, its points are keypoints. Images without a json
are negatives. The pixels that a json may carry (`imageData`) are neither read nor written.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.answers import Answer
from viewfinder.data.dataset import Dataset
from viewfinder.data.formats.layout import Layout
from viewfinder.data.formats.marks import Marks, Notes, boxes_dataset, collect, given_splits, in_order, size_of
from viewfinder.data.formats.writing import new_folder, written
from viewfinder.data.targets import PointSets
from viewfinder.errors import DataError

__all__ = ["document", "parse", "parts", "read", "sniff", "write"]

LOOKS_FOR = "images with a labelme .json each"
BOXES = ("rectangle", "polygon")
_LOOK_AT = 50


def sniff(path: Path) -> bool:
    """Whether a folder or a zip holds images, and a json with shapes among the first ones."""
    layout = Layout.of(path)
    return bool(layout.images) and any(b'"shapes"' in layout.content(name) for name in _labels(layout)[:_LOOK_AT])


def parts(path: Path) -> tuple[str, ...]:
    """Return the parts that a path has."""
    return Layout.of(path).parts()


def read(path: Path, part: str) -> Dataset:
    """Return a part: boxes, or keypoints where no box is in any part; classes in alphabetical order.

    Raises DataError where there is no such part, or no json can be used.
    """
    layout, notes = Layout.of(path), Notes()
    there, others, left_out = collect(layout, _labels(layout), part, notes, parse)
    every = [*there.values(), *others.values()]
    keypoints = any(mark.points for mark in every) and not any(mark.classes for mark in every)
    for mark in there.values():
        unused = [] if keypoints else [f"{name} (point)" for name in mark.points]
        notes.add("other-shapes", *[f"{mark.where}: {one}" for one in (*mark.others, *unused)])
    if keypoints:
        return _keypoints(layout, there, in_order({name for mark in every for name in mark.points}), part, notes)
    names = in_order({name for mark in every for name in mark.classes})
    return boxes_dataset(layout, there, names, format="labelme", part=part, notes=notes, left_out=left_out)


def parse(content: bytes, where: str) -> Marks:
    """Return what a json says. Raises DataError where it is not of labelme."""
    said = _loaded(content, where)
    if not isinstance(said, dict) or not isinstance(said.get("shapes"), list):
        raise DataError("is not of labelme: it has no list of shapes", where=where)
    classes, boxes, others = [], [], []
    places: dict[str, tuple[float, float]] = {}
    for number, shape in enumerate(said["shapes"], start=1):
        name, kind, xy = _shape(shape, f"shape {number}", where)
        if kind in BOXES and len(xy) > 1:
            classes.append(name)
            boxes.append([*xy.min(axis=0), *xy.max(axis=0)])
        elif kind == "point" and name not in places:
            places[name] = (float(xy[0, 0]), float(xy[0, 1]))
        else:
            others.append(f"{name} ({kind})")
    return Marks(
        where,
        str(said.get("imagePath") or ""),
        classes,
        np.reshape(boxes, (-1, 4)).astype(np.float64),
        size_of(said.get("imageWidth"), said.get("imageHeight")),
        points=places,
        others=tuple(others),
    )


def write(dataset: Dataset, path: Path) -> None:
    """Write boxes or keypoints: a folder "images", and one "labels" with a json for each image that shows something.

    Raises DataError where the folder exists or the dataset holds something else.
    """
    if dataset.labelled().one(0, dataset.names).kind not in SHAPES:
        raise DataError(f"holds {dataset.task} targets", where=dataset.source, hint="labelme holds boxes and keypoints")
    with new_folder(path) as root:
        for item in written(dataset, root):
            answer = dataset.labelled().one(item.row, dataset.names)
            said = document(answer, f"../images/{item.name}", item.width, item.height)
            if said["shapes"]:
                text = json.dumps(said, indent=2, ensure_ascii=False)
                (item.folder(root, "labels") / f"{item.stem}.json").write_text(text + "\n", encoding="utf-8")


def document(answer: Answer, image: str, width: int, height: int) -> dict[str, Any]:
    """Return an answer of boxes or points as labelme writes it into a json; `image` is relative to that json."""
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": SHAPES[answer.kind](answer),
        "imagePath": image,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def _boxes(answer: Any) -> list[dict[str, Any]]:
    pairs = zip(answer.classes, answer.xyxy.tolist(), strict=True)
    return [_written_shape(name, "rectangle", [box[:2], box[2:]]) for name, box in pairs]


def _points(answer: Any) -> list[dict[str, Any]]:
    pairs = zip(answer.names, answer.xy.tolist(), strict=True)
    return [_written_shape(name, "point", [xy]) for name, xy in pairs if not np.isnan(xy).any()]


SHAPES: dict[str, Callable[[Any], list[dict[str, Any]]]] = {"boxes": _boxes, "points": _points}
"""How an answer's kind is written."""


def _written_shape(name: str, kind: str, points: list[list[float]]) -> dict[str, Any]:
    rounded = [[round(value, 3) for value in point] for point in points]
    return {"label": name, "points": rounded, "group_id": None, "shape_type": kind, "flags": {}}


def _labels(layout: Layout) -> tuple[str, ...]:
    return layout.ending(".json")


def _loaded(content: bytes, where: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise DataError("is not json, or is cut off", where=where) from None


def _shape(shape: Any, which: str, where: str) -> tuple[str, str, NDArray[np.float64]]:
    """Return a shape's name, kind and points (K, 2)."""
    name = shape.get("label") if isinstance(shape, dict) else None
    if name is None or str(name).strip() == "":
        raise DataError(f"{which} has no label", where=where)
    try:
        xy = np.array(shape.get("points"), dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        raise DataError(f"{which} has points that are no numbers", where=where) from None
    if xy.ndim != 2 or xy.shape[1] != 2:
        raise DataError(f"{which} has no points", where=where)
    return str(name).strip(), str(shape.get("shape_type", "polygon")), xy


def _keypoints(layout: Layout, marks: dict[str, Marks], names: tuple[str, ...], part: str, notes: Notes) -> Dataset:
    here = [image for image in layout.images if layout.part(image) == part]
    images = [image for image in here if image in marks]
    notes.add("images-without-labels", *[image for image in here if image not in marks])
    if not images:
        raise DataError(f"has no labels in the part {part!r}", where=layout.source.path)
    unknown = (np.nan, np.nan)
    xy = np.array([[marks[image].points.get(name, unknown) for name in names] for image in images], dtype=np.float32)
    return Dataset(
        "keypoints",
        names,
        layout.column(images),
        PointSets(xy),
        source=str(layout.source.path),
        format="labelme",
        part=part,
        splits=given_splits(layout, images),
        ids=np.array(images),
        notes=notes.findings(),
    )
