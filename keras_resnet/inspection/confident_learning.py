"""Confident learning: which labels a model contradicts that was not trained on the images.

Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70, 2021.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Contradicted:
    """Labels that a model contradicts: what lies off the diagonal of the confident joint.

    Args:
        positions: int64 (k,): the images, the most contradicted first: by how much likelier the other class is.
        suggested: int64 (k,): the class that the model gives each.
        probability: float (k,): the model's probability of that class.
        sure: The number of images of whose class, whichever it is, the model is sure.
    """

    positions: np.ndarray
    suggested: np.ndarray
    probability: np.ndarray
    sure: int


def contradicted(probabilities: np.ndarray, labels: np.ndarray, least: float = 0.0) -> Contradicted:
    """Find the labels that a model contradicts.

    The model is sure of a class if it gives it at least the probability that it gives, on average, to images with that
    class as their label. So a class that the model is never very sure of is not doubted more than others.

    Args:
        probabilities: float (n, classes), of models that were not trained on the image that they judge: those that
            were have learned its label, wrong or not.
        labels: int64 (n,), in 0 … classes - 1.
        least: The least probability of which the model is sure, however unsure it is of the class elsewhere; in [0, 1].

    Returns:
        The labels of which the model is sure that they are others.

    Example:
        >>> import numpy as np
        >>> said = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9], [0.1, 0.9]])
        >>> found = contradicted(said, np.array([0, 0, 1, 1, 0]))
        >>> found.positions, found.suggested
        (array([4]), array([1]))
    """
    usual = np.full(probabilities.shape[1], np.inf)  # no image has the class: nothing is sure of it
    for label in np.unique(labels):
        usual[label] = probabilities[labels == label, label].mean()
    confident = np.where(probabilities >= np.maximum(usual, least), probabilities, 0)
    row = np.arange(len(labels))
    seen = confident.argmax(axis=1)
    sure = confident[row, seen] > 0
    found = np.flatnonzero(sure & (seen != labels))
    margin = probabilities[found, seen[found]] - probabilities[found, labels[found]]
    found = found[np.argsort(-margin, kind="stable")]
    return Contradicted(found, seen[found], confident[found, seen[found]], int(sure.sum()))
