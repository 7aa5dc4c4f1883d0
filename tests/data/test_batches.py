from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.augment.policies import policy
from keras_resnet.data.batches import (
    batches_in_order,
    evaluation_batches,
    permutation,
    pixel_statistics,
    repeated_batches,
    steps_per_epoch,
    training_batches,
)
from keras_resnet.data.images import Split
from keras_resnet.data.stores import ArrayImages
from keras_resnet.errors import UsageError
from tests.tasks.classes import classes

none, crop_flip = policy("none"), policy("crop-flip")
EVERYTHING = policy("crop-flip", greyscale=0.3, erasing=0.5, mixup=0.2, cutmix=1.0)


@pytest.fixture(scope="module")
def split() -> Split:
    """Fifty images of which number i shows the value i everywhere, and odd positions only."""
    images = np.broadcast_to(np.arange(100, dtype=np.uint8)[:, None, None, None], (100, 8, 8, 1))
    indices = np.arange(1, 100, 2)
    return Split(ArrayImages(images), indices, indices % 4, classes(4))


@pytest.fixture(scope="module")
def everything(split: Split) -> list[tuple[np.ndarray, np.ndarray]]:
    """The batches of four epochs, three each, with all that may change an image; traced once, which takes seconds."""
    return list(training_batches(split, 16, EVERYTHING, seed=5, epochs=4).as_numpy_iterator())


def values(batches: tf.data.Dataset) -> list[list[int]]:
    return [images[:, 4, 4, 0].numpy().tolist() for images, _ in batches]


def flat(batches: tf.data.Dataset) -> list[int]:
    return [value for batch in values(batches) for value in batch]


def test_whoever_lets_an_iterator_go_does_not_wait_for_the_tuning_of_what_is_fixed(split: Split) -> None:
    """TensorFlow's tuning misses the signal to end on a busy machine, and sleeps on for up to a minute."""
    made = [
        training_batches(split, 16, none, seed=1),
        training_batches(split, 16, none, seed=1, parts=2),
        repeated_batches(split, 16, none, seed=1),
        evaluation_batches(split, 16),
        batches_in_order(split, 16),
    ]

    assert [one.options().autotune.enabled for one in made] == [False] * 5


def test_an_epoch_shows_images_once_with_their_own_labels(split: Split) -> None:
    seen = []
    for images, labels in training_batches(split, 16, none, seed=1):
        assert images.dtype == tf.uint8
        assert images.shape == (16, 8, 8, 1)
        numbers = images[:, 0, 0, 0].numpy()
        np.testing.assert_array_equal(labels, np.eye(4)[numbers % 4])
        seen += numbers.tolist()

    assert len(seen) == len(set(seen)) == 48
    assert set(seen) < set(range(1, 100, 2))


def test_every_epoch_has_another_order_that_the_seed_decides(split: Split) -> None:
    both = flat(training_batches(split, 16, none, seed=1, epochs=2))
    first, second = both[:48], both[48:]
    other = flat(training_batches(split, 16, none, seed=2))

    assert first != second
    assert first != other


def test_the_batches_from_an_epoch_on_do_not_depend_on_the_epochs_before(split: Split) -> None:
    whole = list(training_batches(split, 16, crop_flip, seed=5, epochs=4))
    later = list(training_batches(split, 16, crop_flip, seed=5, first_epoch=2, epochs=4))

    assert (len(whole), len(later)) == (12, 6)
    for (images, labels), (again, labels_again) in zip(whole[6:], later, strict=True):
        np.testing.assert_array_equal(images, again)
        np.testing.assert_array_equal(labels, labels_again)


@pytest.mark.parametrize(("epoch", "first"), [(1, 1), (2, 2)])
def test_a_batch_does_not_depend_on_those_before_it(
    split: Split, everything: list[tuple[np.ndarray, np.ndarray]], epoch: int, first: int
) -> None:
    some = list(training_batches(split, 16, EVERYTHING, seed=5, first_epoch=epoch, first_step=first, epochs=3))

    whole = everything[3 * epoch + first : 9]  # only the first epoch begins in its middle
    assert len(some) == len(whole) > 0
    for (images, labels), (expected, wanted) in zip(some, whole, strict=True):
        np.testing.assert_array_equal(images, expected)
        np.testing.assert_array_equal(labels, wanted)


def test_a_batch_in_parts_has_the_same_images_in_the_same_order(
    split: Split, everything: list[tuple[np.ndarray, np.ndarray]]
) -> None:
    parts = list(training_batches(split, 16, EVERYTHING, seed=5, epochs=2, parts=4))

    assert {len(images) for images, _ in parts} == {4}
    for number, (images, labels) in enumerate(everything[:6]):
        four = parts[4 * number : 4 * number + 4]
        np.testing.assert_array_equal(np.concatenate([part[0] for part in four]), images)
        np.testing.assert_array_equal(np.concatenate([part[1] for part in four]), labels)
    with pytest.raises(UsageError, match="16 images cannot be computed in 3 equal parts"):
        training_batches(split, 16, none, seed=5, parts=3)


def test_batches_that_are_skipped_are_not_read(split: Split) -> None:
    asked: list[int] = []

    class Counting(ArrayImages):
        def read(self, indices: np.ndarray) -> np.ndarray:
            asked.extend(indices.tolist())
            return super().read(indices)

    counted = Split(Counting(split.images.array), split.indices, split.labels, split.task)
    seen = flat(training_batches(counted, 16, none, seed=5, first_step=2))

    assert sorted(asked) == sorted(seen)
    assert len(seen) == 16
    assert flat(training_batches(counted, 16, none, seed=5, first_step=3)) == []


@pytest.mark.parametrize("workers", [2])
def test_workers_share_every_batch_out_between_them(
    split: Split, everything: list[tuple[np.ndarray, np.ndarray]], workers: int
) -> None:
    shares = [
        list(training_batches(split, 16, EVERYTHING, seed=5, epochs=2, worker=(n, workers))) for n in range(workers)
    ]

    for number, (images, labels) in enumerate(everything[:6]):
        np.testing.assert_array_equal(np.concatenate([share[number][0] for share in shares]), images)
        np.testing.assert_array_equal(np.concatenate([share[number][1] for share in shares]), labels)


def test_workers_whose_shares_would_cut_a_mixed_pair_are_refused(split: Split) -> None:
    for mixed in (policy("none", mixup=0.2), policy("none", cutmix=1.0)):
        with pytest.raises(UsageError, match="each of 4 workers 3 images: .* must be a multiple of 8"):
            training_batches(split, 12, mixed, seed=3, worker=(0, 4))
    assert len(list(training_batches(split, 12, policy("none"), seed=3, worker=(0, 4)))) == 4


def test_the_same_seed_gives_the_same_batches_however_many_threads_map_them(
    split: Split, everything: list[tuple[np.ndarray, np.ndarray]]
) -> None:
    batches = training_batches(split, 16, EVERYTHING, seed=5, epochs=3)
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1

    for (images, labels), (again, labels_again) in zip(everything[:9], batches.with_options(options), strict=True):
        np.testing.assert_array_equal(images, again)
        np.testing.assert_array_equal(labels, labels_again)


def test_repeats_show_fewer_images_several_times_each_augmented_anew(split: Split) -> None:
    ramp = (
        np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1) + 4 * np.arange(100, dtype=np.uint8)[:, None, None, None] % 64
    )
    ramped = Split(ArrayImages(ramp), split.indices, split.labels, split.task)
    shown = policy("shift", repeats=4)

    batches = list(training_batches(ramped, 16, shown, seed=1))

    assert len(batches) == 3, "as many as without"
    for images, labels in batches:
        np.testing.assert_array_equal(labels[:4], labels[4:8])
        assert len({image.tobytes() for image in images.numpy()}) > 8, "of 4 images"
    first = flat(training_batches(split, 16, policy("none", repeats=4), seed=1))[:16]
    assert first[:4] * 4 == first
    assert len(set(first)) == 4


def test_balanced_sampling_shows_every_class_as_often_and_a_repeated_image_augmented_anew() -> None:
    labels = np.array([0] * 90 + [1] * 6)
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1), (96, 8, 8, 1))
    images = Split(
        ArrayImages(ramp + labels.astype(np.uint8)[:, None, None, None] * 100), np.arange(96), labels, classes(2)
    )

    seen = list(training_batches(images, 32, policy("shift"), seed=1, sampling="balanced"))

    shown = np.concatenate([label.numpy() for _, label in seen])
    assert shown.sum(axis=0).tolist() == [48, 48]
    rare = {image.tobytes() for batch, label in seen for image in batch.numpy()[label.numpy()[:, 1] == 1]}
    assert len(rare) > 6, "six images, eight times each: nine shifts are possible"


def test_class_weights_follow_the_mixed_labels(split: Split) -> None:
    weights = np.array([1, 2, 3, 4], np.float32)

    for _, labels, counted in training_batches(split, 16, policy("none", mixup=0.4), seed=1, class_weights=weights):
        np.testing.assert_allclose(counted, labels.numpy() @ weights, rtol=1e-6)
        assert len(set(counted.numpy().tolist())) > 4


def test_arrays_are_cut_and_enlarged_inside_the_pipeline() -> None:
    ramp = np.broadcast_to(np.arange(32, dtype=np.uint8)[None, None, :, None] * 8, (64, 32, 32, 1))
    images = Split(ArrayImages(ramp), np.arange(64), np.zeros(64, np.int64), classes(2))

    found = next(iter(training_batches(images, 64, policy("resized-crop", crop_scale=0.2), seed=1)))[0].numpy()

    spans = found[:, 16, -1, 0].astype(int) - found[:, 16, 0, 0]
    assert (spans > 0).all(), "not mirrored"
    assert spans.min() < 130
    assert spans.max() > 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"worker": (2, 2)}, "worker must be"),
        ({"worker": (0, 3)}, "a multiple of 3 workers"),
        ({"sampling": "random"}, "sampling must be one of"),
    ],
)
def test_what_cannot_be_is_refused(split: Split, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        training_batches(split, 16, none, seed=1, **options)


def test_a_split_smaller_than_a_batch_makes_one_batch(split: Split) -> None:
    assert steps_per_epoch(split, 64) == 1
    assert [len(batch) for batch in values(training_batches(split, 64, none, seed=1))] == [50]


def test_evaluation_shows_all_images_in_order(split: Split) -> None:
    assert flat(evaluation_batches(split, 16)) == list(range(1, 100, 2))


@pytest.mark.parametrize(("batch_size", "workers"), [(16, 1), (16, 3), (1, 3), (64, 4), (1, 50)])
def test_workers_evaluate_as_many_batches_none_empty_and_every_image_once(
    split: Split, batch_size: int, workers: int
) -> None:
    shares = [values(evaluation_batches(split, batch_size, worker=(number, workers))) for number in range(workers)]

    assert len({len(share) for share in shares}) == 1
    sizes = {len(batch) for share in shares for batch in share}
    assert min(sizes) > 0
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= max(batch_size, 2)
    assert sorted(number for share in shares for batch in share for number in batch) == list(range(1, 100, 2))


def test_fewer_images_than_workers_are_evaluated_by_each(split: Split) -> None:
    assert flat(evaluation_batches(split, 16, worker=(50, 51))) == list(range(1, 100, 2))


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
    split = Split(ArrayImages(images), np.arange(10), np.zeros(10, np.int64), classes(2))

    assert pixel_statistics(split) == (67.0, 94.0)


def test_the_deviation_of_images_that_are_all_alike_is_not_zero() -> None:
    split = Split(ArrayImages(np.full((3, 4, 4, 1), 7, np.uint8)), np.arange(3), np.zeros(3, np.int64), classes(2))

    assert pixel_statistics(split) == (7.0, 1.0)
