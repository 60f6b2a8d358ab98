"""What an image file says about itself before it is decoded: its size, its EXIF orientation, and whether it is whole.

OpenCV fills the missing part of a file that was cut off with gray and says nothing; here that is an error.
Each function walks one container: JPEG (ITU-T T.81, annex B), PNG (W3C, section 5), WebP (RFC 9649), BMP, and
TIFF 6.0, whose directory is also how EXIF is stored in the others (EXIF 2.32, section 4.6).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from viewfinder.errors import DataError

__all__ = ["Header", "inspect", "upright"]

_ORIENTATION, _WIDTH, _HEIGHT, _EXTRA_SAMPLES = 274, 256, 257, 338
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
"""A JPEG marker with a segment, or the end: not a data byte, a restart marker or a fill byte."""
_END, _PICTURE = 0xD9, 0xDA
_GRAY, _UNKNOWN = 0, -1
"""PNG's colour types: gray without alpha, and before the file has said which."""


@dataclass(frozen=True)
class Header:
    """An image file's own words.

    Args:
        width: in pixels, as decoded.
        height: in pixels, as decoded.
        orientation: EXIF's 1 to 8, which `upright` undoes; 1 for TIFF, which OpenCV turns by itself.
    """

    width: int
    height: int
    orientation: int = 1
    alpha: int = 0
    """TIFF's ExtraSamples: 1 for colours that are multiplied by their alpha already, 2 for colours that are not."""
    clear: int | None = None
    """The value, as decoded, that is transparent in a gray PNG: OpenCV does not say where it is."""

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height of the image as it is meant to be seen."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def inspect(content: bytes, where: str, whole: bool = True) -> Header:
    """Return what a file says about itself.

    Args:
        content: the file's bytes.
        where: the file, for messages.
        whole: False: look no further than needed, so that the beginning of a JPEG is enough.

    Raises:
        DataError: it is cut off, damaged or no image.
    """
    if not content:
        raise DataError("is empty", where=where)
    kinds: dict[bytes, Callable[[bytes], Header]] = {
        b"\xff\xd8": partial(_jpeg, last=_END if whole else _PICTURE),
        b"\x89PNG\r\n\x1a\n": _png,
        b"RIFF": _webp,
        b"BM": _bmp,
        b"II*\0": _tiff,
        b"MM\0*": _tiff,
    }
    for start, read in kinds.items():
        if content.startswith(start):
            with suppress(struct.error, IndexError, _CutOffError):
                header = read(content)
                if header.width > 0 and header.height > 0:
                    return header
            raise DataError("is cut off or damaged", where=where, hint="get the whole file, or delete it")
    raise DataError("is not an image", where=where, hint="known: JPEG, PNG, BMP, WebP, TIFF")


def upright(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return an image (H, W, C) as it is meant to be seen, from how it is stored with an EXIF orientation."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)


class _CutOffError(Exception):
    """The file ends before its end, or a checksum in it is wrong."""


def _jpeg(content: bytes, last: int) -> Header:
    at, size, orientation = 2, (0, 0), 1
    while (found := _MARKER.search(content, at)) is not None:
        marker, at = found[1][0], found.end()
        if marker in (_END, last):
            return Header(*size, orientation)
        (length,) = struct.unpack_from(">H", content, at)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", content, at + 3)
            size = (width, height)
        elif marker == 0xE1 and content.startswith(b"Exif\0\0", at + 2):
            orientation = _exif_orientation(content[at + 8 : at + length])
        at += length
    raise _CutOffError


def _png(content: bytes) -> Header:
    at, size, orientation, clear = 8, (0, 0), 1, None
    depth = colours = _UNKNOWN
    while True:
        length, kind = struct.unpack_from(">I4s", content, at)
        body = content[at + 8 : at + 8 + length]
        (check,) = struct.unpack_from(">I", content, at + 8 + length)
        if zlib.crc32(body, zlib.crc32(kind)) != check:
            raise _CutOffError
        if kind == b"IHDR":
            width, height, depth, colours = struct.unpack_from(">IIBB", body)
            size = (width, height)
        elif kind == b"tRNS" and colours == _GRAY:
            clear = struct.unpack_from(">H", body)[0] * {1: 255, 2: 85, 4: 17}.get(depth, 1)
        elif kind == b"eXIf":
            orientation = _exif_orientation(body)
        elif kind == b"IEND":
            return Header(*size, orientation, clear=clear)
        at += 12 + length


def _webp(content: bytes) -> Header:
    (end,) = struct.unpack_from("<I", content, 4)
    if content[8:12] != b"WEBP" or end + 8 > len(content):
        raise _CutOffError
    at, size, orientation = 12, (0, 0), 1
    while at + 8 <= end + 8:
        kind, length = struct.unpack_from("<4sI", content, at)
        body = content[at + 8 : at + 8 + length]
        if kind == b"VP8 " and size == (0, 0):
            size = tuple(side & 0x3FFF for side in struct.unpack_from("<HH", body, 6))
        elif kind == b"VP8L" and size == (0, 0):
            (bits,) = struct.unpack_from("<I", body, 1)
            size = ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        elif kind == b"VP8X":
            size = (int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1)
        elif kind == b"EXIF":
            orientation = _exif_orientation(body.removeprefix(b"Exif\0\0"))
        at += 8 + length + length % 2
    return Header(*size, orientation)


def _bmp(content: bytes) -> Header:
    start, header = struct.unpack_from("<II", content, 10)
    if header == 12:
        width, height, _, depth = struct.unpack_from("<HHHH", content, 18)
        packing = 0
    else:
        width, height, _, depth, packing = struct.unpack_from("<iiHHI", content, 18)
    if packing in (0, 3) and len(content) < start + (width * depth + 31) // 32 * 4 * abs(height):
        raise _CutOffError
    return Header(width, abs(height))


def _tiff(content: bytes) -> Header:
    tags = _directory(content)
    sides = tags.get(_WIDTH, 0), tags.get(_HEIGHT, 0)
    turned = 5 <= tags.get(_ORIENTATION, 1) <= 8
    return Header(*(sides[::-1] if turned else sides), alpha=tags.get(_EXTRA_SAMPLES, 0))


def _exif_orientation(exif: bytes) -> int:
    """Return 1 to 8; 1 too where the block is damaged: the pixels are worth more than what it says."""
    try:
        orientation = _directory(exif).get(_ORIENTATION, 1)
    except struct.error:
        return 1
    return orientation if 1 <= orientation <= 8 else 1


def _directory(content: bytes) -> dict[int, int]:
    """Return the single whole numbers of a TIFF's first directory by tag."""
    order = "<" if content[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", content, 4)
    (count,) = struct.unpack_from(f"{order}H", content, start)
    tags = {}
    for i in range(count):
        tag, kind, length = struct.unpack_from(f"{order}HHI", content, start + 2 + 12 * i)
        if length == 1 and kind in (3, 4):
            (tags[tag],) = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", content, start + 10 + 12 * i)
    return tags
