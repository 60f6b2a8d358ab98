"""Interrupted and resumed equals never interrupted, bit for bit."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import viewfinder as vf
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.reading import write
from viewfinder.data.targets import BoxSets, Labels, PointSets
from viewfinder.errors import RunError
from viewfinder.training.checkpoint import load_checkpoint
from viewfinder.training.run import open_run

LIGHT = {"augment.rotate": 10, "augment.noise": 0.05, "augment.erase": 0.5, "train.threads": 1}
CLASSIFY = ("seed-digits", LIGHT | {"data.size": 14, "train.batch": 12, "train.validations": 7})
KEYPOINTS = (
    "seed-keypoints-cnn",
    LIGHT | {"data.size": 16, "train.batch": 16, "train.validations": 7, "train.average": 0.1, "augment.mirror": 0.5},
)
LOCATE = (
    "seed-facetracker",
    LIGHT
    | {"data.size": 32, "data.detail": 2, "train.batch": 8, "train.validations": 7, "augment.crop": 40}
    | {"model.widths": [4, 8, 8], "model.depths": [1, 1, 1], "model.dense": 16},
)
DETECT = (
    "detect",
    {"data.size": 32, "train.batch": 16, "train.validations": 7, "train.threads": 1, "augment.mosaic": 0.5}
    | {"model.stem": [4, 4], "model.widths": [8, 8], "model.depths": [0, 1], "model.merged": 8},
)
TINY = ("seed-digits", CLASSIFY[1] | {"train.batch": 64})
"""Images that are varied all at once."""
FLOAT64 = (KEYPOINTS[0], KEYPOINTS[1] | {"train.precision": "float64"})
KINDS = {"classify": CLASSIFY, "tiny": TINY, "keypoints": KEYPOINTS, "locate": LOCATE, "detect": DETECT}
MUON = (KEYPOINTS[0], KEYPOINTS[1] | {"optim.name": "muon"})
KINDS |= {"float64": FLOAT64, "muon": MUON}
TRAIN = """
import json, sys
import viewfinder as vf
source, out, recipe, changes = sys.argv[1:]
vf.train(vf.read(source), recipe=recipe, epochs=6, changes=json.loads(changes), out=out)
"""


def made(kind: str, folder: Path) -> Path:
    """Write a small set of the kind and return its path."""
    rng = np.random.default_rng(3)
    path = folder / f"{kind}.npz"
    if kind in ("classify", "tiny"):
        count = 640 if kind == "tiny" else 120
        images = ArrayImages.of(rng.integers(0, 255, (count, 14, 14), dtype=np.uint8))
        write(Dataset("classify", ("a", "b"), images, Labels(np.arange(count) % 2)), path, "npz")
    elif kind in ("locate", "detect"):
        images = ArrayImages.of(rng.integers(0, 255, (80, 48, 64, 3), dtype=np.uint8))
        boxes = [np.array([[10, 8, 40, 38]]) + rng.integers(0, 9, 4)] * 70 + [np.zeros((0, 4))] * 10
        classes = [np.zeros(len(one), dtype=np.int64) for one in boxes]
        write(Dataset("detect", ("face",), images, BoxSets.of(boxes, classes)), path, "npz")
    else:
        images = ArrayImages.of(rng.integers(0, 255, (96, 16, 16), dtype=np.uint8))
        xy = rng.uniform(1, 15, (96, 2, 2)).astype(np.float32)
        xy[::3, 0] = np.nan
        write(Dataset("keypoints", ("left_eye", "right_eye"), images, PointSets(xy)), path, "npz")
    return path


def validations(run: vf.Run) -> list[dict[str, Any]]:
    """Return what the run told of its validations, without the time."""
    told = [event for event in run.events() if event["event"] == "validation"]
    return [{key: value for key, value in event.items() if key != "seconds"} for event in told]


def last_step(folder: Path) -> int:
    """Return the step that the run's newest event was told at."""
    try:
        lines = (folder / "events.jsonl").read_text().splitlines()
        return int(json.loads(lines[-1])["step"])
    except (FileNotFoundError, IndexError, ValueError):
        return -1


def kill_at(step: int, source: Path, out: Path, recipe: str, changes: dict[str, Any]) -> None:
    """Start a training as a process of its own and kill it without warning once it has told of `step`."""
    process = subprocess.Popen([sys.executable, "-c", TRAIN, str(source), str(out), recipe, json.dumps(changes)])
    try:
        deadline = time.monotonic() + 120
        while last_step(out) < step and time.monotonic() < deadline:
            assert process.poll() is None, "the training ended before it could be killed"
            time.sleep(0.002)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, vf.Run]:
    """Return a run of each kind that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    return {
        kind: vf.train(vf.read(made(kind, folder)), recipe=recipe, epochs=6, changes=changes, out=folder / kind)
        for kind, (recipe, changes) in KINDS.items()
    }


def assert_same_weights(whole: vf.Run, resumed: vf.Run) -> None:
    for name in ("last", "best"):
        expected, _ = load_checkpoint(whole.folder / "checkpoints", name)
        actual, _ = load_checkpoint(resumed.folder / "checkpoints", name)
        assert expected.keys() == actual.keys()
        assert all(torch.equal(expected[key], actual[key]) for key in expected)


@pytest.mark.parametrize(("kind", "how"), KINDS.items())
def test_killed_and_resumed_gives_the_weights_of_one_that_never_stopped(
    kind: str, how: tuple[str, dict[str, Any]], never_stopped: dict[str, vf.Run], tmp_path: Path
) -> None:
    recipe, changes = how
    source, whole = made(kind, tmp_path), never_stopped[kind]
    total = whole.events()[-1]["step"]
    step = random.Random(kind).randrange(1, total * 3 // 4)
    kill_at(step, source, tmp_path / "killed", recipe, changes)
    stopped_at = load_checkpoint(tmp_path / "killed" / "checkpoints", "last")[1]["step"]
    assert stopped_at < total
    resumed = vf.resume(tmp_path / "killed")
    assert_same_weights(whole, resumed)


def test_resume_tells_each_step_once(tmp_path: Path) -> None:
    recipe, changes = CLASSIFY
    source = made("classify", tmp_path)
    kill_at(20, source, tmp_path / "run", recipe, changes)
    run = vf.resume(tmp_path / "run")
    validated = [event["step"] for event in run.events() if event["event"] == "validation"]
    assert len(validated) == len(set(validated)) == 7
    with pytest.raises(RunError, match="is over already"):
        vf.resume(tmp_path / "run")


def test_ctrl_c_finishes_the_step_saves_and_can_be_resumed(never_stopped: dict[str, vf.Run], tmp_path: Path) -> None:
    recipe, changes = CLASSIFY
    source = made("classify", tmp_path)

    def interrupt(event: dict[str, Any]) -> None:
        if event["event"] == "validation" and event["step"] < 20:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="saved at step"):
        vf.train(vf.read(source), recipe=recipe, epochs=6, changes=changes, out=tmp_path / "run", on_event=interrupt)
    stopped = vf.open_run(tmp_path / "run")
    assert stopped.ended == ""
    assert stopped.unfinished.startswith(f"the training is not over: step {stopped.events()[-1]['step']} of ")
    resumed = vf.resume(tmp_path / "run")
    assert resumed.unfinished == ""
    expected, actual = never_stopped["classify"].network().state_dict(), resumed.network().state_dict()
    assert all(torch.equal(expected[key], actual[key]) for key in expected)


@pytest.mark.parametrize(("kind", "before"), [("classify", 0), ("classify", 6), ("detect", 3)])
def test_ctrl_c_is_answered_at_once_and_ends_a_validation_which_is_done_when_it_goes_on(
    kind: str, before: int, never_stopped: dict[str, vf.Run], tmp_path: Path
) -> None:
    recipe, changes = KINDS[kind]
    source, whole, told = made(kind, tmp_path), never_stopped[kind], list[str]()

    def interrupt(network: torch.nn.Module, _: Any) -> None:
        here = "start" in told and told.count("validation") == before
        if here and not network.training and "stopping" not in told:
            signal.raise_signal(signal.SIGINT)
            assert told[-1] == "stopping", "it is not told at once"

    def see(event: dict[str, Any]) -> None:
        told.append(event["event"])

    hook = torch.nn.modules.module.register_module_forward_pre_hook(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt, match="saved at step"):
            vf.train(vf.read(source), recipe=recipe, epochs=6, changes=changes, out=tmp_path / "run", on_event=see)
    finally:
        hook.remove()
    assert told.count("validation") == before
    resumed = vf.resume(tmp_path / "run")
    assert_same_weights(whole, resumed)
    assert validations(resumed) == validations(whole)


def test_ctrl_c_while_a_finished_training_is_saved_stops_what_follows(tmp_path: Path) -> None:
    recipe, changes = CLASSIFY

    def interrupt(event: dict[str, Any]) -> None:
        if event["event"] == "end":
            signal.raise_signal(signal.SIGINT)

    source = made("classify", tmp_path)
    with pytest.raises(KeyboardInterrupt, match="saved at step"):
        vf.train(vf.read(source), recipe=recipe, epochs=6, changes=changes, out=tmp_path / "run", on_event=interrupt)
    assert vf.open_run(tmp_path / "run").ended == "steps"


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    recipe, changes = CLASSIFY
    kill_at(10, made("classify", tmp_path), tmp_path / "run", recipe, changes)
    return tmp_path / "run"


def test_a_resume_with_other_data_is_refused(stopped: Path) -> None:
    path = stopped.parent / "classify.npz"
    other = vf.read(path)
    pixels = np.stack([other.images[row] for row in range(len(other))])
    pixels[0, 0, 0] ^= 1
    write(Dataset("classify", other.names, ArrayImages.of(pixels), other.targets), path, "npz")
    with pytest.raises(RunError, match=r"classify.npz: holds other data .* fingerprint differs"):
        vf.resume(stopped)


def test_moved_data_is_found_where_the_user_says(stopped: Path) -> None:
    moved = stopped.parent / "moved.npz"
    (stopped.parent / "classify.npz").rename(moved)
    with pytest.raises(vf.ViewfinderError, match=r"classify\.npz"):
        vf.resume(stopped)
    assert vf.resume(stopped, data=moved).ended == "steps"


def test_moved_data_of_two_places_is_found_in_one_folder(tmp_path: Path) -> None:
    val = made("classify", tmp_path).rename(tmp_path / "val.npz")
    train = made("classify", tmp_path)
    recipe, changes = CLASSIFY
    run = vf.train(vf.read(train), val=vf.read(val), recipe=recipe, epochs=0.2, changes=changes, out=tmp_path / "run")
    (tmp_path / "now").mkdir()
    for file in (train, val):
        file.rename(tmp_path / "now" / file.name)
    again = open_run(run.folder)
    assert {Path(again.part(name, tmp_path / "now").source).name for name in ("train", "val")} == {train.name, val.name}
    with pytest.raises(RunError, match=r"nowhere.*: the run's data is not where it was"):
        again.part("val", tmp_path / "nowhere")


def test_data_that_was_written_in_another_format_is_known(tmp_path: Path) -> None:
    write(vf.read(made("detect", tmp_path)), tmp_path / "yolo", "yolo")
    recipe, changes = DETECT
    run = vf.train(vf.read(tmp_path / "yolo"), recipe=recipe, epochs=0.5, changes=changes, out=tmp_path / "run")
    write(vf.read(tmp_path / "yolo"), tmp_path / "coco", "coco")
    assert open_run(run.folder).part("train", tmp_path / "coco").format == "coco"


def test_a_format_that_was_named_is_remembered(tmp_path: Path) -> None:
    for row in range(48):
        file = tmp_path / "photos" / "ab"[row % 2] / f"{row:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), np.full((14, 14, 1), row, dtype=np.uint8))
        file.with_suffix(".json").write_text(json.dumps({"shapes": [], "imagePath": file.name}))
    data = vf.read(tmp_path / "photos", format="folders")
    assert vf.read(tmp_path / "photos").format == "labelme"
    recipe, changes = CLASSIFY
    run = vf.train(data, recipe=recipe, epochs=0.5, changes=changes, out=tmp_path / "run")
    assert open_run(run.folder).part("val").format == "folders"
    with pytest.raises(RunError, match="holds other data"):  # of the same images, without a class
        open_run(run.folder).part("val", made("classify", tmp_path))
    moved = (tmp_path / "photos").rename(tmp_path / "moved")
    assert open_run(run.folder).part("val", moved).format == "folders"


def test_a_checkpoint_that_is_cut_off_is_named(stopped: Path) -> None:
    file = next((stopped / "checkpoints").glob("last-*.safetensors"))
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(RunError, match="cut off or damaged"):
        vf.resume(stopped)


def test_a_run_without_checkpoint_is_named(stopped: Path) -> None:
    for file in (stopped / "checkpoints").iterdir():
        file.unlink()
    with pytest.raises(RunError, match="no such checkpoint"):
        vf.resume(stopped)


def test_a_run_that_is_being_trained_cannot_be_resumed_meanwhile(tmp_path: Path) -> None:
    refused: list[str] = []

    def resume_it(event: dict[str, Any]) -> None:
        if not refused and event["step"]:
            with pytest.raises(RunError, match="another process is training this run") as told:
                vf.resume(tmp_path / "run")
            refused.append(str(told.value))

    recipe, changes = CLASSIFY
    data, expected = vf.read(made("classify", tmp_path)), tmp_path / "undisturbed"
    vf.train(data, recipe=recipe, epochs=2, changes=changes, out=expected)
    run = vf.train(data, recipe=recipe, epochs=2, changes=changes, out=tmp_path / "run", on_event=resume_it)
    assert refused
    assert validations(run) == validations(vf.open_run(expected)), "the attempt changed something"
    with pytest.raises(RunError, match="is over already"):
        vf.resume(run.folder)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler uses what torch deprecates
def test_a_folder_that_another_training_made_meanwhile_is_left_to_it(tmp_path: Path) -> None:
    recipe, changes = CLASSIFY
    data, told = vf.read(made("classify", tmp_path)), {"recipe": recipe, "epochs": 1, "changes": changes}
    twin = vf.train(data, out=tmp_path / "twin", **told)

    def move_it(event: dict[str, Any]) -> None:
        if event["event"] == "compile":  # after the name was chosen, before the folder is made
            twin.folder.rename(tmp_path / "run")

    with pytest.raises(RunError, match="exists already"):
        vf.train(data, out=tmp_path / "run", on_event=move_it, **told | {"changes": changes | {"train.compile": True}})
    assert vf.open_run(tmp_path / "run").ended == "steps"
