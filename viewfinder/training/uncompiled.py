"""torch's optimisers without torch's compiler.

They load it, for a second and a half, only to tell it that it should leave them alone. A torch that does that in
another way than is known here loads it as before.
"""

from __future__ import annotations

from inspect import unwrap
from typing import TypeVar

import torch
from torch.optim import Optimizer

__all__ = ["uncompiled"]

Kind = TypeVar("Kind", bound=type[Optimizer])


def uncompiled(kind: Kind) -> Kind:
    """Return a kind of optimiser that never asks for the compiler: the same steps and states, not to be compiled."""
    asking = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
    plain = {name: unwrap(getattr(kind, name)) for name in asking}
    return type(kind.__name__, (kind,), {**plain, "step": torch.no_grad()(unwrap(kind.step))})  # type: ignore[return-value]
