"""The demo shows everything once, replaces itself, and touches nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from typer.testing import CliRunner

import viewfinder as vf
from viewfinder.cli.main import app
from viewfinder.data.samples import faces
from viewfinder.demo import demo
from viewfinder.errors import RunError


def test_a_tiny_demo_leaves_reports_sheets_and_model_files_that_work(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    (folder / "digits").mkdir(parents=True)
    (folder / "digits" / "half-written").write_text("from a demo that was stopped")
    (folder / "demo.json").write_text("[]")
    result = CliRunner().invoke(app, ["demo", "--out", str(folder), "--minutes", "0.04", "--people", "100"])
    assert result.exit_code == 0, result.output
    assert not (folder / "digits" / "half-written").exists()
    for record in json.loads((folder / "demo.json").read_text()):
        assert Path(record["report"]).read_text(encoding="utf-8").lower().startswith("<!doctype html>")
        assert cv2.imread(record["sheet"]).shape[0] > 100
        assert float(record["difference"]) < 0.01
    answer = vf.load(folder / "keypoints" / "model.onnx")(faces(1, seed=9).images[0])
    assert answer["nose_tip"] is not None


def test_a_folder_that_is_no_demo_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="exists and holds something else than a demo; name another folder"):
        demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
