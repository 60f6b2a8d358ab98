"""Videos whose truth is known: a bright square that moves over a dark ground, as a file or served over HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, SIDE, TOP = 320, 240, 60, 90


def left_of(number: int) -> int:
    """Return where the square begins in a frame."""
    return 20 + 4 * (number % 55)


def frame(number: int) -> NDArray[np.uint8]:
    """Return a frame, BGR: a green square that is brighter than 200 on average, and the number in its corner."""
    image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    image[TOP : TOP + SIDE, left_of(number) : left_of(number) + SIDE] = (230, 255, 230)
    return image


def write_clip(path: Path, frames: int = 40, pace: float = 20.0) -> Path:
    """Write a video: .mp4 or .avi."""
    codec = cv2.VideoWriter.fourcc(*("MJPG" if path.suffix == ".avi" else "mp4v"))
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, pace, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(frame(number))
    writer.release()
    return path


class Served:
    """An HTTP server of motion JPEG: as many frames a second as one likes, and it can stall or hang up."""

    def __init__(self, pace: float) -> None:
        self.pace = pace
        self.stalled = threading.Event()
        self.ended = threading.Event()
        self.hang_up = threading.Event()
        self.connections = 0
        served = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *words: object) -> None: ...

            def do_GET(self) -> None:
                served.connections += 1
                served.send(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}/camera.mjpg"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def send(self, handler: BaseHTTPRequestHandler) -> None:
        if self.hang_up.is_set():
            return
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        handler.end_headers()
        number = 0
        try:
            while not self.ended.is_set() and not self.hang_up.is_set():
                if not self.stalled.is_set():
                    jpeg = cv2.imencode(".jpg", frame(number))[1].tobytes()
                    head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    handler.wfile.write(head.encode() + jpeg + b"\r\n")
                    number += 1
                time.sleep(1 / self.pace)
        except OSError:
            return

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def served(pace: float = 30.0) -> Iterator[Served]:
    """Serve the moving square."""
    server = Served(pace)
    try:
        yield server
    finally:
        server.close()
