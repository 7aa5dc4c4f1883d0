import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.loading import from_dataset, merge
from keras_resnet.data.sources import elements
from keras_resnet.errors import DataError, UsageError

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 6, 5, 3)).astype(np.uint8)
LABELS = np.arange(40) % 4


def dataset(images: object = IMAGES, labels: object = LABELS) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((images, labels))


@pytest.mark.parametrize(
    "elements_of",
    [
        dataset(),
        dataset().batch(7),
        dataset(IMAGES.astype(np.float32)),
        dataset(labels=np.eye(4, dtype=np.float32)[LABELS]),
        dataset(labels=np.eye(4)[LABELS]).batch(16),
        dataset(labels=LABELS[:, None]).batch(16),
    ],
    ids=["single", "batched", "floats", "one-hot", "one-hot batched", "column"],
)
def test_elements_become_images_and_labels(elements_of: tf.data.Dataset) -> None:
    data = from_dataset(elements_of, ["a", "b", "c", "d"])

    whole = merge(data)
    np.testing.assert_array_equal(whole.read(slice(None)), IMAGES)
    np.testing.assert_array_equal(whole.labels, LABELS)
    assert data.class_names == ("a", "b", "c", "d")
    assert [len(split) for split in data.splits.values()] == [28, 4, 8]


def test_images_of_several_sizes_are_brought_to_one() -> None:
    def generate():  # type: ignore[no-untyped-def]
        for number in range(20):
            yield np.full((4 + number % 3, 5, 1), number, np.uint8), number % 2

    signature = (tf.TensorSpec((None, 5, 1), tf.uint8), tf.TensorSpec((), tf.int32))
    uneven = tf.data.Dataset.from_generator(generate, output_signature=signature)

    assert merge(from_dataset(uneven, image_size=6)).read(slice(None)).shape == (20, 6, 6, 1)
    with pytest.raises(DataError, match="several sizes, such as .* give image_size"):
        from_dataset(uneven)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dataset().repeat(), "never ends"),
        (dataset().take(0), "is empty"),
        (tf.data.Dataset.from_tensor_slices(IMAGES), "must give .image, label."),
        (dataset(IMAGES[:, 0, 0]), r"images must be .* received the shape \(3,\)"),
        (dataset(labels=LABELS / 2), "labels must be whole numbers"),
        (dataset(labels=np.full((40, 4), 0.25)), "mixed or smoothed"),
        (dataset(IMAGES / 255), "multiply them by 255"),
    ],
    ids=["endless", "empty", "unlabelled", "flat", "fractions", "smoothed", "scaled"],
)
def test_what_is_no_data_set_is_refused(wrong: tf.data.Dataset, message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_dataset(wrong)


def test_a_black_image_among_floats_is_an_image() -> None:
    floats = IMAGES.astype(np.float32)
    floats[3] = 0

    assert merge(from_dataset(dataset(floats))).read(slice(3, 4)).max() == 0


def test_more_than_memory_is_granted_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "memory_for_images", lambda: 500)

    with pytest.raises(DataError, match="take more than the 0.0 GiB of memory"):
        from_dataset(dataset())


def test_arguments_that_are_no_dataset_or_no_size_are_refused() -> None:
    with pytest.raises(DataError, match="expected a tf.data.Dataset; received tuple: pass arrays to from_arrays"):
        from_dataset((np.zeros((4, 8, 8, 3)), np.zeros(4)))  # type: ignore[arg-type]
    with pytest.raises(
        UsageError, match="image_size must be a whole number of at least 1 and at most 16384; received 0"
    ):
        from_dataset(dataset(), image_size=0)
