"""Images that are alike: those whose features point the same way."""

from __future__ import annotations

import numpy as np

from keras_resnet.errors import DataError
from keras_resnet.likeness import closest, closest_others

VOTERS = 5
"""Neighbours that decide together."""
TEMPERATURE = 0.07
"""Of their votes, as Wu et al. have it: a neighbour that is less alike by this has 1/e of the weight."""


def nearest(features: np.ndarray, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The images most like some others, by the cosine of the angle between their features.

    Args:
        features: float (n, features), of the images among which is looked.
        queries: float (q, features), of the others.
        count: How many for each, at least 1; all of them if there are fewer.

    Returns:
        int64 (q, count), which they are, the most alike first; and float32 (q, count), how alike: 1, the same.

    Raises:
        DataError: The two have features of other networks.

    Example:
        >>> import numpy as np
        >>> import keras_resnet
        >>> order, alike = keras_resnet.nearest(np.eye(3), np.array([[0.0, 2.0, 1.0]]), 2)
        >>> order
        array([[1, 2]])
    """
    if features.ndim != 2 or queries.ndim != 2 or features.shape[1] != queries.shape[1]:
        raise DataError(f"features must be of one network; received {features.shape} and {queries.shape}")
    return closest(features, queries, count)


def classify_by_neighbours(
    features: np.ndarray, labels: np.ndarray, queries: np.ndarray, *, voters: int = VOTERS
) -> tuple[np.ndarray, np.ndarray]:
    """Classify images by their nearest neighbours among labelled ones: a classifier that needs no training.

    Neighbours vote with how alike they are (Wu et al., Unsupervised Feature Learning via Non-Parametric Instance
    Discrimination, 2018, at a temperature of 0.07).

    Args:
        features: float (n, features), of the labelled images, at least one.
        labels: int (n,), from 0.
        queries: float (q, features), of the images to classify, by the same network.
        voters: How many neighbours vote, at least 1; all of them if there are fewer.

    Returns:
        int64 (q,), the classes; and float64 (q, classes), the share of the votes that each class has.
        Shares add up to 1, but the voters are few: a share is no probability.

    Raises:
        DataError: There are no labelled images, not a label for each, or features of two networks.

    Example:
        >>> import numpy as np
        >>> import keras_resnet
        >>> features, labels = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), np.array([0, 0, 1])
        >>> found, shares = keras_resnet.classify_by_neighbours(features, labels, np.array([[0.1, 2.0]]))
        >>> found, shares.round(2)
        (array([1]), array([[0., 1.]]))
    """
    if not len(features) or len(labels) != len(features):
        raise DataError(
            f"neighbours vote by labels, one an image; received {len(features)} images, {len(labels)} labels"
        )
    shares = _shares(labels, *nearest(features, queries, voters))
    return shares.argmax(axis=1), shares


def vote_of_neighbours(features: np.ndarray, labels: np.ndarray, voters: int = VOTERS) -> np.ndarray:
    """The class that each image would have by its nearest neighbours, itself left out.

    Args:
        features: float (n, features).
        labels: int (n,), from 0.
        voters: How many neighbours vote, at least 1, as in `classify_by_neighbours`.

    Returns:
        int64 (n,).
    """
    return _shares(labels, *closest_others(features, voters)).argmax(axis=1)


def _shares(labels: np.ndarray, voters: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """The share of the votes that each class has, float64 (q, classes); 0 where nobody votes.

    Args:
        labels: int (n,), of all who may vote.
        voters: int (q, voters), who votes.
        alike: float (q, voters), how alike they are, the most alike first.
    """
    weights = np.exp((alike.astype(np.float64) - alike[:, :1]) / TEMPERATURE)
    votes = np.zeros((len(voters), int(labels.max(initial=0)) + 1))
    for column in range(voters.shape[1]):
        votes[np.arange(len(voters)), labels[voters[:, column]]] += weights[:, column]
    return votes / np.maximum(votes.sum(axis=1, keepdims=True), 1)  # the first alone has a weight of 1
