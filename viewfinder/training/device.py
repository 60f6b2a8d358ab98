"""What a training runs on: its device, the precision that this computes in, its threads, its memory."""

from __future__ import annotations

import contextlib
import ctypes
import platform
from collections.abc import Iterator

import torch

from viewfinder.config import Recipe, load_recipe
from viewfinder.errors import RunError
from viewfinder.training.distributed import Team

__all__ = ["chosen_device", "device_again", "keeping_memory", "quiet_torch", "seed", "settled", "telling_full_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""What glibc's <malloc.h> calls M_TRIM_THRESHOLD and M_MMAP_THRESHOLD."""
_KEPT = 2**30
_USUAL = {_MMAP_THRESHOLD: 2**25, _TRIM_THRESHOLD: 2**26}
"""Where glibc's own thresholds end as a process frees more and more."""


def settled(recipe: Recipe, device: torch.device) -> Recipe:
    """Return the recipe with "auto" decided for this device, as the run records it: a resume decides nothing."""
    if recipe.train.precision != "auto":
        return recipe
    return load_recipe(recipe, {"train.precision": "bfloat16" if _computes_bfloat16(device) else "float32"})


def _computes_bfloat16(device: torch.device) -> bool:
    """Whether a device has bfloat16 of its own: many emulate it, and are slower with it."""
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported())
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def chosen_device(name: str, team: Team) -> torch.device:
    """Return the device of that name, in a team the one of this process; a GPU always has a number.

    Raises RunError where there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind == "cuda" and team.size > 1:
        number = str(team.local_rank)
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise RunError(f"unknown device {name!r}", hint="use auto, cpu or cuda")
    there = torch.cuda.device_count()
    if kind == "cuda" and there and team.size > 1 and team.local_rank >= there:
        what = f"process {team.local_rank + 1} of this machine has no GPU: it has {there}"
        raise RunError(what, where="device cuda", hint="start as many processes as there are GPUs, or choose cpu")
    if kind == "cuda" and int(number or 0) >= there:
        hint = "choose cpu or auto for a new run; a run is resumed on the kind of device that it began on"
        if torch.version.cuda is None:
            hint = (
                f"torch {torch.__version__} is built for CPUs alone: install its build for GPUs, or choose cpu or auto"
            )
        raise RunError("there is no such CUDA device here", where=f"device {name}", hint=hint)
    if kind == "cpu":
        return torch.device("cpu")
    # a thread that makes batches has a current device of its own
    return torch.device("cuda", int(number) if number else torch.cuda.current_device())


def device_again(name: str, team: Team) -> torch.device:
    """Return where a run goes on: on the device it began on, or where there are fewer GPUs now, on another one.

    Raises RunError where there is none of its kind.
    """
    kind, _, number = name.partition(":")
    gone = number.isdecimal() and int(number) >= torch.cuda.device_count()
    return chosen_device(kind if gone else name, team)


_FULL = ("can't allocate memory", "not enough memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What torch and its libraries say where a CPU's memory is full, and a GPU's."""


@contextlib.contextmanager
def telling_full_memory(device: torch.device, hint: str) -> Iterator[None]:
    """Raise RunError, with a hint, where the device, or the machine, has no memory left."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(words in str(error) for words in _FULL):
            raise
        what = "the memory is full" if device.type == "cpu" else "the memory of the GPU or the machine is full"
        raise RunError(what, where=f"device {device}", hint=hint) from None


def seed(device: torch.device, number: int) -> None:
    """Begin torch's chance anew, on the CPU and on this device; `torch.manual_seed` goes through all that there are."""
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(number)


@contextlib.contextmanager
def quiet_torch(threads: int, device: torch.device) -> Iterator[None]:
    """Set the thread count, and leave torch's threads and generators, those of this device, as they were.

    On a GPU convolutions add up in one order, always the same: else no training could be repeated, nor resumed exactly.
    Products outside of autocast have all digits of float32, which Muon needs, also where a notebook asked for fewer.
    """
    before, in_order = torch.get_num_threads(), torch.backends.cudnn.deterministic
    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic = in_order or device.type == "cuda"
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []), keeping_memory(), _all_digits():
            yield
    finally:
        torch.set_num_threads(before)
        torch.backends.cudnn.deterministic = in_order


@contextlib.contextmanager
def _all_digits() -> Iterator[None]:
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:  # chosen for one backend, in a newer way than torch's old switch can tell
        yield
        return
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextlib.contextmanager
def keeping_memory() -> Iterator[None]:
    """Keep what a step frees for the next one, up to a gigabyte; afterwards the system gets it back.

    Else glibc gives back tensors of more than 32 MB at once, and much of what is left at the end of a step: thousands
    of pages, which the system has to find and clear again for each step. Where there is no glibc, nothing is done.
    """
    glibc = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
    # an older one refuses the first; the second alone would make things worse
    if not (glibc and glibc.mallopt(_MMAP_THRESHOLD, _KEPT)):
        yield
        return
    glibc.mallopt(_TRIM_THRESHOLD, _KEPT)
    try:
        yield
    finally:
        for threshold, usual in _USUAL.items():
            glibc.mallopt(threshold, usual)
        glibc.malloc_trim(0)
