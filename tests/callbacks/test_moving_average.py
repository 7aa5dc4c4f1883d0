"""When the moving average takes the weights in, and for how many updates they count."""

import math

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.callbacks import MovingAverage
from keras_resnet.callbacks.between_batches import BetweenBatches
from keras_resnet.data.images import ImageData
from keras_resnet.errors import UsageError
from tests.callbacks.test_exact_checkpoint import batches, network


class Weights(BetweenBatches):
    """Notes the weights after each batch, and those that the validation judges."""

    def __init__(self) -> None:
        super().__init__()
        self.after: list[np.ndarray] = []
        self.judged: list[np.ndarray] = []

    def between_batches(self, before: int, done: int) -> None:
        self.after.append(np.array(self.model.trainable_variables[0]))

    def on_test_begin(self, logs: object = None) -> None:
        super().on_test_begin()
        self.judged.append(np.array(self.model.trainable_variables[0]))


def test_weights_that_are_taken_in_count_for_all_updates_since_and_an_epochs_end_takes_them_in(
    tiny_data: ImageData,
) -> None:
    model, average, weights = network(tiny_data), MovingAverage(0.9, every=4), Weights()
    expected = np.array(model.trainable_variables[0])

    model.fit(
        batches(tiny_data),
        validation_data=tiny_data.validation.batches(16),
        epochs=2,
        callbacks=[average, weights],
        verbose=0,
    )

    assert len(weights.after) == 12, "six batches an epoch"
    judged, last = [], 0
    for update in (4, 6, 10, 12):
        since = range(last + 1, update + 1)
        decay = math.prod(min(0.9, (1 + one) / (10 + one)) for one in since)
        expected, last = expected + (1 - decay) * (weights.after[update - 1] - expected), update
        judged.append(expected)
    np.testing.assert_allclose(weights.judged, judged[1::2], atol=1e-6)
    np.testing.assert_array_equal(model.trainable_variables[0], weights.judged[1], "at the end the model has it")
    assert (average.updates, average.batches) == (12, 12)


def test_a_model_has_its_own_values_to_the_bit_after_the_average_was_judged() -> None:
    from keras_resnet.optimizers.averaging import MovingAverage as Average

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4, 4, 2)), keras.layers.Conv2D(3, 2), keras.layers.BatchNormalization()])
    own = [np.array(one) for one in model.variables]
    average = Average(model, 0.5)
    for one in model.variables:
        one.assign(one + 1 / 3)
    moved = [np.array(one) for one in model.variables]
    average.update(5)

    with average.swapped():
        judged = [np.array(one) for one in model.variables]

    for before, after, now, mean in zip(own, moved, model.variables, judged, strict=True):
        np.testing.assert_array_equal(np.array(now), after)
        np.testing.assert_allclose(mean, before + (1 - min(0.5, 6 / 15)) * (after - before), rtol=1e-6)
    assert [one.tolist() for one in average.tensors().values()] == [one.tolist() for one in judged]


def test_a_number_of_batches_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="every"):
        keras_resnet.callbacks.MovingAverage(0.9, every=0)
