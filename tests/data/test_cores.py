"""Threads are as many as there are cores for this process, not for the machine."""

from __future__ import annotations

import os

import pytest

from viewfinder.data.cores import usable_cores
from viewfinder.training.distributed import Team


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be bound to cores here")
def test_a_process_that_is_bound_to_one_core_trains_with_one_thread() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cores() == Team().threads == 1
    finally:
        os.sched_setaffinity(0, before)


def test_cores_are_shared_and_nobody_is_left_without() -> None:
    assert usable_cores(2) == max(1, usable_cores() // 2)
    assert usable_cores(10**6) == 1
