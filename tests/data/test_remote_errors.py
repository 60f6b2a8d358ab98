"""What goes wrong behind a URL is told in a line, and nothing is lost."""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import known_implementations

import viewfinder as vf
from tests.commands import Commands
from tests.data.remote_sets import URL, Line, boxes, photos, stored, zipped
from tests.deploy.bright import bright_detector
from tests.resume.test_exact import CLASSIFY
from viewfinder.data import store
from viewfinder.data.images import FileImages
from viewfinder.data.joining import joined
from viewfinder.data.memory import IN_MEMORY
from viewfinder.data.reading import write
from viewfinder.data.rows import fit_rows
from viewfinder.deploy.bulk import write_table
from viewfinder.deploy.pictures import find_pictures
from viewfinder.errors import DataError, UnreachableError


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


def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, storage: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = stored(storage, photos(tmp_path / "photos", 8))
    images = vf.read(url).images

    def cat_file(self: MemoryFileSystem, path: str, **options: Any) -> bytes:
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


def test_a_system_out_of_handles_is_no_answer_of_a_table(
    tmp_path: Path, viewfinder: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_handle(path: object, mode: str) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)

    model, folder, table = bright_detector(tmp_path / "m.onnx"), photos(tmp_path / "photos", 4), tmp_path / "t.csv"
    with monkeypatch.context() as full:
        full.setattr("viewfinder.data.images.open", no_handle, raising=False)
        outcome = viewfinder("predict", model, folder, "--table", table)
    assert outcome.code == 2 and "cannot be read: Too many open files" in outcome.err and not table.exists()
    assert viewfinder("predict", model, folder, "--table", table).code == 0


def test_a_lost_connection_stops_a_training_that_can_go_on(
    tmp_path: Path, storage: MemoryFileSystem, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(IN_MEMORY, "0")
    data = vf.read(stored(storage, photos(tmp_path / "photos", 120)))
    line.left = 70
    recipe, changes = CLASSIFY
    told = r"cannot be read: the line went dead; try again, then go on with `viewfinder train --resume"
    with pytest.raises(UnreachableError, match=told):
        vf.train(data, recipe=recipe, epochs=1, changes=changes, out=tmp_path / "run")
    line.left = math.inf
    assert vf.resume(tmp_path / "run").ended == "steps"


def test_what_is_written_lies_on_a_disk(tmp_path: Path, viewfinder: Commands, storage: MemoryFileSystem) -> None:
    folder = photos(tmp_path / "photos", 8)
    outcome = viewfinder("show", folder, "--out", f"{URL}/sheet.png")
    told = f"viewfinder: {URL}/sheet.png: is a URL, which only data that is read may have; name a path\n"
    assert (outcome.code, outcome.err) == (2, told)
    with pytest.raises(DataError, match=f"{URL}/set: is a URL"):
        write(vf.read(folder), f"{URL}/set", "folders")


def test_an_empty_file_is_told_and_stops_no_other(
    tmp_path: Path, storage: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = stored(storage, boxes(tmp_path / "boxes", "voc"))
    storage.pipe_file(f"{url}/images/000003.png", b"")
    whole = MemoryFileSystem.cat_file

    def cat_file(self: MemoryFileSystem, path: str, *, start: Any = None, end: Any = None) -> bytes:
        content: bytes = whole(self, path)
        if end and not content:
            raise OSError(errno.EINVAL, "The requested range is not satisfiable")
        return content[:end]

    monkeypatch.setattr(MemoryFileSystem, "cat_file", cat_file)
    data = vf.read(url)
    with pytest.raises(DataError, match=r"000003\.png: is empty"):
        data.images[3]


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


@pytest.mark.parametrize(("scheme", "package"), [("s3", "s3fs"), ("gs", "gcsfs"), ("https", "aiohttp")])
def test_a_missing_package_is_named(scheme: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = known_implementations[scheme]["err"]

    def url_to_fs(url: str) -> None:
        raise ImportError(said)

    monkeypatch.setattr("fsspec.core.url_to_fs", url_to_fs)
    with pytest.raises(DataError) as caught:
        vf.read(f"{scheme}://bucket/set")
    assert str(caught.value) == f"{scheme}://bucket/set: needs another package: {said}; pip install {package}"


def test_remote_images_are_not_joined_with_others(tmp_path: Path, storage: MemoryFileSystem) -> None:
    folder = photos(tmp_path / "photos", 8)
    here, there = vf.read(folder), vf.read(stored(storage, folder))
    with pytest.raises(DataError, match="cannot be joined with another folder"):
        joined([here, there])
    assert isinstance(there.images, FileImages) and len(there.images.joined(there.images)) == 16
