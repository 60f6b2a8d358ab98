import pytest

from viewfinder.errors import RecipeError
from viewfinder.training.goals import Goal


def test_a_goal_holds_when_its_comparison_does() -> None:
    goal = Goal.parse("rmse <= 1.7", ["rmse"])
    assert goal.reached({"rmse": 1.7})
    assert not goal.reached({"rmse": 1.71})
    assert not goal.reached({})


@pytest.mark.parametrize("text", ["rmse", "rmse=1", "rmse<=", "rmse<=x", "<=1", "rmse<=1 px"])
def test_a_goal_that_cannot_be_read_is_named_with_an_example(text: str) -> None:
    with pytest.raises(RecipeError, match="write it like"):
        Goal.parse(text, ["rmse"])


def test_an_unknown_metric_gets_the_nearest_known_one() -> None:
    with pytest.raises(RecipeError, match="did you mean 'accuracy'"):
        Goal.parse("acuracy>=0.9", ["accuracy", "train_loss"])
