"""A head in space: a surface on which everything is marked, and its projection into the image.

The head's frame: x towards the image's right (the person's left), y down, z towards the camera; the eyes lie
at y = 0, and one unit is half the width of a broad face. Curves are (P, 2) on the surface or (P, 3) in space.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.drawn.person import Person, Pose

__all__ = ["EYE_HEIGHT", "NAMES", "Curve", "Eye", "Head", "brow", "circle", "mouth"]

Curve = NDArray[np.float64]

NAMES = (
    "left_eye_center",
    "right_eye_center",
    "left_eye_inner_corner",
    "left_eye_outer_corner",
    "right_eye_inner_corner",
    "right_eye_outer_corner",
    "left_eyebrow_inner_end",
    "left_eyebrow_outer_end",
    "right_eyebrow_inner_end",
    "right_eyebrow_outer_end",
    "nose_tip",
    "mouth_left_corner",
    "mouth_right_corner",
    "mouth_center_top_lip",
    "mouth_center_bottom_lip",
)
"""The names and the order of Kaggle's Facial Keypoints Detection; left is the person's left."""

EYE_HEIGHT, BROW_HEIGHT, LIP_HEIGHT = -0.06, 0.03, 0.02
"""Above the surface; eyes lie deep."""
NOSE_HEIGHT = 0.27
_CROWN = 1.3
_DISTANCE = 9.0
_CIRCLE = np.column_stack([f(np.linspace(0, 2 * np.pi, 20, endpoint=False)) for f in (np.cos, np.sin)])
_AROUND = np.linspace(0, 2 * np.pi, 22, endpoint=False)
_FRONT = np.linspace(-0.12, np.pi + 0.12, 15)
_LID = np.linspace(0, 1, 13)
_LID_BOW = np.sin(np.pi * _LID)
_BROW = np.linspace(0, 1, 9)
_LIPS = np.linspace(-1, 1, 15)
_LIPS_ARCH = 1 - _LIPS**2
_CUPID = 0.22 * np.exp(-(((np.abs(_LIPS) - 0.3) / 0.16) ** 2)) - 0.12 * np.exp(-((_LIPS / 0.14) ** 2))


class Head:
    """One person's head, held in one way, seen in an image."""

    def __init__(self, person: Person, pose: Pose) -> None:
        self.person, self.pose = person, pose
        self.shift = np.array(pose.centre)

    def width(self, y: Curve) -> Curve:
        """Return half the head's width at heights `y`."""
        p, q = self.person.jaw
        below = (1 - np.minimum(np.maximum(y, 0) / self.person.chin, 1) ** p) ** (1 / q)
        above = (1 - np.minimum(np.maximum(-y, 0) / _CROWN, 1) ** 2.6) ** 0.5
        return np.asarray(self.person.breadth * below * above)

    def depth(self, y: Curve) -> Curve:
        """Return how far the front of the head stands out at heights `y`."""
        below = (0.92 + 0.05 * y) * (1 - np.minimum(np.maximum(y, 0) / (1.02 * self.person.chin), 1) ** 8) ** 0.5
        above = (1 - np.minimum(np.maximum(-y, 0) / _CROWN, 1) ** 2.8) ** 0.5
        return np.asarray(below * above)

    def lifted(self, xy: Curve, height: Curve | float = 0.0) -> Curve:
        """Return (P, 3): a curve on the surface, or `height` above it."""
        y = xy[:, 1]
        across = xy[:, 0] / np.maximum(self.width(y), 1e-3)
        z = self.depth(y) * np.sqrt(np.maximum(1 - across * across, 0)) + height
        return np.column_stack([xy, z])

    def seen(self, xyz: Curve) -> Curve:
        """Return (P, 2): where points of the head's frame appear, in pixels."""
        turned = xyz @ self.pose.turn.T
        near = self.pose.scale / (1 - turned[:, 2:] / _DISTANCE)
        return np.asarray(turned[:, :2] * near + self.shift)

    def keypoints(self) -> Curve:
        """Return (15, 2) pixels in the order of NAMES."""
        p = self.person
        eyes = {side: Eye(p, side) for side in (1, -1)}
        ends = [eyes[1].centre, eyes[-1].centre]
        ends += [end for side in (1, -1) for end in (eyes[side].inner, eyes[side].outer)]
        ends += [end for side in (1, -1) for end in brow(p, side)[0][[0, -1]]]
        line, top, bottom = mouth(p)
        middle = len(_LIPS) // 2
        ends += [line[-1], line[0], top[middle], bottom[middle]]
        points = self.lifted(np.array(ends), np.repeat([EYE_HEIGHT, BROW_HEIGHT, LIP_HEIGHT], [6, 4, 4]))
        return self.seen(np.insert(points, 10, self.nose_tip(), axis=0))

    def nose_tip(self) -> Curve:
        """Return (3,): the tip, which stands out of the surface."""
        y = self.person.nose_y
        return np.array([0.0, y, float(self.depth(np.array([y]))[0]) + NOSE_HEIGHT])

    def skull(self, grow: float, top: float, bottom: float, lift: float = 0.0) -> Curve:
        """Return points (P, 3) all about the head between two heights, grown by a factor, lifted at the crown."""
        y = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 13)) * (bottom - top) / 2 + (bottom + top) / 2
        w, d = self.width(y)[:, None], self.depth(y)[:, None]
        sine = np.sin(_AROUND)
        points = np.empty((13, 22, 3))
        points[..., 0] = grow * w * np.cos(_AROUND)
        points[..., 1] = np.where(y < 0, (grow + lift) * y, y)[:, None]
        points[..., 2] = grow * np.where(sine > 0, d, w) * sine
        return points.reshape(-1, 3)

    def skin(self, hairline: float) -> Curve:
        """Return points (P, 3) of all that hair does not cover: hairline, temples, cheeks, chin."""
        arch = np.linspace(-0.97, 0.97, 19)
        edge = np.column_stack([arch, hairline * np.sqrt(1 - 0.9 * arch**2)])
        edge[:, 0] *= self.width(edge[:, 1])
        y = np.linspace(0.35 * hairline, self.person.chin, 18)
        points = np.empty((18, 15, 3))
        points[..., 0] = self.width(y)[:, None] * np.cos(_FRONT)
        points[..., 1] = y[:, None]
        points[..., 2] = self.depth(y)[:, None] * np.sin(_FRONT)
        return np.concatenate([points.reshape(-1, 3), self.lifted(edge)])


class Eye:
    """One eye in the head's frame; `side` is 1 for the person's left (the image's right), −1 for the other."""

    def __init__(self, person: Person, side: int) -> None:
        self.person, self.side = person, side
        x, half, tilt = person.eye_x, person.eye_width, person.eye_tilt
        self.inner, self.outer = (side * (x - half), tilt), (side * (x + half), -tilt)
        self.centre = (side * x + person.gaze[0], person.gaze[1] - 0.012)
        line = np.outer(1 - _LID, self.inner) + np.outer(_LID, self.outer)
        self.upper, self.lower = line.copy(), line
        self.upper[:, 1] -= person.lid_up * _LID_BOW**0.8 * (1.08 - 0.16 * _LID)
        self.lower[:, 1] += person.lid_low * _LID_BOW**0.9 * (0.9 + 0.2 * _LID)

    def disc(self, radius: float) -> Curve:
        """Return a disc (P, 2) about the pupil, as far as the lids leave it open."""
        disc = circle(*self.centre, radius, radius)
        order = slice(None, None, self.side)
        high = np.interp(disc[:, 0], self.upper[order, 0], self.upper[order, 1])
        low = np.interp(disc[:, 0], self.lower[order, 0], self.lower[order, 1])
        disc[:, 1] = np.minimum(np.maximum(disc[:, 1], high), low)
        return disc


def brow(person: Person, side: int) -> tuple[Curve, Curve]:
    """Return a brow's middle line (9, 2) from inner to outer end, and half its thickness (9,)."""
    x = side * (person.eye_x - 0.2 + _BROW * 0.47)
    y = person.brow_y + person.brow_tilt * (1 - 2 * _BROW) + 0.05 * _BROW**2
    y = y - person.brow_arch * np.sin(np.pi * _BROW**1.35)
    return np.column_stack([x, y]), person.brow_thickness * (0.75 + 0.4 * _BROW - _BROW**3)


def mouth(person: Person) -> tuple[Curve, Curve, Curve]:
    """Return the line between the lips, the upper edge and the lower edge, each from image left to right."""
    x = person.mouth_width * _LIPS
    middle = person.mouth_y - person.smile * _LIPS**2
    bow = person.lip_up * (_LIPS_ARCH**0.7 + _CUPID) * _LIPS_ARCH**0.25
    top = middle - bow - 0.35 * person.gap * _LIPS_ARCH
    bottom = middle + person.lip_low * _LIPS_ARCH**0.75 + 0.65 * person.gap * _LIPS_ARCH
    return np.column_stack([x, middle]), np.column_stack([x, top]), np.column_stack([x, bottom])


def circle(x: float, y: float, a: float, b: float) -> Curve:
    """Return an ellipse (20, 2) about (x, y) with the half axes a and b."""
    return np.asarray(_CIRCLE * (a, b) + (x, y))
