"""What callbacks see between batches, and that they let no one wait for the device."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_resnet
from keras_resnet.callbacks.between_batches import BetweenBatches, mean_since, running_sums
from keras_resnet.data.images import ImageData
from tests.callbacks.test_exact_checkpoint import batches, network


class Told(BetweenBatches):
    """Notes what it is told, and the sums of the metrics then."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[int, int]] = []
        self.sums: list[dict[str, tuple[float, float]]] = []

    def between_batches(self, before: int, done: int) -> None:
        self.told.append((before, done))
        self.sums.append(running_sums(self.model))


@pytest.mark.parametrize("name", ["ExactCheckpoint", "MovingAverage", "Guard", "Diagnosis", "Progress", "Export"])
def test_no_callback_makes_keras_read_the_metrics_after_every_batch(name: str) -> None:
    callback = getattr(keras_resnet.callbacks, name)

    assert callback.on_train_batch_end is keras.callbacks.Callback.on_train_batch_end
    assert callback.on_batch_end is keras.callbacks.Callback.on_batch_end


def test_it_is_told_of_every_batch_once_and_of_the_last_before_the_validation(tiny_data: ImageData) -> None:
    told, model = Told(), network(tiny_data)

    model.fit(
        batches(tiny_data), validation_data=tiny_data.validation.batches(16), epochs=2, callbacks=[told], verbose=0
    )

    assert told.told == [(number, number + 1) for number in range(6)] * 2
    assert [one["loss"][1] for one in told.sums] == [32.0 * (number + 1) for number in range(6)] * 2, "images"
    assert told.sums[5]["loss"][0] / 192 == pytest.approx(model.history.history["loss"][0], rel=1e-6)
    assert told.sums[5]["accuracy"][0] / 192 == pytest.approx(model.history.history["accuracy"][0], rel=1e-6)


def test_of_data_whose_length_nobody_knows_it_is_told_of_no_batch_too_many(tiny_data: ImageData) -> None:
    def elements() -> Iterator[Any]:
        yield from tiny_data.train.batches(64).take(3)

    images, labels = tiny_data.train.batches(64).element_spec
    data = tf.data.Dataset.from_generator(elements, output_signature=(images, labels))
    told = Told()

    network(tiny_data).fit(data, epochs=2, callbacks=[told], verbose=0)

    assert told.told == [(0, 1), (1, 2), (2, 3)] * 2


def test_means_are_of_the_images_since_and_after_a_reset_of_all_there_are() -> None:
    before = {"loss": (20.0, 10.0), "accuracy": (5.0, 10.0)}

    assert mean_since({"loss": (50.0, 20.0), "accuracy": (11.0, 20.0)}, before) == ({"loss": 3.0, "accuracy": 0.6}, 10)
    assert mean_since({"loss": (8.0, 4.0), "accuracy": (1.0, 4.0)}, before) == ({"loss": 2.0, "accuracy": 0.25}, 4)
    assert mean_since(before, before) == ({}, 0)
    assert np.isnan(mean_since({"loss": (np.nan, 20.0)}, before)[0]["loss"])
