"""Every chart can be drawn, whatever the names and the numbers."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from viewfinder.evaluate.plots import DARK, DRAW, LIGHT, picture
from viewfinder.tasks.sections import Bars, Lines, Matrix

NAMES = ("$x^2$", "a $ b", "顔", "<b>bold</b>", "a very long name of a class that does not end soon", "_", "\\frac")
CURVE = (np.array([0.1, 0.5, 0.9]), np.array([0.2, np.nan, 0.8]))
SECTIONS = {
    "bars": Bars("Bars", NAMES, [1.0, 2.5, 0.0, float("nan"), 1234.0, 1234.5, 7.0], "px"),
    "shares": Bars("Shares", ("a", "b"), [0.25, 1.0], "%"),
    "negative": Bars("Signed", ("a", "b"), [-0.5, 0.25]),
    "nothing": Bars("Zero", ("a",), [0]),
    "matrix": Matrix("Matrix", NAMES, np.arange(49).reshape(7, 7)),
    "perfect": Matrix("Perfect", ("a", "b"), np.diag([3, 4])),
    "many": Matrix("Many", tuple(f"class {i}" for i in range(60)), np.eye(60, dtype=int)),
    "lines": Lines("Lines", {NAMES[0]: CURVE, NAMES[2]: CURVE}, "$x", "y$", diagonal=True),
}


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_becomes_a_picture(name: str) -> None:
    section = SECTIONS[name]
    made = picture(section.title, section.about, lambda look: DRAW[type(section)](section, look))
    light, dark = (cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR) for png in (made.light, made.dark))
    assert light.shape == dark.shape == (2 * made.height, 2 * made.width, 3)
    assert light.mean() > 160 and dark.mean() < 100
    assert light.std() > 5


def test_the_two_looks_differ_in_every_colour() -> None:
    assert not set(vars(LIGHT).values()) & set(vars(DARK).values())
