"""The progress of a training on a terminal: a reader of its events."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from viewfinder.data.findings import counted
from viewfinder.training.events import OVER, Event, Reader, require_tensorboard, tensorboard

if TYPE_CHECKING:
    from viewfinder.training.run import Run

__all__ = ["Watch"]

WORTH_SAYING, FAR_FROM_PLANNED = 0.05, 0.1
NARROWEST_BAR = 12
SECONDS_BETWEEN_LINES = 60
"""Where there is no terminal, as in a job's log: so often a line says that it goes on."""


class Watch:
    """Shows loss, metric, images a second, time gone and time left; where there is no terminal, lines now and then."""

    def __init__(self, with_tensorboard: bool = False, quiet: bool = False) -> None:
        if with_tensorboard:
            require_tensorboard()
        self.console = Console(stderr=True, quiet=quiet)
        self.folder: Path | None = None
        self.saved = 0
        self.over = False
        self.best = ""
        self._with_tensorboard = with_tensorboard
        self._tensorboard: Reader | None = None
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),  # it may be a path
            BarColumn(),
            TextColumn("{task.fields[steps]}  {task.fields[told]}", markup=False),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task: TaskID | None = None
        self._waiting: TaskID | None = None
        self._begun, self._total = (0, 0.0), 0
        self._planned, self._said = 0.0, 0.0
        self._units: dict[str, str] = {}

    def __enter__(self) -> Watch:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._no_longer_waits()
        self._bar.stop()

    def wait(self, what: str) -> None:
        """Say on a terminal what is done before the first event."""
        self._no_longer_waits()
        self._waiting = self._bar.add_task(what, total=None, steps="", told="")

    def _no_longer_waits(self) -> None:
        if self._waiting is not None:
            self._bar.remove_task(self._waiting)
            self._waiting = None

    def see(self, event: Event) -> None:
        """Show an event."""
        if event["event"] == "compile":
            self.console.print("compiling the network, which takes seconds or minutes", soft_wrap=True)
            return
        if event["event"] == "stopping":
            self._stop(again=event["again"])
            return
        if event["event"] in ("start", "resume"):
            self._begin(event)
        if event["event"] in ("start", "resume") or event.get("name") == "last":
            self.saved = event["step"]
        if event["event"] == "note":
            self.console.print(event["what"], highlight=False, soft_wrap=True, markup=False)
        self.over = event["event"] == "end" and event["reason"] != "interrupted"
        if self._tensorboard:
            self._tensorboard(event)
        if self._task is None:
            return
        self._bar.update(self._task, completed=event["step"], steps=self._steps(event))
        if event["event"] == "train":
            self._bar.update(self._task, told=self._told(event))
            self._say_now_and_then(event)
        elif event["event"] == "validating":
            self._bar.update(self._task, told=f"{_clock(event['seconds'])} gone, validating")
        elif event["event"] == "validation":
            self._validated(event)
        elif event["event"] == "end" and event["reason"] == "steps":
            self._compare(event["seconds"])

    def tell_end(self, run: Run) -> None:
        """Say what came out."""
        last = run.events()[-1]
        self._units = {metric.name: metric.unit for metric in run.task.metrics}  # no event told them after a restart
        metric = run.recipe.train.metric or run.task.metrics[0].name
        best = ""
        if last["best"] is not None:
            best = f", best {self._named(metric, last['best'])} at step {last['best_step']}"
        why = f"; it ended early: {OVER[last['reason']]}" if last["reason"] in ("until", "patience") else ""
        steps = counted(last["step"], "step")
        told = f"trained {steps} in {_clock(last['seconds'])}{best}{_waits(last)}{why}"
        self.console.print(told, soft_wrap=True)

    def _begin(self, event: Event) -> None:
        self.folder = Path(event["folder"])
        if self._with_tensorboard:
            self._tensorboard = tensorboard(self.folder / "tensorboard")
        self._begun, self._total = (event["step"], event["seconds"]), event["total"]
        self._said = event["seconds"]
        self._units = event.get("units", {})
        if "seconds_per_step" in event:
            validations = event["validations"] * event["seconds_per_validation"]
            self._planned = event["total"] * event["seconds_per_step"] + validations
        self._no_longer_waits()
        at = {"completed": event["step"], "steps": self._steps(event)}
        self._task = self._bar.add_task("training", total=self._total, told="", **at)
        samples = counted(event["rows"], "sample")
        verb = "training on" if event["event"] == "start" else f"going on at step {event['step']} with"
        self.console.print(
            f"{verb} {samples}, {counted(event['total'], 'step')} in all, into {self.folder}",
            soft_wrap=True,
            markup=False,
        )
        for note in event.get("notes", []):
            self.console.print(note, highlight=False, soft_wrap=True, markup=False)

    def _say_now_and_then(self, event: Event) -> None:
        if not self.console.is_terminal and event["seconds"] - self._said >= SECONDS_BETWEEN_LINES:
            self._said = event["seconds"]
            self.console.print(f"{self._steps(event)}  {self._told(event)}", highlight=False, soft_wrap=True)

    def _stop(self, again: bool) -> None:
        more = f"; Ctrl-C again leaves at once, without what was learnt since step {self.saved}" if again else ""
        self.console.print(f"stopping: what was learnt is saved first{more}", highlight=False, soft_wrap=True)

    def _validated(self, event: Event) -> None:
        metrics = "  ".join(self._named(name, value) for name, value in list(event["metrics"].items())[:3])
        loss = f"loss {event['train_loss']['total']:.4g}"
        against = f", validation {event['loss']['total']:.4g}" if event["loss"] else ""
        self.best, self._said = metrics.split("  ")[0], event["seconds"]
        if event["step"] == self._begun[0]:  # it was left when the training was stopped
            self._begun = (event["step"], event["seconds"])
        epoch = f"{event['epoch']:.1f}" if event["epoch"] >= 1 else f"{event['epoch']:.2g}"
        self.console.print(
            f"{_clock(event['seconds'])}  epoch {epoch}  {loss}{against}  {metrics}", highlight=False, soft_wrap=True
        )

    def _named(self, name: str, value: float) -> str:
        """Return a metric as it is shown everywhere: a share in percent."""
        from viewfinder.tasks.base import Metric  # it loads torch

        return f"{name} {Metric(name, True, self._units.get(name, '')).text(value)}"

    def _compare(self, seconds: float) -> None:
        """Say where the minutes went that are missing or too many."""
        told = _clock(seconds) != _clock(self._planned)
        if told and self._planned and abs(seconds / self._planned - 1) > FAR_FROM_PLANNED:
            first = "slower" if seconds < self._planned else "faster"
            plan = f"it took {_clock(seconds)}, planned were {_clock(self._planned)}"
            self.console.print(
                f"{plan}: the first steps, by which it is planned, were {first}", highlight=False, soft_wrap=True
            )

    def _told(self, event: Event) -> str:
        step, seconds = self._begun
        pace = (event["seconds"] - seconds) / max(1, event["step"] - step)
        left = _clock(pace * (self._total - event["step"]))
        speed = f"{event['images_per_second']:,.0f} images/s"
        time = f"{_clock(event['seconds'])} gone, {left} left"
        # what matters least on the left; where the terminal is narrow, it is left out
        pieces = [_waits(event).removeprefix(", "), speed, self.best, f"loss {event['loss']['total']:.4g}", time]
        pieces = [piece for piece in pieces if piece]
        room = self.console.width - len(f"training {self._steps(event)} ") - NARROWEST_BAR
        while self.console.is_terminal and len(pieces) > 1 and len("  ".join(pieces)) > room:
            del pieces[0]
        return "  ".join(pieces)

    def _steps(self, event: Event) -> str:
        return f"{event['step']}/{self._total} steps"


def _waits(event: Event) -> str:
    """Say how much of the time goes to waiting for data, where that is worth a word."""
    waited = event.get("waited", 0)
    return f", {100 * waited:.0f} % waiting for data" if waited > WORTH_SAYING else ""


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
