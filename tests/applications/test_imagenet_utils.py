import hashlib
import json
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet import applications
from keras_resnet.applications.imagenet_utils import decode_predictions, imagenet_synsets, preprocess_input
from keras_resnet.errors import UsageError

PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 4, 5, 3))


@pytest.mark.parametrize("module", ["resnet", "resnet50", "resnet_v2"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int32"])
def test_pixels_are_prepared_as_by_keras_and_stay_as_they_were(module: str, dtype: str) -> None:
    pixels = PIXELS.astype(dtype)
    expected = getattr(keras.applications, module).preprocess_input(pixels.copy())
    prepare = getattr(applications, module).preprocess_input

    found = prepare(pixels)

    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(prepare(pixels[0]), expected[0])
    np.testing.assert_array_equal(pixels, PIXELS.astype(dtype))
    tensor = prepare(tf.constant(pixels))  # Keras itself takes no whole numbers here
    np.testing.assert_allclose(tensor, expected, rtol=0.02 if dtype == "float16" else 1e-5, atol=1e-3)


def test_the_means_are_caffes_with_blue_first() -> None:
    red = np.array([[[255, 0, 0]]], np.uint8)

    np.testing.assert_allclose(preprocess_input(red), [[[-103.939, -116.779, 255 - 123.68]]], rtol=1e-6)
    np.testing.assert_allclose(preprocess_input(red, mode="tf"), [[[1, -1, -1]]])
    np.testing.assert_allclose(preprocess_input(red.tolist(), mode="tf"), [[[1, -1, -1]]])
    first = preprocess_input(np.moveaxis(red, -1, 0), data_format="channels_first")
    np.testing.assert_allclose(first, np.moveaxis(preprocess_input(red), -1, 0))


def test_pixels_are_prepared_inside_a_graph_and_a_dataset() -> None:
    image = keras.Input((4, 5, 3), dtype="uint8")
    model = keras.Model(image, preprocess_input(image))
    data = tf.data.Dataset.from_tensor_slices(PIXELS.astype("uint8")).map(preprocess_input)

    expected = preprocess_input(PIXELS.astype("uint8"))
    np.testing.assert_allclose(model(PIXELS.astype("uint8")), expected, rtol=1e-5)
    np.testing.assert_allclose(np.stack(list(data)), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (PIXELS[..., :1], {}, r"takes three channels, .* received 1 in \(2, 4, 5, 1\)"),
        (np.zeros((4, 5, 4)), {}, "received 4"),
        (PIXELS, {"data_format": "channels_first"}, r"\(channels_first\); received 4"),
        (PIXELS[0, 0], {}, r"of 3 or 4 dimensions; received \(5, 3\)"),
        (PIXELS, {"mode": "imagenet"}, "mode"),
        (PIXELS, {"data_format": "last"}, "data_format"),
    ],
)
def test_what_is_no_image_is_refused(pixels: np.ndarray, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        preprocess_input(pixels, **options)


def test_classes_are_those_that_keras_downloads() -> None:
    text = json.dumps({str(number): list(one) for number, one in enumerate(imagenet_synsets())})

    # Of imagenet_class_index.json, as keras/src/applications/imagenet_utils.py checks it.
    assert hashlib.md5(text.encode()).hexdigest() == "c2c37ea517e94d9795004a39431a14cb"


def test_predictions_are_decoded_likeliest_first() -> None:
    scores = np.full((2, 1000), 0.0001, np.float32)
    scores[0, [386, 101, 7]] = 0.6, 0.2, 0.1
    scores[1, 639] = 0.9

    for given in (scores, tf.constant(scores), scores.tolist()):
        found = decode_predictions(given, top=3)

        assert found[0] == [
            ("n02504458", "African_elephant", np.float32(0.6)),
            ("n01871265", "tusker", np.float32(0.2)),
            ("n01514668", "cock", np.float32(0.1)),
        ]
        assert found[1][0][1] == "maillot"
    assert [len(row) for row in decode_predictions(scores)] == [5, 5]


@pytest.mark.parametrize(
    ("scores", "top", "message"),
    [
        (np.zeros((2, 10)), 5, r"gives, of shape \(images, 1000\); received \(2, 10\). The classes .* of your own"),
        (np.zeros(1000), 5, r"received \(1000,\)"),
        (np.zeros((1, 1000)), 0, "top must be a whole number from 1 to 1,000; received 0"),
    ],
)
def test_what_are_no_predictions_of_imagenets_classes_is_refused(scores: np.ndarray, top: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        decode_predictions(scores, top)
