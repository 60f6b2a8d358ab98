"""The cache: built once, whole or not there, and never in the way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.commands import Commands
from viewfinder.data import store
from viewfinder.data.store import Rows, Stored

PIXELS = np.random.default_rng(0).integers(0, 256, (3000, 28, 28, 1)).astype(np.uint8)
LABELS = np.arange(3000)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIEWFINDER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Source:
    """Something that is slow to read: it counts how often that happens."""

    def __init__(self) -> None:
        self.reads = 0

    def build(self, rows: Rows) -> Mapping[str, np.ndarray]:
        self.reads += 1
        for start in range(0, len(PIXELS), 700):
            rows(PIXELS[start : start + 700])
        return {"labels": LABELS, "names": np.array(["left", "right"])}

    def fetch(self, what: str = "key") -> Stored:
        return store.fetch(store.key_of(what), self.build, source="digits.zip", kind="digits train")


def the_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_what_was_built_comes_from_the_disk_the_next_time() -> None:
    source = Source()
    first, second = source.fetch(), source.fetch()
    assert source.reads == 1
    for stored in (first, second):
        assert isinstance(stored.pixels, np.memmap)
        np.testing.assert_array_equal(stored.pixels, PIXELS)
        np.testing.assert_array_equal(stored.arrays["labels"], LABELS)
        assert stored.arrays["names"].tolist() == ["left", "right"]
    assert first.digest == second.digest and not second.notes()


def test_another_key_is_built_by_itself() -> None:
    source = Source()
    source.fetch("a")
    source.fetch("b")
    assert source.reads == 2


def test_keys_tell_apart_what_their_parts_tell_apart() -> None:
    assert store.key_of("a", "b") == store.key_of("a", "b")
    assert len({store.key_of("a", "b"), store.key_of("ab"), store.key_of("b", "a"), store.key_of("a", 1)}) == 4


def cut_off(content: bytearray) -> None:
    del content[len(content) // 2 :]


def cut_off_a_little(content: bytearray) -> None:
    del content[-1:]


def one_bit(content: bytearray) -> None:
    content[len(content) // 3] ^= 4


def one_bit_at_the_end(content: bytearray) -> None:
    content[-60] ^= 4


def emptied(content: bytearray) -> None:
    content.clear()


def zeros(content: bytearray) -> None:
    content[:] = bytes(len(content))


@pytest.mark.parametrize("damage", [cut_off, cut_off_a_little, one_bit, one_bit_at_the_end, emptied, zeros])
def test_a_damaged_entry_is_noticed_and_built_again(damage: Callable[[bytearray], None], folder: Path) -> None:
    source = Source()
    source.fetch()
    path = the_file(folder)
    content = bytearray(path.read_bytes())
    damage(content)
    path.write_bytes(content)
    np.testing.assert_array_equal(source.fetch().pixels, PIXELS)
    assert source.reads == 2
    source.fetch()
    assert source.reads == 2


def test_a_build_that_fails_leaves_nothing(folder: Path) -> None:
    def build(rows: Rows) -> Mapping[str, Any]:
        rows(PIXELS)
        raise KeyError("row 7")

    with pytest.raises(KeyError):
        store.fetch("key", build, source="", kind="")
    assert not list(folder.iterdir())


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VIEWFINDER_CACHE", str(tmp_path / "file"))
    source = Source()
    stored = source.fetch()
    np.testing.assert_array_equal(stored.pixels, PIXELS)
    np.testing.assert_array_equal(stored.arrays["labels"], LABELS)
    (note,) = stored.notes()
    assert note.severity == "info" and str(tmp_path / "file") in note.where[0]
    source.fetch()
    assert source.reads == 2


def test_the_digest_is_of_the_content_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Source().fetch()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VIEWFINDER_CACHE", str(tmp_path / "file"))
    assert Source().fetch().digest == kept.digest


IN_A_PROCESS = """
import sys
from tests.data.test_store import Source, PIXELS
{before}
stored = Source().fetch()
assert (stored.pixels == PIXELS).all()
print(len(stored.notes()))
"""


def started(before: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", IN_A_PROCESS.format(before=before)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name != "posix", reason="the limit that stands for a full disk is POSIX's")
def test_a_full_disk_is_done_without(folder: Path) -> None:
    process = started("import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))")
    assert process.communicate()[0] == "1\n" and process.returncode == 0
    assert not list(folder.iterdir())


def test_two_processes_may_build_the_same_entry_at_once(folder: Path) -> None:
    processes = [started() for _ in range(2)]
    assert [process.communicate()[0] for process in processes] == ["0\n", "0\n"]
    source = Source()
    source.fetch()
    assert source.reads == 0 and len(list(folder.iterdir())) == 1


def test_what_a_killed_process_left_behind_is_swept_after_a_day(folder: Path) -> None:
    folder.mkdir()
    old, fresh = folder / "viewfinder-old.part", folder / "viewfinder-fresh.part"
    old.write_bytes(b"half")
    fresh.write_bytes(b"half")
    os.utime(old, (1e9, 1e9))
    Source().fetch()
    assert not old.exists() and fresh.exists()


def test_the_cache_can_be_seen_and_cleared(folder: Path, viewfinder: Commands) -> None:
    Source().fetch()
    (entry,) = store.entries()
    assert (entry.source, entry.kind, entry.shape) == ("digits.zip", "digits train", PIXELS.shape)
    shown = viewfinder("cache")
    assert shown.code == 0 and "digits.zip" in shown.out and "3,000" in shown.out
    (folder / "viewfinder-left.part").write_bytes(b"half")
    assert viewfinder("cache", "--clear").code == 0
    assert not list(folder.iterdir()) and not store.entries()


def test_what_lies_in_that_folder_and_is_not_ours_stays(folder: Path) -> None:
    folder.mkdir()
    names = {"mine.txt", "film.iso.part", "model.safetensors", "old.rows", "weights.arrays"}
    for name in names:
        (folder / name).write_text("not ours")
        os.utime(folder / name, (1e9, 1e9))
    Source().fetch()
    assert len(list(folder.iterdir())) == len(names) + 1
    store.clear()
    assert {path.name for path in folder.iterdir()} == names


def test_a_cache_that_was_never_used_is_empty(viewfinder: Commands) -> None:
    assert store.entries() == [] and store.clear() == 0
    assert viewfinder("cache").code == 0
