"""Whatever calibration images are given as, the same pixels come of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import from_arrays
from keras_resnet.errors import DataError
from keras_resnet.exports.calibration import calibration_batch
from keras_resnet.preprocessing import Fit

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 6, 3), np.uint8)
FIT = Fit((8, 6), 3)


def in_files(folder: Path) -> Path:
    for number, image in enumerate(PIXELS):
        Image.fromarray(image).save(folder / f"{number}.png")
    return folder


def dataset(*columns: Any) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(columns if columns[1:] else columns[0])


WAYS: dict[str, Callable[[Path], Any]] = {
    "array": lambda _: PIXELS,
    "floats": lambda _: PIXELS.astype(np.float32),
    "list of images": lambda _: list(PIXELS),
    "folder": in_files,
    "data set of images": lambda _: dataset(PIXELS),
    "with labels": lambda _: dataset(PIXELS, np.arange(5)),
    "batches with weights": lambda _: dataset(PIXELS, np.arange(5), np.ones(5)).batch(2),
    "floats in batches": lambda _: dataset(PIXELS.astype(np.float32)).batch(2),
}


@pytest.mark.parametrize("way", WAYS)
def test_all_ways_to_give_calibration_images_give_the_same(way: str, tmp_path: Path) -> None:
    np.testing.assert_array_equal(calibration_batch(WAYS[way](tmp_path), FIT), PIXELS)


@pytest.mark.parametrize("way", WAYS)
def test_at_most_so_many_are_taken(way: str, tmp_path: Path) -> None:
    np.testing.assert_array_equal(calibration_batch(WAYS[way](tmp_path), FIT, most=3), PIXELS[:3])


def test_of_a_data_set_training_images_are_spread_over_the_split(tiny_data: ImageData) -> None:
    train = tiny_data.train.read(slice(None))
    expected = train[[0, (len(train) - 1) // 2, len(train) - 1]]
    size = Fit(train.shape[1:3], train.shape[3])

    np.testing.assert_array_equal(calibration_batch(tiny_data.train, size, most=3), expected)
    np.testing.assert_array_equal(calibration_batch(tiny_data, size, most=3), expected)


def test_a_split_of_another_size_is_fitted_to_the_model() -> None:
    labels = np.repeat([0, 1], 20)
    large = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)

    found = calibration_batch(from_arrays(large, labels).train, Fit((8, 8), 3))

    assert found.shape[1:] == (8, 8, 3)
    assert found.dtype == np.uint8


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (dataset(np.zeros((3, 4))), "calibration images come one by one"),
        (dataset({"image": PIXELS}), "alone or first in a tuple"),
        (dataset(PIXELS).take(0), "the data set of calibration images is empty"),
        (PIXELS / 255 - 0.5, "0"),
        ([], "no images were given"),
    ],
)
def test_what_is_no_image_is_refused(images: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        calibration_batch(images, FIT)
