"""Identities from frame to frame."""

from __future__ import annotations

import numpy as np
import pytest

from viewfinder.data.answers import Boxes
from viewfinder.data.boxes import overlaps
from viewfinder.live.tracker import Tracked, Tracker

STEP = 1 / 25


def boxes(*things: tuple[float, float, float, float], names: str = "", scores: list[float] | None = None) -> Boxes:
    """Return boxes given as centre and sides, each of class "a" or as in `names`."""
    given = np.array(things, dtype=np.float32).reshape(-1, 4)
    xyxy = np.concatenate([given[:, :2] - given[:, 2:] / 2, given[:, :2] + given[:, 2:] / 2], axis=1)
    classes = tuple(names or "a" * len(things))
    return Boxes(xyxy, classes, ("a", "b"), np.array(scores or [0.9] * len(things), dtype=np.float32))


def by_identity(tracked: Tracked) -> dict[int, float]:
    """Return where each thing is: the x of its middle."""
    middles = (tracked.boxes.xyxy[:, 0] + tracked.boxes.xyxy[:, 2]) / 2
    return dict(zip(tracked.identities, middles.tolist(), strict=True))


def test_two_things_that_cross_keep_their_identities() -> None:
    tracker = Tracker()
    for i in range(60):  # they pass each other in the middle, one a little higher
        order = [(40 + 4 * i, 100, 40, 60), (276 - 4 * i, 112, 40, 60)]
        there = tracker.update(boxes(*(order if i % 2 else order[::-1])), i * STEP)
        assert len(there.identities) == 2
        if i == 0:
            left, right = sorted(there.identities, key=by_identity(there).__getitem__)
    places = by_identity(there)
    assert set(places) == {left, right}
    assert places[left] == pytest.approx(276, abs=3) and places[right] == pytest.approx(40, abs=3)


def test_a_short_occlusion_keeps_the_identity_of_what_moves_on() -> None:
    tracker, seen = Tracker(), []
    for i in range(40):
        hidden = 15 <= i < 25
        there = tracker.update(boxes() if hidden else boxes((20 + 6 * i, 90, 50, 50)), i * STEP)
        seen.append(there.identities)
        if hidden:
            ((x0, _, x1, _),) = there.lost
            assert (x0 + x1) / 2 == pytest.approx(20 + 6 * i, abs=4)
    assert {one for identities in seen for one in identities} == {1}


def test_what_was_away_for_long_is_something_new() -> None:
    tracker = Tracker(patience=0.5)
    assert tracker.update(boxes((50, 50, 40, 40)), 0.0).identities == (1,)
    assert tracker.update(boxes((50, 50, 40, 40)), 0.6).identities == (2,)


def test_two_classes_at_one_place_are_two_things() -> None:
    tracker, first = Tracker(), {}
    for i in range(5):
        there = tracker.update(boxes((50, 50, 40, 40), (50, 50, 40, 40), names="ab" if i % 2 else "ba"), i * STEP)
        named = dict(zip(there.boxes.classes, there.identities, strict=True))
        first = first or named
        assert named == first and len(set(named.values())) == 2


def test_a_weak_box_continues_a_thing_and_never_begins_one() -> None:
    tracker = Tracker(threshold=0.5)
    assert tracker.update(boxes((50, 50, 40, 40), scores=[0.3]), 0.0).identities == ()
    assert tracker.update(boxes((50, 50, 40, 40), scores=[0.8]), STEP).identities == (1,)
    there = tracker.update(boxes((51, 50, 40, 40), scores=[0.3]), 2 * STEP)
    assert there.identities == (1,) and there.boxes.scores is not None and there.boxes.scores[0] == np.float32(0.3)
    assert tracker.update(boxes((250, 50, 40, 40), scores=[0.3]), 3 * STEP).identities == ()


def test_boxes_tremble_less_than_what_was_measured_and_do_not_lag_behind() -> None:
    rng, tracker = np.random.default_rng(3), Tracker()
    truth = np.array([[60 + 5 * i, 80 + 2 * i, 60, 70] for i in range(120)], dtype=float)
    noisy = truth + rng.normal(0, 2, truth.shape)
    told, true, raw = [], [], []
    for i in range(120):
        there = tracker.update(boxes(tuple(noisy[i])), i * STEP)
        told.append(there.boxes.xyxy[0])
        true.append(boxes(tuple(truth[i])).xyxy[0])
        raw.append(boxes(tuple(noisy[i])).xyxy[0])
    error, before = (np.array(one)[10:] - np.array(true)[10:] for one in (told, raw))
    assert np.abs(np.diff(error, axis=0)).mean() < 0.85 * np.abs(np.diff(before, axis=0)).mean()
    assert error.std() < before.std() and np.abs(error.mean(axis=0)).max() < 0.8
    assert np.diag(overlaps(np.array(told), np.array(true)))[10:].min() > 0.8


def test_frames_that_were_dropped_do_not_matter() -> None:
    tracker, times = Tracker(), np.cumsum(np.random.default_rng(5).choice([1, 2, 5], 30)) * STEP
    for time in times:
        there = tracker.update(boxes((100 + 60 * time, 90, 50, 50)), float(time))
    assert there.identities == (1,)
    assert by_identity(there)[1] == pytest.approx(100 + 60 * times[-1], abs=1)


def test_nothing_and_what_is_no_box_are_no_trouble() -> None:
    tracker = Tracker()
    assert tracker.update(boxes(), 0.0).identities == ()
    broken = boxes((50, 50, 40, 40), (np.nan, 50, 40, 40), (90, 50, 0, 40))
    assert tracker.update(broken, STEP).identities == (1,)
    assert tracker.update(boxes((50, 50, 40, 40)), STEP).identities == (1,), "the same moment twice"


def test_hundreds_of_things_are_followed() -> None:
    tracker = Tracker()
    grid = [(20 + 30 * (i % 20), 20 + 30 * (i // 20), 24.0, 24.0) for i in range(300)]
    for i in range(4):
        there = tracker.update(boxes(*[(x + 2 * i, y, w, h) for x, y, w, h in grid]), i * STEP)
    assert sorted(there.identities) == list(range(1, 301))
