import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from keras_resnet.augment.mixing import Mixing, partners
from keras_resnet.augment.randomness import SampleRandom


def random(count: int, step: int = 0, first: int = 0) -> SampleRandom:
    return SampleRandom(7, tf.constant(3), tf.range(first, first + count), tf.constant(step))


def batch(count: int, side: int = 16) -> tuple[tf.Tensor, tf.Tensor]:
    """Image i shows one value everywhere, and has the class i."""
    values = np.arange(count, dtype=np.float32)
    return tf.constant(np.broadcast_to(values[:, None, None, None], (count, side, side, 3))), tf.eye(count)


def test_partners_are_neighbours() -> None:
    assert partners(tf.range(6)).numpy().tolist() == [1, 0, 3, 2, 5, 4]
    assert partners(tf.range(5)).numpy().tolist() == [1, 0, 3, 2, 3]
    assert partners(tf.range(1)).numpy().tolist() == [0]


def test_mixup_mixes_pixels_and_labels_in_the_same_shares_drawn_from_beta() -> None:
    images, labels = batch(4000, 2)

    mixed, mixed_labels = Mixing(mixup=0.3)(images, labels, random(4000))

    own = np.diagonal(mixed_labels.numpy())
    numbers = np.arange(4000)
    expected = own * numbers + (1 - own) * (numbers ^ 1)
    np.testing.assert_allclose(mixed[:, 1, 1, 2], expected, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(mixed_labels.numpy().sum(axis=1), 1, rtol=1e-6)
    assert stats.kstest(own, stats.beta(0.3, 0.3).cdf).pvalue > 0.01


def test_bytes_are_mixed_to_the_nearest_byte() -> None:
    images = tf.constant([[[[0]]], [[[255]]]], tf.uint8)

    mixed, labels = Mixing(mixup=1.0)(images, tf.eye(2), random(2))

    assert mixed.dtype == tf.uint8
    np.testing.assert_allclose(mixed[:, 0, 0, 0], labels[:, 1] * 255, atol=0.501)


def test_cutmix_takes_a_rectangle_from_the_partner_and_its_share_of_the_label() -> None:
    images, labels = batch(3000)

    mixed, mixed_labels = Mixing(cutmix=1.0)(images, labels, random(3000))

    foreign = mixed.numpy()[..., 0] != np.arange(3000)[:, None, None]
    np.testing.assert_array_equal(foreign, foreign.any(axis=2)[:, :, None] & foreign.any(axis=1)[:, None, :])
    taken = mixed.numpy()[foreign][:, 0]
    np.testing.assert_array_equal(taken, np.broadcast_to((np.arange(3000) ^ 1)[:, None, None], foreign.shape)[foreign])
    np.testing.assert_allclose(np.diagonal(mixed_labels.numpy()), 1 - foreign.mean(axis=(1, 2)), atol=1e-5)
    assert foreign.any(axis=0).all(), "every pixel may be taken"
    assert 0.25 < foreign.mean() < 0.45, "a half, less what falls outside"


def test_batches_take_turns_at_random_between_the_two() -> None:
    images, labels = batch(64)

    @tf.function(autograph=False)
    def mix(step: tf.Tensor) -> tf.Tensor:
        numbers = SampleRandom(7, tf.constant(3), tf.range(64), step)
        return Mixing(mixup=0.3, cutmix=1.0)(images, labels, numbers)[0]

    kinds = []
    for step in range(200):
        mixed = mix(tf.constant(step)).numpy()[..., 0]
        flat = np.ptp(mixed.reshape(64, -1), axis=1) == 0
        kinds.append(bool(flat.all()))

    assert np.mean(kinds) == pytest.approx(0.5, abs=0.12)
    assert kinds != sorted(kinds)


@pytest.mark.parametrize("mixing", [Mixing(mixup=0.2), Mixing(cutmix=1.0), Mixing(0.2, 1.0)])
def test_workers_with_whole_pairs_mix_as_one_would(mixing: Mixing) -> None:
    images, labels = batch(12)
    whole, whole_labels = mixing(images, labels, random(12, step=5))

    part, part_labels = mixing(images[4:8], labels[4:8], random(4, step=5, first=4))

    np.testing.assert_array_equal(part, whole[4:8])
    np.testing.assert_array_equal(part_labels, whole_labels[4:8])


def test_without_alphas_nothing_is_mixed() -> None:
    images, labels = batch(4)

    assert not Mixing()
    assert Mixing()(images, labels, random(4)) == (images, labels)
