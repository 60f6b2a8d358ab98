"""Recipes as plain dictionaries that lie over each other: a base, a file on top of it, budgets and single changes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from viewfinder.errors import RecipeError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["flat", "leave_alone", "leaves", "merged", "nested", "parse_changes", "set_at"]


def flat(changes: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield changes by dotted key where some are tables; a model with a name is another network, and stays whole."""
    for key, value in changes.items():
        if isinstance(value, Mapping) and not (key == "model" and "name" in value):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def leave_alone(values: dict[str, Any], keys: Iterable[str]) -> None:
    """Take from the budgets what somebody has set, be it with the part that it is in."""
    chosen, budgets = tuple(f"{key}." for key in keys), values.get("budgets")
    if not chosen or not isinstance(budgets, (list, tuple)):
        return
    values["budgets"] = [
        {**one, "changes": {key: value for key, value in flat(one["changes"]) if not f"{key}.".startswith(chosen)}}
        if isinstance(one, Mapping) and isinstance(one.get("changes"), Mapping)
        else one
        for one in budgets
    ]


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value that is no table, by dotted key."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def merged(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of both; where both have one, it is that of `above`."""
    both = dict(below)
    for key, value in above.items():
        nested = isinstance(value, Mapping) and isinstance(both.get(key), dict)
        both[key] = merged(both[key], value) if nested else value
    return both


def nested(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes by dotted key as the parts of a recipe that they make."""
    values: dict[str, Any] = {}
    for key, value in changes.items():
        set_at(values, key, value)
    return values


def parse_changes(texts: Iterable[str]) -> dict[str, str]:
    """Return changes for `load_recipe` from texts such as "optim.lr=0.003". Raises RecipeError without a "="."""
    changes = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise RecipeError(f"cannot read {text!r}", where="--set", hint="write it like optim.lr=0.003")
        changes[key.strip()] = value.strip()
    return changes


def set_at(values: dict[str, Any], key: str, value: Any) -> None:
    """Set the value of a dotted key; a text is read as TOML. Raises RecipeError where there is no such part."""
    *parents, last = key.split(".")
    part = values
    for parent in parents:
        part = part.setdefault(parent, {})
        if not isinstance(part, dict):
            raise RecipeError(f"unknown key {key!r}", hint=f"{parent!r} is a value, not a part of the recipe")
    part[last] = _parsed(value) if isinstance(value, str) else value


def _parsed(text: str) -> Any:
    """Read a value as TOML would; what is not TOML is a plain word. "none" stands for no value."""
    if text.lower() == "none":
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
