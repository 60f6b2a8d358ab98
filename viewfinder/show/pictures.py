"""Pictures as arrays and files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from viewfinder.data.appearing import appearing

__all__ = ["rendered", "save"]


def rendered(figure: Figure) -> NDArray[np.uint8]:
    """Return a Matplotlib figure as pixels (H, W, 3) uint8 RGB."""
    drawing: Any = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # shown as a box
        drawing.draw()
    return np.array(drawing.buffer_rgba(), dtype=np.uint8)[:, :, :3].copy()


def save(picture: NDArray[np.uint8], path: Path) -> None:
    """Write a picture (H, W, 3) uint8 RGB in the format of the path's suffix, over an older one if there is one."""
    content = cv2.imencode(path.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    with appearing(path) as beside:
        beside.write_bytes(content.tobytes())
