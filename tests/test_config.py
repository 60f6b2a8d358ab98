"""Recipes: read, changed and checked, with the nearest known name where one is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from viewfinder.config import Recipe, as_json, load_recipe, parse_changes, recipe_names, recipe_text
from viewfinder.errors import RecipeError


def recipe_file(folder: Path, text: str) -> Path:
    path = folder / "my.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_our_recipes_come_first_and_each_says_in_a_line_what_it_is_for() -> None:
    names = recipe_names()
    assert names[:5] == ["detect", "detect-timm", "digits", "images", "keypoints"]
    assert all(name.startswith("seed-") for name in names[5:])
    assert all(20 < len(load_recipe(name).about) < 100 for name in names)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_survives_json(name: str) -> None:
    recipe = load_recipe(name)
    assert Recipe.model_validate(as_json(recipe)) == recipe


def test_what_others_trained_is_not_torn_apart_by_the_steps_of_its_base() -> None:
    optim = load_recipe("detect-timm").optim
    assert (optim.name, optim.lr, optim.momentum, optim.clip) == ("adamw", 0.001, 0.9, 10)


def test_the_described_digit_training_is_as_described() -> None:
    recipe = load_recipe("seed-digits")
    optim, train, augment = recipe.optim, recipe.train, recipe.augment
    assert (optim.name, optim.lr, optim.rho, optim.epsilon) == ("rmsprop", 1e-3, 0.9, 1e-7)
    assert (optim.schedule, optim.factor, optim.patience, optim.min_lr) == ("plateau", 0.5, 3, 1e-5)
    assert (train.batch, train.epochs, recipe.data.val) == (86, 30, 0.1)
    assert (augment.rotate, augment.zoom, augment.shift, augment.mirror) == (10, 0.1, 0.1, 0)


def test_the_described_keypoint_trainings_are_as_described() -> None:
    first, mlp, cnn = (load_recipe(f"seed-keypoints{kind}") for kind in ("", "-mlp", "-cnn"))
    assert (first.optim.name, first.optim.lr, first.train.batch) == ("adam", 1e-3, 20)
    assert (first.train.until, first.train.loss) == ("train_loss<=7", "mse")
    assert all(recipe.data.complete for recipe in (first, mlp, cnn))
    assert all((recipe.data.val, recipe.train.epochs) == (0.3, 100) for recipe in (mlp, cnn))
    assert all(recipe.train.loss == "mse-half" for recipe in (mlp, cnn))


def test_values_are_changed_by_dotted_key_and_read_as_toml() -> None:
    texts = ["optim.lr=0.003", "predict.mirror=true", "train.until=none", "optim.name = sgd", "model.widths=[8, 16]"]
    recipe = load_recipe("digits", parse_changes(texts))
    assert (recipe.optim.lr, recipe.optim.name, recipe.predict.mirror) == (0.003, "sgd", True)
    assert recipe.train.until is None
    assert recipe.model["widths"] == [8, 16]


def test_a_change_without_a_value_is_said() -> None:
    with pytest.raises(RecipeError, match=r"cannot read 'optim\.lr'; write it like"):
        parse_changes(["optim.lr"])


def test_a_file_holds_only_what_differs_from_its_base(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, 'base = "digits"\nabout = "mine"\n[optim]\nlr = 0.02\n')
    recipe, base = load_recipe(path), load_recipe("digits")
    assert (recipe.name, recipe.about, recipe.optim.lr) == ("my", "mine", 0.02)
    assert recipe.optim.weight_decay == base.optim.weight_decay
    assert recipe.model == base.model


def test_another_network_than_the_bases_does_not_inherit_its_options(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, 'base = "digits"\n[model]\nname = "seed-digits"\n')
    assert load_recipe(path).model == {"name": "seed-digits"}


@pytest.mark.parametrize(
    ("base", "changes", "expected"),
    [
        ("keypoints", {"optim.name": "adamw"}, (0.003, 0.9)),
        ("digits", {"optim.name": "muon"}, (0.01, 0.95)),
        ("digits", {"optim.name": "rmsprop"}, (0.001, 0.9)),
        ("digits", {"optim.name": "adamw"}, (0.01, 0.9)),
        ("keypoints", {"optim.lr": "0.002"}, (0.002, 0.95)),
        ("keypoints", {"optim.lr": "0.002", "optim.name": "adamw"}, (0.002, 0.9)),
        ("keypoints", {"optim": {"name": "adam", "lr": 0.004}}, (0.004, 0.9)),
        ("keypoints", {"optim": '{name = "adamw", lr = 0.002, momentum = 0.8}'}, (0.002, 0.8)),
    ],
)
def test_another_optimiser_does_not_inherit_the_rate(
    base: str, changes: dict[str, Any], expected: tuple[float, float]
) -> None:
    recipe = load_recipe(base, changes)
    assert (recipe.optim.lr, recipe.optim.momentum) == expected


def test_a_file_that_names_another_optimiser_than_its_base_does_not_inherit_the_rate(tmp_path: Path) -> None:
    for text, expected in (('name = "adamw"', (0.003, 0.9)), ('name = "adamw"\nlr = 0.002', (0.002, 0.9))):
        optim = load_recipe(recipe_file(tmp_path, f'base = "keypoints"\n[optim]\n{text}\n')).optim
        assert (optim.lr, optim.momentum) == expected


def test_a_rate_that_a_budget_has_for_another_optimiser_is_forgotten_too(tmp_path: Path) -> None:
    budget = '[[budgets]]\nbelow = 2\nchanges = { "optim.lr" = 0.02, "train.batch" = 8 }\n'
    path = recipe_file(tmp_path, f'base = "keypoints"\n{budget}')
    short, changed = (load_recipe(path, {"train.minutes": 1} | more) for more in ({}, {"optim.name": "adamw"}))
    assert (short.optim.lr, short.train.batch) == (0.02, 8)
    assert (changed.optim.lr, changed.train.batch) == (0.003, 8)


def test_a_copy_of_a_recipe_is_a_recipe(tmp_path: Path) -> None:
    copy = load_recipe(recipe_file(tmp_path, recipe_text("keypoints")))
    assert copy.model_copy(update={"name": "keypoints"}) == load_recipe("keypoints")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"optm.lr": "1"}, "digits: unknown key 'optm'; did you mean 'optim'?"),
        ({"optim.learning_rate": "1"}, "digits: unknown key 'optim.learning_rate'; "),
        ({"augment.rotat": "5"}, "digits: unknown key 'augment.rotat'; did you mean 'rotate'?"),
        ({"train.batch": "many"}, "digits: train.batch: expected a whole number, got 'many'"),
        ({"train.batch": "1.5"}, "digits: train.batch: expected a whole number, got 1.5"),
        ({"train.batch": "{a = 1}"}, "digits: train.batch: expected a whole number, got a table"),
        ({"train.epochs": "1e12"}, "digits: train.epochs: expected at most 100000, got 1000000000000.0"),
        ({"train.batch": "0"}, "digits: train.batch: expected at least 1, got 0"),
        ({"train.batch": "true"}, "digits: train.batch: true and false mean nothing here, got true"),
        ({"train.seed": "4294967296"}, "digits: train.seed: expected less than 4294967296, got 4294967296"),
        ({"train.epochs": "inf"}, "digits: train.epochs: expected a finite number, got inf"),
        ({"optim.lr": "fast"}, "digits: optim.lr: expected a number, got 'fast'"),
        ({"optim.lr": "-1"}, "digits: optim.lr: expected more than 0, got -1"),
        ({"optim.lr": str([1] * 99)}, "digits: optim.lr: expected a number, got [1, 1, 1, 1, 1, 1, ...]"),
        (
            {"optim.name": "adamx"},
            "digits: optim.name: expected 'muon', 'adamw', 'adam', 'sgd' or 'rmsprop', got 'adamx'",
        ),
        ({"augment.rotate": "181"}, "digits: augment.rotate: expected at most 180, got 181"),
        ({"predict.mirror": "often"}, "digits: predict.mirror: expected true or false, got 'often'"),
        ({"about": "3"}, "digits: about: expected a text, got 3"),
        ({"budgets": "{below = 2}"}, "digits: budgets: expected a list, got a table"),
        ({"data": "5"}, "digits: data: expected a table, got 5"),
        ({"data.channels": "2"}, "digits: data.channels: expected 1 or 3, got 2"),
        ({"train.batch.size": "2"}, "unknown key 'train.batch.size'; 'batch' is a value, not a part of the recipe"),
    ],
)
def test_a_wrong_key_or_value_is_one_line_that_says_where(changes: dict[str, str], line: str) -> None:
    with pytest.raises(RecipeError) as error:
        load_recipe("digits", changes)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 2


def test_an_unknown_recipe_suggests_the_nearest() -> None:
    with pytest.raises(RecipeError, match="unknown recipe 'digit'; did you mean 'digits'"):
        load_recipe("digit")


def test_a_recipe_file_that_is_absent_or_no_toml_or_has_no_task_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such recipe file"):
        load_recipe(tmp_path / "absent.toml")
    with pytest.raises(RecipeError, match="cannot be read as TOML"):
        load_recipe(recipe_file(tmp_path, "[optim\n"))
    with pytest.raises(RecipeError, match="cannot be read as TOML"):
        path = tmp_path / "bytes.toml"
        path.write_bytes(b"\xff\xfe\x00")
        load_recipe(path)
    with pytest.raises(RecipeError, match="task is missing"):
        load_recipe(recipe_file(tmp_path, 'about = "no task"\n'))
    with pytest.raises(RecipeError, match=r"\.toml: base: unknown recipe 'digts'; did you mean 'digits'"):
        load_recipe(recipe_file(tmp_path, 'base = "digts"\n'))


def test_a_part_that_is_no_table_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"model: expected a table, got 'convnet'$"):
        load_recipe(recipe_file(tmp_path, 'base = "digits"\nmodel = "convnet"\n'))


BUDGETS = """
base = "digits"

[[budgets]]
below = 2
changes = { "model.members" = 1, "train.batch" = 64 }

[[budgets]]
above = 15
changes = { "model.members" = 4 }
"""


@pytest.mark.parametrize(("minutes", "members", "batch"), [(1, 1, 64), (2, 2, 256), (15, 4, 256)])
def test_the_minutes_choose_among_the_budgets_of_a_recipe(
    tmp_path: Path, minutes: float, members: int, batch: int
) -> None:
    file = recipe_file(tmp_path, BUDGETS)
    recipe = load_recipe(file, {"train.minutes": minutes})
    assert (recipe.model["members"], recipe.train.batch) == (members, batch)
    assert load_recipe(recipe, {"train.seed": 1}).model == recipe.model
    assert load_recipe(file).model["members"] == 2


def test_what_a_user_sets_no_budget_changes(tmp_path: Path) -> None:
    file = recipe_file(tmp_path, BUDGETS)
    changed = load_recipe(load_recipe(file, {"model.members": "3"}), {"train.minutes": 1})
    assert (changed.model["members"], changed.train.batch) == (3, 64)


def test_no_budget_changes_a_part_that_a_user_sets_as_a_whole(tmp_path: Path) -> None:
    changes = {"model": {"name": "convnet", "members": 3}, "train.minutes": 1}
    assert load_recipe(recipe_file(tmp_path, BUDGETS), changes).model == changes["model"]


def test_a_budget_of_a_recipe_of_ours_leaves_alone_what_a_file_on_top_of_it_says(tmp_path: Path) -> None:
    ours = load_recipe("digits", {"train.minutes": 0.5})
    assert ours.model["members"] == 1
    file = recipe_file(tmp_path, 'base = "digits"\n[model]\nmembers = 3\n')
    assert load_recipe(file, {"train.minutes": 0.5}).model["members"] == 3


def test_a_budget_may_be_written_in_tables_as_the_rest_of_a_recipe(tmp_path: Path) -> None:
    tables = 'base = "digits"\n[[budgets]]\nbelow = 2\n[budgets.changes.train]\nbatch = 64\nseed = 5\n'
    file, plain = recipe_file(tmp_path, tables), load_recipe("digits", {"train.minutes": 1})
    recipe = load_recipe(file, {"train.minutes": 1, "train.seed": 7})
    assert (recipe.train.batch, recipe.train.seed, recipe.train.minutes) == (64, 7, 1)
    assert recipe.train.average == plain.train.average


def test_a_file_that_begins_with_a_mark_as_some_editors_write_it_is_read(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, '\ufeffbase = "digits"\n')
    assert load_recipe(path).model == load_recipe("digits").model


def test_a_budget_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"unknown key 'budgets\.1\.bellow'; did you mean 'below'"):
        load_recipe(recipe_file(tmp_path, BUDGETS.replace("below", "bellow")))
    with pytest.raises(RecipeError, match=r"unknown key 'budgets\.1\.change'; did you mean 'changes'"):
        load_recipe(recipe_file(tmp_path, BUDGETS.replace("changes", "change")))
    with pytest.raises(RecipeError, match=r"changes of budget 1: unknown key 'train\.bach'"):
        load_recipe(recipe_file(tmp_path, BUDGETS.replace("train.batch", "train.bach")))
    with pytest.raises(RecipeError, match=r"budgets\.1: the minutes decide which budget holds, so none changes them$"):
        load_recipe(recipe_file(tmp_path, BUDGETS.replace('"train.batch" = 64', '"train.minutes" = 9')))
    with pytest.raises(RecipeError, match=r"budgets\.1: no minutes are below 2 and above 3$"):
        load_recipe(recipe_file(tmp_path, BUDGETS.replace("below = 2", "below = 2\nabove = 3")))


def test_budgets_for_the_same_minutes_that_contradict_each_other_are_said(tmp_path: Path) -> None:
    both = BUDGETS.replace("above = 15", "above = 1")
    with pytest.raises(RecipeError) as error:
        load_recipe(file := recipe_file(tmp_path, both))
    assert str(error.value) == (
        f"{file}: model.members is 1 in budget 1 and 4 in budget 2, which are for the same minutes; "
        "part them with above and below"
    )
    whole = both.replace('"model.members" = 4', 'model = {name = "mlp", widths = [8]}')
    with pytest.raises(RecipeError, match="members is in budget 1 and model in budget 2, which are for the same"):
        load_recipe(recipe_file(tmp_path, whole))
    file = recipe_file(tmp_path, both)
    assert load_recipe(file, {"model.members": 3, "train.minutes": 1.5}).model["members"] == 3
    assert load_recipe(recipe_file(tmp_path, BUDGETS.replace("above = 15", "above = 2")))
    assert load_recipe(recipe_file(tmp_path, both.replace('members" = 4', 'members" = 1')))


def test_the_recipe_on_the_page_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "recipes.md").read_text(encoding="utf-8")
    recipe = load_recipe(recipe_file(tmp_path, page.partition("```toml\n")[2].partition("```")[0]))
    assert (recipe.task, recipe.data.channels, recipe.model["merged"]) == ("keypoints", 3, 64)


def documented(part: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, field in part.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from documented(kind, f"{key}.")
        elif key not in ("name", "model") or prefix:
            assert field.description, f"{prefix}{key} has no docstring"
            yield prefix + key, " ".join(field.description.split())


def test_the_recipes_page_lists_every_key_with_its_meaning() -> None:
    page = (Path(__file__).parents[1] / "docs" / "recipes.md").read_text(encoding="utf-8")
    missing = [key for key, meaning in documented(Recipe) if f"| `{key}` | {meaning} |" not in page]
    assert not missing
