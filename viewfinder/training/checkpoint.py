"""Checkpoints: tensors as safetensors, everything else as readable JSON; no pickle.

A checkpoint `last` is two files: `last.json`, and the tensors that it names with their size and digest. Other
tensors get another name, be it at the same step, and the JSON is renamed into place, so that a kill at any moment
leaves either the old checkpoint or the new one, whole.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from viewfinder.errors import RunError

__all__ = ["exists", "load_checkpoint", "save_checkpoint", "write_text"]

Tensors = dict[str, Tensor]


def save_checkpoint(folder: Path, name: str, step: int, tensors: Tensors, state: dict[str, Any]) -> Path:
    """Write a checkpoint and remove the one it replaces; return the tensor file's path."""
    content = save({key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()})
    digest = _digest(content)
    file = folder / f"{name}-{step:08d}-{digest[:8]}.safetensors"
    _write(file, content)
    about = {"file": file.name, "bytes": len(content), "digest": digest, "step": step, "state": state}
    write_text(folder / f"{name}.json", json.dumps(about, indent=1))
    for old in folder.glob(f"{name}-*.safetensors*"):  # also what a kill left half-written
        if old != file:
            old.unlink(missing_ok=True)
    return file


def load_checkpoint(folder: Path, name: str) -> tuple[Tensors, dict[str, Any]]:
    """Return a checkpoint's tensors and state. Raises RunError when it is missing or damaged."""
    path = folder / f"{name}.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        content = (folder / about["file"]).read_bytes()
    except FileNotFoundError as error:
        where = error.filename or path
        raise RunError("no such checkpoint", where=where, hint="train again, or name another run folder") from None
    except (json.JSONDecodeError, KeyError, UnicodeDecodeError):
        raise _damaged(path) from None
    if len(content) != about.get("bytes") or _digest(content) != about.get("digest"):
        raise _damaged(folder / about["file"])
    try:
        return load(content), about["state"]
    except (SafetensorError, KeyError):
        raise _damaged(folder / about["file"]) from None


def exists(folder: Path, name: str) -> bool:
    """Whether the folder has a checkpoint of that name."""
    return (folder / f"{name}.json").is_file()


def write_text(path: Path, text: str) -> None:
    """Write a text file beside its name and rename it into place."""
    _write(path, text.encode())


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(f"{path.name}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None  # writing does not name the file by itself


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _damaged(path: Path) -> RunError:
    other = "last" if path.name.startswith("best") else "best"
    return RunError(
        "the checkpoint is cut off or damaged", where=path, hint=f"train again, or look whether {other!r} is whole"
    )
