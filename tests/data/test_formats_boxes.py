"""labelme, PASCAL VOC, YOLO and COCO: every layout is read, what does not fit is noted, and round trips are exact."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
import pytest

import viewfinder as vf
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.findings import Finding
from viewfinder.data.joining import joined, whole
from viewfinder.data.reading import parts, write
from viewfinder.data.targets import BoxSets, PointSets
from viewfinder.errors import DataError

FORMATS = ["labelme", "voc", "yolo", "coco"]


def photo(path: Path, width: int = 64, height: int = 48, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
    return path


def labelme(path: Path, *shapes: Any, image: str = "", **others: Any) -> Path:
    """Write a json; a shape is (label, points) or (label, points, type)."""
    every = [{"label": s[0], "points": s[1], "shape_type": s[2] if len(s) > 2 else "rectangle"} for s in shapes]
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {"shapes": every, "imagePath": image, "imageData": "AAAA", "imageWidth": 64, "imageHeight": 48, **others}
    path.write_text(json.dumps(said))
    return path


def voc(path: Path, *objects: tuple[Any, ...], size: tuple[int, int] = (64, 48), image: str = "") -> Path:
    sides = ("xmin", "ymin", "xmax", "ymax")
    tags = ["".join(f"<{s}>{v}</{s}>" for s, v in zip(sides, box, strict=True)) for _, *box in objects]
    pairs = zip([name for name, *_ in objects], tags, strict=True)
    boxes = [f"<object><name>{name}</name><bndbox>{box}</bndbox></object>" for name, box in pairs]
    path.parent.mkdir(parents=True, exist_ok=True)
    about = f"<filename>{image}</filename><size><width>{size[0]}</width><height>{size[1]}</height></size>"
    path.write_text(f"<annotation>{about}{''.join(boxes)}</annotation>")
    return path


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def noted(data: Dataset) -> dict[str, Finding]:
    return {note.id: note for note in data.notes}


def boxes(data: Dataset) -> dict[str, list[tuple[Any, ...]]]:
    """Return by file name the class and the sides of each box."""
    answers = {data.images.where(i): data.labelled().one(i, data.names) for i in range(len(data))}
    return {
        PurePosixPath(name).name: [
            (label, *np.round(box.astype(float), 2).tolist()) for label, box in zip(one.classes, one.xyxy, strict=True)
        ]
        for name, one in answers.items()
    }


@pytest.fixture
def marked() -> Dataset:
    """Return 12 images of three classes, some without a box, with sides that are no round numbers."""
    rng = np.random.default_rng(8)
    pixels = rng.integers(0, 256, (12, 48, 64, 3)).astype(np.uint8)
    counts = [0, 3, 1, 0, 2, 5, 1, 1, 2, 1, 1, 4]
    corners = [rng.uniform(0, 30, (count, 2)) for count in counts]
    sides = [np.concatenate([xy, xy + rng.uniform(1, 17, xy.shape)], axis=1) for xy in corners]
    ids = [rng.integers(0, 3, count) for count in counts]
    ids[1] = np.array([0, 1, 2])
    return Dataset("detect", ("ace", "king", "ten"), ArrayImages.of(pixels), BoxSets.of(sides, ids), source="made up")


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_written_is_read_back_to_a_hundredth_of_a_pixel(format: str, marked: Dataset, tmp_path: Path) -> None:
    write(marked, tmp_path / "out", format)
    again = vf.read(tmp_path / "out")
    assert (again.format, again.task, again.names, len(again)) == (format, "detect", marked.names, 12)
    one, other = again.labelled(), marked.labelled()
    assert np.array_equal(one.offsets, other.offsets) and np.array_equal(one.classes, other.classes)
    assert np.abs(one.xyxy - other.xyxy).max() < 0.01
    assert np.array_equal(again.images[5], marked.images[5])
    assert not {note.severity for note in again.notes} - {"info"}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("other", FORMATS)
def test_every_format_becomes_every_other_one_and_comes_back(
    format: str, other: str, marked: Dataset, tmp_path: Path
) -> None:
    write(marked, tmp_path / "a", format)
    write(vf.read(tmp_path / "a"), tmp_path / "b", other)
    write(vf.read(tmp_path / "b"), tmp_path / "c", format)
    first, last = vf.read(tmp_path / "a"), vf.read(tmp_path / "c")
    assert np.abs(first.labelled().array() - last.labelled().array()).max() < 0.01
    assert first.images.fingerprint() == last.images.fingerprint()


@pytest.mark.parametrize("format", FORMATS)
def test_splits_are_folders_that_come_back(format: str, marked: Dataset, tmp_path: Path) -> None:
    splits = np.array(["train", "val", "test"] * 4)
    write(replace(marked, splits=splits), tmp_path / "out", format)
    assert {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()} == {"train", "val", "test"}
    assert parts(tmp_path / "out") == ("train", "test")
    train, test = vf.read(tmp_path / "out"), vf.read(tmp_path / "out", part="test")
    assert train.splits is not None and sorted(train.splits) == ["train"] * 4 + ["val"] * 4
    assert len(test) == 4 and test.splits is None
    every = whole(tmp_path / "out")
    assert {*boxes(every)} == {f"{row:06d}.png" for row in range(12)}
    assert sum(map(len, boxes(every).values())) == len(marked.labelled().classes)


@pytest.mark.parametrize("format", FORMATS)
def test_a_zip_is_read_as_its_folder(format: str, marked: Dataset, tmp_path: Path) -> None:
    write(marked, tmp_path / "out", format)
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        for path in sorted((tmp_path / "out").rglob("*.*")):
            archive.write(path, path.relative_to(tmp_path).as_posix())
    data = vf.read(tmp_path / "out.zip")
    assert data.format == format and data.fingerprint == vf.read(tmp_path / "out").fingerprint


@pytest.mark.parametrize("format", FORMATS)
def test_a_turned_photo_has_the_size_that_one_sees(format: str, tmp_path: Path) -> None:
    plain = photo(tmp_path / "a.jpg", 64, 48).read_bytes()
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    turned = plain[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + plain[2:]
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.jpg").write_bytes(turned)
    labelme(tmp_path / "src" / "a.json", ("face", [[10, 20], [48, 64]]), imageWidth=48, imageHeight=64)
    data = vf.read(tmp_path / "src")
    assert data.images[0].shape == (64, 48, 3) and not data.notes
    write(data, tmp_path / "out", format)
    again = vf.read(tmp_path / "out")
    assert boxes(again) == {"a.jpg": [("face", 10, 20, 48, 64)]} and "wrong-size" not in noted(again)


LAYOUTS = [
    ("images/a.jpg", "labels/a{}"),
    ("a.jpg", "a{}"),
    ("train/images/a.jpg", "train/labels/a{}"),
    ("images/train/a.jpg", "labels/train/a{}"),
    ("JPEGImages/a.jpg", "Annotations/a{}"),
    ("days/monday/a.jpg", "days/monday/a{}"),
]
WRITERS: dict[str, Callable[[Path], Path]] = {
    ".json": lambda path: labelme(path, ("face", [[8, 12], [40, 36]])),
    ".xml": lambda path: voc(path, ("face", 8, 12, 40, 36)),
    ".txt": lambda path: text(path, "0 0.375 0.5 0.5 0.5\n"),
}


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize(("image", "label"), LAYOUTS)
def test_images_and_labels_find_each_other(image: str, label: str, suffix: str, tmp_path: Path) -> None:
    photo(tmp_path / image)
    WRITERS[suffix](tmp_path / label.format(suffix))
    data = vf.read(tmp_path)
    name = "0" if suffix == ".txt" else "face"
    assert boxes(data) == {"a.jpg": [(name, 8, 12, 40, 36)]} and not data.notes


def test_corners_of_a_rectangle_may_be_in_any_order(tmp_path: Path) -> None:
    for i, corners in enumerate([[[8, 12], [40, 36]], [[40, 36], [8, 12]], [[40, 12], [8, 36]], [[8, 36], [40, 12]]]):
        photo(tmp_path / f"{i}.jpg")
        labelme(tmp_path / f"{i}.json", ("face", corners), ("hand", corners))
    data = vf.read(tmp_path)
    assert data.names == ("face", "hand")
    assert all(said == [("face", 8, 12, 40, 36), ("hand", 8, 12, 40, 36)] for said in boxes(data).values())


def test_the_path_in_a_json_may_have_back_slashes_and_another_name_and_never_leads_out(tmp_path: Path) -> None:
    root = tmp_path / "set"
    photo(root / "images" / "x.jpg")
    photo(tmp_path / "secret.jpg")
    labelme(root / "labels" / "first.json", ("face", [[1, 1], [9, 9]]), image="..\\images\\x.jpg")
    labelme(root / "labels" / "second.json", ("face", [[1, 1], [9, 9]]), image="..\\..\\secret.jpg")
    data = vf.read(root)
    assert [*boxes(data)] == ["x.jpg"]
    assert noted(data)["labels-without-images"].where == ("labels/second.json",)


def test_images_without_json_are_negatives_and_named(tmp_path: Path) -> None:
    photo(tmp_path / "images" / "a.jpg")
    photo(tmp_path / "images" / "b.jpg")
    labelme(tmp_path / "labels" / "a.json", ("face", [[1, 1], [9, 9]]))
    data = vf.read(tmp_path)
    assert boxes(data) == {"a.jpg": [("face", 1, 1, 9, 9)], "b.jpg": []}
    assert noted(data)["negatives"].where == ("images/b.jpg",)


def test_the_pixels_in_a_json_are_neither_needed_nor_written(marked: Dataset, tmp_path: Path) -> None:
    write(marked, tmp_path / "out", "labelme")
    said = json.loads((tmp_path / "out" / "labels" / "000001.json").read_text())
    assert said["imageData"] is None and said["imagePath"] == "../images/000001.png"
    assert not (tmp_path / "out" / "labels" / "000000.json").exists()


def test_points_alone_are_keypoints_and_come_back(tmp_path: Path) -> None:
    xy = np.array([[[10.25, 11], [20, 21.5]], [[30, 31], [np.nan, np.nan]]], np.float32)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3)).astype(np.uint8)
    data = Dataset("keypoints", ("left_eye", "right_eye"), ArrayImages.of(pixels), PointSets(xy))
    write(data, tmp_path / "out", "labelme")
    again = vf.read(tmp_path / "out")
    assert (again.task, again.names) == ("keypoints", data.names)
    np.testing.assert_array_equal(again.labelled().array(), xy)


def test_other_shapes_are_named_and_polygons_are_boxes(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    labelme(
        tmp_path / "a.json",
        ("leaf", [[5, 5], [20, 9], [12, 30]], "polygon"),
        ("sun", [[5, 5], [20, 9]], "circle"),
        ("tip", [[5, 5]], "point"),
    )
    data = vf.read(tmp_path)
    assert boxes(data)["a.jpg"] == [("leaf", 5, 5, 20, 30)]
    assert noted(data)["other-shapes"].where == ("a.json: sun (circle)", "a.json: tip (point)")


@pytest.mark.parametrize("format", FORMATS)
def test_bad_boxes_are_clipped_or_dropped_and_named(format: str, tmp_path: Path) -> None:
    bad = {"out": (40, -9, 90, 20), "flat": (5, 5, 5, 30), "away": (70, 5, 90, 30)}
    every = [("good", 1, 2, 30, 40), *((name, *box) for name, box in bad.items())]
    names = [name for name, *_ in every]
    photo(tmp_path / "a.jpg")
    if format == "labelme":
        labelme(tmp_path / "a.json", *((name, [[x0, y0], [x1, y1]]) for name, x0, y0, x1, y1 in every))
    elif format == "voc":
        voc(tmp_path / "a.xml", *every)
    elif format == "yolo":
        rows = [((x0 + x1) / 128, (y0 + y1) / 96, (x1 - x0) / 64, (y1 - y0) / 48) for _, x0, y0, x1, y1 in every]
        text(tmp_path / "a.txt", "\n".join(f"{i} {' '.join(map(str, row))}" for i, row in enumerate(rows)))
        text(tmp_path / "classes.txt", "\n".join(names))
    else:
        coco(
            tmp_path / "a.json",
            {1: "a.jpg"},
            dict(enumerate(names)),
            [(1, i, box) for i, (_, *box) in enumerate(every)],
        )
    data = vf.read(tmp_path)
    assert data.format == format
    assert boxes(data)["a.jpg"] == [("good", 1, 2, 30, 40), ("out", 40, 0, 64, 20)]
    notes = noted(data)
    assert "out (40, -9, 90, 20)" in notes["clipped-boxes"].where[0]
    assert [place.split(": ")[-1].split(" ")[0] for place in notes["empty-boxes"].where] == ["flat", "away"]
    assert all(place.startswith("a.") for note in notes.values() for place in note.where)


def test_an_image_with_a_box_of_no_place_is_left_out_since_it_is_no_negative(tmp_path: Path) -> None:
    for name in "ab":
        photo(tmp_path / f"{name}.jpg")
    labelme(tmp_path / "a.json", ("face", [[1, float("nan")], [9, 9]]), ("face", [[1, 1], [9, 9]]))
    labelme(tmp_path / "b.json", ("face", [[1, 1], [9, 9]]))
    data = vf.read(tmp_path)
    assert list(boxes(data)) == ["b.jpg"]
    assert noted(data)["value-range"].severity == "error"
    assert noted(data)["value-range"].where == ("a.json: face (1, nan, 9, nan)",)


def test_files_named_like_images_that_are_no_labels_are_named(tmp_path: Path) -> None:
    photo(tmp_path / "images" / "a.jpg")
    text(tmp_path / "labels" / "a.json", '{"a": 1}')
    found = {finding.id: finding for finding in vf.read(tmp_path, "test").check().errors}
    assert found["unknown-labels"].where == ("labels/a.json",)


def test_a_folder_beside_the_one_that_is_read_may_be_named_from_within(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo(tmp_path / "photos" / "a.jpg")
    labelme(tmp_path / "photos" / "a.json", ("cat", [[1, 2], [10, 20]]))
    monkeypatch.chdir(tmp_path / "photos")
    write(vf.read("."), "../copy", "labelme")
    assert len(vf.read(tmp_path / "copy")) == 1


def test_nothing_is_written_into_the_folder_that_is_read(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    labelme(tmp_path / "a.json", ("face", [[1, 1], [9, 9]]))
    with pytest.raises(DataError, match="lies inside"):
        write(vf.read(tmp_path), tmp_path / "sub" / "coco", "coco")
    assert not (tmp_path / "sub").exists()


@pytest.mark.parametrize("suffix", WRITERS)
def test_labels_without_images_and_broken_ones_are_named_and_broken_ones_are_no_negatives(
    suffix: str, tmp_path: Path
) -> None:
    for name in "abc":
        photo(tmp_path / "images" / f"{name}.jpg")
    for name in ("a", "b", "stray"):
        WRITERS[suffix](tmp_path / "labels" / f"{name}{suffix}")
    text(tmp_path / "labels" / f"b{suffix}", '{"shapes": [{')
    data = vf.read(tmp_path)
    assert "b.jpg" not in boxes(data)
    assert noted(data)["labels-without-images"].where == (f"labels/stray{suffix}",)
    broken = noted(data)["unreadable-labels"]
    assert broken.severity == "error" and broken.where[0].startswith(f"labels/b{suffix}: ")
    missing = noted(data)["images-without-labels" if suffix == ".xml" else "negatives"]
    assert missing.where == ("images/c.jpg",)


def test_two_label_files_of_one_image_are_named(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    labelme(tmp_path / "a.json", ("face", [[1, 1], [9, 9]]))
    labelme(tmp_path / "b.json", ("face", [[2, 2], [9, 9]]), image="a.jpg")
    data = vf.read(tmp_path)
    assert boxes(data)["a.jpg"] == [("face", 1, 1, 9, 9)]
    assert noted(data)["duplicate-labels"].where == ("b.json: as a.json",)


def test_a_wrong_size_in_the_file_is_named(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    voc(tmp_path / "a.xml", ("face", 1, 1, 9, 9), size=(48, 64))
    note = noted(vf.read(tmp_path))["wrong-size"]
    assert note.where == ("a.xml: 48×64, the image is 64×48",)


def test_an_image_that_cannot_be_read_keeps_its_boxes_for_check_to_name(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    for name in "ab":
        labelme(tmp_path / f"{name}.json", ("face", [[1, 1], [9, 9]]))
    data = vf.read(tmp_path)
    assert len(data) == 2
    assert "unreadable-images" in {finding.id for finding in data.check().errors}


def test_yolo_classes_come_from_data_yaml_and_unknown_ones_are_errors(tmp_path: Path) -> None:
    photo(tmp_path / "images" / "a.jpg")
    photo(tmp_path / "images" / "b.jpg")
    text(tmp_path / "labels" / "a.txt", "1 .5 .5 .5 .5\n0 .1 .1 .9 .1 .9 .5\n")
    text(tmp_path / "labels" / "b.txt", "4 .5 .5 .2 .2\n")
    text(tmp_path / "data.yaml", "train: images\nval: images\nnc: 2\nnames: [cat, dog]\n")
    data = vf.read(tmp_path)
    assert data.names == ("cat", "dog") and data.splits is None
    assert boxes(data)["a.jpg"] == [("dog", 16, 12, 48, 36), ("cat", 6.4, 4.8, 57.6, 24)]
    unknown = noted(data)["unknown-classes"]
    assert unknown.severity == "error" and unknown.where[0].startswith("labels/b.txt: 4 (")
    assert list(boxes(data)) == ["a.jpg"]


@pytest.mark.parametrize(("shape", "points"), [("[2, 2]", ".65 .65 .75 .75"), ("[2, 3]", ".65 .65 2 .75 .75 0")])
def test_yolo_lines_with_points_are_boxes(shape: str, points: str, tmp_path: Path) -> None:
    photo(tmp_path / "images" / "a.jpg", 100, 100)
    text(tmp_path / "labels" / "a.txt", f"0 .7 .7 .2 .2 {points}\n0 .5 .5 .5 .5\n0 .7 .7 .2 .2 {points} .9\n")
    text(tmp_path / "data.yaml", f"train: images\nkpt_shape: {shape}\nnames: [dog]\n")
    every = [box for _, *box in boxes(vf.read(tmp_path))["a.jpg"]]
    np.testing.assert_allclose(every, [(60, 60, 80, 80), (25, 25, 75, 75), (60, 60, 80, 80)], atol=1e-4)
    text(tmp_path / "labels" / "a.txt", "0 .7 .7 .2 .2 .65 .65\n")
    with pytest.raises(DataError, match=r"line 1 is no box with . numbers of points: 6 numbers"):
        vf.read(tmp_path)


@pytest.mark.parametrize("format", FORMATS)
def test_images_of_like_names_stay_apart(format: str, tmp_path: Path) -> None:
    names = ["IMG-1.jpg", "IMG.jpg", "IMG.png", "IMG-2.jpg", "deep" * 60 + "/IMG-2.jpg"]
    names += ["é" * 120 + ".jpg", "more/" + "é" * 120 + ".jpg"]
    for seed, name in enumerate(names):
        photo(tmp_path / "photos" / name, 50 + seed, 48, seed)
        labelme(tmp_path / "photos" / Path(name).with_suffix(".json"), ("cat", [[1, 2], [10 + seed, 20]]))
    (tmp_path / "photos" / "IMG.json").unlink()  # it would be of both
    write(vf.read(tmp_path / "photos"), tmp_path / "copy", format)
    again = vf.read(tmp_path / "copy")
    assert len(again) == len(vf.read(tmp_path / "photos"))
    for row in range(len(again)):
        right = again.labelled().select(np.array([row])).xyxy[:, 2]
        np.testing.assert_allclose(right, again.images[row].shape[1] - 40, atol=0.1)


def test_data_yaml_decides_the_splits_and_may_name_classes_by_number(tmp_path: Path) -> None:
    for name in ("one/images/a", "two/images/b", "three/images/c", "other/d"):
        photo(tmp_path / f"{name}.jpg")
        text(tmp_path / f"{name.replace('images', 'labels')}.txt", "2 .5 .5 .5 .5\n")
    text(tmp_path / "data.yaml", "train: [one/images]\nval: two/images\ntest: three\nnames: {0: cat, 2: dog}\n")
    data = vf.read(tmp_path)
    assert data.names == ("cat", "1", "dog") and data.splits is not None
    assert dict(zip(boxes(data), data.splits, strict=True)) == {"a.jpg": "train", "b.jpg": "val"}
    assert [*boxes(vf.read(tmp_path, part="test"))] == ["c.jpg"]
    assert noted(data)["other-images"].where == ("other/d.jpg",)


def test_the_paths_that_roboflow_writes_are_taken_as_they_are_meant(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        photo(tmp_path / split / "images" / f"{split}.jpg")
        text(tmp_path / split / "labels" / f"{split}.txt", "0 .5 .5 .5 .5\n")
    text(tmp_path / "data.yaml", "train: ../train/images\nval: ../valid/images\nnc: 1\nnames: ['face']\n")
    data = vf.read(tmp_path)
    assert data.splits is not None and sorted(data.splits) == ["train", "val"]


def coco(
    path: Path, images: dict[Any, str], categories: dict[Any, str], annotations: list[tuple[Any, ...]], **more: Any
) -> Path:
    """Write a json; an annotation is (image id, category id, (x0, y0, x1, y1), other keys)."""
    listed = [
        {
            "id": i,
            "image_id": image,
            "category_id": label,
            "bbox": [b[0], b[1], b[2] - b[0], b[3] - b[1]],
            **(rest or [{}])[0],
        }
        for i, (image, label, b, *rest) in enumerate(annotations)
    ]
    said = {
        "images": [{"id": i, "file_name": name, "width": 64, "height": 48} for i, name in images.items()],
        "categories": [{"id": i, "name": name} for i, name in categories.items()],
        "annotations": listed,
        **more,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(said))
    return path


def test_coco_ids_are_arbitrary_and_only_listed_images_count(tmp_path: Path) -> None:
    for name in "abc":
        photo(tmp_path / "images" / f"{name}.jpg")
    images, names = {700: "a.jpg", 3: "b.jpg"}, {90: "zebra", 17: "cat"}
    crowd = (700, 90, (0, 0, 64, 48), {"iscrowd": 1})
    coco(
        tmp_path / "annotations" / "all.json",
        images,
        names,
        [(700, 90, (1, 2, 11, 22)), (700, 17, (3, 4, 9, 9)), crowd],
    )
    data = vf.read(tmp_path)
    assert data.names == ("cat", "zebra")
    assert boxes(data) == {"a.jpg": [("zebra", 1, 2, 11, 22), ("cat", 3, 4, 9, 9)], "b.jpg": []}
    assert noted(data)["images-without-labels"].where == ("images/c.jpg",)
    assert noted(data)["crowds"].where == ("annotations/all.json: a.jpg",)


@pytest.mark.parametrize(("image", "label"), [(700.0, 90.0), ("700", "90")])
def test_coco_ids_are_the_same_as_numbers_and_as_text(image: Any, label: Any, tmp_path: Path) -> None:
    photo(tmp_path / "images" / "a.jpg")
    coco(tmp_path / "all.json", {700: "a.jpg"}, {90: "zebra"}, [(image, label, (1, 2, 11, 22))])
    data = vf.read(tmp_path)
    assert boxes(data) == {"a.jpg": [("zebra", 1, 2, 11, 22)]}
    assert "labels-without-images" not in noted(data)


def test_what_does_not_fit_in_a_coco_file_is_named(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    box = (1, 1, 9, 9)
    photo(tmp_path / "b.jpg")
    files = {1: "a.jpg", 2: "gone.jpg", 3: "b.jpg"}
    path = coco(tmp_path / "x.json", files, {1: "cat"}, [(1, 1, box), (3, 5, box), (8, 1, box)])
    said = json.loads(path.read_text())
    said["images"].append({"id": 1, "file_name": "again.jpg"})
    said["annotations"] += [{"id": 0, "image_id": 3, "category_id": 1, "bbox": [1, 1]}]
    path.write_text(json.dumps(said))
    data = vf.read(tmp_path)
    assert boxes(data)["a.jpg"] == [("cat", 1, 1, 9, 9)]
    notes = noted(data)
    assert notes["duplicate-ids"].where == ("x.json: annotation 0", "x.json: image 1")
    assert notes["labels-without-images"].where == ("x.json: gone.jpg", "x.json: annotations of image 8")
    assert notes["unknown-classes"].where == ("x.json: b.jpg: category 5 (1, 1, 9, 9)",)
    assert len(notes["value-range"].where) == 1


@pytest.mark.parametrize(
    ("jsons", "folders"),
    [
        (("annotations/instances_train2017.json", "annotations/instances_val2017.json"), ("train2017", "val2017")),
        (("train/_annotations.coco.json", "valid/_annotations.coco.json"), ("train", "valid")),
        (("train.json", "val.json"), ("images", "images")),
    ],
)
def test_a_coco_file_a_split(jsons: tuple[str, str], folders: tuple[str, str], tmp_path: Path) -> None:
    for json_name, folder, name in zip(jsons, folders, ("a.jpg", "b.jpg"), strict=True):
        photo(tmp_path / folder / name)
        coco(tmp_path / json_name, {1: name}, {1: "cat"}, [(1, 1, (1, 1, 9, 9))])
    data = vf.read(tmp_path)
    assert data.splits is not None and dict(zip(boxes(data), data.splits, strict=True)) == {
        "a.jpg": "train",
        "b.jpg": "val",
    }


def test_a_test_part_without_labels_has_no_targets(tmp_path: Path) -> None:
    photo(tmp_path / "train" / "images" / "a.jpg")
    labelme(tmp_path / "train" / "labels" / "a.json", ("face", [[1, 1], [9, 9]]))
    photo(tmp_path / "test" / "images" / "b.jpg")
    assert parts(tmp_path) == ("train", "test")
    assert vf.read(tmp_path, part="test").targets is None
    assert len(whole(tmp_path)) == 1


def test_photos_of_two_folders_are_joined_by_name(tmp_path: Path) -> None:
    for folder, label in (("one", "face"), ("two", "hand")):
        photo(tmp_path / folder / "a.jpg", seed=len(label))
        labelme(tmp_path / folder / "a.json", (label, [[1, 1], [9, 9]]))
    data = joined([vf.read(tmp_path / "one"), vf.read(tmp_path / "two")])
    assert data.names == ("face", "hand") and data.labelled().classes.tolist() == [0, 1]
    assert [data.images.where(i) for i in range(2)] == ["one/a.jpg", "two/a.jpg"]
    write(data, tmp_path / "both", "voc")
    assert [*boxes(vf.read(tmp_path / "both"))] == ["one-a.jpg", "two-a.jpg"]


@pytest.mark.parametrize("format", FORMATS)
def test_what_a_format_cannot_hold_is_an_error_and_nothing_is_left(
    format: str, marked: Dataset, tmp_path: Path
) -> None:
    write(marked, tmp_path / "out", format)
    with pytest.raises(DataError, match="exists; name a new folder"):
        write(marked, tmp_path / "out", format)
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(DataError, match="has no targets"):
        write(replace(marked, targets=None), tmp_path / "out", format)
    assert not [*tmp_path.iterdir()]


REAL = [
    ("webcam-a", "labelme", {"train": (90, 72)}, ("face",)),
    ("webcam-b", "labelme", {"train": (76, 67), "test": (14, 10)}, ("face",)),
    ("faces-voc", "voc", {"train": (698, 3351)}, ("mask_weared_incorrect", "with_mask", "without_mask")),
    ("cards-voc", "voc", {"train": (296, 527)}, ("ace", "jack", "king", "nine", "queen", "ten")),
]


@pytest.mark.parametrize(("name", "format", "counts", "names"), REAL)
def test_real_sets_are_read_and_become_all_other_formats(
    data_folder: Path, tmp_path: Path, name: str, format: str, counts: dict[str, Any], names: tuple[str, ...]
) -> None:
    assert parts(data_folder / name) == tuple(counts)
    for part, (images, count) in counts.items():
        data = vf.read(data_folder / name, part)
        assert (data.format, data.names, len(data), len(data.labelled().classes)) == (format, names, images, count)
        assert {note.id for note in data.notes} <= {"negatives", "clipped-boxes"}
    some = data.select(np.arange(0, len(data), 12))
    for other in FORMATS:
        write(some, tmp_path / other, other)
        again = vf.read(tmp_path / other).named(names)
        wanted, found = boxes(some), boxes(again)
        for image, said in wanted.items():
            assert [one[0] for one in found[image]] == [one[0] for one in said]
            assert np.allclose([one[1:] for one in found[image]], [one[1:] for one in said], atol=0.02)
