"""`viewfinder split`: labelled images into folders for training, validation and testing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from viewfinder.data.dataset import Dataset

__all__ = ["split"]


def split(
    source: Annotated[str, typer.Argument(help="Labelled images, in a folder or a zip.")],
    out: Annotated[Path, typer.Argument(help="The folder to write; it must not exist.")],
    train: Annotated[float, typer.Option(min=0, max=1, help="Share for training.")] = 0.7,
    val: Annotated[float, typer.Option(min=0, max=1, help="Share for validation.")] = 0.15,
    test: Annotated[float, typer.Option(min=0, max=1, help="Share for testing; 0: none.")] = 0.15,
    similar: Annotated[bool, typer.Option(help="Keep images that look alike together.")] = True,
    seed: Annotated[int, typer.Option(min=0, help="Which images.")] = 42,
) -> None:
    """Copy images and their labels into folders train, val and test, in the format that they have.

    Each class keeps its share. Images that look alike, such as frames of one moment, stay together, so that the test is
    of what was never seen. Splits that the source has are not kept.

    Example:

        viewfinder split faces faces-split --train .7 --val .15 --test .15
    """
    from collections import Counter
    from dataclasses import replace

    from viewfinder.data.joining import in_folders
    from viewfinder.data.reading import write

    dataset = in_folders(source, "`viewfinder train` keeps a share for validation by itself")
    splits = _splits(dataset, {"train": train, "val": val, "test": test}, similar, seed)
    write(replace(dataset, splits=splits), out, dataset.format)
    counts = Counter(splits.tolist())
    for name in ("train", "val", "test"):
        typer.echo(f"{name:<6}{counts[name]:>7,} images")
    typer.echo(out)


def _splits(dataset: Dataset, shares: dict[str, float], similar: bool, seed: int) -> NDArray[np.str_]:
    """Return (N,) in which split each sample is."""
    from dataclasses import replace

    import numpy as np

    from viewfinder.data.similar import related_groups
    from viewfinder.data.split import split_parts

    groups = related_groups(dataset.images) if similar and dataset.groups is None else dataset.groups
    wanted = {name: share for name, share in shares.items() if share > 0}
    rows = split_parts(replace(dataset, groups=groups), wanted, seed)
    splits: NDArray[np.str_] = np.full(len(dataset), "train")
    for name, part in rows.items():
        splits[part] = name
    return splits
