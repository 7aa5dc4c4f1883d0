import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.allowed import AUGMENT, AUTOMATIC
from keras_resnet.augment.policies import policy
from keras_resnet.augment.randomness import SampleRandom
from keras_resnet.errors import UsageError

EVERYTHING = {
    "automatic": "randaugment", "jitter": 0.4, "hue": 0.1, "greyscale": 0.1, "erasing": 0.5, "cutout": 0.25,
    "mixup": 0.2, "cutmix": 1.0,
}  # fmt: skip


def images(count: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).integers(1, 256, (count, 8, 10, 3)).astype(np.uint8))


def labels(count: int) -> tf.Tensor:
    return tf.one_hot(tf.range(count) % 4, 4)


def random(count: int, epoch: int = 1, step: int = 0) -> SampleRandom:
    return SampleRandom(4, tf.constant(epoch), tf.range(count), tf.constant(step))


@pytest.mark.parametrize(
    ("crop", "options"),
    [
        ("none", {}),
        ("crop-flip", EVERYTHING | {"automatic": "none"}),
        ("crop-flip", {"automatic": "trivialaugment"}),
        pytest.param("crop-flip", EVERYTHING, marks=pytest.mark.slow),
        *(
            pytest.param("crop-flip", {"automatic": name}, marks=pytest.mark.slow)
            for name in AUTOMATIC.choices
            if name not in ("trivialaugment", EVERYTHING["automatic"])
        ),
    ],
    ids=str,
)
def test_a_policy_does_the_same_eagerly_and_inside_tf_data(crop: str, options: dict[str, object]) -> None:
    chosen = policy(crop, **options)
    eager = chosen(images(16), labels(16), random(16))

    dataset = tf.data.Dataset.from_tensors((images(16), labels(16)))
    found = next(iter(dataset.map(lambda x, y: chosen(x, y, random(16)))))

    for one, other in zip(eager, found, strict=True):
        np.testing.assert_array_equal(one, other)
    assert eager[0].dtype == tf.uint8
    assert found[0].shape == (16, 8, 10, 3)
    np.testing.assert_allclose(tf.reduce_sum(found[1], axis=1), 1.0, rtol=1e-6)


def test_policies_do_what_their_names_say() -> None:
    none, shift, crop_flip, flip = (
        policy(name)(images(256), labels(256), random(256))[0].numpy()
        for name in ("none", "shift", "crop-flip", "flip")
    )

    original = images(256).numpy()
    np.testing.assert_array_equal(none, original)
    unmoved = (shift == original).all(axis=(1, 2, 3)).mean()
    assert unmoved == pytest.approx(1 / 9, abs=0.06), "shifts of -1, 0, 1 in two directions"
    assert 0.3 < (crop_flip == shift).all(axis=(1, 2, 3)).mean() < 0.7, "the same crops, half of them mirrored"
    assert 0.3 < (flip == original).all(axis=(1, 2, 3)).mean() < 0.7


@pytest.mark.parametrize("name", [name for name in EVERYTHING if name != "hue"])
def test_each_part_of_a_policy_changes_something(name: str) -> None:
    with_it = policy("none", **{name: EVERYTHING[name]})(images(64), labels(64), random(64))

    assert (with_it[0].numpy() != images(64).numpy()).any()
    mixed = (with_it[1].numpy() != labels(64).numpy()).any()
    assert mixed == (name in ("mixup", "cutmix"))


def test_only_resized_crops_cut_before_the_steps() -> None:
    assert [name for name in AUGMENT.choices if policy(name).crop] == ["resized-crop", "resized-crop-flip"]
    assert policy("resized-crop", crop_scale=0.3).crop.scale == (0.3, 1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": "zoom"}, "crop must be one of 'none'"),
        ({"automatic": "fastaugment"}, "automatic must be one of"),
        ({"erasing": 1.5}, "erasing must be a number of at least 0 and at most 1; received 1.5"),
        ({"cutout": -0.1}, "cutout must be a number of at least 0 and at most 1"),
        ({"mixup": -1}, "mixup must be a number of at least 0"),
        ({"magnitude": 31}, "magnitude must be a whole number of at least 0 and at most 30"),
        ({"hue": 0.6}, "hue must be a number of at least 0 and at most 0.5"),
        ({"repeats": 0}, "repeats must be a whole number of at least 1"),
    ],
)
def test_what_cannot_be_is_refused_by_name(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        policy(**{"crop": "none", **options})
