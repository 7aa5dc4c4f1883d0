import colorsys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_resnet.augment import geometry, tone
from tests.augment.reference import pillow

AMOUNTS = {
    "brightness": (0.1, 1.9),
    "contrast": (0.1, 1.9),
    "saturation": (0.1, 1.9),
    "sharpness": (0.1, 1.9),
    "solarize": (0, 256),
    "posterize": (0, 8),
    "autocontrast": (0, 0),
    "equalize": (0, 0),
    "invert": (0, 0),
    "shear_x": (-0.99, 0.99),
    "shear_y": (-0.99, 0.99),
    "translate_x": (-32, 32),
    "translate_y": (-32, 32),
    "rotate": (-135, 135),
}


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Forty images of 24×31 pixels: smooth ones, and one each that is all alike, has a flat channel, few colours."""
    coarse = np.random.default_rng(0).integers(0, 256, (40, 5, 6, 3)).astype(np.uint8)
    images = np.stack([np.asarray(Image.fromarray(one).resize((31, 24), Image.Resampling.BICUBIC)) for one in coarse])
    images[0] = 77
    images[1, :, :, 0] = 3
    images[2] = images[2] // 100 + 50
    images[3] = np.random.default_rng(1).integers(0, 256, images[3].shape)
    return images


def amounts_of(name: str) -> np.ndarray:
    drawn = np.random.default_rng(2).uniform(*AMOUNTS[name], 40).astype(np.float32)
    return np.floor(drawn) if name == "posterize" else drawn


@pytest.mark.parametrize("inside_tf_data", [False, True], ids=["eager", "tf.data"])
@pytest.mark.parametrize("name", AMOUNTS)
def test_every_operation_gives_the_pixels_that_pillow_gives(
    pictures: np.ndarray, name: str, inside_tf_data: bool
) -> None:
    amounts = amounts_of(name)
    operation = getattr(tone, name, None) or getattr(geometry, name)
    if inside_tf_data:
        found = next(iter(tf.data.Dataset.from_tensors((pictures, amounts)).map(operation))).numpy()
    else:
        found = operation(tf.constant(pictures), tf.constant(amounts)).numpy()

    expected = np.stack([pillow(name, image, float(a)) for image, a in zip(pictures, amounts, strict=True)])

    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8
    if name not in ("autocontrast", "equalize"):
        assert (expected != pictures).any(), "the reference must do something"


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "sharpness", "invert", "solarize", "rotate"])
def test_floats_are_changed_as_bytes_are_but_not_rounded(pictures: np.ndarray, name: str) -> None:
    amounts = tf.constant(amounts_of(name))
    operation = getattr(tone, name, None) or getattr(geometry, name)

    exact = operation(tf.constant(pictures, tf.float32), amounts).numpy()

    assert exact.dtype == np.float32
    # Contrast and saturation round their grey, sharpness its smoothed pixels, times a factor of up to 1.9.
    assert np.abs(exact - operation(tf.constant(pictures), amounts).numpy()).max() <= 2


def test_turning_the_hue_is_turning_it_in_hsv(pictures: np.ndarray) -> None:
    turns = np.linspace(-0.5, 0.5, 40).astype(np.float32)

    found = tone.hue(tf.constant(pictures), tf.constant(turns)).numpy()

    for image, result, turn in zip(pictures[:8], found[:8], turns[:8], strict=True):
        for row, column in ((0, 0), (11, 7), (23, 30)):
            h, s, v = colorsys.rgb_to_hsv(*(image[row, column] / 255.0))
            expected = np.array(colorsys.hsv_to_rgb((h + float(turn)) % 1.0, s, v)) * 255
            np.testing.assert_allclose(result[row, column], expected, atol=0.51)


def test_grey_images_have_no_colours_to_change(pictures: np.ndarray) -> None:
    grey = tf.constant(pictures[..., :1])

    for operation in (tone.saturation, tone.hue):
        np.testing.assert_array_equal(operation(grey, tf.fill([40], 0.3)), grey)


@pytest.mark.parametrize("name", [name for name in AMOUNTS if name != "saturation"])
def test_grey_images_change_as_pillow_changes_them(pictures: np.ndarray, name: str) -> None:
    grey, amounts = pictures[..., :1], amounts_of(name)
    operation = getattr(tone, name, None) or getattr(geometry, name)

    found = operation(tf.constant(grey), tf.constant(amounts)).numpy()

    expected = [pillow(name, image[..., 0], float(a)) for image, a in zip(grey, amounts, strict=True)]
    np.testing.assert_array_equal(found[..., 0], expected)


@pytest.mark.parametrize("degrees", [-180, -90, 0, 90, 180, 360])
def test_quarter_turns_are_exact(pictures: np.ndarray, degrees: float) -> None:
    square = pictures[:, :, :24]

    found = geometry.rotate(tf.constant(square), tf.fill([40], float(degrees))).numpy()

    np.testing.assert_array_equal(found, np.rot90(square, degrees // 90, axes=(1, 2)))


def test_operations_take_an_empty_batch(pictures: np.ndarray) -> None:
    for name in AMOUNTS:
        operation = getattr(tone, name, None) or getattr(geometry, name)

        assert operation(tf.constant(pictures[:0]), tf.zeros([0])).shape == (0, 24, 31, 3)
