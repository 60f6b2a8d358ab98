"""Answers from a model file. It needs numpy, OpenCV and ONNX Runtime; torch is never imported.

import viewfinder as vf
model = vf.load("digits.onnx")
model("seven.png").label                         # one file, or one array
model.batch(["a.png", image])                    # many, in one go
for path, answer in model.folder("photos"): ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from viewfinder.data.answers import ANSWERS, Answer
from viewfinder.data.decoding import load_image
from viewfinder.data.images import SUFFIXES, Fitted, fit, inverted
from viewfinder.data.sources import Source
from viewfinder.deploy.description import KEY, Description
from viewfinder.errors import DataError, ModelFileError

__all__ = ["Predictor", "image_files", "load"]

CHUNK, CHUNK_PIXELS = 64, 64 * 256 * 256
"""Images that are answered in one go: no more than the first, and of no more pixels than the second."""
_BROKEN = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


def load(path: str | Path, threads: int = 2) -> Predictor:
    """Return the predictor of a model file; see `Predictor`."""
    return Predictor(path, threads)


class Predictor:
    """A model file, ready to answer.

    Args:
        path: the .onnx file.
        threads: how many CPU threads one call uses; they do not spin while they wait.

    Raises:
        ModelFileError: the file is missing, damaged, or was not made by viewfinder.
    """

    def __init__(self, path: str | Path, threads: int = 2) -> None:
        self.path = Path(path)
        self._session = _session(self.path, threads)
        written = self._session.get_modelmeta().custom_metadata_map
        self.about = Description.from_json(written.get(KEY), self.path)
        """What the file says about itself."""
        self.threshold = self.about.threshold
        """Things with a lower score are left out of the answers; set it as you like."""
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._chunk = max(1, min(CHUNK, CHUNK_PIXELS // self.about.size**2))
        self._check_graph()

    def __repr__(self) -> str:
        about = self.about
        colour = "gray" if about.channels == 1 else "RGB"
        reached = "".join(f", {name} {value:.4g}" for name, value in list(about.metrics.items())[:1])
        small = ", int8" if about.int8 else ""
        what = f"{about.task} of {len(about.names)} names, {about.size}×{about.size} {colour}{reached}{small}"
        return f"Predictor({str(self.path)!r}: {what})"

    @property
    def names(self) -> tuple[str, ...]:
        """The classes or the keypoints that it knows."""
        return self.about.names

    def __call__(self, image: str | Path | NDArray[Any]) -> Answer:
        """Return the answer for one image, in pixels of that image.

        Args:
            image: the path of a file, or an array (H, W), (H, W, 1) or (H, W, 3) in RGB, uint8.

        Raises:
            DataError: the file cannot be read, or the array is not such an image.
        """
        return self.batch([image])[0]

    def batch(self, images: Sequence[str | Path | NDArray[Any]]) -> list[Answer]:
        """Return an answer an image, in their order. Arguments and errors are those of a single call."""
        every = iter(images)
        answers: list[Answer] = []
        while chunk := [self.fitted(image) for image in islice(every, self._chunk)]:
            answers += self.answer(chunk)
        return answers

    def fitted(self, image: str | Path | NDArray[Any]) -> Fitted:
        """Return an image at the size that the network takes. Raises DataError as a call does."""
        opened = load_image(image) if isinstance(image, str | Path) else _checked(image)
        return fit(opened, self.about.size, self.about.channels)

    def answer(self, fitted: Sequence[Fitted]) -> list[Answer]:
        """Return an answer an image, in pixels of the image before it was fitted. Threads may call it at once."""
        to_image = inverted(np.stack([one.matrix for one in fitted]))
        every = self.decode(self.outputs(np.stack([one.pixels for one in fitted])), to_image)
        return [answer.above(self.threshold) for answer in every]

    def folder(self, path: str | Path) -> Iterator[tuple[Path, Answer | DataError]]:
        """Yield each image file below a folder, in the order of their names, with its answer.

        A file that cannot be read comes with its error in place of the answer.
        """
        for file in image_files(Path(path)):
            try:
                yield file, self(file)
            except DataError as error:
                yield file, error

    def outputs(self, pixels: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Return the graph's outputs by name for (N, size, size, channels) uint8, a chunk at a time."""
        chunks = [pixels[start : start + self._chunk] for start in range(0, len(pixels), self._chunk)]
        answers = [self._session.run(None, {"image": np.ascontiguousarray(chunk)}) for chunk in chunks]
        return {name: np.concatenate([answer[i] for answer in answers]) for i, name in enumerate(self._outputs)}

    def decode(self, outputs: dict[str, NDArray[Any]], to_image: NDArray[Any]) -> Sequence[Answer]:
        """Return an answer an image from `outputs`; `to_image` is (N, 2, 3), input pixels to image pixels."""
        return ANSWERS[self.about.answer].decode(outputs, self.names, to_image)

    def _check_graph(self) -> None:
        """Answer a black image, so that a file whose graph and description do not fit is found now."""
        image, size, channels = self._session.get_inputs()[0], self.about.size, self.about.channels
        fits = (image.name, image.type, image.shape[1:]) == ("image", "tensor(uint8)", [size, size, channels])
        try:
            if not fits:
                raise ValueError(image.shape)
            self.decode(self.outputs(np.zeros((1, size, size, channels), np.uint8)), np.eye(2, 3)[None])[0].as_rows()
        except (*_BROKEN, LookupError, ValueError):
            raise ModelFileError(
                "its graph is not the one it describes", where=self.path, hint="export it again"
            ) from None


def image_files(folder: Path) -> list[Path]:
    """Return all image files below a folder but hidden ones, sorted. Raises DataError where there is no such folder."""
    if not folder.is_dir():
        raise DataError("no such folder", where=folder)
    return sorted(folder / name for name in Source(folder).files() if name.lower().endswith(SUFFIXES))


def _session(path: Path, threads: int) -> ort.InferenceSession:
    if path.is_dir():
        raise ModelFileError("is a folder", where=path, hint=f"name a model file, such as {path / 'model.onnx'}")
    if not path.is_file():
        raise ModelFileError("no such model file", where=path, hint="make one with `viewfinder export`")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except _BROKEN:
        raise ModelFileError("cannot be read as a model", where=path, hint="it is damaged or not ONNX") from None


def _checked(image: NDArray[Any]) -> NDArray[np.uint8]:
    array = np.asarray(image)
    three = array[..., None] if array.ndim == 2 else array
    if three.ndim != 3 or three.shape[2] not in (1, 3) or three.dtype != np.uint8 or 0 in three.shape:
        got = f"got {array.shape} {array.dtype}"
        raise DataError(f"expected an image (H, W), (H, W, 1) or (H, W, 3) of uint8, {got}", where="array")
    return three
