import pytest

from viewfinder.errors import RecipeError
from viewfinder.tasks.base import Metric
from viewfinder.training.goals import Goal

RMSE, ACCURACY = Metric("rmse", higher_is_better=False, unit="px"), Metric("accuracy", higher_is_better=True, unit="%")


def test_a_goal_holds_when_its_comparison_does() -> None:
    goal = Goal.parse("rmse <= 1.7", [RMSE], "my")
    assert goal.reached({"rmse": 1.7})
    assert not goal.reached({"rmse": 1.71})
    assert not goal.reached({})


@pytest.mark.parametrize("text", ["rmse", "rmse=1", "rmse<=", "rmse<=x", "<=1", "rmse<=1 px"])
def test_a_goal_that_cannot_be_read_is_named_with_its_recipe_and_an_example(text: str) -> None:
    with pytest.raises(RecipeError, match=r'^my: train\.until: cannot read .*; write it like "rmse<=1\.7"$'):
        Goal.parse(text, [RMSE], "my")


def test_an_unknown_metric_gets_the_nearest_known_one() -> None:
    with pytest.raises(RecipeError, match=r"^my: train\.until: unknown metric 'acuracy'; did you mean 'accuracy'"):
        Goal.parse("acuracy>=0.9", [ACCURACY], "my")


@pytest.mark.parametrize("text", ["accuracy>2", "accuracy>1", "accuracy>=99.5", "rmse<0", "rmse<=-1"])
def test_a_goal_that_no_model_can_reach_is_refused(text: str) -> None:
    goal = Goal.parse(text, [RMSE, ACCURACY], "my")
    with pytest.raises(
        RecipeError, match=rf"^my: train\.until: {text} is never reached, since \w+ is at (most 1|least 0);"
    ):
        goal.check([RMSE, ACCURACY], "my")


@pytest.mark.parametrize("text", ["accuracy>=1", "accuracy<2", "rmse<=0", "rmse>2", "train_loss<-3"])
def test_a_goal_at_the_best_value_or_the_other_way_or_of_a_loss_is_one(text: str) -> None:
    Goal.parse(text, [RMSE, ACCURACY], "my").check([RMSE, ACCURACY], "my")
