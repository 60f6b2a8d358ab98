from pathlib import Path

import pytest

from viewfinder.data.appearing import appearing


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


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250 + ".csv")
    with appearing(path) as beside:
        beside.write_text("new")
    assert path.read_text() == "new"
