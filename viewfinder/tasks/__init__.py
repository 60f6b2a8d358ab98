"""The tasks, by name. A new one is one file and one line in this table."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from viewfinder.errors import RecipeError, nearest

if TYPE_CHECKING:
    from viewfinder.config import Recipe
    from viewfinder.tasks.base import Task

__all__ = ["TASKS", "create", "learns_from", "usual_names"]

TASKS = {
    "classify": "viewfinder.tasks.classify:Classify",
    "keypoints": "viewfinder.tasks.keypoints:Keypoints",
    "detect": "viewfinder.tasks.detect:Detect",
    "locate": "viewfinder.tasks.locate:Locate",
}


def create(recipe: Recipe, names: Sequence[str]) -> Task:
    """Return the recipe's task for a dataset's names.

    Raises RecipeError for an unknown one, and where it cannot do what the recipe asks for.
    """
    kind = _kind(recipe)
    if recipe.predict.size is not None and not kind.any_size:
        what = f"{recipe.task} answers at the size that it was trained at"
        raise RecipeError(what, where="predict.size", hint="leave it out, or set data.size")
    return kind(recipe, names)


def usual_names(recipe: Recipe) -> tuple[str, ...]:
    """Return as many names as the usual dataset of the recipe's task has."""
    return _kind(recipe).usual_names


def learns_from(recipe: Recipe) -> str:
    """Return the kind of dataset that the recipe's task learns from."""
    return _kind(recipe).learns_from


def _kind(recipe: Recipe) -> type[Task]:
    if recipe.task not in TASKS:
        raise RecipeError(f"unknown task {recipe.task!r}", where=recipe.name, hint=nearest(recipe.task, TASKS))
    module, name = TASKS[recipe.task].split(":")
    kind: type[Task] = getattr(import_module(module), name)
    return kind
