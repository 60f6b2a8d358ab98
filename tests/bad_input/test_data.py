"""Data that cannot be used: one line that says where, what and what to do; exit code 2; nothing left behind."""

from __future__ import annotations

import gzip
import io
import os
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import viewfinder as vf
from tests.commands import Commands
from viewfinder.data.store import cache_folder
from viewfinder.errors import DataError

HEAD = "label,pixel0,pixel1,pixel2,pixel3\n"
FACES = "nose_x,nose_y,Image\n"


def failure(path: Path, part: str = "train") -> str:
    """Return the one line of the error, and make sure that the cache holds nothing half-written."""
    with pytest.raises(DataError) as caught:
        vf.read(path, part=part)
    assert not list(cache_folder().glob("*.part"))
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2
    return str(caught.value)


def csv(tmp_path: Path, text: str, name: str = "train.csv") -> Path:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


def zipped(path: Path, files: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def changed_directory(path: Path, change: Callable[[bytearray, int, int], None]) -> Path:
    """Change a zip's first member where its header (1st offset) and the directory (2nd offset) speak of it."""
    content = bytearray(path.read_bytes())
    change(content, content.index(b"PK\x03\x04"), content.index(b"PK\x01\x02"))
    path.write_bytes(content)
    return path


DIGIT_ROWS = [
    ("5,0,0,0\n", "row 2: has 4 values, expected 5"),
    ("5,0,0,0,0,0\n", "row 2: has 6 values, expected 5"),
    ("5,0,300,0,0\n", "row 2, pixel1: 300 is not a gray value; expected a whole number from 0 to 255"),
    ("5,0,256,0,0\n", "row 2, pixel1: 256 is not a gray value"),
    ("5,0,-1,0,0\n", "row 2, pixel1: -1 is not a gray value"),
    ("5,0,1.5,0,0\n", "row 2, pixel1: 1.5 is not a gray value"),
    ("5,0,nan,0,0\n", "row 2, pixel1: nan is not a gray value"),
    ("5,0,abc,0,0\n", "row 2, pixel1: 'abc' is not a gray value"),
    ("5,0,0255,,0\n", "row 2, pixel2: is blank"),
    ("5,0, ,0,0\n", "row 2, pixel1: is blank"),
    ("11,0,0,0,0\n", "row 2, label: '11' is not a digit; expected a whole number from 0 to 9"),
    ("3.5,0,0,0,0\n", "row 2, label: '3.5' is not a digit"),
    ("-1,0,0,0,0\n", "row 2, label: '-1' is not a digit"),
    ("seven,0,0,0,0\n", "row 2, label: 'seven' is not a digit"),
    (",0,0,0,0\n", "row 2, label: is blank"),
    ('"5,0,0,0,0\n', "row 2: has 1 values"),
    ("\ud7ff,0,0,0,0\n", "row 2, label"),
]


@pytest.mark.parametrize(("row", "message"), DIGIT_ROWS)
def test_a_bad_row_of_digits_is_named(row: str, message: str, tmp_path: Path) -> None:
    assert f"train.csv {message}" in failure(csv(tmp_path, f"{HEAD}1,0,1,2,255\n{row}2,0,1,2,3\n"))


def test_a_bad_row_far_down_is_counted_as_a_person_counts(tmp_path: Path) -> None:
    good = "1,0,1,2,255\n" * 30_000
    assert "train.csv row 30001, pixel3: 999 is" in failure(csv(tmp_path, f"{HEAD}{good}1,0,0,0,999\n{good}"))


FACE_ROWS = [
    ("1,2,1 2 3\n", "row 2, Image: has 3 gray values, the rows before have 4"),
    ("1,2,1 2 3 4 5\n", "row 2, Image: has 5 gray values"),
    ("1,2,\n", "row 2, Image: has 0 gray values"),
    ("1,2,1 2 300 4\n", "row 2, Image pixel 3: 300 is not a gray value"),
    ("1,2,1 2 abc 4\n", "row 2, Image pixel 3: 'abc' is not a gray value"),
    ("here,2,1 2 3 4\n", "row 2, nose_x: 'here' is not a coordinate; expected pixels, or nothing at all"),
    ("1,inf,1 2 3 4\n", "row 2, nose_y: 'inf' is not a coordinate"),
    ("1,2\n", "row 2: has 2 values, expected 3"),
    ("1,2,3,1 2 3 4\n", "row 2: has 4 values, expected 3"),
]


@pytest.mark.parametrize(("row", "message"), FACE_ROWS)
def test_a_bad_row_of_faces_is_named(row: str, message: str, tmp_path: Path) -> None:
    assert f"training.csv {message}" in failure(csv(tmp_path, f"{FACES}1,2,1 2 3 4\n{row}", "training.csv"))


def test_the_file_in_the_zip_in_the_zip_is_named(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "training.zip", {"training.csv": f"{FACES}a,2,1 2 3 4\n"}).read_bytes()
    path = zipped(tmp_path / "faces.zip", {"training.zip": inner, "IdLookupTable.csv": "RowId\n"})
    assert failure(path).startswith("faces.zip/training.zip/training.csv row 1, nose_x: 'a' is not a coordinate;")


TABLES = [
    ("a,b\n1,2\n", "it has the columns a, b; looked for"),
    ("label,pixel0,pixel1,pixel3\n1,2,3,4\n", "has no column 'pixel2'"),
    ("label,pixel0,pixel1,pixel2\n1,2,3,4\n", "3 pixel columns, which make no square image"),
    ("nose_x,Image\n1,2\n", "has no column 'nose_y'; every point needs an x and a y"),
    ("nose_x,nose_y,Image\n1,2,1 2 3\n", "row 1, Image: 3 gray values make no square image"),
    (HEAD, "has no rows"),
    (FACES, "has no rows"),
    ("", "is empty"),
]


@pytest.mark.parametrize(("text", "message"), TABLES)
def test_a_csv_without_its_columns_or_rows_is_an_error(text: str, message: str, tmp_path: Path) -> None:
    assert message in failure(csv(tmp_path, text))


def test_a_csv_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_bytes(b"\xff\xfe\x00\x01")
    assert "not text" in failure(tmp_path / "train.csv")


def test_a_train_part_without_labels_is_an_error(tmp_path: Path) -> None:
    path = zipped(tmp_path / "digits.zip", {"train.csv": "pixel0\n1\n", "test.csv": "pixel0\n1\n"})
    assert "digits.zip/train.csv: has no column 'label'" in failure(path)
    path = zipped(tmp_path / "faces.zip", {"training.csv": "ImageId,Image\n1,1\n", "IdLookupTable.csv": ""})
    assert "has no columns of coordinates" in failure(path)


def test_a_part_that_is_not_there_is_an_error_that_names_the_parts(tmp_path: Path) -> None:
    path = zipped(tmp_path / "digits.zip", {"train.csv": f"{HEAD}1,0,0,0,0\n"})
    assert "has no part 'test'; parts: train" in failure(path, "test")
    assert "has no part 'all'" in failure(path, "all")
    assert "has no part 'test'" in failure(csv(tmp_path, f"{HEAD}1,0,0,0,0\n"), "test")
    assert "has no part 'val'" in failure(tmp_path / "train.csv", "val")


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert failure(tmp_path / "digits.zip").endswith("digits.zip: no such file or folder; check the path")


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    assert failure(tmp_path).endswith(": is empty; name a folder or a zip with data in it")
    with zipfile.ZipFile(tmp_path / "a.zip", "w"):
        pass
    assert "a.zip: is empty" in failure(tmp_path / "a.zip")


def test_what_holds_something_else_is_an_error_that_says_what(tmp_path: Path) -> None:
    path = zipped(tmp_path / "other.zip", {"README.md": "hello", "songs/1.mp3": b"la"})
    assert "it holds README.md, songs/1.mp3; looked for" in failure(path)
    (tmp_path / "song.mp3").write_bytes(b"la")
    assert "it is of no known kind" in failure(tmp_path / "song.mp3")


def test_a_zip_that_is_not_one_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "digits.zip").write_bytes(b"<html>log in first</html>")
    assert "is not a zip file, or is cut off; download it again" in failure(tmp_path / "digits.zip")


def test_a_zip_that_was_cut_off_is_an_error(tmp_path: Path) -> None:
    path = zipped(tmp_path / "digits.zip", {"train.csv": HEAD + "1,0,0,0,0\n" * 5000})
    path.write_bytes(path.read_bytes()[:-100])
    assert "cut off" in failure(path)


def test_a_zip_that_is_damaged_inside_is_an_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = "".join(",".join(map(str, [1, *rng.integers(0, 256, 4)])) + "\n" for _ in range(20_000))
    path = zipped(tmp_path / "digits.zip", {"train.csv": HEAD + rows})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert failure(path).startswith("digits.zip/train.csv")


def test_an_encrypted_zip_is_an_error(tmp_path: Path) -> None:
    def encrypt(content: bytearray, header: int, directory: int) -> None:
        content[header + 6] |= 1
        content[directory + 8] |= 1

    path = changed_directory(zipped(tmp_path / "digits.zip", {"train.csv": HEAD}), encrypt)
    assert "train.csv is encrypted; unpack it first" in failure(path)


def test_a_zip_with_a_rare_compression_is_an_error(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "digits.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("train.csv", HEAD)
    assert "train.csv is compressed in a rare way; unpack it first" in failure(tmp_path / "digits.zip")


@pytest.mark.parametrize("size", [(9 << 30) % (1 << 32), 4_000_000_000])
def test_a_zip_bomb_is_refused(size: int, tmp_path: Path) -> None:
    def inflate(content: bytearray, header: int, directory: int) -> None:
        struct.pack_into("<I", content, header + 22, size)
        struct.pack_into("<I", content, directory + 24, size)

    path = changed_directory(zipped(tmp_path / "digits.zip", {"train.csv": HEAD + "1,0,0,0,0\n" * 9999}), inflate)
    assert "train.csv would inflate to" in failure(path)


def test_a_zip_bomb_inside_a_zip_is_refused(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("training.csv", "w") as member:
        for _ in range(110):
            member.write(bytes(1 << 20))
    path = zipped(tmp_path / "faces.zip", {"training.zip": inner.getvalue(), "IdLookupTable.csv": ""})
    assert failure(path).startswith("faces.zip/training.zip: training.csv would inflate to 0.1 GB")


def test_a_zip_that_says_it_is_smaller_than_it_is_is_an_error(tmp_path: Path) -> None:
    def shrink(content: bytearray, header: int, directory: int) -> None:
        struct.pack_into("<I", content, directory + 24, 60)

    path = changed_directory(zipped(tmp_path / "digits.zip", {"train.csv": HEAD + "1,0,0,0,0\n" * 9999}), shrink)
    assert failure(path).startswith("digits.zip/train.csv")


def test_images_that_are_cut_off_stop_training_with_the_files_name(tmp_path: Path, viewfinder: Commands) -> None:
    for i in range(40):
        folder = tmp_path / "pets" / ("cat" if i % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        content = cv2.imencode(".jpg", np.full((20, 20, 3), 5 * i, dtype=np.uint8))[1].tobytes()
        (folder / f"{i:02}.jpg").write_bytes(content[:-20] if i == 7 else content)
    out = tmp_path / "run"
    done = viewfinder("train", tmp_path / "pets", "--recipe", "digits", "--epochs", "1", "--out", out)
    assert done.code == 2 and done.err.count("\n") == 1
    assert "cat/07.jpg: is cut off or damaged" in done.err and "viewfinder check" in done.err


def test_errors_of_reading_are_one_line_on_the_command_line(tmp_path: Path, viewfinder: Commands) -> None:
    path = csv(tmp_path, f"{HEAD}11,0,0,0,0\n")
    for command in (["check", path], ["show", path, "--out", tmp_path / "sheet.png"], ["train", path]):
        done = viewfinder(*command)
        assert done.code == 2 and done.err.count("\n") == 1 and "row 1, label" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["train.csv"]


IDX = struct.pack(">4B3I", 0, 0, 8, 3, 2, 2, 2) + bytes(8)
IDX_LABELS = struct.pack(">4B1I", 0, 0, 8, 1, 2) + bytes(2)

IDX_FILES = [
    (IDX[:-1], IDX_LABELS, "train-images-idx3-ubyte: is cut off"),
    (IDX[:9], IDX_LABELS, "is not an idx file of bytes with 3 axes"),
    (IDX + b"\0", IDX_LABELS, "is longer than it says"),
    (b"\0\0\x0d\x03" + IDX[4:], IDX_LABELS, "is not an idx file"),
    (struct.pack(">4B3I", 0, 0, 8, 3, 1 << 31, 1 << 31, 9), IDX_LABELS, "says that it has"),
    (IDX, struct.pack(">4B1I", 0, 0, 8, 1, 3) + bytes(3), "has 3 labels for 2 images"),
    (IDX, IDX_LABELS[:-1], "train-labels-idx1-ubyte: is cut off"),
    (IDX, None, "has images without their labels"),
]


@pytest.mark.parametrize(("images", "labels", "message"), IDX_FILES)
def test_bad_idx_files_are_errors(images: bytes, labels: bytes | None, message: str, tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(images)
    if labels is not None:
        (tmp_path / "train-labels-idx1-ubyte").write_bytes(labels)
    assert message in failure(tmp_path)


def test_a_gz_file_that_was_cut_off_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(IDX)[:-6])
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(IDX_LABELS))
    assert "damaged or cut off" in failure(tmp_path)


PIXELS = np.zeros((3, 2, 2, 3), dtype=np.uint8)

ARCHIVES = [
    ({"pixels": PIXELS}, "has no part 'train'; expected an .npz file with images"),
    ({"images": PIXELS / 255}, "images has the type float64; save whole numbers"),
    ({"images": PIXELS[0, 0]}, "images has the shape (2, 3)"),
    ({"images": PIXELS[:0]}, "images has the shape (0, 2, 2, 3)"),
    ({"images": PIXELS, "labels": np.arange(2)}, "labels has 2 rows for 3 images"),
    ({"images": PIXELS, "labels": np.arange(3) / 2}, "labels has the shape (3,) and the type float64"),
    ({"images": PIXELS, "labels": np.array([0, -1, 1])}, "labels has a label in row 1 that is none of the 2 names"),
    ({"images": PIXELS, "labels": np.arange(3), "names": np.array(["a"])}, "row 1 that is none of the 1 names"),
    ({"images": PIXELS, "points": np.zeros((3, 4, 3))}, "points has the shape (3, 4, 3)"),
    ({"images": PIXELS, "points": np.full((3, 4, 2), np.inf)}, "points is infinite in row 0"),
    ({"images": PIXELS, "points": np.zeros((3, 1, 2)), "names": np.array(["a", "b"])}, "2 names for 1 points"),
    (
        {"images": PIXELS, "boxes": np.zeros((2, 4)), "classes": np.arange(1), "offsets": np.arange(4)},
        "boxes cannot be",
    ),
    (
        {"images": PIXELS, "boxes": np.zeros((1, 4)), "classes": [0], "offsets": [0, 1]},
        "offsets are of 1 images, not 3",
    ),
    ({"images": np.array([None, 1])}, "images cannot be read; save it again with numpy.savez, without objects"),
]


@pytest.mark.parametrize(("arrays", "message"), ARCHIVES)
def test_bad_npz_files_are_errors(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", **arrays)
    assert message in failure(tmp_path / "data.npz")


def test_an_npz_that_is_not_one_or_was_cut_off_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data.npz").write_bytes(b"hello")
    assert "is not a zip file" in failure(tmp_path / "data.npz")
    np.savez(tmp_path / "data.npz", images=np.zeros((9, 9, 9), dtype=np.uint8))
    (tmp_path / "data.npz").write_bytes((tmp_path / "data.npz").read_bytes()[:-40])
    assert "cut off" in failure(tmp_path / "data.npz")


@pytest.mark.skipif(sys.platform != "linux", reason="the names of files are UTF-8 elsewhere")
def test_a_class_that_cannot_be_written_is_told_when_it_is_read(tmp_path: Path) -> None:
    for name in (b"caf\xe9", b"bar"):
        folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/photos/" + name))
        folder.mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8), dtype=np.uint8))
        (tmp_path / "a.png").rename(folder / "a.png")
    assert failure(tmp_path / "photos").endswith(r"photos: class 'caf\udce9' is not UTF-8; rename its folder")


def test_a_name_that_begins_like_a_user_s_home_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert failure(Path("~nobody-of-this-name")).endswith("no such file or folder; check the path")
