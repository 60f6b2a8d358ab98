"""torch's optimisers without torch's compiler.

They load it, for a second and a half, only to tell it that it should leave them alone. A torch that does that in
another way than is known here loads it as before.
"""

from __future__ import annotations

from inspect import unwrap

import torch
from torch.optim import Optimizer

__all__ = ["leave_the_compiler_out", "take_step"]


def leave_the_compiler_out() -> None:
    """Tell the functions of optimisers that would ask the compiler to leave them alone that it does."""
    for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad"):
        function = unwrap(getattr(Optimizer, name))
        function.__dynamo_disable = function  # where torch keeps its answer


@torch.no_grad()
def take_step(optimiser: Optimizer) -> None:
    """Take the optimiser's step as it is written, without what torch wraps it in for the compiler."""
    unwrap(type(optimiser).step)(optimiser)
