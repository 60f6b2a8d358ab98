"""Copies of an image whose answers are averaged: the image, moved to the four sides, and each of them mirrored."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from viewfinder.config import Predict

__all__ = ["Copies"]


class Copies:
    """A network's answers for all copies, in one pass: (B, H, W, C) uint8 → (copies, B, outputs) float32.

    moves: for each copy (mirrored, x, y), by how many pixels it was moved right and down before it was mirrored.
    """

    def __init__(self, predict: Predict) -> None:
        step = predict.shifts
        sides = [(0, 0), (step, 0), (-step, 0), (0, step), (0, -step)] if step else [(0, 0)]
        self.moves = [(mirrored, x, y) for mirrored in (False, True)[: 1 + predict.mirror] for x, y in sides]

    def answers(self, network: nn.Module, images: Tensor) -> Tensor:
        outputs: Tensor = network(torch.cat([self._copy(images, *move) for move in self.moves]))
        return outputs.float().reshape(len(self.moves), images.shape[0], -1)

    def _copy(self, images: Tensor, mirrored: bool, x: int, y: int) -> Tensor:
        moved = _moved(_moved(images, 2, x), 1, y)
        return moved.flip(2) if mirrored else moved


def _moved(images: Tensor, axis: int, by: int) -> Tensor:
    """Move along an axis; the edge is repeated where the image leaves."""
    size = images.shape[axis]
    if by > 0:
        edge = images.narrow(axis, 0, 1).repeat_interleave(by, axis)
        return torch.cat([edge, images.narrow(axis, 0, size - by)], axis)
    if by < 0:
        edge = images.narrow(axis, size - 1, 1).repeat_interleave(-by, axis)
        return torch.cat([images.narrow(axis, -by, size + by), edge], axis)
    return images
