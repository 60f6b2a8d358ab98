"""What all tests share: a cache folder of their own, and the real data where it is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    os.environ["VIEWFINDER_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def data_folder() -> Path:
    named = os.environ.get("VIEWFINDER_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real data absent: set VIEWFINDER_DATA to its folder")
    return folder
