"""Who is drawn: shape, colours, hair and mood of one person, and how the head is held. All by chance."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, radians, sin
from random import Random

import numpy as np
from numpy.typing import NDArray

__all__ = ["Colour", "Person", "Pose", "draw_person", "draw_pose", "mixed", "shaded"]

Colour = tuple[float, float, float]
"""RGB, 0 to 255."""

_SKINS: tuple[Colour, ...] = (
    (250, 222, 202),
    (246, 208, 180),
    (236, 188, 152),
    (222, 168, 126),
    (198, 142, 100),
    (166, 112, 76),
    (128, 84, 56),
    (98, 66, 46),
)
_HAIRS: tuple[Colour, ...] = (
    (28, 24, 24),
    (52, 36, 28),
    (84, 56, 36),
    (122, 82, 48),
    (164, 116, 66),
    (214, 176, 112),
    (168, 78, 38),
    (176, 174, 172),
    (226, 224, 220),
    (58, 64, 96),
)
_IRISES: tuple[Colour, ...] = ((70, 44, 26), (96, 62, 34), (120, 92, 48), (84, 112, 74), (82, 122, 156), (96, 110, 122))
_LIGHT_HAIR, _DARK_HAIR = (10, 17, 18, 15, 11, 11, 7, 6, 4, 1), (50, 24, 9, 3, 1, 2, 1, 6, 3, 1)
_LIGHT_IRIS, _DARK_IRIS = (30, 25, 13, 10, 14, 8), (60, 30, 7, 1, 1, 1)
_CLOTHES: tuple[Colour, ...] = (
    (44, 62, 80),
    (192, 72, 60),
    (236, 232, 224),
    (58, 110, 96),
    (226, 174, 72),
    (92, 84, 140),
    (120, 150, 176),
    (60, 60, 64),
    (208, 130, 142),
    (96, 124, 72),
)
_STYLES = {
    "short": 24,
    "long": 17,
    "bob": 11,
    "fringe": 10,
    "curls": 12,
    "buzz": 7,
    "bun": 8,
    "bald": 5,
    "scarf": 3,
    "beanie": 3,
}
_BEARDED = ("short", "buzz", "bald", "curls", "beanie")
_COLLARS = ("crew", "vee", "shirt", "high")
_LIGHT_TONES = 4.0


@dataclass(frozen=True)
class Person:
    """Lengths are in half face widths, in the head's own frame: eyes at y = 0, y down."""

    skin: Colour
    hair: Colour
    iris: Colour
    lips: Colour
    clothes: Colour
    frame: Colour | None
    """Of glasses."""
    style: str
    collar: str
    breadth: float
    jaw: tuple[float, float]
    """Exponents of the outline from cheek to chin: large ones are square."""
    chin: float
    eye_x: float
    eye_width: float
    lid_up: float
    lid_low: float
    eye_tilt: float
    gaze: tuple[float, float]
    brow_y: float
    brow_thickness: float
    brow_arch: float
    brow_tilt: float
    nose_y: float
    nose_width: float
    mouth_y: float
    mouth_width: float
    lip_up: float
    lip_low: float
    smile: float
    gap: float
    """How far the lips are apart."""
    part: float
    """Where the hair parts, and to which side it falls."""
    volume: float
    lashes: float
    beard: float
    """0: none, 1: full; between: stubble."""
    freckles: bool


@dataclass(frozen=True)
class Pose:
    """How the head is held and seen: `turn` (3, 3) rotates head coordinates, `scale` is pixels a unit."""

    turn: NDArray[np.float64]
    scale: float
    centre: tuple[float, float]
    yaw: float
    roll: float


def draw_person(chance: Random) -> Person:
    """Return a person by chance."""
    between = chance.uniform
    tone = between(0, len(_SKINS) - 1)
    light = tone < _LIGHT_TONES
    skin = mixed(_SKINS[int(tone)], _SKINS[min(int(tone) + 1, len(_SKINS) - 1)], tone % 1)
    style = chance.choices(list(_STYLES), list(_STYLES.values()))[0]
    bearded = style in _BEARDED and chance.random() < 0.42
    (hair,) = chance.choices(_HAIRS, _LIGHT_HAIR if light else _DARK_HAIR)
    (iris,) = chance.choices(_IRISES, _LIGHT_IRIS if light else _DARK_IRIS)
    happy = chance.random()
    return Person(
        skin=skin,
        hair=shaded(hair, between(0.85, 1.15)),
        iris=iris,
        lips=mixed(shaded(skin, 0.8), (190, 66, 74), between(0.2, 0.4) if bearded else between(0.25, 0.75)),
        clothes=shaded(chance.choice(_CLOTHES), between(0.8, 1.1)),
        frame=chance.choice(((30, 28, 30), (120, 66, 40), (150, 146, 140))) if chance.random() < 0.15 else None,
        style=style,
        collar=chance.choice(_COLLARS),
        breadth=between(0.9, 1.02),
        jaw=(between(2.0, 3.0), between(1.4, 2.05)),
        chin=between(1.2, 1.36),
        eye_x=between(0.365, 0.41),
        eye_width=between(0.165, 0.2),
        lid_up=between(0.078, 0.118),
        lid_low=between(0.045, 0.07) * (1.1 - 0.35 * happy),
        eye_tilt=between(-0.02, 0.03),
        gaze=(chance.gauss(0, 0.022), chance.gauss(0, 0.008)),
        brow_y=between(-0.3, -0.24),
        brow_thickness=between(0.028, 0.066),
        brow_arch=between(0.01, 0.08),
        brow_tilt=between(-0.03, 0.03),
        nose_y=between(0.5, 0.58),
        nose_width=between(0.14, 0.2),
        mouth_y=between(0.81, 0.88),
        mouth_width=between(0.26, 0.32) + 0.1 * happy,
        lip_up=between(0.045, 0.085),
        lip_low=between(0.065, 0.115),
        smile=0.165 * happy - 0.01,
        gap=max(0.0, between(-0.09, 0.1)) * (0.4 + happy),
        part=between(-0.5, 0.5),
        volume=between(1.08, 1.18),
        lashes=0.0 if bearded else chance.random(),
        beard=between(0.2, 1) if bearded else 0.0,
        freckles=tone < 3 and chance.random() < 0.2,
    )


def draw_pose(size: int, chance: Random) -> Pose:
    """Return a pose by chance: mostly towards the camera, turned up to 28°."""
    yaw, pitch, roll = (
        radians(max(-limit, min(limit, chance.gauss(0, spread)))) for spread, limit in ((13, 28), (7, 15), (6, 18))
    )
    scale = size * chance.uniform(0.25, 0.36)
    x, y = size * (0.5 + chance.uniform(-0.05, 0.05)), size * (0.46 + chance.uniform(-0.04, 0.05))
    return Pose(_about_z(roll) @ _about_y(yaw) @ _about_x(pitch), scale, (x, y), yaw, roll)


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """Return the colour that lies `share` of the way from one to the other."""
    r, g, b = ((1 - share) * a + share * c for a, c in zip(one, other, strict=True))
    return r, g, b


def shaded(colour: Colour, factor: float) -> Colour:
    """Return a darker or lighter colour."""
    r, g, b = (min(255.0, value * factor) for value in colour)
    return r, g, b


def _about_x(angle: float) -> NDArray[np.float64]:
    c, s = cos(angle), sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _about_y(angle: float) -> NDArray[np.float64]:
    c, s = cos(angle), sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _about_z(angle: float) -> NDArray[np.float64]:
    c, s = cos(angle), sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
