"""Answering any number of images with all cores, in order, in memory that does not grow with their number.

A thread reads, fits and answers a few images at a time, all by itself: OpenCV and ONNX Runtime let go of Python's
lock, so threads need not wait for each other, and no network has to be spread over several.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple, TypeVar

from viewfinder.data.ahead import ahead
from viewfinder.data.answers import Answer
from viewfinder.data.cores import usable_cores
from viewfinder.data.images import Fitted
from viewfinder.deploy.pictures import Pictures
from viewfinder.deploy.predictor import Predictor
from viewfinder.errors import DataError

__all__ = ["Answered", "Progress", "answers", "cores", "told"]

BATCH, BATCH_PIXELS = 32, 16 * 256 * 256
"""Images that a thread answers in one go: no more than the first, and of no more pixels than the second."""

Progress = Callable[[int, int], None]
"""Called with (done, of) after each image."""

Item = TypeVar("Item")


class Answered(NamedTuple):
    """One image's answer, or why there is none.

    Args:
        row: which image it is.
        width: in pixels; None where the image cannot be read.
        height: in pixels; None where the image cannot be read.
        answer: the answer, or the reader's error.
    """

    row: int
    width: int | None
    height: int | None
    answer: Answer | DataError


def answers(predictor: Predictor, pictures: Pictures, spans: Iterable[range], threads: int) -> Iterator[Answered]:
    """Yield an answer an image, in order.

    Args:
        predictor: the model file, loaded for one thread.
        pictures: the images.
        spans: which rows of them; images of two spans are never answered in one go, so that an answer's last
            digit does not depend on which other spans are asked for.
        threads: how many work at once.
    """
    many = max(1, min(BATCH, BATCH_PIXELS // predictor.about.size**2))
    batches = (span[start : start + many] for span in spans for start in range(0, len(span), many))
    for batch in ahead(partial(_answered, predictor, pictures), batches, pictures.threads(threads)):
        yield from batch


def told(items: Iterable[Item], progress: Progress, of: int, before: int = 0) -> Iterator[Item]:
    """Yield the items, and tell of each when the next one is asked for; `before` were done earlier."""
    for done, item in enumerate(items, start=before + 1):
        yield item
        progress(done, of)


def cores() -> int:
    """Return how many cores this process may use; torchrun's processes on one machine share them."""
    beside = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return usable_cores(int(beside) if beside.isdecimal() else 1)


def _answered(predictor: Predictor, pictures: Pictures, rows: range) -> list[Answered]:
    opened = [_opened(predictor, pictures, row) for row in rows]
    fitted = [image for _, _, image in opened if isinstance(image, Fitted)]
    said = iter(predictor.answer(fitted) if fitted else [])
    return [
        Answered(row, width, height, image if isinstance(image, DataError) else next(said))
        for row, (width, height, image) in zip(rows, opened, strict=True)
    ]


def _opened(predictor: Predictor, pictures: Pictures, row: int) -> tuple[int | None, int | None, Fitted | DataError]:
    """Return an image's width and height, and the image fitted: the large original is let go at once."""
    try:
        image = pictures.load(row)
    except DataError as error:
        return None, None, error
    return image.shape[1], image.shape[0], predictor.fitted(image)
