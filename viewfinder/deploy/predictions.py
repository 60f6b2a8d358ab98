"""A folder of predictions: pictures with the answers drawn on them, predictions.json and predictions.csv."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.data.ahead import ahead
from viewfinder.data.answers import ANSWERS, Answer
from viewfinder.data.appearing import folder_beside, naming, put
from viewfinder.data.file_names import shortened
from viewfinder.data.images import SUFFIXES
from viewfinder.deploy.pictures import Pictures
from viewfinder.deploy.predictor import Predictor
from viewfinder.deploy.stream import Progress, told
from viewfinder.deploy.tables import rounded
from viewfinder.errors import DataError

__all__ = ["Predictions", "refuse_existing", "write_predictions"]

INDEX = "predictions.json"

SMALLEST = 256
"""Pictures whose longer side is below this are enlarged, so that one sees what was drawn."""

LONGEST_SIDE = {".jpg": 65_500, ".png": 1_000_000}
"""Pixels that OpenCV's encoders take; of more, libpng itself would tell on stderr."""


@dataclass(frozen=True)
class Predictions:
    """What was written: the folder, how many images were answered, and those that could not be read."""

    folder: Path
    count: int
    unreadable: tuple[DataError, ...]


def write_predictions(
    predictor: Predictor,
    pictures: Pictures,
    out: Path,
    *,
    draw: bool = True,
    threads: int = 1,
    overwrite: bool = False,
    progress: Progress = lambda done, of: None,
) -> Predictions:
    """Answer images and write a folder, which appears under its name when all is done.

    Args:
        predictor: the model file, loaded for one thread.
        pictures: the images; those that cannot be read are left out and named in what is returned.
        out: the folder.
        draw: write the pictures, too.
        threads: how many images are worked on at once.
        overwrite: replace an older folder of predictions.
        progress: called with (done, of) after each image.

    Raises:
        DataError: there is something at `out` already, or has come to be there meanwhile.
        OSError: nothing can be written there; older predictions stay.
    """
    refuse_existing(out, overwrite)
    place = out.resolve()  # what a link leads to: the link stays
    with naming(out, place), folder_beside(place) as beside:
        folder = beside / "predictions"
        folder.mkdir()
        work = partial(_record, predictor, pictures, folder if draw else None)
        with closing(
            ahead(work, _file_names(pictures), pictures.threads(threads))
        ) as records:  # before the folder goes
            unreadable = _write(folder, predictor, told(records, progress, len(pictures)))
        refuse_existing(out, overwrite)  # of what came meanwhile
        put(folder, place, INDEX)
    return Predictions(out, len(pictures) - len(unreadable), tuple(unreadable))


def refuse_existing(out: Path, overwrite: bool) -> None:
    """Raise DataError where `out` is in the way: a file, or a folder that is neither empty nor to be replaced.

    And where it is the folder that one is in: who stands there would see nothing of the new one.
    """
    if out.is_dir() and Path.cwd().is_relative_to(out.resolve()):
        raise DataError("is the folder that you are in, or one above it", where=out, hint="choose another --out")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not _ours(out):
        raise DataError("exists, and holds something else than predictions", where=out, hint="choose another --out")
    if not overwrite:
        raise DataError("exists", where=out, hint="choose another --out, or replace it with --overwrite")


def _ours(out: Path) -> bool:
    """Whether all that a folder holds is what `write_predictions` wrote, so that nothing else is lost with it."""
    try:
        about = json.loads((out / INDEX).read_text(encoding="utf-8"))
        pictures = {str(record.get("picture")) for record in about["images"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    found = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    return found <= {INDEX, "predictions.csv", *pictures}


class _Record(NamedTuple):
    """What is written about one image: into the json, and into the table."""

    content: dict[str, Any]
    rows: list[dict[str, Any]]


def _record(
    predictor: Predictor, pictures: Pictures, folder: Path | None, image: tuple[int, str]
) -> _Record | DataError:
    """Answer one image, and save its picture where there is a folder for it."""
    row, file = image
    try:
        pixels = pictures.load(row)
    except DataError as error:
        return error
    answer = predictor(pixels)
    record: dict[str, Any] = {"image": pictures.name(row), "width": pixels.shape[1], "height": pixels.shape[0]}
    if folder is not None:
        picture = _saved(folder, file, _drawn(pixels, answer))
        record |= {"picture": picture} if picture else {}
    return _Record(rounded({**record, **answer.as_dict()}), rounded(answer.as_rows()))


def _write(folder: Path, predictor: Predictor, records: Iterable[_Record | DataError]) -> list[DataError]:
    """Write both files record by record, none of which is kept, and return what could not be read."""
    about = predictor.about
    head = json.dumps({"model": predictor.path.name, "task": about.task, "names": about.names}, ensure_ascii=False)
    unreadable: list[DataError] = []
    before = "\n"
    with (
        (folder / INDEX).open("w", encoding="utf-8", errors="replace") as text,
        (folder / "predictions.csv").open("w", encoding="utf-8", newline="") as file,
    ):
        table = csv.DictWriter(file, ["image", *ANSWERS[about.answer].columns(about.names)])
        table.writeheader()
        text.write(f'{head[:-1]}, "images": [')
        for record in records:
            if isinstance(record, DataError):
                unreadable.append(record)
                continue
            text.write(before + json.dumps(record.content, ensure_ascii=False))
            table.writerows({"image": record.content["image"], **row} for row in record.rows)
            before = ",\n"
        errors = json.dumps([str(error) for error in unreadable], ensure_ascii=False)
        text.write(f'\n], "unreadable": {errors}}}\n')
    return unreadable


def _file_names(pictures: Pictures) -> Iterator[tuple[int, str]]:
    """Yield each row, and a name for its picture that no other one has."""
    used: set[str] = set()
    for row in range(len(pictures)):
        yield row, _unused(pictures.name(row), used)


def _drawn(image: NDArray[np.uint8], answer: Answer) -> NDArray[np.uint8]:
    colour = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    factor = max(1, round(SMALLEST / max(image.shape[:2])))
    if factor > 1:
        size = (factor * colour.shape[1], factor * colour.shape[0])
        colour = np.asarray(cv2.resize(colour, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    return answer.scaled(factor).draw(colour)


def _saved(folder: Path, file: str, picture: NDArray[np.uint8]) -> str:
    """Save a picture and return its file's name: a PNG's where it is too large for JPEG, none where for both."""
    for name in (file, f"{Path(file).stem}+.png"):  # "+" is in no other name
        suffix = Path(name).suffix
        if max(picture.shape) > LONGEST_SIDE[suffix]:
            continue
        with suppress(cv2.error):
            done, content = cv2.imencode(suffix, picture[:, :, ::-1])
            if done:
                (folder / name).write_bytes(content.tobytes())
                return name
    return ""


def _unused(name: str, used: set[str]) -> str:
    """Return a file name for an image's name: photographs stay JPEG, all else becomes PNG."""
    path = Path(re.sub(r"[^\w.-]+", "-", name))
    suffix = ".jpg" if path.suffix.lower() in (".jpg", ".jpeg") else ".png"
    stem = shortened(path.stem if path.suffix.lower() in SUFFIXES else path.name)
    numbered = (f"{stem}{suffix}" if i == 1 else f"{stem}-{i}{suffix}" for i in range(1, len(used) + 2))
    free = next(candidate for candidate in numbered if candidate.lower() not in used)
    used.add(free.lower())
    return free
