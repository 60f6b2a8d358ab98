"""viewfinder recipes: the recipes that come with viewfinder."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["recipes"]


def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this recipe's file, to copy and change it.")] = None,
) -> None:
    """List the recipes, one line each, or print one.

    Example:

        viewfinder recipes digits > my.toml
    """
    from viewfinder.config import load_recipe, recipe_names, recipe_text
    from viewfinder.errors import RecipeError

    if name is not None and name.endswith(".toml"):
        load_recipe(name)  # says what is wrong with it, if it is there at all
        hint = "`viewfinder summary` shows the network that it makes"
        raise RecipeError("is a file of your own, not one of our recipes", where=name, hint=hint)
    if name is not None:
        typer.echo(recipe_text(name), nl=False)
        return
    known = [load_recipe(name) for name in recipe_names()]
    width = max(len(recipe.name) for recipe in known)
    for recipe in known:
        typer.echo(f"{recipe.name:{width}}  {recipe.about}")
