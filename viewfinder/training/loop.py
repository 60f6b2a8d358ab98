"""The loop: tensors, a task and a clock. It prints nothing and tells everything as events.

A step depends on the weights and on (seed, step) alone: the loader's batch is a pure function of them, and
torch's generator, which dropout draws from, is seeded anew for each step. So a checkpoint needs no generator,
and a training that was killed and resumed ends with the weights of one that never stopped.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from viewfinder.config import Recipe
from viewfinder.errors import DataError, InputError, NonFiniteError
from viewfinder.tasks.base import Metric, Task
from viewfinder.training.checkpoint import load_checkpoint, save_checkpoint
from viewfinder.training.compiling import Compiled
from viewfinder.training.device import seed
from viewfinder.training.distributed import ALONE, Team
from viewfinder.training.events import Reader
from viewfinder.training.goals import Goal
from viewfinder.training.loader import Batch, Loader
from viewfinder.training.optim import Averages, build_optimiser, learning_rate, lowered, set_rate
from viewfinder.training.readout import Readout
from viewfinder.training.recording import Recorded
from viewfinder.training.validation import Stopped, Validation

__all__ = ["Progress", "Session", "train_steps"]

SECONDS_BETWEEN_CHECKPOINTS = 30.0
SECONDS_BETWEEN_EVENTS = 0.5
STEPS_AHEAD = 4
"""A GPU is told so many steps before the host reads a loss: enough that it never waits, few enough to know it soon."""


@dataclass
class Progress:
    """What a resume needs beside tensors; readable JSON in the checkpoint."""

    total: int
    """Steps in all, fixed before the first one."""
    validate_after: list[int]
    """Validate when so many steps are done; they rise."""
    step: int = 0
    """Steps done."""
    seconds: float = 0.0
    data_seconds: float = 0.0
    """Of these, waiting for batches."""
    best: float | None = None
    best_step: int = 0
    waited: int = 0
    """Validations since the best one."""
    lr_scale: float = 1.0
    """What plateaus have left of the learning rate."""
    lr_waited: int = 0
    summed: int = 0
    """Steps in the loss sums since the last validation."""
    ended: str = ""
    """Why the training is over; empty while it is not."""

    def at_end(self, reason: str) -> dict[str, Any]:
        """Return what is told at the end beside when it was."""
        waited = _share(self.data_seconds, self.seconds)
        return {"reason": reason, "best": self.best, "best_step": self.best_step, "waited": waited}

    @property
    def unvalidated(self) -> bool:
        """Whether the last step shall be validated, and was not yet."""
        place = bisect_left(self.validate_after, self.step)
        return self.summed > 0 and self.step in self.validate_after[place : place + 1]


@dataclass
class Session:
    """One training: everything that the loop works on."""

    recipe: Recipe
    task: Task
    network: nn.Module
    loader: Loader
    validation: Validation | None
    metric: Metric
    goal: Goal | None
    folder: Path
    """The checkpoints' folder."""
    where: Callable[[int], str]
    """Says for people where a training row comes from."""
    device: torch.device
    progress: Progress = field(default_factory=lambda: Progress(0, []))
    team: Team = ALONE
    """The processes that share the work; all but the first neither speak nor write."""

    def __post_init__(self) -> None:
        spec = self.recipe.train
        self.optimiser = build_optimiser(self.network, self.recipe.optim)
        self.averages = Averages(self.network, spec.average) if spec.average else None
        self.sums: dict[str, Tensor] = {}
        self.asked: deque[tuple[int, Tensor, Readout]] = deque()
        """The steps whose losses the host has not read, with their batches' rows."""
        self.losses: dict[str, float] = {}
        """By parts, of the last step that it has read."""
        self.latest: tuple[int, Tensor] | None = None
        """The last step, with its batch's rows, after which nobody has looked at the weights."""
        self.rate = 0.0
        """The learning rate of the last step."""
        self.forward = Compiled(self.network) if spec.compile else self.network
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=spec.precision == "bfloat16")
        shall_record = spec.cuda_graphs and self.device.type == "cuda" and self.team.size == 1  # no talk is recorded
        self.recorded = Recorded(self.device) if shall_record else None

    def take(self, images: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Change the weights by a batch at the optimiser's rate, and return the loss by parts, still on the device.

        Where steps are recorded, the next one overwrites what is returned.
        """
        return self.recorded(self._take, images, targets) if self.recorded else self._take(images, targets)

    def _take(self, images: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        with self.autocast:
            outputs = self.team.whole(self.forward(images), self.loader.share)
            losses = self.task.loss(outputs, targets)
        self.optimiser.zero_grad(set_to_none=True)
        losses["total"].backward()  # type: ignore[no-untyped-call]
        self.team.sum_gradients(self.network.parameters())
        if self.recipe.optim.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.optim.clip)
        self.optimiser.step()
        return {name: value.detach() for name, value in losses.items()}

    def compile(self) -> None:
        """Compile now what shall be compiled, so that a failure comes before anything is written."""
        if not self.recipe.train.compile:
            return
        before = {name: value.clone() for name, value in self.network.state_dict().items()}
        batch = self.loader.batch_at(0)  # not in autocast: batches are the same everywhere
        with self.autocast:
            self.forward(batch.images)
        self.network.load_state_dict(before)  # the statistics of normalisation

    def shipped(self) -> dict[str, Tensor]:
        """Return the weights that are validated and exported: the averaged ones where there are any."""
        return self.averages.values if self.averages else dict(self.network.state_dict())

    def save(self, name: str, folder: Path | None = None) -> Path:
        """Write the checkpoint `last` (all for a resume) or `best` (the shipped weights); into `folder` if given."""
        weights = {f"network.{key}": value for key, value in self.shipped().items()}
        if name == "last":
            weights = self._everything()
        return save_checkpoint(folder or self.folder, name, self.progress.step, weights, asdict(self.progress))

    def restore(self) -> None:
        """Go back to the checkpoint `last`. Raises RunError when it is missing or damaged."""
        tensors, state = load_checkpoint(self.folder, "last")
        self.network.load_state_dict(_under("raw.", tensors))
        if self.averages:
            known, saved = self.averages.values, _under("network.", tensors)
            self.averages.values = {name: _lying_as(known[name], value) for name, value in saved.items()}
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in _under("optimiser.", tensors).items():
            index, name = key.split(".", 1)
            moments.setdefault(int(index), {})[name] = _lying_as(parameters[int(index)], value)
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        self.sums = {k: v.to(self.device) for k, v in _under("sums.", tensors).items()}
        self.progress = Progress(**state)

    def _everything(self) -> dict[str, Tensor]:
        tensors = {f"raw.{key}": value for key, value in self.network.state_dict().items()}
        tensors |= {f"network.{key}": value.clone() for key, value in self.shipped().items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
        return tensors | {f"sums.{name}": value for name, value in self.sums.items()}


def train_steps(
    session: Session,
    emit: Reader,
    clock: Callable[[], float] = time.monotonic,
    stopping: Callable[[], bool] = lambda: False,
) -> str:
    """Train from the session's step to its end and return why it ended.

    Args:
        session: where to start and what with; its progress is moved along.
        emit: is told every event.
        clock: seconds, from any origin.
        stopping: asked after every step, and often while it validates; true ends the training with "interrupted",
            saved and resumable. A validation that was not finished is done first when it goes on.

    Raises:
        NonFiniteError: the loss or a weight became NaN or infinite.
        InputError: an image of a set that stays on disk cannot be read; the first process saves its own case.
    """
    progress, pace = session.progress, _Pace(session, emit, clock)
    reason = _take_stock(session, pace, stopping)  # a training that was stopped may have left a validation to do
    with closing(session.loader.batches(progress.step, progress.total)) as loaded:
        batches = pace.waiting_for(loaded)
        while not reason:
            pace.after_step(train_step(session, next(batches)))
            if session.recorded and (why := session.recorded.told()):
                pace.say("note", what=why)
            reason = _take_stock(session, pace, stopping)
    pace.say("end", **progress.at_end(reason))
    session.team.any(True)  # who returns sooner would find what is about to be replaced
    return reason


def _take_stock(session: Session, pace: _Pace, stopping: Callable[[], bool]) -> str:
    """Validate and save where it is time to, and return why to end now, if there is a reason."""
    progress, validates, reason = session.progress, session.progress.unvalidated, ""
    if validates:
        reason = _validate(session, pace, lambda: session.team.any(stopping())[0])
    reason = reason or ("steps" if progress.step == progress.total else "")
    stopped, due = session.team.any(stopping(), pace.checkpoint_due())
    reason = reason or ("interrupted" if stopped else "")
    if reason or validates or due:
        progress.ended = "" if reason == "interrupted" else reason
        pace.save("last")
    return reason


def train_step(session: Session, batch: Batch) -> dict[str, Tensor]:
    """Take one step and return the loss by parts, still on the device; the next step may overwrite it.

    The loss is that of the whole batch, in every process; dropout differs between them.
    """
    progress, recipe = session.progress, session.recipe
    seed(session.device, recipe.train.seed * 1_000_003 + progress.step + session.team.rank * 2**48)
    if not session.network.training:
        session.network.train()
    rate = learning_rate(recipe.optim, progress.step, progress.total, session.loader.steps_per_epoch)
    session.rate = rate * progress.lr_scale
    set_rate(session.optimiser, session.rate)
    losses = session.take(batch.images, batch.targets)
    if session.averages:
        session.averages.update(progress.step, progress.total)
    session.latest = progress.step, batch.rows
    session.asked.append((*session.latest, Readout(losses)))
    progress.step += 1
    check_finite(session, 0 if session.device.type == "cpu" else STEPS_AHEAD)
    return losses


def check_finite(session: Session, ahead: int = 0) -> None:
    """Read the losses of all steps but the last `ahead`. Raises NonFiniteError."""
    while len(session.asked) > ahead:
        step, rows, readout = session.asked.popleft()
        session.losses = readout.numbers()
        if not math.isfinite(total := session.losses["total"]):
            raise _non_finite(session, f"the loss became {total}", step, rows)


def check_all_finite(session: Session) -> None:
    """Read the losses of all steps, and look at the weights if they have changed. Raises NonFiniteError."""
    check_finite(session)
    if not session.latest:
        return
    sums = torch.stack([p.detach().double().sum() for p in session.network.parameters()])
    if not torch.isfinite(sums).all():
        raise _non_finite(session, "a weight became NaN or infinite", *session.latest)
    session.latest = None


def _non_finite(session: Session, what: str, step: int, rows_of_batch: Tensor) -> NonFiniteError:
    rows = [session.where(int(row)) for row in rows_of_batch]
    shown = ", ".join(rows[:4]) + (f" and {len(rows) - 4} more" if len(rows) > 4 else "")
    saved = next(iter(session.folder.glob("last-*.safetensors")), None)
    kept = f"the last good checkpoint is {saved}" if saved else "nothing was written yet"
    return NonFiniteError(
        f"{what} at step {step} (the batch is {shown})",
        where=session.recipe.name,
        hint=f"lower optim.lr or set optim.clip; {kept}",
        step=step,
        rows=rows,
    )


def _validate(session: Session, pace: _Pace, stopping: Callable[[], bool]) -> str:
    """Validate, keep the best, and return why to end now, if there is a reason."""
    progress, spec, begun = session.progress, session.recipe, pace.count_time()
    check_all_finite(session)
    train_loss = {name: (value / progress.summed).item() for name, value in session.sums.items()}
    train_loss = session.team.agreed(train_loss)
    metrics: dict[str, float] = {}
    losses: dict[str, float] = {}
    if session.validation:
        pace.say("validating")
        try:
            metrics, losses = session.validation.measure(session.network, session.shipped(), stopping)
        except Stopped:
            return "interrupted"
        except InputError as error:  # not saved: on resume the last steps are taken again, and then it is validated
            raise _repairable(error, session) from None
        new = metrics[session.metric.name]
        better = progress.best is None or session.metric.better(new, progress.best)
        progress.waited = 0 if better else progress.waited + 1
        progress.lr_waited = 0 if better else progress.lr_waited + 1
        if better or new == progress.best:  # of equals the later one: its loss is usually lower
            progress.best, progress.best_step = new, progress.step
    session.sums, progress.summed = {}, 0
    now = pace.count_time()
    pace.spoke += now - begun
    best = {"best": progress.best, "best_step": progress.best_step}
    pace.say("validation", metrics=metrics, loss=losses, train_loss=train_loss, **best)
    if progress.best_step == progress.step and session.validation:
        pace.save("best")
    if spec.optim.schedule == "plateau" and progress.lr_waited >= spec.optim.patience:
        progress.lr_scale, progress.lr_waited = lowered(progress.lr_scale, spec.optim), 0
    if session.goal and session.goal.reached({**metrics, "train_loss": train_loss["total"]}):
        return "until"
    return "patience" if spec.train.patience and progress.waited >= spec.train.patience else ""


def _repairable(error: InputError, session: Session) -> InputError:
    hint, damaged = f"then go on with `viewfinder train --resume {session.folder.parent}`", isinstance(error, DataError)
    hint = f"repair it, {hint}; `viewfinder check` lists all such" if damaged else f"try again, {hint}"
    return type(error)(error.what, where=error.where, hint=hint)


def _share(part: float, whole: float) -> float:
    return round(part / whole, 4) if whole else 0.0


def _lying_as(parameter: Tensor, value: Tensor) -> Tensor:
    """Return a value in the order in memory of its parameter, which fused optimisers take for granted."""
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


class _Pace:
    """When to speak and when to save; it measures time and sums losses."""

    def __init__(self, session: Session, emit: Reader, clock: Callable[[], float]) -> None:
        self.session, self.emit, self.clock = session, emit, clock
        self.before = session.progress.seconds
        self.start = self.saved = self.spoke = clock()
        self.said_step = session.progress.step
        self.said_data_seconds = session.progress.data_seconds

    def waiting_for(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches and note how long each was waited for; save where the next one cannot be made."""
        asked = self.clock()
        try:
            for batch in batches:
                self.session.progress.data_seconds += self.clock() - asked
                yield batch
                asked = self.clock()
        except InputError as error:
            self.save("last")
            raise _repairable(error, self.session) from None

    def count_time(self) -> float:
        """Bring the training's seconds up to now, and return the clock's."""
        now = self.clock()
        self.session.progress.seconds = self.before + now - self.start
        return now

    def after_step(self, losses: dict[str, Tensor]) -> None:
        session, now = self.session, self.count_time()
        for name, value in losses.items():
            session.sums[name] = session.sums.get(name, 0) + value.double()
        session.progress.summed += 1
        if session.losses and now - self.spoke >= SECONDS_BETWEEN_EVENTS:
            speed = (session.progress.step - self.said_step) * session.loader.batch / (now - self.spoke)
            waited = _share(session.progress.data_seconds - self.said_data_seconds, now - self.spoke)
            self.say("train", loss=session.losses, lr=session.rate, images_per_second=round(speed, 1), waited=waited)
            self.spoke, self.said_step = now, session.progress.step
            self.said_data_seconds = session.progress.data_seconds

    def checkpoint_due(self) -> bool:
        return self.clock() - self.saved >= SECONDS_BETWEEN_CHECKPOINTS

    def save(self, name: str) -> None:
        begun = self.clock()
        check_all_finite(self.session)
        if self.session.team.leads:
            self.say("checkpoint", name=name, file=self.session.save(name).name)
        now = self.clock()
        self.spoke += now - begun
        self.saved = now if name == "last" else self.saved

    def say(self, kind: str, **about: Any) -> None:
        progress = self.session.progress
        epoch = progress.step / self.session.loader.steps_per_epoch
        time_gone = round(progress.seconds, 3)
        self.emit({"event": kind, "step": progress.step, "epoch": round(epoch, 4), "seconds": time_gone, **about})
