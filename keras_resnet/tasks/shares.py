"""From logits to probabilities and back, in NumPy: SciPy takes longer to import than a `.tflite` file to answer."""

from __future__ import annotations

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities that add up to 1 along the last axis; of the logits' shape and dtype."""
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Their logarithms; exact also where they are 0."""
    below = logits - logits.max(axis=-1, keepdims=True)
    return below - np.log(np.exp(below).sum(axis=-1, keepdims=True))


def log_mean_exp(logs: np.ndarray) -> np.ndarray:
    """The logarithms of the mean probabilities.

    Args:
        logs: Of probabilities; the mean is over the first axis.
    """
    highest = logs.max(axis=0)
    return highest + np.log(np.exp(logs - highest).mean(axis=0))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities each by itself; exact for large negative logits, too."""
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1, small) / (1 + small)


def logit(shares: np.ndarray) -> np.ndarray:
    """The logits that `sigmoid` makes these of, which lie within (0, 1)."""
    return np.log(shares) - np.log1p(-shares)
