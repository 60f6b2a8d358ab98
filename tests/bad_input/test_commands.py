"""Bad input on the command line: one line that says what, where and what to do; exit code 2; nothing left behind."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.commands import Commands, Outcome

HEADER = ",".join(["label", *(f"pixel{i}" for i in range(784))])
FACES = "left_eye_center_x,left_eye_center_y,Image"


def row(label: str = "1", pixel: str = "0", count: int = 784) -> str:
    return ",".join([label, pixel, *["0"] * (count - 1)])


def digits(*rows: str) -> str:
    return "\n".join([HEADER, *rows]) + "\n"


def face(x: str = "4", pixel: str = "0", count: int = 9216) -> str:
    return f"{FACES}\n{x},4,{' '.join([pixel, *['0'] * (count - 1)])}\n"


def empty_folder(path: Path) -> None:
    path.mkdir()


def not_a_zip(path: Path) -> None:
    path.write_bytes(b"this is no zip file at all")


def other_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


def zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("train.csv", "w") as member:
        member.write(HEADER.encode() + b"\n")
        for _ in range(300):
            member.write(bytes(1_000_000))


def cut_image(path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (path / name).mkdir(parents=True)
        for i in range(4):
            cv2.imwrite(str(path / name / f"{i}.jpg"), rng.integers(0, 255, (64, 64, 3), dtype=np.uint8))
    whole = (path / "a" / "0.jpg").read_bytes()
    (path / "a" / "0.jpg").write_bytes(whole[: len(whole) // 2])


def text(content: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(content) and None


BAD_DATA: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "an empty folder": ("empty", empty_folder, "empty"),
    "no zip": ("digit-recognizer.zip", not_a_zip, "zip"),
    "a zip with something else": ("other.zip", other_zip, "other.zip"),
    "a zip bomb": ("digit-recognizer.zip", zip_bomb, "train.csv"),
    "a csv without its columns": ("train.csv", text("a,b\n1,2\n"), "train.csv"),
    "a row with too few pixels": ("train.csv", text(digits(row(), row(count=700))), "row 2"),
    "a pixel of 300": ("train.csv", text(digits(row(), row(pixel="300"))), "300"),
    "a pixel of abc": ("train.csv", text(digits(row(), row(pixel="abc"))), "abc"),
    "a label of 11": ("train.csv", text(digits(row(label="11"))), "11"),
    "a label of 3.5": ("train.csv", text(digits(row(label="3.5"))), "3.5"),
    "a coordinate that is text": ("training.csv", text(face(x="left")), "left_eye_center_x"),
    "a face with too few pixels": ("training.csv", text(face(count=901)), "row 1"),
    "an empty csv": ("train.csv", text(""), "train.csv"),
    "a csv with a header only": ("train.csv", text(HEADER + "\n"), "train.csv"),
    "a truncated image": ("photos", cut_image, "0.jpg"),
    "one class only": ("train.csv", text(digits(*[row()] * 200)), "one class"),
    "fewer rows than a batch": ("train.csv", text(digits(row("1"), row("2"), row("1"), row("2"))), "batch"),
}


def assert_one_line(outcome: Outcome, message: str) -> None:
    lines = outcome.err.strip().splitlines()
    assert outcome.code == 2
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("viewfinder: ")
    assert message in lines[0]


@pytest.mark.parametrize("case", BAD_DATA)
def test_training_on_bad_data_is_one_line_and_leaves_nothing(case: str, viewfinder: Commands, tmp_path: Path) -> None:
    name, make, message = BAD_DATA[case]
    make(tmp_path / name)
    recipe = "keypoints" if name == "training.csv" else "digits"
    assert_one_line(viewfinder("train", tmp_path / name, "--recipe", recipe, "--out", tmp_path / "run"), message)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("verb", ["check", "train"])
def test_a_path_that_is_not_there(verb: str, viewfinder: Commands, tmp_path: Path) -> None:
    assert_one_line(viewfinder(verb, tmp_path / "nowhere.zip"), "nowhere.zip")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Two classes that are told apart by one pixel, as Kaggle's csv."""
    path = tmp_path / "train.csv"
    path.write_text(digits(*[row("1", "255"), row("0", "9")] * 40))
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "digit"], "did you mean 'digits'"),
        (["--recipe", "nothing.toml"], "nothing.toml: no such recipe file"),
        (["--set", "optim.lt=1"], "did you mean 'lr'"),
        (["--set", "optim.lr=fast"], "optim.lr"),
        (["--set", "optim.lr"], "write it like"),
        (["--set", "model.widht=4"], "widht"),
        (["--recipe", "keypoints"], "the recipe is for keypoints"),
        (["--until", "acc>1"], "digits: train.until: unknown metric"),
        (["--until", "accuracy>2"], "digits: train.until: accuracy>2 is never reached, since accuracy is at most 1"),
        (["--metric", "acc"], "digits: train.metric: unknown metric"),
        (["--device", "cuda:7"], "CUDA"),
        (["--device", "toaster"], "toaster"),
        (["--minutes", "-1"], "minutes"),
        (["--epochs", "inf"], "finite"),
        (["--minutes", "1", "--epochs", "1"], "give one of them"),
        (["--data", "elsewhere.csv"], "--data: does nothing beside a source"),
        (["--set", "train.batch=2", "--set", "model.members=3"], "members"),
    ],
)
def test_a_wrong_option_is_one_line_and_leaves_nothing(
    arguments: list[str], message: str, viewfinder: Commands, good: Path
) -> None:
    assert_one_line(viewfinder("train", good, "--out", good.parent / "run", *arguments), message)
    assert not (good.parent / "run").exists()


def test_a_recipe_file_with_a_wrong_key(viewfinder: Commands, good: Path) -> None:
    (good.parent / "my.toml").write_text('base = "digits"\n[augment]\nrotte = 3\n')
    outcome = viewfinder("train", good, "--recipe", good.parent / "my.toml")
    assert_one_line(outcome, "unknown key 'augment.rotte'; did you mean 'rotate'?")


def test_a_recipe_file_that_is_not_toml(viewfinder: Commands, good: Path) -> None:
    (good.parent / "my.toml").write_text("base = digits")
    assert_one_line(viewfinder("train", good, "--recipe", good.parent / "my.toml"), "cannot be read as TOML")


def test_an_output_folder_that_exists(viewfinder: Commands, good: Path) -> None:
    out = good.parent / "run"
    out.mkdir()
    (out / "mine").write_text("keep")
    assert_one_line(viewfinder("train", good, "--out", out), "exists already")
    assert [path.name for path in out.iterdir()] == ["mine"]


@pytest.mark.parametrize("verb", ["evaluate", "export", "submit"])
def test_a_folder_that_is_no_run(verb: str, viewfinder: Commands, good: Path) -> None:
    more = {
        "evaluate": [],
        "export": ["--out", good.parent / "m.onnx"],
        "submit": [good, "--out", good.parent / "s.csv"],
    }
    assert_one_line(viewfinder(verb, good.parent, *more[verb]), "is not a run folder")
    assert sorted(path.name for path in good.parent.iterdir()) == ["train.csv"]


def test_a_run_folder_without_checkpoint(viewfinder: Commands, good: Path) -> None:
    run = good.parent / "run"
    small = ["--set", "train.batch=16", "--set", "train.threads=1", "--epochs", "1", "--no-export"]
    assert viewfinder("train", good, "--out", run, *small).code == 0
    for file in (run / "checkpoints").iterdir():
        file.unlink()
    assert_one_line(viewfinder("export", run, "--out", good.parent / "m.onnx"), "no such checkpoint")
    assert_one_line(viewfinder("train", "--resume", run), "no such checkpoint")
    assert not (good.parent / "m.onnx").exists()


def test_train_needs_a_source_or_a_run(viewfinder: Commands) -> None:
    assert_one_line(viewfinder("train"), "give either a source or --resume")


def test_a_resumed_run_takes_no_options_that_would_change_it(viewfinder: Commands) -> None:
    assert_one_line(viewfinder("train", "--resume", "run", "--epochs", "9"), "--epochs: does nothing beside --resume")


def test_images_without_targets_cannot_be_trained_on(viewfinder: Commands, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((9, 9), np.uint8))
    assert_one_line(viewfinder("train", tmp_path), "images without targets")


def test_a_full_or_read_only_disk_is_one_line(viewfinder: Commands, good: Path) -> None:
    (good.parent / "file").write_text("not a folder")
    outcome = viewfinder("train", good, "--set", "train.batch=16", "--out", good.parent / "file" / "run")
    assert_one_line(outcome, "file")
