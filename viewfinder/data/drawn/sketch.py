"""A sketch: what is to be painted on a head, in the head's own frame, then projected and painted at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.data.drawn.head import Curve, Head
from viewfinder.data.drawn.person import Colour

__all__ = ["Sketch"]

Fixed = NDArray[np.int32]
Floats = NDArray[np.float32]

_FINE = 2
_BITS = 4  # of a pixel's fraction in OpenCV's drawing functions
_NEUTRAL = 128


class Sketch:
    """Strokes on one head, painted in the order in which they were made.

    Curves are (P, 2) on the head's surface, `height` above it, or (P, 3) in the head's frame. Widths and
    radii are in the head's units. Projecting all curves in one go is what makes drawing fast.
    """

    def __init__(self, head: Head, size: int) -> None:
        self.head, self.size = head, size
        self._surface: list[Curve] = []
        self._heights: list[float] = []
        self._space: list[Curve] = []
        self._strokes: list[tuple[bool, int, Callable[[list[Fixed]], object]]] = []
        self._layer = np.zeros((_FINE * size, _FINE * size, 4), dtype=np.uint8)
        self._soft = np.full((size, size), _NEUTRAL, dtype=np.uint8)

    def fill(self, outline: Curve, colour: Colour, height: float = 0.0) -> None:
        """Fill an outline."""
        ink = (*colour, 255)
        self._add([outline], height, lambda fixed: cv2.fillPoly(self._layer, fixed, ink, cv2.LINE_AA, _BITS))

    def fill_hull(self, points: Curve, colour: Colour) -> None:
        """Fill the convex outline of points."""
        ink = (*colour, 255)

        def paint(fixed: list[Fixed]) -> None:
            cv2.fillConvexPoly(self._layer, cv2.convexHull(fixed[0]), ink, cv2.LINE_AA, _BITS)

        self._add([points], 0.0, paint)

    def stroke(self, curves: Sequence[Curve], colour: Colour, width: float, height: float = 0.0) -> None:
        """Draw open curves."""
        ink, thick = (*colour, 255), max(1, round(_FINE * width * self.head.pose.scale))
        paint = lambda fixed: cv2.polylines(self._layer, fixed, False, ink, thick, cv2.LINE_AA, _BITS)  # noqa: E731
        self._add(curves, height, paint)

    def dots(self, centres: Curve, radius: float, colour: Colour, height: float = 0.0) -> None:
        """Fill circles."""
        ink, grown = (*colour, 255), max(1, round(_FINE * radius * self.head.pose.scale * (1 << _BITS)))

        def paint(fixed: list[Fixed]) -> None:
            for at in fixed[0].tolist():
                cv2.circle(self._layer, at, grown, ink, -1, cv2.LINE_AA, _BITS)

        self._add([centres], height, paint)

    def shade(self, outline: Curve, factor: float, height: float = 0.0) -> None:
        """Darken (below 1) or lighten what lies in an outline; the edge will be soft."""
        ink = round(_NEUTRAL * factor)

        def paint(fixed: list[Fixed]) -> None:
            cv2.fillPoly(self._soft, [fixed[0] // _FINE], ink, cv2.LINE_AA, _BITS)

        self._add([outline], height, paint)

    def over(self, background: Floats, light: Floats) -> Floats:
        """Return (S, S, 3): the sketch in `light` (S, S, 3) over a background (S, S, 3)."""
        self._paint()
        paint = cv2.resize(self._layer, (self.size, self.size), interpolation=cv2.INTER_AREA).astype(np.float32)
        soft = cv2.GaussianBlur(self._soft, (0, 0), self.size / 55).astype(np.float32)
        light *= soft[..., None] / _NEUTRAL
        return np.asarray(paint[..., :3] * light + background * (1 - paint[..., 3:] / 255))

    def _add(self, curves: Sequence[Curve], height: float, paint: Callable[[list[Fixed]], object]) -> None:
        flat = curves[0].shape[1] == 2
        (self._surface if flat else self._space).extend(curves)
        self._heights += [height] * len(curves) * flat
        self._strokes.append((flat, len(curves), paint))

    def _paint(self) -> None:
        heights = np.repeat(self._heights, [len(curve) for curve in self._surface])
        lifted = self.head.lifted(np.concatenate(self._surface), heights)
        fixed = _fixed(self.head.seen(np.concatenate([lifted, *self._space])))
        ends = np.cumsum([len(curve) for curve in (*self._surface, *self._space)])
        pieces = np.split(fixed, ends[:-1])
        surface, space = iter(pieces[: len(self._surface)]), iter(pieces[len(self._surface) :])
        for flat, count, paint in self._strokes:
            paint([next(surface if flat else space) for _ in range(count)])


def _fixed(points: Curve) -> Fixed:
    """OpenCV counts pixel centres, which lie half a pixel inside."""
    return np.rint((points * _FINE - 0.5) * (1 << _BITS)).astype(np.int32)
