"""A bag of visual words: images described by how often each of a vocabulary of SIFT descriptors comes in them."""

from __future__ import annotations

from typing import Self

import numpy as np

from keras_resnet.errors import MissingExtraError

PLACES = 7
"""Of descriptors along each side."""
PATCHES = (0.25, 0.5)
"""Sides of the described patches, as shares of the image's shorter side."""
LEAST_SIDE = 32
"""Smaller images are enlarged: a descriptor has 4 × 4 cells."""
CELLS_OF_A_POINT = 6
"""OpenCV's descriptor of a point of size 1 is so many pixels wide: 4 cells of 1.5."""
DESCRIPTOR = 128
WORDS = 256
MOST_DESCRIPTORS = 50_000
"""Of which the vocabulary is made."""


def sift(images: np.ndarray) -> np.ndarray:
    """Describe images by SIFT descriptors on a regular grid.

    After Lowe (Distinctive Image Features from Scale-Invariant Keypoints, 2004), by OpenCV. On a grid, as Fei-Fei and
    Perona (A Bayesian Hierarchical Model for Learning Natural Scene Categories, 2005) found better for whole images:
    of small ones Lowe's own detector finds but a few points. 7 × 7 places, patches of a quarter and of half of the
    shorter side, without turning them upright.

    Args:
        images: uint8 (n, height, width, channels), 1 channel or red, green, blue.

    Returns:
        uint8 (n, 98, 128), the descriptors of each image.

    Raises:
        MissingExtraError: OpenCV is not installed; the message names the extra.

    Example:
        >>> import numpy as np
        >>> from keras_resnet.experiments.sift import sift
        >>> sift(np.zeros((2, 48, 32, 3), np.uint8)).shape  # doctest: +SKIP
        (2, 98, 128)
    """
    try:
        import cv2
    except ImportError:
        raise MissingExtraError("describing images by SIFT", "sift") from None
    height, width = images.shape[1:3]
    factor = max(1, -(-LEAST_SIDE // min(height, width)))
    height, width = height * factor, width * factor
    points = [
        cv2.KeyPoint(float(x), float(y), patch * min(height, width) / CELLS_OF_A_POINT, 0.0)
        for patch in PATCHES
        for y in (np.arange(PLACES) + 0.5) * height / PLACES - 0.5
        for x in (np.arange(PLACES) + 0.5) * width / PLACES - 0.5
    ]
    describer = cv2.SIFT_create()
    found = np.empty((len(images), len(points), DESCRIPTOR), np.uint8)
    for number, image in enumerate(images):
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.shape[2] == 3 else np.ascontiguousarray(image[..., 0])
        grey = cv2.resize(grey, (width, height)) if factor > 1 else grey
        found[number] = describer.compute(grey, points)[1]  # whole numbers of 0 to 255
    return found


class BagOfWords:
    """Counts visual words, as Csurka et al. (Visual Categorization with Bags of Keypoints, 2004).

    The vocabulary are the middles of 256 clusters of training descriptors (k-means). Of an image's shares of words the
    roots are taken, so that a linear classifier compares them by Hellinger's kernel (Arandjelović and Zisserman, Three
    Things Everyone Should Know to Improve Object Retrieval, 2012); those of the descriptors, too.

    Args:
        seed: Of the clusters.
        words: How many, at least 2.

    Example:
        >>> import numpy as np
        >>> from keras_resnet.experiments.sift import BagOfWords
        >>> descriptors = np.random.default_rng(0).integers(0, 256, (20, 98, 128), np.uint8)
        >>> bag = BagOfWords(seed=0, words=8).fit(descriptors).transform(descriptors)
        >>> bag.shape, bool(np.allclose((bag**2).sum(1), 1))
        ((20, 8), True)
    """

    def __init__(self, seed: int, words: int = WORDS) -> None:
        self.seed, self.words = seed, words

    def fit(self, descriptors: np.ndarray) -> Self:
        """Find the vocabulary.

        Args:
            descriptors: uint8 (n, descriptors of an image, 128), of training images.

        Returns:
            Itself.
        """
        from sklearn.cluster import MiniBatchKMeans

        every = descriptors.reshape(-1, descriptors.shape[-1])
        if len(every) > MOST_DESCRIPTORS:
            every = every[np.random.default_rng(self.seed).choice(len(every), MOST_DESCRIPTORS, replace=False)]
        self._clusters = MiniBatchKMeans(min(self.words, len(every)), random_state=self.seed, n_init=1, batch_size=2048)
        self._clusters.fit(_roots(every))
        return self

    def transform(self, descriptors: np.ndarray) -> np.ndarray:
        """Count the words of images.

        Args:
            descriptors: As `fit`, of any images.

        Returns:
            float32 (n, words), the roots of their shares.
        """
        words = len(self._clusters.cluster_centers_)
        nearest = self._clusters.predict(_roots(descriptors.reshape(-1, descriptors.shape[-1])))
        places = nearest.reshape(descriptors.shape[:2]) + words * np.arange(len(descriptors))[:, None]
        counts = np.bincount(places.ravel(), minlength=words * len(descriptors)).reshape(-1, words)
        return np.sqrt(counts / descriptors.shape[1]).astype(np.float32)


def _roots(descriptors: np.ndarray) -> np.ndarray:
    """Roots of descriptors that sum to 1; a patch without any gradient stays 0."""
    values = descriptors.astype(np.float32)
    return np.sqrt(values / np.maximum(values.sum(1, keepdims=True), 1))
