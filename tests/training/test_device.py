"""What a training runs on."""

from __future__ import annotations

import platform

import pytest
import torch

from viewfinder.training.device import keeping_memory


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
