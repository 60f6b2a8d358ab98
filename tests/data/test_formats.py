"""Folders, zips of folders, idx, npz and plain images; and how `read` finds out which it is."""

from __future__ import annotations

import errno
import gzip
import os
import re
import struct
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import viewfinder as vf
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.images import FileImages
from viewfinder.data.reading import FORMATS, parts, write
from viewfinder.data.sources import Source, check_members
from viewfinder.data.targets import BoxSets, Labels, PointSets
from viewfinder.errors import DataError


def picture(seed: int, height: int = 20, width: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def put(root: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = cv2.imencode(path.suffix, picture(seed))[1].tobytes() if path.suffix in (".png", ".jpg") else b"text"
        path.write_bytes(content)
    return root


def zip_of(root: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(root.rglob("*")):
            archive.write(path, path.relative_to(root.parent).as_posix())
    return target


def names_of(data: Dataset) -> list[str]:
    return [data.names[label] for label in data.labelled().array()]


def test_a_folder_a_class_is_read(tmp_path: Path) -> None:
    data = vf.read(put(tmp_path / "pets", "dog/b.png", "cat/a.jpg", "cat/old/c.png"))
    assert (data.task, data.names, data.format) == ("classify", ("cat", "dog"), "folders")
    assert [data.images.where(i) for i in range(3)] == ["cat/a.jpg", "cat/old/c.png", "dog/b.png"]
    assert names_of(data) == ["cat", "cat", "dog"]
    np.testing.assert_array_equal(data.images[2], picture(0)[:, :, ::-1])
    assert parts(tmp_path / "pets") == ("train",)


def test_a_zip_of_folders_is_read_as_the_folders(tmp_path: Path) -> None:
    root = put(tmp_path / "pets", "dog/b.png", "cat/a.png", "dog/c.png")
    (root / "__MACOSX").mkdir()
    (root / "__MACOSX" / "x.png").write_bytes(b"")
    zipped = vf.read(zip_of(root, tmp_path / "pets.zip"))
    assert zipped.names == ("cat", "dog") and names_of(zipped) == ["cat", "dog", "dog"]
    assert zipped.fingerprint == vf.read(root).fingerprint


def test_folders_for_splits_are_kept(tmp_path: Path) -> None:
    root = put(tmp_path, "train/cat/a.png", "train/dog/b.png", "valid/cat/c.png", "test/dog/d.png", "test/eel/e.png")
    data = vf.read(root)
    assert data.splits is not None and data.splits.tolist() == ["train", "train", "val"]
    assert data.names == ("cat", "dog", "eel")
    test = vf.read(root, part="test")
    assert names_of(test) == ["dog", "eel"] and test.splits is None
    assert parts(root) == ("train", "test")


def test_train_and_test_without_val_leave_the_split_open(tmp_path: Path) -> None:
    root = put(tmp_path, "train/cat/a.png", "train/dog/b.png", "test/x.png", "test/y.png")
    assert vf.read(root).splits is None
    test = vf.read(root, part="test")
    assert test.targets is None and len(test) == 2


def test_classes_that_are_numbers_are_in_their_order(tmp_path: Path) -> None:
    assert vf.read(put(tmp_path, "10/a.png", "9/b.png", "1/c.png")).names == ("1", "9", "10")


def test_what_is_left_out_is_noted(tmp_path: Path) -> None:
    data = vf.read(put(tmp_path, "cat/a.png", "dog/b.png", "dog/c.heic", "notes.txt", "stray.png", ".hidden/d.png"))
    assert len(data) == 2
    notes = {note.id: note for note in data.notes}
    assert notes["other-files"].where == ("dog/c.heic", "notes.txt")
    assert "1 images" in notes["no-class"].message


def test_an_unreadable_image_does_not_stop_reading(tmp_path: Path) -> None:
    root = put(tmp_path, "cat/a.png", "dog/b.png")
    (root / "dog" / "bad.png").write_bytes((root / "dog" / "b.png").read_bytes()[:50])
    data = vf.read(root)
    assert len(data) == 3
    with pytest.raises(DataError, match=r"dog/bad\.png"):
        data.images[2]


def test_plain_images_have_no_targets(tmp_path: Path) -> None:
    root = put(tmp_path / "photos", "b.png", "a.png", "more/c.png")
    for path in (root, zip_of(root, tmp_path / "photos.zip"), root / "a.png"):
        data = vf.read(path)
        assert (data.format, data.part, data.targets) == ("plain", "test", None)
        assert len(data) == (1 if path.suffix == ".png" else 3)
    np.testing.assert_array_equal(vf.read(root / "a.png").images[0], picture(1)[:, :, ::-1])


@pytest.mark.skipif(os.name == "nt", reason="Windows lets few people make links")
def test_links_are_followed_but_not_round_in_a_circle(tmp_path: Path) -> None:
    put(tmp_path, "elsewhere/a.png", "elsewhere/b.png", "set/dog/c.png", "set/dog/d.png", "set/dog/e.png")
    (tmp_path / "set" / "cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "dog" / "up").symlink_to(tmp_path / "set")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "set" / "cat")
    (tmp_path / "set" / "dog" / "itself").symlink_to("itself")
    data = vf.read(tmp_path / "set")
    assert data.names == ("cat", "dog") and names_of(data) == ["cat"] * 2 + ["dog"] * 3


def test_only_what_is_hidden_is_passed_over(tmp_path: Path) -> None:
    for name in ("a.png", "__b.png", "__c/d.png", ".e.png", ".f/g.png", "__MACOSX/h.png", "lost+found/i.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert Source(tmp_path).files() == ["__b.png", "__c/d.png", "a.png"]


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    opened = os.scandir

    def scandir(path: Path) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match="closed: cannot be read: Permission denied"):
        Source(tmp_path).files()


def test_a_folder_named_images_is_no_class(tmp_path: Path) -> None:
    assert vf.read(put(tmp_path, "images/a.png", "labels/a.txt")).format == "plain"


def test_a_real_folder_a_class_is_read(data_folder: Path) -> None:
    data = vf.read(data_folder / "flowers")
    assert len(data) == 1300 and data.names == ("daisy", "dandelion", "rose", "sunflower", "tulip")
    assert data.images[0].shape[2] == 3


@pytest.fixture
def mnist() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    return rng.integers(0, 256, (1500, 9, 7)).astype(np.uint8), rng.integers(0, 10, 1500).astype(np.uint8)


@pytest.mark.parametrize("dot", ["-", "."])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_are_read(mnist: tuple[np.ndarray, np.ndarray], dot: str, suffix: str, tmp_path: Path) -> None:
    pixels, labels = mnist
    pack = gzip.compress if suffix else bytes
    for prefix, n in (("train", 1500), ("t10k", 10)):
        images = struct.pack(">4B3I", 0, 0, 8, 3, n, 9, 7) + pixels[:n].tobytes()
        (tmp_path / f"{prefix}-images{dot}idx3-ubyte{suffix}").write_bytes(pack(images))
        (tmp_path / f"{prefix}-labels{dot}idx1-ubyte{suffix}").write_bytes(
            pack(struct.pack(">4B1I", 0, 0, 8, 1, n) + labels[:n].tobytes())
        )
    data = vf.read(tmp_path)
    assert data.format == "idx" and data.names == tuple("0123456789")
    np.testing.assert_array_equal(data.labelled().array(), labels)
    np.testing.assert_array_equal(data.images[1499], pixels[1499][:, :, None])
    assert parts(tmp_path) == ("train", "test")
    assert len(vf.read(tmp_path, part="test")) == 10


def classes(count: int = 12, channels: int = 3) -> Dataset:
    rng = np.random.default_rng(4)
    pixels = rng.integers(0, 256, (count, 8, 8, channels)).astype(np.uint8)
    return Dataset("classify", ("cat", "dog"), ArrayImages.of(pixels), Labels(rng.integers(0, 2, count)))


def points() -> Dataset:
    xy = np.random.default_rng(4).uniform(0, 8, (12, 2, 2)).astype(np.float32)
    xy[3, 0] = np.nan
    return Dataset("keypoints", ("left_eye", "right_eye"), classes().images, PointSets(xy))


def boxes() -> Dataset:
    targets = BoxSets.of([[[1, 2, 3, 4]] * (row % 3) for row in range(12)], [[1] * (row % 3) for row in range(12)])
    return Dataset("detect", ("cat", "dog"), classes().images, targets)


@pytest.mark.parametrize(
    "data", [classes(), classes(channels=1), points(), boxes()], ids=["rgb", "gray", "points", "boxes"]
)
def test_npz_holds_every_dataset(data: Dataset, tmp_path: Path) -> None:
    write(data, tmp_path / "data.npz", "npz")
    again = vf.read(tmp_path / "data.npz")
    assert again.fingerprint == data.fingerprint and (again.task, again.names) == (data.task, data.names)


def test_npz_keeps_groups_splits_and_ids(tmp_path: Path) -> None:
    splits = np.array(["train", "val"] * 6)
    plain = classes()
    data = Dataset(
        plain.task,
        plain.names,
        plain.images,
        plain.targets,
        groups=np.arange(12) // 3,
        splits=splits,
        ids=np.arange(12),
    )
    write(data, tmp_path / "data.npz", "npz")
    again = vf.read(tmp_path / "data.npz")
    for name in ("groups", "splits", "ids"):
        np.testing.assert_array_equal(getattr(again, name), getattr(data, name))


def test_the_npz_files_of_keras_and_medmnist_are_read(tmp_path: Path) -> None:
    pixels, labels = picture(0, 30, 1200).reshape(100, 30, 12, 3), np.arange(100) % 3
    np.savez(
        tmp_path / "keras.npz", x_train=pixels[..., 0], y_train=labels, x_test=pixels[:5, ..., 0], y_test=labels[:5]
    )
    assert parts(tmp_path / "keras.npz") == ("train", "test")
    data = vf.read(tmp_path / "keras.npz")
    assert data.names == ("0", "1", "2") and data.images[0].shape == (30, 12, 1)
    assert len(vf.read(tmp_path / "keras.npz", part="test")) == 5
    names = {"train": 70, "val": 20, "test": 10}
    arrays = {f"{part}_images": pixels[:n] for part, n in names.items()}
    arrays |= {f"{part}_labels": labels[:n, None] for part, n in names.items()}
    np.savez(tmp_path / "med.npz", **arrays)
    data = vf.read(tmp_path / "med.npz")
    assert data.splits is not None and [(data.splits == part).sum() for part in ("train", "val")] == [70, 20]


def test_a_large_npz_is_unpacked_once_and_is_the_same_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = picture(0, 600, 16).reshape(600, 4, 4, 3)
    labels = np.arange(600) % 3
    arrays = {f"{part}_images": pixels for part in ("train", "val")} | {
        f"{part}_labels": labels for part in ("train", "val")
    }
    np.savez_compressed(tmp_path / "large.npz", **arrays)
    monkeypatch.setenv("VIEWFINDER_CACHE", str(tmp_path / "cache"))
    small = vf.read(tmp_path / "large.npz")
    monkeypatch.setenv("VIEWFINDER_IN_MEMORY", "0")
    for _ in range(2):
        large = vf.read(tmp_path / "large.npz")
        assert isinstance(large.images.pixels, np.memmap)
        np.testing.assert_array_equal(large.images.pixels, small.images.pixels)
        assert large.fingerprint == small.fingerprint
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_npz_labels_may_be_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=picture(0, 4, 16).reshape(4, 4, 4, 3), labels=np.array(["b", "a", "b", "c"]))
    data = vf.read(tmp_path / "a.npz")
    assert data.names == ("a", "b", "c") and names_of(data) == ["b", "a", "b", "c"]


def test_npz_columns_are_of_the_images_for_training(tmp_path: Path) -> None:
    pixels = picture(0, 6, 16).reshape(6, 4, 4, 3)
    np.savez(tmp_path / "a.npz", x_train=pixels[:4], x_test=pixels[4:], y_train=np.arange(4), ids=np.arange(10, 14))
    assert vf.read(tmp_path / "a.npz").ids.tolist() == [10, 11, 12, 13]
    assert vf.read(tmp_path / "a.npz", part="test").ids is None


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        ({"labels": np.array(3)}, "labels has a single value for 4 images"),
        ({"groups": np.arange(3)}, "groups has the shape (3,), expected (4,)"),
        ({"splits": np.array(["train", "../evil", "val", "val"])}, "splits has the value '../evil'"),
        ({"ids": np.zeros((4, 2))}, "ids has the shape (4, 2), expected (4,)"),
    ],
)
def test_npz_columns_of_another_length_are_an_error(arrays: dict[str, Any], fault: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=picture(0, 4, 16).reshape(4, 4, 4, 3), **arrays)
    with pytest.raises(DataError, match=re.escape(fault)):
        vf.read(tmp_path / "a.npz")


def test_a_large_array_in_a_zip_is_no_bomb_unless_it_is_tiny_there() -> None:
    info = zipfile.ZipInfo("images.npy")
    info.file_size, info.compress_size, info.header_offset = 12 << 30, 1 << 30, 0
    check_members([info], "a.npz")
    info.compress_size = 100 << 20
    with pytest.raises(DataError, match="would inflate to"):
        check_members([info], "a.npz")


def test_a_large_idx_file_is_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("viewfinder.data.formats.idx._BLOCK_PIXELS", 3 * 64)
    monkeypatch.setattr("viewfinder.data.formats.idx.LARGEST_IN_GZ", 100)
    data = replace(classes(channels=1), names=tuple("0123456789"))
    write(data, tmp_path, "idx")
    np.testing.assert_array_equal(vf.read(tmp_path).images.pixels, data.images.pixels)
    (file,) = tmp_path.glob("*images*")
    file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()
    with pytest.raises(DataError, match="12 × 8 × 8 values"):
        vf.read(tmp_path)


@pytest.mark.parametrize("name", ["../evil", "/evil", "a\\b", "cat/black", ".net", "", "two\nlines"])
def test_classes_that_no_folder_can_be_called_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be a folder's name"):
        write(replace(classes(), names=("cat", name)), tmp_path / "out" / "pets", "folders")
    assert not any(tmp_path.rglob("*"))


def test_classes_that_would_be_read_as_splits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="would be read as splits"):
        write(replace(classes(), names=("test", "Train")), tmp_path / "pets", "folders")
    with pytest.raises(DataError, match="would be read as images without classes"):
        write(Dataset("classify", ("photos",), classes().images, Labels(np.zeros(12, int))), tmp_path / "x", "folders")
    write(replace(classes(), names=("test", "dog")), tmp_path / "pets", "folders")
    assert vf.read(tmp_path / "pets").names == ("dog", "test")


def test_class_folders_that_are_one_on_a_disk_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda path: path.name == "dog")  # as where "Dog" is the same
    with pytest.raises(DataError, match="'dog' would be in one folder with another one"):
        write(classes(), tmp_path / "pets", "folders")


@pytest.mark.parametrize("beside", ["test.zip", "train.csv", "training.csv"])
def test_a_stray_file_does_not_hide_a_folder_a_class(beside: str, tmp_path: Path) -> None:
    root = put(tmp_path / "pets", "train/cat/a.png", "train/dog/b.png")
    contents = {
        "test.zip": zip_of(root, tmp_path / "a.zip").read_bytes(),
        "train.csv": b"\xe9,b",
        "training.csv": b"\xe9,b",
    }
    (root / beside).write_bytes(contents[beside])
    assert vf.read(root).names == ("cat", "dog")
    (root / beside).unlink()
    (root / "training.zip").write_bytes(contents["test.zip"][:-30])
    with pytest.raises(DataError, match=r"training\.zip.*cut off"):
        vf.read(root)


def test_names_in_zips_of_macs_and_of_windows_are_read_as_they_are_meant(tmp_path: Path) -> None:
    names = ("Füße/a.png", "Hände/b.png")
    root = put(tmp_path / "pets", *names)
    places = {"?" * len(name.encode()) + str(i): name for i, name in enumerate(names)}
    with zipfile.ZipFile(tmp_path / "mac.zip", "w") as mac, zipfile.ZipFile(tmp_path / "win.zip", "w") as windows:
        for place, name in places.items():
            mac.writestr(place, (root / name).read_bytes())
            windows.writestr("pets\\" + name.replace("/", "\\"), (root / name).read_bytes())
    content = (tmp_path / "mac.zip").read_bytes()
    for place, name in places.items():  # as bytes, since zipfile says what is UTF-8
        content = content.replace(place.encode(), name.replace(".png", "0.png").encode())
    (tmp_path / "mac.zip").write_bytes(content)
    for file in ("mac.zip", "win.zip"):
        data = vf.read(tmp_path / file)
        assert data.names == ("Füße", "Hände")
        np.testing.assert_array_equal(data.images[0], vf.read(root).images[0])


def test_folders_are_written_and_read_back(tmp_path: Path) -> None:
    data = classes()
    write(data, tmp_path / "pets", "folders")
    again = vf.read(tmp_path / "pets")
    order = sorted(range(12), key=lambda row: (data.labelled().array()[row], row))
    assert names_of(again) == names_of(data.select(order))
    np.testing.assert_array_equal(np.stack([again.images[i] for i in range(12)]), data.images.pixels[order])


def test_splits_become_folders_and_come_back(tmp_path: Path) -> None:
    root = put(tmp_path / "pets", "train/cat/a.png", "train/dog/b.png", "val/cat/c.png")
    data = vf.read(root)
    write(data, tmp_path / "copy", "folders")
    again = vf.read(tmp_path / "copy")
    assert isinstance(again.images, FileImages)
    assert again.splits is not None and again.splits.tolist() == ["train", "train", "val"]
    assert names_of(again) == names_of(data)


def test_idx_files_are_written_and_read_back(tmp_path: Path) -> None:
    data = replace(classes(channels=1), names=tuple("0123456789"))
    write(data, tmp_path, "idx")
    again = vf.read(tmp_path)
    assert again.fingerprint == data.fingerprint
    np.testing.assert_array_equal(again.images.pixels, data.images.pixels)
    np.testing.assert_array_equal(again.labelled().array(), data.labelled().array())


@pytest.mark.parametrize(
    ("data", "format"),
    [
        (classes(channels=1), "idx"),
        (classes(channels=1), "kaggle-digits"),
        (classes(channels=1), "kaggle-faces"),
        (points(), "idx"),
        (points(), "kaggle-digits"),
        (points(), "folders"),
    ],
)
def test_a_format_refuses_targets_that_it_would_lose(data: Dataset, format: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="npz holds every dataset"):
        write(data, tmp_path / "out.csv", format)
    assert not (tmp_path / "out.csv").exists()


def test_classes_that_differ_by_case_have_one_order(tmp_path: Path) -> None:
    root = put(tmp_path / "letters", "b/1.png", "B/1.png", "a/1.png", "A/1.png")
    if len(list(root.iterdir())) < 4:
        pytest.skip("this file system does not tell cases apart")
    assert vf.read(root).names == ("A", "a", "B", "b")


def test_a_format_can_be_named_and_its_name_is_checked(tmp_path: Path) -> None:
    root = put(tmp_path / "pets", "dog/b.png", "cat/a.png")
    assert vf.read(root, format="plain").targets is None
    with pytest.raises(DataError, match="did you mean 'folders'"):
        vf.read(root, format="folder")
    with pytest.raises(DataError, match="cannot be written"):
        write(vf.read(root), tmp_path / "x", "plain")


def test_a_file_that_cannot_be_written_is_named_as_it_was_asked_for(tmp_path: Path) -> None:
    data = vf.read(put(tmp_path / "pets", "cat/a.png", "dog/b.png"))
    with pytest.raises(FileNotFoundError) as raised:
        write(data, tmp_path / "missing" / "pets.npz", "npz")
    assert raised.value.filename == str(tmp_path / "missing" / "pets.npz")


def test_nothing_is_left_behind_when_writing_fails(tmp_path: Path) -> None:
    data = vf.read(put(tmp_path / "pets", "cat/a.png", "dog/b.png"))
    (tmp_path / "pets" / "dog" / "b.png").write_bytes(b"no image")
    before = set(tmp_path.iterdir())
    for format in FORMATS:
        if format != "plain":
            with pytest.raises(DataError):
                write(data, tmp_path / f"out-{format}", format)
    left = [path for path in set(tmp_path.iterdir()) - before if path.is_file() or any(path.iterdir())]
    assert not left
