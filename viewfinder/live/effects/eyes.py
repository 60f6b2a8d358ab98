"""The pair of eyes that effects are hung on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from viewfinder.live.scene import Face

__all__ = ["EYES", "Eyes", "eyes_of"]

EYES = ("left_eye_center", "right_eye_center")
"""Kaggle's names; left is the person's left, which is on the right of a picture that is not mirrored."""


class Eyes(NamedTuple):
    """Both eyes' middles (2,) in pixels of the frame, how far apart they are, and the ways across and down the face."""

    left: NDArray[np.float64]
    right: NDArray[np.float64]
    apart: float
    along: NDArray[np.float64]
    """(2,) of length 1, from the person's right eye to the left one."""
    down: NDArray[np.float64]
    """(2,) of length 1, towards the mouth."""


def eyes_of(face: Face) -> Eyes | None:
    """Return a face's eyes; None where one of them is unknown, or both are at the same place."""
    if face.points is None:
        return None
    left, right = (np.array(face.points[name], dtype=np.float64) for name in EYES)
    apart = float(np.linalg.norm(left - right))
    if not np.isfinite(apart) or apart < 4:
        return None
    along = (left - right) / apart
    return Eyes(left, right, apart, along, np.array([-along[1], along[0]]))
