"""Hair and what is worn on the head: what lies behind the face, and what falls over it."""

from __future__ import annotations

from math import pi
from random import Random

import numpy as np

from viewfinder.data.drawn.head import Curve, Head
from viewfinder.data.drawn.person import Colour, mixed, shaded
from viewfinder.data.drawn.sketch import Sketch

__all__ = ["hair_before", "hair_behind", "hairline"]

_HAIRLINES = {"bald": -1.12, "buzz": -0.86, "fringe": -0.8, "scarf": -0.72, "beanie": -0.6}
_HANGING = {"long": 2.3, "bob": 1.0}
_ACROSS = np.linspace(-1, 1, 15)
_ALONG = np.linspace(0, 1, 11)
_SPIRAL = np.linspace(0, 5, 22)


def hairline(head: Head) -> float:
    """Return the height of the hairline above the nose."""
    return _HAIRLINES.get(head.person.style, -0.9)


def hair_behind(sketch: Sketch, head: Head, chance: Random) -> None:
    """What is seen behind neck, ears and face."""
    person = head.person
    style, colour = person.style, person.hair
    if style == "scarf":
        sketch.fill_hull(_hanging(head, 2.4, 1.2), shaded(person.clothes, 0.8))
        sketch.fill_hull(head.skull(1.18, -1.28, person.chin + 0.2), person.clothes)
        return
    if style == "buzz":
        sketch.fill_hull(head.skull(1.02, -1.3, 0.4), mixed(colour, person.skin, 0.35))
        return
    if style == "bald":
        return
    if style in _HANGING:
        sketch.fill_hull(_hanging(head, _HANGING[style], person.volume + 0.04), shaded(colour, 0.72))
    if style == "bun":
        _bun(sketch, head)
    sketch.fill_hull(head.skull(person.volume, -1.3, 0.3, lift=0.03), colour)
    if style == "short":
        _tufts(sketch, head, chance)
    if style == "curls":
        _curls(sketch, head, chance, 44, behind=True)


def hair_before(sketch: Sketch, head: Head, chance: Random) -> None:
    """What falls over forehead, temples and cheeks."""
    style = head.person.style
    if style in ("short", "long", "bob", "bun"):
        _swept(sketch, head, chance)
    if style == "fringe":
        _fringe(sketch, head, chance)
    if style in _HANGING:
        _curtains(sketch, head, chance, _HANGING[style])
    if style == "curls":
        _curls(sketch, head, chance, 24, behind=False)
    if style == "scarf":
        _scarf(sketch, head)
    if style == "beanie":
        _beanie(sketch, head)


def _hanging(head: Head, bottom: float, grow: float) -> Curve:
    """Return points about hair that hangs behind the head down to `bottom`."""
    t = np.linspace(0, 1, 7)
    wide = grow * head.person.breadth * (1.0 + 0.1 * np.sin(0.4 + 2.2 * t) - 0.12 * t**8)
    y, z = -0.5 + t * (bottom + 0.5), np.full(7, -0.35)
    left, right = np.column_stack([-wide, y, z]), np.column_stack([wide, y, z])
    return np.concatenate([left, right, head.skull(grow, -1.3, 0.3)])


def _lock(sketch: Sketch, first: Curve, second: Curve, colour: Colour, chance: Random) -> None:
    """A lock between two curves (P, 3), with strands that run along them."""
    sketch.fill(np.concatenate([first, second[::-1]]), colour)
    for factor in (1.2, 0.78):
        shares = [chance.uniform(0.05, 0.95) for _ in range(5)]
        sketch.stroke([first + share * (second - first) for share in shares], shaded(colour, factor), 0.012)


def _bun(sketch: Sketch, head: Head) -> None:
    knot = np.array([0.5 * head.person.part, -1.6, -0.3])
    sketch.dots(knot[None], 0.4, head.person.hair)
    turns = np.column_stack([np.cos(2 * _SPIRAL), np.sin(2 * _SPIRAL), 0 * _SPIRAL])
    sketch.stroke([knot + 0.065 * _SPIRAL[:, None] * turns], shaded(head.person.hair, 0.78), 0.02)


def _tufts(sketch: Sketch, head: Head, chance: Random) -> None:
    """A ragged outline over the crown."""
    angle = np.linspace(0.12 * pi, 0.88 * pi, 25)
    rise = [head.person.volume * (chance.uniform(1.03, 1.12) if i % 2 else 0.98) for i in range(25)]
    x, y = 0.97 * head.person.breadth * np.cos(angle) * rise, -1.3 * np.sin(angle) ** 0.85 * rise
    sketch.fill(np.column_stack([x, y, np.full(25, -0.1)]), head.person.hair)


def _swept(sketch: Sketch, head: Head, chance: Random) -> None:
    """From the parting down to both temples."""
    person = head.person
    start, depth = 0.75 * person.part, chance.uniform(0.2, 0.5)
    turn, rise = np.sin(pi / 2 * _ALONG), np.cos(pi / 2 * _ALONG)
    quiff = chance.uniform(0.0, 0.22) if person.style == "short" else 0.0
    for side in (1, -1):
        reach, wide = abs(side * 0.98 - start), person.breadth * person.volume
        low = -0.92 + 0.72 * _ALONG**2.2 + depth * np.sin(pi * _ALONG) * (0.1 + 0.22 * reach) * (1 - _ALONG)
        inner = np.column_stack([start + (side * 0.97 * person.breadth - start) * turn**0.9, low])
        y = -(1.34 + quiff * (side * person.part < 0)) * person.volume * rise**0.9 + 0.12 * _ALONG**3
        outer = np.column_stack([start * (1 - _ALONG) + side * wide * 1.01 * turn, y, 0.62 * rise**0.5])
        above = head.lifted(inner, 0.06)
        sketch.shade(np.concatenate([np.add(above, (0, 0.07, 0)), above[::-1]]), 0.86)
        _lock(sketch, above, outer, shaded(person.hair, 1.05 if side * person.part < 0 else 0.95), chance)


def _fringe(sketch: Sketch, head: Head, chance: Random) -> None:
    """A fringe that ends above the brows."""
    person, t = head.person, _ACROSS
    ragged = [0.06 * (1 if i % 2 else -1) * chance.random() for i in range(len(t))]
    low = person.brow_y - chance.uniform(0.1, 0.17) - 0.1 * (1 - t**2) + 0.16 * t**2 + ragged
    inner = head.lifted(np.column_stack([0.96 * person.breadth * t, low]), 0.08)
    top = np.column_stack([0.75 * t, -1.3 * person.volume + 0.4 * t**2, np.full(len(t), 0.35)])
    sketch.shade(np.concatenate([np.add(inner, (0, 0.09, 0)), inner[::-1]]), 0.8)
    sketch.fill(np.concatenate([inner, top[::-1]]), person.hair)
    share = np.linspace(0, 1, 7)[:, None]
    bend = (0.12 * np.sin(pi * share)) * (np.sign(person.part), 0, 0.5)
    strands = [a + share * (b - a) + bend for a, b in zip(inner, top, strict=True)]
    sketch.stroke(strands[1:-1:2], shaded(person.hair, 0.8), 0.014)
    sketch.stroke(strands[2:-1:4], shaded(person.hair, 1.18), 0.014)


def _curtains(sketch: Sketch, head: Head, chance: Random, bottom: float) -> None:
    """Hair that hangs before the ears."""
    person, t = head.person, _ALONG
    wave = 0.03 * np.sin(9 * t + 6 * chance.random())
    y = -0.5 + t * (bottom + 0.5)
    for side in (1, -1):
        inner_x = side * person.breadth * (0.94 - 0.05 * np.sin(pi * t) + 0.16 * t * (bottom > 1.5)) + wave
        outer_x = side * person.breadth * person.volume * (0.98 + 0.12 * np.sin(2.4 * t)) + wave
        inner = np.column_stack([inner_x, y, 0.3 - 0.2 * t])
        outer = np.column_stack([outer_x, y - 0.1 * t**6, -0.1 - 0.1 * t])
        _lock(sketch, inner, outer, shaded(person.hair, 0.97), chance)


def _curls(sketch: Sketch, head: Head, chance: Random, count: int, behind: bool) -> None:
    """Rings of several tones about the crown, or along the hairline."""
    person = head.person
    tones = (0.78, 0.9, 1.0, 1.12)
    for i, tone in enumerate(tones):
        angle = np.array([chance.uniform(-0.06, pi + 0.06) for _ in range(count // len(tones))])
        rise = np.array([chance.uniform(0.9, 1.24 if behind else 1.02) for _ in angle]) * person.volume
        x, y = person.breadth * rise * np.cos(angle), -0.1 - 1.08 * rise * np.sin(angle)
        z = np.full(len(angle), chance.uniform(-0.5, 0.2) if behind else 0.42)
        sketch.dots(np.column_stack([x, y, z]), 0.12 + 0.02 * i, shaded(person.hair, tone))


def _scarf(sketch: Sketch, head: Head) -> None:
    person, x = head.person, 0.98 * head.person.breadth * _ACROSS
    arch = np.sqrt(1 - 0.9 * _ACROSS**2)
    edge, top = np.column_stack([x, -0.62 * arch]), np.column_stack([x, -0.78 * arch])
    sketch.fill(np.concatenate([edge, top[::-1]]), shaded(person.clothes, 0.86), 0.05)
    folds = [np.column_stack([0.9 * x, -(0.84 + 0.12 * i) * arch]) for i in range(3)]
    sketch.stroke(folds, shaded(person.clothes, 0.86), 0.02, 0.1)


def _beanie(sketch: Sketch, head: Head) -> None:
    person, x = head.person, head.person.breadth * _ACROSS
    arch = np.sqrt(1 - 0.8 * _ACROSS**2)
    sketch.fill_hull(head.skull(1.13, -1.3, -0.5, lift=0.06), person.clothes)
    low = head.lifted(np.column_stack([x, -0.42 * arch - 0.06]), 0.1)
    high = head.lifted(np.column_stack([x, -0.74 * arch - 0.06]), 0.14)
    sketch.fill(np.concatenate([low, high[::-1]]), shaded(person.clothes, 0.8))
    ribs = [np.stack([a, b]) for a, b in zip(low[1:-1], high[1:-1], strict=True)]
    sketch.stroke(ribs, shaded(person.clothes, 0.68), 0.015)
