"""Answers as labels: what is written is what the model said, and viewfinder reads it as it reads any labels."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import viewfinder as vf
from tests.commands import Commands
from tests.deploy.bright import bright_detector, bright_images
from viewfinder.data.reading import read
from viewfinder.data.targets import BoxSets, PointSets
from viewfinder.training.run import Run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return bright_detector(tmp_path / "bright.onnx")


@pytest.mark.parametrize("form", ["labelme", "voc", "yolo", "coco"])
def test_boxes_are_read_back_and_images_without_any_are_negatives(
    viewfinder: Commands, model: Path, tmp_path: Path, form: str
) -> None:
    truth = bright_images(tmp_path / "photos", 25)
    out = tmp_path / "labelled"
    outcome = viewfinder("predict", model, tmp_path / "photos", "--as", form, "--out", out)
    assert outcome.code == 0, outcome.err
    assert "25 images" in outcome.out and "5 of them without anything" in outcome.out
    dataset = read(out)
    assert (dataset.format, dataset.task, len(dataset)) == (form, "detect", 25)
    assert dataset.names == (("dim", "bright") if form in ("yolo", "coco") else ("bright", "dim"))
    assert [Path(dataset.images.where(row)).name for row in range(25)] == [f"{row:05d}.png" for row in range(25)]
    boxes = dataset.labelled()
    assert isinstance(boxes, BoxSets)
    assert (boxes.counts == (truth[:, 4] > 0)).all()
    np.testing.assert_allclose(boxes.xyxy, truth[truth[:, 4] > 0, :4], atol=0.01)
    said = [dataset.names[i] for i in boxes.classes]
    assert said == ["bright" if light > 250 else "dim" for light in truth[truth[:, 4] > 0, 4]]
    first = (out / "images" / "00003.png").read_bytes()
    assert first == (tmp_path / "photos" / "00003.png").read_bytes()


def test_labels_are_not_written_into_the_folder_that_is_read(viewfinder: Commands, model: Path, tmp_path: Path) -> None:
    bright_images(tmp_path / "photos", 2)
    inside = tmp_path / "photos" / "labelled"
    outcome = viewfinder("predict", model, tmp_path / "photos", "--as", "labelme", "--out", inside)
    assert outcome.code == 2 and "lies inside the folder that is read" in outcome.err
    assert not inside.exists()


def test_labelme_opens_the_folder(viewfinder: Commands, model: Path, tmp_path: Path) -> None:
    bright_images(tmp_path / "photos", 6)
    out = tmp_path / "labelled"
    outcome = viewfinder("predict", model, tmp_path / "photos", "--as", "labelme", "--out", out)
    assert f"labelme {out / 'images'} --output {out / 'labels'}" in outcome.out
    files = sorted((out / "labels").iterdir())
    assert [file.stem for file in files] == ["00001", "00002", "00003", "00004"]
    for file in files:
        said = json.loads(file.read_text(encoding="utf-8"))
        assert (file.parent / said["imagePath"]).resolve() == (out / "images" / f"{file.stem}.png").resolve()
        assert (said["imageWidth"], said["imageHeight"]) == (64, 48)
        assert {shape["shape_type"] for shape in said["shapes"]} == {"rectangle"}
    assert viewfinder("check", out).code == 0


def test_the_threshold_decides_what_becomes_a_label(viewfinder: Commands, tmp_path: Path) -> None:
    truth = bright_images(tmp_path / "photos", 30)
    model = bright_detector(tmp_path / "careful.onnx", threshold=0.7)
    for least, options in ((0.7, ()), (0.9, ("--threshold", 0.9)), (0.1, ("--threshold", 0.1))):
        out = tmp_path / f"above-{least}"
        assert viewfinder("predict", model, tmp_path / "photos", "--as", "labelme", "--out", out, *options).code == 0
        written = [int(file.stem) for file in sorted((out / "labels").iterdir())]
        assert written == np.flatnonzero(truth[:, 4] / 255 >= least).tolist()


def test_points_become_points(
    viewfinder: Commands, model_file: Callable[[str], Path], untrained: Callable[[str], Run], tmp_path: Path
) -> None:
    images = untrained("keypoints").part("val").images
    (tmp_path / "faces").mkdir()
    for row in range(3):
        cv2.imwrite(str(tmp_path / "faces" / f"{row}.png"), images[row])
    out = tmp_path / "labelled"
    model = model_file("keypoints")
    assert viewfinder("predict", model, tmp_path / "faces", "--as", "labelme", "--out", out).code == 0
    dataset = read(out)
    points = dataset.labelled()
    assert dataset.task == "keypoints" and isinstance(points, PointSets)
    order = [dataset.names.index(name) for name in vf.load(model).names]
    for row in range(3):
        said = vf.load(model)(images[row]).xy
        inside = ((said >= 0) & (said <= 96)).all(axis=1)
        np.testing.assert_allclose(points.xy[row][order][inside], said[inside], atol=0.01)
        assert np.isnan(points.xy[row][order][~inside]).all()


def test_classes_become_folders(
    viewfinder: Commands, model_file: Callable[[str], Path], untrained: Callable[[str], Run], tmp_path: Path
) -> None:
    images = untrained("digits").part("val").images
    (tmp_path / "new").mkdir()
    for row in range(4):
        cv2.imwrite(str(tmp_path / "new" / f"{row}.png"), images[row])
    model, out = model_file("digits"), tmp_path / "sorted"
    assert viewfinder("predict", model, tmp_path / "new", "--as", "folders", "--out", out).code == 0
    there = {path.name.split("-")[1]: path.parent.name for path in out.rglob("*.png")}
    assert there == {f"{row}.png": vf.load(model)(images[row]).label for row in range(4)}
    refused = viewfinder("predict", model, tmp_path / "new", "--as", "labelme", "--out", tmp_path / "no")
    assert refused.code == 2 and "folders" in refused.err and not (tmp_path / "no").exists()


def test_labels_that_are_there_are_never_replaced(viewfinder: Commands, model: Path, tmp_path: Path) -> None:
    bright_images(tmp_path / "photos", 4)
    out = tmp_path / "labelled"
    again = ("predict", model, tmp_path / "photos", "--as", "labelme", "--out", out)
    assert viewfinder(*again).code == 0
    (out / "labels" / "00001.json").write_text("corrected")
    for options in ((), ("--overwrite",)):
        outcome = viewfinder(*again, *options)
        assert outcome.code == 2 and len(outcome.err.strip().splitlines()) == 1
    assert (out / "labels" / "00001.json").read_text() == "corrected"


def test_images_of_several_sources_become_one_folder_and_unreadable_ones_are_named(
    viewfinder: Commands, model: Path, tmp_path: Path
) -> None:
    for day in ("monday", "tuesday"):
        bright_images(tmp_path / day, 3)
    (tmp_path / "tuesday" / "broken.png").write_bytes(b"no image")
    (tmp_path / "list.txt").write_text("monday/00002.png\n\n")
    out = tmp_path / "labelled"
    sources = (tmp_path / "tuesday", tmp_path / "list.txt", tmp_path / "monday" / "00001.png")
    outcome = viewfinder("predict", model, *sources, "--as", "labelme", "--out", out)
    assert outcome.code == 1 and "broken.png" in outcome.err
    assert len(read(out)) == 5
    assert len(list((out / "images").iterdir())) == 5


def test_a_threshold_of_no_boxes_is_refused(
    viewfinder: Commands, model_file: Callable[[str], Path], tmp_path: Path
) -> None:
    bright_images(tmp_path / "photos", 2)
    told = "viewfinder: --threshold: leaves out boxes, and this model finds none; leave it out\n"
    for options in (("--table", tmp_path / "t.csv"), ("--out", tmp_path / "out")):
        outcome = viewfinder("predict", model_file("digits"), tmp_path / "photos", "--threshold", 0.5, *options)
        assert (outcome.code, outcome.err) == (2, told)


@pytest.mark.skipif(sys.platform != "linux", reason="the names of files are UTF-8 elsewhere")
@pytest.mark.parametrize("options", [("--as", "labelme"), ("--as", "coco"), ("--table",), ("--no-pictures",)])
def test_names_of_files_that_are_no_utf_8_stop_nothing(
    viewfinder: Commands, model: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    bright_images(tmp_path / "photos", 3)
    photos = os.fsencode(tmp_path / "photos")
    Path(os.fsdecode(photos + b"/00001.png")).rename(os.fsdecode(photos + b"/\xff1.png"))
    Path(os.fsdecode(photos + b"/\xff2.png")).write_bytes(b"no image")
    where = (tmp_path / "table.csv",) if options == ("--table",) else ("--out", tmp_path / "out")
    outcome = viewfinder("predict", model, tmp_path / "photos", *options, *where)
    assert outcome.code == 1 and "3 images" in outcome.out


@pytest.mark.parametrize("form", ["labelmee", "npz"])
def test_an_unknown_format_is_refused_before_anything_is_answered(
    viewfinder: Commands, model: Path, tmp_path: Path, form: str
) -> None:
    bright_images(tmp_path / "photos", 2)
    outcome = viewfinder("predict", model, tmp_path / "photos", "--as", form, "--out", tmp_path / "out")
    assert outcome.code == 2 and form in outcome.err and "labelme" in outcome.err
    assert not (tmp_path / "out").exists()
