"""`viewfinder predict` and `viewfinder export`, as a user calls them."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.commands import Commands
from viewfinder.deploy.pictures import find_pictures
from viewfinder.deploy.predictions import write_predictions
from viewfinder.deploy.predictor import load
from viewfinder.errors import DataError
from viewfinder.training.run import Run


@pytest.fixture
def faces(model_file: Callable[[str], Path]) -> Path:
    return model_file("keypoints")


@pytest.fixture
def photos(untrained: Callable[[str], Run], tmp_path: Path) -> Path:
    """A folder of photos, two of one name in a folder of their own, one that is damaged, and a Mac's hidden file."""
    folder = tmp_path / "photos"
    images = untrained("keypoints").part("val").images
    for row, name in enumerate(["a.png", "b.jpg", "more/a.png", "more a.png"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), images[row])
    (folder / "damaged.png").write_bytes((folder / "a.png").read_bytes()[:200])
    (folder / "._a.png").write_bytes(b"what a Mac leaves on other disks")
    return folder


def test_all_images_are_answered_and_unreadable_ones_are_named(
    viewfinder: Commands, faces: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "predictions"
    outcome = viewfinder("predict", faces, photos, photos / "a.png", "--out", out)
    assert outcome.code == 1
    assert "5 images answered" in outcome.out
    (line,) = outcome.err.strip().splitlines()
    assert line.startswith("viewfinder: photos/damaged.png: "), "the name that the table has"
    content = json.loads((out / "predictions.json").read_text(encoding="utf-8"))
    names = [record["image"] for record in content["images"]]
    assert names == ["photos/a.png", "photos/b.jpg", "photos/more/a.png", "photos/more a.png", "a.png"]
    assert set(content["images"][0]["points"]) == set(content["names"])
    assert [error.split(": ")[0] for error in content["unreadable"]] == ["photos/damaged.png"]
    pictures = [record["picture"] for record in content["images"]]
    assert len(set(pictures)) == 5 and pictures[1].endswith(".jpg")
    assert {path.name for path in out.iterdir()} == {*pictures, "predictions.json", "predictions.csv"}
    assert [path.name for path in out.parent.iterdir()] == ["predictions"]


def test_the_table_has_a_row_an_image_and_a_column_a_coordinate(
    viewfinder: Commands, faces: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "predictions"
    assert viewfinder("predict", faces, photos / "b.jpg", "--out", out).code == 0
    (row,) = csv.DictReader((out / "predictions.csv").read_text(encoding="utf-8").splitlines())
    (record,) = json.loads((out / "predictions.json").read_text(encoding="utf-8"))["images"]
    assert len(row) == 31 and row["image"] == record["image"] == "b.jpg"
    assert [float(row["nose_tip_x"]), float(row["nose_tip_y"])] == record["points"]["nose_tip"]


def test_a_small_picture_is_enlarged_and_shows_its_answer(
    viewfinder: Commands, faces: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "predictions"
    viewfinder("predict", faces, photos / "a.png", "--out", out)
    picture = cv2.imread(str(out / "a.png"))
    assert picture.shape == (288, 288, 3)
    assert np.abs(picture[..., 0].astype(int) - picture[..., 2]).max() > 50, (
        "nothing coloured was drawn on a gray image"
    )


def test_pictures_can_be_left_out(viewfinder: Commands, faces: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "predictions"
    assert viewfinder("predict", faces, photos / "a.png", "--out", out, "--no-pictures").code == 0
    assert {path.name for path in out.iterdir()} == {"predictions.json", "predictions.csv"}


def test_a_table_of_images_is_answered_row_by_row(
    viewfinder: Commands, model_file: Callable[[str], Path], tmp_path: Path
) -> None:
    rows = np.random.default_rng(1).integers(0, 256, (3, 784))
    header = ",".join(f"pixel{i}" for i in range(784))
    np.savetxt(tmp_path / "test.csv", rows, fmt="%d", delimiter=",", header=header, comments="")
    out = tmp_path / "predictions"
    assert viewfinder("predict", model_file("digits"), tmp_path / "test.csv", "--out", out).code == 0
    table = list(csv.DictReader((out / "predictions.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["image"] for row in table] == [f"test.csv row {i}" for i in (1, 2, 3)]
    for row in table:
        assert float(row["score"]) == max(float(row[f"score_{digit}"]) for digit in "0123456789")


def test_what_is_there_is_not_overwritten_by_itself(
    viewfinder: Commands, faces: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "predictions"
    again = ("predict", faces, photos / "a.png", "--out", out)
    assert viewfinder(*again).code == 0
    outcome = viewfinder(*again)
    assert outcome.code == 2 and "--overwrite" in outcome.err and len(outcome.err.strip().splitlines()) == 1
    assert viewfinder("predict", faces, photos / "b.jpg", "--out", out, "--overwrite").code == 0
    assert {path.name for path in out.iterdir()} == {"b.jpg", "predictions.csv", "predictions.json"}


def test_what_came_meanwhile_is_not_overwritten_by_itself(faces: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "predictions"

    def another(done: int, of: int) -> None:
        out.mkdir()
        (out / "notes.txt").write_text("mine")

    with pytest.raises(DataError, match="holds something else than predictions"):
        write_predictions(load(faces), find_pictures([photos / "a.png"]), out, progress=another)
    assert [path.name for path in out.iterdir()] == ["notes.txt"]
    assert not list(tmp_path.glob(".viewfinder-*"))


@pytest.mark.parametrize("locked", ["", "predictions.csv"])
def test_where_a_folder_cannot_be_renamed_its_files_are_replaced_or_nothing_is_lost(
    viewfinder: Commands, faces: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locked: str
) -> None:
    out, replace, rmdir = tmp_path / "predictions", Path.replace, os.rmdir
    assert viewfinder("predict", faces, photos / "a.png", "--out", out).code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def not_busy(path: object) -> None:
        if path in (out, out / locked):
            raise OSError(errno.EBUSY, "Device or resource busy", str(path))

    def replace_others(path: Path, to: Path) -> Path:
        not_busy(path)
        return replace(path, to)

    def remove_others(path: str | Path, **more: int) -> None:
        not_busy(Path(path))
        rmdir(path, **more)

    monkeypatch.setattr(Path, "replace", replace_others)
    monkeypatch.setattr(os, "rmdir", remove_others)
    outcome = viewfinder("predict", faces, photos / "b.jpg", "--out", out, "--overwrite")
    if locked:
        assert outcome.code == 2 and outcome.err == f"viewfinder: {out}: device or resource busy\n"
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    else:
        assert outcome.code == 0
        assert {path.name for path in out.iterdir()} == {"b.jpg", "predictions.csv", "predictions.json"}
    assert not list(tmp_path.glob(".viewfinder-*"))


@pytest.mark.skipif(sys.platform != "linux", reason="mounts as Linux does")
def test_a_folder_where_a_disk_is_mounted_takes_predictions(faces: Path, photos: Path, tmp_path: Path) -> None:
    alone, out, disk = ["unshare", "-rm"], tmp_path / "out", tmp_path / "disk"
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("nothing may be mounted here")
    out.mkdir()
    disk.mkdir()
    mount = f'mount --bind {disk} {out} && exec "$@"'
    for photo in ("a.png", "b.jpg"):
        predict = [sys.executable, "-m", "viewfinder", "predict", faces, photos / photo, "--out", out, "--overwrite"]
        done = subprocess.run(
            [*alone, "sh", "-c", mount, "sh", *map(str, predict)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert {path.name for path in disk.iterdir()} == {photo, "predictions.csv", "predictions.json"}
    assert not list(out.iterdir())


def test_a_picture_too_large_for_jpeg_is_a_png_and_one_too_large_for_both_is_left_out(
    viewfinder: Commands, faces: Path, tmp_path: Path
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "predictions"
    photos.mkdir()
    for name, width in (("long.png", 70_000), ("longer.bmp", 1_000_001), ("short.png", 300)):
        cv2.imwrite(str(photos / name), np.full((2, width), 99, np.uint8))
    (photos / "long.jpg").write_bytes((photos / "long.png").read_bytes())
    outcome = viewfinder("predict", faces, photos, "--out", out)
    assert outcome.code == 0 and outcome.err == ""
    records = json.loads((out / "predictions.json").read_text(encoding="utf-8"))["images"]
    assert [Path(record["image"]).name for record in records] == ["long.jpg", "long.png", "longer.bmp", "short.png"]
    pictures = [record.get("picture") for record in records]
    assert pictures == ["photos-long+.png", "photos-long.png", None, "photos-short.png"]
    assert {path.name for path in out.glob("photos-*")} == {*pictures} - {None}
    assert cv2.imread(str(out / "photos-long+.png")).shape == (2, 70_000, 3)
    assert len((out / "predictions.csv").read_text(encoding="utf-8").splitlines()) == 5
    assert viewfinder("predict", faces, photos / "short.png", "--out", out, "--overwrite").code == 0


def test_where_one_is_and_what_is_read_are_not_replaced(
    viewfinder: Commands, faces: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos / "more")
    for out in (".", ".."):
        outcome = viewfinder("predict", faces, photos / "a.png", "--out", out, "--overwrite")
        assert outcome.code == 2 and "is the folder that you are in" in outcome.err
    monkeypatch.chdir(tmp_path)
    assert viewfinder("predict", faces, photos / "a.png", "--out", "done").code == 0
    outcome = viewfinder("predict", faces, "done/a.png", "--out", "done", "--overwrite")
    assert outcome.code == 2 and "is, or holds, what is read" in outcome.err
    assert (tmp_path / "done" / "a.png").exists()


def test_earlier_predictions_are_not_predicted(
    viewfinder: Commands, faces: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "damaged.png").unlink()
    monkeypatch.chdir(photos)
    for more in ((), ("--overwrite",)):
        outcome = viewfinder("predict", faces, ".", *more)
        assert outcome.code == 0 and "4 images answered" in outcome.out
    shutil.move("predictions", tmp_path / "elsewhere")
    try:
        (photos / "predictions").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    except OSError:
        return
    assert "4 images answered" in viewfinder("predict", faces, photos, "--overwrite").out


def test_a_link_to_a_folder_stays_one(viewfinder: Commands, faces: Path, photos: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    try:
        link.symlink_to(tmp_path / "elsewhere" / "done", target_is_directory=True)
    except OSError:
        pytest.skip("links may not be made here")
    for more in ((), ("--overwrite",)):
        assert viewfinder("predict", faces, photos / "a.png", "--out", link, *more).code == 0
    assert link.is_symlink() and (tmp_path / "elsewhere" / "done" / "a.png").exists()


def test_a_link_to_a_table_stays_one_and_parts_lie_beside_what_it_leads_to(
    viewfinder: Commands, faces: Path, photos: Path, tmp_path: Path
) -> None:
    link, table = tmp_path / "link.csv", tmp_path / "elsewhere" / "table.csv"
    try:
        link.symlink_to(Path("elsewhere") / "table.csv")
    except OSError:
        pytest.skip("links may not be made here")
    again = ("predict", faces, photos, "--table", link)
    parts = tmp_path / "elsewhere" / "table.csv.parts"
    assert str(parts) in viewfinder(*again, "--rank", 0, "--world-size", 2).out
    assert list(parts.glob("*.jsonl")) and not table.exists()
    outcome = viewfinder(*again)
    assert outcome.code == 1 and outcome.out == f"4 images answered: {link}\n"
    whole = table.read_bytes()
    assert f"{link}: exists" in viewfinder(*again).err
    table.write_text("older")
    assert viewfinder(*again, "--overwrite").code == 1
    assert link.is_symlink() and table.read_bytes() == whole
    assert [path.name for path in table.parent.iterdir()] == ["table.csv"]
    assert not list(tmp_path.glob("link.csv.*"))
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    outcome = viewfinder("predict", faces, photos, "--table", tmp_path / "loop.csv")
    assert outcome.code == 2 and "loop.csv: is a link that leads to itself; remove it" in outcome.err


def test_a_path_that_is_too_long_for_a_name_is_shortened(
    viewfinder: Commands, faces: Path, photos: Path, tmp_path: Path
) -> None:
    deep = photos / ("deep" * 40) / ("er" * 60)
    deep.mkdir(parents=True)
    (deep / "a.png").write_bytes((photos / "a.png").read_bytes())
    out = tmp_path / "done"
    assert viewfinder("predict", faces, photos / ("deep" * 40), "--out", out).code == 0
    (picture,) = out.glob("*.png")
    assert picture.name.endswith("erer-a.png") and len(picture.name) < 210


def test_what_a_user_put_beside_predictions_is_not_deleted(
    viewfinder: Commands, faces: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "predictions"
    again = ("predict", faces, photos / "a.png", "--out", out, "--overwrite")
    assert viewfinder(*again).code == 0
    (out / "notes.txt").write_text("mine")
    outcome = viewfinder(*again)
    assert outcome.code == 2 and "holds something else than predictions" in outcome.err
    assert (out / "notes.txt").read_text() == "mine"


def test_a_folder_of_something_else_is_never_replaced(
    viewfinder: Commands, faces: Path, photos: Path, tmp_path: Path
) -> None:
    outcome = viewfinder("predict", faces, photos / "a.png", "--out", photos, "--overwrite")
    assert outcome.code == 2 and "holds something else than predictions" in outcome.err
    assert (photos / "b.jpg").exists()


@pytest.mark.parametrize("source", ["nowhere.jpg", "empty"])
def test_sources_that_hold_nothing(viewfinder: Commands, faces: Path, tmp_path: Path, source: str) -> None:
    (tmp_path / "empty").mkdir()
    out = tmp_path / "predictions"
    outcome = viewfinder("predict", faces, tmp_path / source, "--out", out)
    assert outcome.code == 2 and len(outcome.err.strip().splitlines()) == 1
    assert not out.exists()


@pytest.mark.parametrize(
    "more", [["--out", "file/it"], ["--as", "labelme", "--out", "file/it"], ["--table", "file/it.csv"]]
)
def test_a_place_that_cannot_be_written_is_named_as_it_was_given(
    viewfinder: Commands, faces: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    outcome = viewfinder("predict", faces, photos, *more)
    assert outcome.code == 2 and len(outcome.err.splitlines()) == 1
    assert outcome.err.startswith(f"viewfinder: {Path(more[-1])}: ")
    assert outcome.err.endswith("; check the path, or choose another one\n")


@pytest.mark.parametrize("out", ["dir", "predictions"])
def test_a_table_has_no_folder(viewfinder: Commands, faces: Path, photos: Path, out: str) -> None:
    outcome = viewfinder("predict", faces, photos, "--table", photos / "t.csv", "--out", out)
    assert outcome.code == 2 and not list(photos.glob("t.csv*"))
    assert outcome.err == "viewfinder: --out: a folder and a table are two things; ask for one at a time\n"


def test_a_table_never_replaces_what_is_read(
    viewfinder: Commands, model_file: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source, model = Path("test.csv"), model_file("digits")
    source.write_text(",".join(f"pixel{i}" for i in range(784)) + "\n" + ",".join(["7"] * 784) + "\n")
    before, tables = source.read_bytes(), [source, source.absolute()]
    with suppress(OSError):  # links may not be made everywhere
        Path("link.csv").symlink_to("test.csv")
        tables.append(Path("link.csv"))
    for table in tables:
        for more in ((), ("--overwrite",)):
            outcome = viewfinder("predict", model, "s3://nowhere/photos", source, "--table", table, *more)
            assert outcome.code == 2
            assert outcome.err == f"viewfinder: {table}: is what is read; choose another --table\n"
    assert source.read_bytes() == before and not list(tmp_path.glob("*.parts"))
    assert viewfinder("predict", model, source, "--table", "answers.csv").code == 0


def test_export_of_what_is_no_run(viewfinder: Commands, tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"
    outcome = viewfinder("export", tmp_path, "--out", out)
    assert outcome.code == 2 and "is not a run folder" in outcome.err
    assert not out.exists()


def test_export_of_a_run_whose_data_is_gone_asks_for_data(
    viewfinder: Commands, untrained: Callable[[str], Run], tmp_path: Path
) -> None:
    out = tmp_path / "model.onnx"
    outcome = viewfinder("export", untrained("seed-digits").folder, "--out", out)
    assert outcome.code == 2 and len(outcome.err.strip().splitlines()) == 1
    assert not out.exists()


def test_export_compares_on_the_data_that_is_named(
    viewfinder: Commands, untrained: Callable[[str], Run], tmp_path: Path
) -> None:
    rows = np.random.default_rng(1).integers(0, 256, (70, 785))
    rows[:, 0] %= 10
    header = ",".join(["label", *(f"pixel{i}" for i in range(784))])
    np.savetxt(tmp_path / "train.csv", rows, fmt="%d", delimiter=",", header=header, comments="")
    out = tmp_path / "model.onnx"
    run = untrained("seed-digits").folder
    outcome = viewfinder("export", run, "--out", out, "--data", tmp_path / "train.csv")
    assert outcome.code == 0 and "compared on 70 real images, metrics on 70 of train.csv" in outcome.out
    assert out.exists()
