"""Videos that are written can be read back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.live.clips import HEIGHT, WIDTH, frame
from viewfinder.errors import DataError, InputError
from viewfinder.live import Recorder, open_source


def read(path: Path) -> list[np.ndarray]:
    source, images = open_source(path), []
    while (one := source.read()) is not None:
        images.append(one.image)
    return images


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_every_picture_is_in_the_video(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "deep" / f"a{suffix}"
    with Recorder(path, 20) as recorder:
        for number in range(12):
            recorder.add(np.ascontiguousarray(frame(number)[..., ::-1]), number / 20)
    images = read(path)
    assert len(images) == recorder.count == 12
    for number, image in enumerate(images):
        assert np.abs(image.astype(int) - frame(number)[..., ::-1]).mean() < 3
    assert [one.name for one in path.parent.iterdir()] == [path.name], "something else was left"


def test_pictures_that_come_slowly_are_shown_for_as_long_as_they_were(tmp_path: Path) -> None:
    with Recorder(tmp_path / "a.avi", 20) as recorder:
        for number, time in enumerate((3.0, 3.1, 3.5, 100.0)):
            recorder.add(frame(5 * number), time)
    images = read(tmp_path / "a.avi")
    assert recorder.count == 4 and len(images) == 1 + 2 + 8 + 100
    assert open_source(tmp_path / "a.avi").pace == pytest.approx(20)


def test_pictures_of_other_sizes_get_that_of_the_first(tmp_path: Path) -> None:
    with Recorder(tmp_path / "a.mp4", 10) as recorder:
        recorder.add(np.full((101, 201, 3), 200, np.uint8), 0.0)
        recorder.add(np.full((400, 100, 3), 200, np.uint8), 0.1)
    first, second = read(tmp_path / "a.mp4")
    assert first.shape == second.shape == (102, 202, 3)
    assert second[:, 101].mean() > 180 and second[:, :40].mean() < 20, "it was stretched"


def test_a_video_is_finished_whatever_happens(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Recorder(tmp_path / "a.mp4", 10) as recorder:
        recorder.add(np.zeros((HEIGHT, WIDTH, 3), np.uint8), 0.0)
        raise KeyboardInterrupt
    assert len(read(tmp_path / "a.mp4")) == 1


def test_nothing_is_written_where_nothing_was_seen(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("older")
    with Recorder(tmp_path / "a.mp4", 10):
        pass
    assert [one.name for one in tmp_path.iterdir()] == ["a.mp4"] and (tmp_path / "a.mp4").read_text() == "older"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no files")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_video_for_which_there_is_no_room_is_one_line(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    full = pytest.raises(DataError, match="could not be written to its end; is the disk full")
    with full, files_of_at_most(100_000), Recorder(tmp_path / f"a{suffix}", 10) as recorder:
        for number in range(40):
            recorder.add(np.roll(noise, number * 7, axis=0), number / 10)
    assert not (tmp_path / f"a{suffix}").exists()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_name_that_is_none_of_a_video_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"let it end in \.mp4"):
        Recorder(tmp_path / "a.gif", 10)
