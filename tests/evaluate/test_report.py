"""The report: complete, self-contained, and never in the way of something else."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import viewfinder as vf
from viewfinder import tasks
from viewfinder.data.dataset import ArrayImages
from viewfinder.errors import RunError
from viewfinder.evaluate.evaluation import Evaluation


def test_the_report_is_one_page_that_needs_nothing_else(saved: Path) -> None:
    html = (saved / "index.html").read_text(encoding="utf-8")
    assert "<script" not in html
    assert "http://" not in html and "https://" not in html and "url(" not in html
    sources = re.findall(r'(?:src|srcset|href)="([^"]{1,30})', html)
    assert len(sources) > 24
    assert all(source.startswith("data:image/") for source in sources)


def test_the_page_says_what_was_trained_on_what_and_how_good_it_is(evaluation: Evaluation, saved: Path) -> None:
    html = (saved / "index.html").read_text(encoding="utf-8")
    for words in (
        "digits on squares.csv",
        "32 images of squares.csv",
        "64 images of squares.csv",
        evaluation.dataset.fingerprint[:8],
        "16×16 pixels, gray",
        f"{100 * evaluation.metrics['accuracy']:.2f}",
        "The share of images whose most probable class is the true one.",
        "How the training went",
        "Confusion",
        "Worst images first",
        "optim.lr",
        evaluation.info["versions"]["torch"],
    ):
        assert words in html, words
    rows = re.findall(r'class="where">squares.csv row (\d+)', html)
    assert int(rows[0]) == int(np.nanargmax(evaluation.errors)) + 2
    assert len(rows) == 24


def test_pictures_and_metrics_lie_beside_it(evaluation: Evaluation, saved: Path) -> None:
    names = {path.name for path in saved.iterdir()}
    record = json.loads((saved / "metrics.json").read_text(encoding="utf-8"))
    assert record["metrics"] == evaluation.metrics
    assert record["data"]["rows"] == 32
    assert record["worst"][0]["error"] == np.max(evaluation.errors)
    assert set(record["files"]) == names
    assert names >= {"index.html", "metrics.json", "loss.png", "confusion.png", "reliability.png", "worst.png"}
    for path in saved.glob("*.png"):
        assert cv2.imread(str(path)) is not None, path


def test_keypoints_have_a_report_too_and_unknown_numbers_are_null(points_run: vf.Run, folder: Path) -> None:
    evaluation = points_run.evaluate()
    unknown = replace(evaluation, metrics=evaluation.metrics | {"nme": float("nan")})
    html = unknown.save(folder).read_text(encoding="utf-8")
    assert "RMSE of each point" in html
    text = (folder / "metrics.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert json.loads(text)["metrics"]["nme"] is None


def test_names_from_outside_are_text_and_never_markup(evaluation: Evaluation, folder: Path) -> None:
    evil = ("<script>alert(1)</script>", "$\\evil")
    data = evaluation.dataset
    images = ArrayImages(data.images.pixels, data.images.rows, '"><img src=x onerror=alert(1)>.csv', 2)
    dataset = replace(data, names=evil, images=images, source="<b>bold</b>.zip")
    predictions = [replace(p, label=evil[p.names.index(p.label)], names=evil) for p in evaluation.predictions]
    task = tasks.create(evaluation.recipe, evil)
    html = replace(evaluation, task=task, dataset=dataset, predictions=predictions).save(folder).read_text("utf-8")
    assert "<script" not in html and "<b>" not in html and "<img src=x" not in html
    assert "&lt;script&gt;" in html


def test_a_report_is_replaced_and_leaves_nothing_behind(evaluation: Evaluation, saved: Path, folder: Path) -> None:
    shutil.copytree(saved, folder)
    fewer = replace(evaluation, dataset=evaluation.dataset.select(range(8)), predictions=evaluation.predictions[:8])
    replaced = replace(fewer, errors=evaluation.errors[:8]).save(folder)
    assert "8 images of squares.csv" in replaced.read_text(encoding="utf-8")
    assert [path.name for path in folder.parent.iterdir()] == ["report"]


def test_a_folder_with_anything_else_is_left_alone(evaluation: Evaluation, folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.txt").write_text("ten years of work")
    with pytest.raises(RunError, match="something else than a report"):
        evaluation.save(folder)
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_notes_beside_a_report_are_not_lost(evaluation: Evaluation, saved: Path, folder: Path) -> None:
    shutil.copytree(saved, folder)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"notes\.txt"):
        evaluation.save(folder)
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_file_in_the_way_is_one_clear_line(evaluation: Evaluation, folder: Path) -> None:
    folder.write_text("a file")
    with pytest.raises(RunError, match="is a file"):
        evaluation.save(folder)


def test_a_report_needs_no_curves_and_no_worst_and_may_go_into_an_empty_folder(
    evaluation: Evaluation, folder: Path
) -> None:
    folder.mkdir()
    bare = replace(evaluation, events=[], errors=np.full(32, np.nan))
    html = bare.save(folder).read_text(encoding="utf-8")
    assert "How the training went" not in html
    assert "Worst images first" not in html


def test_overfitting_is_told_in_words_with_what_helps(evaluation: Evaluation, folder: Path) -> None:
    events = [
        {"event": "validation", "epoch": i + 1.0, "step": i, "seconds": i, "best": 0.9, "metrics": {"accuracy": 0.9}}
        | {"train_loss": {"total": 1 / (i + 1)}, "loss": {"total": abs(i - 3) / 10 + 0.3}}
        for i in range(10)
    ]
    html = replace(evaluation, events=events).save(folder).read_text(encoding="utf-8")
    assert "Overfitting from epoch 4 on." in html
    assert "What helps" in html


def test_images_that_were_trained_on_are_told_on_the_page(run: vf.Run, folder: Path) -> None:
    html = run.evaluate(run.part("train")).save(folder).read_text(encoding="utf-8")
    assert "Careful" in html and "64 of these 64 images" in html
