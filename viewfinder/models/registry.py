"""The networks, by name. A new one is a class in a file of this folder and one line in this table."""

from __future__ import annotations

import copy
from importlib import import_module

import torch
from pydantic import ValidationError
from torch import nn

from viewfinder.config import Recipe
from viewfinder.errors import RecipeError, nearest, refused
from viewfinder.models.members import Members
from viewfinder.models.options import Network

__all__ = ["NETWORKS", "build_network", "options_of", "start_network"]

NETWORKS = {
    "convnet": "viewfinder.models.convnet:ConvNet",
    "heatmaps": "viewfinder.models.heatmaps:Heatmaps",
    "detector": "viewfinder.models.detector:Detector",
    "timm-detector": "viewfinder.models.timm_detector:TimmDetector",
    "seed-facetracker": "viewfinder.models.facetracker:SeedFaceTracker",
    "seed-digits": "viewfinder.models.seeds:SeedDigits",
    "seed-keypoints": "viewfinder.models.seeds:SeedKeypoints",
    "seed-keypoints-mlp": "viewfinder.models.seeds:SeedKeypointsMlp",
    "seed-keypoints-cnn": "viewfinder.models.seeds:SeedKeypointsCnn",
}


def build_network(recipe: Recipe, outputs: int) -> nn.Module:
    """Return the recipe's network with fresh weights: (B, size, size, channels) uint8 → (B, outputs) float32.

    Its convolution weights lie in channels-last order, which the convolutions of CPUs and GPUs prefer.

    Raises:
        RecipeError: the network, an option or its value is not known or not valid, images are too small for it, or a
            batch for its members or its normalisation.
    """
    options = options_of(recipe)
    if options.members > recipe.train.batch:
        what = f"{options.members} members share batches of {recipe.train.batch}"
        raise RecipeError(what, where=recipe.name, hint="raise train.batch or lower model.members")
    members = [options.build(recipe.data, outputs) for _ in range(options.members)]
    network = members[0] if len(members) == 1 else Members(members)
    _try_size(network, recipe)
    if recipe.train.batch < 2 * options.members:
        _try_batch(network, recipe)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def start_network(network: nn.Module, recipe: Recipe) -> None:
    """Give a network from `build_network` what a new training starts from: pretrained weights, where they are wanted.

    Raises InputError where those cannot be had, or do not fit.
    """
    options = options_of(recipe)
    for member in network.networks if isinstance(network, Members) else [network]:
        options.start(member)


def _try_size(network: nn.Module, recipe: Recipe) -> None:
    size = recipe.data.size
    try:
        network.eval()(torch.zeros(1, size, size, recipe.data.channels, dtype=torch.uint8))
    except RuntimeError:
        what = f"images of {size} × {size} pixels are too small for the network {recipe.model['name']!r}"
        raise RecipeError(what, where=recipe.name, hint="raise data.size or take stages away") from None
    network.train()


def _try_batch(network: nn.Module, recipe: Recipe) -> None:
    """See that a normalisation has two values at least of each channel, where each member sees a single sample."""
    size, batch = recipe.data.size, recipe.train.batch
    with torch.random.fork_rng([]), torch.no_grad():
        try:
            copy.deepcopy(network).train()(torch.zeros(batch, size, size, recipe.data.channels, dtype=torch.uint8))
        except ValueError:
            what = f"batches of {batch} leave a normalisation with one value of a channel, which has no spread"
            raise RecipeError(what, where=recipe.name, hint="raise train.batch") from None


def options_of(recipe: Recipe) -> Network:
    """Return the recipe's network as its options. Raises RecipeError as `build_network`."""
    options = dict(recipe.model)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise RecipeError("model.name is missing", where=recipe.name, hint=f"known: {', '.join(NETWORKS)}")
    if name not in NETWORKS:
        raise RecipeError(f"unknown network {name!r}", where=recipe.name, hint=nearest(name, NETWORKS))
    module, kind = NETWORKS[name].split(":")
    network: type[Network] = getattr(import_module(module), kind)
    try:
        return network.model_validate(options)
    except ValidationError as error:
        raise refused(error, lambda path: () if path else network.model_fields, recipe.name, under="model") from None
