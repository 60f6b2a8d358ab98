"""What is around a face: a background, the light that falls on it, and the camera."""

from __future__ import annotations

from math import cos, pi, sin
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.data.drawn.head import Head

__all__ = ["background", "light_on", "photographed"]

Floats = NDArray[np.float32]

_COARSE = 32
"""Side of background and light before they are enlarged: both are smooth."""


def background(size: int, chance: Random) -> Floats:
    """Return (S, S, 3): a wall, a room, leaves or lights, out of focus."""
    kind = chance.choice(("wall", "room", "leaves", "lights"))
    tone, angle = chance.uniform(60, 215), chance.uniform(0, 2 * pi)
    one, other = (
        [tone * factor + chance.uniform(-35, 35) for _ in range(3)] for factor in (1.0, chance.uniform(0.6, 1.3))
    )
    axis = np.linspace(-0.5, 0.5, _COARSE, dtype=np.float32)
    share = np.clip(0.5 + 0.7 * (cos(angle) * axis[None, :] + sin(angle) * axis[:, None]), 0, 1)[..., None]
    picture = (np.array(one) * share + np.array(other) * (1 - share)).astype(np.float32)
    if kind == "room":
        _blocks(picture, tone, chance)
    if kind in ("leaves", "lights"):
        _spots(picture, (70, 110, 50) if kind == "leaves" else (235, 205, 150), chance)
    blurred = cv2.GaussianBlur(picture, (0, 0), _COARSE * chance.uniform(0.02, 0.06))
    return np.asarray(cv2.resize(blurred, (size, size), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _blocks(picture: Floats, tone: float, chance: Random) -> None:
    for _ in range(chance.randint(2, 6)):
        x, y = (int(_COARSE * chance.uniform(-0.2, 0.9)) for _ in range(2))
        w, h = (int(_COARSE * chance.uniform(0.08, 0.5)) for _ in range(2))
        level = tone * chance.uniform(0.5, 1.4)
        colour = [max(0.0, min(255.0, level + chance.uniform(-25, 25))) for _ in range(3)]
        cv2.rectangle(picture, (x, y), (x + w, y + h), colour, -1)


def _spots(picture: Floats, base: tuple[int, int, int], chance: Random) -> None:
    picture *= 0.5
    picture += 0.35 * np.array(base, dtype=np.float32)
    for _ in range(chance.randint(10, 25)):
        at = (int(_COARSE * chance.random()), int(_COARSE * chance.random()))
        factor = chance.uniform(0.5, 1.4)
        colour = [min(255.0, value * factor + chance.uniform(0, 25)) for value in base]
        cv2.circle(picture, at, int(_COARSE * chance.uniform(0.02, 0.12)), colour, -1, cv2.LINE_AA)


def light_on(head: Head, size: int, chance: Random) -> Floats:
    """Return (S, S, 3) factors: an ellipsoid's normals in the light of one lamp and of the surroundings."""
    azimuth, elevation = chance.uniform(-1.1, 1.1), chance.uniform(-0.1, 0.9)
    lamp = (sin(azimuth) * cos(elevation), -sin(elevation), cos(azimuth) * cos(elevation))
    places = (np.arange(_COARSE) + 0.5) * size / _COARSE
    x, y = ((places - centre) / head.pose.scale for centre in head.shift)
    u, v = x[None, :] / 1.12, (y[:, None] - 0.05) / 1.45
    round_off = u * u + v * v
    w = np.sqrt(np.maximum(1 - round_off, 0.02))
    facing = (u * lamp[0] + v * lamp[1] + w * lamp[2]) / np.sqrt(round_off + w * w)
    ambient, warmth = chance.uniform(0.55, 0.85), chance.gauss(0, 0.045)
    light = ambient + (1.06 - ambient) * np.maximum(facing, 0)
    colour = chance.uniform(0.88, 1.03) * np.array([1 + warmth, 1, 1 - warmth])
    coarse = (light[..., None] * colour).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def photographed(picture: Floats, chance: Random, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return (S, S, 3) uint8: with a camera's exposure, focus and noise."""
    size, contrast = len(picture), chance.uniform(0.85, 1.1)
    blur, exposure = chance.uniform(0.003, 0.007) * (chance.random() < 0.4), chance.uniform(0.87, 1.12)
    focused = cv2.GaussianBlur(picture, (0, 0), size * blur) if blur else picture
    exposed = focused * np.float32(contrast * exposure) + np.float32(128 * (1 - contrast) + 0.5)
    exposed += rng.standard_normal((size, size, 1), dtype=np.float32) * np.float32(chance.uniform(0, 4))
    return np.asarray(np.clip(exposed, 0, 255), dtype=np.uint8)
