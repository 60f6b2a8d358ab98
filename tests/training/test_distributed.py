"""Two processes that torchrun starts train as one process would, and survive the loss of one of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

import viewfinder as vf
from tests.commands import Commands
from viewfinder import tasks
from viewfinder.augment.share import Share
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.reading import write
from viewfinder.data.targets import BoxSets, Labels, PointSets
from viewfinder.errors import RecipeError
from viewfinder.training.checkpoint import load_checkpoint
from viewfinder.training.distributed import Team
from viewfinder.training.loader import Batch, Loader

ROWS = 75
SIZE = 32
VARIED = {f"augment.{name}": 0.1 for name in ("zoom", "shift", "brightness", "contrast", "noise", "blur", "erase")}
COMMON = VARIED | {
    "augment.mirror": 0.5,
    "data.size": SIZE,
    "data.val": 0.2,
    "data.similar": False,
    "train.batch": 12,
    "train.validations": 10,
    "train.precision": "float32",
    "train.threads": 1,
    "optim.lr": 0.002,
}
SMALL = {
    "digits": {"members": 3, "widths": [8, 8], "depths": [1, 1]},
    "keypoints": {"widths": [8, 8, 8], "depths": [0, 1, 0]},
}
RECIPES = {name: COMMON | {f"model.{key}": value for key, value in model.items()} for name, model in SMALL.items()}
EPOCHS = 2

JOBS = """
import json, sys
import viewfinder as vf
for job in json.loads(sys.argv[1]):
    vf.resume(job["resume"]) if "resume" in job else vf.train(vf.read(job.pop("source")), **job)
"""
KILLED = """
import json, os, shutil, signal, sys
import viewfinder as vf
def see(event):
    if event["event"] == "validation" and event["step"] >= 4 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        shutil.copytree("runs", "before")
        os.kill(os.getpid(), signal.SIGKILL)
job = json.loads(sys.argv[1])
vf.train(vf.read(job.pop("source")), on_event=see, **job)
"""
ENDING = """
import atexit, json, os, sys, weakref
@atexit.register
def look():
    if group() is not None:
        os.write(2, b"the group is still there")
        os._exit(3)
import torch.distributed as dist
import viewfinder as vf
job = json.loads(sys.argv[1])
vf.train(vf.read(job.pop("source")), **job)
group = weakref.ref(dist.group.WORLD)
"""

APART = """
import json, os, sys
import viewfinder as vf
job = json.loads(sys.argv[1])
data = vf.read(job.pop("source"))
vf.train(data.select(range(int(os.environ["RANK"]), len(data))), **job)
"""
ENDED = """
import json, sys, time
import viewfinder as vf
from viewfinder.training.loop import Session
save = Session.save
def slowly(*about):  # as to a disk that is far away
    time.sleep(0.5 if about[0].progress.ended else 0)
    return save(*about)
Session.save = slowly
job = json.loads(sys.argv[1])
sys.stdout.write(vf.train(vf.read(job.pop("source")), **job).ended + chr(10))
"""


def torchrun(*arguments: str, restarts: int = 0, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Start two processes and wait for them."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launcher, f"--max-restarts={restarts}", "--monitor-interval=0.1", *arguments]
    path = os.pathsep.join([str(Path(vf.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, "TMPDIR": str(cwd)}
    return subprocess.run(command, cwd=cwd, env=environment, text=True, capture_output=True, timeout=200, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two small sets, of which some points are unknown, and the script of the processes."""
    rng = np.random.default_rng(3)
    folder = tmp_path_factory.mktemp("processes")
    images = ArrayImages.of(rng.integers(0, 255, (ROWS, SIZE, SIZE), dtype=np.uint8))
    write(Dataset("classify", ("a", "b", "c"), images, Labels(np.arange(ROWS) % 3)), folder / "digits.npz", "npz")
    xy = rng.uniform(4, SIZE - 4, (ROWS, 2, 2)).astype(np.float32)
    xy[rng.random(ROWS) < 0.6, 0] = np.nan
    names = ("left_eye", "right_eye")
    write(Dataset("keypoints", names, images, PointSets(xy)), folder / "keypoints.npz", "npz")
    scripts = {"jobs": JOBS, "killed": KILLED, "ending": ENDING, "ended": ENDED, "apart": APART}
    for name, text in scripts.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def job(folder: Path, name: str) -> dict[str, Any]:
    return {"source": str(folder / f"{name}.npz"), "recipe": name, "epochs": EPOCHS, "changes": RECIPES[name]}


@pytest.fixture(scope="module")
def alone(folder: Path) -> Callable[[str], vf.Run]:
    """Return the run of one process."""

    @cache
    def trained(name: str) -> vf.Run:
        what = job(folder, name)
        return vf.train(vf.read(what.pop("source")), **what, out=folder / f"{name}-alone")

    return trained


def interrupted(folder: Path, name: str) -> Path:
    """Return a run of one process that was stopped half-way."""

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "validation" and event["step"] >= 4:
            raise KeyboardInterrupt

    what = job(folder, name)
    with pytest.raises(KeyboardInterrupt):
        vf.train(vf.read(what.pop("source")), **what, out=folder / "interrupted", on_event=stop)
    return folder / "interrupted"


def assert_same(run: vf.Run, expected: vf.Run, rounding: float = 1e-4) -> None:
    """Losses of every step, validation, weights and running statistics agree; float32 is validated."""
    shipped = max(rounding, 1e-6)
    seen, wanted = ([event for event in one.events() if event["event"] == "validation"] for one in (run, expected))
    assert [event["step"] for event in seen] == [event["step"] for event in wanted]
    for event, truth in zip(seen, wanted, strict=True):
        for part, within in (("train_loss", rounding), ("loss", shipped), ("metrics", shipped)):
            assert event[part] == pytest.approx(truth[part], rel=within, abs=within / 10), (
                f"{part} at step {event['step']}"
            )
    for name in ("last", "best"):
        tensors, truth = (load_checkpoint(one.folder / "checkpoints", name)[0] for one in (run, expected))
        assert tensors.keys() == truth.keys()
        assert any(key.endswith("running_var") for key in tensors)
        for key, value in tensors.items():
            torch.testing.assert_close(
                value, truth[key], rtol=10 * rounding, atol=rounding, msg=lambda text, key=key: f"{key}: {text}"
            )


def test_the_command_trains_in_two_processes_as_in_one_and_one_of_them_speaks(
    folder: Path, alone: Callable[[str], vf.Run]
) -> None:
    changes = [word for key, value in RECIPES["keypoints"].items() for word in ("--set", f"{key}={json.dumps(value)}")]
    options = ["--recipe", "keypoints", "--epochs", str(EPOCHS), "--out", "together", "--no-export", *changes]
    ended = torchrun("-m", "viewfinder", "train", "keypoints.npz", *options, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "next: viewfinder evaluate together\n"
    assert ended.stderr.count("training on") == ended.stderr.count("trained 10 steps") == 1
    run = vf.open_run(folder / "together")
    assert run.info["processes"] == 2
    assert {path.name for path in run.folder.iterdir()} == {
        "run.json",
        "events.jsonl",
        "split.safetensors",
        "checkpoints",
    }
    assert_same(run, alone("keypoints"))


def test_members_learn_from_the_same_samples_and_a_run_of_one_process_goes_on_in_two(
    folder: Path, alone: Callable[[str], vf.Run]
) -> None:
    jobs = [job(folder, "digits") | {"out": "ensemble"}, {"resume": str(interrupted(folder, "keypoints"))}]
    ended = torchrun("jobs.py", json.dumps(jobs), cwd=folder)
    assert ended.returncode == 0, ended.stderr
    assert_same(vf.open_run(folder / "ensemble"), alone("digits"))
    assert_same(vf.open_run(folder / "interrupted"), alone("keypoints"))


@pytest.mark.parametrize("name", RECIPES)
def test_a_hundred_steps_in_two_processes_are_those_of_one_but_for_the_rounding_of_float64(
    name: str, folder: Path
) -> None:
    what = job(folder, name)
    what |= {"epochs": 20, "changes": what["changes"] | {"train.precision": "float64", "train.validations": 100}}
    ended = torchrun("jobs.py", json.dumps([what | {"out": f"{name}-in-float64"}]), cwd=folder)
    assert ended.returncode == 0, ended.stderr
    alone = vf.train(vf.read(what.pop("source")), **what, out=folder / f"{name}-in-float64-alone")
    assert sum(event["event"] == "validation" for event in alone.events()) == 100
    assert_same(vf.open_run(folder / f"{name}-in-float64"), alone, rounding=1e-11)


def test_a_killed_process_is_replaced_and_the_run_goes_on_by_itself(
    folder: Path, alone: Callable[[str], vf.Run]
) -> None:
    ended = torchrun("killed.py", json.dumps(job(folder, "keypoints")), restarts=1, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    assert [path.name for path in (folder / "runs").iterdir()] == ["keypoints-1"]
    run = vf.open_run(folder / "runs" / "keypoints-1")
    assert [event["event"] for event in run.events() if event["event"] in ("start", "resume", "end")] == [
        "start",
        "resume",
        "end",
    ]
    assert run.ended == "steps"
    assert_same(run, alone("keypoints"))
    shutil.move(folder / "before" / "keypoints-1", folder / "one-again")
    assert_same(vf.resume(folder / "one-again"), alone("keypoints"))


def test_processes_with_other_data_are_told_so_before_a_run_is_made(folder: Path) -> None:
    ended = torchrun("apart.py", json.dumps(job(folder, "digits") | {"out": "apart"}), cwd=folder)
    assert ended.returncode and "the train samples are others here than where the run began" in ended.stderr
    assert not (folder / "apart").exists() and not [*folder.glob(".making-*")]


def test_a_process_that_waits_for_one_that_was_given_what_it_cannot_use_looks_for_no_connection(folder: Path) -> None:
    options = ["--recipe", "keypoints", "--set", "train.batch=25", "--set", "data.similar=false", "--out", "uneven"]
    ended = torchrun("-m", "viewfinder", "train", "keypoints.npz", *options, cwd=folder)
    assert ended.stderr.count("batches of 25 cannot be shared evenly by 2 processes") == 1
    assert ended.stderr.count("another process cannot go on") <= 1  # the launcher may end it before it says so
    assert "lost the connection" not in ended.stderr and not (folder / "uneven").exists()


def test_the_processes_have_parted_before_the_interpreter_ends(folder: Path) -> None:
    """A thread of the group that wanted the interpreter while it ended would end the process with SIGABRT."""
    ended = torchrun("ending.py", json.dumps(job(folder, "digits") | {"out": "parted", "epochs": 0.2}), cwd=folder)
    assert ended.returncode == 0, ended.stderr


def test_a_training_has_ended_for_all_processes_when_it_has_for_one(folder: Path) -> None:
    ended = torchrun("ended.py", json.dumps(job(folder, "digits") | {"out": "ended"}), cwd=folder)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["steps", "steps"]


def test_shares_are_disjoint_and_complete_and_each_member_gets_its_own_samples() -> None:
    shares = [Team(rank, 2).share(12, members=3).places for rank in range(2)]
    assert sorted(np.concatenate(shares)) == list(range(12))
    assert [list(share // 4) for share in shares] == [[0, 0, 1, 1, 2, 2]] * 2
    assert sorted(np.concatenate([Team(rank, 3).piece(7).places for rank in range(3)])) == list(range(7))


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_the_shares_of_a_batch_are_together_the_batch_of_one_process(backend: Literal["numpy", "torch"]) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (20, SIZE, SIZE, 1), dtype=np.uint8)
    corners = [rng.uniform(0, 16, (row % 3, 2)) for row in range(20)]
    boxes = BoxSets.of(
        [np.hstack([one, one + 9]) for one in corners], [np.zeros(len(one), dtype=int) for one in corners]
    )
    recipe = vf.load_recipe("detect", VARIED | {"augment.mosaic": 0.5, "augment.light": 0.5})

    def batch(share: Share | None) -> Batch:
        task = tasks.create(recipe, ("thing",))
        about = {"names": ("thing",), "task": task, "batch": 12, "augment": recipe.augment, "seed": 5}
        return Loader(pixels, boxes, **about, backend=backend, share=share).batch_at(3)

    whole, shares = batch(None), [Team(rank, 2).share(12, members=2) for rank in range(2)]
    for share in shares:
        part = batch(share)
        assert torch.equal(part.images, whole.images[share.places])
        assert all(torch.equal(part.targets[name], value) for name, value in whole.targets.items())


def test_a_batch_that_cannot_be_shared_evenly_is_refused() -> None:
    message = r"batches of 250 cannot be shared evenly by 4 processes and 2 members; .* multiple of 8, such as 248"
    with pytest.raises(RecipeError, match=message):
        Team(0, 4).share(250, members=2)


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"WORLD_SIZE": "many"}, "WORLD_SIZE: is 'many' instead of a number"),
        ({"WORLD_SIZE": "2"}, "environment: RANK is not set"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "environment: there is no process 2 of 2"),
        ({"WORLD_SIZE": "0", "RANK": "0"}, "environment: there is no process 0 of 0"),
        ({"WORLD_SIZE": "2", "RANK": "0", "MASTER_PORT": "99999"}, "environment: MASTER_PORT is 99999, which is no"),
        ({"WORLD_SIZE": "2", "RANK": "0", "MASTER_PORT": "abc"}, "MASTER_PORT: is 'abc' instead of a number"),
    ],
)
def test_what_a_launcher_says_wrongly_is_one_line(
    said: dict[str, str], what: str, folder: Path, viewfinder: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ({"RANK": "", "MASTER_ADDR": "localhost", "MASTER_PORT": "29511"} | said).items():
        monkeypatch.setenv(name, value)
    done = viewfinder("train", folder / "digits.npz")
    assert done.code == 2
    assert done.err.strip().startswith(f"viewfinder: {what}")
    assert len(done.err.strip().splitlines()) == 1
