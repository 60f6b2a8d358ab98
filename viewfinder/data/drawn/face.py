"""A face, from back to front: hair, neck, ears, skin, features, hair; then light, background and camera."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from random import Random

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.drawn.hair import hair_before, hair_behind, hairline
from viewfinder.data.drawn.head import BROW_HEIGHT, EYE_HEIGHT, LIP_HEIGHT, Curve, Eye, Head, brow, circle, mouth
from viewfinder.data.drawn.person import Colour, draw_person, draw_pose, mixed, shaded
from viewfinder.data.drawn.scene import background, light_on, photographed
from viewfinder.data.drawn.sketch import Sketch

__all__ = ["Face", "draw_face"]

_MARGIN = 2.0
_WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True)
class Face:
    """A drawn face.

    Args:
        pixels: (S, S, 3) uint8 RGB.
        points: (15, 2) float32 pixels, in the order of `drawn.head.NAMES`.
        box: (4,) float32 x0 y0 x1 y1: from hairline to chin, as far as it lies in the image.
    """

    pixels: NDArray[np.uint8]
    points: NDArray[np.float32]
    box: NDArray[np.float32]


def draw_face(seed: int, size: int = 96) -> Face:
    """Return a face by chance, `size` pixels wide and high; all its points lie in the image."""
    chance = Random(seed)
    head = Head(draw_person(chance), draw_pose(size, chance))
    points = head.keypoints()
    missing = points.clip(_MARGIN, size - _MARGIN) - points
    shift = missing.min(axis=0) + missing.max(axis=0)
    head.shift += shift
    skin = head.skin(hairline(head))
    sketch = Sketch(head, size)
    hair_behind(sketch, head, chance)
    _body(sketch, head)
    _ears(sketch, head)
    sketch.fill_hull(skin, head.person.skin)
    _features(sketch, head, chance)
    hair_before(sketch, head, chance)
    if head.person.frame:
        _glasses(sketch, head, head.person.frame)
    rng = np.random.default_rng(seed)
    picture = sketch.over(background(size, chance), light_on(head, size, chance))
    outline = head.seen(skin)
    box = np.concatenate([outline.min(axis=0), outline.max(axis=0)]).clip(0, size)
    return Face(photographed(picture, chance, rng), (points + shift).astype(np.float32), box.astype(np.float32))


def _features(sketch: Sketch, head: Head, chance: Random) -> None:
    _modelling(sketch, head)
    if head.person.freckles:
        spots = [(max(-0.7, min(0.7, chance.gauss(0, 0.34))), chance.gauss(0.33, 0.08)) for _ in range(24)]
        sketch.dots(np.array(spots), 0.015, mixed(head.person.skin, (150, 84, 48), 0.45))
    if head.person.beard:
        _beard(sketch, head)
    for side in (1, -1):
        _eye(sketch, head, Eye(head.person, side))
        _brow(sketch, head, side)
    _nose(sketch, head)
    _mouth(sketch, head)


def _body(sketch: Sketch, head: Head) -> None:
    """Neck, shoulders and a collar; they stay upright when the head is turned."""
    person, back = head.person, head.pose.turn.T
    root = np.array([0.0, 0.75, -0.25])

    def upright(points: list[tuple[float, float]]) -> Curve:
        flat = np.column_stack([np.array(points), np.zeros(len(points))])
        return np.asarray(root + flat @ back.T)

    neck, cloth = shaded(person.skin, 0.88), person.clothes
    half = [(0.62, 0.98), (1.5, 1.3), (2.2, 1.8), (2.6, 4)]
    sketch.fill(upright([(-x, y) for x, y in half] + half[::-1]), cloth)
    half = [(0.55, -0.6), (0.57, 0.5), (0.72, 1.0), (0.4, 1.22), (0.0, 1.32)]
    sketch.fill(upright([(-x, y) for x, y in half] + half[-2::-1]), neck)
    half = [(0.55, -0.6), (0.57, 0.42), (0.3, 0.68), (0.0, 0.76)]
    sketch.fill(upright([(-x, y) for x, y in half] + half[-2::-1]), shaded(neck, 0.74))
    if person.collar == "vee":
        sketch.fill(upright([(-0.6, 0.95), (0.6, 0.95), (0, 1.85)]), neck)
    if person.collar == "shirt":
        for side in (1, -1):
            flap = [(side * 0.66, 0.8), (side * 0.85, 1.15), (side * 0.35, 1.6), (0, 1.3)]
            sketch.fill(upright(flap), shaded(cloth, 1.2))
            sketch.stroke([upright(flap[1:])], shaded(cloth, 0.75), 0.03)
    if person.collar == "high":
        sketch.fill(upright([(-0.6, 0.6), (0, 0.72), (0.6, 0.6), (0.8, 1.4), (-0.8, 1.4)]), shaded(cloth, 0.92))
    if person.collar == "crew":
        edge = upright([(-0.72, 0.98), (-0.4, 1.22), (0, 1.32), (0.4, 1.22), (0.72, 0.98)])
        sketch.stroke([edge], shaded(cloth, 0.78), 0.07)


def _ears(sketch: Sketch, head: Head) -> None:
    person = head.person
    if person.style in ("scarf", "long", "bob"):
        return
    for side in (1, -1):
        outer, inner = circle(0, 0.16, 0.13, 0.27), circle(0.02, 0.14, 0.07, 0.16)
        outer, inner = (
            np.column_stack([side * (person.breadth + e[:, 0]), e[:, 1], -0.12 - 0.5 * e[:, 0]]) for e in (outer, inner)
        )
        sketch.fill(outer, shaded(person.skin, 0.93))
        sketch.stroke([np.roll(inner, 8, axis=0)[:14]], shaded(person.skin, 0.72), 0.035)


def _modelling(sketch: Sketch, head: Head) -> None:
    """Soft light and shade that give the face its form."""
    p = head.person
    far = 1 if head.pose.yaw > 0 else -1
    for side in (1, -1):
        sketch.shade(circle(side * 0.36, -0.05, 0.26, 0.14), 0.87)
        sketch.shade(circle(side * 0.5, 0.36, 0.2, 0.13), 1.08)
        sketch.shade(circle(side * 0.15, 0.22, 0.06, 0.3), 0.88 if side == far else 0.97, 0.06)
        if p.smile > 0.06:
            fold = np.array([(0.24, p.nose_y + 0.02), (0.33, p.nose_y + 0.1), (p.mouth_width + 0.05, p.mouth_y - 0.13)])
            sketch.stroke([fold * (side, 1)], shaded(p.skin, 0.88), 0.022)
    sketch.shade(circle(0, p.nose_y + 0.19, 0.2, 0.05), 0.84)
    sketch.shade(circle(0, p.mouth_y + p.lip_low + 0.11, 0.15, 0.04), 0.88)
    sketch.shade(circle(0, 0.1, 0.045, 0.3), 1.09, 0.14)
    sketch.shade(circle(0, -0.52, 0.4, 0.12), 1.05)


def _eye(sketch: Sketch, head: Head, eye: Eye) -> None:
    person, upper, lower = head.person, eye.upper, eye.lower
    radius = 0.09
    sketch.fill(np.concatenate([upper, lower[::-1]]), mixed((246, 243, 240), person.skin, 0.1), EYE_HEIGHT)
    sketch.fill(eye.disc(radius), shaded(person.iris, 0.6), EYE_HEIGHT)
    sketch.fill(eye.disc(0.8 * radius), person.iris, EYE_HEIGHT)
    sketch.fill(eye.disc(0.48 * radius), (12, 10, 10), EYE_HEIGHT)
    glint = np.array([[eye.centre[0] - 0.048, eye.centre[1] - 0.046]])
    sketch.dots(glint, 0.019, _WHITE, EYE_HEIGHT)
    lash = mixed(shaded(person.skin, 0.35), (20, 14, 14), 0.4 + 0.6 * person.lashes)
    rim = [upper, (upper - (0, 0.022 + 0.03 * person.lashes))[-2:0:-1]]
    if person.lashes > 0.55:
        rim.insert(1, np.add(upper[-1:], (0.05 * eye.side, -0.05)))
    sketch.fill(np.concatenate(rim), lash, EYE_HEIGHT)
    sketch.stroke([lower], shaded(person.skin, 0.66), 0.016, EYE_HEIGHT)
    fold = upper[1:-1] - (0, 0.05)
    sketch.stroke([fold], shaded(person.skin, 0.72), 0.016, EYE_HEIGHT)


def _brow(sketch: Sketch, head: Head, side: int) -> None:
    person = head.person
    middle, half = brow(person, side)
    low, high = middle.copy(), middle
    low[:, 1] += half
    high[:, 1] -= half
    colour = mixed(shaded(person.hair, 0.8), person.skin, 0.12 if sum(person.hair) < 360 else 0.3)
    sketch.fill(np.concatenate([low, high[::-1]]), colour, BROW_HEIGHT)


def _nose(sketch: Sketch, head: Head) -> None:
    person, tip = head.person, head.nose_tip()
    y, wide = person.nose_y, person.nose_width
    t = np.linspace(0, 1, 8)
    for side in (1, -1):
        wing = np.column_stack([side * wide * (0.72 + 0.28 * np.sin(pi * (0.25 + 0.6 * t))), y - 0.09 + 0.19 * t])
        sketch.stroke([wing], shaded(person.skin, 0.74), 0.028, 0.08)
        sketch.fill(circle(side * wide * 0.5, y + 0.095, wide * 0.28, 0.024), shaded(person.skin, 0.42), 0.13)
    arc = np.linspace(0.3, pi - 0.3, 9)
    under = np.column_stack([0.1 * np.cos(arc), y + 0.03 + 0.05 * np.sin(arc), np.full(9, tip[2] - 0.05)])
    sketch.stroke([under], shaded(person.skin, 0.82), 0.025)
    sketch.dots(tip[None] - (0, 0.01, 0), 0.055, mixed(person.skin, _WHITE, 0.14))
    sketch.dots(tip[None] - (0, 0.015, 0), 0.028, mixed(person.skin, _WHITE, 0.3))


def _mouth(sketch: Sketch, head: Head) -> None:
    person = head.person
    line, top, bottom = mouth(person)
    opening = person.gap * (1 - np.linspace(-1, 1, len(line)) ** 2)
    above, below = line.copy(), line.copy()
    above[:, 1] -= 0.35 * opening
    below[:, 1] += 0.65 * opening
    sketch.fill(np.concatenate([top, bottom[::-1]]), person.lips, LIP_HEIGHT)
    sketch.fill(np.concatenate([top, above[::-1]]), shaded(person.lips, 0.86), LIP_HEIGHT)
    glow = (0.5 * (below + bottom))[4:11]
    sketch.stroke([glow], mixed(person.lips, (255, 235, 230), 0.25), 0.028, LIP_HEIGHT)
    if person.gap > 0.02:
        sketch.fill(np.concatenate([above, below[::-1]]), (74, 24, 28), LIP_HEIGHT)
        teeth = (above + 0.62 * (below - above))[12:1:-1]
        sketch.fill(np.concatenate([above[2:13], teeth]), (240, 236, 228), LIP_HEIGHT)
    sketch.stroke([above], shaded(person.lips, 0.5), 0.02, LIP_HEIGHT)


def _beard(sketch: Sketch, head: Head) -> None:
    """From the sideburns along the jaw to the chin, and up round the mouth."""
    p = head.person
    tone = mixed(p.skin, shaded(p.hair, 0.95), 0.2 + 0.65 * p.beard)
    heights = np.linspace(0.05, p.chin - 0.01, 14)
    jaw = np.column_stack([0.995 * head.width(heights), heights])
    b, m = p.breadth, p.mouth_width
    edge = [(0.9 * b, 0.05), (0.86 * b, 0.35), (0.78 * b, 0.55), (0.62, 0.72), (m + 0.13, p.mouth_y - 0.06)]
    edge += [(m - 0.02, p.mouth_y - 0.16), (0.14, p.nose_y + 0.17), (0.0, p.nose_y + 0.2)]
    cheek = np.array(edge)
    mirror = (-1, 1)
    sketch.fill(np.concatenate([jaw, (jaw * mirror)[::-1], cheek * mirror, cheek[-2::-1]]), tone, 0.01)


def _glasses(sketch: Sketch, head: Head, colour: Colour) -> None:
    person = head.person
    angle = np.linspace(0, 2 * pi, 29)
    squared = [np.sign(f) * np.abs(f) ** 0.75 for f in (np.cos(angle), np.sin(angle))]
    lines = [np.array([[-person.eye_x + 0.25, 0.0, 1.02], [0.0, -0.05, 1.04], [person.eye_x - 0.25, 0.0, 1.02]])]
    for side in (1, -1):
        x, y = side * (person.eye_x + 0.02) + 0.28 * squared[0], 0.03 + 0.21 * squared[1]
        lines.append(np.column_stack([x, y, 1.02 - 0.25 * np.maximum(np.abs(x) - 0.1, 0) ** 2]))
        lines.append(np.array([[side * (person.eye_x + 0.3), 0.0, 0.9], [side * 1.03 * person.breadth, 0.02, -0.1]]))
    sketch.stroke(lines, colour, 0.04)
