"""Every finding is found where it was planted, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.commands import Commands
from viewfinder.data.check import Finding, Report, check, check_all
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.reading import parts, read, write
from viewfinder.data.targets import Labels, PointSets

POINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
SHAPE = np.array([[44, 24], [20, 24], [32, 36], [42, 46], [22, 46]], dtype=np.float32)


def scenes(count: int, seed: int = 0, side: int = 64) -> NDArray[np.uint8]:
    """Random soft pictures, each unlike the others."""
    rough = np.random.default_rng(seed).uniform(0, 255, (count, 8, 8)).astype(np.float32)
    smooth = [cv2.resize(one, (side, side), interpolation=cv2.INTER_CUBIC) for one in rough]
    return np.clip(smooth, 0, 255).astype(np.uint8)[..., None]


def animals(count: int = 40, pixels: NDArray[np.uint8] | None = None, ids: Any = None, **columns: Any) -> Dataset:
    images = ArrayImages.of(scenes(count) if pixels is None else pixels, "animals.npz", first=1)
    labels = Labels(np.arange(len(images)) % 2 if ids is None else np.asarray(ids, dtype=np.int64))
    return Dataset("classify", ("cat", "dog"), images, labels, source="animals.npz", **columns)


def faces(change: Callable[[NDArray[Any]], None] = lambda xy: None, count: int = 40) -> Dataset:
    """Faces whose points are turned, scaled and moved a little, after `change` spoiled some."""
    rng = np.random.default_rng(1)
    angle, scale = rng.normal(0, 0.1, count), rng.normal(1, 0.05, count)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    xy = np.einsum("ijn,kj->nki", linear, SHAPE - 32) + 32
    xy += rng.normal(0, 1, (count, 1, 2)) + rng.normal(0, 0.4, xy.shape)
    xy = xy.astype(np.float32)
    change(xy)
    images = ArrayImages.of(scenes(count), "faces.csv", first=1)
    return Dataset("keypoints", POINTS, images, PointSets(xy), source="faces.csv")


def found(report: Report) -> dict[str, Finding]:
    return {finding.id: finding for finding in report.findings}


def alarms(report: Report) -> set[str]:
    return {finding.id for finding in report.findings if finding.severity != "info"}


@pytest.mark.parametrize("dataset", [animals(), faces()], ids=["animals", "faces"])
def test_a_sound_set_has_counts_only(dataset: Dataset) -> None:
    report = dataset.check()
    assert not alarms(report)
    assert "all images are 64×64 gray" in str(report)


def test_unreadable_images_are_errors_that_name_the_file(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i, scene in enumerate(scenes(12, seed=len(name) + ord(name[0]))):
            cv2.imwrite(str(tmp_path / name / f"{i}.jpg"), scene)
    cut = tmp_path / "cat" / "3.jpg"
    cut.write_bytes(cut.read_bytes()[:200])
    (tmp_path / "dog" / "4.jpg").write_bytes(b"")
    finding = found(read(tmp_path).check())["unreadable-images"]
    assert finding.severity == "error"
    assert [place.split(":")[0] for place in finding.where] == ["cat/3.jpg", "dog/4.jpg"]


def test_blank_and_constant_images_are_found() -> None:
    pixels = scenes(40)
    pixels[3] = 255
    pixels[7] = np.random.default_rng(0).integers(100, 104, pixels[7].shape)
    report = animals(pixels=pixels).check()
    assert alarms(report) == {"blank-images"}
    assert found(report)["blank-images"].where == ("animals.npz row 4: all 255", "animals.npz row 8: all 100 to 103")


def test_pixels_saved_in_a_smaller_range_are_found() -> None:
    assert alarms(animals(pixels=scenes(40) // 16).check()) == {"pixel-range"}


def test_equal_images_of_one_class_are_a_warning_of_two_classes_an_error() -> None:
    pixels = scenes(40)
    pixels[12], pixels[21] = pixels[2], pixels[6]
    report = animals(pixels=pixels).check()
    assert alarms(report) == {"exact-duplicates", "conflicting-targets"}
    assert found(report)["exact-duplicates"].where[0] == "animals.npz row 3 = animals.npz row 13"
    conflict = found(report)["conflicting-targets"]
    assert conflict.severity == "error"
    assert conflict.where == ("animals.npz row 7 (cat) = animals.npz row 22 (dog)",)


def saved_again(image: NDArray[np.uint8], how: str) -> NDArray[np.uint8]:
    if how == "jpeg":
        return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_GRAYSCALE)
    if how == "smaller":
        return cv2.resize(cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA), (64, 64))
    return np.clip(0.8 * image[..., 0] + 20, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("how", ["jpeg", "smaller", "lighter"])
def test_a_picture_that_was_saved_again_is_found(how: str) -> None:
    pixels = scenes(40)
    pixels[31, :, :, 0] = saved_again(pixels[5], how)
    report = animals(pixels=pixels).check()
    assert alarms(report) == {"near-duplicates"}
    assert found(report)["near-duplicates"].where == ("animals.npz row 6 ~ animals.npz row 32",)


def test_images_of_one_occasion_are_found() -> None:
    pixels = scenes(40).astype(float)
    pixels[:4] = 0.8 * pixels[:4] + 0.2 * pixels[4:8]
    pixels[4:8] = 0.8 * pixels[:4] + 0.2 * scenes(4, seed=3)
    report = animals(pixels=pixels.astype(np.uint8)).check()
    assert alarms(report) == {"similar-images"}
    assert len(found(report)["similar-images"].where) == 4


def test_a_set_of_look_alikes_is_not_called_similar() -> None:
    pixels = (0.9 * scenes(1) + 0.1 * scenes(40, seed=2)).astype(np.uint8)
    pixels[20:] = (0.9 * pixels[:20] + 0.1 * scenes(20, seed=5)).astype(np.uint8)
    assert "similar-images" not in found(animals(pixels=pixels, groups=np.arange(40)).check())


def test_images_on_two_sides_are_leakage_between_datasets_and_between_splits() -> None:
    pixels = scenes(60)
    pixels[50], pixels[55, :, :, 0] = pixels[1], saved_again(pixels[2], "jpeg")
    report = check(animals(pixels=pixels[:40]), animals(pixels=pixels[40:], part="test"))
    assert alarms(report) == {"leakage", "near-leakage"}
    assert found(report)["leakage"].severity == "error"
    assert found(report)["leakage"].where == ("animals.npz row 2 = animals.npz row 11",)
    one = animals(pixels=pixels, splits=np.array(["train"] * 40 + ["val"] * 20))
    assert {"leakage", "near-leakage"} < alarms(one.check())


def test_a_group_in_two_splits_is_leakage() -> None:
    groups, splits = np.arange(40) // 4, np.array(["train"] * 30 + ["val"] * 10)
    report = animals(groups=groups, splits=splits).check()
    assert {finding.id for finding in report.errors} == {"group-leakage"}
    assert len(found(report)["group-leakage"].where) == 1


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([0] * 40, {"one-class", "rare-classes"}),
        ([0] * 36 + [1] * 4, {"rare-classes", "class-imbalance"}),
        ([0] * 30 + [1] * 10, {"class-imbalance"}),
        ([0] * 25 + [1] * 15, set()),
    ],
)
def test_classes_with_too_few_samples_are_found(ids: list[int], expected: set[str]) -> None:
    report = animals(ids=ids).check()
    assert alarms(report) == expected
    assert found(report)["class-counts"].where[0].startswith(f"cat: {ids.count(0)} (")


def test_missing_points_are_counted_by_name() -> None:
    def change(xy: NDArray[Any]) -> None:
        xy[:10, 2] = np.nan
        xy[3] = np.nan

    report = faces(change).check()
    assert alarms(report) == {"samples-without-points"}
    assert "nose: 10 (25.0 %)" in found(report)["missing-values"].where
    assert found(report)["samples-without-points"].where == ("faces.csv row 4",)


def test_a_point_that_nobody_annotated_is_an_error() -> None:
    def change(xy: NDArray[Any]) -> None:
        xy[:, 4] = np.nan

    assert [finding.id for finding in faces(change).check().errors] == ["empty-columns"]


def test_values_outside_the_range_are_found() -> None:
    def outside(xy: NDArray[Any]) -> None:
        xy[6, 1] = (-3, 24)

    def infinite(xy: NDArray[Any]) -> None:
        xy[6, 1] = np.inf

    def shares(xy: NDArray[Any]) -> None:
        xy /= 64

    report = faces(outside).check()
    assert found(report)["points-outside"].where == ("faces.csv row 7: right_eye (-3.0, 24.0)",)
    assert found(faces(infinite).check())["value-range"].severity == "error"
    assert "multiply" in found(faces(shares).check())["value-range"].advice


def test_equal_images_with_points_at_two_places_are_found() -> None:
    same = faces()
    rows = np.array([*range(40), 9, 11, 9])
    xy = same.labelled().array()[rows].copy()
    xy[40, 2] += 5
    xy[[41, 42], 2] = np.nan
    dataset = replace(same.select(rows), targets=PointSets(xy))
    finding = found(dataset.check())["conflicting-targets"]
    assert finding.severity == "error"
    assert [place.split(": ")[1] for place in finding.where] == ["nose"]


def test_a_point_far_from_where_all_others_have_it_is_found() -> None:
    def change(xy: NDArray[Any]) -> None:
        xy[17, 2] += (14, -9)

    finding = found(faces(change).check())["suspicious-points"]
    assert finding.where[0].startswith("faces.csv row 18: nose")
    assert len(finding.where) == 1


def test_left_and_right_the_other_way_round_are_found_in_all_pairs_or_in_one() -> None:
    def change(xy: NDArray[Any]) -> None:
        xy[5] = xy[5, [1, 0, 2, 4, 3]]
        xy[8, [0, 1]] = xy[8, [1, 0]]

    finding = found(faces(change).check())["swapped-sides"]
    assert finding.where == (
        "faces.csv row 6: left_eye ↔ right_eye, mouth_left ↔ mouth_right",
        "faces.csv row 9: left_eye ↔ right_eye",
    )


def test_a_face_upside_down_is_not_called_swapped() -> None:
    def change(xy: NDArray[Any]) -> None:
        xy[5] = 64 - xy[5]

    assert "swapped-sides" not in found(faces(change).check())


def test_findings_of_the_reader_are_shown_too() -> None:
    note = Finding("cache", "info", "could not be kept")
    assert found(animals(notes=(note,)).check())["cache"] == note


def test_a_report_puts_errors_first_and_shortens_only_for_people() -> None:
    pixels = scenes(40)
    pixels[::2], pixels[1] = 7, 7
    report = animals(pixels=pixels).check()
    assert [finding.severity for finding in report.findings] == sorted(
        (finding.severity for finding in report.findings), key=("error", "warning", "info").index
    )
    blank = next(entry for entry in report.as_dict()["findings"] if entry["id"] == "blank-images")
    assert len(blank["where"]) == 21
    assert "more" in str(report)
    assert report.summary() == "animals.npz (train): 40 samples, 1 error, 2 warnings"
    json.dumps(report.as_dict())


def test_a_part_is_named_where_there_are_parts_and_labels_that_are_missing_are_told(tmp_path: Path) -> None:
    for name in ("photos/a.png", "set/train/cat/a.png", "set/train/dog/b.png", "set/test/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / name), scenes(1)[0])
    photos, train, test = read(tmp_path / "photos"), read(tmp_path / "set"), read(tmp_path / "set", "test")
    assert photos.check().summary() == "photos: 1 sample without labels, all is well"
    assert train.check().summary().startswith("set (train): 2 samples, ")
    assert test.check().summary() == "set (test): 1 sample without labels, all is well"


def test_the_command_exits_with_1_only_for_errors_and_writes_json(viewfinder: Commands, tmp_path: Path) -> None:
    write(animals(), tmp_path / "good.npz", "npz")
    write(animals(ids=[1] * 40), tmp_path / "bad.npz", "npz")
    good, bad = viewfinder("check", tmp_path / "good.npz"), viewfinder("check", tmp_path / "bad.npz", "--json")
    assert (good.code, bad.code) == (0, 1)
    assert "all is well" in good.out
    assert json.loads(bad.out)[0]["findings"][0]["id"] == "one-class"
    both = viewfinder("check", tmp_path / "good.npz", tmp_path / "bad.npz")
    assert "leakage" in both.out


@pytest.mark.parametrize("name", ["digit-recognizer.zip", "facial-keypoints-detection.zip"])
def test_real_downloads_have_no_errors(data_folder: Path, name: str) -> None:
    every = [read(data_folder / name, part) for part in parts(data_folder / name)]
    thinned = [dataset.select(np.arange(0, len(dataset), 8)) for dataset in every]
    reports = check_all(thinned)
    assert not any(report.errors for report in reports)
    assert alarms(reports[0]) <= {"missing-values", "similar-images", "suspicious-points"}


def test_the_same_person_is_found_in_real_faces(data_folder: Path) -> None:
    dataset = read(data_folder / "facial-keypoints-detection.zip").select([42, 713, 3039, 5482, 6174, *range(100, 400)])
    finding = found(dataset.check())["similar-images"]
    assert "training.csv row 43 ~ training.csv row 3040" in finding.where
    assert "training.csv row 714 ~ training.csv row 5483 ~ training.csv row 6175" in finding.where
