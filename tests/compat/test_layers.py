from typing import Any

import keras
import numpy as np
import pytest

from keras_resnet.compat.layers import called_in_training, override, share_weights
from tests.compat.contract import changed

IMAGES = np.ones((1, 4, 4, 2), "float32")


def network() -> keras.Model:
    inputs = keras.Input((4, 4, 2))
    return keras.Model(inputs, keras.layers.Conv2D(3, 1, name="conv", data_format="channels_last")(inputs))


@pytest.mark.parametrize("training", [True, False])
def test_a_layer_without_the_argument_knows_whether_its_model_is_in_training(training: bool) -> None:
    model, seen = network(), []
    layer = model.get_layer("conv")
    convolve = layer.convolution_op
    override(layer, "convolution_op", lambda *tensors: [seen.append(called_in_training()), convolve(*tensors)][1])

    model(IMAGES, training=training)

    assert seen == [training], changed(
        "global_state's current_call_ctx", "layers.called_in_training", "train 1×1 convolutions by matrix products"
    )


def test_outside_a_call_nothing_is_in_training() -> None:
    assert not called_in_training()


@pytest.mark.parametrize("method", ["call", "convolution_op"])
def test_a_method_of_its_own_is_called_and_neither_saved_nor_cloned(method: Any) -> None:
    layer = keras.layers.Conv2D(3, 1, data_format="channels_last")
    model = keras.Sequential([keras.Input((4, 4, 2)), layer])
    kind, config, before = type(layer), layer.get_config(), model(IMAGES)
    inside = getattr(layer, method)

    override(layer, method, lambda *tensors: inside(*tensors) + 1.0)
    cloned = keras.models.clone_model(model)
    cloned.set_weights(model.get_weights())

    message = changed(f"how a layer's {method} is found", "layers.override", "train by other kernels than Keras's")
    np.testing.assert_allclose(model(IMAGES), before + 1.0, rtol=1e-6, err_msg=message)
    assert type(layer) is kind, message
    assert layer.get_config() == config, message
    np.testing.assert_array_equal(cloned(IMAGES), before, err_msg=message)


def test_a_model_passes_training_and_mask_to_a_call_of_its_own() -> None:
    model, seen = network(), []

    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        seen.append(training)
        return inputs

    override(model, "call", call)
    model(IMAGES, training=True)
    model(IMAGES)

    assert seen[0] is True, changed("Functional.__call__", "layers.override", "train through recomputed segments")
    assert not seen[1], changed("Functional.__call__", "layers.override", "leave inference to Keras")


@pytest.mark.parametrize("kind", [keras.layers.Dense, keras.layers.Conv2D])
@pytest.mark.parametrize("use_bias", [True, False])
def test_a_layer_can_have_the_variables_of_another(kind: type[keras.layers.Layer], use_bias: bool) -> None:
    size = (1,) if kind is keras.layers.Conv2D else ()
    one = kind(3, *size, use_bias=use_bias)
    expected = one(IMAGES)
    other = kind(3, *size, use_bias=use_bias)

    done = share_weights(other, one)

    why = changed("_kernel and bias", "layers.share_weights", "leave out a model's last activation without new weights")
    assert done, why
    assert [*map(id, other.variables)] == [*map(id, one.variables)], why
    np.testing.assert_array_equal(other(IMAGES), expected, err_msg=why)
