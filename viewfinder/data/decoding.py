"""An image file's bytes as pixels: upright, as 8-bit gray or RGB, whatever the format. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.data.headers import inspect, upright
from viewfinder.errors import DataError

__all__ = ["decode", "load_image", "with_channels"]

LARGEST = 1 << 28
"""Pixels that an image may have; more are refused before they are decoded."""

# OpenCV's own lines on stderr would stand beside our one line; older versions have the function elsewhere.
_set_log_level: Callable[[int], Any] = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
_set_log_level(0)


def decode(content: bytes, channels: int | None, where: str) -> NDArray[np.uint8]:
    """Return an image (H, W, C), upright.

    The EXIF orientation is applied once, whatever the format; 16 bits become 8 (divided by 257); transparent pixels
    lie on white; a palette, CMYK and one-bit images become what they show.

    Args:
        content: the file's bytes: JPEG, PNG, BMP, WebP or TIFF.
        channels: 1 for gray, 3 for RGB, None for what the file holds.
        where: the file, for messages.

    Raises:
        DataError: it is not such an image, it is cut off or damaged, or it has more than 2²⁸ pixels.
    """
    header = inspect(content, where)
    if header.width * header.height > LARGEST:
        fault = f"has {header.width}×{header.height} pixels"
        raise DataError(fault, where=where, hint=f"make it smaller than {LARGEST / 1e6:.0f} million pixels")
    try:
        stored = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        stored = None
    if stored is None:
        raise DataError("cannot be decoded", where=where, hint="save it again, or delete it")
    if header.clear is not None and stored.ndim == 2:
        stored[stored == header.clear] = 255 if stored.dtype == np.uint8 else 65535
    # of a TIFF with 8 bits, libtiff multiplies the colours by alpha where the file has not done so
    multiplied = header.alpha == 1 or (header.alpha == 2 and stored.dtype == np.uint8)
    image = _colours(_eight_bits(stored, where), multiplied)
    return with_channels(upright(image, header.orientation), channels or image.shape[2])


def load_image(path: str | Path, channels: int | None = None) -> NDArray[np.uint8]:
    """Return the image in a file, as `decode` does. Raises DataError."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise DataError("no such file", where=path, hint="check the path") from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=path) from None
    return decode(content, channels, str(path))


def with_channels(image: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Return an image (H, W, 1 or 3) as gray (H, W, 1) or RGB (H, W, 3)."""
    if image.shape[2] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=2)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)[:, :, None]


def _eight_bits(image: NDArray[Any], where: str) -> NDArray[np.uint8]:
    if image.dtype == np.uint16:
        return ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if image.dtype != np.uint8:
        raise DataError(f"holds {image.dtype} values", where=where, hint="save it with 8 or 16 bits a channel")
    return image


def _colours(image: NDArray[np.uint8], multiplied: bool) -> NDArray[np.uint8]:
    """Return gray (H, W, 1) or RGB (H, W, 3) from OpenCV's gray, BGR or BGRA."""
    if image.ndim == 2:
        return image[:, :, None]
    if image.shape[2] == 4:
        alpha = image[:, :, 3:].astype(np.uint16)
        colours = image[:, :, :3] * (np.uint16(255) if multiplied else alpha)
        image = np.minimum((colours + 255 * (255 - alpha) + 127) // 255, 255).astype(np.uint8)
    # forty times as fast as a copy of image[:, :, ::-1]
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
