"""A recipe: everything that decides a training, as a TOML file that a user can read, copy and change.

    recipe = load_recipe("digits")                                    # one of ours, by name
    recipe = load_recipe("my.toml", {"optim.lr": "0.003"})            # a copy, with one value changed

A recipe file may begin with `base = "keypoints"`: it then holds only what differs from that recipe.
Unknown keys, wrong types and unknown names are errors that name the nearest known one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import combinations, product
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from viewfinder.errors import RecipeError, nearest, refused
from viewfinder.layers import flat, leave_alone, leaves, merged, nested, parse_changes, set_at
from viewfinder.rates import USUAL, forget_rate

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "Augment",
    "Budget",
    "Data",
    "Optim",
    "Part",
    "Predict",
    "Recipe",
    "Train",
    "fitting_recipe",
    "load_recipe",
    "parse_changes",
    "recipe_names",
    "recipe_text",
]


class Part(BaseModel):
    """A table of a recipe: nothing in it is unknown, infinite or changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_no_truths(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false for a number, which would be taken for 1 and 0."""
        several = value if isinstance(value, (list, tuple)) else [value]
        kinds = _types(cls.model_fields[str(info.field_name)].annotation)
        if bool not in kinds and any(isinstance(one, bool) for one in several):
            raise ValueError("true and false mean nothing here")
        return value


class Data(Part):
    """What the network is shown."""

    size: int = Field(28, ge=8, le=2048)
    """Side of the square that every image is fitted to, in pixels."""
    channels: Literal[1, 3] = 1
    """1: gray, 3: RGB."""
    detail: float = Field(1, ge=1, le=4)
    """Training images are kept this many times larger than `size`, so that zooming in and cropping show real detail."""
    val: float = Field(0.1, ge=0, lt=1)
    """Share of the samples that are kept for validation."""
    similar: bool = False
    """Keep near-duplicate images on one side of the split, as if they were one person."""
    merge_classes: str = ""
    """For boxes: all classes become one of this name, such as "face"; empty: they stay."""
    complete: bool = False
    """Use only the samples whose points are all annotated."""


class Augment(Part):
    """How training images vary. Every number is the far end of a uniform range around "unchanged"; 0 is off."""

    rotate: float = Field(0, ge=0, le=180)
    """Degrees."""
    zoom: float = Field(0, ge=0, lt=1)
    """0.1: from 1/1.1 to 1.1 times the size."""
    shift: float = Field(0, ge=0, lt=1)
    """Share of the image's side."""
    shear: float = Field(0, ge=0, le=45)
    """Degrees."""
    mirror: float = Field(0, ge=0, le=1)
    """Probability of left ↔ right; names that say left and right swap."""
    flip: float = Field(0, ge=0, le=1)
    """Probability of up ↔ down. That mirrors too: names that say left and right swap, unless both happen."""
    crop: int = Field(0, ge=0)
    """Side, in pixels of the original image, of a random square that is cut out and fills the input; 0: all of it."""
    light: float = Field(1, ge=0, le=1)
    """Probability with which brightness and contrast together, gamma, and channel_shift are each applied."""
    brightness: float = Field(0, ge=0, le=1)
    """Share of the full range that is added or taken away."""
    contrast: float = Field(0, ge=0, lt=1)
    """0.2: from 1/1.2 to 1.2 times the distance from the mean."""
    gamma: float = Field(0, ge=0, lt=1)
    """0.2: exponents from 1/1.2 to 1.2."""
    channel_shift: float = Field(0, ge=0, le=1)
    """As brightness, each channel by itself."""
    noise: float = Field(0, ge=0, le=1)
    """Standard deviation at most, as a share of the full range."""
    blur: float = Field(0, ge=0, le=10)
    """Standard deviation at most, in pixels."""
    erase: float = Field(0, ge=0, le=1)
    """Probability that a rectangle of 2 to 15 % of the area is filled with the image's mean."""
    mosaic: float = Field(0, ge=0, le=1)
    """Probability that an image is made of four photos side by side; for boxes."""
    paste: float = Field(0, ge=0, le=1)
    """Probability that a thing of the set is laid over the image, often hiding part of one there; for boxes."""
    border: Literal["constant", "replicate", "reflect"] = "constant"
    """What appears where the image was moved away: black, the edge's colour, or the mirror image."""


class Optim(Part):
    """How weights change."""

    name: Literal["muon", "adamw", "adam", "sgd", "rmsprop"] = "adamw"
    """The optimiser: muon, adamw, adam, sgd or rmsprop."""
    lr: float = Field(0.003, gt=0)
    """The learning rate; the highest one where the schedule moves it."""
    weight_decay: float = Field(0, ge=0)
    """Decoupled decay for muon and adamw; not applied to biases and normalisation."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """For sgd and muon; also adam's and adamw's first beta."""
    rho: float = Field(0.99, ge=0, lt=1)
    """Decay of squared gradients: rmsprop's alpha, adam's and adamw's second beta; muon's for biases and scales."""
    epsilon: float = Field(1e-8, gt=0)
    """Added to the root of squared gradients, for rmsprop, adam and adamw; muon's for biases and scales."""
    schedule: Literal["constant", "onecycle", "cosine", "plateau", "decay"] = "onecycle"
    """How the learning rate moves over the run: constant, onecycle, cosine, plateau or decay."""
    warmup: float = Field(0.15, ge=0, lt=1)
    """onecycle and cosine: share of the steps in which the rate rises from near zero."""
    factor: float = Field(0.5, gt=0, lt=1)
    """plateau: what the rate is multiplied by."""
    patience: int = Field(3, ge=1)
    """plateau: validations without a better one before the rate falls."""
    min_lr: float = Field(1e-5, ge=0)
    """plateau: the rate does not fall below this."""
    decay: float = Field(0, ge=0)
    """decay: the rate is lr / (1 + decay × epochs done), lower with every step."""
    clip: float = Field(0, ge=0)
    """Longest gradient vector; 0: not clipped."""

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, values: Any) -> Any:
        name = values.get("name") if isinstance(values, Mapping) else None
        return {**USUAL[name], **values} if isinstance(name, str) and name in USUAL else values


class Train(Part):
    """How long, and with what."""

    batch: int = Field(128, ge=1)
    """Samples a step."""
    epochs: float = Field(10, gt=0, le=100_000)
    """Passes over the training samples."""
    minutes: float | None = Field(None, gt=0, le=525_600)
    """Time for the whole training instead of epochs; the number of steps is fixed from the speed of the first ones."""
    validations: int | None = Field(None, ge=1)
    """How often the model is validated over the run, less often where minutes are few; None: after every epoch."""
    until: str | None = None
    """Stop as soon as this holds: "rmse<=1.7", "accuracy>=0.995", "train_loss<=7"."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many validations without a better one."""
    metric: str | None = None
    """What decides which checkpoint is best; None: the task's first metric."""
    average: float = Field(0, ge=0, le=0.5)
    """Window of the averaged weights that are validated and shipped, as a share of all steps; 0: no averaging."""
    label_smoothing: float = Field(0, ge=0, lt=1)
    """classify: share of the target that is spread over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """classify: balanced counts rare classes more, so that all weigh the same."""
    loss: str | None = None
    """The task's loss by name; None: its usual one."""
    precision: Literal["auto", "float32", "bfloat16", "float64"] = "auto"
    """Of convolutions and products; weights stay float32. auto: bfloat16 where the device computes in it.
    float64: weights too, a few times slower, to see whether two ways of training differ by more than rounding; answers,
    and with them metrics and the model file, stay float32."""
    compile: bool = False
    """Compile the network first (torch.compile). On a CPU it begins slowly and gained nothing."""
    cuda_graphs: bool = True
    """On a GPU, record a step's kernels and start them as one, unless the host has to look at what they compute."""
    threads: int | None = Field(None, ge=1)
    """CPU threads; None: as many as there are cores, shared by the processes of a machine."""
    seed: int = Field(42, ge=0, lt=2**32)
    """Decides weights, order, augmentation, dropout and split."""


class Predict(Part):
    """What is done at prediction; it is part of the exported model."""

    mirror: bool = False
    """Average with the answer for the mirrored image."""
    shifts: int = Field(0, ge=0, le=4)
    """Average with the answers for copies moved by so many pixels to the four sides."""
    size: int | None = Field(None, ge=8, le=2048)
    """For boxes: answer at this side instead of `data.size`, larger for small things; also when validating."""


class Budget(Part):
    """What a recipe changes where the minutes are few or many: another network pays then, or another resolution."""

    below: float | None = Field(None, gt=0)
    """For trainings of fewer minutes than this."""
    above: float | None = Field(None, gt=0)
    """For trainings of so many minutes or more."""
    changes: dict[str, Any]
    """Values by dotted key. What a user sets stays as it was set."""

    @model_validator(mode="after")
    def _sometimes(self) -> Budget:
        if "train.minutes" in dict(flat(self.changes)):
            raise ValueError("the minutes decide which budget holds, so none changes them")
        if self.below is not None and self.above is not None and self.above >= self.below:
            raise ValueError(f"no minutes are below {self.below:g} and above {self.above:g}")
        return self

    def fits(self, minutes: float) -> bool:
        """Say whether it is for a training of so many minutes."""
        return (self.below is None or minutes < self.below) and (self.above is None or minutes >= self.above)


class Recipe(Part):
    """All that decides a training."""

    name: str
    """What it is called."""
    about: str = ""
    """One line for `viewfinder recipes`."""
    task: str
    """classify, keypoints, detect or locate."""
    data: Data = Data()
    augment: Augment = Augment()
    model: dict[str, Any] = Field(default_factory=lambda: {"name": "convnet"})
    """`name` of a network in models/, and its options."""
    optim: Optim = Optim()
    train: Train = Train()
    predict: Predict = Predict()
    budgets: tuple[Budget, ...] = ()
    """What changes with `train.minutes`: [[budgets]] with below or above, and changes."""

    def at_prediction(self) -> Recipe:
        """Return the recipe with `data.size` as it is when the network answers."""
        if self.predict.size is None:
            return self
        return self.model_copy(update={"data": self.data.model_copy(update={"size": self.predict.size})})


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with viewfinder, ours first."""
    files = (resources.files("viewfinder") / "recipes").iterdir()
    names = [Path(file.name).stem for file in files if file.name.endswith(".toml")]
    return sorted(names, key=lambda name: (name.startswith("seed-"), name))


def load_recipe(name: str | Path | Recipe, changes: Mapping[str, Any] | None = None) -> Recipe:
    """Return a recipe; where it says for how many minutes, with what its budgets change for so many.

    Args:
        name: the name of one of ours, the path of a TOML file, or a recipe.
        changes: by dotted key ("optim.lr"), values or the text of values as in TOML.

    Raises:
        RecipeError: the name, a key or a value is not known or not valid.
    """
    if isinstance(name, Recipe):
        values, where = name.model_dump(), name.name
    else:
        values, where = _read(name), str(name)
    forget_rate(values, nested(changes or {}))
    for key, value in (changes or {}).items():
        set_at(values, key, value)
    leave_alone(values, (changes or {}).keys())
    recipe = _validated(values, where)
    _agree(recipe.budgets, where)
    for number, budget in enumerate(recipe.budgets, start=1):
        # checked, whether it is for these minutes or not
        changed = _changed(recipe, budget, f"{where}: changes of budget {number}")
        recipe = changed if recipe.train.minutes and budget.fits(recipe.train.minutes) else recipe
    return recipe


def recipe_text(name: str) -> str:
    """Return the file of one of our recipes. Raises RecipeError for an unknown name."""
    return _our_file(name).read_text(encoding="utf-8")


def fitting_recipe(task: str, channels: int) -> str:
    """Return the name of our recipe for a task, of those the one for images with so many channels if there is one.

    Raises RecipeError where no recipe is for the task.
    """
    fitting = [recipe for recipe in map(load_recipe, recipe_names()) if recipe.task == task]
    if not fitting:
        what = f"no recipe is for {task or 'images without targets'}"
        raise RecipeError(what, hint="give labelled images, or name a recipe with --recipe")
    return min(fitting, key=lambda recipe: recipe.data.channels != channels).name


def _read(name: str | Path) -> dict[str, Any]:
    path = Path(name)
    if path.suffix != ".toml":
        path = _our_file(str(name))
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors of Windows begin with a mark
    except FileNotFoundError:
        raise RecipeError("no such recipe file", where=path, hint="see `viewfinder recipes`") from None
    except OSError as error:
        hint = "see that you may read it" if isinstance(error, PermissionError) else "name a file"
        raise RecipeError(f"cannot be read: {error.strerror}", where=path, hint=hint) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"cannot be read as TOML: {error}", where=path) from None
    base = values.pop("base", None)
    values.setdefault("name", path.stem)
    if base is None:
        return values
    if not isinstance(base, str) or base.endswith(".toml"):
        raise RecipeError("base must be the name of a recipe of ours", where=path, hint="see `viewfinder recipes`")
    _our_file(base, where=f"{path}: base")
    return _on_top(_read(base), values)


def _our_file(name: str, where: str = "") -> Path:
    if name not in recipe_names():
        raise RecipeError(f"unknown recipe {name!r}", where=where, hint=nearest(name, recipe_names()))
    return Path(str(resources.files("viewfinder") / "recipes" / f"{name}.toml"))


def _on_top(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Put a recipe on its base; the options of another network, or the rate of another optimiser, are of no use."""
    model = above.get("model")
    other = isinstance(model, Mapping) and model.get("name", below["model"]["name"]) != below["model"]["name"]
    leave_alone(below, dict(leaves(above)))
    forget_rate(below, above)
    return merged({**below, "model": {}, "budgets": []} if other else below, above)


def _changed(recipe: Recipe, budget: Budget, where: str) -> Recipe:
    values = recipe.model_dump()
    for key, value in flat(budget.changes):
        set_at(values, key, value)
    return _validated(values, where)


def _agree(budgets: Sequence[Budget], where: str) -> None:
    """Raise RecipeError where two budgets for the same minutes set a key to different values."""
    for (one, first), (two, second) in combinations(enumerate(budgets, start=1), 2):
        meet = first.fits(second.above or 0) or second.fits(first.above or 0)
        for (key, ours), (other, theirs) in product(flat(first.changes), flat(second.changes)):
            longer, shorter = sorted((f"{key}.", f"{other}."), key=len, reverse=True)
            if meet and longer.startswith(shorter) and (key != other or ours != theirs):
                is_ours, is_theirs = (f" {ours!r}", f" {theirs!r}") if key == other else ("", f" {other}")
                what = (
                    f"{key} is{is_ours} in budget {one} and{is_theirs} in budget {two}, which are for the same minutes"
                )
                raise RecipeError(what, where=where, hint="part them with above and below")


def _validated(values: dict[str, Any], where: str) -> Recipe:
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise refused(error, _keys, where) from None


def _keys(path: Sequence[str | int]) -> list[str]:
    part: type[BaseModel] | None = Recipe
    for name in (name for name in path if isinstance(name, str)):
        kinds = _types(part.model_fields[name].annotation) if part else ()
        part = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
    return list(part.model_fields) if part else []


def _types(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) or (annotation,)


def as_json(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as plain JSON values; `Recipe.model_validate` reads them back."""
    return dict(json.loads(recipe.model_dump_json()))
