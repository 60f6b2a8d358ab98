"""What shape a set's points usually have, and which samples do not fit it.

Points are complex numbers here, in shares of the image's side: a multiplication turns and scales a shape, an addition
moves it, so the best fit of one shape on another has a closed form. The usual shape is the median of all samples after
each was fitted to it; points that do not fit count less in the next round (Cauchy weights): no slip hides itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.targets import flip_order

__all__ = ["FAR", "Shapes"]

Complex = NDArray[np.complex128]
Numbers = NDArray[np.float64]
UNKNOWN = complex(np.nan, np.nan)
ROUNDS, FEWEST_POINTS, FEWEST_SAMPLES = 5, 3, 20
FAR = 10.0
"""Robust z-score of a strange point: of 6,273 real faces 31 have one, most of them seen from the side."""
FINEST = 0.003
"""The least spread of a coordinate, as a share of the side: drawn shapes may have none at all."""
CLEARLY = 4.0
"""How many times smaller the squared distance must be the other way round."""


@dataclass(frozen=True)
class Shapes:
    """N shapes of K points.

    Args:
        given: (N, K) as annotated, NaN where not.
        aligned: (N, K) fitted to the usual shape, NaN for samples of fewer than 3 points.
        usual: (K,) the median of the aligned ones.
    """

    given: Complex
    aligned: Complex
    usual: Complex

    @classmethod
    def of(cls, xy: Numbers) -> Shapes:
        """Return the shapes of points (N, K, 2)."""
        given = xy[..., 0] + 1j * xy[..., 1]
        given[np.isnan(given)] = UNKNOWN
        usual = _median(given)
        known = ~np.isnan(given) & ~np.isnan(usual)
        known &= known.sum(axis=1, keepdims=True) >= FEWEST_POINTS
        weights, aligned = known.astype(float), given
        for _ in range(ROUNDS):
            aligned = _fitted(given, usual, weights)
            usual = _median(aligned)
            distance = np.abs(aligned - usual)
            spread = np.maximum(_median_of(distance), FINEST)
            weights = np.where(known, 1 / (1 + (distance / (3 * spread)) ** 2), 0.0)
        return cls(given, aligned, usual)

    def strange(self) -> list[tuple[int, int, float]]:
        """Return (row, point, robust z-score) of each sample with a point far from the others', the strangest first."""
        if len(self.given) < FEWEST_SAMPLES:
            return []
        scores = np.nan_to_num(np.maximum(_z_scores(self.aligned), np.nan_to_num(_z_scores(self.given))))
        points = scores.argmax(axis=1)
        worst = scores[np.arange(len(scores)), points]
        rows = np.flatnonzero(worst > FAR)
        rows = rows[np.argsort(-worst[rows], kind="stable")]
        return [(int(row), int(points[row]), float(worst[row])) for row in rows]

    def swapped(self, names: Sequence[str]) -> dict[int, list[tuple[int, int]]]:
        """Return by row the pairs of points, by the names' left and right, that fit the other way round."""
        order = flip_order(names)
        pairs = [(i, int(k)) for i, k in enumerate(order) if i < k]
        if not pairs or len(self.given) < FEWEST_SAMPLES:
            return {}
        whole = self._misfit(self.given) > CLEARLY * self._misfit(self.given[:, order])
        found = {int(row): self._annotated(int(row), pairs) for row in np.flatnonzero(whole)}
        for left, right in pairs:
            here, there = self.aligned[:, [left, right]], self.usual[[left, right]]
            as_given = (np.abs(here - there) ** 2).sum(axis=1)
            exchanged = (np.abs(here - there[::-1]) ** 2).sum(axis=1)
            for row in np.flatnonzero((as_given > CLEARLY * exchanged) & ~whole).tolist():
                found.setdefault(row, []).append((left, right))
        return found

    def _misfit(self, given: Complex) -> Numbers:
        """Return (N,) the mean squared distance of shapes from the usual one after fitting."""
        known = ~np.isnan(given) & ~np.isnan(self.usual)
        known &= known.sum(axis=1, keepdims=True) >= FEWEST_POINTS
        distance = np.abs(_fitted(given, self.usual, known.astype(float)) - self.usual) ** 2
        return np.asarray(np.nansum(np.where(known, distance, 0), axis=1) / np.maximum(known.sum(axis=1), 1))

    def _annotated(self, row: int, pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        return [pair for pair in pairs if not np.isnan(self.given[row, list(pair)]).any()]


def _fitted(shapes: Complex, onto: Complex, weights: Numbers) -> Complex:
    """Return shapes (N, K) turned, scaled and moved onto one (K,) by least squares; UNKNOWN where weights are 0."""
    values, target = np.where(weights > 0, shapes, 0), np.where(np.isnan(onto), 0, onto)
    total = np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    centre = (weights * values).sum(axis=1, keepdims=True) / total
    goal = (weights * target).sum(axis=1, keepdims=True) / total
    own, wanted = values - centre, target - goal
    size = np.maximum((weights * np.abs(own) ** 2).sum(axis=1, keepdims=True), 1e-12)
    turn = (weights * own.conj() * wanted).sum(axis=1, keepdims=True) / size
    return np.where(weights > 0, turn * own + goal, UNKNOWN)


def _z_scores(shapes: Complex) -> Numbers:
    """Return (N, K) how far each point is from the median in units of the usual spread: in x or y, the larger one."""
    away = shapes - _median(shapes)
    spread_x, spread_y = (1.4826 * _median_of(np.abs(part)) for part in (away.real, away.imag))
    x = np.abs(away.real) / np.maximum(spread_x, FINEST)
    y = np.abs(away.imag) / np.maximum(spread_y, FINEST)
    return np.asarray(np.maximum(x, y))


def _median(shapes: Complex) -> Complex:
    return np.asarray(_median_of(shapes.real) + 1j * _median_of(shapes.imag))


def _median_of(values: Numbers) -> Numbers:
    """Return the median over the samples, NaN for a point that no sample has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmedian(values, axis=0))
