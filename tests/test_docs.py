"""Every command and every piece of Python in README and docs runs, on small stand-ins for the downloads."""

from __future__ import annotations

import re
import shlex
import shutil
import zipfile
from pathlib import Path

import cv2
import fsspec
import numpy as np
import pytest

import viewfinder as vf
from tests.commands import Commands
from tests.live.clips import write_clip
from tests.live.models import write_bright
from viewfinder.data.dataset import Dataset
from viewfinder.data.formats import kaggle_digits, kaggle_faces, labelme
from viewfinder.data.samples import digits, faces
from viewfinder.data.targets import BoxSets

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHORTER = [
    (r"--minutes \S+", "--minutes 0.02"),
    (r"--epochs \S+", "--epochs 1"),
    (r" --open\b", ""),
    (r"--source 0\b", "--source clip.mp4"),
    (r"--times \S+", "--times 2"),
    (r" --set data\.size=\S+", ""),
    (r"--recipe detect(?!\S)", "--recipe detect --set data.size=64"),
    (r"s3://bucket/", "memory://bucket/"),
    (r"runs/faces/model\.onnx", "faces.onnx"),
]
QUICK = {"train.batch": 16, "train.threads": 1}


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the pages speak of, made of embedded digits and drawn faces."""
    folder = tmp_path_factory.mktemp("docs")
    few = digits().select(np.arange(320))
    people = faces(160, seed=1, channels=1)
    _digits_zip(few, folder / "digit-recognizer.zip")
    _faces_zip(people, folder / "facial-keypoints-detection.zip")
    _labelled_faces(people.select(np.arange(40)), folder / "faces")
    for row in range(40):
        for where in ("pets/cat", "pets/dog", "photos"):
            path = folder / where / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), people.images[row + 40 * (where == "pets/dog")])
    for name in ("pets", "photos"):
        fsspec.filesystem("memory").put(str(folder / name), f"/bucket/{name}", recursive=True)
    cv2.imwrite(str(folder / "seven.png"), few.images[7])
    cv2.imwrite(str(folder / "photo.jpg"), people.images[0])
    shutil.copy(folder / "digit-recognizer.zip", folder / "new.zip")
    write_clip(folder / "clip.mp4", frames=10)
    write_bright(folder / "faces.onnx", name="face")
    for name, data in (("digits", "digit-recognizer.zip"), ("keypoints", "facial-keypoints-detection.zip")):
        run = vf.train(vf.read(folder / data), recipe=name, epochs=1, changes=QUICK, out=folder / "runs" / name)
        run.export(folder / f"{name}.onnx")
    return folder


def _digits_zip(few: Dataset, path: Path) -> None:
    parts = path.parent / "digits"
    parts.mkdir()
    kaggle_digits.write(few, parts / "train.csv")
    kaggle_digits.write(Dataset(few.task, few.names, few.images), parts / "test.csv")
    sample = "".join(f"{i + 1},0\n" for i in range(len(few)))
    (parts / "sample_submission.csv").write_text("ImageId,Label\n" + sample)
    _zip(path, parts)


def _faces_zip(people: Dataset, path: Path) -> None:
    parts = path.parent / "unpacked"
    parts.mkdir()
    kaggle_faces.write(people, parts / "training.csv")
    some = people.select(np.arange(5))
    kaggle_faces.write(Dataset(some.task, some.names, some.images), parts / "test.csv")
    asked = [(image, f"{name}_{axis}") for image in range(1, 6) for name in people.names for axis in "xy"]
    rows = "".join(f"{i},{image},{name},\n" for i, (image, name) in enumerate(asked, 1))
    (parts / "IdLookupTable.csv").write_text("RowId,ImageId,FeatureName,Location\n" + rows)
    for name in ("training", "test"):
        _zip(parts / f"{name}.zip", parts / f"{name}.csv")
    _zip(path, parts)


def _labelled_faces(people: Dataset, path: Path) -> None:
    xy = np.asarray(people.labelled().array())
    boxes = [np.concatenate([points.min(axis=0) - 9, points.max(axis=0) + 9]).clip(0, 96)[None] for points in xy]
    targets = BoxSets.of(boxes, [np.zeros(1, dtype=np.int64)] * len(boxes))
    labelme.write(Dataset("detect", ("face",), people.images, targets), path)


def _zip(path: Path, source: Path) -> None:
    files = [source] if source.is_file() else sorted(source.iterdir())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.name)
            file.unlink()


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a language in a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def at_hand(downloads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a fresh copy of the folder."""
    shutil.copytree(downloads, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_run(page: Path, at_hand: Path, viewfinder: Commands) -> None:
    for line in "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines():
        if line.startswith("viewfinder "):
            _run(line, viewfinder)


def _run(line: str, viewfinder: Commands) -> None:
    for pattern, short in SHORTER:
        line = re.sub(pattern, short, line)
    words = shlex.split(line, comments=True)[1:]
    target = words[words.index(">") + 1] if ">" in words else None
    words = words[: words.index(">")] if target else words
    if words[0] == "train" and "--resume" not in words:
        words += ["--set", "train.batch=16", "--set", "train.threads=1", "--no-export"]
    if words[0] in ("train", "predict", "submit", "export") and "--out" in words:
        _clear(Path(words[words.index("--out") + 1]))
    if words[0] == "train" and "--resume" in words:
        _interrupted(Path(words[words.index("--resume") + 1]))
    outcome = viewfinder(*words)
    assert outcome.code == 0 or (words[0] == "check" and outcome.code == 1), f"{line}\n{outcome.err}"
    if target:
        Path(target).write_text(outcome.out)


def _clear(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def _interrupted(folder: Path) -> None:
    """Turn a finished run into one that was stopped on the way, with the last events gone."""
    source = vf.open_run(folder).info["data"]["train"]["source"]
    recipe = vf.open_run(folder).recipe.name
    shutil.rmtree(folder)

    def stop(event: dict[str, object]) -> None:
        if event["event"] == "validation":
            raise KeyboardInterrupt

    changes = QUICK | {"train.validations": 3}
    with pytest.raises(KeyboardInterrupt):
        vf.train(vf.read(source), recipe=recipe, epochs=1, changes=changes, out=folder, on_event=stop)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page: Path, at_hand: Path) -> None:
    code = "\n".join(blocks(page, "python"))
    code = re.sub(r"minutes=\d+", "minutes=0.02", code).replace(
        'recipe="digits",', 'recipe="digits", changes=QUICK,', 1
    )
    exec(compile(code, page.name, "exec"), {"QUICK": QUICK})
