"""The augmentation of anyone's `tf.data.Dataset`, in anyone's `model.fit`."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.augment.augmentation import Augmentation, content_keys
from keras_resnet.augment.crop import crop_resize
from keras_resnet.augment.policies import Policy, policy
from keras_resnet.augment.randomness import SampleRandom
from keras_resnet.callbacks import ExactCheckpoint
from keras_resnet.errors import UsageError

PIXELS = np.random.default_rng(0).integers(0, 256, (22, 8, 8, 3), np.uint8)
LABELS = np.arange(22) % 3
IMAGES = tf.data.Dataset.from_tensor_slices((PIXELS, LABELS))
Arrays = list[tuple[np.ndarray, ...]]


def arrays(dataset: tf.data.Dataset) -> Arrays:
    return [tuple(np.asarray(part) for part in batch) for batch in dataset]


def same(one: Arrays, other: Arrays) -> bool:
    pairs = [
        (left, right) for batch, twin in zip(one, other, strict=True) for left, right in zip(batch, twin, strict=True)
    ]
    return all(np.array_equal(left, right) for left, right in pairs)


def by_image(batches: Arrays, order: Arrays) -> dict[bytes, bytes]:
    """What became of each image, whatever its batch."""
    pairs = zip(np.concatenate([one[0] for one in order]), np.concatenate([one[0] for one in batches]), strict=True)
    return {before.tobytes(): after.tobytes() for before, after in pairs}


def test_epochs_differ_and_a_seed_repeats_them_in_parallel_too() -> None:
    settings: dict[str, Any] = {"mixup": 0.2, "num_classes": 3}

    def epochs(seed: int, parallel: int | None) -> list[Arrays]:
        train = IMAGES.cache().shuffle(22, seed=3).batch(4)
        train = train.map(Augmentation("crop-flip", seed=seed, **settings), num_parallel_calls=parallel)
        return [arrays(train) for _ in range(3)]

    one = epochs(1, None)

    assert all(same(left, right) for left, right in zip(one, epochs(1, tf.data.AUTOTUNE), strict=True))
    assert not same(one[0], epochs(2, None)[0])
    assert [len(images) for images, _ in one[0]] == [4, 4, 4, 4, 4, 2]
    assert all(labels.dtype == np.float32 and np.allclose(labels.sum(axis=1), 1) for _, labels in one[0])


@pytest.mark.parametrize("is_told", [True, False], ids=["told the epoch", "counting"])
def test_what_becomes_of_an_image_depends_on_the_seed_the_epoch_and_its_pixels_alone(is_told: bool) -> None:
    sorted_ones, shuffled = IMAGES.batch(22), IMAGES.shuffle(22, seed=1, reshuffle_each_iteration=False).batch(5)
    chosen = Policy(steps=policy("shift", greyscale=0.5).steps)
    found = []
    for order in (sorted_ones, shuffled):
        augmentation = Augmentation(chosen, seed=7)
        batches = order.map(augmentation)
        for epoch in range(2):
            augmentation.epoch.assign(epoch if is_told else -1)
            found.append(by_image(arrays(batches), arrays(order)))

    assert found[0] == found[2]
    assert found[1] == found[3]
    assert found[0] != found[1]


def test_it_is_the_augmentation_of_our_own_batches() -> None:
    chosen = policy("resized-crop-flip", layers=[keras.layers.RandomContrast(0.5)])
    augmentation = Augmentation(chosen, seed=4)
    augmentation.epoch.assign(2)
    keys = content_keys(tf.constant(PIXELS))
    random = SampleRandom(4, tf.constant(0), keys, step=0, copies=tf.fill((22,), 2))
    assert chosen.crop is not None
    cut = crop_resize(tf.constant(PIXELS), chosen.crop.boxes(tf.fill((22, 2), 8), random), (8, 8))

    found = augmentation(PIXELS)

    np.testing.assert_array_equal(found, chosen(cut, tf.zeros((22, 1)), random)[0])
    assert (found.numpy() != PIXELS).mean() > 0.5


def test_keys_differ_where_one_pixel_does() -> None:
    changed = PIXELS[:1, :5, :5].repeat(75, axis=0).reshape(75, 75)
    changed[np.arange(75), np.arange(75)] ^= 128  # a bit that a product might lose

    keys = content_keys(tf.constant(changed.reshape(75, 5, 5, 3))).numpy().tolist()

    assert len({*keys, int(content_keys(tf.constant(PIXELS[:1, :5, :5]))[0])}) == 76


class Looks(keras.Model):
    """Keeps what `fit` gives it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[np.ndarray] = []

    def train_step(self, data: Any) -> dict[str, Any]:
        self.seen.append(data[0].numpy())
        return {"loss": 0.0}


def test_fit_tells_the_epoch() -> None:
    def seen(initial_epoch: int) -> list[np.ndarray]:
        model = Looks()
        model.compile(run_eagerly=True)
        augmentation = Augmentation("shift", seed=1)
        train = IMAGES.batch(22).map(augmentation, num_parallel_calls=tf.data.AUTOTUNE)
        model.fit(train, epochs=3, initial_epoch=initial_epoch, callbacks=[augmentation], verbose=0)
        assert int(augmentation.epoch) == -1
        return model.seen

    whole, rest = seen(0), seen(1)

    assert len(whole) == 3
    assert not np.array_equal(whole[0], whole[1])
    np.testing.assert_array_equal(whole[1:], rest)


def test_a_fit_that_goes_on_from_an_exact_checkpoint_ends_with_the_same_bits(tmp_path: Path) -> None:
    class Ends(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                raise KeyboardInterrupt

    def fitted(folder: str, *others: keras.callbacks.Callback) -> np.ndarray:
        keras.backend.clear_session()  # as another process would name layers
        keras.utils.set_random_seed(2)
        layers = [
            keras.Input((8, 8, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
        model = keras.Sequential(layers, name="mine")
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), keras.losses.CategoricalCrossentropy(from_logits=True))
        augmentation = Augmentation("shift", mixup=0.2, num_classes=3, seed=5)
        train = IMAGES.batch(4).map(augmentation, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)
        callbacks = [ExactCheckpoint(tmp_path / folder), augmentation, *others]
        model.fit(train, epochs=3, callbacks=callbacks, verbose=0)
        return np.asarray(model.layers[-1].kernel)

    with pytest.raises(KeyboardInterrupt):
        fitted("killed", Ends())

    np.testing.assert_array_equal(fitted("killed"), fitted("whole"))


@pytest.mark.parametrize(
    ("labels", "settings", "dtype", "shape"),
    [
        (LABELS, {"mixup": 0.2, "num_classes": 3}, "float32", (22, 3)),
        (LABELS[:, None].astype("int32"), {"mixup": 0.2, "num_classes": 3}, "float32", (22, 3)),
        (np.eye(3, dtype="float32")[LABELS], {"cutmix": 1.0}, "float32", (22, 3)),
        (np.eye(3, dtype="int32")[LABELS], {"cutmix": 1.0}, "float32", (22, 3)),
        ((LABELS[:, None] == 1).astype("float32"), {"mixup": 0.2}, "float32", (22, 1)),
        (LABELS.astype("int32"), {}, "int32", (22,)),
        (LABELS.astype("str"), {}, "string", (22,)),
    ],
)
def test_labels_of_every_mode_are_taken(labels: np.ndarray, settings: dict[str, Any], dtype: str, shape: Any) -> None:
    images, found = Augmentation("none", seed=0, **settings)(PIXELS.astype("float32"), tf.constant(labels))

    assert images.dtype == tf.float32
    assert found.dtype.name == dtype
    assert found.shape == shape
    if settings:
        whole = np.eye(3)[LABELS] if shape == (22, 3) else labels
        assert not np.array_equal(found, whole)
        np.testing.assert_allclose(found.numpy().sum(), whole.sum(), rtol=0.35)
    else:
        np.testing.assert_array_equal(found, labels if dtype != "string" else labels.astype("bytes"))
        np.testing.assert_array_equal(images, PIXELS)


def test_weights_come_through_and_images_may_come_alone() -> None:
    augmentation = Augmentation("flip", seed=0)
    weights = np.linspace(0, 1, 22)

    images, labels, found = augmentation(PIXELS, LABELS, weights)

    assert found is weights
    assert labels is LABELS
    with_alone = IMAGES.batch(22).map(lambda images, _: images).map(Augmentation("flip", seed=0))
    np.testing.assert_array_equal(next(iter(with_alone)), images)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"augment": "flip"}, "needs a seed to be repeated by: give seed="),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"seed": 0, "augment": "flop"}, "crop must be one of"),
        ({"seed": 0, "repeats": 2}, "Split.batches shows images several times"),
        ({"seed": 0, "num_classes": 0}, "num_classes must be a whole number of at least 1"),
        ({"seed": 0, "augment": Policy(), "mixup": 0.2}, "augment is a Policy, which has its settings already"),
    ],
)
def test_settings_that_make_none_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Augmentation(**settings)


@pytest.mark.parametrize(
    ("dataset", "settings", "said"),
    [
        (IMAGES, {}, r"takes batches of images; received one of \(8, 8, 3\): batch the data set before"),
        (
            IMAGES.batch(2).map(lambda x, y: (tf.image.resize(x, (y[0] + 3, 8)), y)),
            {},
            r"of one size, known beforehand, .* received \(None, None, 8, 3\)",
        ),
        (IMAGES.batch(2), {"mixup": 0.2}, "become one-hot: give num_classes="),
        (IMAGES.batch(2).map(lambda x, y: x), {"mixup": 0.2}, r"must give \(images, labels\)"),
        (IMAGES.batch(2).map(lambda x, y: (x, y, y)), {"mixup": 0.2}, "without weights"),
        (IMAGES.batch(2).map(lambda x, y: (x, tf.cast(y, tf.float32))), {"mixup": 0.2}, r"received float32 \(None,\)"),
    ],
)
def test_data_that_it_cannot_augment_are_refused_where_they_are_mapped(
    dataset: tf.data.Dataset, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as refusal:
        dataset.map(Augmentation(seed=0, **settings))

    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x, y: (tf.cast(x, tf.float32) / 255, y), "pixels on the 0-255 scale, before any normalisation"),
        (lambda x, y: (tf.cast(x, tf.float32) - 127, y), "pixels on the 0-255 scale"),
        (lambda x, y: (tf.cast(x, tf.float32) + float("nan"), y), "pixels on the 0-255 scale"),
        (lambda x, y: (x, y + 1), r"labels must be whole numbers from 0 to num_classes - 1, 2; received"),
    ],
)
def test_values_that_it_cannot_augment_end_the_reading(change: Any, said: str) -> None:
    train = IMAGES.batch(22).map(change).map(Augmentation("none", mixup=0.2, num_classes=3, seed=0))

    with pytest.raises(tf.errors.InvalidArgumentError, match=said):
        arrays(train)
