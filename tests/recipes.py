"""The recipes that can be run here."""

from __future__ import annotations

from importlib import import_module

import pytest

from viewfinder.config import recipe_names

__all__ = ["RECIPES", "WHY_NO_TIMM"]

try:
    import_module("timm")
    WHY_NO_TIMM = ""
except (ImportError, RuntimeError) as error:
    WHY_NO_TIMM = f"timm does not import here: {error}"

_NEEDS_TIMM = pytest.mark.skipif(bool(WHY_NO_TIMM), reason=WHY_NO_TIMM)
RECIPES = [pytest.param(name, marks=_NEEDS_TIMM) if "timm" in name else name for name in recipe_names()]
