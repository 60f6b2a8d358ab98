"""An object storage in memory, and what it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tests.data.remote_sets import Line


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIEWFINDER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def storage(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryFileSystem]:
    """Give an empty object storage, and have a cache that is empty as well."""
    whole = MemoryFileSystem.cat_file

    def cat_file(self: MemoryFileSystem, path: str, version: None = None, start: Any = None, end: Any = None) -> bytes:
        """Take what s3fs takes, in its order."""
        assert version is None
        content: bytes = whole(self, path, start=start, end=end)
        return content

    monkeypatch.setattr(MemoryFileSystem, "cat_file", cat_file)
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


@pytest.fixture
def asked(storage: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the files that are read, one by one, as they are."""
    names: list[str] = []
    whole = MemoryFileSystem.cat_file

    def cat_file(self: MemoryFileSystem, path: str, **options: Any) -> bytes:
        names.append(path.rsplit("/", 1)[1])
        content: bytes = whole(self, path, **options)
        return content

    monkeypatch.setattr(MemoryFileSystem, "cat_file", cat_file)
    return names


@pytest.fixture
def line(storage: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch) -> Line:
    line, whole = Line(), MemoryFileSystem.cat_file

    def cat_file(self: MemoryFileSystem, path: str, **options: Any) -> bytes:
        line.left -= 1
        if line.left < 0:
            raise ConnectionError("the line went dead")
        content: bytes = whole(self, path, **options)
        return content

    monkeypatch.setattr(MemoryFileSystem, "cat_file", cat_file)
    return line
