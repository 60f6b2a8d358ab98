"""Everything that viewfinder raises on purpose.

    ViewfinderError
    ├── InputError              what the user gave cannot be used           exit code 2
    │   ├── DataError           a path, a file, a row or a column
    │   ├── UnreachableError    a storage, a disk or a server that does not answer
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
import reprlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = [
    "CheckError",
    "DataError",
    "ExportError",
    "InputError",
    "ModelFileError",
    "NonFiniteError",
    "RecipeError",
    "RunError",
    "UnreachableError",
    "ViewfinderError",
    "nearest",
    "refused",
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


class UnreachableError(InputError):
    """What the data lies on does not answer now, as after a lost connection; nothing is known of the file itself."""


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


_EXPECTED = {
    **dict.fromkeys(["int_type", "int_parsing", "int_parsing_size", "int_from_float"], "a whole number"),
    **dict.fromkeys(["float_type", "float_parsing"], "a number"),
    **dict.fromkeys(["bool_type", "bool_parsing"], "true or false"),
    **dict.fromkeys(["list_type", "tuple_type"], "a list"),
    **dict.fromkeys(["dict_type", "model_type"], "a table"),
    "string_type": "a text",
    "finite_number": "a finite number",
    "literal_error": "{expected}",
    "greater_than": "more than {gt:.10g}",
    "greater_than_equal": "at least {ge:.10g}",
    "less_than": "less than {lt:.10g}",
    "less_than_equal": "at most {le:.10g}",
}
"""In plain words what pydantic wants, by its kinds of errors; in brackets what their context knows."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the hint for an unknown name: the nearest known one, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"


def refused(
    error: ValidationError, keys: Callable[[Sequence[str | int]], Iterable[str]], where: str, under: str = ""
) -> RecipeError:
    """Return what is wrong first in values that a model refused.

    A key that nobody knows comes before one that is missing: often they are the same. Then the innermost comes first.

    Args:
        error: its refusal.
        keys: returns which ones there are in the part at a path; none where it has no fixed ones.
        where: whose values they are.
        under: the key that the values are the table of.
    """
    first = min(error.errors(), key=lambda one: (one["type"] != "extra_forbidden", -len(one["loc"])))
    kind, got = first["type"], first["input"]
    path: list[str | int] = []
    for part in first["loc"]:  # it has names of kinds as well, where several are possible
        if isinstance(part, int) or part in keys(path) or kind == "extra_forbidden":
            path.append(part)
    key = ".".join(filter(None, [under, *(part if isinstance(part, str) else str(part + 1) for part in path)]))
    if kind == "extra_forbidden":
        return RecipeError(f"unknown key {key!r}", where=where, hint=nearest(str(path[-1]), keys(path[:-1])))
    if kind == "missing":
        return RecipeError(f"{key} is missing", where=where)
    if kind in _EXPECTED:
        expected = _EXPECTED[kind].format(**first.get("ctx", {}))
        return RecipeError(f"{key}: expected {expected}, got {_seen(got)}", where=where)
    what = first["msg"].removeprefix("Value error, ")
    given = "" if isinstance(got, dict) else f", got {_seen(got)}"
    return RecipeError(f"{key}: {what[:1].lower()}{what[1:]}{given}", where=where)


def _seen(value: object) -> str:
    """Return a value as a recipe has it; a table, and what is long, in short."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return "a table" if isinstance(value, dict) else reprlib.repr(value)
