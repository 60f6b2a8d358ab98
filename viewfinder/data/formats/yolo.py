"""YOLO: a txt an image, a box a line in shares of the image's size, and a data.yaml. https://docs.ultralytics.com/datasets/detect/

    0 0.512 0.430 0.180 0.255          class, centre x, centre y, width, height
    0 0.4 0.3 0.6 0.3 0.6 0.5          class and a polygon: the box around it is read
    0 0.512 0.430 0.180 0.255 0.5 …    with kpt_shape in data.yaml: a box, and points, which are left out

Images without a txt are negatives. A data.yaml is read where there is one, and refused where it leads out of its
folder; without it the classes come from classes.txt, or are numbers.
"""

from __future__ import annotations

import math
import posixpath
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from viewfinder.data.dataset import Dataset
from viewfinder.data.formats.folders import SPLITS
from viewfinder.data.formats.layout import Layout
from viewfinder.data.formats.marks import Marks, Notes, boxes_dataset, collect
from viewfinder.data.formats.writing import Item, boxes_of, new_folder, number, written
from viewfinder.data.remote import remote
from viewfinder.errors import DataError

__all__ = ["parse", "parts", "read", "sniff", "write"]

LOOKS_FOR = "images with a YOLO .txt each, or a data.yaml"
CLASS_LISTS = ("classes.txt", "obj.names", "_darknet.labels")
_LOOK_AT = 50
_MOST_CLASSES = 10_000


def sniff(path: Path) -> bool:
    """Whether a folder or a zip holds images and a data.yaml, or a txt with boxes among the first ones."""
    layout = Layout.of(path)
    if not layout.images:
        return False
    return _described(layout) is not None or any(map(partial(_holds_boxes, layout), _labels(layout)[:_LOOK_AT]))


def parts(path: Path) -> tuple[str, ...]:
    """Return the parts that a path has. Raises DataError for a data.yaml that leads out of the folder."""
    layout = Layout.of(path)
    return _arranged(layout, _described(layout), Notes()).parts()


def read(path: Path, part: str) -> Dataset:
    """Return a part, with the classes of data.yaml, of classes.txt, or numbers.

    Raises DataError where there is no such part, no txt can be used, or data.yaml leads out of the folder.
    """
    bare, notes = Layout.of(path), Notes()
    said = _described(bare)
    layout = _arranged(bare, said, notes)
    listed = _names(bare, said)
    reading = partial(parse, names=listed, pose=_pose(said))
    there, others, left_out = collect(layout, _labels(layout), part, notes, reading)
    used = {name for mark in (*there.values(), *others.values()) for name in mark.classes}
    names = listed or tuple(map(str, range(max(map(int, used), default=-1) + 1)))
    return boxes_dataset(layout, there, names, format="yolo", part=part, notes=notes, left_out=left_out)


def parse(content: bytes, where: str, names: Sequence[str] = (), pose: int = 0) -> Marks:
    """Return what a txt says; a class beyond `names` keeps its number.

    After a box there may be `pose` numbers, which are points. Raises DataError where a line is no box.
    """
    classes, boxes = [], []
    for i, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), start=1):
        if words := line.split():
            label, box = _line(words, f"line {i}", where, pose)
            classes.append(names[label] if label < len(names) else str(label))
            boxes.append(box)
    return Marks(where, "", classes, np.reshape(boxes, (-1, 4)).astype(np.float64), relative=True)


def write(dataset: Dataset, path: Path) -> None:
    """Write folders "images" and "labels", and data.yaml; images that show nothing have no txt.

    Raises DataError where the folder exists or the dataset holds no boxes.
    """
    boxes = boxes_of(dataset, "yolo")
    with new_folder(path) as root:
        for item in written(dataset, root):
            rows = boxes.select(np.array([item.row]))
            lines = [
                _text(item, label, box) for label, box in zip(rows.classes.tolist(), rows.xyxy.tolist(), strict=True)
            ]
            if lines:
                (item.folder(root, "labels") / f"{item.stem}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        there = [""] if dataset.splits is None else [one for one in ("train", "val", "test") if one in dataset.splits]
        folders = (
            {split: f"{split}/images" for split in there} if there != [""] else {"train": "images", "val": "images"}
        )
        said = {**folders, "names": dict(enumerate(dataset.names))}
        text = yaml.safe_dump(said, sort_keys=False, allow_unicode=True)
        (root / "data.yaml").write_text(text, encoding="utf-8")


def _text(item: Item, label: int, box: list[float]) -> str:
    x0, y0, x1, y1 = box
    shares = ((x0 + x1) / 2 / item.width, (y0 + y1) / 2 / item.height, (x1 - x0) / item.width, (y1 - y0) / item.height)
    return " ".join([str(label), *(number(share, 8) for share in shares)])


def _labels(layout: Layout) -> tuple[str, ...]:
    lists = (*CLASS_LISTS, "train.txt", "val.txt", "test.txt")
    return tuple(name for name in layout.ending(".txt") if posixpath.basename(name).lower() not in lists)


def _holds_boxes(layout: Layout, name: str) -> bool:
    try:
        return layout.image_of(name) is not None and bool(parse(layout.content(name), name).classes)
    except DataError:
        return False


def _line(words: Sequence[str], which: str, where: str, pose: int) -> tuple[int, list[float]]:
    """Return the class and the box, in shares, of a line."""
    try:
        label, *values = (float(word) for word in words)
    except ValueError:
        raise DataError(f"{which} is no box: expected numbers", where=where) from None
    if not label.is_integer() or not 0 <= label < _MOST_CLASSES or len(values) < 4:
        raise DataError(f"{which} is no box: expected a class and 4 shares", where=where)
    if len(values) in (4, 5, 4 + pose, 5 + pose):  # the one more is a score
        x, y, width, height = values[:4]
        return int(label), [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    if pose or len(values) % 2:
        what = f"box with {pose} numbers of points" if pose else "polygon"
        raise DataError(f"{which} is no {what}: {len(values)} numbers", where=where)
    xy = np.reshape(values, (-1, 2))
    return int(label), [*xy.min(axis=0).tolist(), *xy.max(axis=0).tolist()]


def _described(layout: Layout) -> tuple[str, dict[str, Any]] | None:
    """Return the name and the content of the data.yaml, the least deep one; None where there is none."""
    for name in sorted(layout.ending(".yaml", ".yml"), key=lambda name: (name.count("/"), name)):
        try:
            said = yaml.safe_load(layout.content(name))
        except (yaml.YAMLError, ValueError, RecursionError):
            continue
        if isinstance(said, dict) and ("names" in said or "nc" in said) and {*said} & {*SPLITS, "path"}:
            return name, said
    return None


def _names(layout: Layout, said: tuple[str, dict[str, Any]] | None) -> tuple[str, ...]:
    """Return the classes in their order; nothing where no file lists them."""
    if said is None:
        lists = [name for name in layout.files if posixpath.basename(name).lower() in CLASS_LISTS]
        lines = layout.content(lists[0]).decode("utf-8", errors="replace").splitlines() if lists else []
        return tuple(line.strip() for line in lines if line.strip())
    where, content = said
    names, count = content.get("names"), content.get("nc")
    if names is None and isinstance(count, int) and 0 < count <= _MOST_CLASSES:
        return tuple(map(str, range(count)))
    pairs = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(pairs, dict) or not pairs or not all(_is_class(*pair) for pair in pairs.items()):
        raise DataError("has no list of class names", where=where, hint="write names: [face, hand]")
    every = tuple(str(pairs.get(i, i)) for i in range(max(pairs) + 1))
    if len({*every}) < len(every):
        raise DataError("gives two classes one name", where=where)
    return every


def _pose(said: tuple[str, dict[str, Any]] | None) -> int:
    """Return how many numbers of points follow a box: data.yaml says how many points, and how many numbers each."""
    shape = said[1].get("kpt_shape") if said else None
    return math.prod(shape) if isinstance(shape, list) and all(isinstance(one, int) for one in shape) else 0


def _is_class(number: Any, name: Any) -> bool:
    return isinstance(number, int) and 0 <= number < _MOST_CLASSES and isinstance(name, str | int | float)


def _arranged(layout: Layout, said: tuple[str, dict[str, Any]] | None, notes: Notes) -> Layout:
    """Return the layout with the splits that data.yaml gives, and the images of its folders alone."""
    if said is None:
        return layout
    where, content = said
    splits: dict[str, str] = {}
    for key, split in SPLITS.items():
        for folder in _folders(layout, where, content.get("path"), content.get(key), key):
            inside = [image for image in layout.images if _is_in(image, folder)]
            splits = {**dict.fromkeys(inside, split), **splits}
            notes.add("missing-folders", *[f"{where}, {key}: {folder}"] * (not inside))
    if not splits:
        return layout
    notes.add("other-images", *[image for image in layout.images if image not in splits])
    only_train = {*splits.values()} == {"train"}
    images = tuple(image for image in layout.images if image in splits)
    return replace(layout, images=images, splits={} if only_train else splits)


def _folders(layout: Layout, where: str, path: Any, value: Any, key: str) -> list[str]:
    """Return the folders that a key of data.yaml names, relative to the source."""
    values = value if isinstance(value, list) else [value] if value is not None else []
    folders = []
    for one in values:
        if not isinstance(one, str) or not isinstance(path, str | None):
            raise DataError(f"{key} is no path", where=where, hint="name a folder, such as train/images")
        if one.lower().endswith(".txt"):
            raise DataError(f"{key}: {one} is a list of files", where=where, hint="name the folder of the images")
        folders.append(_inside(layout, where, path or "", one, key))
    return folders


def _inside(layout: Layout, where: str, path: str, folder: str, key: str) -> str:
    """Return a folder relative to the source. Raises DataError where it is not inside of it.

    Roboflow writes "../train/images" and means "train/images": that is taken as meant where it is there.
    """
    base, away = posixpath.dirname(where), remote(layout.source.path)
    root = f"/{away.name}" if away else layout.source.path.resolve().as_posix()
    parts = (root, base, path.replace("\\", "/"), folder.replace("\\", "/"))
    there = posixpath.normpath(posixpath.join(*parts)) if away else Path(*parts).resolve().as_posix()
    if there == root or there.startswith(f"{root}/"):
        return posixpath.relpath(there, root)
    meant = posixpath.normpath(posixpath.join(base, folder.replace("\\", "/").removeprefix("../")))
    if not path and folder.startswith("../") and any(_is_in(image, meant) for image in layout.images):
        return meant
    hint = "copy the images into the folder, and write paths relative to it; leave `path` out"
    raise DataError(f"{key}: {posixpath.join(path, folder)} is outside of the folder", where=where, hint=hint)


def _is_in(image: str, folder: str) -> bool:
    return folder in ("", ".") or image.startswith(f"{folder}/")
