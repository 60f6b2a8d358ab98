"""From a dataset and a recipe to a trained run, and from a run that was stopped to its end.

All that can be wrong with the input is found before the run folder is made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import torch

from viewfinder import tasks
from viewfinder.augment.share import Share
from viewfinder.config import Recipe, as_json, load_recipe
from viewfinder.data.dataset import Dataset
from viewfinder.data.rows import fit_rows
from viewfinder.data.similar import similar_groups
from viewfinder.errors import DataError, RecipeError, RunError, nearest
from viewfinder.models.members import members_of
from viewfinder.models.registry import start_network
from viewfinder.tasks.base import Task
from viewfinder.training import events
from viewfinder.training.claim import claimed
from viewfinder.training.device import chosen_device, device_again, quiet_torch, settled, telling_full_memory
from viewfinder.training.distributed import Team, join, launch, restarted
from viewfinder.training.folders import make_folder, new_folder
from viewfinder.training.goals import Goal
from viewfinder.training.loader import Loader
from viewfinder.training.loop import Session, train_steps
from viewfinder.training.normalisation import share_statistics
from viewfinder.training.notes import notes_on
from viewfinder.training.plan import measure_speed, plan_epochs, plan_minutes
from viewfinder.training.record import check_unchanged, record
from viewfinder.training.remembered import arrays, fits, is_large_for
from viewfinder.training.run import Run, open_run, tell_all
from viewfinder.training.stopping import asked_to_stop
from viewfinder.training.validation import Validation

__all__ = ["resume", "split_for", "train"]

MOST_COMPARED = 20_000
"""Images of a large set among which near-duplicates are still looked for before the first step."""
_trainings = count(1)
"""A script may train several times: after a restart of torchrun the second training goes on with the second run."""


def train(
    dataset: Dataset,
    val: Dataset | None = None,
    recipe: str | Path | Recipe = "digits",
    *,
    minutes: float | None = None,
    epochs: float | None = None,
    until: str | None = None,
    changes: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    on_event: events.Reader | None = None,
) -> Run:
    """Train a model and return its run.

    Args:
        dataset: the training samples; validation samples are split off by the recipe's rule where `val` is None.
        val: the validation samples.
        recipe: the name of a recipe, the path of a TOML file, or a Recipe.
        minutes: time for the whole training; the recipe's epochs count where it is None.
        epochs: passes over the training samples.
        until: stop as soon as this holds, such as "rmse<=1.7".
        changes: values to change in the recipe, by dotted key.
        out: the run folder; by default a new one under `runs/`.
        device: "cpu", "cuda", one of several as "cuda:1", or "auto": a GPU where there is one.
        on_event: is told every event.

    Raises:
        RecipeError, DataError, RunError: what was given cannot be used; nothing was written, unless it is that a step
            cannot be recorded on a GPU, or that the memory is full after the first steps.
        NonFiniteError: the loss became NaN or infinite.
        KeyboardInterrupt: Ctrl-C; the run was saved and can be resumed.
    """
    changed, number = dict(changes or {}) | _length(minutes, epochs, until), next(_trainings)
    team = join()
    where = chosen_device(device, team)
    wanted = team.agreed(settled(load_recipe(recipe, changed), where))
    with team.in_turn():
        parts = _parts(dataset, val, wanted)
    begun = team.agreed(_begun(out, wanted, number))
    folder = begun or team.agreed(new_folder(out, wanted) if team.leads else Path())
    threads = wanted.train.threads or team.threads
    with quiet_torch(threads, where), telling_full_memory(where, "set train.batch lower, or data.size"):
        with team.in_turn():
            session = _session(wanted, parts, folder, where, team, fresh=not begun)
        if begun:
            return _go_on(Run(begun, open_run(begun).info, parts), session, on_event)
        return _begin(folder, parts, session, on_event, named=out is not None, number=number)


def resume(folder: str | Path, *, data: str | Path | None = None, on_event: events.Reader | None = None) -> Run:
    """Go on with a run that was interrupted, killed or cut off, and return it.

    Args:
        folder: the run folder.
        data: where the data is now, if it was moved; of parts from several places, the folder that they are in.
        on_event: is told every event.

    Raises:
        RunError: not a run, no checkpoint, a damaged one, other data or another recipe than before, it is over already,
            or another process is training it.
    """
    team = join()
    with team.in_turn():
        run = open_run(folder)
        check_unchanged(run)
        parts = {name: run.part(name, data) for name in ("train", "val") if run.info["data"].get(name)}
    as_before = run.info.get("processes", 1) == team.size
    threads = run.info["threads"] if as_before else run.recipe.train.threads or team.threads
    where = device_again(run.info["device"], team)
    with quiet_torch(threads, where), telling_full_memory(where, "end other programs that use it, then resume"):
        with team.in_turn():
            session = _session(run.recipe, parts, run.folder, where, team)
        return _go_on(Run(run.folder, run.info, parts), session, on_event)


def _length(minutes: float | None, epochs: float | None, until: str | None) -> dict[str, Any]:
    """Return what to change in a recipe, by dotted key, so that it says how long."""
    if minutes is not None and epochs is not None:
        raise RecipeError("minutes and epochs are two ways to say how long", hint="give one of them")
    given = {"train.minutes": minutes, "train.epochs": epochs, "train.until": until}
    changes = {key: value for key, value in given.items() if value is not None}
    return changes if epochs is None else {**changes, "train.minutes": None}


def _begin(
    folder: Path,
    parts: Mapping[str, Dataset],
    session: Session,
    on_event: events.Reader | None,
    *,
    named: bool,
    number: int,
) -> Run:
    _compile(session, on_event)
    planned = _plan(session, parts)
    info = session.team.agreed(record(session, parts, torch.get_num_threads(), number))
    _same_data(info, parts)
    session.team.any(True)  # the folder is made when all have the same
    if session.team.leads:
        known = arrays(parts, session.recipe, session.loader.pixels)
        folder = make_folder(folder, session, info, known, named=named)
    folder = session.team.agreed(folder)
    session.folder = folder / "checkpoints"
    with claimed(folder, session.team.leads):
        return _go(Run(folder, info, parts), session, planned, on_event)


def _go_on(run: Run, session: Session, on_event: events.Reader | None) -> Run:
    with claimed(run.folder, session.team.leads):
        return _gone_on(run, session, on_event)


def _gone_on(run: Run, session: Session, on_event: events.Reader | None) -> Run:
    _same_data(run.info, run.known)
    _restore(session)
    progress, team = session.progress, session.team
    if progress.ended:
        if team.leads and not run.ended:  # the process was lost before it could say so
            at = {"step": progress.step, "epoch": _epoch(session, progress.step), "seconds": round(progress.seconds, 3)}
            events.trim(run.folder / "events.jsonl", progress.step)
            events.append_to(run.folder / "events.jsonl")({"event": "end", **at, **progress.at_end(progress.ended)})
        if team.agreed(launch() in _launches(run)):
            return run
        raise RunError(f"is over already: {events.OVER[progress.ended]}", where=run.folder, hint=_left_to_do(run))
    _compile(session, on_event)
    if team.leads:
        events.trim(run.folder / "events.jsonl", progress.step, unvalidated=progress.unvalidated)
    resumed: events.Event = {"event": "resume", "step": progress.step, "seconds": progress.seconds}
    resumed |= {"total": progress.total} | ({"launch": launch()} if launch() else {})
    return _go(run, session, resumed, on_event)


def _launches(run: Run) -> set[str]:
    """Return the launches of torchrun that have trained the run."""
    return {run.info.get("launch", ""), *(event.get("launch", "") for event in run.events())} - {""}


def _left_to_do(run: Run) -> str:
    """Return what is left to do with a run that is over: whoever lacks its model file may resume it for that."""
    more, file = "train a new run with more epochs or minutes", run.folder / "model.onnx"
    return more if file.exists() else f"`viewfinder export {run.folder} --out {file}` writes its model file, or {more}"


def _compile(session: Session, on_event: events.Reader | None) -> None:
    """Compile what the recipe wants compiled, and tell it before, since it takes its time."""
    if session.recipe.train.compile and session.team.leads and on_event:
        step, seconds = session.progress.step, session.progress.seconds
        on_event({"event": "compile", "step": step, "epoch": _epoch(session, step), "seconds": seconds})
    session.compile()


def _restore(session: Session) -> None:
    try:
        session.restore()
    except (RuntimeError, ValueError, TypeError, KeyError):
        what = "the checkpoint does not fit this version of viewfinder"
        raise RunError(what, where=session.folder, hint="use the version in run.json, or train again") from None


def split_for(dataset: Dataset, recipe: Recipe) -> tuple[Dataset, Dataset | None]:
    """Return (train, val) by the recipe's own rule; val is None where the recipe keeps none."""
    if recipe.data.complete:
        dataset = dataset.select(dataset.labelled().complete())
    if recipe.data.similar and dataset.groups is None and not _too_many_to_compare(dataset, recipe):
        dataset = replace(dataset, groups=similar_groups(dataset.images))
    if not recipe.data.val:
        return dataset, None
    return dataset.split(recipe.data.val, recipe.train.seed)


def _too_many_to_compare(dataset: Dataset, recipe: Recipe) -> bool:
    return len(dataset) > MOST_COMPARED and is_large_for(dataset.images, recipe)


def _parts(dataset: Dataset, val: Dataset | None, recipe: Recipe) -> dict[str, Dataset]:
    dataset.labelled()
    dataset = dataset.merged(recipe.data.merge_classes)
    val = None if val is None else val.merged(recipe.data.merge_classes)
    for part in (dataset, val):
        if part is not None and part.task != tasks.learns_from(recipe):
            raise RecipeError(
                f"the recipe is for {recipe.task}, but {part.name} is for {part.task}",
                where=recipe.name,
                hint="see `viewfinder recipes`",
            )
    if val is None:
        dataset, val = split_for(dataset, recipe)
        return {"train": dataset} | ({"val": val} if val is not None else {})
    if val.names != dataset.names:
        raise DataError("the validation samples have other names than the training samples", where=val.name)
    if recipe.data.complete:
        dataset = dataset.select(dataset.labelled().complete())
        val = val.select(val.labelled().complete())
    if not len(val):
        that = " that are complete (data.complete)" if recipe.data.complete else ""
        raise DataError(
            f"there are no validation samples{that}", where=val.name, hint="leave val out to split some off"
        )
    return {"train": dataset, "val": val}


def _session(
    recipe: Recipe,
    parts: Mapping[str, Dataset],
    folder: Path,
    device: torch.device,
    team: Team,
    *,
    fresh: bool = False,
    loader: Loader | None = None,
) -> Session:
    """Return a training at its first step; a fresh one gets pretrained weights, and its goal must be within reach.

    Another one's loader may be used, since batches depend on their step alone.
    """
    dataset = parts["train"]
    task = tasks.create(recipe, dataset.names)
    metrics = {metric.name: metric for metric in task.metrics}
    wanted = recipe.train.metric or task.metrics[0].name
    if wanted not in metrics:
        raise RecipeError(
            f"unknown metric {wanted!r}", where=f"{recipe.name}: train.metric", hint=nearest(wanted, metrics)
        )
    goal = Goal.parse(recipe.train.until, task.metrics, recipe.name) if recipe.train.until else None
    if goal and fresh:
        goal.check(task.metrics, recipe.name, validated="val" in parts)
    task.prepare(dataset.labelled())
    torch.manual_seed(recipe.train.seed)
    network = task.build()
    if fresh:
        start_network(network, recipe)
    digits = torch.float64 if recipe.train.precision == "float64" else None  # None: as they are
    network = share_statistics(network.to(device, digits), team)
    share = team.share(recipe.train.batch, members_of(network))
    loader = loader or _loader(dataset, task, recipe, device, share)
    validation = Validation.of(parts["val"], task, recipe, device, team) if "val" in parts else None
    where, checkpoints = dataset.images.where, folder / "checkpoints"
    parts_of_it = (recipe, task, network, loader, validation, metrics[wanted], goal, checkpoints, where, device)
    return Session(*parts_of_it, team=team)


def _loader(dataset: Dataset, task: Task, recipe: Recipe, device: torch.device, share: Share) -> Loader:
    size = recipe.data.size
    pixels, to_pixels = fit_rows(dataset.images, round(size * recipe.data.detail), recipe.data.channels)
    return Loader(
        pixels,
        dataset.labelled(),
        names=dataset.names,
        task=task,
        batch=recipe.train.batch,
        augment=recipe.augment,
        seed=recipe.train.seed,
        size=size,
        to_pixels=to_pixels,
        device=str(device),
        share=share,
    )


def _epoch(session: Session, step: int) -> float:
    return round(step / session.loader.steps_per_epoch, 4)


def _go(run: Run, session: Session, first: events.Event, on_event: events.Reader | None) -> Run:
    readers = [events.append_to(run.folder / "events.jsonl"), *([on_event] if on_event else [])]
    tell = tell_all(readers if session.team.leads else [])
    where = {"epoch": _epoch(session, first["step"]), "folder": str(run.folder)}
    units = {metric.name: metric.unit for metric in session.task.metrics}
    tell({**where, "rows": len(session.loader.targets), "units": units, **first})
    patient = session.team.size > 1 or bool(launch())

    def heard() -> None:
        step, seconds = session.progress.step, session.progress.seconds
        at = {"step": step, "epoch": _epoch(session, step), "seconds": seconds}
        if session.team.leads and on_event:
            on_event({"event": "stopping", **at, "again": not patient})

    with asked_to_stop(heard, patient=patient) as asked:
        reason = train_steps(session, tell, stopping=asked)
        if reason == "interrupted" or asked():  # asked while the last step was saved, it would not go on either
            raise KeyboardInterrupt(f"saved at step {session.progress.step}")
    return run


def _plan(session: Session, parts: Mapping[str, Dataset]) -> events.Event:
    """Fix the session's steps, and where nobody says how many, its threads; return the event that tells them."""
    recipe, per_epoch, crowded = session.recipe, session.loader.steps_per_epoch, False
    start: events.Event = {"event": "start", "step": 0, "seconds": 0.0}
    if recipe.train.minutes:
        thrown_away = _session(recipe, parts, session.folder, session.device, session.team, loader=session.loader)
        free = recipe.train.threads is None and session.team.size == 1 and session.device.type == "cpu"
        speed = measure_speed(thrown_away, recipe.train.minutes, one_thread_may_do=free)
        crowded = speed.crowded
        session.progress = plan_minutes(recipe, per_epoch, recipe.train.minutes, speed)
        start |= {"seconds_per_step": speed.step, "seconds_per_validation": speed.validation}
    else:
        session.progress = plan_epochs(recipe, per_epoch)
    progress = session.progress
    if notes := notes_on(session, parts, crowded):
        start["notes"] = notes
    return start | {"total": progress.total, "validations": len(progress.validate_after)}


def _begun(out: str | Path | None, recipe: Recipe, number: int) -> Path | None:
    """Return the run that this launch of torchrun began, here or as its so many-th, before it lost a process."""
    known = [Path(out)] if out else Path("runs").glob(f"{recipe.name}-*") if restarted() else []
    for folder in known if launch() else []:
        with contextlib.suppress(RunError):
            info = open_run(folder).info
            mine = info.get("launch") == launch() and (out or info.get("number") == number)
            if mine and info["recipe"] == as_json(recipe):
                return folder
    return None


def _same_data(info: Mapping[str, Any], parts: Mapping[str, Dataset]) -> None:
    """Raise DataError where this process has read other samples than the one that began the run."""
    for name, part in parts.items():
        if not fits(part, info["data"][name]):
            what = f"the {name} samples are others here than where the run began"
            raise DataError(what, where=part.source or part.name, hint="give every process the same data")
