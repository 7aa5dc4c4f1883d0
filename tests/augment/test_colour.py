import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.augment import tone
from keras_resnet.augment.colour import ColourJitter, Greyscale
from keras_resnet.augment.randomness import SampleRandom
from keras_resnet.errors import UsageError
from tests.augment.reference import pillow


def images(count: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, 6, 7, 3)).astype(np.uint8)


def random(count: int) -> SampleRandom:
    return SampleRandom(9, tf.constant(2), tf.range(count))


def test_jitter_does_its_operations_in_an_order_of_each_images_own() -> None:
    pictures, numbers = images(60), random(60)
    found = ColourJitter(0.4, 0.3, 0.2)(tf.constant(pictures), numbers).numpy()

    scope = numbers.within("jitter")
    names = ("brightness", "contrast", "saturation")
    factors = {n: scope.uniform(n, 1 - s, 1 + s).numpy() for n, s in zip(names, (0.4, 0.3, 0.2), strict=True)}
    orders = scope.permutation("order", 3).numpy()
    assert len({tuple(order) for order in orders.tolist()}) == 6
    for index in range(60):
        expected = pictures[index]
        for place in orders[index]:
            expected = pillow(names[place], expected, float(factors[names[place]][index]))
        np.testing.assert_array_equal(found[index], expected)


def test_factors_are_uniform_in_their_range() -> None:
    white = tf.fill([4000, 1, 1, 1], 100.0)

    found = ColourJitter(0.5, 0, 0)(white, random(4000)).numpy().ravel() / 100

    assert found.min() == pytest.approx(0.5, abs=0.01)
    assert found.max() == pytest.approx(1.5, abs=0.01)
    assert np.histogram(found, 5, (0.5, 1.5))[0].min() > 680


def test_no_strength_is_no_change() -> None:
    np.testing.assert_array_equal(ColourJitter(0, 0, 0)(tf.constant(images(9)), random(9)), images(9))


def test_a_share_of_the_images_loses_its_colours() -> None:
    pictures = images(3000)

    found = Greyscale(0.2)(tf.constant(pictures), random(3000)).numpy()

    lost = (found != pictures).any(axis=(1, 2, 3))
    assert lost.mean() == pytest.approx(0.2, abs=0.025)
    expected = np.repeat(tone.grey(tf.constant(pictures[lost])).numpy(), 3, axis=-1)
    np.testing.assert_array_equal(found[lost], expected)


@pytest.mark.parametrize(
    "wrong", [{"contrast": float("nan")}, {"brightness": -0.1}, {"hue": 0.6}, {"hue": float("nan")}]
)
def test_strengths_that_are_none_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="must be a number of at least 0"):
        ColourJitter(**wrong)
