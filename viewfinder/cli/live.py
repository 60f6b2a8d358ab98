"""`viewfinder live`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from viewfinder.cli.serving import served
from viewfinder.cli.stopping import undisturbed, until_stopped

if TYPE_CHECKING:
    from viewfinder.live.chain import Chain
    from viewfinder.live.page import Page
    from viewfinder.live.recorder import Recorder
    from viewfinder.live.watching import Seen

_PAGE = "Show it in a browser, where a video file plays at its own pace; without it every frame of a file is answered."
_OUT = """A video to write, .mp4, .mkv or .avi. Of a video file every frame is answered then, in order, as fast as the
model can: nobody watches in real time. Of a camera it is the latest one, as always."""


def live(
    model: Annotated[Path, typer.Argument(help="The model file.")],
    source: Annotated[str, typer.Option(help="A camera's number, a video, a folder of images, or an address.")] = "0",
    points: Annotated[
        Path | None, typer.Option(help="A second model file: it finds points in each box of the first.")
    ] = None,
    effect: Annotated[str | None, typer.Option(help="Drawn on every face: glasses, big-eyes or blur.")] = None,
    out: Annotated[Path | None, typer.Option(help=_OUT)] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an older video at --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON a frame, alone on standard output.")] = False,
    page: Annotated[bool, typer.Option(help=_PAGE)] = True,
    marks: Annotated[
        bool | None, typer.Option(help="Draw boxes and points; by default where there is no effect.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="The least score; by default the model's own.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The page's port, 0 for any; by default 8765 if it is free.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="The page's interface; with 0.0.0.0 other machines reach it, too.")
    ] = "127.0.0.1",
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of a model.")] = 2,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for a camera or an address.")] = 10.0,
) -> None:
    """See a model at work on a camera, a video or an address, in a page of this machine.

    Where the model is slower than the source, frames are dropped, never queued. It ends with the file, with Ctrl-C or
    with SIGTERM; a video that is written is finished then.

    Example:

        viewfinder live faces.onnx --points keypoints.onnx --effect glasses --out me.mp4
    """
    from viewfinder.live.capture import open_source
    from viewfinder.live.watching import watch

    if out is not None:
        _check_video(source, out, overwrite)
    chain = _chain(model, points, effect, threshold, threads)
    opened = open_source(source, timeout)
    drawn, latest = page or out is not None, page and out is None
    shown = served(f"{model.name} on {opened.name}", host, port, open_page) if page else None
    with until_stopped(), closing(watch(opened, chain, effect=effect, latest=latest, draw=drawn, marks=marks)) as seen:
        _show_all(seen, as_json, shown, out, opened.pace)
    if out is not None and out.exists():
        typer.echo(out, err=True)


def _chain(model: Path, points: Path | None, effect: str | None, threshold: float | None, threads: int) -> Chain:
    """Return the models, which an effect must fit."""
    from viewfinder.deploy.predictor import load
    from viewfinder.live.chain import Chain
    from viewfinder.live.effects import find_effect

    chain = Chain(load(model, threads), None if points is None else load(points, threads), threshold)
    if effect is not None:
        find_effect(effect, chain)
    return chain


def _check_video(source: str, out: Path, overwrite: bool) -> None:
    from viewfinder.errors import InputError
    from viewfinder.live.recorder import check_name

    check_name(out)
    if out.exists() and Path(source).exists() and out.samefile(source):
        raise InputError("is the video that is read", where=out, hint="choose another --out")
    if out.exists() and not overwrite:
        raise InputError("exists", where=out, hint="choose another --out, or replace it with --overwrite")


def _show_all(
    frames: Iterable[Seen], as_json: bool, page: AbstractContextManager[Page] | None, out: Path | None, pace: float
) -> None:
    """Show each frame as lines, in a page, in a video."""
    from viewfinder.live.recorder import Recorder

    with ExitStack() as stack:
        shows: list[Callable[[Seen], None]] = [_print_json] if as_json else []
        if page is not None:
            shows.append(_onto(stack.enter_context(page)))
        if out is not None:  # the last to begin is the first to end: a video does not wait for browsers
            shows.append(_into(stack.enter_context(Recorder(out, pace))))
        _hand_on(frames, shows)


def _hand_on(frames: Iterable[Seen], shows: list[Callable[[Seen], None]]) -> None:
    """Hand each frame to all who show it, until the end or a stop, and say how it went."""
    count, model_ms, begin, last = 0, 0.0, time.perf_counter(), None
    try:
        for last in frames:
            with undisturbed():
                for show in shows:
                    show(last)
                count, model_ms = count + 1, model_ms + last.model_ms
    except KeyboardInterrupt:
        pass
    finally:
        if last is not None:
            pace = count / (time.perf_counter() - begin)
            spent = f"{pace:.1f} a second, {model_ms / max(1, count):.1f} ms in the model"
            typer.echo(f"{count:,} frames answered, {last.dropped:,} dropped; {spent}", err=True)


def _print_json(seen: Seen) -> None:
    import json

    typer.echo(json.dumps(seen.as_dict(), ensure_ascii=False))


def _into(recorder: Recorder) -> Callable[[Seen], None]:
    def show(seen: Seen) -> None:
        if seen.picture is not None:
            recorder.add(seen.picture, seen.frame.time)

    return show


def _onto(page: Page) -> Callable[[Seen], None]:
    def show(seen: Seen) -> None:
        if seen.picture is not None:
            page.show(seen.picture, seen.told())

    return show
