"""What `viewfinder train` leaves where it is stopped after the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import viewfinder as vf
from tests.commands import Commands
from viewfinder.data.reading import write
from viewfinder.data.samples import digits


def test_stopped_while_the_model_file_is_written_it_says_that_all_else_is_saved_and_how_to_write_it(
    viewfinder: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any, **__: Any) -> Path:
        raise KeyboardInterrupt

    write(digits(), tmp_path / "digits.npz", "npz")
    monkeypatch.setattr(vf.Run, "export", stopped)
    small = ["--set", "model.widths=[8, 8]", "--set", "train.threads=1", "--set", "data.similar=false"]
    out = tmp_path / "run"
    ended = viewfinder("train", tmp_path / "digits.npz", "--recipe", "digits", "--epochs", "1", "--out", out, *small)
    assert ended.code == 130
    assert ended.out == ""
    assert ended.err.splitlines()[-1] == (
        "viewfinder: stopped; it is trained and saved; "
        f"write its model file with: viewfinder export {out} --out {out / 'model.onnx'}"
    )
    monkeypatch.undo()
    writes = f"`viewfinder export {out} --out {out / 'model.onnx'}` writes its model file"
    assert writes in viewfinder("train", "--resume", out).err
    assert viewfinder("export", out, "--out", out / "model.onnx").code == 0
    assert writes not in viewfinder("train", "--resume", out).err
