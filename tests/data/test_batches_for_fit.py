"""`Split.batches`: what anyone's `model.fit` is given."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_resnet
from keras_resnet.augment.policies import policy
from keras_resnet.data.batches import displacing, position_of, training_batches
from keras_resnet.data.images import ImageData
from keras_resnet.errors import UsageError

AUGMENTED: dict[str, Any] = {"augment": "crop-flip", "erasing": 0.5, "mixup": 0.2}


def arrays(dataset: tf.data.Dataset) -> list[tuple[np.ndarray, ...]]:
    return [tuple(part.numpy() for part in batch) for batch in dataset]


def assert_same(found: list[tuple[np.ndarray, ...]], expected: list[tuple[np.ndarray, ...]]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for left, right in zip(one, other, strict=True):
            np.testing.assert_array_equal(left, right)


@pytest.fixture(scope="module")
def of_three_epochs(tiny_data: ImageData) -> list[tuple[np.ndarray, ...]]:
    chosen = policy("crop-flip", erasing=0.5, mixup=0.2)
    return arrays(training_batches(tiny_data.train, 32, chosen, seed=5, epochs=3))


def test_every_iterator_gives_the_next_epoch_with_the_bits_of_our_own_training(
    tiny_data: ImageData, of_three_epochs: list[tuple[np.ndarray, ...]]
) -> None:
    train = tiny_data.train.batches(32, seed=5, **AUGMENTED)

    assert len(train) == len(tiny_data.train) // 32
    assert_same([batch for _ in range(3) for batch in arrays(train)], of_three_epochs)


def test_an_iterator_that_gives_nothing_takes_no_epoch(
    tiny_data: ImageData, of_three_epochs: list[tuple[np.ndarray, ...]]
) -> None:
    train = tiny_data.train.batches(32, seed=5, **AUGMENTED)

    iter(train)  # as Keras makes and throws away

    assert_same(arrays(train), of_three_epochs[: len(train)])


def test_it_goes_on_from_any_batch_of_any_epoch(
    tiny_data: ImageData, of_three_epochs: list[tuple[np.ndarray, ...]]
) -> None:
    train = tiny_data.train.batches(32, seed=5, **AUGMENTED)
    derived = train.map(lambda images, labels: (images, labels)).prefetch(1)
    place = position_of(derived)
    assert place is not None
    assert position_of(train) is place

    place.set(1, step=2)

    rest = [tuple(part.numpy() for part in batch) for batch in derived.take(len(train) - 2)]
    assert_same(rest, of_three_epochs[len(train) + 2 : 2 * len(train)])
    assert_same(arrays(derived), of_three_epochs[2 * len(train) :])
    assert position_of(tiny_data.validation.batches(32)) is None
    assert position_of(np.zeros(3)) is None


def test_what_keeps_the_place_of_batches_is_told_from_what_loses_it(tiny_data: ImageData) -> None:
    train = tiny_data.train.batches(32, seed=5)

    for kept in (train, train.map(lambda *pair: pair).prefetch(2).take(9).with_options(tf.data.Options())):
        assert displacing(kept) is None
    assert displacing(tiny_data.validation.batches(32).cache()) is None, "it has no place"
    for lost, word in {
        train.cache(): "Cache",
        train.repeat().prefetch(2): "Repeat",
        train.shuffle(4).map(lambda *pair: pair): "Shuffle",
        tf.data.Dataset.zip(train, train): "Zip",
        train.unbatch(): "Unbatch",
    }.items():
        assert displacing(lost) == word


def test_fit_trains_on_a_new_epoch_each_time(tiny_data: ImageData) -> None:
    train = tiny_data.train.batches(32, seed=0, augment="shift")
    seen: list[np.ndarray] = []

    class Looks(keras.Model):
        def train_step(self, data: Any) -> dict[str, Any]:
            seen.append(data[0].numpy())
            return {"loss": 0.0}

    model = Looks()
    model.compile(run_eagerly=True)
    model.fit(train, epochs=3, verbose=0)

    expected = arrays(training_batches(tiny_data.train, 32, policy("shift"), seed=0, epochs=3))
    assert_same([(one,) for one in seen], [(images,) for images, _ in expected])


def test_without_a_seed_all_images_come_in_order(tiny_data: ImageData) -> None:
    validation = tiny_data.validation.batches(16)

    found = arrays(validation)

    assert [len(images) for images, _ in found] == [16, len(tiny_data.validation) - 16]
    assert len(validation) == 2
    np.testing.assert_array_equal(np.concatenate([one for one, _ in found]), tiny_data.validation.read(slice(None)))
    labels = np.concatenate([one for _, one in found])
    np.testing.assert_array_equal(labels, np.eye(10, dtype=np.float32)[tiny_data.validation.labels])


def test_labels_may_be_numbers_and_images_may_have_weights(tiny_data: ImageData) -> None:
    plain = arrays(tiny_data.train.batches(32, seed=1, class_weights="balanced"))
    numbered = arrays(tiny_data.train.batches(32, seed=1, labels="int", class_weights="balanced"))

    assert numbered[0][1].dtype == np.int64
    assert_same(numbered, [(images, targets.argmax(1), weights) for images, targets, weights in plain])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"augment": "crop-flip"}, "needs a seed: give"),
        ({"mixup": 0.2}, "needs a seed: give"),
        ({"sampling": "balanced"}, "needs a seed: give"),
        ({"seed": 0, "mixup": 0.2, "labels": "int"}, "labels='int' is for images that have one class each"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"labels": "sparse"}, "labels must be one of 'one-hot', 'int'"),
        ({"seed": 0, "augment": policy("flip"), "mixup": 0.2}, "augment is a Policy, which has its settings already"),
        ({"seed": 0, "augment": "mirror"}, "mirror"),
        ({"seed": 0, "blur": 1}, "blur"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], said: str, tiny_data: ImageData) -> None:
    with pytest.raises((UsageError, TypeError), match=said):
        tiny_data.train.batches(8, **given)


def test_a_users_own_fit_learns_digits_from_it() -> None:
    digits = keras_resnet.load_data(keras_resnet.Source("digits", image_size=8, limit=400))
    train = digits.train.batches(32, augment="shift", seed=0)
    inputs = keras.Input(digits.train.images.shape)
    hidden = keras.layers.Dense(64, "relu")(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs)))
    model = keras.Model(inputs, keras.layers.Dense(10)(hidden))
    rate = keras_resnet.schedules.Cosine(0.1, epochs=12, warmup=1, steps_per_epoch=len(train))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras_resnet.optimizers.SGD(rate, weight_decay=1e-4), loss, metrics=["accuracy"])

    history = model.fit(train, validation_data=digits.validation.batches(64), epochs=12, verbose=0).history

    assert history["val_accuracy"][-1] > 0.6
    assert history["loss"][-1] < 0.6 * history["loss"][0]
