import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.augment.policies import policy
from keras_resnet.data.images import ArrayImages, Split
from keras_resnet.data.pipeline import (
    evaluation_batches,
    permutation,
    pixel_statistics,
    steps_per_epoch,
    training_batches,
)


none, crop_flip = policy("none"), policy("crop-flip")


@pytest.fixture
def split() -> Split:
    """Fifty images of which number i shows the value i everywhere, and odd positions only."""
    images = np.broadcast_to(np.arange(100, dtype=np.uint8)[:, None, None, None], (100, 8, 8, 1))
    indices = np.arange(1, 100, 2)
    return Split(ArrayImages(images), indices, indices % 4)


def values(batches: tf.data.Dataset) -> list[list[int]]:
    return [images[:, 4, 4, 0].numpy().tolist() for images, _ in batches]


def flat(batches: tf.data.Dataset) -> list[int]:
    return [value for batch in values(batches) for value in batch]


def test_an_epoch_shows_images_once_with_their_own_labels(split: Split) -> None:
    seen = []
    for images, labels in training_batches(split, 4, 16, none, seed=1):
        assert images.dtype == tf.uint8
        assert images.shape == (16, 8, 8, 1)
        numbers = images[:, 0, 0, 0].numpy()
        np.testing.assert_array_equal(labels, np.eye(4)[numbers % 4])
        seen += numbers.tolist()

    assert len(seen) == len(set(seen)) == 48
    assert set(seen) < set(range(1, 100, 2))


def test_every_epoch_has_another_order_that_the_seed_decides(split: Split) -> None:
    both = flat(training_batches(split, 4, 16, none, seed=1, epochs=2))
    first, second = both[:48], both[48:]
    other = flat(training_batches(split, 4, 16, none, seed=2))

    assert first != second
    assert first != other


def test_the_batches_from_an_epoch_on_do_not_depend_on_the_epochs_before(split: Split) -> None:
    whole = list(training_batches(split, 4, 16, crop_flip, seed=5, epochs=4))
    later = list(training_batches(split, 4, 16, crop_flip, seed=5, first_epoch=2, epochs=4))

    assert (len(whole), len(later)) == (12, 6)
    for (images, labels), (again, labels_again) in zip(whole[6:], later, strict=True):
        np.testing.assert_array_equal(images, again)
        np.testing.assert_array_equal(labels, labels_again)


def test_a_split_smaller_than_a_batch_makes_one_batch(split: Split) -> None:
    assert steps_per_epoch(split, 64) == 1
    assert [len(batch) for batch in values(training_batches(split, 4, 64, none, seed=1))] == [50]


def test_evaluation_shows_all_images_in_order(split: Split) -> None:
    assert flat(evaluation_batches(split, 4, 16)) == list(range(1, 100, 2))


@pytest.mark.parametrize("count", [1, 2, 1000, 50_000])
def test_a_permutation_holds_every_number_once(count: int) -> None:
    assert np.sort(permutation(count, 3, tf.constant(0))).tolist() == list(range(count))


def test_the_orders_of_different_epochs_are_unrelated() -> None:
    # tf.random.experimental.index_shuffle fails this: 0.65 at 50,000 images.
    orders = np.stack([permutation(50_000, 1, tf.constant(epoch)) for epoch in range(8)])

    correlations = np.corrcoef(np.vstack([orders, np.arange(50_000)]))

    assert np.abs(correlations[np.triu_indices(9, 1)]).max() < 0.025


def test_pixel_statistics_are_whole_numbers_over_all_channels() -> None:
    images = np.zeros((10, 4, 4, 3), np.uint8)
    images[..., 1] = 200
    split = Split(ArrayImages(images), np.arange(10), np.zeros(10, np.int64))

    assert pixel_statistics(split) == (67.0, 94.0)


def test_the_deviation_of_images_that_are_all_alike_is_not_zero() -> None:
    split = Split(ArrayImages(np.full((3, 4, 4, 1), 7, np.uint8)), np.arange(3), np.zeros(3, np.int64))

    assert pixel_statistics(split) == (7.0, 1.0)
