"""`split` and `convert`: folders that other tools and we read, and nothing half-written."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import viewfinder as vf
from tests.commands import Commands
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.joining import whole
from viewfinder.data.reading import write
from viewfinder.data.samples import digits
from viewfinder.data.similar import related_groups, similar_groups
from viewfinder.data.targets import BoxSets, Labels


def frames(moments: int = 30, each: int = 3) -> Dataset:
    """Return images of so many moments, a few frames of each, one box in most."""
    rng = np.random.default_rng(2)
    rough = rng.uniform(0, 255, (moments, 10, 10)).astype(np.float32)
    scenes = np.stack([cv2.resize(one, (80, 80), interpolation=cv2.INTER_CUBIC) for one in rough])
    pixels = np.repeat(scenes, each, axis=0) + rng.normal(0, 4, (moments * each, 80, 80))
    order = rng.permutation(moments * each)
    ids = [np.zeros(int(row % each > 0 or row % 2), dtype=np.int64) for row in order]
    boxes = [np.tile([10.5, 12, 50, 60], (len(one), 1)) for one in ids]
    images = ArrayImages.of(np.clip(pixels[order], 0, 255).astype(np.uint8))
    return Dataset("detect", ("face",), images, BoxSets.of(boxes, ids), groups=order // each)


@pytest.mark.parametrize("format", ["labelme", "voc", "yolo", "coco"])
def test_a_split_keeps_alike_images_together_and_every_box(format: str, viewfinder: Commands, tmp_path: Path) -> None:
    data = frames()
    write(data, tmp_path / "faces", format)
    done = viewfinder("split", tmp_path / "faces", tmp_path / "out", "--train", 0.6, "--val", 0.2, "--test", 0.2)
    assert done.code == 0, done.err
    again = whole(tmp_path / "out")
    assert again.format == format and len(again) == 90 and again.splits is not None
    assert len(again.labelled().classes) == len(data.labelled().classes)
    counts = {name: int((again.splits == name).sum()) for name in ("train", "val", "test")}
    assert abs(counts["val"] - 18) <= 3 and abs(counts["test"] - 18) <= 3
    assert [line.split()[:2] for line in done.out.splitlines()[:3]] == [[name, str(n)] for name, n in counts.items()]
    rows = [int(Path(again.images.where(i)).stem) for i in range(90)]
    sides = {moment: {*again.splits[data.groups[rows] == moment]} for moment in range(30)}
    assert all(len(side) == 1 for side in sides.values())


def test_the_same_seed_gives_the_same_split_and_a_split_can_be_split_again(
    viewfinder: Commands, tmp_path: Path
) -> None:
    write(frames(), tmp_path / "faces", "labelme")
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert viewfinder("split", tmp_path / "faces", tmp_path / out, "--seed", seed).code == 0
    tests = [sorted(path.name for path in (tmp_path / out / "test" / "images").iterdir()) for out in "abc"]
    assert tests[0] == tests[1] != tests[2]
    assert viewfinder("split", tmp_path / "a", tmp_path / "again", "--test", 0, "--val", 0.2).code == 2
    assert viewfinder("split", tmp_path / "a", tmp_path / "again", "--test", 0, "--val", 0.3, "--train", 0.7).code == 0
    assert not (tmp_path / "again" / "test").exists() and len(whole(tmp_path / "again")) == 90


def test_folders_of_classes_are_split_too(viewfinder: Commands, tmp_path: Path) -> None:
    data = frames()
    ids = Labels(np.arange(90) % 2)
    write(Dataset("classify", ("cat", "dog"), data.images, ids), tmp_path / "pets", "folders")
    assert viewfinder("split", tmp_path / "pets", tmp_path / "out").code == 0
    assert len(whole(tmp_path / "out")) == 90


def test_what_has_no_folders_is_not_split(viewfinder: Commands, tmp_path: Path) -> None:
    data = frames()
    write(Dataset("classify", ("cat", "dog"), data.images, Labels(np.arange(90) % 2)), tmp_path / "pets.npz", "npz")
    done = viewfinder("split", tmp_path / "pets.npz", tmp_path / "out")
    assert done.code == 2 and "which has no folders" in done.err and not (tmp_path / "out").exists()


def test_digits_of_two_parts_are_not_split_either(viewfinder: Commands, tmp_path: Path) -> None:
    write(digits(), tmp_path / "mnist", "idx")
    for file in list((tmp_path / "mnist").iterdir()):
        shutil.copy(file, file.with_name(file.name.replace("train", "t10k")))
    done = viewfinder("split", tmp_path / "mnist", tmp_path / "out")
    assert done.code == 2 and "is of the format idx, which has no folders" in done.err


def test_groups_are_smaller_where_all_images_look_alike() -> None:
    keys = frames(7, 1).images.pixels.astype(float)
    steps = [keys[i] + (keys[i + 1] - keys[i]) * share for i in range(6) for share in np.arange(0, 1, 0.1)]
    pixels = ArrayImages.of(np.array(steps).astype(np.uint8))
    assert np.bincount(similar_groups(pixels)).max() > 40
    assert np.bincount(related_groups(pixels)).max() <= 20


@pytest.mark.parametrize("to", ["coco", "voc", "yolo", "labelme"])
def test_a_set_is_converted_and_photos_keep_their_bytes(to: str, viewfinder: Commands, tmp_path: Path) -> None:
    write(frames(4), tmp_path / "faces", "labelme")
    out = tmp_path / "new" / "out"
    done = viewfinder("convert", tmp_path / "faces", out, "--to", to)
    assert done.code == 0 and str(out) in done.out
    one, other = vf.read(tmp_path / "faces"), vf.read(out)
    assert other.format == to
    assert one.images.fingerprint() == other.images.fingerprint()
    assert np.abs(one.labelled().array() - other.labelled().array()).max() < 0.01


def test_convert_refuses_what_exists_and_unknown_formats(viewfinder: Commands, tmp_path: Path) -> None:
    write(frames(4), tmp_path / "faces", "labelme")
    done = viewfinder("convert", tmp_path / "faces", tmp_path / "faces", "--to", "coco")
    assert (done.code, done.err.count("\n")) == (2, 1) and "exists" in done.err
    done = viewfinder("convert", tmp_path / "faces", tmp_path / "out", "--to", "cocoa")
    assert done.code == 2 and "did you mean 'coco'" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]


def test_a_broken_photo_stops_a_conversion_and_leaves_nothing(viewfinder: Commands, tmp_path: Path) -> None:
    write(frames(4), tmp_path / "faces", "labelme")
    photo = tmp_path / "faces" / "images" / "000003.png"
    photo.write_bytes(photo.read_bytes()[:99])
    done = viewfinder("convert", tmp_path / "faces", tmp_path / "out", "--to", "yolo")
    assert done.code == 2 and "000003.png" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]


def test_the_sheet_draws_boxes_that_move_along(viewfinder: Commands, tmp_path: Path) -> None:
    write(frames(8), tmp_path / "faces", "labelme")
    done = viewfinder("show", tmp_path / "faces", "--out", tmp_path / "sheet.png")
    assert done.code == 0 and done.out.split() == [str(tmp_path / "sheet.png"), str(tmp_path / "sheet-counts.png")]
