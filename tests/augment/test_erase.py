import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.augment.erase import Cutout, RandomErasing
from keras_resnet.augment.randomness import SampleRandom
from keras_resnet.errors import UsageError


def random(count: int, seed: int = 5) -> SampleRandom:
    return SampleRandom(seed, tf.constant(0), tf.range(count))


def boxes(changed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Heights and widths of what changed, after asserting that it is a full rectangle."""
    rows, columns = changed.any(axis=2), changed.any(axis=1)
    np.testing.assert_array_equal(changed, rows[:, :, None] & columns[:, None, :])
    return rows.sum(axis=1), columns.sum(axis=1)


def test_a_share_of_the_images_loses_a_rectangle_of_the_asked_size_and_shape() -> None:
    images = np.full((4000, 40, 50, 1), -1.0, np.float32)

    found = RandomErasing(0.25, (0.05, 0.2), (0.5, 2.0))(tf.constant(images), random(4000)).numpy()

    changed = (found != -1)[..., 0]
    erased = changed.any(axis=(1, 2))
    assert erased.mean() == pytest.approx(0.25, abs=0.02)
    heights, widths = boxes(changed[erased])
    areas = heights * widths / 2000
    assert areas.min() > 0.045
    assert areas.max() < 0.21
    assert areas.mean() == pytest.approx(0.125, abs=0.01)
    assert (heights / widths).min() > 0.4
    assert (heights / widths).max() < 2.4
    assert changed.any(axis=0).mean() > 0.99, "any pixel may be hidden"


def test_what_is_erased_is_noise_of_each_images_own() -> None:
    found = RandomErasing(1.0, (0.5, 0.5), (1, 1))(tf.zeros([400, 32, 32, 3], tf.uint8), random(400)).numpy()

    noise = found[found.any(axis=-1)]
    assert noise.mean() == pytest.approx(127.5, abs=1)
    assert noise.std() == pytest.approx(73.9, abs=1)
    middle = found[:, 16, 16].astype(float)
    assert abs(np.corrcoef(middle[:, 0], middle[:, 1])[0, 1]) < 0.15


def test_cutout_hides_a_square_around_a_uniform_point_that_may_reach_outside() -> None:
    images = np.zeros((4000, 32, 32, 1), np.float32)
    images[:, ::2] = 200.0

    found = Cutout(0.5)(tf.constant(images), random(4000)).numpy()

    hidden = (found == 100)[..., 0]
    heights, widths = boxes(hidden)
    assert heights.max() == widths.max() == 16
    assert heights.min() == 8, "half of it outside"
    assert hidden.mean() == pytest.approx((0.5 * (1 - 0.5 / 4)) ** 2, abs=0.01)


@pytest.mark.parametrize("make", [lambda: RandomErasing(2), lambda: RandomErasing(1, (0.5, 0.1)), lambda: Cutout(0)])
def test_what_cannot_be_is_refused(make: object) -> None:
    with pytest.raises(UsageError, match="received"):
        make()  # type: ignore[operator]
