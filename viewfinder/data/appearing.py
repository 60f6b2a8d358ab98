"""Files that are there when they are whole, and not before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

__all__ = ["appearing"]


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Give a file beside `path` that is renamed to it once its content is on the disk; of a failure nothing stays.

    Raises OSError, which names `path`, where the disk fails.
    """
    beside = path.with_name(f".{path.name[:60]}.{uuid4().hex[:8]}")
    try:
        yield beside
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(beside)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        with suppress(OSError):
            beside.unlink()
