"""Which share of a work this process has, where a launcher has started several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from viewfinder.errors import InputError

__all__ = ["Share", "share"]

LAUNCHERS = (
    ("RANK", "WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    ("JOB_COMPLETION_INDEX", "WORLD_SIZE"),
)
"""Variables with a process' number and with how many there are: torchrun and others, srun, Kubernetes' indexed jobs.

SLURM_NTASKS would be the wrong one: a batch script has it as well, though it is one process."""


@dataclass(frozen=True)
class Share:
    """One process of `size`: those pieces of a work are its own whose number leaves `rank` when divided by `size`."""

    rank: int = 0
    size: int = 1

    def of(self, pieces: range) -> range:
        """Return its own pieces."""
        return pieces[self.rank :: self.size]

    def __str__(self) -> str:
        return f"rank {self.rank} of {self.size}"


def share(environment: Mapping[str, str], rank: int | None = None, size: int | None = None) -> Share:
    """Return the share that options name, and the environment where they do not.

    Raises:
        InputError: it is said which process this is but not how many there are, or the other way round; or the
            numbers are none, or do not fit.
    """
    if size == 1 and not rank:
        return Share()
    said = _said(environment, size is not None)
    rank = said[0] if rank is None else rank
    size = said[1] if size is None else size
    if rank is None and size in (None, 1):
        return Share()
    if rank is None or size is None:
        missing, option = ("how many processes there are", "--world-size") if size is None else ("which one", "--rank")
        raise InputError(f"this process is one of several, and nothing says {missing}", hint=f"add {option}")
    if not 0 <= rank < size:
        raise InputError(f"there is no rank {rank} of {size}", hint="ranks count from 0")
    return Share(rank, size)


def _said(environment: Mapping[str, str], size_known: bool) -> tuple[int | None, int | None]:
    """Return what the environment says of rank and size, of the first launcher that says both, or else a part."""
    for rank, size in LAUNCHERS:
        if rank in environment and (size in environment or size_known):
            return _number(environment, rank), _number(environment, size)
    rank_key = next((key for key in ("RANK", "JOB_COMPLETION_INDEX") if key in environment), "")
    return _number(environment, rank_key), _number(environment, "WORLD_SIZE")


def _number(environment: Mapping[str, str], key: str) -> int | None:
    if key not in environment:
        return None
    if not environment[key].isdecimal():
        raise InputError(f"is {environment[key]!r} instead of a number", where=key, hint="unset it")
    return int(environment[key])
