"""What `run.json` says of a training, and whether it still says so."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import cv2
import numpy as np
import torch

import viewfinder
from viewfinder.config import as_json
from viewfinder.data.dataset import Dataset
from viewfinder.errors import RunError
from viewfinder.training.distributed import launch
from viewfinder.training.loop import Session
from viewfinder.training.remembered import about
from viewfinder.training.run import Run

__all__ = ["check_unchanged", "record"]


def record(session: Session, parts: Mapping[str, Dataset], threads: int, number: int) -> dict[str, Any]:
    """Return what `run.json` says of a training that begins.

    Args:
        session: the training.
        parts: its samples, by part.
        threads: how many torch uses.
        number: which training of its process it is, from 1.
    """
    recipe = as_json(session.recipe)
    return {
        "recipe": recipe,
        "recipe_digest": _digest(recipe),
        "names": list(parts["train"].names),
        "data": {name: about(part, session.recipe) for name, part in parts.items()},
        "seed": session.recipe.train.seed,
        "parameters": sum(p.numel() for p in session.network.parameters()),
        "device": str(session.device),
        "threads": threads,
        "processes": session.team.size,
        "versions": {
            "viewfinder": viewfinder.__version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "opencv": cv2.__version__,
        },
        "launch": launch(),
        "number": number,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def check_unchanged(run: Run) -> None:
    """Raise RunError where the recipe of a run is not the one that it began with: its checkpoint is of that one."""
    if run.info.get("recipe_digest") not in (None, _digest(run.info["recipe"])):
        hint = "undo the change, or train a new run with `--set`"
        raise RunError("the recipe was changed after the training began", where=run.folder / "run.json", hint=hint)


def _digest(recipe: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(recipe, sort_keys=True).encode(), digest_size=16).hexdigest()
