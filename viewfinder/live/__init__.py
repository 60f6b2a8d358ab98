"""From a camera, a video or an address to answers in real time.

    from viewfinder.live import watch
    for seen in watch("clip.mp4", "faces.onnx"):
        print(seen.frame.number, seen.answer.as_dict(), seen.latency_ms)

`Page` shows what was seen in a browser, `Recorder` writes it into a video, `take_photos` collects images for training.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from viewfinder.live.capture import Frame as Frame
    from viewfinder.live.capture import open_source as open_source
    from viewfinder.live.chain import Chain as Chain
    from viewfinder.live.page import Page as Page
    from viewfinder.live.photos import take_photos as take_photos
    from viewfinder.live.recorder import Recorder as Recorder
    from viewfinder.live.scene import Scene as Scene
    from viewfinder.live.tracker import Tracker as Tracker
    from viewfinder.live.watching import Seen as Seen
    from viewfinder.live.watching import watch as watch

_WHERE = {
    "Chain": "viewfinder.live.chain",
    "Frame": "viewfinder.live.capture",
    "Page": "viewfinder.live.page",
    "Recorder": "viewfinder.live.recorder",
    "Scene": "viewfinder.live.scene",
    "Seen": "viewfinder.live.watching",
    "Tracker": "viewfinder.live.tracker",
    "open_source": "viewfinder.live.capture",
    "take_photos": "viewfinder.live.photos",
    "watch": "viewfinder.live.watching",
}

__all__ = [*_WHERE]  # noqa: PLE0604 (filled from the table)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'viewfinder.live' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
