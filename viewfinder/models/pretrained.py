"""Weights that somebody else trained: safetensors files from a path, or from the internet when the user asks for it."""

from __future__ import annotations

import json
import os
import struct
import tempfile
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.request import urlopen

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from viewfinder.data.store import OWN, cache_folder
from viewfinder.errors import InputError

__all__ = ["copy_weights", "fetched", "pretrained_file"]

DOWNLOADED = "imagenet"
"""The word that stands for a network's usual weights, instead of a file's path."""
_SECONDS = 30
_LARGEST_HEADER = 1 << 24


def pretrained_file(wanted: str, url: str, prefix: str) -> Path:
    """Return the file of weights that a user wants: a path, or "imagenet" for what is at `url`.

    That is downloaded once, only the tensors whose names begin with `prefix`, and kept in the cache.

    Raises:
        InputError: there is no such file, or it cannot be downloaded.
    """
    if wanted != DOWNLOADED:
        path = Path(os.path.expanduser(wanted))  # noqa: PTH111 - a Path's raises where there is no such user
        if not path.is_file():
            hint = f"name a .safetensors file, or {DOWNLOADED!r}"
            raise InputError("no such file", where=path, hint=hint)
        return path
    path = cache_folder() / (OWN + "-".join(url.split("/")[3:5]) + ".safetensors")
    return path if path.is_file() else fetched(url, prefix, path)


def copy_weights(path: Path, module: nn.Module, prefix: str) -> None:
    """Copy the tensors `prefix` + name of a safetensors file into a module: all of its own, or none.

    Raises:
        InputError: it is no such file, a tensor is missing, or has another shape.
    """
    own = module.state_dict()
    try:
        with safe_open(path, "pt") as file:
            names = set(file.keys())
            missing = [prefix + name for name in own if prefix + name not in names]
            if missing:
                hint = "the names must be those of torchvision or timm"
                raise InputError(f"has no tensor {missing[0]!r}", where=path, hint=hint)
            found = {name: file.get_tensor(prefix + name) for name in own}
    except (OSError, SafetensorError) as error:
        what = f"cannot be read as safetensors: {error}"
        raise InputError(what, where=path, hint="convert or download it again") from None
    for name, tensor in found.items():
        if tensor.shape != own[name].shape:
            here, there = (" × ".join(map(str, one.shape)) for one in (own[name], tensor))
            what = f"{prefix}{name} is {there}, the network's is {here}"
            raise InputError(what, where=path, hint="take weights of the same network, and as many channels")
    with torch.no_grad():
        for name, tensor in found.items():
            own[name].copy_(tensor)


def fetched(url: str, prefix: str, path: Path) -> Path:
    """Download the tensors of a safetensors file whose names begin with `prefix` to `path`, and return that.

    Reading stops behind the last of them: of VGG16, nine tenths are a classifier that nobody here needs.

    Raises:
        InputError: it cannot be downloaded, or is no such file; nothing is left behind.
    """
    try:
        with urlopen(url, timeout=_SECONDS) as stream:
            content = _tensors(stream, prefix)
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, HTTPError):
            error.close()
        hint = "try again, or download it elsewhere and name the file"
        raise InputError(f"cannot be downloaded: {getattr(error, 'reason', error)}", where=url, hint=hint) from None
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(".part", path.name, path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(beside).replace(path)
    finally:
        Path(beside).unlink(missing_ok=True)
    return path


def _tensors(stream: IO[bytes], prefix: str) -> bytes:
    """Return a safetensors file with a part of the stream's tensors. Raises ValueError where it is none."""
    (length,) = struct.unpack("<Q", _exactly(stream, 8))
    if length > _LARGEST_HEADER:
        raise ValueError("it is no safetensors file")
    header = json.loads(_exactly(stream, length))
    wanted = {name: about for name, about in header.items() if name.startswith(prefix)}
    if not wanted:
        raise ValueError(f"it has no tensors {prefix}…")
    body = _exactly(stream, max(about["data_offsets"][1] for about in wanted.values()))
    chosen, at, pieces = {}, 0, []
    for name, about in sorted(wanted.items(), key=lambda pair: pair[1]["data_offsets"][0]):
        begin, end = about["data_offsets"]
        chosen[name] = {**about, "data_offsets": [at, at + end - begin]}
        pieces.append(body[begin:end])
        at += end - begin
    text = json.dumps(chosen).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(pieces)


def _exactly(stream: IO[bytes], count: int) -> bytes:
    content = stream.read(count)
    if len(content) < count:
        raise ValueError("it is cut off")
    return content
