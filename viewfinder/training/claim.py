"""One training at a time in a run folder: a second one would write over what the first has learnt.

The claim is a lock of the operating system on `run.json`: it ends with the process, however that ends, and leaves
nothing behind. A file system without locks is trusted.
"""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from viewfinder.errors import RunError

__all__ = ["claimed"]

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, getattr(errno, "ENOTSUP", errno.EOPNOTSUPP)}
"""What a file system says that has none."""

if sys.platform == "win32":
    import msvcrt

    _BEYOND = 2**30
    """Where no byte is: a locked one could not be read by others."""

    def _lock(file: IO[bytes]) -> None:
        file.seek(_BEYOND)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def claimed(folder: Path, leads: bool = True) -> Iterator[None]:
    """Let no other process train in a run folder meanwhile.

    Args:
        folder: a run folder with its `run.json`.
        leads: whether this process writes there; the others that train with it need no claim.

    Raises RunError where another process trains there.
    """
    if not leads:
        yield
        return
    with (folder / "run.json").open("r+b") as file:  # over NFS only what may be written can be locked
        try:
            _lock(file)
        except (BlockingIOError, PermissionError):  # the second is what Windows says
            hint = "wait until it is over, or stop that process"
            raise RunError("another process is training this run", where=folder, hint=hint) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        yield
