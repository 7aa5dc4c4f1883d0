"""What `ExactCheckpoint` needs of `model.fit`, of a symbolic tensor and of a data set, and Keras does not promise."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.compat.datasets import inputs_of
from keras_resnet.compat.fit import (
    arguments_of_this_fit,
    begin_at,
    build_for,
    callbacks_of_this_fit,
    is_lower_better,
)
from keras_resnet.compat.graph import made_by
from keras_resnet.compat.optimizers import follows_schedule

X, Y = np.ones((4, 3), np.float32), np.ones((4, 2), np.float32)


def network() -> keras.Model:
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2, name="last")(inputs))
    model.compile("sgd", "mse", metrics=["accuracy"])
    return model


class Spy(keras.callbacks.Callback):
    def __init__(self, begin: int | None = None) -> None:
        super().__init__()
        self.begin, self.epochs = begin, []
        self.there: tuple[Any, ...] = ()

    def on_train_begin(self, logs: Any = None) -> None:
        begin_at(self.model, self.begin)
        self.there = tuple(callbacks_of_this_fit())

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        begin_at(self.model, None)
        self.epochs.append(epoch)


@pytest.mark.parametrize(("begin", "epochs"), [(None, [0, 1, 2]), (2, [2]), (3, [])])
def test_fit_begins_with_the_epoch_that_a_callback_says_when_training_begins(
    begin: int | None, epochs: list[int]
) -> None:
    spy, model = Spy(begin), network()

    model.fit(X, Y, epochs=3, callbacks=[spy], verbose=0)

    assert spy.epochs == epochs


def test_a_callback_finds_those_of_its_fit_in_their_order() -> None:
    first, second = Spy(), Spy()

    network().fit(X, Y, callbacks=[first, second], verbose=0)

    assert first.there[:2] == second.there[:2] == (first, second)
    assert callbacks_of_this_fit() == ()


def test_a_callback_sees_what_its_fit_was_told() -> None:
    class Sees(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            self.told = arguments_of_this_fit(self.model)

    sees, data = Sees(), tf.data.Dataset.from_tensor_slices((X, Y)).batch(2)

    network().fit(data, validation_data=data, initial_epoch=1, epochs=2, callbacks=[sees], verbose=0)

    assert sees.told["x"] is sees.told["validation_data"] is data
    assert sees.told["initial_epoch"] == 1
    network().fit(X, Y, callbacks=[sees], verbose=0)
    assert sees.told["validation_data"] is None
    assert arguments_of_this_fit(network()) == {}


def test_keras_says_of_its_metrics_which_values_are_the_better_ones() -> None:
    metrics = keras.metrics

    known = [metrics.MeanAbsoluteError(), metrics.KLDivergence(), metrics.CategoricalAccuracy(), metrics.F1Score()]

    assert [is_lower_better(one) for one in known] == [True, True, False, False]
    assert is_lower_better(metrics.Mean()) is None


def test_metrics_have_their_variables_before_the_first_batch_and_no_batch_is_read() -> None:
    model, read = network(), []
    data = tf.data.Dataset.from_tensor_slices((X, Y)).map(lambda *one: (tf.py_function(read.append, [0], []), one)[1])

    before = sum(len(metric.variables) for metric in model.metrics)
    build_for(model, data.batch(2))

    assert sum(len(metric.variables) for metric in model.metrics) > before
    assert read == []


def test_a_symbolic_tensor_tells_what_made_it() -> None:
    model = network()

    layer, (given,) = made_by(model.outputs[0])

    assert layer is model.get_layer("last")
    assert given is model.inputs[0]
    assert made_by(given) == (None, [])


def test_a_data_set_tells_what_it_reads() -> None:
    source = tf.data.Dataset.range(3)

    assert list(inputs_of(source.map(lambda one: one).prefetch(1))[0]._inputs()) == [source]
    assert list(inputs_of(source)) == []


def test_an_optimizer_tells_whether_it_follows_a_schedule() -> None:
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)

    assert follows_schedule(keras.optimizers.SGD(schedule))
    assert not follows_schedule(keras.optimizers.SGD(0.1))
