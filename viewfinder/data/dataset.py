"""A dataset: images with targets, as columns. It is never changed; `split` and `select` give new ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.findings import counted
from viewfinder.data.remote import is_url
from viewfinder.data.targets import BoxSets, Targets
from viewfinder.errors import DataError

if TYPE_CHECKING:
    from viewfinder.data.check import Report

__all__ = ["ArrayImages", "Dataset", "Images"]

Kind = TypeVar("Kind")


class Images(Protocol):
    """A column of images, each (H, W, C) uint8 with C = 1 (gray) or 3 (RGB), upright."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> NDArray[np.uint8]:
        """Return one image. Raises DataError where the file cannot be decoded."""
        ...

    def select(self, rows: NDArray[Any]) -> Images:
        """Return the images of `rows` (integers), in that order."""
        ...

    def where(self, row: int) -> str:
        """Return where one image is, for people: "train.csv row 17", "cats/tom.jpg"."""
        ...

    def fingerprint(self) -> str:
        """Return a digest of the content, the same on every machine."""
        ...


@dataclass(frozen=True)
class ArrayImages:
    """Images of one size in one array.

    Args:
        pixels: (M, H, W, C) uint8, possibly memory-mapped.
        rows: (N,) int64: which rows of `pixels`, in which order.
        source: what the rows are rows of ("train.csv"); the first row of pixels is row `first` of it.
        digest: a digest of the content of `pixels`; computed from it where it is empty.
    """

    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    source: str = "array"
    first: int = 0
    digest: str = ""

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], source: str = "array", first: int = 0, digest: str = "") -> ArrayImages:
        """Return all images of an array (N, H, W) or (N, H, W, C)."""
        four = pixels[..., None] if pixels.ndim == 3 else pixels
        if four.ndim != 4 or four.dtype != np.uint8 or four.shape[3] not in (1, 3):
            raise ValueError(f"expected (N, H, W[, 1 or 3]) uint8, got {pixels.shape} {pixels.dtype}")
        return cls(four, np.arange(len(four)), source, first, digest)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> NDArray[np.uint8]:
        return np.asarray(self.pixels[self.rows[row]])

    def select(self, rows: NDArray[Any]) -> ArrayImages:
        return replace(self, rows=self.rows[rows])

    def where(self, row: int) -> str:
        return f"{self.source} row {self.rows[row] + self.first}"

    def fingerprint(self) -> str:
        content = self.digest or hashlib.blake2b(np.ascontiguousarray(self.pixels).data, digest_size=16).hexdigest()
        return hashlib.blake2b(content.encode() + self.rows.tobytes(), digest_size=16).hexdigest()


@dataclass(frozen=True, repr=False)
class Dataset:
    """Images with targets, as columns of equal length.

    Args:
        task: "classify", "keypoints" or "detect": what the targets are.
        names: the classes, or the keypoints; targets index into them.
        images: the image column.
        targets: the target column, None where nothing is known (a competition's test part).
        source: the path that was read, for people and for reading again.
        format: the name of the format that read it.
        part: "train" or "test": which part of the source it is.
        groups: (N,) int64, samples with the same number must stay on one side of a split; None: each its own.
        splits: (N,) str, "train", "val" or "test" where the source is laid out so; None otherwise.
        rows: (N,) int64, which rows of what was read these are; None: all of them, in order.
        ids: (N,) the source's own ids (Kaggle's ImageId, a file's name); None: the row numbers.
    """

    task: str
    names: tuple[str, ...]
    images: Images
    targets: Targets | None = None
    source: str = ""
    format: str = ""
    part: str = "train"
    groups: NDArray[np.int64] | None = None
    splits: NDArray[np.str_] | None = None
    ids: NDArray[Any] | None = None
    rows: NDArray[np.int64] | None = None
    notes: tuple[Any, ...] = field(default=(), repr=False)
    """Findings that the reader made while reading (data/check.py shows them with its own)."""

    def __post_init__(self) -> None:
        columns = {
            "targets": self.targets,
            "groups": self.groups,
            "splits": self.splits,
            "ids": self.ids,
            "rows": self.rows,
        }
        for name, column in columns.items():
            if column is not None and len(column) != len(self.images):
                raise ValueError(f"expected {name} of {len(self.images)} rows, got {len(column)}")

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        names = ", ".join(self.names[:3]) + (", …" if len(self.names) > 3 else "")
        what = f"{self.task} of {len(self.names)} names: {names}" if self.names else "no targets"
        return f"Dataset({self.name or 'in memory'}, {self.part}: {counted(len(self), 'image')}, {what})"

    def select(self, rows: Sequence[int] | NDArray[Any]) -> Dataset:
        """Return the samples of `rows` (integers or booleans), in that order."""
        index = np.flatnonzero(rows) if np.asarray(rows).dtype == bool else np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            images=self.images.select(index),
            targets=None if self.targets is None else self.targets.select(index),
            groups=None if self.groups is None else self.groups[index],
            splits=None if self.splits is None else self.splits[index],
            ids=None if self.ids is None else self.ids[index],
            rows=self.source_rows()[index],
        )

    def split(self, val: float = 0.1, seed: int = 42) -> tuple[Dataset, Dataset]:
        """Return (train, val): stratified by class, whole groups on one side, the same for the same seed.

        Where the source is laid out in splits, those are kept and `val` and `seed` are not used.
        """
        from viewfinder.data.split import split_rows

        train_rows, val_rows = split_rows(self, val, seed)
        return self.select(train_rows), self.select(val_rows)

    def check(self, *others: Dataset) -> Report:
        """Return findings about this dataset, and about rows that it shares with `others`."""
        from viewfinder.data.check import check

        return check(self, *others)

    def named(self, names: Sequence[str]) -> Dataset:
        """Return the same samples with targets that speak of `names`, those of a model.

        Classes and keypoints are matched by name, never by number; a dataset may know fewer than the model.

        Raises:
            DataError: it has a name that the model does not know.
        """
        unknown = [name for name in self.names if name not in names]
        if unknown:
            hint = "use data with the model's names: " + ", ".join(names)
            raise DataError(f"has {unknown[0]!r}, which the model was not trained on", where=self.source, hint=hint)
        targets = None if self.targets is None else self.targets.renamed(self.names, names)
        return replace(self, names=tuple(names), targets=targets)

    def merged(self, name: str) -> Dataset:
        """Return the same samples with all classes as one of this name; an empty name leaves them as they are.

        Raises:
            DataError: the targets are not boxes.
        """
        if not name or self.targets is None:
            return self
        if not isinstance(self.targets, BoxSets):
            raise DataError(f"holds {self.task} targets", where=self.source, hint="only classes of boxes can be merged")
        return replace(self, names=(name,), targets=self.targets.renamed([name] * len(self.names), (name,)))

    def labelled(self) -> Targets:
        """Return the targets. Raises DataError where there are none."""
        if self.targets is None:
            raise DataError("has no targets", where=self.source, hint="use the part that has them to train or evaluate")
        return self.targets

    def targets_of(self, kind: type[Kind]) -> Kind:
        """Return the targets, for a format that holds one kind only. Raises DataError where they are of another."""
        targets = self.labelled()
        if not isinstance(targets, kind):
            raise DataError(f"holds {self.task} targets", where=self.source, hint="npz holds every dataset")
        return targets

    def source_rows(self) -> NDArray[np.int64]:
        """Return (N,) which rows of what was read these are: a run remembers its split by them."""
        return np.arange(len(self), dtype=np.int64) if self.rows is None else self.rows

    @property
    def name(self) -> str:
        """The source's file name."""
        return Path(self.source.split("?")[0] if is_url(self.source) else self.source).name

    @property
    def title(self) -> str:
        """Name and part, for people; images that nothing says the task of have no parts."""
        return f"{self.name} ({self.part})" if self.task else self.name

    @cached_property
    def fingerprint(self) -> str:
        """A digest of images, targets and names: two datasets with the same one hold the same samples."""
        return self._digest(self.images.fingerprint())

    @cached_property
    def outline(self) -> str:
        """A digest of where the images are, targets and names: unlike for the fingerprint, no image is read."""
        return self._digest("\n".join(self.images.where(row) for row in range(len(self))))

    def _digest(self, images: str) -> str:
        digest = hashlib.blake2b(images.encode(errors="surrogatepass"), digest_size=16)
        digest.update(repr((self.task, self.names)).encode())
        if self.targets is not None:
            digest.update(np.ascontiguousarray(self.targets.array()).tobytes())
        return digest.hexdigest()
