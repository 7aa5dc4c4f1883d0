from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_resnet.data.labels import class_numbers
from keras_resnet.data.loading import from_arrays, from_dataset
from keras_resnet.errors import DataError

NUMBERS = np.arange(40) % 3
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    "labels",
    [
        NUMBERS,
        NUMBERS.astype(np.uint8)[:, None],  # keras.datasets.cifar10
        NUMBERS.astype(np.float32)[:, None],
        np.eye(3)[NUMBERS],  # keras.utils.to_categorical
        np.eye(3, dtype=bool)[NUMBERS],
        NUMBERS.tolist(),
    ],
    ids=["numbers", "a column", "a column of floats", "one-hot", "one-hot of booleans", "a list"],
)
def test_labels_are_taken_as_libraries_give_them(labels: np.ndarray) -> None:
    np.testing.assert_array_equal(class_numbers(labels), NUMBERS)
    data = from_arrays(IMAGES, labels)
    assert data.class_names == ("0", "1", "2")
    assert data.fingerprint == from_arrays(IMAGES, NUMBERS).fingerprint


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array(["cat", "dog"]), "such as .*'cat'.*; numpy.unique"),
        (np.array([0.5, 1.0]), "whole numbers"),
        (np.array([0, np.nan]), "whole numbers"),
        (np.array([[0.9, 0.1], [0.1, 0.9]]), "one-hot, one 1 in each row"),
        (np.array([[1, 1], [0, 1]]), 'give task="multi-label"'),
        (np.zeros((2, 2, 2)), r"received float64 \(2, 2, 2\)"),
    ],
)
def test_labels_without_a_class_are_refused(labels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        class_numbers(labels)


def test_one_hot_labels_keep_a_class_without_images() -> None:
    assert from_arrays(IMAGES, np.eye(5)[NUMBERS], whole=True).class_names == ("0", "1", "2", "3", "4")


@pytest.mark.parametrize("mode", ["binary", "int", "categorical"])
def test_a_folder_read_by_keras_keeps_its_names_whatever_its_labels(mode: str, tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for number in range(10):
            Image.fromarray(IMAGES[number]).save(tmp_path / label / f"{number}.png")

    dataset = keras.utils.image_dataset_from_directory(
        tmp_path, label_mode=mode, image_size=(8, 8), batch_size=4, shuffle=False, verbose=False
    )

    data = from_dataset(dataset, whole=True)

    assert data.class_names == ("cat", "dog")
    np.testing.assert_array_equal(data.test.labels, [0] * 10 + [1] * 10)


@pytest.mark.parametrize(
    ("labels", "class_names", "message"),
    [
        (NUMBERS + 1, None, "labels count from 0; received 1 to 3: subtract 1, or give class_names"),
        (np.eye(4)[NUMBERS + 1], None, "labels count from 0; received 1 to 3: subtract 1"),  # to_categorical(labels)
        ((NUMBERS + 5)[:, None], None, "labels count from 0; received 5 to 7: subtract 5"),
        (NUMBERS * 40 + 5, None, "labels count from 0; received 5 to 85: renumber them, as numpy.unique"),
        (NUMBERS % 2 * 2 - 1, None, "labels count from 0; received -1 to 1: renumber them"),
        (NUMBERS + 1, ["a", "b", "c"], "count from 0 and must lie in 0–2 for 3 classes; received 1 to 3: subtract 1"),
        (np.eye(4)[NUMBERS + 1], ["a", "b", "c"], "received 1 to 3: subtract 1"),
        (NUMBERS % 2 * 2 - 1, ["a", "b"], "must lie in 0–1 for 2 classes; received -1 to 1: renumber them"),
        (NUMBERS, ["a", "b"], "must lie in 0–1 for 2 classes; received 0 to 2: there are 3 different ones"),
    ],
)
def test_labels_that_do_not_count_from_0_are_told_so_in_every_form(
    labels: np.ndarray, class_names: list[str] | None, message: str
) -> None:
    for read in (from_arrays, lambda *of: from_dataset(tf.data.Dataset.from_tensor_slices(of[:2]).batch(9), of[2])):
        with pytest.raises(DataError, match=message):
            read(IMAGES, labels, class_names)
