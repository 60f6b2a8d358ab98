"""Where data is, as it is given on the command line: a path, or a URL."""

from __future__ import annotations

from pathlib import Path
from typing import cast

__all__ = ["place"]


def place(text: str) -> Path:
    """Return a path; of a URL, in which a path would lose a slash, the text itself, which all reading takes as well."""
    from viewfinder.data.remote import is_url

    return cast(Path, text) if is_url(text) else Path(text)
