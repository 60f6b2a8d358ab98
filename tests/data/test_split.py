"""A split keeps each class's share and each group whole, and the same seed gives the same one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.similar import similar_groups
from viewfinder.data.split import split_parts, split_rows
from viewfinder.data.targets import Labels, PointSets
from viewfinder.errors import DataError


def classes(counts: list[int], **columns: Any) -> Dataset:
    ids = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    images = ArrayImages.of(np.zeros((len(ids), 8, 8), dtype=np.uint8))
    return Dataset("classify", tuple(map(str, range(len(counts)))), images, Labels(ids), source="made up", **columns)


def ids(dataset: Dataset) -> Any:
    return dataset.labelled().array()


@pytest.mark.parametrize("val", [0.1, 0.25, 1 / 3, 0.5])
@pytest.mark.parametrize("counts", [[100, 37, 12, 5, 1], [4] * 50, [2, 2], [1000, 3]])
def test_each_class_keeps_its_share_to_one_sample_and_never_loses_its_last(counts: list[int], val: float) -> None:
    dataset = classes(counts)
    train, held = split_rows(dataset, val, 42)
    assert sorted([*train, *held]) == list(range(len(dataset)))
    in_val = np.bincount(ids(dataset)[held], minlength=len(counts))
    assert np.all(np.abs(in_val - val * np.array(counts)) <= 1)
    assert np.all(in_val < counts)


def test_the_seed_alone_decides_and_the_split_is_the_same_everywhere() -> None:
    dataset = classes([30, 20])
    assert split_rows(dataset, 0.1, 42)[1].tolist() == [7, 27, 34, 38, 46]
    assert split_rows(dataset, 0.1, 43)[1].tolist() != [7, 27, 34, 38, 46]


def test_whole_groups_stay_on_one_side() -> None:
    groups = np.random.default_rng(1).integers(0, 60, 300)
    dataset = classes([200, 100], groups=groups)
    train, val = dataset.split(0.2, seed=3)
    assert not set(train.groups) & set(val.groups)
    assert abs(len(val) - 60) <= 6
    assert abs(np.bincount(ids(val))[1] - 20) <= 5


def test_groups_of_all_sizes_are_held_out() -> None:
    groups = np.concatenate([np.arange(200), np.repeat(np.arange(200, 250), 4)])
    val = classes([200, 200], groups=groups).split(0.2, seed=0)[1]
    sizes = np.bincount(np.unique(val.groups, return_counts=True)[1])
    assert sizes[1] > 20 and sizes[4] > 5


def test_of_two_groups_the_smaller_one_is_held_out() -> None:
    dataset = classes([60, 40], groups=(np.arange(100) < 40).astype(np.int64))
    assert len(split_rows(dataset, 0.1, 42)[1]) == 40


def test_complete_and_incomplete_points_are_spread_evenly() -> None:
    xy = np.zeros((100, 3, 2), dtype=np.float32)
    xy[:40, 1] = np.nan
    images = ArrayImages.of(np.zeros((100, 8, 8), dtype=np.uint8))
    val = Dataset("keypoints", ("a", "b", "c"), images, PointSets(xy)).split(0.2, seed=5)[1]
    assert (len(val), int(val.labelled().complete().sum())) == (20, 12)


def test_splits_that_the_source_has_are_kept() -> None:
    splits = np.array((["train"] * 3 + ["val", "test"]) * 20)
    train, val = split_rows(classes([50, 50], splits=splits), 0.5, 42)
    assert set(splits[train]) == {"train"} and set(splits[val]) == {"val"}
    only = np.array((["train"] * 4 + ["test"]) * 20)
    train, val = split_rows(classes([50, 50], splits=only), 0.25, 42)
    assert set(only[train]) == set(only[val]) == {"train"}
    assert (len(train), len(val)) == (60, 20)


def test_three_parts_have_their_shares() -> None:
    dataset = classes([100, 60])
    rows = split_parts(dataset, {"train": 0.7, "val": 0.2, "test": 0.1}, 42)
    assert {name: len(part) for name, part in rows.items()} == {"train": 112, "val": 32, "test": 16}
    assert sorted(np.concatenate(list(rows.values()))) == list(range(160))
    assert np.bincount(ids(dataset)[rows["test"]]).tolist() == [10, 6]


@pytest.mark.parametrize(
    ("dataset", "val", "message"),
    [
        (classes([20]), 0.1, "one class only"),
        (classes([1]), 0.1, "1 samples cannot be split"),
        (classes([10, 10]), 0.0, "shares must be above 0"),
        (classes([10, 10]), 1.0, "shares must be above 0"),
        (classes([1, 1, 1]), 0.1, "leaves no sample for val"),
        (classes([10, 10], groups=np.zeros(20, dtype=np.int64)), 0.1, "leaves no sample for val"),
        (classes([10, 10], splits=np.array(["test"] * 20)), 0.1, "none of its splits is called 'train'"),
    ],
)
def test_what_cannot_be_split_says_why(dataset: Dataset, val: float, message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_rows(dataset, val, 42)


def test_similar_images_are_one_group_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (60, 16, 16), dtype=np.uint8)
    noise = rng.normal(0, 12, (20, 16, 16))
    pixels[40:] = np.clip(pixels[:20] * 0.9 + 10 + noise, 0, 255).astype(np.uint8)
    groups = similar_groups(ArrayImages.of(pixels))
    assert groups[40:].tolist() == groups[:20].tolist()
    assert len(np.unique(groups)) == 40


def test_a_pair_among_few_images_is_found_and_blank_ones_are_not_alike() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 20, 20), dtype=np.uint8)
    pixels = np.stack([*pixels, pixels[0] // 2 + 9, np.full((20, 20), 7, np.uint8), np.full((20, 20), 9, np.uint8)])
    groups = similar_groups(ArrayImages.of(pixels))
    assert groups[0] == groups[3]
    assert len(np.unique(groups)) == 5
