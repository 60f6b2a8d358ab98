"""A run's folder is there whole or not at all, and what a process left half done is picked up."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import viewfinder as vf
from tests.commands import Commands
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.reading import write
from viewfinder.data.targets import Labels
from viewfinder.errors import RunError
from viewfinder.training import start

QUICK = {"train.batch": 16, "data.size": 16, "data.val": 0.25, "model.widths": [8], "model.depths": [1]}


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("data") / "noise.npz"
    images = ArrayImages.of(np.random.default_rng(0).integers(0, 255, (48, 16, 16), dtype=np.uint8))
    write(Dataset("classify", ("left", "right"), images, Labels(np.arange(48) % 2)), path, "npz")
    return vf.read(path)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def restarted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return what makes this process one that torchrun has started so many times, in which nothing was trained yet."""

    def times(count: int) -> None:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job")
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", str(count))
        monkeypatch.setattr(start, "_trainings", iter(range(1, 100)))

    return times


def train(data: Dataset, out: str | None = None, **more: Any) -> vf.Run:
    return vf.train(data, recipe="digits", epochs=1, changes=QUICK | more.pop("changes", {}), out=out, **more)


@pytest.mark.parametrize("there", [False, True], ids=["new", "empty"])
@pytest.mark.parametrize(("what", "after"), [("write_bytes", 0), ("rename", 0), ("rename", 1), ("rename", 2)])
def test_stopped_while_it_is_made_a_folder_is_not_there(
    noise: Dataset, here: Path, monkeypatch: pytest.MonkeyPatch, what: str, after: int, there: bool
) -> None:
    if there:
        (here / "run").mkdir()
    real, calls = getattr(Path, what), count()

    def stop(path: Path, *about: Any) -> Any:
        if next(calls) == after:
            raise KeyboardInterrupt
        return real(path, *about)

    with monkeypatch.context() as stopping:
        stopping.setattr(Path, what, stop)
        if after and not there:
            assert train(noise, "run").ended, "a new folder is renamed as a whole"
            return
        with pytest.raises(KeyboardInterrupt):
            train(noise, "run")
    assert (here / "run").exists() == there and not list(here.rglob("*.*"))
    assert train(noise, "run").ended == "steps"


def test_what_a_killed_process_left_of_a_folder_is_in_nobodys_way_and_goes_after_a_day(
    noise: Dataset, here: Path
) -> None:
    old, fresh = (here / "run" / f".making-{name}" for name in ("old", "fresh"))
    for left in (old, fresh):
        left.mkdir(parents=True)
    os.utime(old, (1e9, 1e9))
    assert train(noise, "run").ended == "steps"
    assert fresh.exists() and not old.exists()


def test_trainings_that_nobody_named_take_the_next_number(
    noise: Dataset, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, rename = train(noise, "other").folder, Path.rename

    def just_after_another(path: Path, place: Path) -> Path:
        if place == Path("runs/digits-1"):
            rename(first, place)
        return rename(path, place)

    monkeypatch.setattr(Path, "rename", just_after_another)
    assert train(noise).folder == Path("runs/digits-2")
    assert vf.open_run("runs/digits-1").ended == "steps"


@pytest.mark.parametrize("left", ["", '{"event": "end", "st'], ids=["no line", "half a line"])
def test_a_run_whose_process_was_lost_before_it_could_say_that_it_is_over_says_so(noise: Dataset, left: str) -> None:
    run = train(noise, "run")
    said = (run.folder / "events.jsonl").read_text().splitlines()
    (run.folder / "events.jsonl").write_text("\n".join([*said[:-1], left]))
    assert not run.ended
    with pytest.raises(RunError, match="is over already: all steps are done"):
        vf.resume(run.folder)
    assert run.ended == "steps" and run.events()[-1] == json.loads(said[-1])


def test_after_a_restart_each_training_of_a_script_goes_on_with_its_own_run(noise: Dataset, restarted: Any) -> None:
    restarted(0)
    first, second = train(noise), train(noise)
    restarted(1)
    assert [train(noise).folder, train(noise).folder] == [first.folder, second.folder]
    assert train(noise).folder == Path("runs/digits-3"), "the third one is new"


def test_after_a_restart_a_named_run_is_found_whatever_was_done_before_it(noise: Dataset, restarted: Any) -> None:
    restarted(0)
    train(noise, "first")
    train(noise, "second")
    restarted(1)
    assert train(noise, "second").ended == "steps", "the script left out what it had done"


def test_a_run_that_is_over_is_no_success_of_another_launch_however_often_it_starts(
    noise: Dataset, restarted: Any
) -> None:
    run = train(noise, "run")
    for times in (0, 1):
        restarted(times)
        with pytest.raises(RunError, match="is over already"):
            vf.resume(run.folder)


def test_a_run_that_a_launch_resumed_and_ended_is_its_success(noise: Dataset, restarted: Any) -> None:
    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "validation":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(noise, "run", on_event=stop, changes={"train.validations": 2})
    restarted(0)
    assert vf.resume("run").ended == "steps"
    restarted(1)
    assert vf.resume("run").ended == "steps"


def test_the_command_line_chooses_the_budget_of_the_minutes_that_it_was_given(
    noise: Dataset, here: Path, viewfinder: Commands
) -> None:
    quick = "\n".join(f"{key} = {value}" for key, value in QUICK.items())
    (here / "short.toml").write_text(f'base = "digits"\ntrain.minutes = 0.02\n{quick}\n')
    for length, members in ((("--epochs", 1), 2), (("--minutes", 0.02), 1)):
        out = here / f"run{members}"
        ended = viewfinder("train", noise.source, "--recipe", "short.toml", *length, "--out", out, "--no-export")
        assert ended.code == 0, ended.err
        assert vf.open_run(out).recipe.model["members"] == members
