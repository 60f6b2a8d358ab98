"""Any network of timm under our head. Most of this needs timm, which needs a torchvision that fits torch."""

from __future__ import annotations

import pytest
import torch

from tests.recipes import WHY_NO_TIMM
from viewfinder import tasks
from viewfinder.config import load_recipe
from viewfinder.errors import RecipeError

needs_timm = pytest.mark.skipif(bool(WHY_NO_TIMM), reason=WHY_NO_TIMM)
SMALL = {"data.size": 64, "model.pretrained": False}


@needs_timm
@pytest.mark.parametrize("backbone", ["mobilenetv3_small_100", "resnet18"])
def test_a_network_of_timm_gives_the_detectors_map(backbone: str) -> None:
    task = tasks.create(load_recipe("detect-timm", SMALL | {"model.backbone": backbone}), ["face", "hand"])
    network = task.build().eval()
    assert network(torch.zeros(2, 64, 64, 3, dtype=torch.uint8)).shape == (2, 7, 8, 8)
    assert [out.shape[0] for out in task.answering(network)(torch.zeros(2, 64, 64, 3, dtype=torch.uint8))] == [2] * 3


@needs_timm
@pytest.mark.parametrize("size", [68, 72])
def test_a_cell_that_is_only_begun_is_one(size: int) -> None:
    changes = SMALL | {"data.size": size, "model.backbone": "resnet18"}
    network = tasks.create(load_recipe("detect-timm", changes), ["face"]).build().eval()
    assert network(torch.zeros(1, size, size, 3, dtype=torch.uint8)).shape == (1, 6, 9, 9)


@needs_timm
@pytest.mark.parametrize(("backbone", "what"), [("nope", "no network"), ("vit_tiny_patch16_224", "no features")])
def test_a_network_that_cannot_be_used_is_one_clear_error(backbone: str, what: str) -> None:
    with pytest.raises(RecipeError, match=what):
        tasks.create(load_recipe("detect-timm", SMALL | {"model.backbone": backbone}), ["face"]).build()


@pytest.mark.skipif(not WHY_NO_TIMM, reason="timm imports here")
def test_without_timm_the_error_says_what_to_install() -> None:
    with pytest.raises(RecipeError, match=r"timm.*viewfinder\[timm\]"):
        tasks.create(load_recipe("detect-timm", SMALL), ["face"]).build()
