"""Which channels hang together, and what they cost."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.compression.channels import ChannelGraph
from keras_resnet.errors import UsageError
from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec
from tests.golden.cases import CASES

layers = keras.layers


def model_of(layers_between: Callable[[Any], Any]) -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = layers_between(layers.Conv2D(8, 3, padding="same", name="first")(inputs))
    return keras.Model(inputs, layers.Dense(2, name="last")(layers.GlobalAveragePooling2D()(x)))


def sizes(model: keras.Model, residual: bool = True) -> list[tuple[int, int]]:
    """Of each group: how many classes it has, and how many channels of layers hang together in one."""
    return sorted(
        (len(one.classes), sum(times for _, times in one.places)) for one in ChannelGraph(model).groups(residual)
    )


@pytest.mark.parametrize("name", ["se", "resnext", "cifar_identity", "rs"])
def test_it_counts_what_the_spec_counts(name: str) -> None:
    spec = ResNetSpec(name, **CASES[name].row)

    graph = ChannelGraph(build(spec, 7, input_shape=(40, 40, 3)))

    assert graph.macs == keras_resnet.cost(spec, 7, input_shape=(40, 40, 3)).folded_macs


def test_a_convolution_gives_channels_that_the_next_one_reads() -> None:
    assert sizes(model_of(layers.ReLU())) == [(8, 2)]
    assert sizes(model_of(layers.Conv2D(6, 1))) == [(6, 2), (8, 2)]


def test_a_sum_makes_channels_one_and_they_are_residual() -> None:
    def block(x: Any) -> Any:
        return layers.Add()([x, layers.Conv2D(8, 1)(layers.Conv2D(5, 1)(x))])

    assert sizes(model_of(block)) == [(5, 2), (8, 4)]
    assert sizes(model_of(block), residual=False) == [(5, 2)]
    assert sizes(model_of(lambda x: x + layers.Conv2D(8, 1)(x))) == [(8, 4)], "an operation, too"


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        (layers.DepthwiseConv2D(3), [(8, 4)]),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), [(8, 6)]),  # it gives two, and the classifier reads both
        (layers.SeparableConv2D(6, 3), [(6, 2), (8, 2)]),
        (layers.Conv2DTranspose(6, 2), [(6, 2), (8, 2)]),
        (
            layers.Conv2D(4, 3, groups=4),
            [(4, 6)],
        ),  # a group: two channels, with their filters, one that it gives, and its reader
        (layers.BatchNormalization(), [(8, 4)]),
        (layers.ZeroPadding2D(((0, 0), (2, 3)), data_format="channels_first"), [(5, 2), (8, 4)]),
        (layers.Activation("softmax"), []),
        (layers.LayerNormalization(), []),
        (layers.Permute((1, 3, 2)), []),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
def test_each_layer_couples_its_channels(between: keras.Layer, expected: list[tuple[int, int]]) -> None:
    copy = type(between).from_config(between.get_config())

    assert sizes(model_of(copy)) == expected


def test_gates_belong_to_the_channels_that_they_weigh() -> None:
    def squeezed(x: Any) -> Any:
        y = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(x))
        y = layers.Conv2D(8, 1, activation="sigmoid")(layers.Conv2D(2, 1, activation="relu")(y))
        return layers.Multiply()([x, y])

    # The map, the layer that shapes its mean (it reads and gives), both ends of the gate, the classifier.
    assert sizes(model_of(squeezed)) == [(2, 2), (8, 6)]


def test_channels_that_meet_what_is_not_followed_stay() -> None:
    class Mine(layers.Layer):
        def call(self, x: Any) -> Any:
            return x[..., ::-1]

    assert sizes(model_of(lambda x: Mine()(layers.Conv2D(6, 1)(x)))) == [(8, 2)]
    assert sizes(model_of(lambda x: layers.Add()([x, Mine()(x)]))) == []


def test_layers_that_are_called_twice_read_and_give_the_same_channels() -> None:
    shared, relu = layers.Conv2D(8, 1), layers.ReLU()

    assert sizes(model_of(lambda x: relu(shared(relu(shared(x)))))) == [(8, 4)]


def test_concatenated_channels_go_on_by_themselves() -> None:
    model = model_of(lambda x: layers.Concatenate()([x, layers.Conv2D(4, 1)(x)]))

    assert sizes(model) == [(4, 2), (8, 3)]


def test_a_flattened_map_has_each_channel_at_every_place() -> None:
    inputs = keras.Input((2, 3, 1))
    x = layers.Conv2D(4, 1, name="first")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="last")(layers.Flatten()(x)))

    graph = ChannelGraph(model)

    assert sizes(model) == [(4, 1 + 6)]
    last = graph.member(model.get_layer("last"))
    assert last is not None
    assert last.inputs is not None
    np.testing.assert_array_equal(last.inputs, np.tile(graph.members[0].outputs, 6))


def test_a_model_for_images_of_any_size_is_refused() -> None:
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, layers.Conv2D(2, 1)(layers.Conv2D(4, 1)(inputs)))

    with pytest.raises(UsageError, match="does not know the size of its images"):
        ChannelGraph(model)
