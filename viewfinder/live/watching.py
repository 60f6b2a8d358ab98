"""From a source and a model to answers, one frame after the other."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.answers import Answer
from viewfinder.deploy.predictor import Predictor, load
from viewfinder.live.capture import Frame, Source, open_source
from viewfinder.live.chain import Chain
from viewfinder.live.effects import Effect, applied, find_effect
from viewfinder.live.scene import Scene
from viewfinder.live.stream import PATIENCE, InOrder, Latest

__all__ = ["Seen", "watch"]

_OVER = 2.0
"""Seconds over which frames a second are counted."""
_LISTED = 12


@dataclass(frozen=True)
class Seen:
    """One frame that was answered.

    Args:
        frame: the frame as it came.
        answer: what the models say, in pixels of the frame.
        picture: (H, W, 3) uint8 RGB, with answer or effect drawn; None where nobody wants to see it.
        model_ms: milliseconds that the models and the tracker took.
        latency_ms: milliseconds from when the frame was there to when its answer was drawn.
        dropped: frames up to now that nobody saw, since a newer one was there.
        pace: frames a second that were answered of late.
    """

    frame: Frame
    answer: Answer | Scene
    picture: NDArray[np.uint8] | None = field(repr=False)
    model_ms: float
    latency_ms: float
    dropped: int
    pace: float

    def told(self) -> dict[str, Any]:
        """Return what the page says beside the picture."""
        return {
            "figures": [
                ("frames a second", f"{self.pace:.1f}"),
                ("model", f"{self.model_ms:.1f} ms"),
                ("frame to drawn", f"{self.latency_ms:.0f} ms"),
                ("dropped", f"{self.dropped:,}"),
            ],
            "text": self.answer.text(),
            "things": self.answer.things()[:_LISTED] if isinstance(self.answer, Scene) else [],
        }

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values: what `viewfinder live --json` prints."""
        return {
            "frame": self.frame.number,
            "time": round(self.frame.time, 3),
            **_rounded(self.answer.as_dict()),
            "model_ms": round(self.model_ms, 2),
            "latency_ms": round(self.latency_ms, 2),
            "dropped": self.dropped,
        }


def watch(
    source: Source | str | int | Path,
    model: Chain | Predictor | str | Path,
    *,
    effect: str | None = None,
    latest: bool = True,
    draw: bool = True,
    marks: bool | None = None,
    patience: float = PATIENCE,
) -> Generator[Seen, None, None]:
    """Answer the frames of a source until it ends.

    Args:
        source: what `open_source` takes, or an open one, which is closed at the end.
        model: a model file, a predictor, or a `Chain` of two.
        effect: the name of an effect (`viewfinder.live.effects.EFFECTS`).
        latest: skip frames when the model is slower than the source, and play a file at its own pace; else every frame
            of a file is answered in order, as fast as the model can. A camera's or an address's latest frame always is.
        draw: make pictures.
        marks: draw boxes and points; by default where there is no effect.
        patience: seconds in which a camera or an address that broke off may come back.

    Raises:
        DataError: the source is absent, does not answer, or breaks off.
        InputError: the effect is unknown, or needs points that nobody finds.
    """
    chain = _chain(model)
    wanted = None if effect is None else find_effect(effect, chain)
    opened = open_source(source) if isinstance(source, str | int | Path) else source
    with Latest(opened, patience) if latest or opened.live else InOrder(opened) as frames:
        ends: deque[float] = deque([time.perf_counter()], maxlen=600)
        for count, frame in enumerate(frames, start=1):
            begin = time.perf_counter()
            answer = chain(frame.image, frame.time)
            answered = time.perf_counter()
            marked = wanted is None if marks is None else marks
            picture = _drawn(frame, answer, wanted, marked) if draw else None
            end = time.perf_counter()
            spent, late = 1000 * (answered - begin), 1000 * (end - frame.taken)
            yield Seen(frame, answer, picture, spent, late, frame.number + 1 - count, _pace(ends, end))


def _chain(model: Chain | Predictor | str | Path) -> Chain:
    if isinstance(model, Chain):
        return model
    return Chain(model if isinstance(model, Predictor) else load(model))


def _drawn(frame: Frame, answer: Answer | Scene, effect: Effect | None, marks: bool) -> NDArray[np.uint8]:
    picture = frame.image if effect is None else applied(effect, frame.image, answer)
    return answer.draw(picture) if marks else picture


def _pace(ends: deque[float], now: float) -> float:
    """Note the end of a frame, and return frames a second of late."""
    while len(ends) > 1 and now - ends[0] > _OVER:
        ends.popleft()
    ends.append(now)
    return (len(ends) - 1) / max(1e-6, now - ends[0])


def _rounded(value: Any) -> Any:
    """Return the same JSON values with numbers to four decimals."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value
