"""Validation, prediction and the exported file give one answer for one image, whatever the recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.recipes import RECIPES
from viewfinder.data.answers import Answer
from viewfinder.deploy.predictor import load
from viewfinder.evaluate.evaluation import answer_all
from viewfinder.training.run import Run


def rows_in_order(answer: Answer) -> list[dict[str, Any]]:
    """Return an answer's rows without the faintest boxes, by place: where scores are nearly equal, order is chance."""
    return sorted(answer.above(0.02).as_rows(), key=lambda row: [value for key, value in row.items() if key != "score"])


@pytest.mark.parametrize("recipe", RECIPES)
def test_evaluation_and_prediction_agree(
    recipe: str, untrained: Callable[[str], Run], model_file: Callable[[str], Path]
) -> None:
    run = untrained(recipe)
    val = run.part("val").select(range(8))
    evaluated = answer_all(run.task, run.network(), val, run.recipe)
    predictor = load(model_file(recipe))
    predictor.threshold = 0  # evaluation has all answers, however faint
    predicted = predictor.batch([val.images[row] for row in range(len(val))])
    assert [type(answer) for answer in predicted] == [type(answer) for answer in evaluated]
    for one, other in zip(predicted, evaluated, strict=True):
        ours_in_order, theirs_in_order = rows_in_order(one), rows_in_order(other)
        assert len(ours_in_order) == len(theirs_in_order) > 0
        for ours, theirs in zip(ours_in_order, theirs_in_order, strict=True):
            assert ours.keys() == theirs.keys()
            numbers = [key for key in ours if not isinstance(ours[key], str)]
            scale = max(1.0, *(abs(theirs[key]) for key in numbers))
            np.testing.assert_allclose(
                [ours[key] for key in numbers], [theirs[key] for key in numbers], rtol=0, atol=1e-4 * scale
            )


@pytest.mark.parametrize("recipe", ["digits", "keypoints"])
def test_an_image_of_another_size_is_fitted_alike(
    recipe: str, untrained: Callable[[str], Run], model_file: Callable[[str], Path]
) -> None:
    """Doubled pixels average to the image itself, so that the answer is the same, in doubled coordinates."""
    run = untrained(recipe)
    image = run.part("val").images[0]
    twice = np.repeat(np.repeat(image, 2, axis=0), 2, axis=1)
    model = load(model_file(recipe))
    (small,), (large,) = model(image).scaled(2).as_rows(), model(twice).as_rows()
    for key in small:
        assert small[key] == large[key] if isinstance(small[key], str) else abs(small[key] - large[key]) < 1e-3
