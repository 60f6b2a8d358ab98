"""Varied copies on disk: their targets lie on their things, in every format, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import viewfinder as vf
from tests.commands import Commands
from viewfinder.augment.copies import varied
from viewfinder.config import Augment
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.joining import whole
from viewfinder.data.reading import write
from viewfinder.data.targets import BoxSets, Labels, PointSets

SPLITS = np.array(["train"] * 6 + ["val"] * 2 + ["test"] * 2)


def discs(count: int = 10, width: int = 96, height: int = 72) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return dark images with a bright disc each, and the boxes (N, 4) around them."""
    rng = np.random.default_rng(0)
    images, boxes = np.full((count, height, width, 3), 30, dtype=np.uint8), []
    for image in images:
        x, y, radius = *rng.integers(14, (width - 14, height - 14)).tolist(), int(rng.integers(6, 12))
        cv2.circle(image, (x, y), radius, (200, 180, 90), -1)
        boxes.append([x - radius, y - radius, x + radius + 1, y + radius + 1])
    return images, np.array(boxes, dtype=np.float32)


def labelled(negatives: tuple[int, ...] = (3,)) -> Dataset:
    images, boxes = discs()
    each = [boxes[:0] if row in negatives else boxes[[row]] for row in range(len(boxes))]
    targets = BoxSets.of(each, [np.zeros(len(one), dtype=np.int64) for one in each])
    images[list(negatives)] = 30
    return Dataset("detect", ("disc",), ArrayImages.of(images), targets, splits=SPLITS)


def around_bright(image: NDArray[np.uint8]) -> list[float]:
    rows, columns = np.nonzero(image.max(axis=2) > 110)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_every_copys_box_is_around_its_thing_and_negatives_stay_negatives(viewfinder: Commands, tmp_path: Path) -> None:
    write(labelled(), tmp_path / "faces", "labelme")
    outcome = viewfinder("augment", tmp_path / "faces", tmp_path / "aug", "--times", 12, "--crop", 60)
    assert outcome.code == 0
    assert outcome.err == ""
    assert outcome.out == f"76 images of 10: {tmp_path / 'aug'}\n"
    copies = whole(tmp_path / "aug")
    train = copies.select(copies.splits == "train")
    assert len(train) == 6 * 12
    empty = whole_ones = 0
    for row in range(len(train)):
        image, target = train.images[row], train.targets.one(row, train.names)
        assert image.shape == (60, 60, 3)
        if not len(target):
            empty += 1
            assert (image > 110).sum() == 0
        elif 0 < target.xyxy.min() < target.xyxy.max() < 60:  # not cut
            whole_ones += 1
            assert np.abs(np.array(around_bright(image)) - target.xyxy[0]).max() <= 1.5
    assert 12 <= empty < 36
    assert whole_ones > 20


@pytest.mark.parametrize("format", ["labelme", "voc", "yolo", "coco"])
def test_validation_and_test_images_are_copied_as_they_are_in_the_format_they_have(
    format: str, viewfinder: Commands, tmp_path: Path
) -> None:
    write(labelled(), tmp_path / "faces", format)
    assert viewfinder("augment", tmp_path / "faces", tmp_path / "aug", "--times", 2, "--crop", 48).code == 0
    before, after = whole(tmp_path / "faces"), whole(tmp_path / "aug")
    assert after.format == format
    for name in ("val", "test"):
        one, other = before.select(before.splits == name), after.select(after.splits == name)
        assert one.images.fingerprint() == other.images.fingerprint()
        assert np.allclose(one.targets.array(), other.targets.array())
    assert (after.splits == "train").sum() == 12


def test_with_all_every_part_is_varied_as_the_notes_did(viewfinder: Commands, tmp_path: Path) -> None:
    write(labelled(), tmp_path / "faces", "yolo")
    assert viewfinder("augment", tmp_path / "faces", tmp_path / "aug", "--times", 3, "--crop", 48, "--all").code == 0
    splits, counts = np.unique(whole(tmp_path / "aug").splits, return_counts=True)
    assert dict(zip(splits.tolist(), counts.tolist(), strict=True)) == {"train": 18, "val": 6, "test": 6}


def test_the_same_seed_gives_the_same_files_and_copies_differ(viewfinder: Commands, tmp_path: Path) -> None:
    write(labelled(), tmp_path / "faces", "labelme")
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        viewfinder("augment", tmp_path / "faces", tmp_path / name, "--times", 4, "--crop", 50, "--seed", seed)
    one, again, other = (whole(tmp_path / name) for name in ("one", "again", "other"))
    assert one.fingerprint == again.fingerprint != other.fingerprint
    first = [one.images.content(row) for row in range(4)]
    assert len(set(first)) > 1


def test_without_a_crop_copies_have_the_images_own_size(tmp_path: Path) -> None:
    dataset = labelled(())
    copies = varied(dataset, Augment(zoom=0.3, shift=0.1, rotate=20, mirror=0.5), times=5, seed=3)
    assert len(copies) == 6 * 5 + 4
    for row in range(30):
        image, target = copies.images[row], copies.targets.one(row, copies.names)
        assert image.shape == (72, 96, 3)
        middle = np.array(around_bright(image)).reshape(2, 2).mean(axis=0)
        if 8 < middle[0] < 88 and 8 < middle[1] < 64:
            assert np.abs(middle - target.xyxy[0].reshape(2, 2).mean(axis=0)).max() < 2.5


def test_points_outside_the_crop_are_not_annotated_and_left_and_right_swap() -> None:
    images, boxes = discs()
    middle = boxes.reshape(-1, 2, 2).mean(axis=1)
    xy = np.stack([middle, np.full_like(middle, 2)], axis=1)
    dataset = Dataset("keypoints", ("left_eye", "right_eye"), ArrayImages.of(images), PointSets(xy))
    copies = varied(dataset, Augment(crop=40, mirror=0.5, flip=0.5), times=6, seed=1)
    found = copies.targets.array()
    assert 0 < np.isnan(found).any(axis=2).mean() < 1
    assert np.nanmin(found) >= 0
    assert np.nanmax(found) <= 40
    for row in np.flatnonzero(np.isfinite(found).all(axis=2).any(axis=1))[:20]:
        bright = [
            copies.images[row][tuple(p.astype(int).clip(0, 39)[::-1])].max() > 110 for p in found[row] if p[0] == p[0]
        ]
        assert sum(bright) <= 1
    assert copies.groups is not None
    assert np.bincount(copies.groups).tolist() == [6] * 10


def test_classes_in_folders_are_varied_too(viewfinder: Commands, tmp_path: Path) -> None:
    images, _ = discs()
    labels = Labels(np.arange(10) % 2)
    write(Dataset("classify", ("a", "b"), ArrayImages.of(images), labels, splits=SPLITS), tmp_path / "pets", "folders")
    assert viewfinder("augment", tmp_path / "pets", tmp_path / "aug", "--times", 2, "--recipe", "images").code == 0
    copies = whole(tmp_path / "aug")
    assert copies.names == ("a", "b")
    assert np.bincount(copies.select(copies.splits == "train").labelled().ids).tolist() == [6, 6]


def test_photos_become_photos_and_their_names_say_which_copy(viewfinder: Commands, tmp_path: Path) -> None:
    images, _ = discs(2)
    for name, image in zip(("tom.jpg", "ann.PNG"), images, strict=True):
        (tmp_path / "faces" / "images").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "faces" / "images" / name), image)
    (tmp_path / "faces" / "labels").mkdir()
    shape = '{"label": "face", "points": [[9, 9], [40, 40]], "shape_type": "rectangle"}'
    (tmp_path / "faces" / "labels" / "tom.json").write_text(f'{{"shapes": [{shape}], "imagePath": "tom.jpg"}}')
    outcome = viewfinder("augment", tmp_path / "faces", tmp_path / "aug", "--times", 2)
    files = sorted(path.name for path in (tmp_path / "aug" / "images").iterdir())
    assert files == ["ann-001.png", "ann-002.png", "tom-001.jpg", "tom-002.jpg"]
    assert "careful" in outcome.err
    assert "split first" in outcome.err
    assert "in training only" not in outcome.err


def test_what_copies_have_not_is_said(viewfinder: Commands, tmp_path: Path) -> None:
    write(labelled(), tmp_path / "faces", "labelme")
    options = ("--times", 1, "--recipe", "detect")
    both = viewfinder("augment", tmp_path / "faces", tmp_path / "both", *options)
    one = viewfinder("augment", tmp_path / "faces", tmp_path / "one", *options, "--set", "augment.mosaic=0")
    assert (both.code, one.code) == (0, 0)
    assert "mosaic and paste of detect: in training only" in both.err
    assert "viewfinder: paste of detect: in training only" in one.err


def test_what_is_there_already_is_left_alone_and_failures_leave_nothing(viewfinder: Commands, tmp_path: Path) -> None:
    write(labelled(), tmp_path / "faces", "labelme")
    (tmp_path / "aug").mkdir()
    outcome = viewfinder("augment", tmp_path / "faces", tmp_path / "aug")
    assert (outcome.code, outcome.err) == (2, f"viewfinder: {tmp_path / 'aug'}: exists; name a new folder\n")
    broken = next((tmp_path / "faces" / "train" / "images").iterdir())
    broken.write_bytes(broken.read_bytes()[:200])
    outcome = viewfinder("augment", tmp_path / "faces", tmp_path / "other", "--times", 2)
    assert outcome.code == 2
    assert broken.name in outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aug", "faces"]


def test_a_source_without_files_is_refused_with_a_hint(viewfinder: Commands, tmp_path: Path) -> None:
    write(replace(labelled(), splits=None), tmp_path / "faces.npz", "npz")
    outcome = viewfinder("augment", tmp_path / "faces.npz", tmp_path / "aug")
    assert outcome.code == 2
    assert "is of the format npz, which has no folders; `viewfinder train` varies" in outcome.err


def test_copies_can_be_trained_on(tmp_path: Path) -> None:
    write(labelled(), tmp_path / "faces", "labelme")
    write(varied(whole(tmp_path / "faces"), Augment(crop=60, mirror=0.5), times=4, seed=1), tmp_path / "aug", "labelme")
    changes = {
        "data.size": 32,
        "data.detail": 1,
        "model.widths": [4, 4, 4],
        "model.depths": [1, 1, 1],
        "model.dense": 8,
    }
    changes |= {"train.threads": 1}
    run = vf.train(
        vf.read(tmp_path / "aug"), recipe="seed-facetracker", epochs=1, changes=changes, out=tmp_path / "run"
    )
    assert run.ended == "steps"
    assert run.info["data"]["train"]["rows"] == 24
    assert run.info["data"]["val"]["rows"] == 2
