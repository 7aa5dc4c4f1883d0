"""Which weights become zero, and how many are."""

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.compression.sparsity import kept_next, kept_now, prunable
from keras_resnet.errors import UsageError

layers = keras.layers


def network() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    inner_inputs = keras.Input((8, 8, 4))
    inner = keras.Model(inner_inputs, layers.SeparableConv2D(4, 1, name="inside")(inner_inputs))
    x = inner(layers.Conv2D(4, 1, name="first")(inputs))
    x = layers.DepthwiseConv2D(1, name="depthwise")(x)
    x = layers.Conv2DTranspose(4, 1, name="middle")(layers.BatchNormalization(name="norm")(x))
    return keras.Model(inputs, layers.Dense(2, name="last")(layers.GlobalAveragePooling2D()(x)))


def test_zeros_are_counted_in_kernels_by_layer() -> None:
    model = network()
    kernel = model.get_layer("middle").kernel
    kernel.assign(np.where(np.arange(16).reshape(1, 1, 4, 4) < 6, 0, 1))

    found = keras_resnet.sparsity(model)

    assert found.layers == {"first": 0, "inside": 0, "depthwise": 0, "middle": 6 / 16, "last": 0}
    assert found.share == 6 / (12 + 4 + 16 + 4 + 16 + 8)
    with pytest.raises(UsageError, match="no convolution"):
        keras_resnet.sparsity(keras.Sequential([keras.Input((2,)), layers.ReLU()]))


def test_pruned_is_what_is_trained_between_the_first_layer_and_the_last() -> None:
    model = network()

    assert [(one.path, one.reduced) for one in prunable(model, None)] == [
        ("inside/pointwise_kernel", -2),
        ("middle/kernel", -1),
    ]
    assert [one.path for one in prunable(model, ("first", "depthwise"))] == ["first/kernel", "depthwise/kernel"]
    model.get_layer("middle").trainable = False
    assert [one.path for one in prunable(model, None)] == ["inside/pointwise_kernel"]
    with pytest.raises(UsageError, match="'other'.*there are 'first', 'inside'"):
        prunable(model, ("other",))
    with pytest.raises(UsageError, match="between its first and its last"):
        prunable(keras.Sequential([keras.Input((2,)), layers.Dense(2), layers.Dense(2)]), None)


def test_the_least_weights_go_first_and_none_comes_back() -> None:
    kernel = np.array([[0.1, -0.5], [0.3, -0.2], [9.0, 0.2]])
    mask = np.ones((3, 2), bool)
    mask[2, 0] = False  # whatever it has now

    found = kept_next(kernel, mask, 0.5, None, -2)

    assert found.tolist() == [[False, True], [True, False], [False, True]]  # of 0.2 and 0.2 the first
    assert kept_next(kernel, found, 0.2, None, -2).tolist() == found.tolist()


def test_a_pattern_keeps_the_largest_of_each_row_along_what_is_summed() -> None:
    random = np.random.default_rng(0)
    kernel = random.normal(size=(3, 3, 8, 5))

    found = kept_next(kernel, np.ones(kernel.shape, bool), 0.5, (2, 4), -2)

    rows = np.moveaxis(np.abs(kernel), 2, -1).reshape(-1, 4)
    kept = np.moveaxis(found, 2, -1).reshape(-1, 4)
    np.testing.assert_array_equal(kept.sum(axis=1), 2)
    assert (np.where(kept, rows, np.inf).min(axis=1) > np.where(kept, 0, rows).max(axis=1)).all()
    half = kept_next(kernel, np.ones(kernel.shape, bool), 0.25, (2, 4), -2)
    assert (~half).mean() == 0.25
    assert (found <= half).all(), "on the way there only what the pattern lets go has gone"


def test_zeros_of_a_pruned_kernel_stay_and_a_kernel_of_zeros_is_not_pruned() -> None:
    assert kept_now(np.array([0.0, 1.0, -2.0])).tolist() == [False, True, True]
    assert kept_now(np.zeros(3)).tolist() == [True, True, True]
