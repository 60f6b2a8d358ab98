"""An optimiser goes with its rate: what is good for one ruins what another learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from viewfinder.layers import leave_alone

__all__ = ["USUAL", "forget_rate"]

USUAL = {"muon": {"lr": 0.01, "momentum": 0.95}, "sgd": {"lr": 0.05}, "rmsprop": {"lr": 0.001}}
"""What an optimiser takes where nobody says; where this says nothing, the defaults hold."""


def forget_rate(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    """Take rate and momentum from a recipe, and from its budgets, where what lies above names another optimiser."""
    ours, theirs = below.get("optim", {}), above.get("optim")
    if not isinstance(ours, dict) or not isinstance(theirs, Mapping):
        return
    before = ours.get("name", "adamw")
    if theirs.get("name", before) != before:
        ours.pop("lr", None)
        ours.pop("momentum", None)
        leave_alone(below, ["optim.lr", "optim.momentum"])
