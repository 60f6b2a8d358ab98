"""A page on this machine that shows what is seen: the newest picture and its figures, to whoever knows the address.

A browser asks for one picture, is answered as soon as there is a newer one than it has, and asks again. So a slow
browser, or a slow line, sees fewer pictures and never an old one, and the model never waits for it. All is plain HTTP
of one port, which any SSH tunnel carries.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import secrets
import socket
import sys
import threading
import time
from collections.abc import Mapping
from importlib.resources import files
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import uvicorn
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from viewfinder.errors import InputError

__all__ = ["PORT", "Page"]

PORT = 8765
_JPEG = (
    *(cv2.IMWRITE_JPEG_QUALITY, 82),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),  # thin lines keep their colour
)
WIDEST = 1280
"""The longer side of the pictures on the page in pixels, at most."""
WAIT = 1.0
"""Seconds for which a browser waits for a newer picture before it is told that there is none."""
LINGER = 0.7
"""Seconds at the end in which a browser that is looking still gets the last picture, and hears that it was that."""
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_EVERYWHERE = ("0.0.0.0", "::")
_KINDS = {"page.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}


class Page:
    """The page and its server, which runs in a thread of its own.

    Args:
        title: what the page says above the picture.
        host: the interface to listen on; others than this machine's own let everybody in the network try.
        port: None for `PORT`, or any free one where that is taken.
        token: the secret part of the address; by default a random one.

    Raises:
        InputError: the port is taken, or there is no such interface.
    """

    def __init__(self, title: str, host: str = "127.0.0.1", port: int | None = None, token: str | None = None) -> None:
        self.title = title
        self.name = socket.gethostname() if host in _EVERYWHERE else host
        self.token = token or secrets.token_urlsafe(18)
        self._socket = _bound(host, port)
        self._changed = threading.Condition()
        self._picture: NDArray[np.uint8] | None = None
        self._told_of: Mapping[str, Any] = {}
        self._number, self._encoded, self._asked = 0, (0, b""), -LINGER
        self._ended = self._heard = False
        settings = uvicorn.Config(self.app(), log_config=None, lifespan="off", ws="none", timeout_graceful_shutdown=2)
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="page", daemon=True)

    @property
    def address(self) -> str:
        """What to open in a browser."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return f"http://{name}:{self._socket.getsockname()[1]}/{self.token}/"

    def __enter__(self) -> Page:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
            if time.monotonic() - self._asked < LINGER:
                self._changed.wait_for(lambda: self._heard, LINGER)
        self._server.should_exit = True
        self._thread.join(5.0)
        self._socket.close()

    def show(self, picture: NDArray[np.uint8], told: Mapping[str, Any]) -> None:
        """Show an RGB picture (H, W, 3) and what is told beside it; returns at once.

        Args:
            picture: it must not be changed afterwards.
            told: "figures" and "things", lists of pairs of words, and "text", a line.
        """
        with self._changed:
            self._picture, self._told_of, self._number = picture, told, self._number + 1
            self._changed.notify_all()

    def app(self) -> ASGIApp:
        """Return the application, which answers only whoever knows the token."""
        routes = [
            Route("/{token}/", self._file),
            Route("/{token}/frame", self._frame),
            Route("/{token}/{name}", self._file),
        ]
        return _Guard(Starlette(routes=routes), self.token, self.name)

    def _file(self, request: Request) -> Response:
        name = request.path_params.get("name", "page.html")
        if name not in _KINDS:
            return PlainTextResponse("there is no such page\n", 404)
        content = (files("viewfinder.live") / name).read_text(encoding="utf-8")
        return Response(content, media_type=_KINDS[name])

    def _frame(self, request: Request) -> Response:
        """Wait for a picture that is newer than the one the browser has."""
        after = request.query_params.get("after", "0")
        seen = int(after[:18]) if after.isdecimal() else 0
        with self._changed:
            self._asked = time.monotonic()
            self._changed.wait_for(lambda: self._number > seen or self._ended, WAIT)
            picture, number, told, ended = self._picture, self._number, self._told_of, self._ended
            if ended and number <= seen:
                self._heard = True
                self._changed.notify_all()
        if picture is None or number <= seen:
            return Response(status_code=410 if ended else 204)
        headers = {"X-Number": str(number), "X-Told": json.dumps({"title": self.title, **told})}
        return Response(self._jpeg(picture, number), media_type="image/jpeg", headers=headers)

    def _jpeg(self, picture: NDArray[np.uint8], number: int) -> bytes:
        """Return a picture's JPEG, made once for all who look."""
        known, content = self._encoded
        if known != number:
            bgr = cv2.cvtColor(_not_too_large(picture), cv2.COLOR_RGB2BGR)
            content = cv2.imencode(".jpg", bgr, _JPEG)[1].tobytes()
            self._encoded = (number, content)
        return content


def _not_too_large(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture that a line can carry many times a second."""
    height, width = picture.shape[:2]
    factor = WIDEST / max(height, width)
    if factor >= 1:
        return picture
    size = (max(1, round(factor * width)), max(1, round(factor * height)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


class _Guard:
    """Refuses requests without the token, and those of another site's name that was made to point here."""

    def __init__(self, app: ASGIApp, token: str, host: str) -> None:
        self.app, self.token, self.host = app, token, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        if scope["type"] != "http":
            return
        given = scope["path"].strip("/").partition("/")[0]
        known = hmac.compare_digest(given.encode(), self.token.encode())
        if known and _is_ours(Headers(scope=scope).get("host", ""), self.host):
            await self.app(scope, receive, send_guarded)
        else:
            refusal = PlainTextResponse("open the whole address that viewfinder printed\n", 403)
            await refusal(scope, receive, send_guarded)


def _is_ours(header: str, host: str) -> bool:
    """Whether a Host header names this machine: by a number, as localhost, or as it was asked to listen.

    A rebinding attack has a name of its own, and browsers always send it.
    """
    name = header.rpartition(":")[0] if header.rpartition(":")[2].isdecimal() else header
    name = name.strip("[]").lower()
    if name in ("localhost", host.lower()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _bound(host: str, port: int | None) -> socket.socket:
    for wanted in (PORT, 0) if port is None else (port,):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            if sys.platform != "win32":  # there it would let two programs share a port
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, wanted))
            listening.listen(64)
        except OSError as error:
            listening.close()
            failed = error
        else:
            return listening
    what = "there is no such interface" if isinstance(failed, socket.gaierror) else (failed.strerror or "").lower()
    raise InputError(f"{host}:{port or PORT}: {what}", where="--port", hint="choose another one")
