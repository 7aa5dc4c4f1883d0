"""Images that are alike: those whose features point the same way."""

from __future__ import annotations

import numpy as np

from keras_resnet.errors import DataError

VOTERS = 5
"""Neighbours that decide together."""


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
    alike = _directions(queries) @ _directions(features).T
    order = np.argsort(-alike, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(alike, order, axis=1)


def vote_of_neighbours(features: np.ndarray, labels: np.ndarray, voters: int = VOTERS) -> np.ndarray:
    """The class that each image would have by its nearest neighbours, itself left out.

    Neighbours vote with how alike they are (Wu et al., Unsupervised Feature Learning via Non-Parametric Instance
    Discrimination, 2018, at a temperature of 0.07).

    Args:
        features: float (n, features).
        labels: int (n,), from 0.
        voters: How many neighbours vote, at least 1.

    Returns:
        int64 (n,).
    """
    order, alike = nearest(features, features, voters + 1)
    own = order == np.arange(len(features))[:, None]
    own[~own.any(axis=1), -1] = True  # many that are the same: the last of them goes instead
    others = order[~own].reshape(len(features), -1)
    weights = np.exp(alike[~own].reshape(others.shape) / 0.07 - 1 / 0.07)
    votes = np.zeros((len(features), int(labels.max(initial=0)) + 1))
    for column in range(others.shape[1]):
        votes[np.arange(len(features)), labels[others[:, column]]] += weights[:, column]
    return votes.argmax(axis=1)


def _directions(features: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return (features / np.maximum(lengths, 1e-12)).astype(np.float32)
