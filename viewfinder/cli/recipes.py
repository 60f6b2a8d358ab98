"""viewfinder recipes: the recipes that come with viewfinder."""

from __future__ import annotations

import typer

__all__ = ["recipes"]


def recipes() -> None:
    """List the recipes, one line each.

    Example:

        viewfinder recipes
    """
    from viewfinder.config import load_recipe, recipe_names

    known = [load_recipe(name) for name in recipe_names()]
    width = max(len(recipe.name) for recipe in known)
    for recipe in known:
        typer.echo(f"{recipe.name:{width}}  {recipe.about}")
