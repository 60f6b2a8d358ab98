"""Whether a video file is all there, told from what its container says about its own length.

AVI is a RIFF file, MP4 and MOV are lists of boxes, MKV and WebM are EBML elements: each names the length of its parts.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

__all__ = ["missing_bytes"]

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
_TOP_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"styp", b"sidx")


def missing_bytes(path: Path) -> int:
    """Return how many bytes a video file should have, but has not; 0 for other kinds of files. Raises OSError."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(12)
        if start[:4] == b"RIFF":
            return max(0, _riff_end(file, size) - size)
        if start[4:8] in _TOP_BOXES:
            return max(0, _boxes_end(file, size) - size)
        if start[:4] == _EBML.to_bytes(4, "big"):
            return max(0, _segment_end(file, size) - size)
    return 0


def _riff_end(file: BinaryIO, size: int) -> int:
    """Walk the top chunks; a recorder that was killed leaves the length 0."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF" or length == 0:
            break
        at += 8 + length + length % 2
    return at


def _boxes_end(file: BinaryIO, size: int) -> int:
    at = 0
    while at + 8 <= size:
        file.seek(at)
        length, _ = struct.unpack(">I4s", file.read(8))
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        if length < 8:  # 0: up to the end of the file
            return size
        at += length
    return at


def _segment_end(file: BinaryIO, size: int) -> int:
    """Return where the segment ends; a length of ones means that it was not known when it was written."""
    file.seek(4)
    header, _ = _vint(file)
    file.seek(header, 1)
    if int.from_bytes(file.read(4), "big") != _SEGMENT:
        return size
    length, known = _vint(file)
    return file.tell() + length if known else size


def _vint(file: BinaryIO) -> tuple[int, bool]:
    """Read EBML's number of 1 to 8 bytes: as many zero bits in front as there are bytes to follow."""
    first = file.read(1)
    if not first or not first[0]:
        return 0, False
    more = 8 - first[0].bit_length()
    bits = 7 * (more + 1)
    value = int.from_bytes(first + file.read(more), "big") & ((1 << bits) - 1)
    return value, value != (1 << bits) - 1
