"""A trained run as one ONNX file that describes itself, written only when it agrees with the trained model."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import torch
from torch import nn

import viewfinder
from viewfinder.data.appearing import folder_beside
from viewfinder.data.dataset import Dataset
from viewfinder.data.images import fit_all
from viewfinder.deploy.description import KEY, Description
from viewfinder.deploy.predictor import Predictor
from viewfinder.deploy.quantise import quantise
from viewfinder.deploy.verify import Comparison, compare, refuse, sampled
from viewfinder.errors import DataError, InputError

if TYPE_CHECKING:
    from viewfinder.training.run import Run

__all__ = ["OPSET", "Exported", "export", "traced"]

OPSET = 18
CALIBRATION = 256


@dataclass(frozen=True)
class Exported:
    """A model file that was written, and what it was found to be."""

    path: Path
    comparison: Comparison
    size: int

    @property
    def largest_difference(self) -> float:
        """The largest difference from the trained model, in the unit of that output."""
        return max(one.largest for one in self.comparison.differences)

    @property
    def metrics(self) -> dict[str, tuple[float, float]]:
        """By name (trained, file)."""
        return self.comparison.metrics

    def __str__(self) -> str:
        return f"{self.comparison}\n{self.path}: {self.size / 1000:,.0f} kB"


def export(run: Run, path: str | Path, *, int8: bool = False, images: Dataset | None = None) -> Exported:
    """Write a run's best model as one ONNX file: uint8 pixels in, decoded answers out.

    The file is run in ONNX Runtime on real images beside the trained model, and is moved to `path` only when the
    two agree. An older file of that name is replaced then, and only then.

    Args:
        run: a trained run. Without `images`, the data that it was trained on must still be where it was.
        path: the file to write.
        int8: with 8 bit convolutions, calibrated on real images.
        images: what to compare on, instead of the run's own validation and training images.

    Raises:
        ExportError: the file differs from the trained model by more than the tolerance.
        InputError: `path` is a folder.
        OSError: nothing can be written there.
        DataError: there are no images to compare on; for int8, none with targets.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError("is a folder", where=path, hint="name the file to write, such as model.onnx")
    parts = _parts(run, images, int8)
    answering = run.task.answering(run.network()).eval()
    with folder_beside(path) as folder:
        file = folder / "model.onnx"
        about = _description(run, int8)
        model = traced(answering, about.size, about.channels, run.task.output_names)
        _write(model, about, file)
        if int8:
            pixels, _ = fit_all(_spread(parts[-1], CALIBRATION).images, about.size, about.channels)
            model = quantise(file, pixels, folder)
            _write(model, about, file)
        comparison = compare(answering, run.task, Predictor(file), sampled(parts, about.size))
        refuse(comparison)
        _write(model, _measured(about, comparison), file)
        Predictor(file)
        file.replace(path)
    return Exported(path, comparison, path.stat().st_size)


def traced(answering: nn.Module, size: int, channels: int, outputs: Sequence[str]) -> onnx.ModelProto:
    """Return the ONNX graph of a module: "image" (batch, size, size, channels) uint8 → one output a name."""
    example = torch.zeros(2, size, size, channels, dtype=torch.uint8)
    with _quiet():
        program = torch.onnx.export(
            answering,
            (example,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=["image"],
            output_names=list(outputs),
            opset_version=OPSET,
            verbose=False,
        )
    if program is None:
        raise AssertionError("torch.onnx.export returns a program when it is not given a file")
    return _bare(program.model_proto)


def _parts(run: Run, images: Dataset | None, int8: bool) -> list[Dataset]:
    """Return the images to compare on, those that metrics are measured on first."""
    if images is None:
        there = [name for name in ("val", "train") if name in run.known or run.info["data"].get(name)]
        parts = [part for part in map(run.part, there) if len(part)]
    else:
        parts = [images.merged(run.recipe.data.merge_classes).named(run.names)] if len(images) else []
    if not parts:
        raise DataError("no images to compare on", where="" if images is None else images.source)
    if int8 and parts[0].targets is None:
        raise DataError(
            "has no targets, and a quantised model is judged by its metric",
            where=parts[0].source,
            hint="give data with targets, or export without --int8",
        )
    return parts


def _spread(part: Dataset, count: int) -> Dataset:
    return part.select(range(0, len(part), max(1, len(part) // count))[:count])


def _description(run: Run, int8: bool) -> Description:
    recipe = run.recipe
    return Description(
        task=run.task.name,
        answer=run.task.answer.kind,
        names=tuple(run.names),
        size=recipe.at_prediction().data.size,
        channels=recipe.data.channels,
        recipe=recipe.name,
        data=str(run.info["data"]["train"]["fingerprint"]),
        int8=int8,
        made_by=viewfinder.__version__,
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _measured(about: Description, comparison: Comparison) -> Description:
    metrics = {name: both[1] for name, both in comparison.metrics.items()}
    measured = replace(about, metrics=metrics, images=comparison.images, measured_on=comparison.measured_on)
    return replace(measured, threshold=comparison.threshold)


def _write(model: onnx.ModelProto, about: Description, path: Path) -> None:
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {KEY: about.as_json()})
    model.producer_name, model.producer_version = "viewfinder", viewfinder.__version__
    onnx.save(model, str(path))


def _bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model without the notes of the tracer, which hold source lines and paths of this machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the exporter says about itself: missing torchvision, and a deprecation within torch."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            yield
    finally:
        logger.setLevel(level)
