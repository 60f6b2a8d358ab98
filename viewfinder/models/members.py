"""Several networks of one kind that answer together: an ensemble that trains and ships as one model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["Members", "members_of"]


class Members(nn.Module):
    """The mean of its members' outputs; in training each member learns from its own share of every batch.

    So a step costs what it costs one network, and the members differ by their first weights and by what they
    saw (Hansen and Salamon 1990, "Neural network ensembles"). A batch has at least a sample a member.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            shares = images.tensor_split(len(self.networks))
            return torch.cat([network(share) for network, share in zip(self.networks, shares, strict=True)])
        return torch.stack([network(images) for network in self.networks]).mean(0)


def members_of(network: nn.Module) -> int:
    """Return among how many members the network shares a training batch; 1 where it is no ensemble."""
    return next((len(part.networks) for part in network.modules() if isinstance(part, Members)), 1)
