"""What lies behind a URL is read, trained on and answered as what lies on a disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import viewfinder as vf
from tests.commands import Commands
from tests.data.remote_sets import URL, boxes, photos, same, stored, zipped
from tests.resume.test_exact import CLASSIFY
from viewfinder.data import store
from viewfinder.data.images import FileImages, fit_all
from viewfinder.data.memory import IN_MEMORY
from viewfinder.data.reading import parts
from viewfinder.data.remote import _number, is_url
from viewfinder.deploy.pictures import _folder, find_pictures
from viewfinder.errors import DataError
from viewfinder.training.checkpoint import load_checkpoint
from viewfinder.training.run import open_run


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
    assert store.clear() > 0 and not list(cache.iterdir())


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


def test_of_a_file_its_beginning_is_read_where_that_is_enough(tmp_path: Path, storage: MemoryFileSystem) -> None:
    folder = photos(tmp_path / "photos", 2)
    images = vf.read(stored(storage, folder)).images
    assert isinstance(images, FileImages)
    whole = (folder / "a" / "000.png").read_bytes()
    assert (images.content(0, 10), images.content(0)) == (whole[:10], whole)
    assert images.size(1) == (17, 15)


def test_sizes_and_checksums_are_kept(tmp_path: Path, storage: MemoryFileSystem, asked: list[str]) -> None:
    url = stored(storage, boxes(tmp_path / "boxes", "voc"))
    first = vf.read(url)
    fingerprint = first.images.fingerprint()
    assert fingerprint == vf.read(tmp_path / "boxes").images.fingerprint()
    asked.clear()
    assert vf.read(url).images.fingerprint() == fingerprint
    assert not [name for name in asked if name.endswith(".png")]


def test_the_same_name_behind_two_urls_stays_two(tmp_path: Path, storage: MemoryFileSystem) -> None:
    photo = next(photos(tmp_path / "photos", 2).rglob("*.png")).read_bytes()
    urls = [f"{URL}/{folder}/photo.png" for folder in "xy"]
    assert _folder(f"{urls[0]}?sig=a/b", tmp_path / "photo.png") == f"{URL}/x"
    for url in urls:
        storage.pipe_file(url, photo)
    pictures = find_pictures(urls)
    assert [pictures.name(row) for row in range(2)] == urls
    storage.pipe_file(f"{URL}/notes.odt", b"nothing that we know")
    with pytest.raises(DataError, match=rf"^{URL}/notes\.odt: cannot be used"):
        find_pictures([f"{URL}/notes.odt"])


@pytest.mark.parametrize("key", ["ETag", "Last-Modified", "LastModified", "revision"])
def test_a_file_of_the_same_size_may_have_changed(key: str) -> None:
    about = {"name": "x", "size": 5, "url": "https://signed/1"}
    assert _number({**about, key: "a"}) != _number({**about, key: "b"})
    assert _number({**about, key: "a"}) == _number({**about, key: "a", "url": "https://signed/2"})


def test_what_was_signed_is_no_name(storage: MemoryFileSystem, tmp_path: Path) -> None:
    data = replace(vf.read(photos(tmp_path / "photos", 4)), source="https://host/photos.zip?Signature=secret")
    assert data.name == "photos.zip"


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
    with_boxes = stored(storage, boxes(tmp_path / "boxes", "voc"))
    assert viewfinder("convert", with_boxes, tmp_path / "converted", "--to", "yolo").code == 0
    same(vf.read(with_boxes).named(("face",)), replace(vf.read(tmp_path / "converted"), format="voc"))
    labels = tmp_path / "labels"
    assert viewfinder("predict", model, url, "--as", "folders", "--out", labels).code == 0
    assert len(list(labels.rglob("*.png"))) == 60
