"""What is trained for integers computes what its file computes."""

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.errors import UsageError
from keras_resnet.exports.tflite import integer_graph
from keras_resnet.inference.activation import logits_model
from keras_resnet.models.fake_quantization import ActivationRange, RoundedConv2D, RoundedDense
from keras_resnet.models.quantization_aware import deployed, flattened, is_quantization_aware, quantization_aware
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.quantize.graph import Graph

SIDE = 16
IMAGES = np.random.default_rng(0).integers(0, 256, (12, SIDE, SIDE, 3)).astype(np.uint8)
SPECS = {
    name: ResNetSpec(
        "net",
        block,
        (1,) * len(widths),
        widths,
        stem="cifar",
        stem_width=widths[0] // 4 if "bottleneck" in block else widths[0],
        **more,
    )
    for name, block, widths, more in (
        ("basic, option A", "basic", (8, 16), {"shortcut": "identity_pad"}),
        ("bottleneck", "bottleneck", (32, 64), {}),
        ("pre-activation", "preact_bottleneck", (32, 64), {"strided_conv": "3x3"}),
        ("squeeze and excitation", "basic", (8, 16), {"attention": "se"}),
        ("channel attention", "basic", (8, 16), {"attention": "eca"}),
        ("means in shortcuts", "basic", (8, 16), {"shortcut": "avgpool_projection"}),
        ("blurred", "basic", (8, 16), {"antialias": True}),
        ("grouped", "bottleneck", (64,), {"groups": 4}),
    )
}


def settled(model: keras.Model) -> keras.Model:
    """With statistics and scales as a training leaves them, of any size."""
    random = np.random.default_rng(1)
    for layer in flattened(model).layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            count = layer.moving_mean.shape[0]
            layer.set_weights(
                [
                    random.uniform(0.5, 1.5, count),
                    random.normal(0, 0.3, count),
                    random.normal(0, 0.3, count),
                    random.uniform(0.5, 1.5, count),
                ][-len(layer.weights) :]
            )
    return model


def steps_apart(aware: keras.Model, images: np.ndarray = IMAGES) -> np.ndarray:
    """By how many steps of its output the file differs from the model, on LiteRT's reference kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    content, _ = integer_graph(aware, aware.input_shape[1:], images)
    assert not [tensor.name for tensor in Graph(content).tensors if tensor.dtype.kind == "f"]
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert taken["quantization"] == (1.0, -128)
    scale, zero = given["quantization"]
    numbers = []
    for image in images:
        interpreter.set_tensor(taken["index"], (image.astype(np.int16) - 128).astype(np.int8)[np.newaxis])
        interpreter.invoke()
        numbers.append(interpreter.get_tensor(given["index"])[0].astype(int))
    expected = np.asarray(aware(images.astype(np.float32), training=False)) / scale + zero
    assert np.abs(expected - np.rint(expected)).max() < 1e-2  # the model gives steps of the file, too
    assert len(np.unique(numbers)) > 5
    return np.abs(np.array(numbers) - np.rint(expected).astype(int))


@pytest.mark.parametrize("name", SPECS)
def test_a_model_gives_what_its_file_gives_on_the_reference_kernels(name: str) -> None:
    model = settled(keras_resnet.build(SPECS[name], 4, input_shape=(SIDE, SIDE, 3), classifier_activation=None, seed=0))
    apart = steps_apart(quantization_aware(model, IMAGES))
    assert apart.max() <= 1
    assert apart.mean() <= 0.2


def test_a_users_model_with_a_model_inside_gives_what_its_file_gives() -> None:
    inner = keras.Sequential(
        [keras.Input((SIDE, SIDE, 8)), keras.layers.SeparableConv2D(8, 3, padding="same", activation="silu")], name="in"
    )
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling([1 / 50, 1 / 60, 1 / 70], [-2.0, -1.0, 0.5])(inputs)
    x = keras.layers.Conv2D(8, 3, padding="same")(x)
    x = inner(keras.layers.ReLU(max_value=6)(x))
    x = keras.layers.Concatenate()([x, keras.layers.AveragePooling2D(3, 1, padding="same")(x)])
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Activation("relu")(x))
    model = settled(keras.Model(inputs, keras.layers.Dense(4)(x)))
    before = model.get_weights()
    aware = quantization_aware(model, IMAGES)
    close = np.asarray(model(IMAGES.astype(np.float32))), np.asarray(aware(IMAGES.astype(np.float32)))
    assert np.abs(close[0] - close[1]).max() < 0.1 * np.ptp(close[0])
    assert steps_apart(aware).max() <= 1
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))


def test_a_network_of_keras_applications_gives_what_its_file_gives() -> None:
    model = keras.applications.MobileNetV2((32, 32, 3), 0.35, weights=None, classes=4, classifier_activation=None)
    images = np.random.default_rng(0).uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32)
    aware = quantize(settled(model), images)
    given = np.asarray(model(images)), np.asarray(aware(images))
    assert np.corrcoef(given[0].ravel(), given[1].ravel())[0, 1] > 0.95
    kinds = {type(layer).__name__ for layer in deployed(aware).layers}
    assert {"Conv2D", "DepthwiseConv2D", "Dense", "ActivationRange"} <= kinds
    assert "RoundedConv2D" not in kinds


def quantize(model: keras.Model, images: np.ndarray, **options: str) -> keras.Model:
    return keras_resnet.quantize_aware(model, images, **options)  # type: ignore[arg-type]


@pytest.fixture
def small() -> keras.Model:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, use_bias=False, name="conv")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU(name="relu")(x))
    return settled(keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="head")(x)))


def test_kernels_are_on_a_grid_of_each_channel_and_gradients_pass_it(small: keras.Model) -> None:
    for bits, most in ((8, 127), (4, 7)):
        (conv,) = (one for one in quantization_aware(small, IMAGES, bits=bits).layers if isinstance(one, RoundedConv2D))
        numbers = np.asarray(conv.rounded) / np.asarray(conv.steps)
        assert np.abs(numbers - np.rint(numbers)).max() < 1e-4
        assert np.allclose(np.abs(numbers).max(axis=(0, 1, 2)), most)
        assert np.abs(np.asarray(conv.rounded) - conv.kernel.numpy()).max() <= np.asarray(conv.steps).max() / 2 + 1e-7


def test_it_trains_and_its_file_still_gives_the_same(small: keras.Model) -> None:
    labels = np.arange(len(IMAGES)) % 3
    images = IMAGES // (1 + 2 * labels[:, np.newaxis, np.newaxis, np.newaxis]).astype(np.uint8)  # told by brightness
    aware = quantize(small, images)
    aware.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
    before = aware.evaluate(images, labels, verbose=0)
    aware.fit(images, labels, epochs=30, verbose=0)
    assert aware.evaluate(images, labels, verbose=0) < 0.7 * before
    assert steps_apart(logits_model(aware), images).max() <= 1


def test_a_saved_model_gives_the_same_bits(small: keras.Model, tmp_path) -> None:
    for ranges in ("averaged", "learned"):
        aware = quantize(small, IMAGES, ranges=ranges)
        aware.save(tmp_path / "aware.keras")
        read = keras.models.load_model(tmp_path / "aware.keras")
        images = IMAGES.astype(np.float32)
        assert is_quantization_aware(read)
        assert not is_quantization_aware(small)
        assert np.array_equal(np.asarray(aware(images)), np.asarray(read(images)))


def test_averaged_ranges_follow_batches_and_others_stay() -> None:
    batch = np.array([[-2.0, 6.0]], np.float32)
    averaged = ActivationRange("averaged", momentum=0.75, low=-1.0, high=2.0)
    averaged(batch, training=True)
    assert (float(averaged.low), float(averaged.high)) == (-1.25, 3.0)
    averaged(batch, training=False)
    assert (float(averaged.low), float(averaged.high)) == (-1.25, 3.0)
    fixed = ActivationRange("fixed", low=-1.0, high=2.0)
    rounded, step = fixed(batch, training=True)
    assert np.allclose(rounded, [[-1.0, 2.0]], atol=float(step))
    assert float(step) == pytest.approx(3 / 255)


def test_a_learned_step_has_the_gradient_of_its_paper() -> None:
    import tensorflow as tf

    layer = ActivationRange("learned", low=0.0, high=255.0)
    values = tf.constant([[1.3, 2.5, 300.0, -4.0]])
    layer(values)
    with tf.GradientTape() as tape:
        rounded, _ = layer(values, training=True)
        loss = tf.reduce_sum(rounded)
    assert np.allclose(rounded, [[1.0, 2.0, 255.0, 0.0]], atol=1e-4)
    # round(v) - v inside, and the end outside, times 1 / sqrt(number of values x number of steps)
    expected = (1.0 - 1.3 + 2.0 - 2.5 + 255.0 + 0.0) / np.sqrt(4 * 255)
    assert float(tape.gradient(loss, layer.step.value)) == pytest.approx(expected, rel=1e-4)


def test_what_cannot_be_trained_for_integers_is_refused(small: keras.Model) -> None:
    with pytest.raises(UsageError, match="there are none"):
        quantization_aware(small, IMAGES[:0])
    with pytest.raises(UsageError, match="averaged"):
        quantize(small, IMAGES, ranges="often")
    recurrent = keras.Sequential([keras.Input((4, 3)), keras.layers.LSTM(2), keras.layers.Dense(2)])
    with pytest.raises(UsageError, match="LSTM"):
        quantization_aware(recurrent, np.zeros((2, 4, 3), np.float32))
    with pytest.raises(UsageError, match="no convolution"):
        quantization_aware(keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten()]), IMAGES[:, :4, :4])


def test_files_of_floats_are_refused_and_their_own_ranges_kept(small: keras.Model, tmp_path) -> None:
    aware = quantize(small, IMAGES)
    with pytest.raises(UsageError, match="tflite-int8"):
        keras_resnet.export(aware, tmp_path / "a.tflite", "tflite-float")
    done = keras_resnet.export(aware, tmp_path / "a.tflite", "tflite-int8")
    assert done.verification.agreement == 1.0
    assert "its training for integers" in done.remarks[0]


def test_dense_layers_are_rounded_for_each_output(small: keras.Model) -> None:
    (head,) = (one for one in quantization_aware(small, IMAGES).layers if isinstance(one, RoundedDense))
    assert np.allclose(np.abs(np.asarray(head.rounded)).max(axis=0), 127 * np.asarray(head.steps)[0], rtol=1e-5)
