"""Where a run comes to lie: its folder appears with all that a resume needs, or not at all.

An empty folder that was there is filled by three renames: only a kill just between them leaves a part.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from numpy.typing import NDArray
from safetensors.numpy import save as save_arrays

from viewfinder.config import Recipe
from viewfinder.errors import RunError
from viewfinder.training.checkpoint import write_text
from viewfinder.training.loop import Session

__all__ = ["make_folder", "new_folder"]

_MAKING = ".making-"
"""What the names of folders begin with that are being made, or were when their process was killed."""


def new_folder(out: str | Path | None, recipe: Recipe) -> Path:
    """Return where a run shall lie: `out`, else the next of the recipe under `runs/`.

    Raises RunError where something is there already.
    """
    if out is None:
        return next(folder for folder in _numbered(recipe) if not folder.exists())
    folder = Path(out)
    if folder.exists() and not _is_empty(folder):
        raise _taken(folder)
    return folder


def make_folder(
    folder: Path, session: Session, info: dict[str, Any], known: dict[str, NDArray[Any]], *, named: bool
) -> Path:
    """Make the run folder with its first checkpoint, so that it can be resumed from there on, and return it.

    It is made beside its place and then renamed, so that a kill leaves no half of it under its name.

    Args:
        folder: from `new_folder`.
        session: at its first step.
        info: for `run.json`.
        known: the arrays of `split.safetensors`.
        named: whether a user chose the folder; else another number is taken where another training has made it since.

    Raises RunError where another training has made it since its name was chosen.
    """
    within = named and folder.is_dir()  # as where a disk is mounted: the folder itself cannot be replaced
    place = folder if within else folder.parent
    _sweep(place)
    making = place / f"{_MAKING}{uuid4().hex[:8]}"
    try:
        (making / "checkpoints").mkdir(parents=True)
        (making / "split.safetensors").write_bytes(save_arrays(known))
        session.save("last", making / "checkpoints")
        write_text(making / "run.json", json.dumps(info, indent=1))
        made = _fill(folder, making) if within else _rename(making, [folder] if named else _numbered(session.recipe))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return made


def _rename(making: Path, places: Iterable[Path]) -> Path:
    for place in places:
        if place.exists():  # POSIX would replace an empty folder
            continue
        try:
            making.rename(place)
        except OSError:
            if not place.exists():
                raise
        else:
            return place
    raise _taken(place)


def _fill(folder: Path, making: Path) -> Path:
    """Move what was made into a folder that was there and empty; a run is there once the last of it is."""
    moved: list[str] = []
    try:
        for name in ("checkpoints", "split.safetensors", "run.json"):
            if (folder / name).exists():
                raise _taken(folder)
            (making / name).rename(folder / name)
            moved.append(name)
    except BaseException:
        for name in moved:
            (folder / name).rename(making / name)
        raise
    return folder


def _sweep(place: Path) -> None:
    """Delete what processes left there that were killed a day ago while they made a folder."""
    for left in place.glob(f"{_MAKING}*") if place.is_dir() else ():
        with contextlib.suppress(OSError):
            if left.stat().st_mtime < time.time() - 86400:
                shutil.rmtree(left)


def _numbered(recipe: Recipe) -> Iterator[Path]:
    return (Path("runs") / f"{recipe.name}-{number}" for number in range(1, 10**6))


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and all(path.name.startswith(_MAKING) for path in folder.iterdir())


def _taken(folder: Path) -> RunError:
    hint = f"choose another folder, or go on with `viewfinder train --resume {folder}`"
    return RunError("exists already", where=folder, hint=hint)
