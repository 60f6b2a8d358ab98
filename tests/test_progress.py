"""What a terminal is told of a training."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from viewfinder.cli.progress import Watch

ERASED = "\x1b[2K"
"""What a terminal is told before a line is drawn anew."""
PLAN = {"seconds_per_step": 2.0, "validations": 5, "seconds_per_validation": 40.0}


def told(capsys: pytest.CaptureFixture[str], folder: Path, last: dict[str, Any], **start: Any) -> list[str]:
    """Return what follows the first line of a training that was planned for 400 seconds, and took others."""
    watch = Watch()
    with watch:
        about = {"rows": 1, "total": 100, "folder": str(folder), **start}
        watch.see({"event": "start", "step": 0, "seconds": 0.0, **about})
        watch.see({"event": "end", "step": 100, "reason": "steps", **last})
    first, *more = capsys.readouterr().err.splitlines()
    assert first == f"training on 1 sample, 100 steps in all, into {folder}"
    return more


@pytest.mark.parametrize(("seconds", "first"), [(300, "slower"), (500, "faster")])
def test_a_training_that_misses_its_minutes_says_why(
    seconds: float, first: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = told(capsys, tmp_path, {"seconds": seconds}, **PLAN)
    assert line.startswith(f"it took {seconds // 60}:{seconds % 60:02d}, planned were 6:40: ")
    assert line.endswith(f"were {first}")


def test_one_that_keeps_them_or_has_none_or_ends_early_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys, tmp_path, {"seconds": 395.0}, **PLAN) == []
    assert told(capsys, tmp_path, {"seconds": 100.0}) == []
    assert told(capsys, tmp_path, {"seconds": 100.0, "reason": "patience"}, **PLAN) == []


@pytest.mark.parametrize(
    ("again", "more"), [(True, "; Ctrl-C again leaves at once, without what was learnt since step 20"), (False, "")]
)
def test_that_a_stop_was_heard_is_said_and_what_a_second_one_costs(
    again: bool, more: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watch, at = Watch(), {"seconds": 1.0}
    watch.see({"event": "start", "step": 0, "rows": 1, "total": 100, "folder": str(tmp_path), **at})
    watch.see({"event": "checkpoint", "name": "last", "file": "last", "step": 20, **at})
    watch.see({"event": "checkpoint", "name": "best", "file": "best", "step": 30, **at})
    watch.see({"event": "stopping", "step": 40, "again": again, **at})
    assert capsys.readouterr().err.splitlines()[-1] == f"stopping: what was learnt is saved first{more}"


def test_a_share_is_shown_in_percent_and_the_beginning_of_an_epoch_is_not_called_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watch, units = Watch(), {"accuracy": "%", "rmse": "px", "log_loss": ""}
    at = {"seconds": 1.0, "epoch": 0.05, "loss": {"total": 0.25}, "train_loss": {"total": 0.5}}
    watch.see({"event": "start", "step": 0, "rows": 1, "total": 9, "folder": str(tmp_path), "units": units, **at})
    metrics = {"accuracy": 0.9952, "rmse": 1.5731, "log_loss": 0.0123456}
    watch.see({"event": "validation", "step": 3, "metrics": metrics, **at})
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == ("0:01  epoch 0.05  loss 0.5, validation 0.25  accuracy 99.52 %  rmse 1.573 px  log_loss 0.01235")


def test_in_a_narrow_terminal_the_time_that_is_left_is_shown_and_a_bar(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    for width, shown in ((72, "loss 19.3  0:19 gone, 0:11 left"), (90, "accuracy 99.36 %  loss 19.3  0:19 gone")):
        monkeypatch.setenv("COLUMNS", str(width))
        at = {"seconds": 19.0, "epoch": 0.6, "loss": {"total": 19.3}, "train_loss": {"total": 1.0}}
        with Watch() as watch:
            about = {"rows": 9, "total": 176, "folder": str(tmp_path), "units": {"accuracy": "%"}}
            watch.see({"event": "start", "step": 0, **at, "seconds": 0.0, **about})
            watch.see({"event": "validation", "step": 60, "metrics": {"accuracy": 0.99361}, **at, "seconds": 9.0})
            watch.see({"event": "train", "step": 111, "images_per_second": 2850.0, "waited": 0.5, **at})
        line = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err).splitlines()[-1]
        assert shown in line
        assert "━━━" in line
        assert "training" in line


def test_a_log_says_once_a_minute_that_it_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watch, at = Watch(), {"epoch": 0.5, "loss": {"total": 0.25}, "train_loss": {"total": 0.5}}
    watch.see({"event": "start", "step": 0, "rows": 1, "total": 900, "folder": str(tmp_path), "seconds": 0.0})
    for seconds in range(10, 200, 10):
        train = {"step": 3 * seconds, "seconds": float(seconds), "images_per_second": 30.0, "waited": 0.2}
        watch.see({"event": "train", **train, **at})
        if seconds == 100:  # says it as well
            watch.see({"event": "validation", "step": 300, "seconds": 100.0, "metrics": {}, **at})
    lines = capsys.readouterr().err.splitlines()[1:]
    assert lines[0] == "180/900 steps  20 % waiting for data  30 images/s  loss 0.25  1:00 gone, 4:00 left"
    assert [line.split("  ")[0] for line in lines] == ["180/900 steps", "1:40", "480/900 steps"]


def test_that_it_validates_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    with Watch() as watch:
        watch.see({"event": "start", "step": 0, "rows": 1, "total": 9, "folder": str(tmp_path), "seconds": 0.0})
        watch.see({"event": "validating", "step": 9, "seconds": 57.0})
    assert "0:57 gone, validating" in capsys.readouterr().err


def test_what_is_found_out_while_training_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watch, at = Watch(), {"seconds": 1.0, "epoch": 0.1}
    watch.see({"event": "start", "step": 0, "rows": 1, "total": 9, "folder": str(tmp_path), **at})
    watch.see({"event": "note", "step": 3, "what": "each step [waits]", **at})
    assert capsys.readouterr().err.splitlines()[-1] == "each step [waits]"


def test_compiling_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    Watch().see({"event": "compile", "step": 0, "seconds": 0.0})
    assert capsys.readouterr().err.startswith("compiling the network")


def test_a_terminal_shows_what_is_waited_for_and_counts_to_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    at = {"seconds": 1.0, "rows": 1, "total": 9, "folder": str(tmp_path)}
    with Watch() as watch:
        watch.wait("reading odd[/b].zip")
        time.sleep(0.3)  # it is drawn ten times a second
        assert "reading odd[/b].zip" in capsys.readouterr().err
        watch.see({"event": "start", "step": 0, **at})
        watch.see({"event": "end", "step": 9, "reason": "steps", **at})
    last = capsys.readouterr().err.rpartition(ERASED)[2]
    assert "9/9 steps" in last
    assert "reading" not in last


def test_nothing_of_the_waiting_is_left_after_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Watch() as watch:
        watch.wait("reading nothing.zip")
    assert "reading" not in capsys.readouterr().err.rpartition(ERASED)[2]


def test_after_a_validation_that_was_owed_the_time_left_is_that_of_the_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    at = {"epoch": 1.0, "loss": {"total": 1.0}}
    with Watch() as watch:
        watch.see({"event": "resume", "step": 20, "seconds": 10.0, "rows": 1, "total": 30, "folder": str(tmp_path)})
        watch.see(
            {"event": "validation", "step": 20, "seconds": 50.0, "train_loss": {"total": 1.0}, "metrics": {}, **at}
        )
        watch.see({"event": "train", "step": 25, "seconds": 55.0, "images_per_second": 9.0, "waited": 0.0, **at})
    assert "0:55 gone, 0:05 left" in capsys.readouterr().err
