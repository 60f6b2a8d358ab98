"""Boxes keep an identity from frame to frame, and are smoothed.

After Y. Zhang and others, ByteTrack: Multi-Object Tracking by Associating Every Detection Box, ECCV 2022: boxes with
a high score find their track first; those with a low score can only continue a track that is left over, since a face
that is half covered is still that face. What differs: each track is predicted by an alpha-beta filter, which is the
Kalman filter of a constant velocity in its steady state and needs no matrices, and all is per class.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from viewfinder.data.answers import Boxes
from viewfinder.data.boxes import overlaps

__all__ = ["Tracked", "Tracker"]

ALPHA = 0.6
"""How much of what was measured is believed, against what was predicted."""
BETA = ALPHA**2 / (2 - ALPHA)
"""The same for the velocity: the choice that follows its changes best (T. Benedict and G. Bordner, 1962)."""
FIRST, SECOND, UNCONFIRMED = 0.2, 0.5, 0.3
"""Least overlap of a box and a track: with a high score, with a low score, and for a track of one box."""
PATIENCE = 1.0
"""Seconds for which a track that is not seen is kept."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tracked:
    """The boxes of one frame.

    Args:
        boxes: smoothed, the best first.
        identities: a number for each of them, the same for the same thing in other frames; from 1.
        lost: (L, 4) where tracks should be that were seen a moment ago, and are not now.
    """

    boxes: Boxes
    identities: tuple[int, ...]
    lost: NDArray[np.float32]


@dataclass
class _Track:
    """One thing: centre, width and height in pixels, their velocity in pixels a second, and when it was seen."""

    identity: int
    name: str
    state: Floats
    seen: float
    velocity: Floats = field(default_factory=lambda: np.zeros(4))
    hits: int = 1

    def at(self, time: float) -> Floats:
        return self.state + self.velocity * (time - self.seen)

    def follow(self, measured: Floats, time: float) -> None:
        step, predicted = max(time - self.seen, 1e-3), self.at(time)
        self.state = predicted + ALPHA * (measured - predicted)
        self.state[2:] = np.maximum(self.state[2:], 1)
        gain = 1 / step if self.hits == 1 else BETA / step
        self.velocity[:2] += (gain * (measured - predicted))[:2]  # sizes have no inertia
        self.seen, self.hits = time, self.hits + 1


@dataclass(frozen=True)
class _Seen:
    """The boxes of a frame, their centres and sizes (M, 4), and when that was."""

    boxes: Boxes
    states: Floats
    time: float


class Tracker:
    """Gives boxes their identities; call `update` once a frame, in the order of time.

    Args:
        threshold: boxes of a lower score continue tracks, and never begin one.
        patience: seconds for which a thing keeps its identity while it is not seen.
    """

    def __init__(self, threshold: float = 0.0, patience: float = PATIENCE) -> None:
        self.threshold, self.patience = threshold, patience
        self._tracks: list[_Track] = []
        self._count = 0

    def update(self, boxes: Boxes, time: float) -> Tracked:
        """Return the boxes of one frame with identities; `time` is in seconds."""
        self._tracks = [track for track in self._tracks if time - track.seen <= self.patience]
        scores = np.ones(len(boxes)) if boxes.scores is None else boxes.scores
        measured = _centred(boxes.xyxy)
        sound = np.isfinite(measured).all(axis=1) & (measured[:, 2:] > 0).all(axis=1)
        high = [int(row) for row in np.flatnonzero(sound & (scores >= self.threshold))]
        low = [int(row) for row in np.flatnonzero(sound & (scores < self.threshold))]
        left = list(self._tracks)
        seen = _Seen(boxes, measured, time)
        found = _match(seen, high, left, FIRST) | _match(seen, low, left, SECOND)
        found |= {row: self._begun(boxes.classes[row], measured[row], time) for row in high if row not in found}
        return self._told(boxes, found, left, time)

    def _begun(self, name: str, state: Floats, time: float) -> _Track:
        self._count += 1
        track = _Track(self._count, name, state, time)
        self._tracks.append(track)
        return track

    def _told(self, boxes: Boxes, found: dict[int, _Track], left: list[_Track], time: float) -> Tracked:
        rows = sorted(found)
        xyxy = _cornered(np.array([found[row].state for row in rows]).reshape(-1, 4))
        kept = replace(
            boxes,
            xyxy=xyxy,
            classes=tuple(boxes.classes[row] for row in rows),
            scores=None if boxes.scores is None else boxes.scores[rows],
        )
        lost = _cornered(np.array([track.at(time) for track in left]).reshape(-1, 4))
        return Tracked(kept, tuple(found[row].identity for row in rows), lost)


def _match(seen: _Seen, rows: list[int], left: list[_Track], least: float) -> dict[int, _Track]:
    """Give rows the tracks that fit best all in all; those tracks are no longer left, and follow their boxes."""
    if not rows or not left:
        return {}
    there = _cornered(np.stack([track.at(seen.time) for track in left]))
    alike = overlaps(seen.boxes.xyxy[rows], there)
    same = np.array([[seen.boxes.classes[row] == track.name for track in left] for row in rows])
    needed = np.array([least if track.hits > 1 else max(least, UNCONFIRMED) for track in left])
    alike = np.where(same & (alike >= needed), alike, 0)
    pairs = [(rows[i], left[j]) for i, j in zip(*linear_sum_assignment(-alike), strict=True) if alike[i, j] > 0]
    for row, track in pairs:
        left.remove(track)
        track.follow(seen.states[row], seen.time)
    return dict(pairs)


def _centred(xyxy: NDArray[np.float32]) -> Floats:
    """Return centre x, centre y, width, height of boxes (M, 4)."""
    sides = xyxy.astype(np.float64)
    return np.concatenate([(sides[:, :2] + sides[:, 2:]) / 2, sides[:, 2:] - sides[:, :2]], axis=1)


def _cornered(states: Floats) -> NDArray[np.float32]:
    half = states[:, 2:] / 2
    return np.concatenate([states[:, :2] - half, states[:, :2] + half], axis=1).astype(np.float32)
