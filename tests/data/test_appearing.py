import errno
import os
import sys
from pathlib import Path

import pytest

from viewfinder.data.appearing import appearing, folder_beside, replace_files, replace_folder, try_place


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


def test_what_a_killed_process_left_beside_goes_after_a_day(tmp_path: Path) -> None:
    old, fresh, busy, kept, other = (
        tmp_path / f".viewfinder-{name}" for name in ("0123abcd", "1123abcd", "2123abcd", "3123abcd", "settings")
    )
    for left in (old, fresh, busy, kept, other):
        (left / "predictions").mkdir(parents=True)
    (kept / "predictions").rename(kept / ".before")  # what was to be replaced, and is nowhere else
    (busy / "predictions" / "a.png").touch()  # of a process that has worked for days
    for left in (old, busy, kept, other):
        for one in (*left.iterdir(), left):
            os.utime(one, (1e9, 1e9))
    with folder_beside(tmp_path / "out"):
        assert not old.exists()
    assert set(tmp_path.iterdir()) == {fresh, busy, kept, other}


def test_a_folder_is_replaced_and_comes_back_where_that_fails(tmp_path: Path) -> None:
    place = tmp_path / "out"
    for content in ("first", "second"):
        with folder_beside(place) as beside:
            (beside / "new").mkdir()
            (beside / "new" / content).touch()
            replace_folder(beside / "new", place)
    with pytest.raises(FileNotFoundError), folder_beside(place) as beside:
        replace_folder(beside / "missing", place)
    assert sorted(tmp_path.rglob("*")) == [place, place / "second"]


@pytest.mark.parametrize("locked", ["", "b", "c"])
def test_the_files_of_a_folder_are_replaced_or_all_stay(
    locked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, new, replace = tmp_path / "out", tmp_path / "new", Path.replace
    for folder, names in ((place, "abc"), (new, "bcd")):
        folder.mkdir()
        for name in (*names, ".hidden"):
            (folder / name).write_text(f"{folder.name} {name}")

    def fails_if_locked(path: Path, to: Path) -> Path:
        if path == place / locked:
            raise PermissionError(errno.EACCES, "open elsewhere", str(path))
        seen.append({one.name for one in place.iterdir() if one.name[0] != "."})
        return replace(path, to)

    seen: list[set[str]] = []
    before = {file.name: file.read_text() for file in place.iterdir()}
    after = {file.name: file.read_text() for file in new.iterdir()}
    monkeypatch.setattr(Path, "replace", fails_if_locked)
    if locked:
        with pytest.raises(PermissionError):
            replace_files(new, place, "b")
    else:
        replace_files(new, place, "b")
    assert {file.name: file.read_text() for file in place.iterdir()} == (before if locked else after)
    assert all(names == set() or "b" in names for names in seen), "files are there that nothing tells of"
