"""A submission is exactly what the competition takes, or it is not written."""

from __future__ import annotations

import csv
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import viewfinder as vf
from tests.commands import Commands
from viewfinder import kaggle
from viewfinder.data.reading import write
from viewfinder.errors import CheckError, DataError, InputError
from viewfinder.training.run import Run

Untrained = Callable[[str], Run]
ModelFile = Callable[[str], Path]


@pytest.fixture
def digits(untrained: Untrained, tmp_path: Path) -> Path:
    """The digit competition as a folder with six test images."""
    return _digits(untrained, tmp_path / "digit-recognizer", sample_ids=[1, 2, 3, 4, 5, 6])


def _digits(untrained: Untrained, folder: Path, sample_ids: list[int]) -> Path:
    folder.mkdir()
    val = untrained("digits").part("val")
    write(val.select(range(6)), folder / "train.csv", "kaggle-digits")
    lines = (folder / "train.csv").read_text().splitlines()
    (folder / "test.csv").write_text("\n".join(line.split(",", 1)[1] for line in lines) + "\n")
    _table(folder / "sample_submission.csv", ["ImageId", "Label"], [[one, 0] for one in sample_ids])
    return folder


ASKED = [
    (1, 1, "nose_tip_x"),
    (2, 1, "nose_tip_y"),
    (3, 2, "left_eye_center_x"),
    (4, 3, "mouth_center_top_lip_y"),
    (5, 3, "nose_tip_x"),
]


@pytest.fixture
def faces(untrained: Untrained, tmp_path: Path) -> Path:
    """The face competition as a folder with three test images, of which five coordinates are asked for."""
    return _faces(untrained, tmp_path / "faces", ASKED)


def _faces(untrained: Untrained, folder: Path, asked: list[tuple[int, int, str]]) -> Path:
    folder.mkdir()
    images = untrained("keypoints").part("val").images
    texts = [" ".join(map(str, images[row].ravel())) for row in range(3)]
    _table(folder / "test.csv", ["ImageId", "Image"], [[i, text] for i, text in enumerate(texts, start=1)])
    rows = [[*row, ""] for row in asked]
    _table(folder / "IdLookupTable.csv", ["RowId", "ImageId", "FeatureName", "Location"], rows)
    return folder


def _table(path: Path, header: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def _rows(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text().splitlines()))


def test_digits_are_written_as_the_sample_asks(digits: Path, model_file: ModelFile, tmp_path: Path) -> None:
    test = vf.read(digits, part="test")
    model = vf.load(model_file("digits"))
    submission = kaggle.submit(model, test, tmp_path / "out" / "submission.csv")
    labels = [answer.label for answer in model.batch([test.images[row] for row in range(6)])]
    assert submission.rows == 6
    assert submission.path.read_bytes().startswith(b"ImageId,Label\n1,")
    assert _rows(submission.path)[1:] == [[str(i), label] for i, label in enumerate(labels, start=1)]
    assert [left.name for left in submission.path.parent.iterdir()] == ["submission.csv"]


def test_a_run_and_its_model_file_submit_the_same(
    digits: Path, untrained: Untrained, model_file: ModelFile, tmp_path: Path
) -> None:
    test = vf.read(digits, part="test")
    one = kaggle.submit(untrained("digits"), test, tmp_path / "run.csv")
    other = kaggle.submit(vf.load(model_file("digits")), test, tmp_path / "file.csv")
    assert one.path.read_bytes() == other.path.read_bytes()


def test_faces_are_written_in_the_order_of_the_lookup_table(faces: Path, model_file: ModelFile, tmp_path: Path) -> None:
    test = vf.read(faces, part="test")
    model = vf.load(model_file("keypoints"))
    submission = kaggle.submit(model, test, tmp_path / "predict.csv")
    header, *rows = _rows(submission.path)
    assert header == ["RowId", "Location"]
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5"]
    answers = [answer.as_rows()[0] for answer in model.batch([test.images[row] for row in range(3)])]
    expected = [np.clip(answers[image - 1][feature], 0, 96) for _, image, feature in ASKED]
    np.testing.assert_allclose([float(row[1]) for row in rows], expected, atol=1e-4)


def test_coordinates_are_clipped_to_the_image(faces: Path, model_file: ModelFile, tmp_path: Path) -> None:
    """The untrained network with raw pixels answers far outside."""
    model = vf.load(model_file("seed-keypoints"))
    test = vf.read(faces, part="test")
    outside = [answer.xy for answer in model.batch([test.images[row] for row in range(3)])]
    assert np.min(outside) < 0 or np.max(outside) > 96
    rows = _rows(kaggle.submit(model, test, tmp_path / "predict.csv").path)[1:]
    assert all(0 <= float(location) <= 96 for _, location in rows)


def test_a_zip_is_read_like_the_folder(faces: Path, model_file: ModelFile, tmp_path: Path) -> None:
    path = tmp_path / "faces.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in faces.iterdir():
            archive.write(file, file.name)
    model = vf.load(model_file("keypoints"))
    one, other = (
        kaggle.submit(model, vf.read(source, part="test"), tmp_path / f"{source.suffix}.csv").path.read_bytes()
        for source in (faces, path)
    )
    assert one == other


@pytest.mark.parametrize(
    ("sample_ids", "said"),
    [([1, 2, 3], "gives 6 rows, the competition asks for 3"), ([1, 2, 3, 4, 6, 5], "row 5 is ImageId 5")],
    ids=["count", "order"],
)
def test_a_submission_that_does_not_match_the_sample_is_not_written(
    untrained: Untrained, model_file: ModelFile, tmp_path: Path, sample_ids: list[int], said: str
) -> None:
    source = _digits(untrained, tmp_path / "download", sample_ids)
    with pytest.raises(DataError, match=said):
        kaggle.submit(vf.load(model_file("digits")), vf.read(source, part="test"), tmp_path / "submission.csv")
    assert [left.name for left in tmp_path.iterdir()] == ["download"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([(1, 4, "nose_tip_x")], "row 1: asks for image 4, which the test part does not hold"),
        ([(1, 1, "tail_x")], "'tail_x', which the model was not trained on"),
        ([(1, 1, "")], "row 1: has no FeatureName"),
    ],
)
def test_a_lookup_table_that_asks_for_what_is_not_there(
    untrained: Untrained, model_file: ModelFile, tmp_path: Path, asked: list[tuple[int, int, str]], said: str
) -> None:
    source = _faces(untrained, tmp_path / "download", asked)
    with pytest.raises(DataError, match=said):
        kaggle.submit(vf.load(model_file("keypoints")), vf.read(source, part="test"), tmp_path / "predict.csv")
    assert not (tmp_path / "predict.csv").exists()


def test_faces_without_the_lookup_table(faces: Path, model_file: ModelFile, tmp_path: Path) -> None:
    (faces / "IdLookupTable.csv").unlink()
    with pytest.raises(DataError, match=r"has no IdLookupTable\.csv"):
        kaggle.submit(vf.load(model_file("keypoints")), vf.read(faces, part="test"), tmp_path / "predict.csv")


def test_a_model_of_another_task(digits: Path, model_file: ModelFile, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a competition for classify, and the model was trained for keypoints"):
        kaggle.submit(vf.load(model_file("keypoints")), vf.read(digits, part="test"), tmp_path / "submission.csv")


def test_data_of_no_competition(untrained: Untrained, tmp_path: Path) -> None:
    run = untrained("digits")
    with pytest.raises(DataError, match="not the download of a known competition; known: digit-recognizer"):
        kaggle.submit(run, run.part("val"), tmp_path / "submission.csv")


def test_the_labelled_part_is_not_submitted(digits: Path, model_file: ModelFile, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is the labelled part"):
        kaggle.submit(vf.load(model_file("digits")), vf.read(digits, part="train"), tmp_path / "submission.csv")


def test_an_older_submission_stays_unless_told_otherwise(digits: Path, model_file: ModelFile, tmp_path: Path) -> None:
    out = tmp_path / "submission.csv"
    out.write_text("older")
    model, test = vf.load(model_file("digits")), vf.read(digits, part="test")
    with pytest.raises(DataError, match="--overwrite"):
        kaggle.submit(model, test, out)
    assert out.read_text() == "older"
    assert kaggle.submit(model, test, out, overwrite=True).rows == 6


def test_where_nothing_can_be_written_is_told_before_any_answer(
    faces: Path, model_file: ModelFile, tmp_path: Path
) -> None:
    (faces / "IdLookupTable.csv").unlink()  # which would be missed after the answers
    (tmp_path / "file").touch()
    model, test = vf.load(model_file("keypoints")), vf.read(faces, part="test")
    with pytest.raises(OSError, match=r"s\.csv"):
        kaggle.submit(model, test, tmp_path / "file" / "s.csv")
    with pytest.raises(DataError, match="is a folder"):
        kaggle.submit(model, test, tmp_path, overwrite=True)
    with pytest.raises(DataError, match="has no IdLookupTable"):
        kaggle.submit(model, test, tmp_path / "deep" / "s.csv")
    assert not (tmp_path / "deep").exists()


class Client:
    """A stand-in for Kaggle's client, which tests must not call."""

    def __init__(self, fault: BaseException | None = None) -> None:
        self.fault, self.given = fault, None

    def authenticate(self) -> None:
        if isinstance(self.fault, SystemExit):
            print("a page about tokens")
            raise self.fault

    def competition_submit(self, *given: object, **named: object) -> object:
        if self.fault is not None:
            raise self.fault
        self.given = given
        return SimpleNamespace(message="Successfully submitted to Digit Recognizer")


@pytest.fixture
def submission(tmp_path: Path) -> kaggle.Submission:
    return kaggle.Submission(tmp_path / "submission.csv", kaggle.COMPETITIONS["kaggle-digits"], 6)


def test_upload_hands_the_file_to_kaggles_client(
    monkeypatch: pytest.MonkeyPatch, submission: kaggle.Submission
) -> None:
    client = Client()
    monkeypatch.setitem(sys.modules, "kaggle", SimpleNamespace(api=client))
    assert kaggle.upload(submission, "my first one") == "Successfully submitted to Digit Recognizer"
    assert client.given == (str(submission.path), "my first one", "digit-recognizer")


def test_upload_without_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaggle", None)
    with pytest.raises(InputError, match="not installed; pip install"):
        kaggle.client()


def test_upload_without_a_token(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "kaggle", SimpleNamespace(api=Client(SystemExit(1))))
    with pytest.raises(InputError, match="finds no token; make one"):
        kaggle.client()
    assert capsys.readouterr().out == ""


def test_upload_that_kaggle_refuses(monkeypatch: pytest.MonkeyPatch, submission: kaggle.Submission) -> None:
    monkeypatch.setitem(sys.modules, "kaggle", SimpleNamespace(api=Client(OSError("403 Forbidden"))))
    with pytest.raises(CheckError, match="Kaggle did not take it: 403 Forbidden; the file is fine"):
        kaggle.upload(submission, "my first one")


def test_the_command_line(
    digits: Path, model_file: ModelFile, untrained: Untrained, tmp_path: Path, viewfinder: Commands
) -> None:
    out = tmp_path / "submission.csv"
    outcome = viewfinder("submit", untrained("digits").folder, digits, "--out", out)
    assert outcome.code == 0 and "6 rows for kaggle.com/c/digit-recognizer, checked" in outcome.out
    assert viewfinder("submit", model_file("digits"), digits, "--out", out, "--overwrite").code == 0


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("model.onnx", ["--out", "old.csv"], "--overwrite"),
        ("model.onnx", ["--upload"], 'add -m "what is new"'),
        ("model.onnx", ["--upload", "-m", "new"], "pip install"),
        ("no-run", [], "is not a run folder"),
        ("no.onnx", [], "no such model file"),
    ],
)
def test_bad_input_to_the_command_line(
    digits: Path,
    model_file: ModelFile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    viewfinder: Commands,
    model: str,
    options: list[str],
    said: str,
) -> None:
    monkeypatch.setitem(sys.modules, "kaggle", None)
    monkeypatch.chdir(tmp_path)
    Path("old.csv").write_text("older")
    Path("model.onnx").write_bytes(model_file("digits").read_bytes())
    outcome = viewfinder("submit", model, digits, *options)
    assert outcome.code == 2 and said in outcome.err and len(outcome.err.strip().splitlines()) == 1
    assert not Path("submission.csv").exists() and Path("old.csv").read_text() == "older"


def test_the_real_faces_are_answered_in_full(data_folder: Path, model_file: ModelFile, tmp_path: Path) -> None:
    test = vf.read(data_folder / "facial-keypoints-detection.zip", part="test")
    assert kaggle.submit(vf.load(model_file("seed-keypoints")), test, tmp_path / "predict.csv").rows == 39_240


def test_the_real_digits_are_those_that_the_sample_asks_for(data_folder: Path) -> None:
    source = data_folder / "digit-recognizer.zip"
    asked = kaggle.COMPETITIONS["kaggle-digits"].wanted(source)
    assert asked is not None
    assert [row["ImageId"] for row in asked] == [str(one) for one in vf.read(source, part="test").ids]
