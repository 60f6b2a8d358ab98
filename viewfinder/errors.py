"""Everything that viewfinder raises on purpose.

    ViewfinderError
    ├── InputError              what the user gave cannot be used           exit code 2
    │   ├── DataError           a path, a file, a row or a column
    │   ├── RecipeError         a recipe, a key or a value in it
    │   ├── RunError            a run folder or a checkpoint
    │   └── ModelFileError      a model file
    └── CheckError              the input is fine, the answer is "no"       exit code 1
        ├── ExportError         the exported model disagrees with the trained one
        └── NonFiniteError      the loss became NaN or infinite

Every message is one line in three parts: where it is, what is wrong, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "CheckError",
    "DataError",
    "ExportError",
    "InputError",
    "ModelFileError",
    "NonFiniteError",
    "RecipeError",
    "RunError",
    "ViewfinderError",
    "nearest",
]


class ViewfinderError(Exception):
    """The root of the tree.

    Args:
        what: what is wrong, a phrase without a full stop.
        where: the file, row, column or key that it is about, if any.
        hint: what to do about it, if there is something to do.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: object = "", hint: str = "") -> None:
        self.what, self.where, self.hint = what, str(where), hint
        line = f"{self.where}: {what}" if self.where else what
        super().__init__(" ".join(f"{line}; {hint}".split()) if hint else " ".join(line.split()))


class InputError(ViewfinderError):
    """What the user gave cannot be used."""

    exit_code = 2


class DataError(InputError):
    """A path, a file, a row or a column cannot be used as data."""


class RecipeError(InputError):
    """A recipe is unknown, or a key or a value in it is wrong."""


class RunError(InputError):
    """A run folder or a checkpoint is missing, damaged, in the way, or belongs to other data."""


class ModelFileError(InputError):
    """A model file is missing, damaged, or was not made by viewfinder."""


class CheckError(ViewfinderError):
    """The input is fine, and the answer is "no"."""


class ExportError(CheckError):
    """The exported model disagrees with the trained one."""


class NonFiniteError(CheckError):
    """The loss became NaN or infinite: at `step`, with the batch made of `rows` (where each comes from)."""

    def __init__(self, what: str, *, where: object = "", hint: str = "", step: int = 0, rows: list[str]) -> None:
        super().__init__(what, where=where, hint=hint)
        self.step, self.rows = step, rows


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the hint for an unknown name: the nearest known one, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"
