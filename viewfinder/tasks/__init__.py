"""The tasks, by name. A new one is one file and one line in this table."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from viewfinder.errors import RecipeError, nearest

if TYPE_CHECKING:
    from viewfinder.config import Recipe
    from viewfinder.tasks.base import Task

__all__ = ["TASKS", "create"]

TASKS = {
    "classify": "viewfinder.tasks.classify:Classify",
    "keypoints": "viewfinder.tasks.keypoints:Keypoints",
}


def create(recipe: Recipe, names: Sequence[str]) -> Task:
    """Return the recipe's task for a dataset's names. Raises RecipeError for an unknown one."""
    if recipe.task not in TASKS:
        raise RecipeError(f"unknown task {recipe.task!r}", where=recipe.name, hint=nearest(recipe.task, TASKS))
    module, name = TASKS[recipe.task].split(":")
    task: Task = getattr(import_module(module), name)(recipe, names)
    return task
