"""Writing what was seen into a video, which appears under its name when it is complete."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.errors import DataError, InputError

__all__ = ["CODECS", "Recorder", "check_name"]

CODECS = {".mp4": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
LONGEST_STILL = 5.0
"""Seconds for which a picture is repeated when nothing comes after it."""


def check_name(path: Path) -> None:
    """Raise InputError where a video cannot be written under this name."""
    if path.suffix.lower() not in CODECS:
        raise InputError("is not the name of a video", where=path, hint=f"let it end in {', '.join(CODECS)}")
    if path.is_dir():
        raise InputError("is a folder", where=path, hint="give the name of a video")


class Recorder:
    """A video that is being written; leaving it finishes the file, whatever happened.

    Pictures are shown at their time: where they come more slowly than `pace`, they are repeated.

    Args:
        path: .mp4, .mkv (MPEG-4) or .avi (motion JPEG); an older file is replaced.
        pace: frames a second of the video.

    Raises:
        InputError: the name does not end so.
        DataError: a video cannot be written there, or not to its end.
    """

    def __init__(self, path: Path, pace: float) -> None:
        check_name(path)
        self.path, self.pace = path, pace
        self.count = 0
        """Pictures that were added."""
        self._beside = path.with_name(f".{path.stem}.part{path.suffix}")
        self._writer: cv2.VideoWriter | None = None
        self._size, self._begin, self._shown, self._frames = (0, 0), 0.0, 0, 0

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.release()
            self._require_whole()
            self._beside.replace(self.path)

    def add(self, picture: NDArray[np.uint8], time: float) -> None:
        """Add an RGB picture (H, W, 3) that was seen at `time` seconds; all get the size of the first."""
        if self._writer is None:
            self._writer = self._opened(picture)
            self._begin = time
        due = round((time - self._begin) * self.pace) + 1
        repeats = min(max(1, due - self._shown), max(1, round(LONGEST_STILL * self.pace)))
        content = cv2.cvtColor(_sized(picture, *self._size), cv2.COLOR_RGB2BGR)
        for _ in range(repeats):
            self._writer.write(content)
        self._shown, self._frames = max(due, self._shown + repeats), self._frames + repeats
        self.count += 1

    def _require_whole(self) -> None:
        """Raise where frames are missing: OpenCV's writer itself says nothing when a disk is full."""
        there = cv2.VideoCapture(str(self._beside), cv2.CAP_FFMPEG).get(cv2.CAP_PROP_FRAME_COUNT)
        if there < 0.98 * self._frames - 1:  # some containers know their length in milliseconds only
            hint = f"is the disk full? what could be written is in {self._beside.name}"
            raise DataError("could not be written to its end", where=self.path, hint=hint)

    def _opened(self, picture: NDArray[np.uint8]) -> cv2.VideoWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        height, width = picture.shape[:2]
        self._size = (width + width % 2, height + height % 2)  # MPEG-4 halves the colours' sides
        codec = cv2.VideoWriter.fourcc(*CODECS[self.path.suffix.lower()])
        writer = cv2.VideoWriter(str(self._beside), cv2.CAP_FFMPEG, codec, self.pace, self._size)
        if not writer.isOpened():
            raise DataError("a video cannot be written there", where=self.path, hint="choose another --out")
        return writer


def _sized(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Return a picture of the video's size: with black edges where it has another form, never stretched."""
    high, wide = picture.shape[:2]
    if (wide + wide % 2, high + high % 2) != (width, height):
        factor = min(width / wide, height / high)
        wide, high = (max(1, round(factor * side)) for side in (wide, high))
        picture = np.asarray(cv2.resize(picture, (wide, high), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    x, y = width - wide, height - high
    return np.pad(picture, ((y // 2, y - y // 2), (x // 2, x - x // 2), (0, 0))) if x or y else picture
