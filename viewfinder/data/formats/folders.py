"""A folder a class: `cats/tom.jpg`; also below `train`, `val` and `test`; all of it may be in a zip.

Files are not decoded here: `check` finds those that cannot be, and training names them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from viewfinder.data.appearing import folder_beside
from viewfinder.data.dataset import Dataset, Images
from viewfinder.data.file_names import shortened
from viewfinder.data.findings import Finding
from viewfinder.data.images import SUFFIXES, FileImages, Files, image_file
from viewfinder.data.sources import Source, hidden
from viewfinder.data.targets import Labels
from viewfinder.errors import DataError

__all__ = ["check_names", "parts", "read", "sniff", "write"]

LOOKS_FOR = "a folder of images for every class"
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
NO_CLASS = ("images", "image", "img", "photos", "jpegimages")
"""One folder of this name says where images are, not what they show."""
NPZ = "rename it, or write npz, which holds every name"


def sniff(path: Path) -> bool:
    """Whether most images of a folder or a zip are in folders that can be classes."""
    source = Source(path)
    if not source.is_container:
        return False
    labels = [file.label for file in _Found.of(source).files if _part(file) == "train"]
    classes = {*labels} - {""}
    named = len(classes) > 1 or not {name.lower() for name in classes} <= {*NO_CLASS}
    return named and 2 * labels.count("") < len(labels)


def parts(path: Path) -> tuple[str, ...]:
    """Return the parts that a path has."""
    splits = {file.split for file in _Found.of(Source(path)).files}
    return tuple(part for part in ("train", "test") if part in splits or (part == "train" and "" in splits))


def read(path: Path, part: str) -> Dataset:
    """Return a part: images as their files are, and a class for each.

    The part "train" has `splits` where the folders are laid out so. A test part without class folders has no targets.
    Raises DataError where there is no such part.
    """
    found = _Found.of(Source(path))
    names = _sorted({file.label for file in found.files if file.label})
    files = [file for file in found.files if _part(file) == part]
    labelled = [file for file in files if file.label]
    if not files:
        raise DataError(f"has no part {part!r}", where=path, hint=f"parts: {', '.join(parts(path)) or 'none'}")
    if strange := [name for name in names if not _in_utf8(name)]:
        raise DataError(f"class {strange[0]!r} is not UTF-8", where=path, hint="rename its folder")
    chosen = labelled or files
    index = {name: i for i, name in enumerate(names)}
    splits = np.array([file.split for file in chosen])
    return Dataset(
        "classify",
        names,
        FileImages.of(path, tuple(file.path for file in chosen)),
        Labels(np.array([index[file.label] for file in chosen], dtype=np.int64)) if labelled else None,
        source=str(path),
        format="folders",
        part=part,
        splits=splits if {"train", "val"} <= {*splits.tolist()} else None,
        ids=np.array([file.path for file in chosen]),
        notes=found.notes(len(files) - len(chosen)),
    )


@dataclass(frozen=True)
class _File:
    path: str
    split: str
    """train, val, test, or nothing."""
    label: str
    """The class; nothing for an image that is in no class's folder."""


@dataclass(frozen=True)
class _Found:
    files: Sequence[_File]
    others: tuple[str, ...]
    """What is beside the images and is none."""

    @classmethod
    def of(cls, source: Source) -> _Found:
        every = source.files()
        images = [name for name in every if name.lower().endswith(SUFFIXES)]
        others = tuple(name for name in every if not name.lower().endswith(SUFFIXES))
        within = [tuple(filter(None, name.split("/")[:-1])) for name in images]  # four times as fast as a path's parts
        depth = _shared_folders(within)
        splits = all(folders[depth : depth + 1] and folders[depth].lower() in SPLITS for folders in within)
        return cls([_file(name, folders[depth:], splits) for name, folders in zip(images, within, strict=True)], others)

    def notes(self, unlabelled: int) -> tuple[Finding, ...]:
        notes = []
        if self.others:
            message = f"{len(self.others)} files are left out: they are not of a known image format"
            advice = "known: " + ", ".join(suffix[1:] for suffix in SUFFIXES)
            notes.append(Finding("other-files", "info", message, self.others, advice))
        if unlabelled:
            message = f"{unlabelled} images are left out: they are in no class's folder"
            notes.append(Finding("no-class", "warning", message, (), "move them into a folder, or delete them"))
        return tuple(notes)


def _shared_folders(within: Sequence[tuple[str, ...]]) -> int:
    """Return how many folders all images share before the first one that tells them apart or is a split."""
    depth = 0
    while within and all(len(folders) > depth + 1 for folders in within):
        if len({folders[depth] for folders in within}) > 1 or within[0][depth].lower() in SPLITS:
            break
        depth += 1
    return depth


def _file(path: str, folders: tuple[str, ...], splits: bool) -> _File:
    split = SPLITS[folders[0].lower()] if splits else ""
    inner = folders[1:] if splits else folders
    return _File(path, split, inner[0] if inner else "")


def _in_utf8(name: str) -> bool:
    """Whether a name can be written; bytes of the system's that are no UTF-8 cannot."""
    return name.encode("utf-8", "ignore").decode() == name


def _part(file: _File) -> str:
    return "test" if file.split == "test" else "train"


def _sorted(names: set[str]) -> tuple[str, ...]:
    """Return names in order; "2" before "10" where all are numbers."""
    key: Callable[[str], object] = int if all(name.isdecimal() for name in names) else str.casefold
    return tuple(sorted(names, key=lambda name: (key(name), name)))


def write(dataset: Dataset, path: Path) -> None:
    """Write a folder a class, below folders for the splits where the dataset has them; arrays become PNG files.

    Raises DataError where the folder exists, or the dataset has no classes, or some that no folder can be called.
    """
    if path.exists():
        raise DataError("exists", where=path, hint="name a new folder")
    targets = dataset.targets_of(Labels)
    used = {dataset.names[label] for label in targets.ids.tolist()}
    check_names(used, dataset.source)
    _check_layout(dataset, used)
    with folder_beside(path) as beside:
        root = beside / path.name
        made: set[tuple[str, str]] = set()
        for row, label in enumerate(targets.ids.tolist()):
            split, name = "" if dataset.splits is None else str(dataset.splits[row]), dataset.names[label]
            folder = root / split / name
            if (split, name) not in made and folder.exists():  # where capitals count as small letters
                fault = f"class {name!r} would be in one folder with another one"
                raise DataError(fault, where=dataset.source, hint=NPZ)
            folder.mkdir(parents=True, exist_ok=True)
            made.add((split, name))
            _write_image(dataset.images, row, folder)
        root.rename(path)


def check_names(names: Iterable[str], where: str, hint: str = NPZ) -> None:
    """Raise DataError where a class cannot be called a folder: it would lie elsewhere, or be passed over."""
    never = {*"/\\", *map(chr, range(32)), *('<>:"|?*' if os.name == "nt" else "")}
    for name in sorted(names):
        if name != name.strip() or not name or hidden(name) or {*name} & never:
            raise DataError(f"class {name!r} cannot be a folder's name", where=where, hint=hint)


def _check_layout(dataset: Dataset, used: set[str]) -> None:
    """Raise DataError where folders of these classes would be read as something else."""
    lower = {name.lower() for name in used}
    what = "splits" if dataset.splits is None and lower <= SPLITS.keys() else "images without classes"
    if what == "splits" or (len(used) == 1 and lower <= {*NO_CLASS}):
        fault = f"folders of the classes {', '.join(sorted(used))} would be read as {what}"
        raise DataError(fault, where=dataset.source, hint=NPZ)


def _write_image(images: Images, row: int, folder: Path) -> None:
    stem = shortened(PurePosixPath(images.where(row)).stem) if isinstance(images, Files) else ""
    content, suffix, _ = image_file(images, row)
    (folder / (f"{row:06d}-{stem}{suffix}" if stem else f"{row:06d}{suffix}")).write_bytes(content)
