"""Bags of visual words."""

import sys

import numpy as np
import pytest

from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import from_arrays
from keras_resnet.errors import MissingExtraError
from keras_resnet.experiments.baselines import baselines
from keras_resnet.experiments.sift import BagOfWords, sift


def test_an_image_is_the_roots_of_its_shares_of_words() -> None:
    first, second = np.zeros(128, np.uint8), np.zeros(128, np.uint8)
    first[:4], second[60:] = 100, 9
    images = np.stack([[first] * 4, [second] * 4, [first, second, second, second]])

    bags = BagOfWords(seed=0, words=2).fit(images).transform(images)

    assert sorted(bags[0].tolist()) == [0, 1]
    np.testing.assert_array_equal(bags[1], bags[0][::-1])
    np.testing.assert_allclose(bags[2] ** 2, 0.25 * bags[0] + 0.75 * bags[1], atol=1e-6)
    faint = (images // 9).astype(np.uint8)
    np.testing.assert_array_equal(BagOfWords(seed=0, words=2).fit(images).transform(faint), bags)


def test_without_opencv_the_extra_is_named_before_anything_is_trained(
    tiny_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)

    with pytest.raises(MissingExtraError, match=r"keras-resnet-kit\[sift\]"):
        sift(np.zeros((1, 32, 32, 3), np.uint8))
    with pytest.raises(MissingExtraError, match=r"keras-resnet-kit\[sift\]"):
        baselines(tiny_data, ["vgg16", "sift-svm"], verbose=False)


def test_sift_tells_textures_apart_wherever_they_lie() -> None:
    pytest.importorskip("cv2", reason="the extra 'sift' is not installed")
    random, labels = np.random.default_rng(0), np.arange(80) % 2
    across = (np.arange(32) // 4 % 2 * 150)[None, :] + np.zeros((32, 1))
    images = np.stack([np.roll(across.T if label else across, random.integers(8), axis=(0, 1)) for label in labels])
    images = (images[..., None] + random.integers(0, 60, (80, 32, 32, 3))).astype(np.uint8)

    described = sift(images[:2])
    (row,) = baselines(from_arrays(images, labels, ["across", "down"]), ["sift-svm"], verbose=False).rows

    assert described.shape == (2, 98, 128)
    np.testing.assert_array_equal(described, sift(images[:2]))
    assert row.accuracy == 1
    assert sift(images[:1, :12, :8, :1]).shape == (1, 98, 128), "smaller and grey"
