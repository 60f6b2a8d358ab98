"""Writing images and label files into a new folder, which appears under its name when all of it is there.

Photos keep their bytes, images of an array become PNG. Where the dataset has splits there is a folder for each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from viewfinder.data.appearing import folder_beside
from viewfinder.data.dataset import Dataset
from viewfinder.data.file_names import shortened, unlike
from viewfinder.data.formats.folders import SPLITS
from viewfinder.data.images import Files, image_file
from viewfinder.data.targets import BoxSets
from viewfinder.errors import DataError

__all__ = ["Item", "boxes_of", "new_folder", "number", "written"]


@dataclass(frozen=True)
class Item:
    """One image in the new folder.

    Args:
        row: which one of the dataset it is.
        split: "train", "val", "test" or nothing.
        name: the image's file name.
        width: of the upright image in pixels.
        height: of the upright image in pixels.
    """

    row: int
    split: str
    name: str
    width: int
    height: int

    @property
    def stem(self) -> str:
        """The file name without its suffix; no two images of a folder have the same one."""
        return PurePosixPath(self.name).stem

    def folder(self, root: Path, kind: str) -> Path:
        """Return the folder of a kind of files ("labels") that this image's is in, and make it."""
        folder = root / self.split / kind
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a folder beside `path` that is renamed to it at the end; of a failure nothing stays.

    Raises DataError where something is at `path` already, and OSError where nothing can be written there.
    """
    if path.exists():
        raise DataError("exists", where=path, hint="name a new folder")
    with folder_beside(path) as beside:
        (beside / path.name).mkdir()
        yield beside / path.name
        (beside / path.name).replace(path)


def boxes_of(dataset: Dataset, format: str) -> BoxSets:
    """Return a dataset's boxes. Raises DataError where it holds something else."""
    targets = dataset.labelled()
    if not isinstance(targets, BoxSets):
        raise DataError(f"holds {dataset.task} targets", where=dataset.source, hint=f"{format} holds boxes")
    return targets


def written(dataset: Dataset, root: Path) -> Iterator[Item]:
    """Write each image into "images" below its split's folder, and give it.

    Raises DataError for a file that is no image.
    """
    names = _names(dataset)
    for row in range(len(dataset)):
        content, suffix, (width, height) = image_file(dataset.images, row)
        split = "" if dataset.splits is None else str(dataset.splits[row])
        item = Item(row, split, names[row] + suffix, width, height)
        (item.folder(root, "images") / item.name).write_bytes(content)
        yield item


def number(value: float, decimals: int = 3) -> str:
    """Return a number with as many decimals as it needs: "12", "12.5", "12.346"."""
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _names(dataset: Dataset) -> list[str]:
    """Return file names without suffixes: those that the images have; with their folders where two are equal.

    Label files hold these names: what is no UTF-8 in them becomes a question mark.
    """
    if not isinstance(dataset.images, Files):
        return [f"{row:06d}" for row in range(len(dataset))]
    every = [dataset.images.where(row).encode("utf-8", "replace").decode() for row in range(len(dataset))]
    paths = [PurePosixPath(path) for path in every]
    with_folders = [
        "-".join([*(one for one in path.parts[:-1] if one.lower() not in SPLITS), path.stem]) for path in paths
    ]
    counts = Counter(path.stem.lower() for path in paths)
    chosen = [
        longer if counts[path.stem.lower()] > 1 else path.stem for path, longer in zip(paths, with_folders, strict=True)
    ]
    return unlike([shortened(name) for name in chosen])
