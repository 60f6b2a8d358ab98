import errno
import sys
from pathlib import Path

import pytest

from viewfinder.data.appearing import appearing, folder_beside, try_place


def test_a_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    with appearing(path) as beside:
        beside.write_text("new")
        assert path.read_text() == "old"
        assert [one.name[0] for one in tmp_path.iterdir() if one != path] == ["."]
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_of_a_failure_nothing_stays(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="half"), appearing(tmp_path / "table.csv") as beside:
        beside.write_text("ha")
        raise ValueError("half")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("folder", ["missing", "file"])
def test_an_error_names_the_file_that_was_asked_for(folder: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / folder / "table.csv"
    with pytest.raises(OSError, match=r"file/table.csv|missing/table.csv") as raised, appearing(path) as beside:
        beside.write_text("new")
    assert raised.value.filename == str(path)


def test_an_error_without_a_number_keeps_its_words(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="the camera is gone"), appearing(tmp_path / "a.csv"):
        raise OSError("the camera is gone")


def test_a_folder_that_was_made_moves_to_its_place_and_nothing_else_stays(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "out"
    with folder_beside(place) as beside:
        (beside / "made").mkdir()
        (beside / "made").replace(place)
    assert list(tmp_path.rglob("*")) == [place.parent, place]


def test_of_a_place_that_was_tried_or_of_a_failure_nothing_stays(tmp_path: Path) -> None:
    place = tmp_path / "very" / "deep" / "out"
    try_place(place)
    with pytest.raises(ValueError, match="half"), folder_beside(place) as beside:
        (beside / "a").touch()
        raise ValueError("half")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("folder", ["file", "file/deeper", "/proc"])
def test_a_place_where_nothing_can_be_made_is_named(folder: str, tmp_path: Path) -> None:
    if folder == "/proc" and sys.platform != "linux":
        pytest.skip("there is no such folder")
    (tmp_path / "file").touch()
    place = tmp_path / folder / "out"
    with pytest.raises(OSError) as raised:
        try_place(place)
    assert raised.value.filename == str(place)


def test_errors_on_the_way_name_the_place_unless_they_are_of_another_file(tmp_path: Path) -> None:
    place = tmp_path / "out"
    with pytest.raises(OSError, match="too large") as full, folder_beside(place):
        raise OSError(errno.EFBIG, "too large")
    with pytest.raises(FileNotFoundError) as inside, folder_beside(place) as beside:
        (beside / "missing" / "a").touch()
    with pytest.raises(FileNotFoundError) as other, folder_beside(place):
        (tmp_path / "other").read_bytes()
    names = [raised.value.filename for raised in (full, inside, other)]
    assert names == [str(place), str(place), str(tmp_path / "other")]


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250 + ".csv")
    with appearing(path) as beside:
        beside.write_text("new")
    assert path.read_text() == "new"
