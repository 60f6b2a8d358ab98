"""Centres: how boxes become the maps that a detector learns, and how its maps become boxes again.

A map has a cell for each 8×8 pixels of the input. Its channels: a score a class (is the centre of such a box here?),
how well the box of this cell fits, and the distances from the cell's middle to the four sides, as logarithms of
cells. Heat maps and their loss after Zhou et al. 2019 (https://arxiv.org/abs/1904.07850); GIoU after Rezatofighi
et al. 2019 (https://arxiv.org/abs/1902.09630); the fit after Wu et al. 2019 (https://arxiv.org/abs/1912.05992).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from viewfinder.models.detector import STRIDE

__all__ = ["MOST", "PADDING", "Decoded", "centre_loss", "learners", "suppressed"]

SPREAD = 0.12
"""Deviation of the heat around a centre, as a share of the box's side."""
NARROWEST = 0.8
"""The least deviation, in cells: so the cells beside a small thing's centre learn its box, too."""
NEAR = 0.3
"""Cells with more heat than this learn the sides of the box."""
MOST = 200
"""Boxes that are answered at most."""
FAINTEST = 0.01
"""Boxes with a lower score are not answered."""
SAME = 0.6
"""Boxes of one class that overlap more than this are one thing; the better one is kept."""
SLOPE = 1e-4
"""By how much, as a share, a cell must be hotter than those after it to be a peak: more than rounding differs."""
PADDING = {"boxes": 0, "classes": 0, "samples": -1, "learnt": 0, "cells": 0, "weights": 0}
"""A box that is in no image, and a cell that learns nothing."""
CHAIN = 16
"""Steps of suppression: exact unless so many boxes in a row overlap, each only its neighbours."""


def centre_loss(outputs: Tensor, targets: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return (classification, localisation), both a box.

    All that depends on the boxes alone was settled when they were collated, so that a GPU never waits for the host.

    Args:
        outputs: (B, C + 5, h, w) float32 or float64.
        targets: boxes (M, 4) x0 y0 x1 y1 in pixels of the input; classes and samples (M,) int64, of which class and in
            which image each box is, −1 for a box that does not count; and what `learners` gives for them.
    """
    boxes, classes, samples = targets["boxes"], targets["classes"], targets["samples"].clamp(min=0)
    counts = targets["samples"] >= 0
    batch, channels, height, width = outputs.shape
    classed, fit, sides = torch.split(outputs, [channels - 5, 1, 4], 1)
    count = counts.sum().clamp(min=1)
    heat = _heat(boxes, height, width) * counts[:, None]
    true = torch.zeros(batch * (channels - 5), height * width, device=outputs.device)
    true = _hottest(true, samples * (channels - 5) + classes, heat)
    classification = _focal(classed.reshape(true.shape), true).sum() / count
    of, cell, weight = targets["learnt"], targets["cells"], targets["weights"]
    found = _boxes(sides.flatten(2)[samples[of], :, cell], cell, width)
    iou, giou = _overlap(found, boxes[of])
    agreed = F.binary_cross_entropy_with_logits(fit.flatten(1)[samples[of], cell], iou.detach(), reduction="none")
    return classification, (weight * (2 * (1 - giou) + 0.5 * agreed)).sum() / count


def learners(boxes: Tensor, samples: Tensor, batch: int, side: int) -> dict[str, Tensor]:
    """Return which cells of maps (batch, …, side, side) learn which boxes: each the one that is hottest there.

    Returns:
        learnt, cells: (P,) int64, pairs of a box and a cell.
        weights: (P,) float32; those of each box add up to 1.
    """
    heat = _heat(boxes, side, side)
    most = _hottest(heat.new_zeros(batch, heat.shape[1]), samples, heat)
    learnt, cells = torch.nonzero((heat > NEAR) & (heat >= most[samples]), as_tuple=True)
    warmth = heat[learnt, cells]
    weights = warmth / heat.new_zeros(len(boxes)).index_add_(0, learnt, warmth)[learnt]
    return {"learnt": learnt, "cells": cells, "weights": weights}


def _heat(boxes: Tensor, height: int, width: int) -> Tensor:
    """Return (M, h · w): 1 in the cell of each box's centre, falling off around it."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / (2 * STRIDE)
    deviations = ((boxes[:, 2:] - boxes[:, :2]) * (SPREAD / STRIDE)).clamp(min=NARROWEST)
    middles = centres.floor().clamp(min=0)
    middles = torch.stack([middles[:, 0].clamp(max=width - 1), middles[:, 1].clamp(max=height - 1)], dim=1)
    across, down = (
        torch.exp(
            -0.5
            * ((torch.arange(count, device=boxes.device) - middles[:, axis, None]) / deviations[:, axis, None]).square()
        )
        for axis, count in enumerate((width, height))
    )
    return (down[:, :, None] * across[:, None, :]).flatten(1)


def _hottest(maps: Tensor, index: Tensor, heat: Tensor) -> Tensor:
    """Return maps (R, h · w) with each heat (M, h · w) laid onto the map that its index (M,) names."""
    return maps.scatter_reduce(0, index[:, None].expand_as(heat), heat, "amax")


def _focal(scores: Tensor, true: Tensor) -> Tensor:
    """Return the loss of each cell: near a centre, where the heat is below 1, a high score costs less."""
    p = scores.sigmoid()
    right = -F.logsigmoid(scores) * (1 - p).square()
    wrong = -F.logsigmoid(-scores) * p.square() * (1 - true).pow(4)
    return torch.where(true == 1, right, wrong)


def _boxes(sides: Tensor, cell: Tensor, width: int) -> Tensor:
    """Return (P, 4) boxes in pixels from the distances (P, 4) at cells (P,)."""
    x, y = (cell % width + 0.5) * STRIDE, (cell // width + 0.5) * STRIDE
    reach = sides.clamp(max=8).exp() * STRIDE
    return torch.stack([x - reach[:, 0], y - reach[:, 1], x + reach[:, 2], y + reach[:, 3]], 1)


def _overlap(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Return (P,) IoU and GIoU of pairs of boxes."""
    shared = (torch.minimum(one[:, 2:], other[:, 2:]) - torch.maximum(one[:, :2], other[:, :2])).clamp(min=0)
    around = torch.maximum(one[:, 2:], other[:, 2:]) - torch.minimum(one[:, :2], other[:, :2])
    shared, around, first, second = map(_area, (shared, around, one[:, 2:] - one[:, :2], other[:, 2:] - other[:, :2]))
    union = first + second - shared
    iou = shared / union.clamp(min=1e-6)
    return iou, iou - (around - union) / around.clamp(min=1e-6)


def _area(sides: Tensor) -> Tensor:
    """Return (P,) the products of sides (P, 2). The way back through `prod` would look for zeros, on the host."""
    return sides[:, 0] * sides[:, 1]


class Decoded(nn.Module):
    """(B, C + 5, h, w) maps → boxes (B, K, 4) in pixels of the input, scores (B, K), classes (B, K).

    The K best pairs of a class and a cell that is hotter than its neighbours, without those that a better one covers;
    of neighbours that are equally hot but for rounding, as in plain borders, the last one is the hottest;
    what is left out has a score of 0. No box reaches beyond the input, whose side is `size` pixels.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        channels, height, width = maps.shape[1:]
        classed, fit, sides = torch.split(maps.float(), [channels - 5, 1, 4], 1)
        heat = classed.sigmoid()
        sloped = heat * self._slope(height, width, heat)
        peaks = torch.where(F.max_pool2d(sloped, 3, 1, 1) == sloped, heat, torch.zeros_like(heat))
        every = (peaks * fit.sigmoid()).sqrt().flatten(1)
        scores, index = every.topk(min(MOST, height * width), 1)
        classes, cell = index // (height * width), index % (height * width)
        reach = sides.flatten(2).gather(2, cell[:, None].expand(-1, 4, -1)).clamp(max=8).exp() * STRIDE
        x, y = (cell % width + 0.5) * STRIDE, (cell // width + 0.5) * STRIDE
        boxes = torch.stack([x - reach[:, 0], y - reach[:, 1], x + reach[:, 2], y + reach[:, 3]], 2)
        boxes = boxes.clamp(0, self.size)
        return boxes, suppressed(boxes, scores, classes), classes

    @staticmethod
    def _slope(height: int, width: int, like: Tensor) -> Tensor:
        down, across = (torch.arange(count, device=like.device, dtype=like.dtype) for count in (height, width))
        return 1 + SLOPE * (2 * down[:, None] + across)


def suppressed(boxes: Tensor, scores: Tensor, classes: Tensor) -> Tensor:
    """Return scores (B, K) with 0 for boxes that a better one of their class covers, and for the faintest.

    Greedy suppression as a fixed number of matrix steps, after Zheng et al. 2020 (https://arxiv.org/abs/2005.03572).

    Args:
        boxes: (B, K, 4), the best first.
        scores: (B, K).
        classes: (B, K) int64.
    """
    corner = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    shared = (torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:]) - corner).clamp(min=0).prod(3)
    area = (boxes[:, :, 2:] - boxes[:, :, :2]).prod(2)
    union = area[:, :, None] + area[:, None, :] - shared
    order = torch.arange(boxes.shape[1], device=boxes.device)
    covers = (shared > SAME * union) & (classes[:, :, None] == classes[:, None, :]) & (order[:, None] < order)
    over = covers.float()
    kept = torch.ones_like(scores)
    for _ in range(CHAIN):
        kept = 1 - (over * kept[:, :, None]).amax(1)
    return torch.where(scores < FAINTEST, torch.zeros_like(scores), scores * kept)
