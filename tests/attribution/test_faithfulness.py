"""Deletion and insertion tell maps that are true from maps that are not."""

import numpy as np
import pytest

from keras_resnet.attribution.faithfulness import Faithfulness, faithfulness
from keras_resnet.inference.predictor import BatchPredictor, Predictor
from keras_resnet.preprocessing import Fit, Preprocessing

SIDE = 28
CORNER = np.zeros((SIDE, SIDE), bool)
CORNER[:7, :7] = True
GREY = np.zeros(1)


class Brightness(BatchPredictor):
    """The logit of one class is by how much a corner is bright; that of the other is 0."""

    def __init__(self, slope: float = 40, offset: float = -20) -> None:
        super().__init__("brightness", Preprocessing(Fit((SIDE, SIDE), 1), (0.0,), (1.0,), ("dark", "bright")), None)
        self.slope, self.offset = slope, offset

    def _run(self, batch: np.ndarray) -> np.ndarray:
        bright = batch[:, CORNER].mean(axis=(1, 2)) / 255
        return np.stack([np.zeros(len(batch)), self.slope * bright + self.offset], axis=1)


def image() -> np.ndarray:
    """Bright in the corner and in the opposite one, dark in between."""
    return np.where(CORNER | CORNER[::-1, ::-1], 255, 0)[..., None].astype(np.uint8)


def judged(values: np.ndarray, predictor: Predictor | None = None) -> Faithfulness:
    return faithfulness(predictor or Brightness(), image(), 1, values.astype(np.float32), GREY)


def test_the_map_of_what_counts_is_faithful_and_that_of_what_does_not_is_not() -> None:
    true, false = judged(CORNER), judged(CORNER[::-1, ::-1])

    assert true.verdict == "faithful"
    assert false.verdict == "not faithful"
    assert abs(false.gain) < 0.05
    assert true.gain > 0.5
    assert true.deletion_area < false.deletion_area
    assert true.insertion_area > false.insertion_area
    assert "erasing what it marks first leaves 5% on average, elsewhere" in true.text


def test_the_curves_are_the_probabilities_of_what_is_left() -> None:
    found = judged(CORNER)

    # The corner is a sixteenth of the image: a tenth of it, the first step, erases and shows all of it.
    np.testing.assert_allclose(found.deletion, [1, *[0] * 10], atol=1e-6)
    np.testing.assert_allclose(found.insertion[1:], 1, atol=1e-6)
    assert found.deletion_area == pytest.approx(0.05)
    assert found.deletion_elsewhere.shape == found.insertion_elsewhere.shape == (3, 11)
    assert found.insertion[0] == found.insertion_elsewhere[0, 0] < found.probability, (
        "both begin with the blurred image"
    )


def test_a_map_that_is_the_same_everywhere_is_no_better_than_elsewhere() -> None:
    assert judged(np.ones((SIDE, SIDE))).gain == pytest.approx(0)


def test_where_the_class_has_no_probability_or_keeps_it_whatever_is_erased_nothing_can_be_told() -> None:
    unlikely, stubborn = Brightness(0, -5), Brightness(0, 5)

    assert judged(CORNER, unlikely).text == ("cannot tell: the model gives the class 0.7%, which leaves little to lose")
    assert judged(CORNER, stubborn).text == "cannot tell: the model stays near 99%, whatever is erased"


def test_what_a_map_does_not_tell_apart_is_ordered_by_the_seed() -> None:
    values = np.zeros((SIDE, SIDE))
    curves = [faithfulness(Brightness(4, -2), image(), 1, values, GREY, seed).deletion for seed in (0, 0, 1)]

    np.testing.assert_array_equal(curves[0], curves[1])
    assert not np.array_equal(curves[0], curves[2])
