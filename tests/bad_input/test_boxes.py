"""Box labels that cannot be used: one line or one finding that names the file, never a traceback."""

from __future__ import annotations

import json
import struct
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

import viewfinder as vf
from tests.commands import Commands
from viewfinder.errors import DataError

BOMB = """<?xml version="1.0"?>
<!DOCTYPE annotation [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]>
<annotation><object><name>&c;</name></object></annotation>"""
OUTSIDE = """<?xml version="1.0"?>
<!DOCTYPE annotation [<!ENTITY secret SYSTEM "file:///etc/hostname">]>
<annotation><object><name>&secret;</name></object></annotation>"""
GOOD_XML = (
    "<annotation><object><name>face</name><bndbox>"
    "<xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
)
GOOD_JSON = {"shapes": [{"label": "face", "points": [[1, 2], [9, 9]], "shape_type": "rectangle"}]}


def photos(root: Path, *names: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        pixels = np.random.default_rng(len(name)).integers(0, 256, (20, 30, 3)).astype(np.uint8)
        (root / name).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return root


def broken(root: Path) -> tuple[str, ...]:
    return next(note.where for note in vf.read(root).notes if note.id == "unreadable-labels")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{", "is not json, or is cut off"),
        ("[" * 100_000, "is not json, or is cut off"),
        ("[1, 2]", "is not of labelme"),
        ('{"shapes": 7}', "is not of labelme"),
        ('{"shapes": [7]}', "shape 1 has no label"),
        ('{"shapes": [{"points": [[1, 2], [3, 4]]}]}', "shape 1 has no label"),
        ('{"shapes": [{"label": "a"}]}', "shape 1 has no points"),
        ('{"shapes": [{"label": "a", "points": [[1, 2], [3]]}]}', "shape 1 has points that are no numbers"),
        ('{"shapes": [{"label": "a", "points": [["x", 2]]}]}', "shape 1 has points that are no numbers"),
        ('{"shapes": [{"label": "a", "points": [1, 2]}]}', "shape 1 has no points"),
    ],
)
def test_a_json_that_is_not_of_labelme_is_named_and_its_image_left_out(
    content: str, fault: str, tmp_path: Path
) -> None:
    photos(tmp_path, "a.png", "b.png")
    (tmp_path / "a.json").write_text(json.dumps(GOOD_JSON))
    (tmp_path / "b.json").write_text(content)
    assert broken(tmp_path)[0].startswith(f"b.json: {fault}")
    assert len(vf.read(tmp_path)) == 1


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (BOMB, "declares entities, which is refused"),
        (OUTSIDE, "declares entities, which is refused"),
        (GOOD_XML[:60], "is not xml, or is cut off"),
        ("<svg/>", "is not of PASCAL VOC: it begins with <svg>"),
        (GOOD_XML.replace("<xmax>9</xmax>", ""), "object 1, face, has no box"),
        (GOOD_XML.replace("<xmax>9<", "<xmax>wide<"), "object 1, face, has no box"),
        (GOOD_XML.replace("face", " "), "object 1 has no name"),
        ('<?xml version="1.0" encoding="nothing"?><annotation/>', "is not xml, or is cut off"),
    ],
)
def test_an_xml_that_cannot_be_used_is_named_and_entities_are_refused(content: str, fault: str, tmp_path: Path) -> None:
    photos(tmp_path, "a.png", "b.png")
    (tmp_path / "a.xml").write_text(GOOD_XML)
    (tmp_path / "b.xml").write_text(content)
    assert broken(tmp_path)[0].startswith(f"b.xml: {fault}")


def test_an_entity_bomb_alone_is_one_line(viewfinder: Commands, tmp_path: Path) -> None:
    photos(tmp_path, "a.png")
    (tmp_path / "a.xml").write_text(BOMB)
    done = viewfinder("check", tmp_path)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "a.xml: declares entities, which is refused" in done.err


@pytest.mark.parametrize(
    "said",
    [
        "train: ../outside/images",
        "train: images\nval: /etc",
        "path: /etc\ntrain: images",
        "path: ..\ntrain: outside",
        "path: ../outside\ntrain: .",
        "train: images/../../outside",
        "train: ..\\outside",
    ],
)
def test_a_data_yaml_that_leads_outside_is_refused(said: str, tmp_path: Path, viewfinder: Commands) -> None:
    photos(tmp_path / "outside", "secret.png")
    root = tmp_path / "set"
    root.mkdir()
    photos(root / "images", "a.png")
    (root / "data.yaml").write_text(f"{said}\nnames: [face]\n")
    done = viewfinder("check", root)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "data.yaml" in done.err and "is outside of the folder" in done.err


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("train: images\nnames: 7", "has no list of class names"),
        ("train: images\nnames: [a, [b]]", "has no list of class names"),
        ("train: images\nnames: {-1: a}", "has no list of class names"),
        ("train: images\nnames: {99999999999: a}", "has no list of class names"),
        ("train: images\nnames: [a, a]", "gives two classes one name"),
        ("train: 5\nnames: [a]", "train is no path"),
        ("train: train.txt\nnames: [a]", "is a list of files"),
    ],
)
def test_a_data_yaml_that_makes_no_sense_is_an_error(said: str, fault: str, tmp_path: Path) -> None:
    photos(tmp_path / "images", "a.png")
    (tmp_path / "data.yaml").write_text(said)
    with pytest.raises(DataError, match=fault):
        vf.read(tmp_path)


def test_a_yaml_that_would_run_code_or_is_none_is_not_used(tmp_path: Path) -> None:
    photos(tmp_path, "a.png")
    (tmp_path / "a.txt").write_text("0 .5 .5 .5 .5\n")
    (tmp_path / "data.yaml").write_text("names: !!python/object/apply:os.system ['false']\ntrain: .\n")
    (tmp_path / "other.yaml").write_text("a: [")
    assert vf.read(tmp_path).names == ("0",)


@pytest.mark.parametrize(
    "line", ["0 .5 .5", "face .5 .5 .5 .5", "-1 .5 .5 .5 .5", "0.5 .5 .5 .5 .5", "0 1 2 3 4 5 6 7"]
)
def test_a_txt_with_a_line_that_is_no_box_is_named(line: str, tmp_path: Path) -> None:
    photos(tmp_path, "a.png", "b.png")
    (tmp_path / "a.txt").write_text("0 .5 .5 .5 .5\n")
    (tmp_path / "b.txt").write_text(f"0 .5 .5 .5 .5\n{line}\n")
    assert broken(tmp_path)[0].startswith("b.txt: line 2 is no ")


@pytest.mark.parametrize(
    "said",
    [
        {"images": 7, "categories": []},
        {"images": [7], "categories": []},
        {"images": [], "categories": [], "annotations": {"a": 1}},
    ],
)
def test_a_json_that_is_not_of_coco_is_one_line(said: object, tmp_path: Path) -> None:
    photos(tmp_path, "a.png")
    (tmp_path / "a.json").write_text(json.dumps(said))
    with pytest.raises(DataError, match=r"a\.json: is not of COCO"):
        vf.read(tmp_path)


def test_coco_entries_of_any_kind_do_not_crash(tmp_path: Path) -> None:
    photos(tmp_path, "a.png", "b.png")
    said = {
        "images": [
            {"id": 1, "file_name": "a.png", "width": "wide"},
            {"id": 2, "file_name": "b.png"},
            {"file_name": 7},
            {"id": [1]},
        ],
        "categories": [{"id": 1, "name": "face"}, {"id": {}}, {}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 5, 5]},
            {"id": 2, "image_id": [1], "category_id": 1, "bbox": [1, 2, 5, 5]},
            {"id": 3, "image_id": 2, "category_id": 1, "bbox": [1, 2, None, "x"]},
            {"id": 4, "image_id": 2, "category_id": 1},
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(said))
    data = vf.read(tmp_path)
    assert data.labelled().xyxy.tolist() == [[1, 2, 6, 7]]
    assert {"value-range", "labels-without-images"} <= {note.id for note in data.notes}


def test_twenty_thousand_boxes_in_one_image_are_read_checked_and_shown(viewfinder: Commands, tmp_path: Path) -> None:
    photos(tmp_path / "set", "a.png", "b.png")
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 15, (20_000, 2))
    shapes = [
        {"label": "ant", "points": [[x, y], [x + 4, y + 4]], "shape_type": "rectangle"} for x, y in corners.tolist()
    ]
    (tmp_path / "set" / "a.json").write_text(json.dumps({"shapes": shapes}))
    start = time.perf_counter()
    assert "20,000" in viewfinder("check", tmp_path / "set").out
    assert viewfinder("show", tmp_path / "set", "--out", tmp_path / "sheet.png").code == 0
    assert viewfinder("convert", tmp_path / "set", tmp_path / "out", "--to", "yolo").code == 0
    assert time.perf_counter() - start < 60


def enormous(path: Path, side: int) -> None:
    """Write a PNG of side × side black pixels in a few kB."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packed = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    rows = b"".join(packed.compress(row) for _ in range(side)) + packed.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


def test_an_image_of_400_million_pixels_is_named_and_not_decoded(viewfinder: Commands, tmp_path: Path) -> None:
    photos(tmp_path, "a.png")
    enormous(tmp_path / "b.png", 20_000)
    for name in "ab":
        (tmp_path / f"{name}.json").write_text(json.dumps(GOOD_JSON))
    assert len(vf.read(tmp_path)) == 2
    done = viewfinder("check", tmp_path)
    assert done.code == 1 and "b.png: has 20000×20000 pixels" in done.out


def test_a_set_without_any_box_is_an_error_of_check(viewfinder: Commands, tmp_path: Path) -> None:
    photos(tmp_path, "a.png", "b.png")
    (tmp_path / "a.json").write_text('{"shapes": []}')
    done = viewfinder("check", tmp_path)
    assert done.code == 1 and "no-boxes" in done.out
    assert viewfinder("show", tmp_path, "--out", tmp_path / "sheet.png").code == 0


def test_a_class_that_is_only_in_the_test_part_is_an_error_of_check(viewfinder: Commands, tmp_path: Path) -> None:
    for split, label in (("train", "face"), ("test", "hand")):
        (tmp_path / split).mkdir()
        photos(tmp_path / split / "images", f"{split}.png")
        (tmp_path / split / "labels").mkdir()
        said = json.dumps(GOOD_JSON).replace("face", label)
        (tmp_path / split / "labels" / f"{split}.json").write_text(said)
    done = viewfinder("check", tmp_path)
    assert done.code == 1 and "unseen-classes" in done.out and "hand: 1" in done.out
