"""Where frames come from: a camera, a video file, a folder of images, an MJPEG or RTSP address.

A camera and an address are live: their frames pass, whether somebody looks or not, and one that breaks off may come
back. A file and a folder wait. Nothing here blocks for ever: whatever does not answer is one line of error.
"""

from __future__ import annotations

import os
import re
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.data.decoding import load_image
from viewfinder.data.images import SUFFIXES
from viewfinder.deploy.predictor import image_files
from viewfinder.errors import DataError, InputError, nearest
from viewfinder.live.containers import missing_bytes

__all__ = ["SCHEMES", "Address", "Camera", "Frame", "ImageFolder", "Source", "VideoFile", "open_source"]

SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "rtp", "srt", "tcp", "udp")
TIMEOUT = 10.0
"""Seconds after which a camera or an address that was opened, or asked for a frame, is said not to answer."""
FOLDER_PACE = 2.0
"""Images of a folder a second, where they are shown as a video."""
USUAL_PACE = 25.0
_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322, "rtmp": 1935}

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # its lines on stderr would stand beside our one line


@dataclass(frozen=True)
class Frame:
    """One picture of a source.

    Args:
        image: (H, W, 3) uint8, RGB.
        number: counted from 0, with those that nobody saw.
        time: seconds since the first frame: those of the video in a file, of the clock else.
        taken: when it was there, in seconds of `time.perf_counter()`.
    """

    image: NDArray[np.uint8] = field(repr=False)
    number: int
    time: float
    taken: float


class Source(Protocol):
    """Something that gives frames."""

    @property
    def name(self) -> str:
        """What people call it: "camera 0", a path, an address without its password."""
        ...

    @property
    def pace(self) -> float:
        """Frames a second, as it says itself."""
        ...

    @property
    def live(self) -> bool:
        """Whether frames pass, whether somebody looks or not."""
        ...

    def read(self) -> Frame | None:
        """Return the next frame, None after the last. Raises DataError where it breaks off."""
        ...

    def reopen(self) -> None:
        """Begin again after it broke off. Raises DataError."""
        ...

    def close(self) -> None:
        """Let go of the device, the file or the connection."""
        ...


def open_source(source: str | int | Path, timeout: float = TIMEOUT) -> Source:
    """Open a source.

    Args:
        source: a camera's number, the path of a video, an image or a folder of images, or an address (`SCHEMES`).
        timeout: seconds to wait for a camera or an address.

    Raises:
        DataError: it is absent, busy, damaged, or does not answer.
        InputError: an address of an unknown kind.
    """
    text = str(source)
    if text.isdecimal():
        return Camera(int(text), timeout)
    if "://" in text:
        scheme = text.partition("://")[0].lower()
        if scheme not in SCHEMES:
            raise InputError(f"cannot read {scheme}:// addresses", where="--source", hint=nearest(scheme, SCHEMES))
        return Address(text, timeout)
    return _on_disk(Path(text), timeout)


def _on_disk(path: Path, timeout: float) -> Source:
    """Open what a path names; a link, such as those in /dev/v4l/by-id, may name a camera."""
    if device := re.fullmatch(r"/dev/video(\d+)", str(path.resolve())):
        return Camera(int(device[1]), timeout)
    if path.is_dir():
        return ImageFolder(path)
    if not path.is_file():  # a pipe, too, would block for ever
        raise DataError("no such video, folder or camera", where=path, hint="check the path")
    return ImageFolder(path) if path.suffix.lower() in SUFFIXES else VideoFile(path)


class _Live:
    """What cameras and addresses share: frames of an OpenCV capture, in seconds since the first."""

    name = ""
    live = True

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._number, self._begin = 0, 0.0
        self._capture: cv2.VideoCapture | None = None
        self._waiting: Frame | None = None
        self.reopen()

    @property
    def pace(self) -> float:
        said = self._capture.get(cv2.CAP_PROP_FPS) if self._capture else 0.0
        return said if 1 <= said <= 240 else USUAL_PACE

    def read(self) -> Frame | None:
        if self._waiting is not None:
            frame, self._waiting = self._waiting, None
            return frame
        there, image = self._capture.read() if self._capture else (False, None)
        if not there or image is None:
            self._end()
            return None
        now = time.perf_counter()
        if not self._number:
            self._begin = now
        when = now - self._begin if self.live else self._number / self.pace
        self._number += 1
        return Frame(_rgb(image), self._number - 1, when, now)

    def reopen(self) -> None:
        """Open it, and wait for a first frame: only that proves that it works."""
        self.close()
        self._capture = _within(self.timeout, self._opened, self._silent)
        try:
            self._waiting = _within(self.timeout, self.read, self._silent)
        except DataError:
            self._capture = None  # a thread may hang in it: whoever comes last lets go of it
            raise

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
        self._capture = self._waiting = None

    def _opened(self) -> cv2.VideoCapture:
        raise NotImplementedError

    def _silent(self) -> DataError:
        return DataError(f"does not answer within {self.timeout:g} s", where=self.name)

    def _end(self) -> None:
        """Raise DataError where there should be more."""
        raise DataError("gives no more frames", where=self.name)


class Camera(_Live):
    """A camera by its number. Raises DataError where it is absent or busy."""

    def __init__(self, number: int, timeout: float = TIMEOUT) -> None:
        self.number, self.name = number, f"camera {number}"
        super().__init__(timeout)

    def _opened(self) -> cv2.VideoCapture:
        _require_device(self.number)
        capture = cv2.VideoCapture(self.number)
        if not capture.isOpened():
            hint = "close other programs that use it, or give another --source"
            raise DataError("cannot be opened: absent, or used by another program", where=self.name, hint=hint)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return capture

    def _end(self) -> None:
        hint = "is it unplugged, or used by another program?"
        raise DataError("gives no frames", where=self.name, hint=hint)


class Address(_Live):
    """A video that is sent over the network, such as MJPEG over HTTP, or RTSP; it is not live where it is a file."""

    def __init__(self, address: str, timeout: float = TIMEOUT) -> None:
        self.address, self.name, self._count = address, _without_secrets(address), 0
        super().__init__(timeout)

    def _opened(self) -> cv2.VideoCapture:
        begin, wait = time.perf_counter(), round(1000 * self.timeout)
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, wait, cv2.CAP_PROP_READ_TIMEOUT_MSEC, wait]
        capture = cv2.VideoCapture(self.address, cv2.CAP_FFMPEG, limits)
        if capture.isOpened():
            self._count = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
            self.live = not self._count
            return capture
        raise self._silent() if time.perf_counter() - begin > 0.9 * self.timeout else self._refused()

    def _end(self) -> None:
        if self.live or self._number < self._count - 2:
            raise DataError("gives no more frames", where=self.name)

    def _refused(self) -> DataError:
        """Return why an address cannot be opened, as far as one more connection tells."""
        try:
            parts = urlsplit(self.address)
            port = parts.port or _PORTS.get(parts.scheme.lower(), 0)
            with socket.create_connection((parts.hostname or "", port), min(2.0, self.timeout)):
                what = "is not a video that can be read"
        except (socket.gaierror, UnicodeError):
            what = "there is no such host"
        except (OSError, ValueError):
            what = "nothing answers there"
        return DataError(what, where=self.name, hint="open the address in a browser or in VLC to see what it is")


class VideoFile:
    """A video file. Raises DataError where it is none; `read` raises it where the file is cut off."""

    live = False

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)
        self._missing = missing_bytes(path)
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        self._number, self._time = 0, 0.0
        self._next = self._decoded()
        if self._next is None:
            raise self._cut_off() if self._missing else DataError("is not a video that can be read", where=path)

    @property
    def pace(self) -> float:
        said = self._capture.get(cv2.CAP_PROP_FPS)
        return said if 0.1 <= said <= 1000 else USUAL_PACE

    def read(self) -> Frame | None:
        image, when = self._next, self._when()
        self._next = self._decoded() if image is not None else None
        if self._missing and self._next is None:  # the last one may be half a frame
            raise self._cut_off()
        if image is None:
            return None
        self._number += 1
        return Frame(_rgb(image), self._number - 1, when, time.perf_counter())

    def reopen(self) -> None:
        raise AssertionError("a file does not break off and come back")

    def close(self) -> None:
        self._capture.release()

    def _decoded(self) -> NDArray[Any] | None:
        there, image = self._capture.read()
        return image if there else None

    def _when(self) -> float:
        """Return when the frame that was decoded last is shown; some files do not say it."""
        said = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        self._time = said if said > self._time else self._number / self.pace
        return self._time

    def _cut_off(self) -> DataError:
        whole = f"{self._number:,} whole frames, then " if self._number else ""
        what = f"is cut off: {whole}{self._missing:,} bytes are missing"
        return DataError(what, where=self.name, hint="copy or record it again")


class ImageFolder:
    """All images below a folder in the order of their names, or one image. Raises DataError where there are none."""

    live = False
    pace = FOLDER_PACE

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._files = image_files(path) if path.is_dir() else [path]
        if not self._files:
            raise DataError("holds no images", where=path)
        self._number = 0

    def read(self) -> Frame | None:
        if self._number == len(self._files):
            return None
        image = load_image(self._files[self._number], 3)
        self._number += 1
        return Frame(image, self._number - 1, (self._number - 1) / self.pace, time.perf_counter())

    def reopen(self) -> None:
        raise AssertionError("a folder does not break off and come back")

    def close(self) -> None:
        pass


def _rgb(image: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _within(seconds: float, work: Callable[[], Any], late: Callable[[], DataError]) -> Any:
    """Return what `work` returns, or raise its error, or that of `late` when it takes longer.

    Drivers and protocols have limits of their own, which do not always hold: a thread that hangs is left behind.
    """
    results: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(1.5 * seconds)
    if errors:
        raise errors[0]
    if not results:
        raise late()
    return results[0]


def _require_device(number: int) -> None:
    """Say on Linux, where every camera is a file, what is wrong with it."""
    folder, path = Path("/dev"), Path(f"/dev/video{number}")
    if not sys.platform.startswith("linux"):
        return
    if not path.exists():
        others = sorted(int(other.name[5:]) for other in folder.glob("video*") if other.name[5:].isdecimal())
        there = f"there are: {', '.join(map(str, others))}" if others else "no camera is connected"
        raise DataError("there is no such camera", where=f"camera {number}", hint=there)
    if stat.S_ISCHR(path.stat().st_mode) and not os.access(path, os.R_OK | os.W_OK):
        hint = "add yourself to the group video, and log in again"
        raise DataError("may not be used by you", where=f"camera {number}", hint=hint)


def _without_secrets(address: str) -> str:
    """Return an address without user, password and query."""
    try:
        parts = urlsplit(address)
    except ValueError:
        hint = "check it, and its brackets"
        raise InputError("is not an address", where="--source", hint=hint) from None  # its password is not shown
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
