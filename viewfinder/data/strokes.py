"""Marks on pictures: dots, rings, boxes and words. Truth and prediction differ in form, not in colour alone."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["EDGE", "PREDICTED_COLOUR", "TRUE_COLOUR", "captioned", "corners", "dots", "line", "rectangles", "tags"]

TRUE_COLOUR, PREDICTED_COLOUR = (86, 180, 233), (230, 120, 0)
"""RGB: blue is the truth, orange the prediction, which colour-blind people can tell apart."""
EDGE = (24, 24, 24)
MOST_TAGS, FEW = 60, 3
_SHIFT, _NEAR = 4, 64

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]
Place = tuple[int, int, int, int]


def dots(picture: Picture, xy: NDArray[np.float32], colour: Colour, hollow: bool = False) -> None:
    """Draw dots, or rings where hollow: told apart in black and white; a dark edge shows on light skin."""
    radius = max(1, round(min(picture.shape[:2]) / 90))
    if hollow:
        radius, width = round(1.8 * radius), max(1, radius // 2)
        strokes = [(EDGE, width + 2), (colour, width)] if radius > 3 else [(colour, 1)]
    else:
        strokes = [(EDGE, radius), (colour, -1)] if radius > 1 else [(colour, -1)]
    for point in xy[np.isfinite(xy).all(axis=1)]:
        for stroke, width in strokes:
            cv2.circle(picture, _fixed(point), radius << _SHIFT, stroke, width, cv2.LINE_AA, _SHIFT)


def line(picture: Picture, start: NDArray[np.float32], end: NDArray[np.float32]) -> None:
    """Draw a line from a truth to its prediction, where both are known."""
    if np.isfinite([start, end]).all():
        cv2.line(picture, _fixed(start), _fixed(end), PREDICTED_COLOUR, 1, cv2.LINE_AA, _SHIFT)


def rectangles(picture: Picture, xyxy: NDArray[np.float32], colour: Colour) -> None:
    """Draw boxes (M, 4) as whole rectangles, with a dark edge where they are large enough for one."""
    width = _width(picture)
    for x0, y0, x1, y1 in _on_pixels(picture, xyxy):
        if min(x1 - x0, y1 - y0) > 8 * width:
            cv2.rectangle(picture, (x0, y0), (x1, y1), EDGE, width + 2)
        cv2.rectangle(picture, (x0, y0), (x1, y1), colour, width)


def corners(picture: Picture, xyxy: NDArray[np.float32], colour: Colour) -> None:
    """Draw the four corners of boxes (M, 4), thick enough to be seen below a rectangle at the same place."""
    width = 2 * _width(picture) + 3
    for x0, y0, x1, y1 in _on_pixels(picture, xyxy):
        along, down = (min(3 * side // 10, 6 * width) for side in (x1 - x0, y1 - y0))
        strokes = [(EDGE, width + 2), (colour, width)] if min(x1 - x0, y1 - y0) > 6 * width else [(colour, 3)]
        for stroke, thickness in strokes:
            for x, to_x in ((x0, x0 + along), (x1, x1 - along)):
                for y, to_y in ((y0, y0 + down), (y1, y1 - down)):
                    cv2.polylines(picture, [np.array([(to_x, y), (x, y), (x, to_y)])], False, stroke, thickness)


def tags(
    picture: Picture,
    xyxy: NDArray[np.float32],
    words: Sequence[str],
    paper: Colour = EDGE,
    *,
    below: bool = False,
    taken: list[Place] | None = None,
) -> None:
    """Write words at boxes (M, 4), above or below them, the largest box first.

    None covers another, and where there are many boxes, small ones go without: words would hide the rest.

    Args:
        taken: where words stand already; those written are added.
    """
    scale = max(0.33, min(picture.shape[:2]) / 700)
    ink = (255, 255, 255) if sum(paper) < 300 else EDGE
    taken = [] if taken is None else taken
    known = np.flatnonzero(np.isfinite(xyxy).all(axis=1))
    size = np.ptp(xyxy[known].reshape(-1, 2, 2), axis=1).prod(axis=1)
    for row in known[np.argsort(-size, kind="stable")][:MOST_TAGS].tolist():
        (wide, high), _ = cv2.getTextSize(words[row], cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
        if len(known) > FEW and wide > 2.5 * (xyxy[row, 2] - xyxy[row, 0]):
            continue
        places = _places(picture, xyxy[row], wide + 4, high + 6, below)
        place = next((one for one in places if not any(_meet(one, other) for other in taken)), None)
        if place is None:
            continue
        taken.append(place)
        cv2.rectangle(picture, place[:2], (place[2] - 1, place[3] - 1), paper, -1)
        at = (place[0] + 2, place[3] - 3)
        cv2.putText(picture, words[row], at, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, max(1, round(scale)), cv2.LINE_AA)


def captioned(image: Picture, text: str, colour: Colour) -> Picture:
    """Return an image with a strip of words below it."""
    scale = max(0.35, min(image.shape[:2]) / 400)
    height = int(26 * scale) + 6
    picture = np.pad(image, ((0, height), (0, 0), (0, 0)), constant_values=255)
    at = (3, picture.shape[0] - 6)
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, max(1, round(scale)), cv2.LINE_AA)
    return picture


def _places(picture: Picture, box: NDArray[np.float32], wide: int, high: int, below: bool) -> list[Place]:
    """Return where words may go (x0, y0, x1, y1), the best place first: outside the box, then inside."""
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = (int(side) for side in np.rint(np.clip(box, -1e6, 1e6)))
    lefts = [max(0, min(left, width - wide)) for left in (x0, x1 - wide)]
    above, under, top, bottom = y0 - high, y1, max(0, y0), min(y1, height) - high
    order = (under, above, bottom, top) if below else (above, under, top, bottom)
    return [(x, y, x + wide, y + high) for y in order for x in lefts if 0 <= y <= height - high]


def _meet(one: Place, other: Place) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _width(picture: Picture) -> int:
    return max(1, round(int(min(picture.shape[:2])) / 160))


def _on_pixels(picture: Picture, xyxy: NDArray[np.float32]) -> list[list[int]]:
    """Return the first and the last pixels of boxes: their edges are drawn crisply, inside the box.

    Far outside of the picture they are brought near, since OpenCV would walk along every pixel there.
    """
    height, width = picture.shape[:2]
    limits = np.array([width, height, width, height]) + _NEAR
    whole = np.rint(xyxy[np.isfinite(xyxy).all(axis=1)]).clip(-_NEAR, limits).astype(int)
    whole[:, 2:] = np.maximum(whole[:, 2:] - 1, whole[:, :2])
    rows: list[list[int]] = whole.tolist()
    return rows


def _fixed(point: NDArray[np.float32]) -> tuple[int, int]:
    """Return a place as OpenCV draws it: pixel centres are whole there, in units of 1/16 px here."""
    x, y = np.rint((point - 0.5) * (1 << _SHIFT)).clip(-(1 << 18), 1 << 18).tolist()
    return int(x), int(y)
