"""PASCAL VOC: an xml an image. http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/

Numbers are taken as labelImg, CVAT and Roboflow write them: edges in pixels, from 0 to the image's width and height.
(The original challenge counted pixels from 1, the last one included: its boxes begin one pixel too far right and down.)
A negative is an xml without objects; an image without an xml was not looked at, and is left out.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, SubElement, indent, tostring

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from viewfinder.data.dataset import Dataset
from viewfinder.data.formats.layout import Layout
from viewfinder.data.formats.marks import Marks, Notes, boxes_dataset, collect, in_order
from viewfinder.data.formats.writing import Item, boxes_of, new_folder, number, written
from viewfinder.errors import DataError

__all__ = ["parse", "parts", "read", "sniff", "write"]

LOOKS_FOR = "images with a PASCAL VOC .xml each"
SIDES = ("xmin", "ymin", "xmax", "ymax")
_LOOK_AT = 50


def sniff(path: Path) -> bool:
    """Whether a folder or a zip holds images, and an xml with an annotation among the first ones."""
    layout = Layout.of(path)
    return bool(layout.images) and any(b"<annotation" in layout.content(name) for name in _labels(layout)[:_LOOK_AT])


def parts(path: Path) -> tuple[str, ...]:
    """Return the parts that a path has."""
    return Layout.of(path).parts()


def read(path: Path, part: str) -> Dataset:
    """Return a part; its classes are those of all parts' files, in alphabetical order.

    Raises DataError where there is no such part, or no xml can be used.
    """
    layout, notes = Layout.of(path), Notes()
    there, others, left_out = collect(layout, _labels(layout), part, notes, parse)
    names = in_order({name for mark in (*there.values(), *others.values()) for name in mark.classes})
    return boxes_dataset(layout, there, names, format="voc", part=part, notes=notes, left_out=left_out, negatives=False)


def parse(content: bytes, where: str) -> Marks:
    """Return what an xml says. Raises DataError where it is not of PASCAL VOC, or declares entities."""
    try:
        root = fromstring(content)
    except DefusedXmlException:
        raise DataError("declares entities, which is refused", where=where) from None
    except (ParseError, ValueError, LookupError):
        raise DataError("is not xml, or is cut off", where=where) from None
    if root.tag != "annotation":
        raise DataError(f"is not of PASCAL VOC: it begins with <{root.tag}>", where=where)
    objects = [_object(one, f"object {i}", where) for i, one in enumerate(root.findall("object"), start=1)]
    return Marks(
        where,
        (root.findtext("filename") or "").strip(),
        [name for name, _ in objects],
        np.reshape([box for _, box in objects], (-1, 4)).astype(np.float64),
        _size(root),
    )


def write(dataset: Dataset, path: Path) -> None:
    """Write a folder "images", and one "annotations" with an xml for each image.

    Raises DataError where the folder exists or the dataset holds no boxes.
    """
    boxes = boxes_of(dataset, "voc")
    with new_folder(path) as root:
        for item in written(dataset, root):
            answer = boxes.one(item.row, dataset.names)
            tree = _annotation(item, answer.classes, answer.xyxy.tolist())
            indent(tree)
            (item.folder(root, "annotations") / f"{item.stem}.xml").write_bytes(
                tostring(tree, encoding="utf-8") + b"\n"
            )


def _labels(layout: Layout) -> tuple[str, ...]:
    return layout.ending(".xml")


def _object(one: Element, which: str, where: str) -> tuple[str, list[float]]:
    """Return an object's class and its box."""
    name = (one.findtext("name") or "").strip()
    if not name:
        raise DataError(f"{which} has no name", where=where)
    try:
        return name, [float(one.findtext(f"bndbox/{side}") or "missing") for side in SIDES]
    except ValueError:
        raise DataError(f"{which}, {name}, has no box: expected {', '.join(SIDES)}", where=where) from None


def _size(root: Element) -> tuple[int, int] | None:
    try:
        width, height = (int(float(root.findtext(f"size/{side}") or 0)) for side in ("width", "height"))
    except (ValueError, OverflowError):
        return None
    return (width, height) if width > 0 and height > 0 else None


def _annotation(item: Item, classes: tuple[str, ...], boxes: list[list[float]]) -> Element:
    root = Element("annotation")
    SubElement(root, "folder").text = "images"
    SubElement(root, "filename").text = item.name
    size = SubElement(root, "size")
    for tag, value in (("width", item.width), ("height", item.height), ("depth", 3)):
        SubElement(size, tag).text = str(value)
    for name, box in zip(classes, boxes, strict=True):
        one = SubElement(root, "object")
        SubElement(one, "name").text = name
        for tag in ("truncated", "difficult"):
            SubElement(one, tag).text = "0"
        sides = SubElement(one, "bndbox")
        for tag, side in zip(SIDES, box, strict=True):
            SubElement(sides, tag).text = number(side)
    return root
