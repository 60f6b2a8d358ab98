"""The notes' face tracker: its parts, and the weights that it starts from."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import viewfinder as vf
from tests.commands import Commands
from viewfinder import tasks
from viewfinder.config import Recipe, load_recipe
from viewfinder.data.dataset import ArrayImages, Dataset
from viewfinder.data.reading import write
from viewfinder.data.targets import BoxSets
from viewfinder.errors import InputError
from viewfinder.models.pretrained import fetched
from viewfinder.models.registry import start_network
from viewfinder.models.summary import summary

NARROW = {"model.widths": [2, 3, 4, 4, 5], "model.dense": 8, "data.size": 32, "data.detail": 1, "train.threads": 1}
VGG16 = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
"""The numbers of torchvision's convolutions."""


def built(recipe: Recipe) -> nn.Module:
    torch.manual_seed(0)
    return tasks.create(recipe, ("face",)).build()


def weights() -> dict[str, torch.Tensor]:
    """Return what a narrow VGG16 of torchvision's would hold, the classifier too."""
    generator, channels, tensors = torch.Generator().manual_seed(3), 3, {}
    for number, width in zip(VGG16, (2, 2, 3, 3, 4, 4, 4, 4, 4, 4, 5, 5, 5), strict=True):
        tensors[f"features.{number}.weight"] = torch.randn(width, channels, 3, 3, generator=generator)
        tensors[f"features.{number}.bias"] = torch.randn(width, generator=generator)
        channels = width
    return tensors | {"head.fc.weight": torch.randn(7, 9, generator=generator)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_file(weights(), tmp_path / "vgg.safetensors")
    return tmp_path / "vgg.safetensors"


@pytest.fixture
def server(file: Path) -> Iterator[str]:
    """Return the address of a server that holds the file's folder."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    handler = functools.partial(Quiet, directory=str(file.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_its_parts_have_the_described_sizes() -> None:
    recipe = load_recipe("seed-facetracker")
    layers = summary(built(recipe), recipe.data)
    assert sum(layer.parameters for layer in layers if layer.name.startswith("features")) == 14_714_688
    assert sum(layer.parameters for layer in layers) == 16_826_181
    assert [layer.weights for layer in layers if layer.kind == "Linear"] == [
        (512, 2048),
        (2048, 1),
        (512, 2048),
        (2048, 4),
    ]
    assert layers[0].shape == (120, 120, 3)


def test_it_begins_as_keras_begins() -> None:
    convolution = next(
        module for module in built(load_recipe("seed-facetracker")).modules() if isinstance(module, nn.Conv2d)
    )
    limit = (6 / (9 * 3 + 9 * 64)) ** 0.5
    assert 0.95 * limit < float(convolution.weight.detach().abs().max()) <= limit
    assert convolution.bias is not None
    assert not convolution.bias.detach().any()


def test_pretrained_weights_come_into_every_convolution_and_nowhere_else(file: Path) -> None:
    recipe = load_recipe("seed-facetracker", NARROW | {"model.weights": str(file)})
    fresh, network = built(recipe), built(recipe)
    start_network(network, recipe)
    before, after = fresh.state_dict(), network.state_dict()
    assert all(torch.equal(after[key], value) for key, value in weights().items() if key.startswith("features"))
    assert all(torch.equal(after[key], before[key]) for key in after if not key.startswith("features"))


def test_every_member_starts_from_them(file: Path) -> None:
    recipe = load_recipe("seed-facetracker", NARROW | {"model.weights": str(file), "model.members": 2})
    network = built(recipe)
    start_network(network, recipe)
    found = [value for key, value in network.state_dict().items() if key.endswith("features.28.bias")]
    assert len(found) == 2
    assert all(torch.equal(one, weights()["features.28.bias"]) for one in found)


def dataset(folder: Path) -> Dataset:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), dtype=np.uint8)
    boxes = BoxSets.of([np.array([[4, 4, 20, 24]])] * 24, [np.zeros(1, dtype=np.int64)] * 24)
    write(Dataset("detect", ("face",), ArrayImages.of(pixels), boxes), folder / "faces.npz", "npz")
    return vf.read(folder / "faces.npz")


def test_a_training_starts_from_the_weights_and_goes_on_without_them(file: Path, tmp_path: Path) -> None:
    changes = NARROW | {"model.weights": str(file), "optim.lr": 1e-9}

    def stop(event: vf.Event) -> None:
        if event["event"] == "validation":
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        vf.train(
            dataset(tmp_path), recipe="seed-facetracker", epochs=2, changes=changes, out=tmp_path / "run", on_event=stop
        )
    file.unlink()
    run = vf.resume(tmp_path / "run")
    trained, given = run.network().state_dict(), weights()
    assert torch.allclose(trained["features.0.weight"], given["features.0.weight"], atol=1e-5)
    assert run.recipe.model["weights"] == str(file)


def bad(kind: str, file: Path) -> None:
    tensors = weights()
    if kind == "missing":
        del tensors["features.17.bias"]
    elif kind == "shape":
        tensors["features.5.weight"] = torch.zeros(64, 64, 3, 3)
    save_file(tensors, file)
    if kind == "cut off":
        file.write_bytes(file.read_bytes()[:300])
    elif kind == "absent":
        file.unlink()


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("missing", r"vgg\.safetensors: has no tensor 'features\.17\.bias'; the names must be"),
        ("shape", r"features\.5\.weight is 64 × 64 × 3 × 3, the network's is 3 × 2 × 3 × 3; take weights"),
        ("cut off", "vgg.safetensors: cannot be read as safetensors"),
        ("absent", "vgg.safetensors: no such file; name a .safetensors file, or 'imagenet'"),
    ],
)
def test_weights_that_do_not_fit_are_one_line_and_nothing_is_written(
    kind: str, line: str, file: Path, tmp_path: Path
) -> None:
    bad(kind, file)
    changes = NARROW | {"model.weights": str(file)}
    with pytest.raises(InputError, match=line) as error:
        vf.train(dataset(tmp_path), recipe="seed-facetracker", epochs=1, changes=changes, out=tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_the_option_stands_for_the_recipes_key_and_is_refused_by_networks_without_it(
    viewfinder: Commands, tmp_path: Path
) -> None:
    dataset(tmp_path)
    wrong = viewfinder("train", tmp_path / "faces.npz", "--recipe", "seed-facetracker", "--weights", "no.safetensors")
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err == "viewfinder: no.safetensors: no such file; name a .safetensors file, or 'imagenet'\n"
    without = viewfinder("train", tmp_path / "faces.npz", "--recipe", "detect", "--weights", "imagenet")
    told = "--weights: the network of this recipe starts from none; leave it out, or choose another --recipe"
    assert (without.code, without.err) == (2, f"viewfinder: {told}\n")


def test_a_download_keeps_the_wanted_tensors_alone(server: str, tmp_path: Path) -> None:
    path = fetched(f"{server}/vgg.safetensors", "features.", tmp_path / "cache" / "kept.safetensors")
    kept = load_file(path)
    assert kept.keys() == {key for key in weights() if key.startswith("features.")}
    assert all(torch.equal(kept[key], weights()[key]) for key in kept)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, r"absent\.safetensors: cannot be downloaded: File not found; try again"),
        (b"<html>not here</html>", "cannot be downloaded: it is no safetensors file"),
        (b"", "cannot be downloaded: it is cut off"),
    ],
)
def test_what_cannot_be_downloaded_is_one_line(
    content: bytes | None, line: str, server: str, file: Path, tmp_path: Path
) -> None:
    name = "absent" if content is None else "odd"
    if content is not None:
        file.with_name("odd.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=line) as error:
        fetched(f"{server}/{name}.safetensors", "features.", tmp_path / "cache" / "kept.safetensors")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "cache").exists()


def test_without_a_connection_the_hint_is_a_file(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"cannot be downloaded: .*refused.*or download it elsewhere and name the file"
    ):
        fetched("http://127.0.0.1:9/vgg.safetensors", "features.", tmp_path / "kept.safetensors")
