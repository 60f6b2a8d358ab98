"""What the host reads of a device."""

from __future__ import annotations

import torch

from viewfinder.training.readout import Readout


def test_numbers_on_a_cpu_are_there_at_once_and_stay_what_they_were() -> None:
    total, part = torch.tensor(1.5, requires_grad=True), torch.tensor(0.25)
    asked = Readout({"total": total, "part": part})
    part += 1
    assert asked.numbers() == {"total": 1.5, "part": 0.25}
