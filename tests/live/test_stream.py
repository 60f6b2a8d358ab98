"""Only the latest frame: dropped, never queued; a source that stalls and comes back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.live.clips import HEIGHT, WIDTH, served
from viewfinder.data.answers import Answer
from viewfinder.deploy.predictor import Predictor
from viewfinder.errors import DataError
from viewfinder.live import Chain, Frame, watch
from viewfinder.live.capture import open_source
from viewfinder.live.stream import InOrder, Latest


class Slow(Predictor):
    """A real predictor that needs more time."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__(path, threads=1)
        self.seconds = seconds

    def batch(self, images: Any) -> list[Answer]:
        time.sleep(self.seconds)
        return super().batch(images)


class Ticking:
    """A live source of black frames, so many a second; it breaks off after some, and comes back when it may."""

    name, live = "ticking", True

    def __init__(self, pace: float, breaks_after: int = 10**9, comes_back_after: int = 0, frames: int = 10**9) -> None:
        self.pace, self.breaks_after, self.missing, self.frames = pace, breaks_after, comes_back_after, frames
        self.number, self.begin, self.closed, self.reopened = 0, time.perf_counter(), False, 0
        self.image: NDArray[np.uint8] = np.zeros((HEIGHT, WIDTH, 3), np.uint8)

    def read(self) -> Frame | None:
        if self.number >= self.frames:
            return None
        if self.number == self.breaks_after:
            raise DataError("gives no more frames", where=self.name)
        time.sleep(1 / self.pace)
        self.number += 1
        now = time.perf_counter()
        return Frame(self.image, self.number - 1, now - self.begin, now)

    def reopen(self) -> None:
        self.reopened += 1
        if self.reopened <= self.missing:
            raise DataError("is absent", where=self.name)
        self.breaks_after = 10**9

    def close(self) -> None:
        self.closed = True


def test_latency_stays_under_two_model_times_with_a_source_ten_times_too_fast(made: Path) -> None:
    cost = 0.12
    source = Ticking(pace=10 / cost)
    seen = []
    for one in watch(source, Chain(Slow(made / "bright.onnx", cost))):
        seen.append(one)
        if len(seen) == 13:
            break
    model = float(np.median([one.model_ms for one in seen]))
    latency = np.array([one.latency_ms for one in seen[1:]])
    assert model >= 1000 * cost
    assert np.median(latency) < 1.5 * model and np.quantile(latency, 0.9) < 2 * model
    assert seen[-1].dropped > 2 * len(seen), "frames were not dropped"
    assert seen[-1].frame.number + 1 == len(seen) + seen[-1].dropped
    assert seen[-1].picture is not None


def test_what_is_read_is_closed_when_nobody_looks_any_more(made: Path, bright: Predictor) -> None:
    source = Ticking(pace=200)
    for _ in watch(source, bright):
        break
    deadline = time.monotonic() + 2
    while not source.closed and time.monotonic() < deadline:
        time.sleep(0.01)
    assert source.closed


def test_every_frame_is_seen_where_the_model_is_faster() -> None:
    with Latest(Ticking(pace=50, frames=10)) as frames:
        assert [one.number for one in frames] == list(range(10))


def test_a_live_source_that_breaks_off_and_comes_back_goes_on() -> None:
    source = Ticking(pace=100, breaks_after=5, comes_back_after=1, frames=12)
    with Latest(source, patience=10) as frames:
        numbers = [one.number for one in frames]
    assert source.reopened == 2 and numbers[-1] == 11 and source.closed


def test_a_live_source_that_stays_away_is_an_error_in_time() -> None:
    source = Ticking(pace=100, breaks_after=5, comes_back_after=10**9)
    begin = time.monotonic()
    with pytest.raises(DataError, match="ticking: gives no more frames"), Latest(source, patience=0.3) as frames:
        list(frames)
    assert time.monotonic() - begin < 2 and source.closed


def test_motion_jpeg_that_stalls_goes_on_with_fresh_frames(bright: Predictor) -> None:
    with served(pace=40) as server:
        seen = watch(open_source(server.address, timeout=5), bright)
        for _ in range(3):
            next(seen)
        server.stalled.set()
        time.sleep(0.5)
        server.stalled.clear()
        later = [next(seen) for _ in range(6)]
        seen.close()
    assert max(one.latency_ms for one in later[2:]) < 200 and server.connections == 1


def test_motion_jpeg_that_hangs_up_is_opened_again(bright: Predictor) -> None:
    with served(pace=40) as server:
        seen = watch(open_source(server.address, timeout=2), bright)
        before = next(seen)
        server.hang_up.set()
        time.sleep(0.3)
        server.hang_up.clear()
        after = next(one for one in seen if one.frame.time > before.frame.time + 0.5)
        seen.close()
    assert server.connections >= 2 and len(after.answer.as_dict()["boxes"]) == 1


def test_a_file_plays_at_its_own_pace(made: Path) -> None:
    begin = time.perf_counter()
    with Latest(open_source(made / "clip.avi")) as frames:
        late = [one.taken - begin - one.time for one in frames]
    assert 1.8 < time.perf_counter() - begin < 3
    assert max(late) < 0.5


def test_in_order_nothing_is_dropped_however_slow_the_model_is(made: Path) -> None:
    source = open_source(made / "clip.mp4")
    with InOrder(source) as frames:
        assert [one.number for one in frames] == list(range(40))
