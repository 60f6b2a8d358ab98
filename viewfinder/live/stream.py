"""From a source to frames: either the latest one only, or every one in order.

When a model is slower than a camera, queued frames make a delay that grows for ever. So a thread reads the source as
fast as frames come and holds the newest; the others are dropped. Their numbers tell how many they were.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import TracebackType

from viewfinder.errors import DataError
from viewfinder.live.capture import Frame, Source

__all__ = ["PATIENCE", "InOrder", "Latest"]

PATIENCE = 20.0
"""Seconds in which a live source that broke off may come back."""
RETRY = 0.5


class InOrder:
    """Every frame of a source, one after the other: for files that nobody watches in real time."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __enter__(self) -> InOrder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.source.close()

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self.source.read()) is not None:
            yield frame


class Latest:
    """The newest frame of a source, each time that one is asked for; no frame comes twice.

    A file plays at its own pace. A live source that breaks off is opened again.

    Args:
        source: it is closed at the end.
        patience: seconds in which a live source may come back.

    Iterating raises DataError where the source breaks off for good.
    """

    def __init__(self, source: Source, patience: float = PATIENCE) -> None:
        self.source, self.patience = source, patience
        self._frame: Frame | None = None
        self._error: Exception | None = None
        self._ended = False
        self._begin = 0.0
        self._stop, self._changed = threading.Event(), threading.Condition()
        self._alive = time.perf_counter()
        self._thread = threading.Thread(target=self._run, name=f"frames of {source.name}", daemon=True)

    def __enter__(self) -> Latest:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(2.0)

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self._taken()) is not None:
            yield frame

    def _taken(self) -> Frame | None:
        """Wait for a frame that nobody has had, and take it; None after the last."""
        with self._changed:
            while self._frame is None and not self._ended and self._error is None:
                self._changed.wait(0.2)
                self._require_life()
            if self._frame is None and self._error is not None:
                raise self._error
            frame, self._frame = self._frame, None
            return frame

    def _require_life(self) -> None:
        """Raise where the thread itself hangs in a driver: nothing else would ever tell."""
        silence = time.perf_counter() - self._alive
        if self.source.live and silence > self.patience + 30:
            raise DataError(f"gave no frame for {silence:.0f} s", where=self.source.name)

    def _run(self) -> None:
        try:
            while not self._stop.is_set() and (frame := self._next()) is not None:
                self._put(frame)
        except Exception as error:
            self._error = error
        finally:
            self.source.close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _next(self) -> Frame | None:
        if not self.source.live:
            return self._paced(self.source.read())
        try:
            return self.source.read()
        except DataError as error:
            return self._back(error)

    def _back(self, error: DataError) -> Frame | None:
        """Return the first frame of a source that broke off and came back."""
        end = time.perf_counter() + self.patience
        while time.perf_counter() < end and not self._stop.wait(min(RETRY, self.patience)):
            self._alive = time.perf_counter()
            try:
                self.source.reopen()
                return self.source.read()
            except DataError:
                continue
        if self._stop.is_set():
            return None
        raise error

    def _paced(self, frame: Frame | None) -> Frame | None:
        """Wait until a frame of a file is to be shown."""
        if frame is None:
            return None
        if frame.number == 0:
            self._begin = time.perf_counter() - frame.time
        self._stop.wait(max(0.0, self._begin + frame.time - time.perf_counter()))
        return Frame(frame.image, frame.number, frame.time, time.perf_counter())

    def _put(self, frame: Frame) -> None:
        with self._changed:
            self._frame = frame
            self._alive = time.perf_counter()
            self._changed.notify_all()
