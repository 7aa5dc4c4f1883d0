from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.augment.keras_layers import described
from keras_resnet.augment.policies import Policy, policy
from keras_resnet.augment.randomness import SampleRandom
from keras_resnet.data.batches import training_batches
from keras_resnet.data.images import Split
from keras_resnet.data.stores import ArrayImages
from keras_resnet.errors import UsageError
from tests.tasks.classes import classes

SIDE = 10


class Adds(keras.layers.Layer):
    """Gives floats, beyond the scale too."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = number

    def call(self, images: tf.Tensor) -> tf.Tensor:
        assert images.dtype == tf.float32
        return images + self.number


def layers(kind: str) -> list[keras.Layer]:
    if kind == "keras":
        return [keras.layers.RandomRotation(0.1), keras.layers.RandomContrast(0.5)]
    keras_cv = pytest.importorskip("keras_cv")
    return [keras_cv.layers.RandomRotation(0.1), keras_cv.layers.GridMask()]


def random(epoch: int = 1, count: int = 8) -> SampleRandom:
    return SampleRandom(4, tf.constant(epoch), tf.range(count), tf.constant(0))


def alike(count: int = 8) -> tf.Tensor:
    image = np.linspace(0, 255, SIDE * SIDE * 3).astype(np.uint8).reshape(1, SIDE, SIDE, 3)
    return tf.constant(np.tile(image, (count, 1, 1, 1)))


def augmented(chosen: Policy, epoch: int = 1) -> np.ndarray:
    images, _ = chosen(alike(), tf.one_hot(tf.zeros(8, tf.int32), 2), random(epoch))
    assert images.dtype == tf.uint8
    return np.asarray(images)


def batches(chosen: Policy, **options: Any) -> list[np.ndarray]:
    images = np.random.default_rng(0).integers(0, 256, (24, SIDE, SIDE, 3)).astype(np.uint8)
    split = Split(ArrayImages(images), np.arange(24), np.arange(24) % 2, classes(2))
    return [images.numpy() for images, _ in training_batches(split, 8, chosen, seed=3, **options)]


@pytest.mark.parametrize("kind", ["keras", pytest.param("keras_cv", marks=pytest.mark.slow)])
def test_batches_from_an_epoch_or_step_on_do_not_depend_on_those_before(kind: str) -> None:
    whole = batches(policy("none", layers=layers(kind)), epochs=3)
    other = policy("none", layers=layers(kind))  # as in another process

    np.testing.assert_array_equal(batches(other, first_epoch=1, epochs=3), whole[3:])
    np.testing.assert_array_equal(batches(other, first_epoch=2, epochs=3, first_step=1), whole[7:])


@pytest.mark.parametrize("kind", ["keras", "keras_cv"])
def test_images_and_epochs_differ(kind: str) -> None:
    chosen = policy("none", layers=layers(kind)[:1])
    first, second = augmented(chosen, epoch=1), augmented(chosen, epoch=2)

    assert len({image.tobytes() for image in np.concatenate([first, second])}) == 16
    np.testing.assert_array_equal(augmented(chosen, epoch=1), first)


def test_workers_draw_numbers_of_their_own() -> None:
    chosen = policy("none", layers=[keras.layers.RandomBrightness(0.5)])
    still = Split(
        ArrayImages(np.full((24, SIDE, SIDE, 3), 128, np.uint8)), np.arange(24), np.arange(24) % 2, classes(2)
    )
    shares = [next(iter(training_batches(still, 8, chosen, seed=3, worker=(one, 2))))[0] for one in (0, 1)]

    assert not np.array_equal(*shares)


def test_one_layer_at_two_places_draws_two_numbers() -> None:
    layer = keras.layers.RandomBrightness((0.0, 0.4))
    once, twice = (augmented(Policy((layer,) * times)).astype(int) for times in (1, 2))

    added, again = (once - alike()).numpy().max(axis=(1, 2, 3)), (twice - once).max(axis=(1, 2, 3))
    assert (np.abs(added - again) > 3).any()


def test_floats_are_rounded_and_clipped_to_the_scale() -> None:
    np.testing.assert_array_equal(augmented(Policy((Adds(0.6),))), np.minimum(alike().numpy().astype(int) + 1, 255))
    np.testing.assert_array_equal(augmented(Policy((Adds(-300.0),))), 0)


def test_layers_come_after_the_other_steps_and_before_the_mixing() -> None:
    chosen = policy("none", erasing=1.0, mixup=0.2, layers=[Adds(300.0)])

    assert [type(step).__name__ for step in chosen.steps] == ["RandomErasing", "LayerStep"]
    assert (augmented(chosen) == 255).all()


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: keras.layers.MixUp(), "MixUp would mix images without their labels: use mixup and cutmix"),
        (lambda: keras.layers.Rescaling(1 / 255), r"must keep images on the 0–255 scale .* received Rescaling"),
        (lambda: keras.layers.RandomContrast(0.5, value_range=(0, 1)), r"value_range=\(0, 255\); received \(0, 1\)"),
        (lambda: keras.Sequential([keras.layers.RandomFlip()]), "received the model Sequential: give its layers"),
        (lambda: "flip", "layers must be Keras layers; received 'flip'"),
    ],
)
def test_what_is_known_not_to_fit_is_refused_at_once(layer: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        policy("none", layers=[layer()])


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: keras.layers.CenterCrop(4, 4), r"CenterCrop changes the shape of images: it makes \(8, 4, 4, 3\)"),
        (lambda: keras.layers.Embedding(3, 2), r"Embedding (changes the shape|cannot be a step)"),
    ],
)
def test_what_changes_the_shape_is_refused_before_any_batch(layer: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        batches(policy("none", layers=[layer()]))


def test_what_is_recorded_of_layers_differs_where_their_images_would() -> None:
    first, again = (described([keras.layers.RandomRotation(0.1, seed=seed), Named(2)]) for seed in (1, 2))
    other = described([keras.layers.RandomRotation(0.2), Named(2)])

    assert first == again, "names, which Keras numbers, and seeds change nothing"
    assert first["1"]["config"].pop("factor") == [-0.1, 0.1]
    assert other["1"]["config"].pop("factor") == [-0.2, 0.2]
    assert first == other
    assert first["2"]["class_name"] == "Named"
    assert first["2"]["config"]["times"] == 2
    assert first["2"]["config"]["dtype"]["config"] == {"name": "float32"}


def test_a_layer_that_does_not_say_how_it_is_configured_is_refused() -> None:
    with pytest.raises(UsageError, match="the layer Adds cannot be recorded in the run: its get_config must"):
        described([Adds(np.float32(1.0))])


class Named(keras.layers.Layer):
    def __init__(self, times: int, **options: Any) -> None:
        super().__init__(**options)
        self.times = times

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "times": self.times}


def test_a_policy_stays_as_it_is_where_layers_are_added() -> None:
    chosen = policy("flip")

    assert len(chosen.then([Adds(1.0)]).steps) == 2
    assert len(chosen.steps) == 1
    assert replace(chosen, steps=()).then([]) == Policy()
