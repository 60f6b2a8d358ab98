"""A contact sheet shows every kind of sample, with targets that move along."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.commands import Commands
from viewfinder.config import Augment, Data
from viewfinder.data import samples
from viewfinder.data.answers import PREDICTED_COLOUR
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.reading import write
from viewfinder.data.targets import Labels, PointSets
from viewfinder.errors import DataError
from viewfinder.show.charts import charts
from viewfinder.show.pictures import rendered
from viewfinder.show.sheet import VERSIONS, sheet, some_rows


def uneven() -> Dataset:
    ids = np.array([0] * 90 + [1] * 9 + [2])
    pixels = np.random.default_rng(0).integers(0, 256, (100, 12, 12), dtype=np.uint8)
    return Dataset("classify", ("many", "few", "$one_{"), ArrayImages.of(pixels), Labels(ids), source="uneven.npz")


def test_rare_classes_and_incomplete_points_are_shown_too() -> None:
    dataset = uneven()
    assert sorted(dataset.labelled().array()[some_rows(dataset, 1)[:3]]) == [0, 1, 2]
    xy = np.ones((50, 2, 2), dtype=np.float32)
    xy[7] = np.nan
    images = ArrayImages.of(np.zeros((50, 8, 8), dtype=np.uint8))
    assert 7 in some_rows(Dataset("keypoints", ("a", "b"), images, PointSets(xy)), 1)[:2]


def test_the_same_seed_gives_the_same_sheet() -> None:
    dataset = uneven()
    assert np.array_equal(sheet(dataset, 6, seed=1), sheet(dataset, 6, seed=1))
    assert not np.array_equal(sheet(dataset, 6, seed=1), sheet(dataset, 6, seed=2))


def test_small_images_are_enlarged_without_blurring() -> None:
    pixels = np.zeros((2, 16, 16), dtype=np.uint8)
    pixels[:, ::2] = 255
    dataset = Dataset("classify", ("a",), ArrayImages.of(pixels))
    shown = sheet(dataset, 2, seed=0)
    column = shown[32 : 32 + 16 * 11, 20, 0].astype(int)
    assert set(np.unique(column)) == {0, 255}


def orange(picture: np.ndarray) -> int:
    return int((np.abs(picture.astype(int) - PREDICTED_COLOUR).max(axis=2) < 12).sum())


def test_points_lie_on_their_marks_after_every_augmentation() -> None:
    pixels, xy = np.zeros((4, 64, 64), dtype=np.uint8), np.zeros((4, 1, 2), dtype=np.float32)
    for i, (image, (x, y)) in enumerate(zip(pixels, [(20, 30), (40, 22), (33, 41), (25, 25)], strict=True)):
        cv2.circle(image, (x, y), 7, 255, -1)
        xy[i] = (x + 0.5, y + 0.5)
    dataset = Dataset("keypoints", ("mark",), ArrayImages.of(pixels), PointSets(xy), source="marks.npz")
    augment = Augment(rotate=20, zoom=0.2, shift=0.1, mirror=0.5)
    shown = sheet(dataset, 4, seed=3, augment=augment, data=Data(size=64))
    dots = np.abs(shown.astype(int) - PREDICTED_COLOUR).max(axis=2) < 12
    around = cv2.dilate(dots.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    black = (shown.max(axis=2) < 10) & ~cv2.dilate(dots.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    assert cv2.connectedComponents(around.astype(np.uint8))[0] - 1 == 4 * (1 + VERSIONS)
    assert not (black & around).any()


@pytest.mark.parametrize("unlaid", ["mosaic", "paste"])
def test_a_sheet_names_what_only_training_lays_and_does_not_lay_it(unlaid: str) -> None:
    faces = samples.faces(4, size=48)
    plain, named = (sheet(faces, 2, seed=0, augment=Augment(rotate=5, **{unlaid: share})) for share in (0, 1))
    rows = np.flatnonzero((plain != named).any(axis=(1, 2)))
    assert 0 < len(rows) < 30
    assert rows.max() < 80


def test_photos_of_all_sizes_fit_on_one_sheet(tmp_path: Path) -> None:
    from viewfinder.data.reading import read

    for i, (height, width) in enumerate([(40, 90), (400, 300), (9, 9)]):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((height, width, 3), 90, dtype=np.uint8))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert sheet(read(tmp_path, "test"), 9, seed=0).shape[1] == 3 * (180 + 8) + 8


def test_a_set_without_a_readable_image_says_what_to_do(tmp_path: Path) -> None:
    from viewfinder.data.reading import read

    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="no image can be read; run `viewfinder check`"):
        sheet(read(tmp_path, "test"), 9, seed=0)


def test_charts_fit_the_kind_of_targets() -> None:
    faces = samples.faces(12)
    xy = faces.labelled().array().copy()
    xy[:5, 3] = np.nan
    holes = Dataset("keypoints", faces.names, faces.images, PointSets(xy), source="faces")
    drawn = {name: rendered(figure) for dataset in (uneven(), holes) for name, figure in charts(dataset).items()}
    assert set(drawn) == {"counts", "missing"}
    assert all(picture.std() > 10 for picture in drawn.values())
    assert not charts(Dataset("classify", ("a",), faces.images))


def test_the_command_writes_the_sheet_and_its_chart_and_says_where(viewfinder: Commands, tmp_path: Path) -> None:
    write(samples.faces(12, size=48), tmp_path / "faces.npz", "npz")
    out = tmp_path / "new" / "sheet.png"
    done = viewfinder("show", tmp_path / "faces.npz", "--augment", "--count", 3, "--out", out)
    assert done.code == 0, done.err
    assert done.out.split() == [str(out), str(out.with_name("sheet-missing.png"))]
    picture = cv2.imread(str(out))
    assert picture.shape[1] == 7 * 200 + 8
    assert orange(picture[:, :, ::-1]) > 100
    assert viewfinder("show", tmp_path / "faces.npz", "--out", out).code == 0
    assert sorted(path.name for path in out.parent.iterdir()) == ["sheet-missing.png", "sheet.png"]


def test_a_name_that_is_no_picture_is_an_error(viewfinder: Commands, tmp_path: Path) -> None:
    done = viewfinder("show", tmp_path, "--out", tmp_path / "sheet.txt")
    assert (done.code, done.out) == (2, "")
    assert "let it end in .png" in done.err
