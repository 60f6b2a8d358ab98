"""Training through its public names, on a set that a small network learns in a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import viewfinder as vf
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.reading import write
from viewfinder.data.targets import Labels, PointSets
from viewfinder.errors import DataError, NonFiniteError, RecipeError, RunError
from viewfinder.training import start
from viewfinder.training.loop import Session

QUICK = {"train.batch": 16, "data.size": 16, "data.val": 0.25}


@pytest.fixture(scope="module")
def squares() -> Dataset:
    """Images with a bright square on the left or on the right."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 60, (96, 16, 16), dtype=np.uint8)
    ids = np.arange(96) % 2
    for image, side in zip(pixels, ids, strict=True):
        image[5:11, 9 * side + 1 : 9 * side + 6] += 150
    return Dataset("classify", ("left", "right"), ArrayImages.of(pixels), Labels(ids.astype(np.int64)))


def events_of(run: vf.Run, kind: str) -> list[dict[str, Any]]:
    return [event for event in run.events() if event["event"] == kind]


def test_a_run_learns_and_its_folder_is_complete(squares: Dataset, tmp_path: Path) -> None:
    run = vf.train(squares, recipe="digits", epochs=20, changes=QUICK, out=tmp_path / "run")
    validations = events_of(run, "validation")
    assert validations[-1]["metrics"]["accuracy"] == 1.0
    assert validations[-1]["train_loss"]["total"] < validations[0]["train_loss"]["total"]
    assert run.ended == "steps"
    assert {event["event"] for event in run.events()} <= {"start", "train", "validation", "checkpoint", "end"}
    names = {path.name for path in run.folder.iterdir()}
    assert names == {"run.json", "events.jsonl", "split.safetensors", "checkpoints"}
    assert run.info["data"]["train"]["rows"] == 72
    assert run.info["data"]["val"]["rows"] == 24


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(squares: Dataset, tmp_path: Path) -> None:
    def weights(name: str, seed: int) -> torch.Tensor:
        changes = QUICK | {"train.seed": seed, "augment.rotate": 10}
        run = vf.train(squares, recipe="digits", epochs=2, changes=changes, out=tmp_path / name)
        return torch.cat([value.flatten() for value in run.network().state_dict().values()])

    first = weights("a", 1)
    assert torch.equal(first, weights("b", 1))
    assert not torch.equal(first, weights("c", 2))


def test_training_leaves_the_callers_generator_and_threads_alone(squares: Dataset, tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected, threads = torch.rand(3), torch.get_num_threads()
    torch.manual_seed(5)
    vf.train(squares, recipe="digits", epochs=1, changes=QUICK | {"train.threads": 1}, out=tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_minutes_fix_the_number_of_steps_and_record_it(squares: Dataset, tmp_path: Path) -> None:
    run = vf.train(squares, recipe="digits", minutes=0.03, changes=QUICK, out=tmp_path / "run")
    begun = events_of(run, "start")[0]
    assert begun["total"] == run.events()[-1]["step"] >= 1
    assert begun["seconds_per_step"] > 0


def test_a_goal_that_nobody_would_measure_is_refused_and_what_else_waits_for_it_is_told(
    squares: Dataset, tmp_path: Path
) -> None:
    changes = QUICK | {"data.val": 0, "train.patience": 2}
    with pytest.raises(RecipeError, match=r"accuracy is not measured: there are no validation samples; raise data.val"):
        vf.train(squares, recipe="digits", epochs=1, until="accuracy>=0.5", changes=changes, out=tmp_path / "run")
    run = vf.train(squares, recipe="digits", epochs=1, until="train_loss<=9", changes=changes, out=tmp_path / "run")
    assert run.ended == "until"
    assert events_of(run, "start")[0]["notes"] == ["nothing is kept back to validate on: train.patience can do nothing"]


def test_a_normalisation_that_would_see_one_value_is_refused_before_anything_is_written(
    squares: Dataset, tmp_path: Path
) -> None:
    single = {"train.batch": 2, "model.widths": [4, 4, 4, 4], "model.depths": [1, 1, 1, 1], "model.unpadded": 0}
    with pytest.raises(RecipeError, match="batches of 2 leave a normalisation with one value of a channel"):
        vf.train(squares, recipe="digits", epochs=1, changes=QUICK | single, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    changes = QUICK | {"train.batch": 2, "data.val": 0, "data.size": 28}
    assert vf.train(squares, recipe="digits", epochs=0.1, changes=changes, out=tmp_path / "run").ended


def test_validation_samples_of_which_none_is_complete_are_none(tmp_path: Path) -> None:
    xy = np.full((20, 2, 2), 5, np.float32)
    images = ArrayImages.of(np.zeros((20, 16, 16), np.uint8))
    known = Dataset("keypoints", ("left_eye", "right_eye"), images, PointSets(xy))
    unknown = Dataset("keypoints", known.names, images, PointSets(np.full_like(xy, np.nan)))
    changes = {"data.complete": True, "data.size": 16, "train.batch": 4, "data.similar": False}
    with pytest.raises(DataError, match=r"no validation samples that are complete \(data.complete\)"):
        vf.train(known, unknown, recipe="keypoints", epochs=1, changes=changes, out=tmp_path / "run")


def test_what_the_minutes_change_and_that_they_are_few_is_told(squares: Dataset, tmp_path: Path) -> None:
    run = vf.train(squares, recipe="digits", minutes=0.001, changes=QUICK, out=tmp_path / "few")
    assert events_of(run, "start")[0]["notes"] == [
        "for 0.001 minutes: model.members = 1",
        "so few steps teach nearly nothing: give it more than 0.001 minutes",
    ]
    run = vf.train(squares, recipe="digits", epochs=1, changes=QUICK, out=tmp_path / "epoch")
    assert "notes" not in events_of(run, "start")[0]


def test_a_budget_of_tables_is_told_as_a_user_would_set_its_values(squares: Dataset, tmp_path: Path) -> None:
    network = {"name": "convnet", "widths": [8, 8]}
    tables = {"train": {"seed": 5}, "optim": {"schedule": "cosine"}, "model": network, "predict.mirror": True}
    changes = QUICK | {"budgets": [{"changes": tables}]}
    run = vf.train(squares, recipe="digits", minutes=0.001, changes=changes, out=tmp_path / "run")
    assert events_of(run, "start")[0]["notes"][0] == (
        'for 0.001 minutes: train.seed = 5, optim.schedule = "cosine", '
        'model.name = "convnet", model.widths = [8, 8], predict.mirror = true'
    )


def test_a_goal_ends_the_training(squares: Dataset, tmp_path: Path) -> None:
    run = vf.train(squares, recipe="digits", epochs=40, until="accuracy>=0.9", changes=QUICK, out=tmp_path / "run")
    assert run.ended == "until"
    assert run.events()[-1]["step"] < 40 * 4
    assert events_of(run, "validation")[-1]["metrics"]["accuracy"] >= 0.9


def test_the_share_of_the_time_that_was_spent_waiting_for_data_is_told(squares: Dataset, tmp_path: Path) -> None:
    run = vf.train(squares, recipe="digits", epochs=8, changes=QUICK, out=tmp_path / "run")
    told = [event["waited"] for event in run.events() if event["event"] in ("train", "end")]
    assert told
    assert all(0 <= share < 1 for share in told)


def test_that_steps_are_not_recorded_on_a_gpu_is_told_once(
    squares: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Waiting:
        """Stands in for a GPU."""

        news = "each step waits"

        def __call__(self, step: Any, images: torch.Tensor, targets: Any) -> Any:
            return step(images, targets)

        def told(self) -> str:
            news, self.news = self.news, ""
            return news

    prepared = Session.__post_init__

    def on_a_gpu(session: Session) -> None:
        prepared(session)
        session.recorded = Waiting()  # type: ignore[assignment]

    monkeypatch.setattr(Session, "__post_init__", on_a_gpu)
    run = vf.train(squares, recipe="digits", epochs=1, changes=QUICK, out=tmp_path / "run")
    assert [(event["what"], event["step"]) for event in events_of(run, "note")] == [("each step waits", 1)]


def test_patience_ends_a_training_that_does_not_improve(squares: Dataset, tmp_path: Path) -> None:
    changes = QUICK | {"optim.lr": 1e-9, "train.patience": 2, "train.average": 0}
    run = vf.train(squares, recipe="digits", epochs=40, changes=changes, out=tmp_path / "run")
    assert run.ended == "patience"
    assert len(events_of(run, "validation")) <= 10


def test_of_equally_good_checkpoints_the_last_is_kept(squares: Dataset, tmp_path: Path) -> None:
    changes = QUICK | {"optim.lr": 1e-9, "train.average": 0, "train.precision": "float32"}
    run = vf.train(squares, recipe="digits", epochs=3, changes=changes, out=tmp_path / "run")
    seen = events_of(run, "validation")
    assert len({event["metrics"]["accuracy"] for event in seen}) == 1
    assert run.events()[-1]["best_step"] == seen[-1]["step"]


def test_a_plateau_lowers_the_rate(squares: Dataset, tmp_path: Path) -> None:
    plateau = {"optim.schedule": "plateau", "optim.patience": 1, "optim.lr": 1e-8, "optim.min_lr": 0}
    changes = QUICK | plateau | {"train.average": 0}
    run = vf.train(squares, recipe="digits", epochs=4, changes=changes, out=tmp_path / "run")
    state = json.loads((run.folder / "checkpoints" / "last.json").read_text())["state"]
    assert state["lr_scale"] < 1


def test_without_validation_samples_the_last_weights_count(squares: Dataset, tmp_path: Path) -> None:
    run = vf.train(squares, recipe="digits", epochs=1, changes=QUICK | {"data.val": 0}, out=tmp_path / "run")
    assert not (run.folder / "checkpoints" / "best.json").exists()
    assert run.network()(torch.zeros(1, 16, 16, 1, dtype=torch.uint8)).shape == (1, 2)
    with pytest.raises(RunError, match="has no val samples"):
        run.part("val")


def test_missing_points_do_not_disturb_training(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    xy = rng.uniform(4, 28, (64, 2, 2)).astype(np.float32)
    xy[::2, 1] = np.nan
    pixels = rng.integers(0, 255, (64, 32, 32), dtype=np.uint8)
    faces = Dataset("keypoints", ("left_eye", "right_eye"), ArrayImages.of(pixels), PointSets(xy))
    changes = {"train.batch": 16, "data.size": 32, "data.similar": False}
    run = vf.train(faces, recipe="keypoints", epochs=2, changes=changes, out=tmp_path / "run")
    assert np.isfinite(events_of(run, "validation")[-1]["metrics"]["rmse"])


def test_a_non_finite_loss_names_step_rows_and_checkpoint(squares: Dataset, tmp_path: Path) -> None:
    changes = QUICK | {"optim.lr": 1e30, "optim.schedule": "constant", "optim.name": "sgd", "train.average": 0}
    with pytest.raises(NonFiniteError, match=r"at step \d+ .*array row \d+.*last good checkpoint is .*last-") as caught:
        vf.train(squares, recipe="digits", epochs=30, changes=changes, out=tmp_path / "run")
    assert len(caught.value.rows) == 16
    tensors = vf.open_run(tmp_path / "run").network().state_dict().values()
    assert all(torch.isfinite(tensor.float()).all() for tensor in tensors)


def test_a_folder_that_exists_is_not_touched(squares: Dataset, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(RunError, match=r"exists already; .*--resume"):
        vf.train(squares, recipe="digits", out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train.batch": 500}, "batch"),
        ({"train.metric": "acuracy"}, "did you mean 'accuracy'"),
        ({"train.until": "rmse<1"}, "unknown metric 'rmse'"),
        ({"model.widht": 3}, "widht"),
    ],
)
def test_what_is_wrong_is_found_before_a_folder_is_made(
    squares: Dataset, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises((RecipeError, DataError), match=message):
        vf.train(squares, recipe="digits", changes=QUICK | changes, out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_for_another_task_is_refused(squares: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="the recipe is for keypoints"):
        vf.train(squares, recipe="keypoints", out=tmp_path / "run")


def test_one_class_only_is_refused(squares: Dataset, tmp_path: Path) -> None:
    one = squares.select(np.arange(0, 96, 2))
    with pytest.raises(DataError, match="one class"):
        vf.train(one, recipe="digits", changes=QUICK, out=tmp_path / "run")


def test_a_run_that_is_over_is_not_resumed(squares: Dataset, tmp_path: Path) -> None:
    run = vf.train(squares, recipe="digits", epochs=1, changes=QUICK, out=tmp_path / "run")
    with pytest.raises(RunError, match="came from memory"):
        vf.resume(run.folder)
    with pytest.raises(RunError, match="is not a run folder"):
        vf.open_run(tmp_path)


def test_a_run_whose_recipe_was_changed_in_its_file_is_not_resumed(squares: Dataset, tmp_path: Path) -> None:
    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "validation":
            raise KeyboardInterrupt

    source = tmp_path / "squares.npz"
    write(squares, source, "npz")
    with pytest.raises(KeyboardInterrupt):
        vf.train(vf.read(source), recipe="digits", epochs=2, changes=QUICK, out=tmp_path / "run", on_event=stop)
    file = tmp_path / "run" / "run.json"
    began = file.read_text(encoding="utf-8")
    file.write_text(began.replace('"adamw"', '"muon"'), encoding="utf-8")
    with pytest.raises(RunError, match=r"run\.json: the recipe was changed .*undo the change"):
        vf.resume(tmp_path / "run")
    file.write_text(began, encoding="utf-8")
    assert vf.resume(tmp_path / "run").ended == "steps"


def test_balanced_class_weights_make_rare_classes_count(squares: Dataset, tmp_path: Path) -> None:
    rare = squares.select(np.r_[np.arange(0, 96, 2), np.arange(1, 24, 2)])
    changes = QUICK | {"train.class_weights": "balanced", "train.batch": 8}
    run = vf.train(rare, recipe="digits", epochs=4, changes=changes, out=tmp_path / "run")
    assert np.isfinite(events_of(run, "validation")[-1]["loss"]["total"])


def test_the_split_of_a_recipe_follows_its_seed(squares: Dataset) -> None:
    recipe = vf.load_recipe("digits", QUICK)
    train, val = start.split_for(squares, recipe)
    again, _ = start.split_for(squares, recipe)
    assert val is not None
    assert np.array_equal(train.source_rows(), again.source_rows())
    assert not set(train.source_rows()) & set(val.source_rows())
