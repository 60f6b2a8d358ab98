from __future__ import annotations

import json
from pathlib import Path

import pytest

from viewfinder.training.events import append_to, read_events, trim


def test_events_come_back_in_order_without_a_line_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    write = append_to(path)
    for step in range(3):
        write({"event": "train", "step": step})
    path.write_text(path.read_text() + '{"event": "tr')
    assert [event["step"] for event in read_events(path)] == [0, 1, 2]


def test_what_is_not_finite_is_null_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    append_to(path)({"event": "validation", "step": 1, "metrics": {"nme": float("nan"), "rmse": 1.5}})
    assert json.loads(path.read_text())["metrics"] == {"nme": None, "rmse": 1.5}


def test_trim_forgets_what_came_after_a_step(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for step in range(5):
        append_to(path)({"event": "train", "step": step})
    trim(path, 2)
    assert [event["step"] for event in read_events(path)] == [0, 1, 2]


def test_trim_forgets_the_validation_and_the_checkpoints_of_a_step_that_will_be_validated_again(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for step in (1, 2):
        for kind in ("train", "checkpoint", "validation", "end"):
            append_to(path)({"event": kind, "step": step})
    trim(path, 2, unvalidated=True)
    kept = [(event["event"], event["step"]) for event in read_events(path) if event["event"] != "train"]
    assert kept == [("checkpoint", 1), ("validation", 1)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: .*events\.jsonl"):
        append_to(path)({"event": "train", "step": 0})
