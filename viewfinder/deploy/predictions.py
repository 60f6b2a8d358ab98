"""A folder of predictions: pictures with the answers drawn on them, predictions.json and predictions.csv."""

from __future__ import annotations

import csv
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.data.answers import Answer
from viewfinder.data.images import SUFFIXES, load_image
from viewfinder.data.reading import parts, read
from viewfinder.deploy.predictor import Predictor, image_files
from viewfinder.errors import DataError

__all__ = ["Picture", "Predictions", "find_pictures", "write_predictions"]

SMALLEST = 256
"""Pictures whose longer side is below this are enlarged, so that one sees what was drawn."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Picture:
    """An image by the name that people know it by, loaded when it is its turn."""

    name: str
    load: Callable[[], NDArray[np.uint8]]


@dataclass(frozen=True)
class Predictions:
    """What was written: the folder, how many images were answered, and those that could not be read."""

    folder: Path
    count: int
    unreadable: tuple[DataError, ...]


def find_pictures(sources: Sequence[Path]) -> list[Picture]:
    """Return the images of files, folders and anything else that viewfinder reads, such as a competition's download.

    Raises:
        DataError: a source is not there, or holds no images.
    """
    return [picture for source in sources for picture in _pictures(source)]


def write_predictions(
    predictor: Predictor,
    pictures: Sequence[Picture],
    out: Path,
    *,
    draw: bool = True,
    overwrite: bool = False,
    progress: Progress = lambda done, of: None,
) -> Predictions:
    """Answer images and write a folder, which appears under its name when all is done.

    Args:
        predictor: the model file.
        pictures: the images; those that cannot be read are left out and named in what is returned.
        out: the folder.
        draw: write the pictures, too.
        overwrite: replace an older folder of predictions.
        progress: called with (done, of) after each image.

    Raises:
        DataError: there is something at `out` already.
    """
    refuse_existing(out, overwrite)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".viewfinder-", dir=out.parent) as beside:
        folder = Path(beside) / "predictions"
        folder.mkdir()
        records, table, unreadable = _answer(predictor, pictures, folder if draw else None, progress)
        about = {"model": predictor.path.name, "task": predictor.about.task, "names": predictor.names}
        content = {**about, "images": records, "unreadable": [str(error) for error in unreadable]}
        text = json.dumps(_rounded(content), indent=1, ensure_ascii=False)
        (folder / "predictions.json").write_text(text + "\n", encoding="utf-8")
        _write_csv(folder / "predictions.csv", table)
        if out.exists():
            shutil.rmtree(out)
        folder.replace(out)
    return Predictions(out, len(records), tuple(unreadable))


def refuse_existing(out: Path, overwrite: bool) -> None:
    """Raise DataError where `out` is in the way: a file, or a folder that is neither empty nor to be replaced."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not _ours(out):
        raise DataError("exists, and holds something else than predictions", where=out, hint="choose another --out")
    if not overwrite:
        raise DataError("exists", where=out, hint="choose another --out, or replace it with --overwrite")


def _ours(out: Path) -> bool:
    """Whether all that a folder holds is what `write_predictions` wrote, so that nothing else is lost with it."""
    try:
        about = json.loads((out / "predictions.json").read_text(encoding="utf-8"))
        pictures = {str(record.get("picture")) for record in about["images"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    found = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    return found <= {"predictions.json", "predictions.csv", *pictures}


def _pictures(source: Path) -> list[Picture]:
    if not source.exists():
        raise DataError("no such file or folder", where=source, hint="check the path")
    if source.is_dir() and (files := image_files(source)):
        folder = source.resolve()
        return [
            Picture(f"{folder.name}/{file.relative_to(source).as_posix()}", partial(load_image, file)) for file in files
        ]
    if source.is_file() and source.suffix.lower() in SUFFIXES:
        return [Picture(source.name, partial(load_image, source))]
    there = parts(source)
    images = read(source, "test" if "test" in there else there[0]).images
    return [Picture(images.where(row), partial(images.__getitem__, row)) for row in range(len(images))]


def _answer(
    predictor: Predictor, pictures: Sequence[Picture], folder: Path | None, progress: Progress
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[DataError]]:
    records: list[dict[str, Any]] = []
    table: list[dict[str, Any]] = []
    unreadable: list[DataError] = []
    used: set[str] = set()
    for done, picture in enumerate(pictures, start=1):
        try:
            image = picture.load()
        except DataError as error:
            unreadable.append(error)
        else:
            answer = predictor(image)
            record: dict[str, Any] = {"image": picture.name, "width": image.shape[1], "height": image.shape[0]}
            if folder is not None:
                record["picture"] = _unused(picture.name, used)
                _save(folder / record["picture"], _drawn(image, answer))
            records.append({**record, **answer.as_dict()})
            table += [{"image": picture.name, **row} for row in answer.as_rows()]
        progress(done, len(pictures))
    return records, table, unreadable


def _drawn(image: NDArray[np.uint8], answer: Answer) -> NDArray[np.uint8]:
    colour = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    factor = max(1, round(SMALLEST / max(image.shape[:2])))
    if factor > 1:
        size = (factor * colour.shape[1], factor * colour.shape[0])
        colour = np.asarray(cv2.resize(colour, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    return answer.scaled(factor).draw(colour)


def _save(path: Path, picture: NDArray[np.uint8]) -> None:
    done, content = cv2.imencode(path.suffix, picture[:, :, ::-1])
    if not done:
        raise AssertionError(f"OpenCV writes {path.suffix} files")
    path.write_bytes(content.tobytes())


def _unused(name: str, used: set[str]) -> str:
    """Return a file name for an image's name: photographs stay JPEG, all else becomes PNG."""
    path = Path(re.sub(r"[^\w.-]+", "-", name))
    suffix = ".jpg" if path.suffix.lower() in (".jpg", ".jpeg") else ".png"
    stem = path.stem if path.suffix.lower() in SUFFIXES else path.name
    numbered = (f"{stem}{suffix}" if i == 1 else f"{stem}-{i}{suffix}" for i in range(1, len(used) + 2))
    free = next(candidate for candidate in numbered if candidate.lower() not in used)
    used.add(free.lower())
    return free


def _rounded(value: Any) -> Any:
    """Return the same JSON values with numbers to four decimals, a hundredth of what any model knows."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value


def _write_csv(path: Path, table: Sequence[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]) if table else ["image"])
        writer.writeheader()
        writer.writerows(_rounded(list(table)))
