"""What a training runs on."""

from __future__ import annotations

import contextlib
import platform

import pytest
import torch

from viewfinder.config import load_recipe
from viewfinder.errors import RunError
from viewfinder.training.device import (
    chosen_device,
    device_again,
    keeping_memory,
    quiet_torch,
    settled,
    telling_full_memory,
)
from viewfinder.training.distributed import ALONE, Team


def gpus(monkeypatch: pytest.MonkeyPatch, count: int, current: int = 0) -> None:
    """Let torch say that there are so many GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: current)


def test_a_gpu_always_has_a_number_since_threads_have_current_devices_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpus(monkeypatch, 3, current=1)
    assert chosen_device("auto", ALONE) == chosen_device("cuda", ALONE) == torch.device("cuda", 1)
    assert chosen_device("cuda:2", ALONE) == torch.device("cuda", 2)
    assert chosen_device("cuda", Team(rank=2, size=4, local_rank=2, local_size=4)) == torch.device("cuda", 2)
    assert chosen_device("cpu", ALONE) == torch.device("cpu")


def test_more_processes_than_gpus_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 1)
    with pytest.raises(RunError, match="process 2 of this machine has no GPU: it has 1"):
        chosen_device("auto", Team(rank=1, size=2, local_rank=1, local_size=2))


def test_a_run_goes_on_on_another_gpu_where_its_own_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 2)
    assert device_again("cuda:1", ALONE) == torch.device("cuda", 1)
    gpus(monkeypatch, 1)
    assert device_again("cuda:1", ALONE) == torch.device("cuda", 0)
    gpus(monkeypatch, 0)
    with pytest.raises(RunError, match="there is no such CUDA device here"):
        device_again("cuda:1", ALONE)
    assert device_again("cpu", ALONE) == torch.device("cpu")


def test_a_gpu_that_only_emulates_bfloat16_trains_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    monkeypatch.setattr(torch.cuda, "device", contextlib.nullcontext)
    recipe = load_recipe("digits", {"train.precision": "auto"})
    assert settled(recipe, torch.device("cuda", 0)).train.precision == "float32"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        MemoryError("Unable to allocate 12 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:126] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_full_memory_is_one_line(error: Exception) -> None:
    with (
        pytest.raises(RunError, match="device cpu: the memory is full; close something"),
        telling_full_memory(torch.device("cpu"), "close something"),
    ):
        raise error


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="of ours"), telling_full_memory(torch.device("cpu"), ""):
        raise RuntimeError("a mistake of ours")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_memory_that_a_step_frees_is_there_for_the_next_one_and_is_given_back_at_the_end() -> None:
    import resource

    def pages_asked_for() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(10_000_000)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    usual = pages_asked_for()
    with keeping_memory():
        first_steps = [pages_asked_for() for _ in range(8)]
        assert pages_asked_for() < usual / 5, first_steps
    assert pages_asked_for() > usual / 2


@pytest.mark.parametrize("asked", ["highest", "high", "medium"])
def test_products_have_all_digits_while_it_trains_and_as_many_as_before_afterwards(asked: str) -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(asked)
    try:
        with quiet_torch(torch.get_num_threads(), torch.device("cpu")):
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == asked
    finally:
        torch.set_float32_matmul_precision(before)


def test_a_precision_that_was_chosen_for_one_backend_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def mixed() -> str:
        raise RuntimeError("you have used mix of the legacy and new APIs to set the matmul precision")

    monkeypatch.setattr(torch, "get_float32_matmul_precision", mixed)
    monkeypatch.setattr(torch, "set_float32_matmul_precision", pytest.fail)
    with quiet_torch(torch.get_num_threads(), torch.device("cpu")):
        pass
