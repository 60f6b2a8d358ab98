"""Rows that stay on disk are those that would lie in memory, and nothing that happens to their file changes them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.commands import Commands
from viewfinder.data import store
from viewfinder.data.dataset import ArrayImages
from viewfinder.data.images import FileImages, fit_all
from viewfinder.data.memory import IN_MEMORY
from viewfinder.data.rows import digests, fit_rows, is_large
from viewfinder.errors import DataError, InputError

COUNT, SIZE = 24, 16
SOME = np.array([5, 0, 23, 5, 11])
ALL = np.arange(COUNT)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let every set be a large one, with a cache of its own."""
    monkeypatch.setenv("VIEWFINDER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(IN_MEMORY, "0")
    return tmp_path / "cache"


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (20 + seed % 3, 30 - seed % 5, 3)).astype(np.uint8)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for row in range(COUNT):
        cv2.imwrite(str(folder / f"{row:02d}.bmp"), picture(row))
    return folder


def column(folder: Path) -> FileImages:
    return FileImages.of(folder, tuple(f"{row:02d}.bmp" for row in range(COUNT)))


def the_file(cache: Path) -> Path:
    (path,) = cache.glob("*.rows")
    return path


def assert_right(photos: Path) -> None:
    """All rows and maps, in any order, are those that are decoded at once."""
    wanted, maps = fit_all(column(photos), SIZE, 3)
    for rows in (SOME, ALL):
        pixels, own = fit_rows(column(photos), SIZE, 3)
        assert pixels.shape == wanted.shape and len(pixels) == COUNT
        np.testing.assert_array_equal(own[SOME[:2]], maps[SOME[:2]])
        np.testing.assert_array_equal(pixels[rows], wanted[rows])
        np.testing.assert_array_equal(own[rows], maps[rows])


def test_rows_of_files_are_those_that_lie_in_memory(photos: Path, cache: Path) -> None:
    assert_right(photos)
    assert the_file(cache).exists()
    pixels, maps = fit_rows(column(photos).select(SOME), SIZE, 3)
    wanted = fit_all(column(photos).select(SOME), SIZE, 3)
    np.testing.assert_array_equal(pixels[np.array([3, 1])], wanted[0][[3, 1]])
    np.testing.assert_array_equal(maps[np.array([3, 1])], wanted[1][[3, 1]])
    np.testing.assert_array_equal(digests(pixels), digests(wanted[0]))


def test_rows_of_a_zip_are_those_of_the_folder(photos: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in sorted(photos.iterdir()):
            archive.write(path, path.name)
    pixels, _ = fit_rows(column(tmp_path / "photos.zip"), SIZE, 3)
    np.testing.assert_array_equal(pixels[SOME], fit_all(column(photos), SIZE, 3)[0][SOME])


@pytest.mark.parametrize("size", [20, SIZE])
@pytest.mark.parametrize("mapped", [True, False])
def test_rows_of_an_array_are_its_own(size: int, mapped: bool, tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (COUNT, 20, 20, 3)).astype(np.uint8)
    np.save(tmp_path / "array.npy", array)
    there = np.load(tmp_path / "array.npy", mmap_mode="r") if mapped else array
    images = ArrayImages.of(there[2:]).select(np.array([9, 4, 4, 20]))
    pixels, maps = fit_rows(images, size, 3)
    wanted = fit_all(images, size, 3)
    rows = np.array([3, 0, 2, 0])
    np.testing.assert_array_equal(maps[rows], wanted[1][rows])
    np.testing.assert_array_equal(pixels[rows], wanted[0][rows])


def test_a_set_is_large_by_the_whole_column_and_the_setting(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = column(photos)
    monkeypatch.setenv(IN_MEMORY, str(COUNT * SIZE * SIZE * 3 / 1e9))
    assert not is_large(images, SIZE, 3) and isinstance(fit_rows(images, SIZE, 3)[0], np.ndarray)
    assert is_large(images, SIZE + 1, 3) and is_large(images.select(SOME), SIZE + 1, 3)
    monkeypatch.delenv(IN_MEMORY)
    assert not is_large(images, 512, 3)
    for text in ("much", "-1", "nan"):
        monkeypatch.setenv(IN_MEMORY, text)
        with pytest.raises(InputError, match=rf"VIEWFINDER_IN_MEMORY: is '{text}' instead of a number of gigabytes"):
            is_large(images, SIZE, 3)


def test_a_file_is_decoded_once_and_again_when_it_changes(photos: Path) -> None:
    before = fit_rows(column(photos), SIZE, 3)[0][ALL]
    for row in (3, 8):
        path, status = photos / f"{row:02d}.bmp", (photos / f"{row:02d}.bmp").stat()
        path.write_bytes(path.read_bytes()[:-9] + b"otherbyte")
        if row == 3:
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        else:
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    after = fit_rows(column(photos), SIZE, 3)[0][ALL]
    assert np.flatnonzero((before != after).any(axis=(1, 2, 3))).tolist() == [8]


def test_an_unreadable_file_is_named_when_it_is_needed(photos: Path) -> None:
    whole = (photos / "07.bmp").read_bytes()
    (photos / "07.bmp").write_bytes(whole[:-100])
    pixels, _ = fit_rows(column(photos), SIZE, 3)
    pixels[SOME]
    with pytest.raises(DataError, match=r"^07\.bmp: .*viewfinder check"):
        pixels[ALL]
    (photos / "07.bmp").write_bytes(whole)
    assert_right(photos)


def cut_off(content: bytearray) -> None:
    del content[len(content) // 2 :]


def bits(content: bytearray) -> None:
    for at in range(50, len(content), 1000):
        content[at] ^= 4


def zeros(content: bytearray) -> None:
    content[1000:6000] = bytes(5000)


def emptied(content: bytearray) -> None:
    content.clear()


@pytest.mark.parametrize("damage", [cut_off, bits, zeros, emptied])
def test_a_damaged_file_of_rows_does_no_harm(damage: Callable[[bytearray], None], photos: Path, cache: Path) -> None:
    fit_rows(column(photos), SIZE, 3)[0][ALL]
    content = bytearray(the_file(cache).read_bytes())
    damage(content)
    the_file(cache).write_bytes(content)
    assert_right(photos)
    assert len(store.entries()) == 1 + 1  # with that of `fit_all`, which `assert_right` compares with


IN_A_PROCESS = """
import sys
from pathlib import Path
import numpy as np
from tests.data.test_rows import COUNT, SIZE, column, fit_all, fit_rows
{before}
pixels, maps = fit_rows(column(Path(sys.argv[1])), SIZE, 3)
sums = np.zeros(COUNT, dtype=int)
for row in np.random.default_rng(int(sys.argv[2])).permutation(COUNT):
    sums[row] = pixels[np.array([row])].sum()
print(sums.tolist())
"""


def started(photos: Path, seed: int, before: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", IN_A_PROCESS.format(before=before), str(photos), str(seed)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)


def sums(photos: Path) -> str:
    return str(fit_all(column(photos), SIZE, 3)[0].sum(axis=(1, 2, 3), dtype=int).tolist())


def test_two_processes_fill_one_file_at_once_and_both_are_right(photos: Path, cache: Path) -> None:
    processes = [started(photos, seed) for seed in range(2)]
    assert [process.communicate()[0].strip() for process in processes] == [sums(photos)] * 2
    assert len(list(cache.glob("*.rows"))) == 1
    assert_right(photos)


def test_a_process_that_is_killed_leaves_rows_that_can_be_used(photos: Path, cache: Path) -> None:
    process = started(photos, 0)
    deadline = time.monotonic() + 60
    while not list(cache.glob("*.rows")) and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert_right(photos)


@pytest.mark.skipif(os.name != "posix", reason="the limit that stands for a full disk is POSIX's")
def test_a_full_disk_is_done_without(photos: Path) -> None:
    process = started(photos, 0, "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000))")
    assert process.communicate()[0].strip() == sums(photos) and process.returncode == 0


def test_a_cache_that_cannot_be_written_is_done_without(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIEWFINDER_CACHE", str(photos / "00.bmp"))
    pixels, _ = fit_rows(column(photos), SIZE, 3)
    np.testing.assert_array_equal(pixels[SOME], fit_all(column(photos), SIZE, 3)[0][SOME])


def test_the_file_of_rows_can_be_seen_and_cleared(photos: Path, cache: Path, viewfinder: Commands) -> None:
    fit_rows(column(photos), SIZE, 3)[0][SOME]
    (entry,) = store.entries()
    assert (entry.source, entry.kind, entry.shape) == (str(photos), "images at 16×16", (COUNT, SIZE, SIZE, 3))
    assert entry.size <= the_file(cache).stat().st_size
    assert "photos" in viewfinder("cache").out
    viewfinder("cache", "--clear")
    assert not store.entries() and not list(cache.iterdir())


def resident() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the memory of a process so")
def test_what_is_read_of_a_mapped_array_does_not_stay_in_memory(tmp_path: Path) -> None:
    array = np.lib.format.open_memmap(tmp_path / "large.npy", "w+", np.uint8, (4000, 200, 200, 1))
    array[-1] = 7
    pixels, _ = fit_rows(ArrayImages.of(np.load(tmp_path / "large.npy", mmap_mode="r")), 200, 1)
    before = resident()
    total = sum(int(pixels[np.arange(at, at + 50)].max()) for at in range(0, 4000, 50))
    assert total == 7
    assert array.nbytes == 160e6 and resident() - before < 50e6
