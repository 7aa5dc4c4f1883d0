"""What Keras's and KerasCV's layers draw their numbers from: these tests fail where they begin to draw elsewhere."""

import threading
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.backend.common import global_state

from keras_resnet.compat.preprocessing_layers import SOURCES, function_of_seed
from keras_resnet.errors import UsageError

SHAPE = (6, 12, 10, 3)
# Ramps, which every change of place or colour changes; all images alike, so that what differs was drawn.
IMAGES = tf.constant(np.tile(np.linspace(0, 255, 12 * 10 * 3, dtype=np.float32).reshape(1, 12, 10, 3), (6, 1, 1, 1)))

KERAS: dict[str, dict[str, Any]] = {
    "RandomRotation": {"factor": 0.2},
    "RandomTranslation": {"height_factor": 0.3, "width_factor": 0.3},
    "RandomColorJitter": {"brightness_factor": 0.5, "hue_factor": 0.5},  # layers within the layer
    "RandomErasing": {"factor": 1.0},
    "RandomGrayscale": {"factor": 0.5},  # a generator of the backend's
    "GaussianNoise": {"stddev": 1.0},  # not made for tf.data
}
KERAS_CV: dict[str, dict[str, Any]] = {
    "RandomRotation": {"factor": 0.2},  # from a tf.random.Generator
    "RandomBrightness": {"factor": 0.5, "value_range": (0, 255)},  # from tf.random.uniform
    "GridMask": {},  # in tf.map_fn, image by image
    "RandomChannelShift": {"value_range": (0, 255), "factor": 0.5},  # in tf.vectorized_map
    "RandAugment": {"value_range": (0, 255), "augmentations_per_image": 1},  # in branches, and by AutoGraph
}


class Custom(keras.layers.Layer):
    """Does to images what the function says; a variable counts."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function
        self.generator = keras.random.SeedGenerator(1)
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, images: tf.Tensor) -> tf.Tensor:
        return self.function(self, images)


def assert_a_function_of_the_seed(layer: keras.Layer) -> None:
    changed = function_of_seed(layer, SHAPE)
    first, again, other = (np.asarray(changed(IMAGES, tf.constant(seed))) for seed in (-5, -5, 6))

    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert len({image.tobytes() for image in first}) > 1, "every image has numbers of its own"


@pytest.mark.parametrize("name", KERAS)
def test_a_layer_of_keras_draws_from_the_seed_alone(name: str) -> None:
    layer = getattr(keras.layers, name)(**KERAS[name])
    before = [variable.numpy() for variable in layer.variables]

    assert_a_function_of_the_seed(layer)
    np.testing.assert_equal([variable.numpy() for variable in layer.variables], before)


@pytest.mark.parametrize("name", KERAS_CV)
def test_a_layer_of_keras_cv_draws_from_the_seed_alone(name: str) -> None:
    keras_cv = pytest.importorskip("keras_cv")

    assert_a_function_of_the_seed(getattr(keras_cv.layers, name)(**KERAS_CV[name]))


@pytest.mark.parametrize("seed", [None, 1])
def test_a_layer_of_ones_own_draws_by_keras_random(seed: int | None) -> None:
    def noisy(layer: Custom, images: tf.Tensor) -> tf.Tensor:
        noise = [keras.random.normal(SHAPE, seed=seed and layer.generator) for _ in range(2)]
        return tf.where(noise[0] == noise[1], 0.0, images + noise[0])  # two draws of one call differ

    layer = Custom(noisy)

    assert_a_function_of_the_seed(layer)
    assert (function_of_seed(layer, SHAPE)(IMAGES, tf.constant(1)) != 0).numpy().mean() > 0.99


def test_a_draw_within_a_loop_is_refused_which_would_be_the_same_in_every_turn() -> None:
    def looping(layer: Custom, images: tf.Tensor) -> tf.Tensor:
        def body(number: tf.Tensor, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return number + 1, images + keras.random.uniform((), seed=layer.generator)

        return tf.while_loop(lambda number, _: number < 3, body, (0, images))[1]

    with pytest.raises(UsageError, match="it draws random numbers in a loop"):
        function_of_seed(Custom(looping), SHAPE)


@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (lambda layer, images: tf.random.shuffle(images), "RandomShuffle"),
        (lambda layer, images: tf.image.random_brightness(images, 0.5), "RandomUniform"),
        (lambda layer, images: images + layer.count.value.assign_add(1.0), "AssignAddVariableOp"),
        (lambda layer, images: tf.numpy_function(np.flip, [images], tf.float32), "PyFunc"),
    ],
)
def test_any_other_state_is_refused_by_the_operation_that_has_it(function: Any, operation: str) -> None:
    with pytest.raises(UsageError, match=f"it uses '{operation}', whose results depend on the calls before"):
        function_of_seed(Custom(function), SHAPE)


@pytest.mark.parametrize("chain_depth", [1, 3])
def test_kerass_augmix_is_refused_which_chooses_its_operations_once_for_all_batches(chain_depth: int) -> None:
    with pytest.raises(UsageError, match="it draws from Python's random when it is traced, so that all batches"):
        function_of_seed(keras.layers.AugMix(chain_depth=chain_depth), SHAPE)


def test_a_draw_by_numpy_is_refused_which_would_be_the_same_for_all_batches() -> None:
    with pytest.raises(UsageError, match="it draws from numpy.random when it is traced"):
        function_of_seed(Custom(lambda layer, images: images + np.random.uniform()), SHAPE)


def test_keras_seeding_its_global_generator_is_not_taken_for_a_draw_of_the_layers() -> None:
    global_state.set_global_attribute("global_seed_generator", None)

    function_of_seed(Custom(lambda layer, images: images + keras.random.normal(SHAPE)), SHAPE)


def test_a_layer_that_fails_is_refused_in_its_own_words() -> None:
    def failing(layer: Custom, images: tf.Tensor) -> tf.Tensor:
        raise ValueError("I want masks")

    with pytest.raises(UsageError, match=r"^I want masks$"):
        function_of_seed(Custom(failing), SHAPE)


def test_all_else_draws_as_ever_while_a_layer_is_traced_and_after() -> None:
    drawn = []

    def meanwhile(layer: Custom, images: tf.Tensor) -> tf.Tensor:
        other = threading.Thread(target=lambda: drawn.append(tf.random.uniform((3,)).numpy()))
        other.start()
        other.join()
        return images

    before = [getattr(owner, name) for owner, name, _ in SOURCES]
    function_of_seed(Custom(meanwhile), SHAPE)

    assert drawn[0].shape == (3,)
    assert [getattr(owner, name) for owner, name, _ in SOURCES] == before
