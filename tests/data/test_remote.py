"""What lies behind a URL is read, trained on and answered as what lies on a disk."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import viewfinder as vf
from tests.commands import Commands
from tests.deploy.bright import bright_detector
from tests.resume.test_exact import CLASSIFY
from viewfinder.data import store
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.images import FileImages, fit_all
from viewfinder.data.joining import joined
from viewfinder.data.memory import IN_MEMORY
from viewfinder.data.reading import parts, write
from viewfinder.data.remote import is_url
from viewfinder.data.rows import fit_rows
from viewfinder.data.targets import BoxSets
from viewfinder.deploy.bulk import write_table
from viewfinder.deploy.pictures import find_pictures
from viewfinder.errors import DataError, UnreachableError
from viewfinder.training.checkpoint import load_checkpoint
from viewfinder.training.run import open_run

URL = "memory://bucket/set"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIEWFINDER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def storage() -> Iterator[MemoryFileSystem]:
    """Give an empty object storage."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the files that are read, one by one, as they are."""
    names: list[str] = []
    whole = MemoryFileSystem.cat_file

    def cat_file(self: MemoryFileSystem, path: str, *args: Any, **options: Any) -> bytes:
        names.append(path.rsplit("/", 1)[1])
        content: bytes = whole(self, path, *args, **options)
        return content

    monkeypatch.setattr(MemoryFileSystem, "cat_file", cat_file)
    return names


def photos(folder: Path, count: int = 60) -> Path:
    rng = np.random.default_rng(3)
    for row in range(count):
        file = folder / "ab"[row % 2] / f"{row:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), rng.integers(0, 255, (14 + row % 4, 17, 1), dtype=np.uint8))
    return folder


def boxes(folder: Path, format: str) -> Path:
    rng = np.random.default_rng(4)
    images = ArrayImages.of(rng.integers(0, 255, (12, 40, 52, 3), dtype=np.uint8))
    sides = [np.array([[10, 8, 40, 38]]) + rng.integers(0, 2, 4) for _ in range(12)]
    write(Dataset("detect", ("face",), images, BoxSets.of(sides, [np.zeros(1, np.int64)] * 12)), folder, format)
    return folder


def zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder))


def stored(system: MemoryFileSystem, path: Path) -> str:
    """Put a file or a folder into the storage and return its URL."""
    url = f"{URL}/{path.name}"
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            inside = f"/{file.relative_to(path).as_posix()}" if path.is_dir() else ""
            system.pipe_file(f"{url}{inside}", file.read_bytes())
    return url


def same(here: Dataset, there: Dataset) -> None:
    assert (here.task, here.names, here.format, len(here)) == (there.task, there.names, there.format, len(there))
    assert here.targets is not None and there.targets is not None
    for one, other in zip(vars(here.targets).values(), vars(there.targets).values(), strict=True):
        np.testing.assert_array_equal(one, other)
    for row in range(len(here)):
        np.testing.assert_array_equal(here.images[row], there.images[row])


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("s3://bucket/photos", True),
        ("https://host/set.zip", True),
        (r"C:\photos", False),
        ("C:/photos", False),
        ("photos/s3://bucket", False),
        (Path("photos"), False),
    ],
)
def test_a_url_is_known_by_its_scheme(given: str | Path, url: bool) -> None:
    assert is_url(given) == url


def test_a_folder_of_classes_is_read_like_one_on_a_disk(tmp_path: Path, storage: MemoryFileSystem) -> None:
    folder = photos(tmp_path / "photos")
    (folder / "a" / ".hidden.png").write_bytes(b"")
    url = stored(storage, folder)
    there = vf.read(f"{url}/")
    same(vf.read(folder), there)
    assert there.source == f"{url}/" and there.name == "photos"
    np.testing.assert_array_equal(fit_all(there.images, 20, 1)[0], fit_all(vf.read(folder).images, 20, 1)[0])


@pytest.mark.parametrize("format", ["labelme", "voc", "yolo", "coco"])
def test_boxes_are_read_like_those_on_a_disk(format: str, tmp_path: Path, storage: MemoryFileSystem) -> None:
    folder = boxes(tmp_path / "boxes", format)
    url = stored(storage, folder)
    same(vf.read(folder), vf.read(url))
    assert parts(url) == parts(folder)


def test_a_download_is_fetched_once_and_again_when_it_changed(
    tmp_path: Path, storage: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    fetched = []
    whole = MemoryFileSystem.get_file

    def get_file(self: MemoryFileSystem, path: str, local: str, **options: Any) -> None:
        fetched.append(path)
        whole(self, path, local, **options)

    monkeypatch.setattr(MemoryFileSystem, "get_file", get_file)
    file = zipped(photos(tmp_path / "photos", 8))
    url = stored(storage, file)
    same(vf.read(file), vf.read(url))
    assert vf.read(url).source == url and len(fetched) == 1
    stored(storage, zipped(photos(tmp_path / "photos", 10)))
    assert len(vf.read(url)) == 10 and len(fetched) == 2
    assert [entry.kind for entry in store.entries()] == ["a download"] * 2
    assert not list(cache.glob("*.part"))
    assert store.clear() > 0 and not [path for path in cache.rglob("*") if path.is_file()]


def test_a_download_that_breaks_off_leaves_nothing(
    tmp_path: Path, storage: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    def get_file(self: MemoryFileSystem, path: str, local: str, **options: Any) -> None:
        Path(local).write_bytes(b"half")
        raise ConnectionError("the line went dead")

    monkeypatch.setattr(MemoryFileSystem, "get_file", get_file)
    url = stored(storage, zipped(photos(tmp_path / "photos", 4)))
    with pytest.raises(UnreachableError, match=rf"^{url}: cannot be read: the line went dead; start again$"):
        vf.read(url)
    assert not [path for path in cache.rglob("*") if path.is_file() and path.suffix not in (".arrays",)]


def test_a_download_that_does_not_fit_is_not_begun(
    tmp_path: Path, storage: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = stored(storage, zipped(photos(tmp_path / "photos", 4)))
    monkeypatch.setattr(store, "LEFT_FREE", 1 << 60)
    with pytest.raises(DataError, match=r"photos\.zip of 0\.0 GB does not fit; name another folder in VIEWFIND"):
        vf.read(url)


def test_a_large_set_is_read_while_it_trains_and_gives_the_same_weights(
    tmp_path: Path, storage: MemoryFileSystem, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(IN_MEMORY, "0")
    folder = photos(tmp_path / "photos", 120)
    url, seen = stored(storage, folder), []

    def note(event: dict[str, Any]) -> None:
        if event["event"] == "start":
            seen.append(len(asked))

    recipe, changes = CLASSIFY
    here = vf.train(vf.read(folder), recipe=recipe, epochs=2, changes=changes, out=tmp_path / "here")
    there = vf.train(vf.read(url), recipe=recipe, epochs=2, changes=changes, out=tmp_path / "there", on_event=note)
    weights = [load_checkpoint(run.folder / "checkpoints", "last")[0] for run in (here, there)]
    assert weights[0].keys() == weights[1].keys()
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])
    assert seen[0] < 120 <= len(set(asked)), "it began when all was read"
    assert there.info["data"]["train"]["source"] == url
    asked.clear()
    same(here.part("val"), open_run(there.folder).part("val"))


def test_what_was_decoded_is_not_read_again(tmp_path: Path, storage: MemoryFileSystem, asked: list[str]) -> None:
    url = stored(storage, photos(tmp_path / "photos"))
    first = fit_all(vf.read(url).images, 16, 1)[0]
    assert len(asked) == 60
    np.testing.assert_array_equal(fit_all(vf.read(url).images, 16, 1)[0], first)
    assert len(asked) == 60
    storage.pipe_file(f"{url}/a/000.png", storage.cat_file(f"{url}/b/001.png"))
    assert not np.array_equal(fit_all(vf.read(url).images, 16, 1)[0][0], first[0]), "a file that changed"


def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, storage: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = stored(storage, photos(tmp_path / "photos", 8))
    images = vf.read(url).images

    def cat_file(self: MemoryFileSystem, path: str, *args: Any, **options: Any) -> bytes:
        raise PermissionError("Forbidden")

    with monkeypatch.context() as forbidding:
        forbidding.setattr(MemoryFileSystem, "cat_file", cat_file)
        with pytest.raises(UnreachableError, match=rf"^a/000\.png: cannot be read: Forbidden; in {url}$"):
            images[0]
        with pytest.raises(UnreachableError, match=r"^a/000\.png: cannot be read: Forbidden"):
            fit_rows(images, 16, 1)
    storage.rm_file(f"{url}/b/001.png")
    with pytest.raises(DataError, match=rf"^b/001\.png: no such file or folder; in {url}$"):
        images[4]


class Line:
    """How many files are read before the line goes dead."""

    left: float = math.inf


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    line, whole = Line(), MemoryFileSystem.cat_file

    def cat_file(self: MemoryFileSystem, path: str, *args: Any, **options: Any) -> bytes:
        line.left -= 1
        if line.left < 0:
            raise ConnectionError("the line went dead")
        content: bytes = whole(self, path, *args, **options)
        return content

    monkeypatch.setattr(MemoryFileSystem, "cat_file", cat_file)
    return line


def test_a_lost_connection_is_no_answer_of_a_table(tmp_path: Path, storage: MemoryFileSystem, line: Line) -> None:
    folder = photos(tmp_path / "photos", 300)
    pictures = find_pictures([stored(storage, folder)])
    predictor, table = vf.load(bright_detector(tmp_path / "bright.onnx")), tmp_path / "table.csv"
    line.left = 150
    with pytest.raises(UnreachableError, match=r"\.png: cannot be read: the line went dead; in memory://"):
        write_table(predictor, pictures, table)
    assert not table.exists()
    line.left = math.inf
    done = write_table(predictor, pictures, table)
    assert (done.count, done.unreadable) == (300, 0)
    write_table(predictor, find_pictures([folder]), tmp_path / "here.csv")
    assert table.read_text(encoding="utf-8") == (tmp_path / "here.csv").read_text(encoding="utf-8")


def test_a_lost_connection_stops_a_training_that_can_go_on(
    tmp_path: Path, storage: MemoryFileSystem, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(IN_MEMORY, "0")
    data = vf.read(stored(storage, photos(tmp_path / "photos", 120)))
    line.left = 70
    recipe, changes = CLASSIFY
    told = r"cannot be read: the line went dead; wait until it answers, then go on with `viewfinder train --resume"
    with pytest.raises(UnreachableError, match=told):
        vf.train(data, recipe=recipe, epochs=1, changes=changes, out=tmp_path / "run")
    line.left = math.inf
    assert vf.resume(tmp_path / "run").ended == "steps"


def test_a_download_that_is_no_data_is_told_by_its_url(storage: MemoryFileSystem) -> None:
    storage.pipe_file(f"{URL}/notes.odt", b"nothing that we know")
    with pytest.raises(DataError, match=rf"^{URL}/notes\.odt: cannot be used: it is of no known kind; looked for"):
        vf.read(f"{URL}/notes.odt")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("memory://bucket/nothing", "no such file or folder; check the URL, and see that you may read it"),
        ("nowhere://bucket/set", "cannot be read: Protocol not known: nowhere; check the URL"),
    ],
)
def test_a_url_that_leads_nowhere_is_told_in_a_line(
    url: str, told: str, storage: MemoryFileSystem, viewfinder: Commands
) -> None:
    outcome = viewfinder("check", url)
    assert outcome.code == 2
    assert outcome.err.startswith(f"viewfinder: {url}: {told}") and outcome.err.count("\n") == 1


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def url_to_fs(url: str) -> None:
        raise ImportError("Please install s3fs to access S3")

    monkeypatch.setattr(fsspec, "url_to_fs", url_to_fs)
    with pytest.raises(DataError, match=r"^s3://bucket/set: Please install s3fs to access S3; pip install s3fs$"):
        vf.read("s3://bucket/set")


def test_remote_images_are_not_joined_with_others(tmp_path: Path, storage: MemoryFileSystem) -> None:
    folder = photos(tmp_path / "photos", 8)
    here, there = vf.read(folder), vf.read(stored(storage, folder))
    with pytest.raises(DataError, match="cannot be joined with another folder"):
        joined([here, there])
    assert isinstance(there.images, FileImages) and len(there.images.joined(there.images)) == 16


def test_commands_take_urls(tmp_path: Path, storage: MemoryFileSystem, viewfinder: Commands) -> None:
    folder = photos(tmp_path / "photos")
    url = stored(storage, folder)
    recipe, changes = CLASSIFY
    options = [option for change in changes.items() for option in ("--set", f"{change[0]}={change[1]}")]
    outcome = viewfinder("train", url, "--recipe", recipe, "--epochs", 1, *options, "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    model = tmp_path / "run" / "model.onnx"
    tables = {}
    for source in (folder, url):
        table = tmp_path / f"{len(tables)}.csv"
        assert viewfinder("predict", model, source, "--table", table).code == 0
        tables[table.name] = table.read_text(encoding="utf-8")
    assert tables["0.csv"] == tables["1.csv"]
    assert viewfinder("evaluate", tmp_path / "run", "--data", url).code == 0
    assert viewfinder("show", url, "--out", tmp_path / "sheet.png").code == 0
    assert viewfinder("convert", url, tmp_path / "converted", "--to", "voc").code == 2  # classes are no boxes
    labels = tmp_path / "labels"
    assert viewfinder("predict", model, url, "--as", "folders", "--out", labels).code == 0
    assert len(list(labels.rglob("*.png"))) == 60
