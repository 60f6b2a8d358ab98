"""Submissions to Kaggle: the file exactly as the competition takes it, checked before it gets its name.

submission = submit(vf.load("digits.onnx"), vf.read("digit-recognizer.zip", part="test"), "submission.csv")
upload(submission, "my first one")
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viewfinder.data.answers import Answer
from viewfinder.data.appearing import folder_beside, try_place
from viewfinder.data.dataset import Dataset
from viewfinder.data.formats import kaggle_digits, kaggle_faces
from viewfinder.data.remote import place
from viewfinder.deploy.predictor import Predictor
from viewfinder.errors import CheckError, DataError, InputError

if TYPE_CHECKING:
    from viewfinder.training.run import Run

__all__ = ["COMPETITIONS", "Competition", "Submission", "client", "submit", "upload"]

Row = tuple[str, str]
Wanted = list[dict[str, str]]
"""The rows that a competition asks for, as its own table has them."""


@dataclass(frozen=True)
class Competition:
    """What one competition takes.

    Args:
        slug: its name in Kaggle's addresses.
        columns: the header of a submission.
        wanted: (source) the rows that must be answered, in order; None where the source does not say.
        needs: the columns that those rows must have.
        answered: (dataset, answers, wanted) the rows of the submission.
    """

    slug: str
    columns: tuple[str, str]
    wanted: Callable[[Path], Wanted | None]
    needs: tuple[str, ...]
    answered: Callable[[Dataset, Sequence[Any], Wanted | None], list[Row]]


@dataclass(frozen=True)
class Submission:
    """A submission file that was checked."""

    path: Path
    competition: Competition
    rows: int


def submit(model: Run | Predictor, dataset: Dataset, out: str | Path, *, overwrite: bool = False) -> Submission:
    """Answer a competition's test images and write the submission.

    Args:
        model: a trained run, or a model file.
        dataset: the competition's part "test".
        out: the csv file.
        overwrite: replace an older file.

    Raises:
        DataError: the data is of no known competition, was made for another task, or lacks what the competition
            asks for; or `out` exists.
        OSError: nothing can be written there; that is found out first.
        CheckError: the model has no answer somewhere.
    """
    out = Path(out)
    _refuse_existing(out, overwrite)
    try_place(out)
    if dataset.format not in COMPETITIONS:
        known = ", ".join(competition.slug for competition in COMPETITIONS.values())
        raise DataError("is not the download of a known competition", where=dataset.source, hint=f"known: {known}")
    competition = COMPETITIONS[dataset.format]
    _refuse_other_model(model, dataset)
    wanted = _wanted(competition, place(dataset.source))
    rows = competition.answered(dataset, _answers(model, dataset), wanted)
    with folder_beside(out) as folder:
        file = folder / "submission.csv"
        _write(file, competition.columns, rows)
        _check(file, competition, wanted, dataset)
        file.replace(out)
    return Submission(out, competition, len(rows))


def client() -> Any:
    """Return Kaggle's official client, logged in.

    Raises:
        InputError: it is not installed, or finds no token.
    """
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            from kaggle import api

            api.authenticate()
        except ImportError:
            hint = "pip install 'viewfinder[kaggle]'"
            raise InputError("Kaggle's client is not installed", where="--upload", hint=hint) from None
        except (SystemExit, OSError, ValueError):  # without a token it prints a page and exits
            hint = "make one at kaggle.com/settings and save it as .kaggle/kaggle.json in your home folder"
            raise InputError("Kaggle's client finds no token", where="--upload", hint=hint) from None
    return api


def upload(submission: Submission, message: str, api: Any = None) -> str:
    """Hand a submission in and return Kaggle's answer.

    Args:
        submission: what `submit` returned.
        message: the description that Kaggle shows beside it.
        api: what `client` returned; None: logged in now.

    Raises:
        InputError: as `client`.
        CheckError: Kaggle cannot be reached, or refuses it.
    """
    api = client() if api is None else api
    slug = submission.competition.slug
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            answer = api.competition_submit(str(submission.path), message, slug, quiet=True)
    except (OSError, ValueError) as error:
        hint = f"the file is fine: hand it in at kaggle.com/c/{slug}/submit"
        raise CheckError(f"Kaggle did not take it: {error}", where=submission.path, hint=hint) from None
    return str(getattr(answer, "message", answer))


def _refuse_existing(out: Path, overwrite: bool) -> None:
    if out.is_dir():
        raise DataError("is a folder", where=out, hint="name the file to write, such as submission.csv")
    if out.exists() and not overwrite:
        raise DataError("exists", where=out, hint="choose another --out, or replace it with --overwrite")


def _wanted(competition: Competition, source: Path) -> Wanted | None:
    rows = competition.wanted(source)
    for number, row in enumerate(rows or [], start=1):
        for column in competition.needs:
            if not row.get(column):
                where = f"{source.name}, the table of what is asked for, row {number}"
                raise DataError(f"has no {column}", where=where, hint="download it again")
    return rows


def _refuse_other_model(model: Run | Predictor, dataset: Dataset) -> None:
    task = model.about.task if isinstance(model, Predictor) else model.recipe.task
    if task != dataset.task:
        what = f"is a competition for {dataset.task}, and the model was trained for {task}"
        raise DataError(what, where=dataset.source, hint="use a model of that task")
    strange = [name for name in model.names if dataset.names and name not in dataset.names]
    if strange:
        raise DataError(f"knows no {strange[0]!r}, which the model may answer", where=dataset.source)


def _answers(model: Run | Predictor, dataset: Dataset) -> Sequence[Answer]:
    if isinstance(model, Predictor):
        return model.batch([dataset.images[row] for row in range(len(dataset))])
    from viewfinder.evaluate.evaluation import answer_all

    return answer_all(model.task, model.network(), dataset, model.recipe)


def _ids(dataset: Dataset) -> list[str]:
    if dataset.ids is None:
        raise DataError("is the labelled part", where=dataset.source, hint="submit the competition's test part")
    return [str(one) for one in dataset.ids]


def _digits(dataset: Dataset, answers: Sequence[Any], wanted: Wanted | None) -> list[Row]:
    return [(one, answer.label) for one, answer in zip(_ids(dataset), answers, strict=True)]


def _faces(dataset: Dataset, answers: Sequence[Any], wanted: Wanted | None) -> list[Row]:
    if wanted is None:
        hint = "use the whole download, or put the table beside test.csv in one folder"
        raise DataError("has no IdLookupTable.csv, which says what is asked for", where=dataset.source, hint=hint)
    coordinates = {one: answer.as_rows()[0] for one, answer in zip(_ids(dataset), answers, strict=True)}
    height, width = dataset.images[0].shape[:2]
    rows = []
    for number, row in enumerate(wanted, start=1):
        where, image, feature = f"IdLookupTable.csv row {number}", row["ImageId"], row["FeatureName"]
        if image not in coordinates:
            raise DataError(f"asks for image {image}, which the test part does not hold", where=where)
        if feature not in coordinates[image]:
            raise DataError(f"asks for {feature!r}, which the model was not trained on", where=where)
        value, limit = coordinates[image][feature], width if feature.endswith("_x") else height
        rows.append((row["RowId"], "" if value is None else f"{min(max(value, 0.0), limit):.4f}"))
    return rows


COMPETITIONS = {
    "kaggle-digits": Competition("digit-recognizer", ("ImageId", "Label"), kaggle_digits.sample, ("ImageId",), _digits),
    "kaggle-faces": Competition(
        "facial-keypoints-detection",
        ("RowId", "Location"),
        kaggle_faces.lookup,
        ("RowId", "ImageId", "FeatureName"),
        _faces,
    ),
}
"""By the name of the format that reads the download. A new competition is one line."""


def _write(path: Path, columns: Row, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _check(path: Path, competition: Competition, wanted: Wanted | None, dataset: Dataset) -> None:
    """Read the file back and compare it with what the competition asks for."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    key = competition.columns[0]
    asked = _ids(dataset) if wanted is None else [row[key] for row in wanted]
    if tuple(header) != competition.columns or len(rows) != len(asked):
        raise DataError(f"gives {len(rows)} rows, the competition asks for {len(asked)}", where=dataset.source)
    for number, ((one, value), other) in enumerate(zip(rows, asked, strict=True), start=1):
        if one != other:
            raise DataError(f"row {number} is {key} {one}, the competition asks for {other}", where=dataset.source)
        if not value:
            raise CheckError(f"the model has no answer for {key} {one}", where=dataset.source, hint="train it again")
