"""`viewfinder evaluate`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

import viewfinder as vf
from viewfinder.cli.evaluate import evaluate
from viewfinder.data.dataset import Dataset
from viewfinder.errors import DataError, RunError


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, run: vf.Run) -> Path:
    return written(run.part("val"), tmp_path_factory.mktemp("data") / "squares.npz")


def written(data: Dataset, path: Path) -> Path:
    images = np.stack([data.images[row] for row in range(len(data))])
    np.savez(path, images=images, labels=data.labelled().array(), names=np.array(data.names))
    return path


def call(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(evaluate)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_it_prints_the_metrics_and_where_the_report_is(run: vf.Run, source: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run.folder, tmp_path / "run")
    result = call(folder, "--data", source)
    assert result.exit_code == 0, result.output
    assert "accuracy" in result.output
    assert f"report: {folder / 'report' / 'index.html'}" in result.output
    assert (folder / "report" / "index.html").is_file()


def test_json_is_json(run: vf.Run, source: Path, folder: Path) -> None:
    printed = json.loads(call(run.folder, "--data", source, "--out", folder, "--json").output)
    assert printed["metrics"] == run.evaluate().metrics
    assert Path(printed["report"]) == folder / "index.html"


def test_a_copy_of_the_training_images_is_noticed(run: vf.Run, tmp_path: Path) -> None:
    source = written(run.part("train"), tmp_path / "squares.npz")
    result = call(run.folder, "--data", source, "--out", tmp_path / "report")
    assert "trained on 64 of these 64" in result.output


def test_a_run_without_validation_samples_is_told_what_to_do(run: vf.Run, tmp_path: Path) -> None:
    folder = shutil.copytree(run.folder, tmp_path / "run")
    info = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    del info["data"]["val"]
    (folder / "run.json").write_text(json.dumps(info), encoding="utf-8")
    error = call(folder).exception
    assert isinstance(error, RunError)
    assert "no validation samples" in str(error) and "--data" in str(error)


def test_where_no_report_can_be_written_is_told_before_any_answer(run: vf.Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").touch()
    error = call(run.folder, "--out", tmp_path / "file" / "report").exception
    assert isinstance(error, OSError) and error.filename == str(tmp_path / "file" / "report")
    assert "something else than a report" in str(call(run.folder, "--out", tmp_path / "thesis").exception)
    assert "came from memory" in str(call(run.folder, "--out", tmp_path / "report").exception)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "thesis"}


def test_what_is_not_a_run_or_not_there_is_refused(run: vf.Run, tmp_path: Path) -> None:
    assert isinstance(call(tmp_path).exception, RunError)
    assert isinstance(call(run.folder, "--data", tmp_path / "no.zip").exception, DataError)
