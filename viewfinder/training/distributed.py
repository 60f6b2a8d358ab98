"""Several processes that train as one: `torchrun --nproc-per-node 2 -m viewfinder train …`.

Each process computes its share of every batch. Then the outputs are put together, so that every process sees the
loss of the whole batch, whatever a task divides it by; each goes back through its own samples, and the gradients
are added up. So the numbers are those of one process with the same batch, up to rounding, and no task knows of it.

What depends on a clock, a signal or a measurement is decided by one and told to all: a process that left the
course alone would wait for the others for ever.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import Parameter

from viewfinder.augment.device import on_device
from viewfinder.augment.share import Share
from viewfinder.data.cores import usable_cores
from viewfinder.errors import RecipeError, RunError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

__all__ = ["ALONE", "Team", "join", "launch", "leads", "restarted"]

PATIENCE = timedelta(hours=2)  # the first process of a machine reads the data while the others wait

T = TypeVar("T")


@dataclass(frozen=True)
class Team:
    """The processes that train together; by default there is only this one, and nothing is sent.

    Args:
        rank: which one this is, from 0; the first leads: it alone speaks and writes.
        size: how many there are, on all machines.
        local_rank: which one of this machine.
        local_size: how many there are on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process speaks and writes for all."""
        return self.rank == 0

    @property
    def threads(self) -> int:
        """CPU threads for each process of this machine."""
        return usable_cores(self.local_size)

    def share(self, batch: int, members: int = 1) -> Share:
        """Return this process's share of training batches: as much of each ensemble member's part as any other's.

        Raises RecipeError where a batch cannot be shared evenly.
        """
        if self.size == 1:
            return Share.all(batch)
        parts = members * self.size
        if batch % parts:
            each = f" and {members} members" if members > 1 else ""
            fits = max(1, round(batch / parts)) * parts
            raise RecipeError(
                f"batches of {batch} cannot be shared evenly by {self.size} processes{each}",
                where="train.batch",
                hint=f"choose a multiple of {parts}, such as {fits}, or another number of processes",
            )
        return Share(np.arange(batch).reshape(members, self.size, -1)[:, self.rank].flatten(), batch)

    def piece(self, count: int) -> Share:
        """Return this process's share of samples that are only looked at; it may be empty."""
        return Share(np.array_split(np.arange(count), self.size)[self.rank], count)

    def whole(self, outputs: Any, share: Share) -> Any:
        """Return a network's outputs for the whole batch; those of this process's samples keep their gradient.

        Args:
            outputs: a tensor, or tuples, lists and dictionaries of tensors, each with a row a sample of the share.
                Rows beyond the share's are left out: a process without samples computes one that nobody takes.
            share: which samples of the batch they are of.
        """
        if self.size == 1:
            return outputs
        if isinstance(outputs, Tensor):
            return self._whole(outputs, on_device(share.places, outputs.device), share.whole)
        if isinstance(outputs, dict):
            return {name: self.whole(one, share) for name, one in outputs.items()}
        each = [self.whole(one, share) for one in outputs]
        return type(outputs)(*each) if hasattr(outputs, "_fields") else type(outputs)(each)

    def _whole(self, own: Tensor, places: Tensor, count: int) -> Tensor:
        own = own[: len(places)]
        every = own.new_zeros((count, *own.shape[1:])).index_copy(0, places, own.detach())
        return self.sum_(every).index_copy(0, places, own)

    def sum_(self, values: Tensor) -> Tensor:
        """Add the other processes' values to a tensor, in place, and return it."""
        if self.size > 1:
            with _others_there():
                dist.all_reduce(values)
        return values

    def sum_gradients(self, parameters: Iterable[Parameter]) -> None:
        """Add up the gradients of all processes, in one message."""
        gradients = [one.grad for one in parameters if one.grad is not None]
        if self.size == 1 or not gradients:
            return
        every = self.sum_(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        parts = torch.split(every, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Return for each flag whether it is true in any process."""
        if self.size == 1:
            return flags
        values = torch.tensor(flags, dtype=torch.int32)
        with _others_there():
            dist.all_reduce(values, dist.ReduceOp.MAX)
        return tuple(bool(value) for value in values)

    def agreed(self, value: T) -> T:
        """Return the leading process's value."""
        if self.size == 1:
            return value
        box = [value]
        with _others_there():
            dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """Let the first process of each machine do something first: the others then find what it left in the cache.

        What is wrong with the input is told by the first; the others of one machine raise RunError, which says so. On
        several machines they lose the connection: else one machine would wait for all to tell its own error.
        """
        if self.local_rank:
            self._passed(True)
        try:
            yield
        except Exception:
            if not self.local_rank and self.local_size == self.size:
                with contextlib.suppress(RunError):  # of a process that was lost meanwhile
                    self._passed(False)
            raise
        if not self.local_rank:
            self._passed(True)

    def _passed(self, mine: bool) -> None:
        """Tell all processes whether this one may go on, and raise RunError where it may and another one may not."""
        failed = self.any(not mine)[0]
        if failed and mine:
            raise RunError("another process cannot go on", where="train", hint="its error says why")


ALONE = Team()


def join() -> Team:
    """Join the processes that a launcher started beside this one, as its environment says, until this one ends.

    Raises RunError where the launcher did not say how to reach them, or no numbers.
    """
    if not (dist.is_available() and dist.is_initialized()):
        if _said("WORLD_SIZE", 1) == 1:
            return ALONE
        _connect()
    rank, size = dist.get_rank(), dist.get_world_size()
    return Team(rank, size, _said("LOCAL_RANK", rank), _said("LOCAL_WORLD_SIZE", size))


def _connect() -> None:
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    rank, size, port = _said("RANK", 0), _said("WORLD_SIZE", 1), _said("MASTER_PORT", 1)
    if not (rank < size and 0 < port < 2**16):
        what = f"there is no process {rank} of {size}" if rank >= size else f"MASTER_PORT is {port}, which is no port"
        raise RunError(what, where="environment", hint="start with torchrun, or unset WORLD_SIZE")
    if missing or not dist.is_available():
        what = f"{missing[0]} is not" if missing else "torch.distributed is not there, but WORLD_SIZE is"
        raise RunError(f"{what} set", where="environment", hint="start with torchrun, or unset WORLD_SIZE")
    import torch.distributed.nn.functional  # not after: its defaults would be the group, and keep it until too late
    from torch.distributed.rendezvous import rendezvous

    gpus = torch.cuda.is_available() and dist.is_nccl_available()
    if gpus:
        torch.cuda.set_device(_said("LOCAL_RANK", 0) % torch.cuda.device_count())
    with _others_there():
        store, rank, size = next(iter(rendezvous("env://", timeout=PATIENCE)))
        met = _met(store, rank, size)
        backends = "cpu:gloo,cuda:nccl" if gpus else "gloo"
        dist.init_process_group(backends, store=met, rank=rank, world_size=size, timeout=PATIENCE)
    atexit.register(dist.destroy_process_group)  # not before: a store does not serve a second joining


def _met(store: Store, rank: int, size: int) -> Store:
    """Return a part of the store for the processes that run now.

    torchrun keeps one store over its restarts: the addresses of processes that are gone are still in it. So the first
    process names a place that was never used, and the others stay there once it has answered them.
    """
    from torch.distributed.distributed_c10d import PrefixStore

    if rank == 0:
        place = uuid.uuid4().hex
        store.set("viewfinder meets at", place)
        fresh = PrefixStore(place, store)
        for other in range(1, size):
            fresh.set(f"welcome {fresh.get(f'here is {other}').decode()}", "")
        return fresh
    name = uuid.uuid4().hex
    while True:
        fresh = PrefixStore(store.get("viewfinder meets at").decode(), store)
        fresh.set(f"here is {rank}", name)
        with contextlib.suppress(dist.DistStoreError):  # not within the second: it may be the place of a former start
            fresh.wait([f"welcome {name}"], timedelta(seconds=1))
            return fresh


def leads() -> bool:
    """Whether this process speaks and writes, as the launcher's environment says; true without a launcher."""
    return _said("WORLD_SIZE", 1) == 1 or _said("RANK", 0) == 0


def restarted() -> bool:
    """Whether torchrun started this process in the place of one that was lost."""
    return _said("TORCHELASTIC_RESTART_COUNT", 0) > 0


def launch() -> str:
    """Return what tells this launch of torchrun from others, and stays through its restarts; "" without torchrun."""
    name = os.environ.get("TORCHELASTIC_RUN_ID", "")
    return f"{socket.gethostname()}:{os.getppid()}" if name == "none" else name


def _said(name: str, usual: int) -> int:
    """Return a number of the launcher's environment. Raises RunError where it is none."""
    text = os.environ.get(name) or str(usual)
    if not text.isdecimal():
        raise RunError(f"is {text!r} instead of a number", where=name, hint="unset it")
    return int(text)


@contextlib.contextmanager
def _others_there() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ConnectionError) as error:
        if "No backend type associated" in str(error):  # of a group that was not made here
            hint = 'make it with init_process_group("cpu:gloo,cuda:nccl")'
            raise RunError("the group of processes cannot send what lies on a CPU", where="train", hint=hint) from error
        hint = "look for its error above; `torchrun --max-restarts 3` goes on by itself from the last checkpoint"
        raise RunError("lost the connection to another process", where="train", hint=hint) from error
