"""Augmented images a second on one core, beside albumentations, kornia and Keras' ImageDataGenerator.

    make bench-keras                                   # once: an environment with the others
    python benchmarks/augment.py [--bench-python .venv-keras/bin/python] [--runs 3] [--seconds 2]

Images turn, zoom, shift, are mirrored and change brightness and contrast, by the same strengths everywhere; points and
boxes move along. A batch goes in as uint8 and comes out as the library gives it: tensors with targets from our training
loader (`batch_at`, all that it does), arrays from albumentations (one image after the other, as it is used), float
tensors from kornia's AugmentationSequential (a batch at a time), float arrays from Keras, which moves no targets and
has no contrast. Each way is a process of its own, bound to one core, and takes turns with the others; seconds are
of processor time. All must move things equally far and change gray levels alike. What counts is the ratio to
the best of the others.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from beside import HERE, in_own_process, save, see_that_it_is_there
from numpy.typing import NDArray

ROTATE, ZOOM, SHIFT, MIRROR, BRIGHTNESS, CONTRAST = 15, 0.12, 0.05, 0.5, 0.1, 0.2
"""Degrees; from 1/1.12 to 1.12; shares of the side; a probability; a share of the range; from 1/1.2 to 1.2."""
SEEN = 512
"""Images by which it is judged how far things move."""

Arrays = dict[str, NDArray[Any]]
Batch = tuple[Any, Any]
"""Images, and points (N, K, 2), the corners of boxes (M, 2, 2), or None."""


@dataclass(frozen=True)
class Case:
    """What is augmented: images of one size, with marks of one kind."""

    name: str
    side: int
    channels: int
    batch: int
    images: int
    task: str


CASES = (
    Case("28×28 gray", 28, 1, 256, 1792, "classify"),
    Case("96×96 gray, 15 points", 96, 1, 64, 512, "keypoints"),
    Case("320×320 RGB, 3 boxes", 320, 3, 16, 64, "detect"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench-python", type=Path, default=HERE.parent / ".venv-keras" / "bin" / "python")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each way and size")
    parser.add_argument("--way", choices=("prepare", *WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way == "prepare":
        draw(given.folder)
        print(json.dumps("prepared"))
    elif given.way:
        print(json.dumps(one_run(given.way, given.folder, given.seconds)))
    else:
        see_that_it_is_there(given.bench_python)
        report = compare(str(given.bench_python), given.runs, given.seconds)
        print_table(report["images_per_second"])
        save("augment", {"runs": given.runs, **report}, ["numpy", "opencv-python-headless", "torch"])


def compare(python: str, runs: int, seconds: float) -> dict[str, Any]:
    """Return the median images a second of each case and way, and the versions of the others."""
    taken: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        in_own_process(__file__, "--way", "prepare", "--folder", folder)
        for _ in range(runs):
            for way in WAYS:
                interpreter = sys.executable if way == "viewfinder" else python
                arguments = ("--way", way, "--folder", folder, "--seconds", str(seconds))
                taken[way].append(in_own_process(__file__, *arguments, python=interpreter, **QUIETLY))
    for case in CASES:
        check_alike({way: ones[0]["effects"][case.name] for way, ones in taken.items()}, case.name)
    speed = {
        case.name: {way: round(median(one["speed"][case.name] for one in ones)) for way, ones in taken.items()}
        for case in CASES
    }
    others = {name: number for ones in taken.values() for name, number in ones[0]["versions"].items()}
    return {"images_per_second": speed, "beside": others}


QUIETLY = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "KERAS_BACKEND": "torch",  # the generator computes with NumPy and SciPy whatever it is
}


def check_alike(effects: dict[str, dict[str, float | None]], case: str) -> None:
    """Stop where a way moves marks by another distance than ours, or changes gray levels more or less."""
    for way, seen in effects.items():
        for what, value in seen.items():
            ours = effects["viewfinder"][what]
            if value is not None and ours:
                assert 0.75 < value / ours < 1.33, f"{case}: {way} has {what} {value:.3f}, viewfinder {ours:.3f}"


def one_run(way: str, folder: Path, seconds: float) -> dict[str, Any]:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    make, packages = WAYS[way]
    speed, effects = {}, {}
    for case in CASES:
        with np.load(folder / f"{case.side}.npz") as file:
            arrays = dict(file)
        effects[case.name] = effect(make, case, arrays)
        speed[case.name] = images_per_second(make(case, arrays), case.batch, seconds)
    return {"speed": speed, "effects": effects, "versions": {name: version(name) for name in packages}}


def images_per_second(batch: Callable[[], Batch], size: int, seconds: float) -> float:
    for _ in range(3):
        batch()
    done, start = 0, time.process_time()
    while (gone := time.process_time() - start) < seconds:
        batch()
        done += size
    return done / gone


def effect(make: Make, case: Case, arrays: Arrays) -> dict[str, float | None]:
    """Return by how much copies of the first image change: gray levels, and places in pixels."""
    first = {name: np.repeat(values[:1], max(SEEN, case.batch), axis=0) for name, values in arrays.items()}
    batch = make(case, first)
    made = [batch() for _ in range(-(-SEEN // case.batch))]
    images = np.concatenate([np.asarray(images, dtype=np.float32) for images, _ in made])
    if images.shape[1] == case.channels and images.shape[-1] == case.side:
        images = 255 * images.transpose(0, 2, 3, 1)  # kornia's
    changed = float(np.abs(images - first["images"][0]).mean())
    if made[0][1] is None:
        return {"gray levels": changed, "moves": None}
    places = np.concatenate([np.reshape(xy, (-1, *arrays["xy"].shape[1:])) for _, xy in made])
    return {"gray levels": changed, "moves": float(np.sqrt(((places - first["xy"][0]) ** 2).mean()))}


def with_viewfinder(case: Case, arrays: Arrays) -> Callable[[], Batch]:
    import cv2
    import torch

    from viewfinder import tasks
    from viewfinder.config import Augment, Data, Recipe
    from viewfinder.data.targets import BoxSets, Labels, PointSets
    from viewfinder.training.loader import Loader

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    targets, key = {
        "classify": lambda: (Labels(np.zeros(len(arrays["images"]), dtype=np.int64)), None),
        "keypoints": lambda: (PointSets(arrays["xy"]), "points"),
        "detect": lambda: (BoxSets.of(arrays["xy"], [np.zeros(len(one), np.int64) for one in arrays["xy"]]), "boxes"),
    }[case.task]()
    light = {"brightness": BRIGHTNESS, "contrast": CONTRAST}
    augment = Augment(rotate=ROTATE, zoom=ZOOM, shift=SHIFT, mirror=MIRROR, **light)
    recipe = Recipe(name="benchmark", task=case.task, data=Data(size=case.side, channels=case.channels))
    task = tasks.create(recipe, tasks.usual_names(recipe))
    options = {"names": task.names, "task": task, "batch": case.batch, "augment": augment, "seed": 1}
    loader, steps = Loader(arrays["images"], targets, **options), count()

    def batch() -> Batch:
        made = loader.batch_at(next(steps))
        return made.images, made.targets[key] if key else None

    return batch


def with_albumentations(case: Case, arrays: Arrays) -> Callable[[], Batch]:
    import albumentations
    import cv2

    cv2.setNumThreads(0)
    rng = np.random.default_rng(1)
    boxes = albumentations.BboxParams("pascal_voc", label_fields=["classes"], min_visibility=0.25)
    points = albumentations.KeypointParams("xy", remove_invisible=False)
    kinds: dict[str, dict[str, Any]] = {"keypoints": {"keypoint_params": points}, "detect": {"bbox_params": boxes}}
    both = (-SHIFT, SHIFT)
    change = albumentations.Compose(
        [
            albumentations.HorizontalFlip(p=MIRROR),
            albumentations.Affine(
                rotate=(-ROTATE, ROTATE),
                scale=(1 / (1 + ZOOM), 1 + ZOOM),
                translate_percent={"x": both, "y": both},
                keep_ratio=True,
                p=1,
            ),
            albumentations.RandomBrightnessContrast((-BRIGHTNESS, BRIGHTNESS), (1 / (1 + CONTRAST) - 1, CONTRAST), p=1),
        ],
        seed=1,
        **kinds.get(case.task, {}),
    )
    marked = {"classify": "", "keypoints": "keypoints", "detect": "bboxes"}[case.task]

    def one(row: int) -> tuple[Any, Any]:
        marks = {marked: arrays["xy"][row]} if marked else {}
        classes = {"classes": np.zeros(len(arrays["xy"][row]))} if marked == "bboxes" else {}
        made = change(image=arrays["images"][row], **marks, **classes)
        return made["image"], made.get(marked)

    def batch() -> Batch:
        images, marks = zip(*map(one, rng.integers(0, len(arrays["images"]), case.batch).tolist()), strict=True)
        return np.stack(images), np.concatenate(marks) if marked else None

    return batch


def with_kornia(case: Case, arrays: Arrays) -> Callable[[], Batch]:
    import kornia.augmentation as kornia
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    marked = {"classify": [], "keypoints": ["keypoints"], "detect": ["bbox_xyxy"]}[case.task]
    change = kornia.AugmentationSequential(
        kornia.RandomHorizontalFlip(p=MIRROR),
        kornia.RandomAffine(ROTATE, (SHIFT, SHIFT), (1 / (1 + ZOOM), 1 + ZOOM), p=1.0),
        kornia.RandomContrast((1 / (1 + CONTRAST), 1 + CONTRAST)),
        kornia.RandomBrightness((1 - BRIGHTNESS, 1 + BRIGHTNESS)),
        data_keys=["input", *marked],
    )

    @torch.inference_mode()
    def batch() -> Batch:
        rows = rng.integers(0, len(arrays["images"]), case.batch)
        images = torch.from_numpy(arrays["images"][rows]).permute(0, 3, 1, 2).float() / 255
        if not marked:
            return change(images), None
        return tuple(change(images, torch.from_numpy(arrays["xy"][rows])))

    return batch


def with_keras(case: Case, arrays: Arrays) -> Callable[[], Batch]:
    from keras._tf_keras.keras.preprocessing.image import ImageDataGenerator

    np.random.seed(1)  # the generator knows no other
    generator = ImageDataGenerator(
        rotation_range=ROTATE,
        zoom_range=(1 / (1 + ZOOM), 1 + ZOOM),
        width_shift_range=SHIFT,
        height_shift_range=SHIFT,
        horizontal_flip=True,
        channel_shift_range=255 * BRIGHTNESS,  # brightness_range would go through Pillow, at a third of the speed
        fill_mode="constant",
        data_format="channels_last",
    )
    batches = generator.flow(arrays["images"], batch_size=case.batch, shuffle=True, seed=1)
    return lambda: (next(batches), None)


Make = Callable[[Case, Arrays], Callable[[], Batch]]
WAYS: dict[str, tuple[Make, tuple[str, ...]]] = {
    "viewfinder": (with_viewfinder, ()),
    "albumentations": (with_albumentations, ("albumentations", "opencv-python-headless")),
    "kornia": (with_kornia, ("kornia", "torch")),
    "keras": (with_keras, ("keras", "scipy")),
}


def draw(folder: Path) -> None:
    """Write the images of each case with their marks: digits, or drawn faces with boxes in the middle of them."""
    from viewfinder.data.samples import digits, faces

    rng = np.random.default_rng(0)
    for case in CASES:
        set_ = digits() if case.task == "classify" else faces(case.images, 1, case.side, case.channels)
        rows = np.arange(case.images)
        arrays: dict[str, Any] = {"images": np.stack([set_.images[row] for row in rows])}
        if case.task == "keypoints":
            arrays["xy"] = set_.labelled().array()
        elif case.task == "detect":  # so far inside that none is cut off
            corners = np.sort(rng.uniform(0.25, 0.75, (case.images, 3, 2, 2)), axis=2)
            arrays["xy"] = (case.side * corners).reshape(-1, 3, 4).astype(np.float32)
        np.savez(folder / f"{case.side}.npz", **arrays)


def print_table(speed: dict[str, dict[str, int]]) -> None:
    print(f"{'images a second':24}" + "".join(f"{way:>16}" for way in WAYS) + f"{'ours : best':>13}")
    for case, ways in speed.items():
        best = max(value for way, value in ways.items() if way != "viewfinder")
        print(f"{case:24}" + "".join(f"{ways[way]:16,}" for way in WAYS) + f"{ways['viewfinder'] / best:12.1f}×")
    print("keras: images alone, points and boxes stay where they were")


if __name__ == "__main__":
    main()
