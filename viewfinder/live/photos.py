"""Collecting photos for training: one file each, from a camera, a video, a folder or an address."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.live.capture import Frame, Source
from viewfinder.live.stream import PATIENCE, InOrder, Latest

__all__ = ["QUALITY", "take_photos"]

QUALITY = 95
WARM_UP = 0.5
"""Seconds in which a camera finds out how bright it is."""


def take_photos(
    source: Source,
    folder: Path,
    *,
    count: int,
    every: float,
    look: Callable[[Frame], None] = lambda frame: None,
    stop: Callable[[], bool] = lambda: False,
    patience: float = PATIENCE,
) -> Iterator[Path]:
    """Write images/<uuid>.jpg below a folder, and give each path when its file is complete.

    Args:
        source: it is closed at the end.
        folder: it may hold photos already; none is overwritten.
        count: how many photos.
        every: seconds between two of them: of the video in a file, of the clock else.
        look: called with every frame, also with those that are not kept.
        stop: asked at each frame whether that is enough.
        patience: seconds in which a camera that broke off may come back.

    Raises:
        DataError: the source breaks off; what was written stays.
    """
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    with Latest(source, patience) if source.live else InOrder(source) as frames:
        due = WARM_UP if source.live else 0.0
        for frame in frames:
            look(frame)
            if stop():
                return
            if frame.time < due - 1e-3:
                continue
            yield _written(frame.image, images)
            count, due = count - 1, frame.time + every
            if count <= 0:
                return


def _written(image: NDArray[np.uint8], folder: Path) -> Path:
    name = str(uuid.uuid4())
    path, beside = folder / f"{name}.jpg", folder / f".{name}.part"
    _, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    try:
        beside.write_bytes(content.tobytes())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path
