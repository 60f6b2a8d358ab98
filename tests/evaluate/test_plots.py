"""Every chart can be drawn, whatever the names and the numbers."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from viewfinder.config import load_recipe
from viewfinder.evaluate.history import Curves, History, judge
from viewfinder.evaluate.plots import DARK, DRAW, LIGHT, loss, picture
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
    "marked": Lines("Marked", {f"line {i}": CURVE for i in range(9)}, "x", "y", mark=0.5),
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


def test_no_two_lines_of_a_chart_look_the_same() -> None:
    styles = [(colour, str(dashes)) for colour, dashes, _ in LIGHT.cycle]
    assert len(set(styles)) == len(styles) == 8


def history(parts: tuple[str, ...], steps: int = 8) -> History:
    epochs, every = np.arange(1.0, 5), np.linspace(0.1, 4, steps)
    curves = Curves(1 / epochs, 1.2 / epochs, np.where(every < 1, np.nan, 1 / every))
    return History(
        epochs, curves.train, curves.val, {}, 2.0, every, curves.steps, every / 100, dict.fromkeys(parts, curves)
    )


@pytest.mark.parametrize("parts", [(), ("localisation",), ("$classification", "localisation", "a_b")])
@pytest.mark.parametrize("steps", [0, 8])
def test_every_part_of_a_loss_has_a_panel_of_its_own_with_training_and_validation(
    parts: tuple[str, ...], steps: int
) -> None:
    went = history(parts, steps)
    figure = loss(went, judge(went, load_recipe("digits")), LIGHT)
    panels = [axes for axes in figure.axes if axes.get_ylabel().endswith("loss")]
    expected = ["total loss", *(f"{name} loss" for name in parts)] if parts else ["loss"]
    assert [axes.get_ylabel() for axes in panels] == expected
    for axes in panels:
        assert [line.get_label() for line in axes.lines][1:3] == ["training", "validation"]
    assert len(figure.axes) == len(panels) + (steps > 1)


def test_panels_side_by_side_want_a_row_of_their_own() -> None:
    for parts, wide in (((), False), (("classification", "localisation"), True)):
        went = history(parts)
        inches = loss(went, judge(went, load_recipe("digits")), LIGHT).get_size_inches()[0]
        assert (inches > 5) == wide
