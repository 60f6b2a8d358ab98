"""The report: one index.html that holds everything, and beside it its pictures and metrics.json.

It is written into a folder beside and moved into place when complete, so that a half-written one is never seen.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

import viewfinder
from viewfinder.config import as_json
from viewfinder.data.appearing import folder_beside, naming, put, try_place
from viewfinder.data.findings import counted
from viewfinder.errors import RunError
from viewfinder.evaluate import plots
from viewfinder.evaluate.errors import Worst, worst
from viewfinder.evaluate.evaluation import Evaluation
from viewfinder.evaluate.history import History, Verdict, judge
from viewfinder.evaluate.plots import Picture, picture
from viewfinder.tasks.base import Metric
from viewfinder.tasks.sections import Table

__all__ = ["check_folder", "save"]

GALLERY = 24
RECORD = "metrics.json"


def save(evaluation: Evaluation, folder: Path) -> Path:
    """Write the report into `folder` and return the path of its index.html.

    Raises:
        RunError: the folder holds something else than a report.
        OSError: nothing can be written there.
    """
    check_folder(folder)
    files = _files(evaluation)
    place = folder.absolute()
    with naming(folder, place), folder_beside(place) as beside:
        report = beside / "report"
        report.mkdir()
        for name, content in files.items():
            (report / name).write_bytes(content)
        put(report, place, RECORD)
    return place / "index.html"


def check_folder(folder: Path) -> None:
    """See that a report can be written into `folder`, before images are answered for it.

    Raises:
        RunError: the folder holds something else than a report.
        OSError: nothing can be written there.
    """
    _refuse_foreign(folder)
    with naming(folder, folder.absolute()):
        try_place(folder.absolute())


def _refuse_foreign(folder: Path) -> None:
    """Raise RunError unless the folder is absent, empty, or holds a report and nothing else."""
    if folder.exists() and not folder.is_dir():
        raise RunError("is a file", where=folder, hint="name a folder for the report")
    found = {path.name for path in folder.iterdir() if not path.name.startswith(".")} if folder.exists() else set()
    if not found:
        return
    try:
        ours = set(json.loads((folder / RECORD).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError("holds something else than a report", where=folder, hint="name another folder") from None
    if found - ours:
        what = f"holds {sorted(found - ours)[0]!r} beside a report, which would be lost"
        raise RunError(what, where=folder, hint="move it away, or name another folder")


def _files(evaluation: Evaluation) -> dict[str, bytes]:
    """Return the report's files by name."""
    history = History.of(evaluation.events)
    verdict = judge(history, evaluation.recipe)
    curves, sections = _curves(evaluation, history, verdict), _sections(evaluation)
    shown = worst(evaluation, GALLERY)
    files = {f"{_slug(item.title)}.png": item.light for item in [*curves, *sections] if isinstance(item, Picture)}
    if shown:
        files["worst.png"] = plots.worst_sheet(shown, evaluation.task.error)
    page = _page(evaluation, curves, verdict if history.epochs.size else None, sections, shown)
    files["index.html"] = page.encode()
    files[RECORD] = json.dumps(_record(evaluation, shown, [*files, RECORD]), indent=2, ensure_ascii=False).encode()
    return files


def _curves(evaluation: Evaluation, history: History, verdict: Verdict) -> list[Picture]:
    pictures = []
    if len(history.epochs) + len(history.step_loss) > 1:
        about = (
            "Training loss is the mean since the validation before, with augmentation and dropout on: it may lie above."
        )
        pictures.append(picture("Loss", about, partial(plots.loss, history, verdict)))
    for metric in evaluation.task.metrics[: 2 if history.parts else 1]:
        if np.isfinite(history.metrics.get(metric.name, [])).sum() > 1:
            about = f"{metric.about} {'Higher' if metric.higher_is_better else 'Lower'} is better."
            if plots.left_out(len(history.metrics[metric.name])):
                about += " The scale is that of the later validations."
            pictures.append(picture(f"Validation {metric.name}", about, partial(plots.metric, history, metric)))
    return pictures


def _sections(evaluation: Evaluation) -> list[Picture | Table]:
    sections = evaluation.task.sections(evaluation.predictions, evaluation.targets)
    return [
        section
        if isinstance(section, Table)
        else picture(section.title, section.about, partial(plots.DRAW[type(section)], section))
        for section in sections
    ]


def _page(
    evaluation: Evaluation,
    curves: list[Picture],
    verdict: Verdict | None,
    sections: list[Picture | Table],
    shown: list[Worst],
) -> str:
    environment = Environment(
        loader=PackageLoader("viewfinder", "evaluate"), autoescape=True, undefined=StrictUndefined
    )
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters |= {"base64": _base64, "columns": _columns}
    error = evaluation.task.error
    return environment.get_template("report.html").render(
        title=f"{evaluation.recipe.name} on {evaluation.dataset.name}",
        recipe=evaluation.recipe,
        metrics=[(metric, metric.text(value)) for metric, value in evaluation.described()],
        rows=len(evaluation.dataset),
        names=evaluation.names,
        facts=_facts(evaluation),
        careful=evaluation.flattery if evaluation.seen else "",
        made=_made(evaluation),
        curves=curves,
        verdict=verdict,
        sections=sections,
        pictures=[(one, _jpeg(one), _words(one, error)) for one in shown],
        marks=[mark or usual for mark, usual in zip(evaluation.task.answer.marks, ("dot", "ring"), strict=True)],
        error=error,
        values=dict(_flat(as_json(evaluation.recipe))),
        version=viewfinder.__version__,
    )


def _facts(evaluation: Evaluation) -> dict[str, str]:
    """Return what the report's head says about where the numbers come from."""
    info, last = evaluation.info, evaluation.events[-1] if evaluation.events else {"seconds": 0.0}
    data = evaluation.recipe.at_prediction().data
    return {
        "Evaluated on": _about(evaluation.dataset.name, len(evaluation.dataset), evaluation.dataset.fingerprint),
        "Trained on": _about(*(info["data"]["train"][key] for key in ("name", "rows", "fingerprint"))),
        "Training": f"{_duration(last['seconds'])}{_unfinished(last)} on {info['device']}, threads: {info['threads']}",
        "Input": f"{data.size}×{data.size} pixels, {'gray' if data.channels == 1 else 'in colour'}",
        "Reported": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    }


def _unfinished(last: Mapping[str, Any]) -> str:
    return "" if last.get("reason", "interrupted") != "interrupted" else " so far"


def _about(name: str, rows: int, fingerprint: str) -> str:
    return f"{counted(rows, 'image')} of {name} ({fingerprint[:8]})"


def _made(evaluation: Evaluation) -> dict[str, str]:
    """Return what one needs to make the model again, beside the recipe."""
    info = evaluation.info
    return {
        "trained": info["created"],
        "parameters": f"{info['parameters']:,}",
        "seed": str(info["seed"]),
        **{name: str(version) for name, version in info["versions"].items()},
    }


def _record(evaluation: Evaluation, shown: list[Worst], files: list[str]) -> dict[str, Any]:
    return {
        "viewfinder": viewfinder.__version__,
        "recipe": evaluation.recipe.name,
        "task": evaluation.task.name,
        "metrics": {name: _finite(value) for name, value in evaluation.metrics.items()},
        "data": {
            "source": evaluation.dataset.source,
            "rows": len(evaluation.dataset),
            "fingerprint": evaluation.dataset.fingerprint,
            "names": list(evaluation.names),
        },
        "worst": [
            {
                "where": one.where,
                "error": one.error,
                "prediction": one.prediction.as_dict(),
                "truth": one.target.as_dict(),
            }
            for one in shown
        ],
        "files": files,
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _flat(values: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, str]]:
    """Yield a recipe's values by dotted key, in the words of TOML."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        elif isinstance(value, bool) or value is None:
            yield f"{before}{key}", "none" if value is None else str(value).lower()
        else:
            yield f"{before}{key}", f"{value:g}" if isinstance(value, float) else str(value)


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _columns(rows: Sequence[Sequence[str | float]]) -> list[list[str]]:
    """Return a table's cells as text; the fractions of a column have the same number of decimals."""
    columns = [_column(list(column)) for column in zip(*rows, strict=True)]
    return [list(row) for row in zip(*columns, strict=True)]


def _column(cells: Sequence[str | float]) -> list[str]:
    largest = max((abs(cell) for cell in cells if isinstance(cell, float) and math.isfinite(cell)), default=0.0)
    decimals = max(0, 4 - len(str(int(largest))))
    return [_cell(cell, decimals) for cell in cells]


def _cell(cell: str | float, decimals: int) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:,.{decimals}f}" if math.isfinite(cell) else "unknown"


def _words(one: Worst, error: Metric) -> str:
    return one.prediction.differences(one.target) or f"{error.name} {error.text(one.error)}"


def _jpeg(one: Worst) -> bytes:
    _, coded = cv2.imencode(".jpg", cv2.cvtColor(one.tile, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    return coded.tobytes()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h"] * (hours > 0) + [f"{minutes} min"] * (minutes > 0) + [f"{rest} s"] * (hours == 0)
    return " ".join(parts)
