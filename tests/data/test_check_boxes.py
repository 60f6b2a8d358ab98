"""Every finding about boxes is found where it was planted, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from tests.commands import Commands
from viewfinder.data.check import Finding, Report, check
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.reading import write
from viewfinder.data.targets import BoxSets
from viewfinder.show.charts import charts

COUNT = 40
Change = Callable[[list[list[list[float]]], list[list[int]]], None]


def rooms(change: Change = lambda boxes, ids: None, count: int = COUNT, seed: int = 0, **columns: Any) -> Dataset:
    """Return images of two classes, one or two boxes in each, after `change` spoiled some."""
    rng = np.random.default_rng(seed)
    rough = rng.uniform(0, 255, (count, 8, 8)).astype(np.float32)
    smooth = [cv2.resize(one, (64, 64), interpolation=cv2.INTER_CUBIC) for one in rough]
    pixels = np.clip(smooth, 0, 255).astype(np.uint8)[..., None]
    corners = rng.uniform(0, 30, (count, 2, 2))
    sides = np.concatenate([corners, corners + rng.uniform(8, 30, corners.shape)], axis=2)
    boxes = [one[: 1 + i % 2].tolist() for i, one in enumerate(sides)]
    ids = [[(i + k) % 2 for k in range(len(one))] for i, one in enumerate(boxes)]
    change(boxes, ids)
    targets = BoxSets.of([np.array(one) for one in boxes], [np.array(one, dtype=np.int64) for one in ids])
    names = ("lamp", "chair", *columns.pop("more", ()))
    images = ArrayImages.of(pixels, "rooms.npz", first=1)
    return Dataset("detect", names, images, targets, source="rooms.npz", **columns)


def found(report: Report) -> dict[str, Finding]:
    return {finding.id: finding for finding in report.findings}


def alarms(report: Report) -> set[str]:
    return {finding.id for finding in report.findings if finding.severity != "info"}


def put(row: int, box: list[float], label: int = 0) -> Change:
    def change(boxes: list[list[list[float]]], ids: list[list[int]]) -> None:
        boxes[row].append(box)
        ids[row].append(label)

    return change


def test_a_sound_set_has_counts_only() -> None:
    report = rooms().check()
    assert not alarms(report)
    assert found(report)["class-counts"].where == ("lamp: 40 (66.7 %)", "chair: 20 (33.3 %)")
    assert "1 to 2 boxes in an image" in found(report)["box-counts"].message


PLANTED = [
    (put(3, [10, 10, 10, 30]), "empty-boxes", "error", "rooms.npz row 4: lamp (10, 10, 10, 30)"),
    (put(3, [30, 10, 10, 30], 1), "empty-boxes", "error", "rooms.npz row 4: chair (30, 10, 10, 30)"),
    (put(3, [np.nan, 10, 20, 30]), "value-range", "error", "rooms.npz row 4: lamp (nan, 10, 20, 30)"),
    (put(3, [1, np.inf, 20, np.inf]), "value-range", "error", "rooms.npz row 4: lamp (1, inf, 20, inf)"),
    (put(5, [50, 10, 70, 30]), "boxes-outside", "warning", "rooms.npz row 6: lamp (50, 10, 70, 30)"),
    (put(5, [5, 5, 5.4, 30]), "tiny-boxes", "warning", "rooms.npz row 6: lamp (5, 5, 5.4, 30)"),
]


@pytest.mark.parametrize(("change", "kind", "severity", "where"), PLANTED)
def test_a_box_that_cannot_be_right_is_found(change: Change, kind: str, severity: str, where: str) -> None:
    report = rooms(change).check()
    assert alarms(report) == {kind}
    assert found(report)[kind].severity == severity and found(report)[kind].where == (where,)


def test_a_box_that_is_rounded_to_just_outside_is_no_finding() -> None:
    assert not alarms(rooms(put(5, [50, 10, 64.4, 30])).check())


def test_boxes_that_are_there_twice_are_found_of_one_class_and_of_two() -> None:
    def change(boxes: list[list[list[float]]], ids: list[list[int]]) -> None:
        for row, label in ((2, ids[2][0]), (4, 1 - ids[4][0])):
            boxes[row].append(boxes[row][0])
            ids[row].append(label)

    report = rooms(change).check()
    assert alarms(report) == {"duplicate-boxes", "conflicting-boxes"}
    assert all(place.startswith("rooms.npz row 3: ") for place in found(report)["duplicate-boxes"].where)
    assert [place[:16] for place in found(report)["conflicting-boxes"].where] == ["rooms.npz row 5:"] * 2


def test_boxes_scaled_to_shares_are_found() -> None:
    def change(boxes: list[list[list[float]]], ids: list[list[int]]) -> None:
        boxes[:] = [(np.array(one) / 64).tolist() for one in boxes]

    finding = found(rooms(change).check())["value-range"]
    assert finding.severity == "error" and "multiply" in finding.advice


def test_very_many_boxes_in_one_image_are_found_quickly() -> None:
    def change(boxes: list[list[list[float]]], ids: list[list[int]]) -> None:
        corners = np.random.default_rng(0).uniform(0, 40, (20_000, 2))
        boxes[7] = np.concatenate([corners, corners + 9], axis=1).tolist()
        ids[7] = [0, 1] * 10_000

    report = rooms(change).check()
    assert alarms(report) == {"many-boxes"}
    assert found(report)["many-boxes"].where == ("rooms.npz row 8: 20,000",)


def test_a_set_without_a_box_is_an_error() -> None:
    def change(boxes: list[list[list[float]]], ids: list[list[int]]) -> None:
        for one in (*boxes, *ids):
            one.clear()

    report = rooms(change).check()
    assert [finding.id for finding in report.errors] == ["no-boxes"]
    assert "rare-classes" not in found(report)


def test_rare_and_uneven_classes_are_counted_by_box() -> None:
    def change(boxes: list[list[list[float]]], ids: list[list[int]]) -> None:
        ids[:] = [[0] * len(one) for one in ids]
        ids[3][0] = ids[9][0] = 1

    report = rooms(change).check()
    assert alarms(report) == {"rare-classes", "class-imbalance"}
    assert found(report)["rare-classes"].where == ("chair: 2",)
    assert "lamp has 29.0 times as many boxes as chair" in found(report)["class-imbalance"].message


def test_equal_images_with_different_boxes_are_an_error() -> None:
    dataset = rooms()
    pixels = dataset.images.pixels.copy()
    pixels[1] = pixels[2]
    copied = Dataset("detect", dataset.names, ArrayImages.of(pixels, "rooms.npz", first=1), dataset.targets)
    finding = found(copied.check())["conflicting-targets"]
    assert finding.where == ("rooms.npz row 2 (1 lamp, 1 chair) = rooms.npz row 3 (1 lamp)",)


def test_a_class_that_is_only_in_the_test_part_or_only_in_validation_is_an_error() -> None:
    train, test = rooms(), rooms(put(2, [5, 5, 20, 20], 2), seed=1, part="test", more=("sofa",))
    report = check(train, test)
    assert [finding.id for finding in report.errors] == ["unseen-classes"]
    assert found(report)["unseen-classes"].where == ("sofa: 1",)
    splits = np.array(["train"] * 30 + ["val"] * 10)
    inside = rooms(put(35, [5, 5, 20, 20], 2), more=("sofa",), splits=splits).check()
    assert "unseen-classes" in alarms(inside)
    assert "unseen-classes" not in alarms(rooms(put(5, [5, 5, 20, 20], 2), more=("sofa",), splits=splits).check())


def test_the_command_says_what_is_wrong_and_exits_with_1(viewfinder: Commands, tmp_path: Any) -> None:
    write(rooms(), tmp_path / "good", "voc")
    done = viewfinder("check", tmp_path / "good")
    assert done.code == 0 and "lamp: 40 (66.7 %)" in done.out
    for path in (tmp_path / "good" / "annotations").iterdir():
        path.write_text("<annotation></annotation>")
    done = viewfinder("check", tmp_path / "good")
    assert done.code == 1 and "no-boxes" in done.out


def test_the_chart_counts_boxes() -> None:
    figure = charts(rooms())["counts"]
    assert "Boxes a class" in figure.axes[0].get_title(loc="left")
