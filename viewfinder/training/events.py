"""What a training says while it runs: plain dictionaries, read by whoever wants to.

Every event has "event", "step", "epoch" and "seconds" (training time so far). The kinds:

    compile      before the first step, where the network is compiled; told, but not kept in the run
    start        "rows", "total" steps, how many "validations", and the speed that minutes were turned into steps by;
                 "units" of the metrics, where "%" stands for a share from 0 to 1; "notes": what is done in another
                 way because the set is large, or for the sake of the minutes
    train        since the last one: "lr", "images_per_second" of steps alone, "waited"; "loss" by parts, on a GPU of
                 four steps before
    validating   validation begins; told, but not kept in the run
    validation   "metrics", "loss" by parts, "train_loss": the mean training loss since the last one, "best"
    checkpoint   "name" and "file"
    stopping     somebody asked to stop: it is saved first; "again": whether a second request ends it at once, not
                 saved; told as soon as it was heard, amid the others, but not kept in the run
    note         "what" is done in another way, found out while training
    resume       a later process went on from here; "total", "units"; of torchrun "launch", which one
    end          "reason": "steps", "until", "patience" or "interrupted"; "waited"

"waited" is the share of the time in which the training had to wait for data, from 0 to 1.
"""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from viewfinder.data.appearing import appearing
from viewfinder.errors import InputError

__all__ = ["OVER", "Event", "Reader", "append_to", "read_events", "require_tensorboard", "tensorboard", "trim"]

OVER = {"steps": "all steps are done", "until": "its goal is reached", "patience": "nothing got better for long"}
"""Why a training ended, in words."""
Event = dict[str, Any]
Reader = Callable[[Event], None]


def append_to(path: Path) -> Reader:
    """Return a reader that appends each event that is kept to a JSON-lines file, a line at a time."""

    def write(event: Event) -> None:
        if event["event"] == "validating":
            return
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(_plain(event), allow_nan=False) + "\n")
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None  # writing does not name the file by itself

    return write


def read_events(path: Path) -> list[Event]:
    """Return the events of a file; a last line that was cut off is left out."""
    events = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return events


def trim(path: Path, step: int, *, unvalidated: bool = False) -> None:
    """Remove the events after `step`, and its validation with its checkpoints where that is still to do.

    A resumed training says them again.
    """
    again = ("end", "validation", "checkpoint") if unvalidated else ("end",)
    said = [event for event in read_events(path) if event["step"] <= step and event["event"] != "end"]
    kept = [event for event in said if event["step"] < step or event["event"] not in again]
    with appearing(path) as beside:
        beside.write_text("".join(json.dumps(event) + "\n" for event in kept), encoding="utf-8")


def require_tensorboard() -> None:
    """Raise InputError where TensorBoard is missing."""
    if importlib.util.find_spec("tensorboard") is None:
        raise InputError("TensorBoard is not installed", hint="pip install 'viewfinder[tensorboard]'")


def tensorboard(folder: Path) -> Reader:
    """Return a reader that writes TensorBoard event files."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))

    def write(event: Event) -> None:
        kind, step = event["event"], event["step"]
        for group in ("loss", "metrics"):
            for name, value in event.get(group, {}).items():
                writer.add_scalar(f"{group}/{name}/{kind}", value, step)
        if "lr" in event:
            writer.add_scalar("lr", event["lr"], step)
        writer.flush()

    return write


def _plain(value: Any) -> Any:
    """Return the value with null for what is not finite, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
