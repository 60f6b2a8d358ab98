"""What differs on a GPU: recorded steps, nothing that waits. Skipped where there is none."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import viewfinder as vf
from tests.resume.test_exact import CLASSIFY, DETECT, KEYPOINTS, KINDS, LOCATE, TINY, made, validations
from viewfinder.config import load_recipe
from viewfinder.training.device import quiet_torch, settled
from viewfinder.training.distributed import ALONE
from viewfinder.training.loop import Session, check_finite, train_step
from viewfinder.training.recording import WARM_STEPS
from viewfinder.training.start import _session

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
OPTIMISERS = [{"optim.name": name} for name in ("muon", "adamw", "adam", "sgd", "rmsprop")]
CONVNET = ("digits", {"data.size": 14, "train.batch": 24, "train.validations": 7, "model.unpadded": 0})
HEATMAPS = ("keypoints", {"data.size": 32, "train.batch": 12, "train.validations": 7})
SGD = (CLASSIFY[0], CLASSIFY[1] | {"optim.name": "sgd", "optim.lr": 0.01})
WEIGHTED = (CLASSIFY[0], CLASSIFY[1] | {"train.class_weights": "balanced"})
LEARNT = [
    ("classify", CLASSIFY),
    ("classify", WEIGHTED),
    ("classify", CONVNET),
    ("keypoints", KEYPOINTS),
    ("locate", LOCATE),
    ("detect", DETECT),
]


def session_of(kind: str, folder: Path, recipe: str, changes: dict[str, Any]) -> Session:
    gpu = torch.device("cuda")
    chosen = settled(load_recipe(recipe, changes), gpu)
    session = _session(chosen, {"train": vf.read(made(kind, folder))}, folder, gpu, ALONE, fresh=True)
    session.progress.total = 60
    return session


def losses(session: Session, steps: int) -> list[float]:
    found = []
    with closing(session.loader.batches(session.progress.step, session.progress.step + steps)) as batches:
        for batch in batches:
            train_step(session, batch)
            check_finite(session)
            found.append(session.losses["total"])
    return found


@pytest.fixture(autouse=True)
def as_in_a_training() -> Iterator[None]:
    with quiet_torch(1, torch.device("cuda")):
        yield


@contextmanager
def waiting_is_an_error() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that not everything is detected
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=lambda one: one["optim.name"])
@pytest.mark.parametrize(("kind", "recipe"), LEARNT)
def test_a_recorded_step_learns_as_one_that_is_not(
    kind: str, recipe: tuple[str, dict[str, Any]], optimiser: dict[str, Any], tmp_path: Path
) -> None:
    changes = recipe[1] | optimiser | {"optim.clip": 1.0, "optim.lr": 1e-3, "train.average": 0.1}
    one, other = (
        session_of(kind, tmp_path, recipe[0], changes | {"train.cuda_graphs": recorded}) for recorded in (True, False)
    )
    assert losses(one, 20) == pytest.approx(losses(other, 20), rel=1e-4)
    assert one.recorded
    assert one.recorded.recordings
    assert one.recorded.told() == ""
    assert other.recorded is None
    assert one.averages is not None and other.averages is not None
    for name, value in one.averages.values.items():
        torch.testing.assert_close(value, other.averages.values[name], rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_within_an_epoch_waits_for_the_gpu(kind: str, tmp_path: Path) -> None:
    recipe, changes = KINDS[kind]
    session = session_of(kind, tmp_path, recipe, changes)
    losses(session, 2 * WARM_STEPS + 2)
    with closing(session.loader.batches(session.progress.step, 40)) as batches, waiting_is_an_error():
        for batch in batches:
            train_step(session, batch)
    check_finite(session)


@pytest.mark.parametrize("kind", ["tiny", "keypoints"])
def test_images_that_are_made_for_several_steps_at_once_are_those_made_for_each(kind: str, tmp_path: Path) -> None:
    together, alone = (session_of(kind, tmp_path, *KINDS[kind]).loader for _ in range(2))
    assert together._steps_made > 1
    alone._steps_made = 1
    for step in (9, 3, 4):
        one, other = together.batch_at(step), alone.batch_at(step)
        assert torch.equal(one.images, other.images)
        for name, value in one.targets.items():
            torch.testing.assert_close(value, other.targets[name], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    ("kind", "how"), [*KINDS.items(), ("classify", CONVNET), ("keypoints", HEATMAPS), ("classify", SGD)]
)
def test_interrupted_and_resumed_equals_never_interrupted_bit_for_bit(
    kind: str, how: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    recipe, changes = how
    source, out = vf.read(made(kind, tmp_path)), tmp_path / "cut"
    about: dict[str, Any] = {"recipe": recipe, "epochs": 6, "changes": changes, "device": "cuda"}
    whole = vf.train(source, **about, out=tmp_path / "whole")

    def cut(event: dict[str, Any]) -> None:
        if event["event"] == "validation" and event["step"] > 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vf.train(source, **about, out=out, on_event=cut)
    resumed = vf.resume(out)
    assert validations(resumed) == validations(whole)
    for name, value in whole.network().state_dict().items():
        assert torch.equal(value, resumed.network().state_dict()[name]), name


def test_a_training_of_so_many_minutes_takes_about_as_long(tmp_path: Path) -> None:
    source, changes = vf.read(made("tiny", tmp_path)), TINY[1] | {"train.validations": 1}
    run = vf.train(source, recipe=TINY[0], minutes=0.1, changes=changes, out=tmp_path / "run", device="cuda")
    assert 3 < run.events()[-1]["seconds"] < 9


def test_boxes_are_learnt_whose_number_differs_from_batch_to_batch(tmp_path: Path) -> None:
    session = session_of("detect", tmp_path, *DETECT)
    first = losses(session, 30)
    assert sum(first[-5:]) < sum(first[:5])
    assert session.recorded
    assert len(session.recorded.recordings) > 1


def test_a_step_that_looks_at_what_was_computed_is_taken_as_it_comes(tmp_path: Path) -> None:
    one, other = (
        session_of("locate", tmp_path, LOCATE[0], LOCATE[1] | {"train.cuda_graphs": recorded})
        for recorded in (True, False)
    )
    usual = one.task.loss

    def looking(outputs: Any, targets: Any) -> dict[str, torch.Tensor]:
        assert outputs.flatten()[0].item() == outputs.flatten()[0].item()
        return usual(outputs, targets)

    one.task.loss = looking  # type: ignore[method-assign]
    assert losses(one, 12) == pytest.approx(losses(other, 12), rel=1e-4)
    assert one.recorded
    assert not one.recorded.recordings
    assert "waits for the GPU" in one.recorded.told()
    assert one.recorded.told() == ""
