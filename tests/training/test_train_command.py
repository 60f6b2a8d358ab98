"""What `viewfinder train` says and leaves where it is stopped."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import viewfinder as vf
from tests.commands import Commands
from viewfinder.data.reading import write
from viewfinder.data.samples import digits

SMALL = ["--set", "model.widths=[8, 8]", "--set", "train.threads=1", "--set", "data.similar=false"]


def test_a_second_ctrl_c_leaves_at_once_and_says_what_was_saved_last(viewfinder: Commands, tmp_path: Path) -> None:
    out = tmp_path / "run"

    def impatient(network: torch.nn.Module, _: Any) -> None:
        if (out / "events.jsonl").exists() and not network.training:
            signal.raise_signal(signal.SIGINT)

    write(digits(), tmp_path / "digits.npz", "npz")
    hook = torch.nn.modules.module.register_module_forward_pre_hook(impatient)
    try:
        ended = viewfinder(
            "train", tmp_path / "digits.npz", "--recipe", "digits", "--epochs", "2", "--out", out, *SMALL
        )
    finally:
        hook.remove()
    assert ended.code == 130
    assert [line for line in ended.err.splitlines() if line][1:] == [
        "stopping: what was learnt is saved first; Ctrl-C again leaves at once, without what was learnt since step 0",
        f"viewfinder: stopped, last saved at step 0; go on with: viewfinder train --resume {out}",
    ]
    assert viewfinder("train", "--resume", out, "--no-export").code == 0


def test_stopped_while_the_model_file_is_written_it_says_that_all_else_is_saved_and_how_to_write_it(
    viewfinder: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any, **__: Any) -> Path:
        raise KeyboardInterrupt

    write(digits(), tmp_path / "digits.npz", "npz")
    monkeypatch.setattr(vf.Run, "export", stopped)
    out = tmp_path / "run"
    ended = viewfinder("train", tmp_path / "digits.npz", "--recipe", "digits", "--epochs", "1", "--out", out, *SMALL)
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
