import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.augment.crop_flip import pad_crop
from keras_resnet.augment.policies import POLICIES
from keras_resnet.augment.randomness import SampleRandom


def batch(count: int, dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, (count, 8, 10, 3)).astype(dtype)


def random(count: int) -> SampleRandom:
    return SampleRandom(4, tf.constant(1), tf.range(count))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_it_equals_padding_cropping_and_mirroring_image_by_image(flip: bool, dtype: str) -> None:
    images, numbers = batch(64, dtype), random(64)
    tops, lefts = numbers.integer("crop top", 0, 4).numpy(), numbers.integer("crop left", 0, 4).numpy()
    mirrored = numbers.uniform("flip").numpy() < 0.5

    found = pad_crop(tf.constant(images), numbers, margin=2, flip=flip).numpy()

    for image, result, top, left, mirror in zip(images, found, tops, lefts, mirrored, strict=True):
        crop = np.pad(image, ((2, 2), (2, 2), (0, 0)))[top : top + 8, left : left + 10]
        np.testing.assert_array_equal(result, crop[:, ::-1] if flip and mirror else crop)
    assert found.dtype == images.dtype


def test_half_of_the_images_are_mirrored_and_every_shift_is_as_likely() -> None:
    ramp = np.tile(np.arange(1, 12, dtype=np.uint8)[None, :, None], (11, 1, 1)) * 20
    images = tf.constant(np.repeat(ramp[None], 20_000, axis=0))

    found = pad_crop(images, random(20_000), margin=2, flip=True).numpy()

    middle = found[:, 5, :, 0].astype(int)
    mirrored = middle[:, 4] > middle[:, 6]
    assert mirrored.mean() == pytest.approx(0.5, abs=0.015)
    shifts = np.where(mirrored, 120 - middle[:, 5], middle[:, 5] - 120) // 20
    np.testing.assert_allclose(np.bincount(shifts + 2) / 20_000, 0.2, atol=0.015)


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_does_the_same_eagerly_and_inside_tf_data(name: str) -> None:
    images = tf.constant(batch(16))
    eager = POLICIES[name](images, random(16))

    dataset = tf.data.Dataset.from_tensors(images).map(lambda x: POLICIES[name](x, random(16)))

    np.testing.assert_array_equal(next(iter(dataset)), eager)


def test_policies_do_what_their_names_say() -> None:
    images = tf.constant(batch(256))
    none, shift, crop_flip = (POLICIES[name](images, random(256)).numpy() for name in ("none", "shift", "crop-flip"))

    np.testing.assert_array_equal(none, images)
    unmoved = (shift == images.numpy()).all(axis=(1, 2, 3)).mean()
    assert unmoved == pytest.approx(1 / 9, abs=0.06), "shifts of -1, 0, 1 in two directions"
    assert 0.3 < (crop_flip == shift).all(axis=(1, 2, 3)).mean() < 0.7, "the same crops, half of them mirrored"
