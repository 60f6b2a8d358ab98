"""A step that a GPU is told once, and then starts as one.

A small network's step is some hundred kernels, each over sooner than the host can ask for the next one. Recorded as a
CUDA graph (https://docs.nvidia.com/cuda/cuda-programming-guide/04-special-topics/cuda-graphs.html) they are started by
a single call, and compute what they computed before.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from viewfinder.errors import RecipeError

__all__ = ["WARM_STEPS", "Recorded", "Step"]

Step = Callable[[Tensor, Mapping[str, Tensor]], dict[str, Tensor]]
"""(images, targets) → the losses by parts; the weights are changed."""

WARM_STEPS = 3
"""Steps before one is recorded: by then all memory is there, and what is chosen at the first call is chosen."""
MOST_SHAPES = 16
"""A step is recorded for no more shapes of targets: each takes memory."""


class Recorded:
    """A step for a GPU, recorded for each shape of its targets that comes a second time; others are taken as they come.

    So are all of them where the host waits in the third step for what the GPU computes: that cannot be recorded.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        """Where steps are taken until one is recorded, which cannot be done in the usual stream."""
        self._memory = torch.cuda.graph_pool_handle()
        self._seen: set[tuple[torch.Size, ...]] = set()
        self._warm_steps, self._waits, self._told = 0, False, False
        self.recordings: dict[tuple[torch.Size, ...], _Recording] = {}
        """By the shapes of what the step is given."""

    def __call__(self, step: Step, images: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Take a step and return the losses, which the next one may overwrite.

        Args:
            step: always the same; it depends on the tensors that it is given, on torch's generator and on memory that
                stays where it is, and copies nothing from the host.

        Raises:
            RecipeError: the step cannot be recorded for another reason. torch's allocator and generator are left in the
                state of a recording then: only a new process trains as it should.
        """
        shapes = (images.shape, *(value.shape for value in targets.values()))
        if shapes not in self.recordings:
            if not self._shall_record(shapes):
                return self._taken_beside(step, images, targets)
            self.recordings[shapes] = _Recording(step, self._beside, self._memory, images, targets)
        return self.recordings[shapes](images, targets)

    def told(self) -> str:
        """Return once why steps are not recorded; "" where they are, or it was told."""
        news, self._told = self._waits and not self._told, self._waits
        return "each step waits for the GPU, so that it cannot be started as one: it takes longer" if news else ""

    def _shall_record(self, shapes: tuple[torch.Size, ...]) -> bool:
        known = shapes in self._seen
        self._seen.add(shapes)
        warm = self._warm_steps >= WARM_STEPS
        return known and warm and not self._waits and len(self.recordings) < MOST_SHAPES

    def _taken_beside(self, step: Step, images: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        usual = torch.cuda.current_stream(self._device)
        self._beside.wait_stream(usual)
        self._warm_steps += 1
        with torch.cuda.stream(self._beside):
            if self._warm_steps == WARM_STEPS:
                losses, self._waits = _watched(lambda: step(images, targets))
            else:
                losses = step(images, targets)
        usual.wait_stream(self._beside)
        return losses


def _watched(work: Callable[[], dict[str, Tensor]]) -> tuple[dict[str, Tensor], bool]:
    """Do a work and return what it returns, and whether the host waited for a GPU meanwhile, in any thread.

    It is not tried out by recording: after a failure torch's allocator and generator go on as if it were recorded.
    """
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            done = work()
        finally:
            torch.cuda.set_sync_debug_mode(before)
    for one in said:
        if "synchroniz" not in str(one.message).lower():  # of something else
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return done, any("called a synchronizing" in str(one.message) for one in said)


class _Recording:
    """A step for tensors of the shapes of these, whose values are copied to where the recording looks for them."""

    def __init__(
        self, step: Step, stream: torch.cuda.Stream, memory: Any, images: Tensor, targets: Mapping[str, Tensor]
    ) -> None:
        self._images, self._targets = images.clone(), {name: value.clone() for name, value in targets.items()}
        self._graph = torch.cuda.CUDAGraph()
        # the thread that makes batches goes on meanwhile, hence "thread_local"
        try:
            with torch.cuda.graph(self._graph, pool=memory, stream=stream, capture_error_mode="thread_local"):
                self._losses = step(self._images, self._targets)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            why = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            what, hint = f"the step cannot be recorded: {why}", "begin a new run with it set to false, in a new process"
            raise RecipeError(what, where="train.cuda_graphs", hint=hint) from None

    def __call__(self, images: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self._images.copy_(images)
        for name, value in targets.items():
            self._targets[name].copy_(value)
        self._graph.replay()
        return self._losses
