"""The notes' digit recogniser and keypoint systems in Keras 3 on TensorFlow, as they are described, on rows given.

    .venv-keras/bin/python benchmarks/keras_systems.py train seed-digits ROWS.npz [--seed 0] [--minutes 12] [--cores 1]
    .venv-keras/bin/python benchmarks/keras_systems.py step seed-digits ROWS.npz [--augment] [--seconds 20] [--cores 1]

time_to_accuracy.py and step.py start it in its own environment. ROWS.npz holds uint8 pixels (N, H, W, 1) as train_x and
val_x, and as train_y and val_y classes (N,) or points in pixels (N, 15, 2), NaN where not annotated. What is found is
printed as lines of JSON.

Keras' compiler (XLA) is used where it makes this network's step faster: both ways are tried before, a few steps each.
Seconds are the processor time of the whole process, all threads, from the first step on, its compilation included. The
trials, validation and reading are not in them. Validation is `model.predict` on the given rows after each epoch.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from beside import pin
from keras import initializers, layers
from keras.src.legacy.preprocessing.image import ImageDataGenerator  # what the notes use; Keras 3 keeps it there

VERSIONS = {"keras": keras.__version__, "tensorflow": tf.__version__}
WARM_STEPS, TRIAL_STEPS = 3, 10
Rows = dict[str, np.ndarray]


@dataclass(frozen=True)
class System:
    """A described system: its network and how it is trained.

    Args:
        build: makes the network.
        parameters: how many it must have.
        optimiser: makes the optimiser.
        loss: Keras' name of it.
        batch: samples a step.
        epochs: at most so many.
        scale: pixels are divided by it.
        half: targets and outputs are (pixels − half) / half; 0: pixels, or classes.
        until: the training loss of an epoch at which training ends.
        augment: for ImageDataGenerator; none: images are never varied.
    """

    build: Callable[[], keras.Model]
    parameters: int
    optimiser: Callable[[], keras.optimizers.Optimizer]
    loss: str
    batch: int
    epochs: int
    scale: float = 255
    half: float = 0
    until: float = 0
    augment: dict[str, Any] | None = None

    @property
    def classifies(self) -> bool:
        return self.loss == "categorical_crossentropy"

    def inputs(self, pixels: np.ndarray) -> np.ndarray:
        return pixels.astype(np.float32) / np.float32(self.scale)

    def wanted(self, truth: np.ndarray) -> np.ndarray:
        if self.classifies:
            return keras.utils.to_categorical(truth, 10)
        return (truth.reshape(len(truth), -1) - self.half) / (self.half or 1)

    def judged(self, outputs: np.ndarray, truth: np.ndarray) -> float:
        """Return the accuracy in percent, or the RMSE in pixels over all points that are annotated."""
        if self.classifies:
            return 100 * float((outputs.argmax(1) == truth).mean())
        off = outputs.astype(np.float64) * (self.half or 1) + self.half - truth.reshape(len(truth), -1)
        return float(np.sqrt(np.nanmean(off**2)))

    def model(self, xla: bool) -> keras.Model:
        model = self.build()
        assert model.count_params() == self.parameters, model.count_params()
        metrics = ["accuracy"] if self.classifies else []
        model.compile(optimizer=self.optimiser(), loss=self.loss, metrics=metrics, jit_compile=xla)
        return model


def digits() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 5, padding="same", activation="relu"),
            layers.Conv2D(32, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


def keypoints() -> keras.Model:
    small = initializers.RandomNormal(stddev=0.01)
    bias = initializers.RandomNormal(stddev=1.0)
    return keras.Sequential(
        [
            layers.Input((96, 96, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu", use_bias=False, kernel_initializer=small.clone()),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, padding="same", activation="relu", use_bias=False, kernel_initializer=small.clone()),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(30, kernel_initializer="glorot_uniform", bias_initializer=bias),
        ]
    )


def keypoints_mlp() -> keras.Model:
    hidden = [layers.Dense(1000, activation="relu") for _ in range(3)]
    return keras.Sequential([layers.Input((96, 96, 1)), layers.Flatten(), *hidden, layers.Dense(30)])


def keypoints_cnn() -> keras.Model:
    stages: list[Any] = []
    for width, kernel in ((64, 3), (128, 2), (256, 2)):
        convolution = layers.Conv2D(width, kernel, padding="same", activation="relu")
        stages += [convolution, layers.MaxPooling2D(2), layers.Dropout(0.1)]
    return keras.Sequential([layers.Input((96, 96, 1)), *stages, layers.Flatten(), layers.Dense(512), layers.Dense(30)])


def adam(epsilon: float = 1e-7) -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(1e-3, epsilon=epsilon)


SYSTEMS = {
    "seed-digits": System(
        digits,
        887_530,
        lambda: keras.optimizers.RMSprop(1e-3, rho=0.9),
        "categorical_crossentropy",
        batch=86,
        epochs=30,
        augment={"rotation_range": 10, "zoom_range": 0.1, "width_shift_range": 0.1, "height_shift_range": 0.1},
    ),
    "seed-keypoints": System(
        keypoints, 1_124_670, lambda: adam(1e-8), "mean_squared_error", batch=20, epochs=200, scale=1, until=7
    ),
    "seed-keypoints-mlp": System(keypoints_mlp, 11_249_030, adam, "mean_squared_error", batch=32, epochs=100, half=48),
    "seed-keypoints-cnn": System(keypoints_cnn, 19_055_134, adam, "mean_squared_error", batch=32, epochs=100, half=48),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["train", "step", "answer"])
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("rows")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=0, help="of processor time, to the end of the epoch; 0: all")
    parser.add_argument("--seconds", type=float, default=20, help="of measuring steps")
    parser.add_argument("--augment", action="store_true", help="steps on images that ImageDataGenerator varies")
    parser.add_argument("--cores", type=int, nargs="+", help="run on these alone")
    given = parser.parse_args()
    if given.cores:
        pin(given.cores)
    keras.utils.set_random_seed(given.seed)
    system, rows = SYSTEMS[given.system], dict(np.load(given.rows))
    if given.what == "train":
        train(system, rows, given.seed, given.minutes)
    elif given.what == "step":
        step(system, rows, given.seconds, given.augment)
    else:
        answer(system, rows)


def say(**line: Any) -> None:
    print(json.dumps(line), flush=True)


def prepared(system: System, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return the training images and targets as Keras takes them; rows with blanks are left out, as in the notes."""
    pixels, truth = rows["train_x"], rows["train_y"]
    if not system.classifies:
        complete = np.isfinite(truth).all(axis=(1, 2))
        pixels, truth = pixels[complete], truth[complete]
    return system.inputs(pixels), system.wanted(truth)


def fit(system: System, model: keras.Model, x: np.ndarray, y: np.ndarray, augment: bool, **how: Any) -> None:
    if augment and system.augment:
        model.fit(ImageDataGenerator(**system.augment).flow(x, y, batch_size=system.batch), verbose=0, **how)
    else:
        model.fit(x, y, batch_size=system.batch, verbose=0, **how)


def faster_with_xla(system: System, x: np.ndarray, y: np.ndarray) -> bool:
    """Say whether this network's step takes less processor time when XLA has compiled it."""
    few = (TRIAL_STEPS + WARM_STEPS) * system.batch
    taken = {}
    for xla in (False, True):
        pace = Pace()
        fit(system, system.model(xla), x[:few], y[:few], False, callbacks=[pace])
        taken[xla] = np.median(np.diff(pace.used))
    return bool(taken[True] < taken[False])


def train(system: System, rows: Rows, seed: int, minutes: float) -> None:
    x, y = prepared(system, rows)
    xla = faster_with_xla(system, x, y)
    keras.utils.set_random_seed(seed)
    course = Course(system, system.inputs(rows["val_x"]), rows["val_y"], minutes)
    # the notes' generator asks Keras for its rate after each epoch, by validation accuracy
    plateau = keras.callbacks.ReduceLROnPlateau("val_accuracy", factor=0.5, patience=3, mode="max", min_lr=1e-5)
    callbacks = [course, plateau] if system.classifies else [course]
    fit(system, system.model(xla), x, y, True, epochs=system.epochs, callbacks=callbacks)
    say(ended=course.ended or "epochs", xla=xla, rows=len(x), versions=VERSIONS)


class Course(keras.callbacks.Callback):
    """Validates after each epoch and says how far the training is; its own time is not the training's."""

    def __init__(self, system: System, val_x: np.ndarray, val_y: np.ndarray, minutes: float) -> None:
        super().__init__()
        self.system, self.val_x, self.val_y, self.minutes = system, val_x, val_y, minutes
        self.validating, self.ended = 0.0, ""

    def on_train_begin(self, logs: Any = None) -> None:
        self.start = time.process_time()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        now = time.process_time()
        used = now - self.start - self.validating
        outputs = self.model.predict(self.val_x, batch_size=256, verbose=0)
        value = self.system.judged(outputs, self.val_y)
        logs["val_accuracy"] = value / 100
        self.validating += time.process_time() - now
        say(cpu=used, value=value, loss=float(logs["loss"]), validating=self.validating)
        if logs["loss"] <= self.system.until:
            self.ended = "loss"
        elif self.minutes and used >= 60 * self.minutes:
            self.ended = "minutes"
        self.model.stop_training = bool(self.ended)


def step(system: System, rows: Rows, seconds: float, augment: bool) -> None:
    x, y = prepared(system, rows)
    whole = len(x) // system.batch * system.batch
    x, y = x[:whole], y[:whole]
    xla = faster_with_xla(system, x, y)
    pace = Pace(seconds)
    fit(system, system.model(xla), x, y, augment, epochs=1000, callbacks=[pace])
    images = system.batch * (len(pace.used) - 1)
    wall, cpu = pace.at[-1] - pace.at[0], pace.used[-1] - pace.used[0]
    say(wall=images / wall, cpu=images / cpu, xla=xla, versions=VERSIONS)


class Pace(keras.callbacks.Callback):
    """Notes when steps end, after the first ones, and ends the training after so many seconds; 0: not at all."""

    def __init__(self, seconds: float = 0) -> None:
        super().__init__()
        self.seconds, self.steps = seconds, 0
        self.at: list[float] = []
        self.used: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps += 1
        if self.steps >= WARM_STEPS:
            self.at.append(time.perf_counter())
            self.used.append(time.process_time())
        if self.at and self.seconds and self.at[-1] - self.at[0] >= self.seconds:
            self.model.stop_training = True


def answer(system: System, rows: Rows) -> None:
    """Answer for `val_x` with the weights `weight_0` … of the rows: the same numbers as viewfinder's own network."""
    model = system.model(False)
    model.set_weights([rows[f"weight_{i}"] for i in range(len(model.get_weights()))])
    outputs = model.predict(system.inputs(rows["val_x"]), verbose=0)
    say(outputs=(outputs.astype(np.float64) * (system.half or 1) + system.half).tolist())


if __name__ == "__main__":
    main()
