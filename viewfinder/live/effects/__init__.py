"""What can be drawn on faces: one small file each, one line each in the table.

An effect changes a frame in place, inside a face and close around it, and leaves a face alone whose points are unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.answers import Answer, Boxes, Points
from viewfinder.errors import InputError, nearest
from viewfinder.live.chain import Chain
from viewfinder.live.effects.big_eyes import big_eyes
from viewfinder.live.effects.blur import blur
from viewfinder.live.effects.eyes import EYES
from viewfinder.live.effects.glasses import glasses
from viewfinder.live.scene import Face, Scene

__all__ = ["EFFECTS", "Effect", "applied", "find_effect"]


_RIM = np.array([-0.4, -0.4, 0.4, 0.4], dtype=np.float32)
"""A face around its points: how much larger than them, in shares of their extent."""


@dataclass(frozen=True)
class Effect:
    """How one face is drawn into an RGB picture, and which points that needs."""

    name: str
    draw: Callable[[NDArray[np.uint8], Face], None]
    needs: Sequence[str] = ()
    lost_too: bool = False
    """Whether it is drawn, too, where a face was seen a moment ago: nobody's face shall be seen for a single frame."""


EFFECTS = {
    effect.name: effect
    for effect in (
        Effect("glasses", glasses, EYES),
        Effect("big-eyes", big_eyes, EYES),
        Effect("blur", blur, lost_too=True),
    )
}


def find_effect(name: str, chain: Chain) -> Effect:
    """Return an effect that a chain's answers are enough for. Raises InputError."""
    if name not in EFFECTS:
        raise InputError(f"no effect is called {name!r}", where="--effect", hint=nearest(name, EFFECTS))
    effect, about = EFFECTS[name], chain.model.about
    if about.answer not in (Boxes.kind, Points.kind):
        raise InputError(f"answers {about.answer}", where=chain.model.path, hint=f"{name} needs faces: boxes or points")
    missing = [point for point in effect.needs if point not in chain.point_names]
    if missing and not chain.point_names:
        hint = "give a model of keypoints with --points"
        raise InputError(f"{name} needs the points {', '.join(missing)}", where="--effect", hint=hint)
    if missing:
        where = (chain.points or chain.model).path
        raise InputError(f"has no point {' and no point '.join(missing)}", where=where, hint=f"{name} needs it")
    return effect


def applied(effect: Effect, image: NDArray[np.uint8], answer: Answer | Scene) -> NDArray[np.uint8]:
    """Return a copy of an RGB frame (H, W, 3) with an effect on every face."""
    picture = image.copy()
    for face in _faces(answer):
        effect.draw(picture, face)
    if effect.lost_too and isinstance(answer, Scene):
        for box in answer.lost:
            effect.draw(picture, Face(box, None))
    return picture


def _faces(answer: Answer | Scene) -> list[Face]:
    if isinstance(answer, Scene):
        return answer.faces
    if isinstance(answer, Points) and np.isfinite(answer.xy).all(axis=1).any():
        known = answer.xy[np.isfinite(answer.xy).all(axis=1)]
        low, high = known.min(axis=0), known.max(axis=0)
        return [Face(np.concatenate([low, high]) + (high - low).max() * _RIM, answer)]
    return []
