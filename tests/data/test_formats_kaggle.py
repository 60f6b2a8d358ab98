"""The two Kaggle downloads, as a zip, a folder or a single csv file."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import viewfinder as vf
from viewfinder.data.formats import kaggle_digits, kaggle_faces
from viewfinder.data.reading import parts, write
from viewfinder.data.targets import Labels, PointSets
from viewfinder.errors import DataError

RNG = np.random.default_rng(5)
DIGITS = RNG.integers(0, 256, (60, 28, 28)).astype(np.uint8) * (RNG.random((60, 28, 28)) < 0.3).astype(np.uint8)
LABELS = RNG.integers(0, 10, 60)
FACES = RNG.integers(0, 256, (7, 96, 96)).astype(np.uint8)
NAMES = ("left_eye_center", "right_eye_center", "nose_tip")
POINTS = RNG.uniform(0, 96, (7, 3, 2)).astype(np.float32).round(4)
POINTS[2, 1] = np.nan


def digits_csv(labels: np.ndarray | None = LABELS, pixels: np.ndarray = DIGITS) -> str:
    head = [*([] if labels is None else ["label"]), *(f"pixel{i}" for i in range(pixels[0].size))]
    lines = [",".join(head)]
    for i, image in enumerate(pixels):
        lines.append(",".join([*([] if labels is None else [str(labels[i])]), *map(str, image.ravel())]))
    return "\n".join(lines) + "\n"


def faces_csv(points: np.ndarray | None = POINTS, pixels: np.ndarray = FACES) -> str:
    head = ["ImageId"] if points is None else [f"{name}_{axis}" for name in NAMES for axis in "xy"]
    lines = [",".join([*head, "Image"])]
    for i, image in enumerate(pixels):
        before = [str(i + 1)] if points is None else ["" if np.isnan(x) else repr(float(x)) for x in points[i].ravel()]
        lines.append(",".join([*before, " ".join(map(str, image.ravel()))]))
    return "\r\n".join(lines) + "\r\n"


def zipped(path: Path, files: dict[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def unpacked(path: Path, files: dict[str, str | bytes]) -> Path:
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def digit_files() -> dict[str, str | bytes]:
    sample = "ImageId,Label\n1,0\n2,0\n"
    return {"train.csv": digits_csv(), "test.csv": digits_csv(None, DIGITS[:9]), "sample_submission.csv": sample}


def face_files(folder: Path, method: int = zipfile.ZIP_DEFLATED) -> dict[str, str | bytes]:
    return {
        "training.zip": zipped(folder / "training.zip", {"training.csv": faces_csv()}, method).read_bytes(),
        "test.zip": zipped(folder / "test.zip", {"test.csv": faces_csv(None, FACES[:2])}, method).read_bytes(),
        "IdLookupTable.csv": "RowId,ImageId,FeatureName,Location\r\n1,1,nose_tip_x,\r\n2,2,nose_tip_y,\r\n",
        "SampleSubmission.csv": "RowId,Location\r\n1,0\r\n2,0\r\n",
    }


@pytest.fixture(params=["zip", "zip without compression", "zip with a folder", "folder"])
def digits(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    files = digit_files()
    if request.param == "folder":
        return unpacked(tmp_path / "digits", files)
    if request.param == "zip with a folder":
        files = {f"digit-recognizer/{name}": content for name, content in files.items()}
    method = zipfile.ZIP_STORED if "without" in request.param else zipfile.ZIP_DEFLATED
    return zipped(tmp_path / "digits.zip", files, method)


@pytest.fixture(
    params=["zips in a zip", "stored zips in a zip", "csv files in a zip", "folder of zips", "folder of csv"]
)
def faces(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    files = face_files(tmp_path, zipfile.ZIP_STORED if "stored" in request.param else zipfile.ZIP_DEFLATED)
    if "csv" in request.param:
        del files["training.zip"], files["test.zip"]
        files |= {"training.csv": faces_csv(), "test.csv": faces_csv(None, FACES[:2])}
    if "folder" in request.param:
        return unpacked(tmp_path / "faces", files)
    return zipped(tmp_path / "faces.zip", files)


def test_digits_are_read_with_their_labels(digits: Path) -> None:
    data = vf.read(digits)
    assert (data.task, data.names, data.format, data.part) == (
        "classify",
        tuple("0123456789"),
        "kaggle-digits",
        "train",
    )
    assert isinstance(data.targets, Labels)
    np.testing.assert_array_equal(data.targets.ids, LABELS)
    np.testing.assert_array_equal(data.images[59], DIGITS[59][:, :, None])
    assert data.images.where(16) == "train.csv row 17"
    assert parts(digits) == ("train", "test")


def test_a_wrong_row_of_a_damaged_zip_is_the_fault_of_the_download(tmp_path: Path) -> None:
    content = digits_csv((LABELS + 1) % 10)  # that of no other test, which the cache would know
    path = zipped(tmp_path / "digits.zip", {"train.csv": content}, zipfile.ZIP_STORED)
    row = content.splitlines()[3].encode()
    path.write_bytes(path.read_bytes().replace(row, row.replace(b",", b"7", 1), 1))
    with pytest.raises(DataError, match=r"digits.zip/train.csv: is damaged; download it again"):
        vf.read(path)


def test_the_test_part_of_digits_has_ids_and_no_targets(digits: Path) -> None:
    data = vf.read(digits, part="test")
    assert data.targets is None and data.part == "test"
    assert data.ids is not None and data.ids.tolist() == list(range(1, 10))
    np.testing.assert_array_equal(data.images[8], DIGITS[8][:, :, None])
    sample = kaggle_digits.sample(digits)
    assert sample is not None and sample[1] == {"ImageId": "2", "Label": "0"}


def test_faces_are_read_with_their_points(faces: Path) -> None:
    data = vf.read(faces)
    assert (data.task, data.names, data.format, data.part) == ("keypoints", NAMES, "kaggle-faces", "train")
    assert isinstance(data.targets, PointSets)
    np.testing.assert_array_equal(data.targets.xy, POINTS)
    np.testing.assert_array_equal(data.images[6], FACES[6][:, :, None])
    assert data.images.where(0) == "training.csv row 1"
    assert parts(faces) == ("train", "test")


def test_the_test_part_of_faces_has_ids_and_its_tables(faces: Path) -> None:
    data = vf.read(faces, part="test")
    assert data.targets is None and len(data) == 2
    assert data.ids is not None and data.ids.tolist() == [1, 2]
    lookup, sample = kaggle_faces.lookup(faces), kaggle_faces.sample(faces)
    assert lookup is not None and [*lookup[1].values()] == ["2", "2", "nose_tip_y", ""]
    assert sample is not None and sample[0] == {"RowId": "1", "Location": "0"}


def test_a_single_csv_is_read_by_what_is_in_it(tmp_path: Path) -> None:
    for name, content in {"d.csv": digits_csv(), "f.csv": faces_csv()}.items():
        (tmp_path / name).write_text(content, newline="")
        assert vf.read(tmp_path / name).targets is not None
        assert parts(tmp_path / name) == ("train",)
    for name, content in {"d.csv": digits_csv(None), "f.csv": faces_csv(None)}.items():
        (tmp_path / name).write_text(content, newline="")
        assert vf.read(tmp_path / name).part == "test"
        assert parts(tmp_path / name) == ("test",)
        assert vf.read(tmp_path / name, part="test").targets is None


def test_the_tables_beside_a_single_csv_are_found(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "digits", digit_files())
    assert kaggle_digits.sample(folder / "test.csv") is not None
    assert kaggle_faces.lookup(folder / "test.csv") is None


def with_a_bom(text: str) -> str:
    return "\ufeff" + text


def with_windows_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def without_the_last_end(text: str) -> str:
    return text.rstrip()


def with_quotes(text: str) -> str:
    return "\n".join(",".join(f'"{value}"' for value in line.split(",")) for line in text.splitlines()) + "\n"


def with_blank_lines(text: str) -> str:
    return text.replace("\n", "\n\n") + "\n"


def with_another_order(text: str) -> str:
    return "\n".join(",".join(reversed(line.split(","))) for line in text.splitlines())


def with_another_column(text: str) -> str:
    return "\n".join(f"{line},{'note' if i == 0 else 'good'}" for i, line in enumerate(text.splitlines()))


def with_a_decimal(text: str) -> str:
    head, first, *rest = text.splitlines()
    values = first.split(",")
    values[-1] = values[-1].replace(" ", ".0 ") if " " in values[-1] else f"{values[-1]}.0"
    return "\n".join([head, ",".join(values), *rest])


FORMS = [
    with_a_bom,
    with_windows_ends,
    without_the_last_end,
    with_quotes,
    with_blank_lines,
    with_another_order,
    with_another_column,
    with_a_decimal,
]


@pytest.mark.parametrize("form", FORMS)
def test_other_forms_of_the_same_csv_are_the_same_data(form: Callable[[str], str], tmp_path: Path) -> None:
    path = tmp_path / "digits.csv"
    path.write_bytes(form(digits_csv()).encode())
    data = vf.read(path)
    np.testing.assert_array_equal(data.labelled().array(), LABELS)
    np.testing.assert_array_equal(data.images[59], DIGITS[59][:, :, None])
    path = tmp_path / "faces.csv"
    path.write_bytes(form(faces_csv()).encode())
    data = vf.read(path)
    order = [NAMES.index(name) for name in data.names]
    np.testing.assert_array_equal(data.labelled().array(), POINTS[:, order])
    np.testing.assert_array_equal(data.images[6], FACES[6][:, :, None])


def test_a_point_with_only_one_coordinate_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "faces.csv"
    path.write_text("nose_x,nose_y,Image\n1.5,,1 2 3 4\n1.5,0.5,1 2 3 4\n")
    np.testing.assert_array_equal(vf.read(path).labelled().array(), [[[np.nan, np.nan]], [[1.5, 0.5]]])


def test_rows_longer_than_a_block_and_blocks_of_many_rows_are_read_alike(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (3, 300, 300)).astype(np.uint8)
    for name, text in {"d.csv": digits_csv(np.arange(3), pixels), "f.csv": faces_csv(POINTS[:3], pixels)}.items():
        (tmp_path / name).write_text(text, newline="")
        np.testing.assert_array_equal(np.stack([vf.read(tmp_path / name).images[i] for i in range(3)])[..., 0], pixels)


@pytest.mark.parametrize(("format", "path"), [("kaggle-digits", "digits"), ("kaggle-faces", "faces")])
@pytest.mark.parametrize("part", ["train", "test"])
def test_what_is_written_is_read_back(
    format: str, path: str, part: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    files = digit_files() if path == "digits" else face_files(tmp_path)
    data = vf.read(zipped(tmp_path / "download.zip", files), part=part)
    write(data, tmp_path / "again.csv", format)
    again = vf.read(tmp_path / "again.csv")
    assert again.fingerprint == data.fingerprint and again.names == data.names
    if data.ids is not None:
        np.testing.assert_array_equal(again.ids, data.ids)


@pytest.mark.parametrize(("format", "ending"), [("kaggle-digits", ".csv"), ("kaggle-faces", ".csv"), ("npz", ".npz")])
def test_a_name_by_which_it_would_not_be_read_again_is_refused(format: str, ending: str, tmp_path: Path) -> None:
    name = "faces" if format == "kaggle-faces" else "digits"
    files = face_files(tmp_path) if name == "faces" else digit_files()
    data = vf.read(zipped(tmp_path / "download.zip", files))
    with pytest.raises(DataError, match=f"{format} is one {ending} file; call it again{ending}"):
        write(data, tmp_path / "again", format)
    assert not (tmp_path / "again").exists()
    write(data, tmp_path / f"again{ending.upper()}", format)
    assert vf.read(tmp_path / f"again{ending.upper()}").fingerprint == data.fingerprint


def test_a_download_in_another_place_has_the_same_fingerprint(tmp_path: Path) -> None:
    one = zipped(tmp_path / "one.zip", digit_files())
    other = unpacked(tmp_path / "other", digit_files())
    assert vf.read(one).fingerprint == vf.read(other).fingerprint
    assert vf.read(one).fingerprint != vf.read(one, part="test").fingerprint


def test_kaggles_own_files_are_read(data_folder: Path) -> None:
    digits = vf.read(data_folder / "digit-recognizer.zip")
    assert len(digits) == 42000 and np.bincount(digits.labelled().array()).min() > 3000
    assert len(vf.read(data_folder / "digit-recognizer.zip", part="test")) == 28000
    faces = vf.read(data_folder / "facial-keypoints-detection.zip")
    xy = faces.labelled().array()
    assert xy.shape == (6273, 15, 2) and np.isfinite(xy).all(axis=(1, 2)).sum() == 3391
    assert len(vf.read(data_folder / "facial-keypoints-detection.zip", part="test")) == 1690


def test_a_second_reading_is_fast(data_folder: Path) -> None:
    path = data_folder / "facial-keypoints-detection.zip"
    vf.read(path)
    start = time.process_time()
    vf.read(path)
    assert time.process_time() - start < 0.3
