"""A run: a training in a folder that is complete and movable, and what can be done with it afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import nn

from viewfinder import tasks
from viewfinder.config import Recipe
from viewfinder.data.dataset import Dataset
from viewfinder.data.remote import is_url
from viewfinder.errors import DataError, RunError
from viewfinder.tasks.base import Task
from viewfinder.training.checkpoint import exists, load_checkpoint
from viewfinder.training.events import Event, Reader, read_events
from viewfinder.training.remembered import same

if TYPE_CHECKING:
    from viewfinder.deploy.onnx import Exported
    from viewfinder.evaluate.evaluation import Evaluation

__all__ = ["Run", "open_run"]


@dataclass(frozen=True)
class Run:
    """A run folder.

    Args:
        folder: the run folder.
        info: what `run.json` says: recipe, names, data, versions, seed, device, threads.
        known: the datasets by part ("train", "val") where this process has them at hand.
    """

    folder: Path
    info: dict[str, Any] = field(repr=False)
    known: Mapping[str, Dataset] = field(default_factory=dict, repr=False)

    @property
    def recipe(self) -> Recipe:
        """The recipe that it was trained with."""
        return Recipe.model_validate(self.info["recipe"])

    @property
    def names(self) -> tuple[str, ...]:
        """The classes or the keypoints."""
        return tuple(self.info["names"])

    @property
    def task(self) -> Task:
        """The recipe's task for these names."""
        return tasks.create(self.recipe.at_prediction(), self.names)

    def events(self) -> list[Event]:
        """Return all that the training said."""
        return read_events(self.folder / "events.jsonl")

    @property
    def ended(self) -> str:
        """Why the training is over; empty while it can be resumed."""
        ends = [event["reason"] for event in self.events() if event["event"] == "end"]
        return "" if not ends or ends[-1] == "interrupted" else str(ends[-1])

    @property
    def unfinished(self) -> str:
        """What a training that is not over has left to do, in a sentence; empty where it is over."""
        events = self.events()
        if self.ended or not events:
            return ""
        total = next((event["total"] for event in reversed(events) if "total" in event), 0)
        at = f"step {events[-1]['step']:,} of {total:,}"
        return f"the training is not over: {at}; `viewfinder train --resume {self.folder}` goes on"

    def network(self) -> nn.Module:
        """Return the network with the best weights, in eval mode, on the CPU.

        Raises:
            RunError: there is no checkpoint, or it is damaged or from another version.
        """
        checkpoints = self.folder / "checkpoints"
        tensors, _ = load_checkpoint(checkpoints, "best" if exists(checkpoints, "best") else "last")
        network = self.task.build()
        weights = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
        try:
            network.load_state_dict(weights)
        except RuntimeError:
            what = f"the weights do not fit the network {self.recipe.model['name']!r} of this version of viewfinder"
            version = self.info.get("versions", {}).get("viewfinder", "?")
            raise RunError(what, where=checkpoints, hint=f"use version {version}, or train again") from None
        return network.eval()

    def part(self, name: str, path: str | Path | None = None) -> Dataset:
        """Return the samples of "train" or "val", read again from where they came from.

        Args:
            name: "train" or "val".
            path: where the data is now, if it was moved; of parts from several places, the folder that they are in.

        Raises:
            RunError: there is no such part, the data was not read from a path, or it has changed.
        """
        if name in self.known:
            return self.known[name]
        about = self.info["data"].get(name)
        if about is None:
            raise RunError(f"has no {name} samples", where=self.folder, hint="name the data to use instead")
        return self._read_again(name, about, path)

    def _moved(self, source: str, path: str | Path) -> str | Path:
        """Return where a source is now; where the parts come from several, they are looked for in the folder `path`."""
        several = len({part["source"] for part in self.info["data"].values() if part and part["source"]}) > 1
        return Path(path) / PurePath(source).name if several and not is_url(path) else path

    def _read_again(self, name: str, about: Mapping[str, Any], path: str | Path | None) -> Dataset:
        from viewfinder.data.reading import read

        source = self._moved(about["source"], path) if path else about["source"]
        if not source:
            raise RunError(f"its {name} samples came from memory", where=self.folder, hint="pass the dataset itself")
        if not is_url(source) and not Path(source).exists():
            hint = "say where it is now with --data, or data=… in Python"
            raise RunError("the run's data is not where it was", where=source, hint=hint)
        formats = [about.get("format") or None]
        if path and formats != [None]:
            formats.append(None)  # it may have been written in another one since
        errors: list[DataError | OSError] = []
        for format in formats:
            try:
                every = read(source, about["part"], format).merged(self.recipe.data.merge_classes)
            except (DataError, OSError) as error:
                errors.append(error)
                continue
            if (dataset := self._as_before(every, name, about)) is not None:
                return dataset
        if len(errors) == len(formats):
            raise errors[0]
        what = f"holds other data than the run was trained on (its {name} fingerprint differs)"
        raise RunError(what, where=source, hint="name the original data, or train a new run")

    def _as_before(self, every: Dataset, name: str, about: Mapping[str, Any]) -> Dataset | None:
        """Return the rows of a part, if they are what the run was trained on."""
        rows = self.rows(name)
        if len(rows) and int(rows.max()) >= len(every):
            return None
        dataset = every.select(rows)
        return dataset if same(dataset, name, about, self.arrays()) else None

    def rows(self, name: str) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return which rows of the source "train" or "val" are. Raises RunError when the record is damaged."""
        path = self.folder / "split.safetensors"
        try:
            return np.asarray(load_file(path)[name])
        except (OSError, SafetensorError, KeyError):
            raise RunError("the split is missing or damaged", where=path, hint="train a new run") from None

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return what the run remembers of its images, see training/remembered.py; nothing where that is missing."""
        try:
            return dict(load_file(self.folder / "split.safetensors"))
        except (OSError, SafetensorError):
            return {}

    def evaluate(self, dataset: Dataset | None = None) -> Evaluation:
        """Return what the model is worth on a dataset; by default on its own validation samples."""
        from viewfinder.evaluate.evaluation import evaluate

        return evaluate(self, self.part("val") if dataset is None else dataset)

    def export(self, path: str | Path, *, int8: bool = False, images: Dataset | None = None) -> Path:
        """Write the model file, compare it with the trained model on real images, and return its path.

        Raises:
            ExportError: they disagree; nothing is left at `path`.
        """
        return self.exported(path, int8=int8, images=images).path

    def exported(self, path: str | Path, *, int8: bool = False, images: Dataset | None = None) -> Exported:
        """As `export`, but return what was compared as well."""
        from viewfinder.deploy.onnx import export

        return export(self, Path(path), int8=int8, images=images)


def open_run(folder: str | Path) -> Run:
    """Return the run in a folder. Raises RunError when it is not one."""
    path = Path(folder) / "run.json"
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        Recipe.model_validate(info["recipe"])
        if missing := {"names", "data"} - info.keys():
            raise KeyError(missing)
    except (FileNotFoundError, NotADirectoryError):
        raise RunError("is not a run folder", where=folder, hint="`viewfinder train` makes one") from None
    except (ValueError, KeyError, TypeError):
        raise RunError("is damaged or from another version of viewfinder", where=path, hint="train again") from None
    return Run(Path(folder), info)


def tell_all(readers: Sequence[Reader]) -> Reader:
    """Return one reader that passes each event to all."""

    def tell(event: Event) -> None:
        for reader in readers:
            reader(event)

    return tell
