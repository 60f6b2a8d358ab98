"""The detector on any network of the library timm, pretrained or not: `pip install 'viewfinder[timm]'`."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from viewfinder.config import Data
from viewfinder.errors import InputError, RecipeError
from viewfinder.models.blocks import Pixels
from viewfinder.models.detector import STRIDE, Cells, Merged
from viewfinder.models.options import Count, Network

__all__ = ["TimmDetector"]


class TimmDetector(Network):
    """A network of timm whose features at strides 8, 16, 32 are merged into the detector's map."""

    backbone: str = "mobilenetv3_small_100"
    """Its name in timm."""
    pretrained: bool = True
    """Begin with the weights that timm has for it; they are downloaded when a training begins, and only then."""
    merged: Count = 96
    """Channels of the merged features."""

    def build(self, data: Data, outputs: int) -> nn.Module:
        stages = _Stages(self.backbone, data.channels)
        return nn.Sequential(stages, Merged(stages.widths, self.merged), Cells(self.merged, outputs))

    def start(self, network: nn.Module) -> None:
        if not self.pretrained:
            return
        stages = cast(_Stages, network.get_submodule("0"))
        try:
            model = _made(self.backbone, stages.channels, pretrained=True)
        except (OSError, RuntimeError) as error:
            what = f"the weights of {self.backbone} cannot be had: {_first_line(error)}"
            raise InputError(what, hint="go online once, or set model.pretrained=false") from None
        stages.model.load_state_dict(model.state_dict())


class _Stages(nn.Module):
    """(B, H, W, C) uint8 → the features at stride 8 and coarser, fine to coarse."""

    def __init__(self, backbone: str, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.pixels = Pixels("unit")
        try:
            self.model = _made(backbone, channels, pretrained=False)
        except RuntimeError as error:
            raise RecipeError(f"{backbone} has no features: {_first_line(error)}", where="model.backbone") from None
        reductions = self.model.feature_info.reduction()
        self.used = [index for index, reduction in enumerate(reductions) if reduction >= STRIDE]
        if not self.used or reductions[self.used[0]] != STRIDE:
            raise RecipeError(f"{backbone} has no features at stride {STRIDE}", where="model.backbone")
        self.widths: tuple[int, ...] = tuple(self.model.feature_info.channels()[index] for index in self.used)
        mean, deviation = (torch.tensor(values).reshape(1, -1, 1, 1) for values in _statistics(backbone, channels))
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("deviation", deviation, persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        prepared = (self.pixels(images) - self.get_buffer("mean")) / self.get_buffer("deviation")
        high, wide = images.shape[1:3]
        prepared = F.pad(prepared, (0, -wide % STRIDE, 0, -high % STRIDE))  # many round down, the map's cells round up
        scales = self.model(prepared)
        return [scales[index] for index in self.used]


def _timm() -> Any:
    try:
        import timm
    except (ImportError, RuntimeError) as error:
        what = f"needs the library timm, which does not import here: {_first_line(error)}"
        raise RecipeError(what, where="model.name", hint="pip install 'viewfinder[timm]'") from None
    return timm


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _made(backbone: str, channels: int, pretrained: bool) -> Any:
    timm = _timm()
    if backbone not in timm.list_models() and backbone not in timm.list_pretrained():
        raise RecipeError(f"timm has no network {backbone!r}", where="model.backbone", hint="see timm.list_models()")
    return timm.create_model(backbone, pretrained=pretrained, features_only=True, in_chans=channels)


def _statistics(backbone: str, channels: int) -> tuple[list[float], list[float]]:
    """Return the mean and the deviation of the pixels, from 0 to 1, that the network's weights expect."""
    about = _timm().get_pretrained_cfg(backbone)
    both = (list(about.mean), list(about.std)) if about else ([0.5] * 3, [0.5] * 3)
    return both if channels == 3 else ([sum(both[0]) / 3], [sum(both[1]) / 3])
