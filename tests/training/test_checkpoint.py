import re
from pathlib import Path

import pytest
import torch

from viewfinder.errors import RunError
from viewfinder.training.checkpoint import load_checkpoint, save_checkpoint


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(7)}
    save_checkpoint(tmp_path, "last", 3, tensors, {"step": 3, "best": None})
    loaded, state = load_checkpoint(tmp_path, "last")
    assert state == {"step": 3, "best": None}
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


def test_only_the_newest_checkpoint_of_a_name_is_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, "last", step, {"a": torch.ones(1)}, {})
    save_checkpoint(tmp_path, "best", 2, {"a": torch.ones(1)}, {})
    names = sorted(re.sub("-[0-9a-f]{8}[.]", ".", path.name) for path in tmp_path.iterdir())
    assert names == ["best-00000002.safetensors", "best.json", "last-00000003.safetensors", "last.json"]


def test_a_kill_between_two_checkpoints_of_one_step_leaves_the_first_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path, "last", 3, {"a": torch.zeros(2)}, {"sums": 4})

    def killed(path: Path, text: str) -> None:
        raise InterruptedError

    with monkeypatch.context() as patch, pytest.raises(InterruptedError):
        patch.setattr("viewfinder.training.checkpoint.write_text", killed)
        save_checkpoint(tmp_path, "last", 3, {"a": torch.ones(2)}, {"sums": 0})
    tensors, state = load_checkpoint(tmp_path, "last")
    assert state == {"sums": 4} and torch.equal(tensors["a"], torch.zeros(2))


def test_a_checkpoint_that_is_cut_off_is_refused_with_its_name(tmp_path: Path) -> None:
    file = save_checkpoint(tmp_path, "last", 1, {"a": torch.ones(100)}, {})
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(RunError, match=r"last-00000001-\w{8}.safetensors: the checkpoint is cut off"):
        load_checkpoint(tmp_path, "last")


def test_a_checkpoint_with_a_changed_byte_is_refused(tmp_path: Path) -> None:
    file = save_checkpoint(tmp_path, "last", 1, {"a": torch.ones(100)}, {})
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(RunError, match="damaged"):
        load_checkpoint(tmp_path, "last")


def test_half_a_json_file_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, "last", 1, {"a": torch.ones(1)}, {})
    path = tmp_path / "last.json"
    path.write_text(path.read_text()[:20])
    with pytest.raises(RunError, match="damaged"):
        load_checkpoint(tmp_path, "last")


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"last.json: no such checkpoint"):
        load_checkpoint(tmp_path, "last")
