"""One model, and two in a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.live.clips import SIDE, TOP, frame, left_of
from tests.live.models import write_bright
from viewfinder.data.answers import Answer, Label, Points
from viewfinder.data.samples import faces
from viewfinder.deploy.predictor import Predictor, load
from viewfinder.errors import InputError
from viewfinder.live import Chain, Scene
from viewfinder.live.chain import cut_out


def rgb(number: int) -> np.ndarray:
    return np.ascontiguousarray(frame(number)[..., ::-1])


def test_points_come_back_in_the_pixels_of_the_frame(bright: Predictor, points: Predictor) -> None:
    scene = Chain(bright, points)(rgb(10), 0.0)
    assert isinstance(scene, Scene)
    (face,) = scene.faces
    assert face.points is not None
    pixels, corner = cut_out(rgb(10), face.box)
    expected = faces(1).targets.array()[0] * (pixels.shape[0] / 96) + corner
    np.testing.assert_allclose(face.points.xy, expected, atol=0.01)
    x, y = face.points["nose_tip"]
    assert left_of(10) < x < left_of(10) + SIDE and TOP < y < TOP + SIDE


def test_what_is_cut_out_is_square_about_the_box_and_repeats_the_edge_of_the_frame() -> None:
    image = rgb(0)
    pixels, corner = cut_out(image, np.array([100, 60, 180, 160], dtype=np.float32))
    side = pixels.shape[0]
    assert pixels.shape == (side, side, 3) and side == pytest.approx(0.9 * 8000**0.5, abs=1)
    x, y = corner.astype(int)
    np.testing.assert_array_equal(pixels, image[y : y + side, x : x + side])
    over, corner = cut_out(image, np.array([-40, -40, 40, 40], dtype=np.float32))
    assert corner[0] < 0 and (over == 40).all()


@pytest.mark.parametrize("box", [[0, 0, 0, 0], [-1e6, -1e6, 1e6, 1e6], [319, 239, 320, 240]])
def test_a_strange_box_is_cut_out_all_the_same(box: list[float]) -> None:
    pixels, _ = cut_out(rgb(0), np.array(box, dtype=np.float32))
    assert 1 <= pixels.shape[0] <= 640


def test_several_boxes_have_points_each(bright: Predictor, points: Predictor) -> None:
    chain = Chain(bright, points)
    scene = chain(rgb(0), 0.0)
    assert isinstance(scene, Scene)
    ((name, score),) = scene.things()
    assert name == "light #1" and score.endswith(" %")
    record = scene.as_dict()["boxes"][0]
    assert record["identity"] == 1 and record["class"] == "light" and record["score"] > 0.9
    assert len(record["points"]) == 15 and len(record["points"]["nose_tip"]) == 2


class Trembling(Predictor):
    """A real predictor whose points are noisy."""

    noise = np.random.default_rng(5)

    def batch(self, images: Any) -> list[Answer]:
        answers = super().batch(images)
        return [Points(one.xy + self.noise.normal(0, 2, (15, 2)).astype(np.float32), one.names) for one in answers]


def test_points_tremble_less_and_move_with_their_box(made: Path, bright: Predictor, points: Predictor) -> None:
    steady, trembling = Chain(load(made / "bright.onnx"), points), Chain(bright, Trembling(made / "points.onnx"))
    errors = []
    for number in range(40):
        one, other = (chain(rgb(number), number / 20) for chain in (steady, trembling))
        assert isinstance(one, Scene) and isinstance(other, Scene)
        errors.append(other.points[0].xy - one.points[0].xy)
    assert np.std(errors[5:]) < 0.75 * 2
    assert np.abs(np.mean(errors[5:], axis=0)).max() < 1


def test_no_box_has_no_points(bright: Predictor, points: Predictor) -> None:
    scene = Chain(bright, points)(np.zeros((48, 64, 3), np.uint8), 0.0)
    assert scene.as_dict() == {"boxes": []} and scene.text() == "nothing"


def test_the_threshold_is_that_of_the_model_or_what_was_asked_for(tmp_path: Path) -> None:
    model = write_bright(tmp_path / "a.onnx", threshold=0.97)
    image = np.zeros((64, 64, 3), np.uint8)
    image[20:40, 20:40] = 230  # a score of 0.9
    assert Chain(load(model))(image, 0.0).as_dict() == {"boxes": []}
    assert len(Chain(load(model), threshold=0.85)(image, 0.0).as_dict()["boxes"]) == 1


def test_the_model_given_stays_as_it_is(made: Path, bright: Predictor) -> None:
    for _ in range(2):
        assert Chain(bright).tracker.threshold == bright.threshold == 0.5


def test_answers_without_boxes_stay_as_they_are(made: Path) -> None:
    answer = Chain(load(made / "label.onnx"))(rgb(0), 0.0)
    assert isinstance(answer, Label) and answer.label == "dark"


def test_models_that_do_not_fit_together_are_one_line(made: Path, bright: Predictor, points: Predictor) -> None:
    with pytest.raises(InputError, match=r"points\.onnx: answers points; --points needs a model of boxes first"):
        Chain(points, points)
    with pytest.raises(InputError, match=r"bright\.onnx: answers boxes; --points needs a model of points"):
        Chain(bright, bright)
