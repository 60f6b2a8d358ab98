"""`viewfinder train`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from viewfinder.cli.stopping import undisturbed
from viewfinder.errors import InputError, NonFiniteError, RecipeError

if TYPE_CHECKING:
    from viewfinder.cli.progress import Watch
    from viewfinder.training.run import Run

__all__ = ["train"]

_KEYS = {"metric": "train.metric", "merge-classes": "data.merge_classes", "weights": "model.weights"}


def train(
    source: Annotated[
        str | None,
        typer.Argument(help="What to train on: a download, a folder, a csv, or a URL of one."),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="The name of a recipe, or the path of a TOML file; by default that of ours which fits."),
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Time for the whole training.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the training samples.")] = None,
    until: Annotated[str | None, typer.Option(help='Stop as soon as this holds, such as "rmse<=1.7".')] = None,
    weights: Annotated[
        str | None, typer.Option(help="What the network starts from: a .safetensors file, or imagenet to download it.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="What decides which checkpoint is best.")] = None,
    merge_classes: Annotated[
        str | None, typer.Option(help="For boxes: all classes become one of this name, such as face.")
    ] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value of the recipe, such as optim.lr=0.003.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder; by default a new one under runs/.")] = None,
    resume: Annotated[Path | None, typer.Option(help="A run folder to go on with.")] = None,
    data: Annotated[str | None, typer.Option(help="With --resume: where the data is now.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, or auto, which is the default.")] = None,
    tensorboard: Annotated[bool, typer.Option(help="Write TensorBoard event files too.")] = False,
    export: Annotated[bool, typer.Option(help="Write the model file into the run folder at the end.")] = True,
) -> None:
    """Train a model; Ctrl-C saves, --resume goes on.

    Example:

        viewfinder train digit-recognizer.zip --recipe digits --minutes 5 --out runs/digits
    """
    began = {"minutes": minutes, "epochs": epochs, "until": until, "out": out, "device": device}
    named = {"metric": metric, "merge-classes": merge_classes, "weights": weights}
    useless = {"recipe": recipe, "set": change, **named, **began} if resume else {"data": data}
    _refuse_useless(useless, "--resume" if resume else "a source")
    with _watched(tensorboard) as watch:
        if source is not None and resume is None:
            with _as_given(weights):
                run = _begin(source, recipe, _changes(change or [], named), began, watch)
        elif resume is not None and source is None:
            run = _go_on(resume, data, watch)
        else:
            what = "a run is resumed on its own data" if source else "nothing to train on"
            raise InputError(what, hint="give either a source or --resume RUN")
    _finish(run, watch, export)


@contextmanager
def _watched(tensorboard: bool) -> Iterator[Watch]:
    """Show what happens inside, in the one process that speaks, and where that is stopped, how to go on."""
    _load()
    from viewfinder.cli.progress import Watch
    from viewfinder.training.distributed import leads

    watch = Watch(tensorboard, quiet=not leads())
    try:
        with watch:
            yield watch
    except NonFiniteError as error:
        if leads():
            raise
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt as stopped:
        if not leads():
            raise typer.Exit(130) from None
        if watch.folder and watch.over:
            raise _stopped_before_export(watch.folder) from None
        saved = str(stopped) or f"last saved at step {watch.saved}"
        go_on = f"{saved}; go on with: viewfinder train --resume {watch.folder}"
        typer.echo(f"\nviewfinder: stopped, {go_on if watch.folder else 'nothing was written'}", err=True)
        raise typer.Exit(130) from None


@contextmanager
def _as_given(weights: str | None) -> Iterator[None]:
    """Name the option where the recipe's network has no such key."""
    try:
        yield
    except RecipeError as error:
        if weights is None or f"unknown key '{_KEYS['weights']}'" not in error.what:
            raise
        what = "the network of this recipe starts from none"
        raise InputError(what, where="--weights", hint="leave it out, or choose another --recipe") from None


def _load() -> None:
    """Load torch, which ends the process with SIGABRT where that is interrupted."""
    try:
        with undisturbed():
            import viewfinder.training.start  # noqa: F401
    except KeyboardInterrupt:
        typer.echo("viewfinder: stopped, nothing was written", err=True)
        raise typer.Exit(130) from None


def _begin(source: str, recipe: str | None, changes: dict[str, str], began: Mapping[str, Any], watch: Watch) -> Run:
    from viewfinder.config import fitting_recipe, load_recipe
    from viewfinder.data.reading import read
    from viewfinder.training.distributed import join, leads
    from viewfinder.training.start import train as begin

    if recipe is not None:
        load_recipe(recipe, changes)  # a typing error is told before a long reading
    if changes.get("model.weights") == "imagenet" and leads():
        typer.echo("ImageNet's weights: downloaded at the first time, then kept in the cache")
    watch.wait(f"reading {source}")
    with join().in_turn():
        dataset = read(source)
    for note in dataset.notes:
        if note.severity != "info" and leads():
            typer.echo(f"viewfinder: {note.line}", err=True)
    chosen = recipe or fitting_recipe(dataset.task, dataset.images[0].shape[2])
    given = {name: value for name, value in began.items() if value is not None}
    watch.wait("preparing")
    return begin(dataset, recipe=chosen, changes=changes, on_event=watch.see, **given)


def _changes(texts: list[str], named: Mapping[str, str | None]) -> dict[str, str]:
    """Return what to change in the recipe, from --set and from the options that stand for one of its keys."""
    from viewfinder.config import parse_changes

    return parse_changes(texts) | {_KEYS[name]: value for name, value in named.items() if value is not None}


def _go_on(folder: Path, data: str | None, watch: Watch) -> Run:
    from viewfinder.training.start import resume

    watch.wait("reading and preparing")
    return resume(folder, data=data, on_event=watch.see)


def _finish(run: Run, watch: Watch, export: bool) -> None:
    from viewfinder.training.distributed import leads

    if not leads():
        return
    watch.tell_end(run)
    if export:
        _export(run)
    labelled = "" if "val" in run.info["data"] else " --data IMAGES"
    typer.echo(f"next: viewfinder evaluate {run.folder}{labelled}")


def _export(run: Run) -> None:
    from viewfinder.cli.progress import Watch

    path = run.folder / "model.onnx"
    try:
        with Watch() as watch:
            watch.wait("writing and checking the model file")
            with undisturbed():  # an interrupted import is an ImportError
                import viewfinder.deploy.onnx  # noqa: F401
            run.export(path)
    except KeyboardInterrupt:
        raise _stopped_before_export(run.folder) from None
    typer.echo(f"model file: {path}")


def _stopped_before_export(folder: Path) -> typer.Exit:
    """Say how to get the model file, and return how to end."""
    command = f"viewfinder export {folder} --out {folder / 'model.onnx'}"
    typer.echo(f"\nviewfinder: stopped; it is trained and saved; write its model file with: {command}", err=True)
    return typer.Exit(130)


def _refuse_useless(options: Mapping[str, object], beside: str) -> None:
    """Raise InputError for an option that would do nothing: a run goes on as it began."""
    given = [name for name, value in options.items() if value]
    if given:
        raise InputError(f"does nothing beside {beside}", where=f"--{given[0]}", hint="leave it out")
