"""Training batches out of rows of pixels, augmented a whole batch at a time.

A batch is a pure function of (seed, step): its rows come from a generator made of (seed, epoch), its moves, its
light and its crops from generators made of (seed, step); for tiny images, and on a GPU, moves, mosaics and light from
ones that draw for a block of eight steps at once. No state runs along, so a training can go on at any step with exactly
the batches that it would have seen, and reading ahead cannot change them.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from viewfinder.augment.device import fits, on_device
from viewfinder.augment.geometry import (
    as_pixels,
    compose,
    draw,
    draw_frames,
    identity,
    moving,
    warp_numpy,
    warp_torch,
)
from viewfinder.augment.mosaic import mosaics
from viewfinder.augment.paste import Things, pasted
from viewfinder.augment.pieces import Pieces, laid, laid_torch, single
from viewfinder.augment.pixels import Light, draw_light, light_numpy, light_torch
from viewfinder.augment.share import Share
from viewfinder.config import Augment
from viewfinder.data.ahead import ahead
from viewfinder.data.rows import Maps, PixelRows, in_memory, lying
from viewfinder.data.targets import BoxSets, Targets
from viewfinder.errors import DataError, RecipeError
from viewfinder.tasks.base import Task, padded

__all__ = ["BLOCK", "Batch", "Loader"]

_ORDER, _MOVES, _LIGHT, _CROPS, _MOSAICS, _PASTES = range(6)
_TINY, _MANY = 32 * 32, 64
"""Up to so many values an image, and from so many images on, a call for each takes longer than moving all at once."""
BLOCK, _AT_ONCE = 8, 512
"""Of tiny images, and on a GPU, so many steps are drawn at once; and of tiny ones on a CPU about so many are moved at
once: batch by batch, the calls would take a third of the time."""
_ON_A_GPU = 2**25
"""So many values are moved there at once, of so many steps: asking for it takes longer than doing it."""


@dataclass(frozen=True)
class _Drawn:
    """What chance says about the images of a block of steps, one after the other.

    Args:
        rows: (N,) which rows of the set they are.
        pieces: what they are made of; nothing is pasted yet, nor cut out.
        light: in which light they are shown.
    """

    rows: NDArray[np.int64]
    pieces: Pieces
    light: Light


@dataclass(frozen=True)
class Batch:
    """What one step trains on.

    Args:
        images: (B, H, W, C) uint8; where processes share the work, those of the loader's share alone.
        targets: the task's tensors.
        rows: (B,) int64, which rows of the set they are; always on the CPU.
    """

    images: Tensor
    targets: dict[str, Tensor]
    rows: Tensor


class Loader:
    """Batches of a set that lies in memory, on the device or, where it is large, on disk.

    Args:
        pixels: (N, H, W, C) uint8; N is at least `batch`. Squares where `size` or a crop is asked for.
        targets: N rows, in pixels of the original images.
        names: the dataset's names.
        task: turns targets into tensors.
        batch: samples a step. Every epoch has its own order; what does not fill its last batch is left out of it.
        augment: how the images vary.
        seed: decides order and augmentation.
        size: the side of the batches' images; None: that of `pixels`.
        to_pixels: (N, 2, 3) from the original images to `pixels`; None: they are the same.
        device: where the batches shall be.
        backend: "numpy" augments with OpenCV, one image after the other, "torch" on the device, all at once; "auto" is
            numpy on a CPU, unless many tiny images are moved, else torch.
        share: whose images of each batch are made here; None: all.

    Raises:
        DataError: there are fewer rows than one batch needs.
        RecipeError: mosaics or pasting are wanted of something else than boxes, or of crops; mosaics on another border
            than black.
    """

    def __init__(
        self,
        pixels: PixelRows,
        targets: Targets,
        *,
        names: Sequence[str],
        task: Task,
        batch: int,
        augment: Augment,
        seed: int,
        size: int | None = None,
        to_pixels: Maps | None = None,
        device: str = "cpu",
        backend: Literal["auto", "numpy", "torch"] = "auto",
        share: Share | None = None,
    ) -> None:
        if len(pixels) < batch:
            raise DataError(
                f"fewer rows than a batch: {len(pixels)} training samples, batches of {batch}",
                hint="add samples, or set train.batch lower",
            )
        _check(augment, targets)
        self.pixels, self.targets, self.names, self.task = pixels, targets, tuple(names), task
        self.batch, self.augment, self.seed, self.device = batch, augment, seed, torch.device(device)
        side = pixels.shape[1]
        self.size = size or side
        self._to_pixels: Maps = identity(len(pixels)) if to_pixels is None else to_pixels
        self._framed = self.size != side or augment.crop > 0
        self.share = share or Share.all(batch)
        self.steps_per_epoch = len(pixels) // batch
        self._order = (-1, np.empty(0, dtype=np.int64))
        self._last: tuple[int, _Drawn | None] = (-1, None)
        self._made: tuple[int, tuple[Tensor, ...]] = (-1, ())
        on_gpu = self.device.type != "cpu"
        tiny = math.prod(pixels.shape[1:]) <= _TINY and batch >= _MANY and not self._framed and moving(augment)
        tiny = tiny and not (augment.mosaic or augment.paste)
        self._at_once = backend == "torch" or (backend == "auto" and (on_gpu or tiny))
        self._steps_drawn = BLOCK if tiny or on_gpu else 1
        plain = moving(augment) and not (self._framed or augment.mosaic or augment.paste)
        together = self._at_once and plain and (tiny or on_gpu)
        together = together and in_memory(pixels)  # from a disk nothing is read that may not be shown
        most = _ON_A_GPU // math.prod(pixels.shape[1:]) if on_gpu else _AT_ONCE
        self._steps_made = max(1, min(most // batch, BLOCK)) if together else 1
        self._making, self._floats, self._places = threading.Lock(), None, None
        if self._steps_made > 1 and not on_gpu:  # kept: memory of this size would be fetched from the system each time
            images = self._steps_made * len(self.share.places)
            self._floats = torch.empty(images, *pixels.shape[1:], device=self.device)
            self._places = torch.empty(2 * images, math.prod(pixels.shape[1:3]), device=self.device)
        self._resident = self._laid_on_gpu() if self._at_once and on_gpu else None

    def batch_at(self, step: int) -> Batch:
        """Return the batch of a step, counted from 0; the same whenever and however often it is asked for."""
        drawn = self._drawn(step)
        every = step % self._steps_drawn * self.batch + np.arange(self.batch)
        photos = self._cut_out(drawn.pieces.of(every), step)
        pieces, marked = self._pasted(photos, self._marked(photos), step)
        if self._steps_made > 1:
            images = self._made_with_others(step, drawn)
        else:
            images = self._varied(pieces.of(self.share.places), drawn.light.of(every[self.share.places]))
        values = self.task.collate(marked)
        if self.device.type != "cpu":  # a step is recorded for each shape
            values = padded(values, self.task.padding)
        targets = {name: on_device(value, self.device) for name, value in values.items()}
        return Batch(images, targets, torch.from_numpy(drawn.rows[every]))

    def batches(self, first: int, last: int) -> Generator[Batch, None, None]:
        """Give the batches of the steps `first` … `last` − 1 while a thread prepares the next ones.

        The thread ends with the generator: close it to stop early.
        """
        return ahead(self.batch_at, range(first, last), threads=1, begin=_alone)

    def _laid_on_gpu(self) -> Tensor | None:
        """Return all pixels on the GPU; None where they lie on a disk, or would take more than half of what is free."""
        count = len(self.pixels)
        if in_memory(self.pixels) and fits(count * math.prod(self.pixels.shape[1:]), self.device):
            return torch.from_numpy(self.pixels[np.arange(count)]).to(self.device)
        return None

    def _generator(self, purpose: int, number: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, purpose, number))))

    def _rows(self, step: int) -> NDArray[np.int64]:
        epoch, place = divmod(step, self.steps_per_epoch)
        if (order := self._order)[0] != epoch:
            order = self._order = (epoch, self._generator(_ORDER, epoch).permutation(len(self.pixels)))
        return order[1][place * self.batch : (place + 1) * self.batch].astype(np.int64)

    def _drawn(self, step: int) -> _Drawn:
        """Return the block of a step; the last one is kept."""
        block, count = step // self._steps_drawn, self._steps_drawn
        last, drawn = self._last
        if drawn is None or last != block:
            rows = np.concatenate([self._rows(one) for one in range(block * count, (block + 1) * count)])
            moves = draw(self.augment, len(rows), self.size, self._generator(_MOVES, block))
            if not self.augment.mosaic:
                pieces = single(rows, moves)
            else:
                chance = self._generator(_MOSAICS, block)
                pieces = mosaics(rows, moves, self.augment, size=self.size, every=len(self.pixels), rng=chance)
            shown = (self.size, self.size) if self._framed else self.pixels.shape[1:3]
            shape = (len(rows), *shown, self.pixels.shape[3])
            drawn = _Drawn(rows, pieces, draw_light(self.augment, shape, self._generator(_LIGHT, block)))
            self._last = block, drawn
        return drawn

    def _made_with_others(self, step: int, drawn: _Drawn) -> Tensor:
        """Return the images of a step, made together with those of the steps beside it; the last ones are kept."""
        place = step % self._steps_drawn % self._steps_made
        with self._making:
            if self._made[0] != step - place:
                steps = range(step % self._steps_drawn - place, self._steps_drawn)[: self._steps_made]
                mine = np.concatenate([one * self.batch + self.share.places for one in steps])
                images = self._varied(drawn.pieces.of(mine), drawn.light.of(mine))
                self._made = step - place, torch.split(images, len(self.share.places))
            return self._made[1][place]

    def _cut_out(self, pieces: Pieces, step: int) -> Pieces:
        """Return the maps from `pixels` to the images of a step, where what lies in `pixels` is larger."""
        if not self._framed:
            return pieces
        side, crops = self.pixels.shape[1], self._generator(_CROPS, step)
        frames = draw_frames(self.augment, self._to_pixels[pieces.rows], side, self.size, crops)
        return replace(pieces, matrices=compose(frames, pieces.matrices))

    def _marked(self, pieces: Pieces) -> Targets:
        """Return what is marked on the images."""
        fitted = self.targets.select(pieces.rows).moved(
            self._to_pixels[pieces.rows], np.zeros(len(pieces.rows), dtype=bool), self.names
        )
        moved = fitted.moved(pieces.matrices, pieces.mirrored, self.names)
        return moved.gathered(pieces.offsets) if isinstance(moved, BoxSets) else moved

    def _pasted(self, pieces: Pieces, marked: Targets, step: int) -> tuple[Pieces, Targets]:
        """Return both with things of other photos laid over, where the recipe says so."""
        if not (self.augment.paste and isinstance(marked, BoxSets) and isinstance(self.targets, BoxSets)):
            return pieces, marked
        side, chance = self.pixels.shape[1], self._generator(_PASTES, step)
        moves = draw(self.augment, self.batch, self.size, chance)
        moves = replace(moves, matrices=compose(self.size / side * np.eye(2, 3)[None], moves.matrices))
        things = Things(self.targets, self._to_pixels, side, self.names)
        return pasted(pieces, marked, things, moves, self.augment.paste, size=self.size, rng=chance)

    def _varied(self, pieces: Pieces, light: Light) -> Tensor:
        if self._at_once:
            return self._varied_at_once(pieces, light)
        return on_device(self._varied_one_by_one(pieces, light), self.device)

    def _varied_one_by_one(self, pieces: Pieces, light: Light) -> NDArray[np.uint8]:
        if self._framed or moving(self.augment):
            held, rows = lying(self.pixels, pieces.rows)
            size = self.size if self._framed else None
            images = warp_numpy(held, pieces.matrices, self.augment.border, size, rows)
        else:
            images = self.pixels[pieces.rows]
        images = laid(images, pieces)
        return light_numpy(images, self.augment, light, out=images)

    def _varied_at_once(self, pieces: Pieces, light: Light) -> Tensor:
        if self._resident is None:
            images = on_device(self.pixels[pieces.rows], self.device)
        else:
            images = self._resident[on_device(pieces.rows, self.device)]
        if self._framed or moving(self.augment):
            size = self.size if self._framed else None
            floats = images.float() if self._floats is None else self._floats[: len(images)].copy_(images)
            images = warp_torch(floats, pieces.matrices, self.augment.border, size, self._places)
        return as_pixels(light_torch(laid_torch(images, pieces), self.augment, light))


def _alone() -> None:
    """Let torch use one thread in this one: a second team of threads would hold up the network's.

    So do threads that begin later, until the training ends and gives the number back that the process had.
    """
    torch.set_num_threads(1)


def _check(augment: Augment, targets: Targets) -> None:
    boxes, off = isinstance(targets, BoxSets), "set it to 0"
    if augment.mosaic and (not boxes or augment.border != "constant" or augment.crop):
        hint = f'{off}, or augment.crop to 0 and augment.border to "constant"' if boxes else off
        what = "whole photos are laid side by side for boxes, on black"
        raise RecipeError(what, where="augment.mosaic", hint=hint)
    if augment.paste and (not boxes or augment.crop):
        hint = f"{off}, or augment.crop to 0" if boxes else off
        what = "what is in a box is laid over whole photos" if boxes else "only what is marked in boxes can be pasted"
        raise RecipeError(what, where="augment.paste", hint=hint)
