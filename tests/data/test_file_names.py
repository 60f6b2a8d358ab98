"""Names for files that are made of other files' names."""

from __future__ import annotations

from viewfinder.data.file_names import shortened, unlike


def test_no_two_names_are_equal_and_single_ones_stay() -> None:
    assert unlike(["IMG-1", "IMG", "img", "a", "IMG-1-2"]) == ["IMG-1", "IMG-1-3", "img-2", "a", "IMG-1-2"]


def test_of_a_long_name_its_end_is_kept() -> None:
    assert shortened("tom") == "tom"
    assert shortened("é" * 150 + "tom") == "é" * 98 + "tom"
    assert len(shortened("\udcff" * 300)) == 200
