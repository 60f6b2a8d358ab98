"""A set that stays on disk gives the weights that it gives in memory, and its runs can be resumed like any other."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import viewfinder as vf
from tests.commands import Commands
from tests.resume.test_exact import CLASSIFY, DETECT, KEYPOINTS, kill_at
from tests.resume.test_exact import made as made_array
from tests.training.test_distributed import JOBS, RECIPES, assert_same, torchrun
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.memory import IN_MEMORY
from viewfinder.data.reading import write
from viewfinder.data.targets import BoxSets, Labels
from viewfinder.errors import RunError
from viewfinder.training.checkpoint import load_checkpoint

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "classes": CLASSIFY,
    "boxes": (DETECT[0], DETECT[1] | {"data.detail": 2, "data.similar": True}),
    "crops": (CLASSIFY[0], CLASSIFY[1] | {"augment.crop": 10}),
    "keypoints": KEYPOINTS,
    "idx": CLASSIFY,
}
EPOCHS = 6


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIEWFINDER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(IN_MEMORY, "0")


def made(kind: str, folder: Path) -> Path:
    """Write a small set of the kind and return its path."""
    rng, path = np.random.default_rng(5), folder / kind
    if kind == "keypoints":
        return made_array(kind, folder)
    if kind == "idx":
        images = ArrayImages.of(rng.integers(0, 255, (120, 14, 14), dtype=np.uint8))
        write(Dataset("classify", tuple("0123456789"), images, Labels(np.arange(120) % 2)), path, "idx")
    elif kind == "boxes":
        images = ArrayImages.of(rng.integers(0, 255, (60, 40, 52, 3), dtype=np.uint8))
        boxes = [np.array([[10, 8, 40, 38]]) + rng.integers(0, 2, 4)] * 50 + [np.zeros((0, 4))] * 10
        classes = [np.zeros(len(one), dtype=np.int64) for one in boxes]
        write(Dataset("detect", ("face",), images, BoxSets.of(boxes, classes)), path, "coco")
    else:
        for row in range(120):
            file = path / "ab"[row % 2] / f"{row:03d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), rng.integers(0, 255, (14 + row % 4, 17, 1), dtype=np.uint8))
    return path


def trained(source: Path, kind: str, out: Path) -> vf.Run:
    recipe, changes = KINDS[kind]
    return vf.train(vf.read(source), recipe=recipe, epochs=EPOCHS, changes=changes, out=out)


@pytest.fixture(scope="module")
def in_memory(tmp_path_factory: pytest.TempPathFactory) -> vf.Run:
    """Return a run on the classes' images that nothing disturbed, and that had them in memory."""
    folder = tmp_path_factory.mktemp("whole")
    return trained(made("classes", folder), "classes", folder / "run")


def assert_equal(run: vf.Run, expected: vf.Run) -> None:
    for name in ("last", "best"):
        tensors, wanted = (load_checkpoint(one.folder / "checkpoints", name)[0] for one in (run, expected))
        assert tensors.keys() == wanted.keys()
        assert all(torch.equal(tensors[key], wanted[key]) for key in wanted)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all file names are text")
def test_files_whose_names_are_no_text_are_trained_on(tmp_path: Path, large: None) -> None:
    source = made("classes", tmp_path)
    one = next(source.rglob("*.png"))
    one.rename(one.with_name("stra\udcdfe.png"))
    run = trained(source, "classes", tmp_path / "run")
    assert run.ended == "steps" and vf.open_run(run.folder).evaluate().metrics


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_on_disk_gives_the_weights_of_one_in_memory(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = made(kind, tmp_path)
    in_memory = trained(source, kind, tmp_path / "in-memory")
    metrics = in_memory.evaluate().metrics
    monkeypatch.setenv(IN_MEMORY, "0")
    for name in ("first", "again")[: 2 if kind == "boxes" else 1]:
        on_disk = trained(source, kind, tmp_path / name)
        assert_equal(on_disk, in_memory)
        assert "large set" in on_disk.events()[0]["notes"][0]
    assert on_disk.evaluate().metrics == metrics


def test_killed_and_resumed_gives_the_weights_of_one_that_never_stopped(
    tmp_path: Path, in_memory: vf.Run, large: None
) -> None:
    source = made("classes", tmp_path)
    kill_at(20, source, tmp_path / "killed", *KINDS["classes"])
    moved = source.rename(tmp_path / "moved")
    assert_equal(vf.resume(tmp_path / "killed", data=moved), in_memory)


@pytest.mark.parametrize("part", ["train", "val"])
def test_an_unreadable_image_is_one_line_and_the_run_goes_on_when_it_is_mended(
    part: str, tmp_path: Path, in_memory: vf.Run, large: None, viewfinder: Commands
) -> None:
    source = made("classes", tmp_path)
    bad = source / in_memory.part(part).images.where(7)
    content = bad.read_bytes()
    bad.write_bytes(content[:-40])
    changes = [word for key, value in KINDS["classes"][1].items() for word in ("--set", f"{key}={json.dumps(value)}")]
    options = ["--recipe", KINDS["classes"][0], "--epochs", EPOCHS, "--out", tmp_path / "run", "--no-export"]
    done = viewfinder("train", source, *options, *changes)
    assert done.code == 2
    line = done.err.strip().splitlines()[-1]
    assert bad.name in line and f"go on with `viewfinder train --resume {tmp_path / 'run'}`" in line
    assert "Traceback" not in done.err
    bad.write_bytes(content + b"mended")
    assert viewfinder("train", "--resume", tmp_path / "run", "--no-export").code == 0
    assert_equal(vf.open_run(tmp_path / "run"), in_memory)


def stopped(source: Path, out: Path) -> Path:
    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "validation":
            raise KeyboardInterrupt

    recipe, changes = KINDS["classes"]
    with pytest.raises(KeyboardInterrupt):
        vf.train(vf.read(source), recipe=recipe, epochs=EPOCHS, changes=changes, out=out, on_event=stop)
    return out


def test_other_data_is_refused_whatever_the_setting_says_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: None
) -> None:
    source = made("classes", tmp_path)
    run = stopped(source, tmp_path / "run")
    monkeypatch.delenv(IN_MEMORY)
    shutil.copytree(source, tmp_path / "renamed")
    (tmp_path / "renamed" / "a" / "000.png").rename(tmp_path / "renamed" / "a" / "zzz.png")
    shutil.copytree(source, tmp_path / "resized")
    for row in range(0, 120, 10):
        with (tmp_path / "resized" / "a" / f"{row:03d}.png").open("ab") as file:
            file.write(b"more")
    for other in ("renamed", "resized"):
        with pytest.raises(RunError, match="holds other data than the run was trained on"):
            vf.resume(run, data=tmp_path / other)
    assert vf.resume(run).ended == "steps"


def test_a_run_that_began_in_memory_goes_on_on_disk(
    tmp_path: Path, in_memory: vf.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stopped(made("classes", tmp_path), tmp_path / "run")
    monkeypatch.setenv(IN_MEMORY, "0")
    assert_equal(vf.resume(run), in_memory)


def test_evaluation_tells_which_files_were_trained_on(tmp_path: Path, large: None) -> None:
    source = made("classes", tmp_path)
    run = trained(source, "classes", tmp_path / "run")
    assert run.evaluate().seen == 0
    shutil.copytree(source, tmp_path / "elsewhere")
    assert run.evaluate(vf.read(tmp_path / "elsewhere")).seen == len(run.part("train"))


def test_two_processes_fill_and_read_one_file(tmp_path: Path, large: None) -> None:
    source, job = made("classes", tmp_path), {"recipe": "digits", "epochs": 2, "changes": RECIPES["digits"]}
    alone = vf.train(vf.read(source), **job, out=tmp_path / "alone")
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "jobs.py").write_text(JOBS)
    ended = torchrun("jobs.py", json.dumps([job | {"source": str(source), "out": "together"}]), cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert len(list((tmp_path / "cache").glob("*.rows"))) == 1
    assert_same(vf.open_run(tmp_path / "together"), alone)


def test_among_very_many_images_near_duplicates_are_not_looked_for_and_a_line_says_so(
    tmp_path: Path, large: None
) -> None:
    count = 20_001
    images = ArrayImages.of(np.random.default_rng(2).integers(0, 255, (count, 8, 8), dtype=np.uint8))
    data = Dataset("classify", ("a", "b", "c"), images, Labels(np.arange(count) % 3))
    changes = RECIPES["digits"] | {"data.val": 0.01, "data.similar": True, "train.validations": 1}
    run = vf.train(data, recipe="digits", epochs=0.01, changes=changes, out=tmp_path / "run")
    assert "near-duplicates were not looked for" in run.events()[0]["notes"][1]
