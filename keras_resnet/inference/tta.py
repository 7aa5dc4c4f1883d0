"""Several views of each test image, whose predictions are averaged: test-time augmentation."""

from __future__ import annotations

import numpy as np

from keras_resnet.allowed import TTA
from keras_resnet.inference.predictor import Predictor

CROP_SHARE = 0.875  # of a side, as 224 of 256


def check_tta(tta: str) -> str:
    """The name itself.

    Raises:
        UsageError: There is no such kind.
    """
    return str(TTA.checked(tta, "test-time augmentation"))


def views_of(images: np.ndarray, tta: str, size: tuple[int, int]) -> list[np.ndarray]:
    """The views of a batch.

    Args:
        images: (batch, height, width, channels); larger than `size` for `ten-crop`, otherwise of it.
        tta: `none`; `flip`: the image and its mirror image; `ten-crop`: corners and centre and
            their mirror images (Krizhevsky et al., 2012).
        size: Height and width of a view.

    Returns:
        Arrays (batch, *size, channels).
    """
    crops = [images]
    if check_tta(tta) == "ten-crop":
        below, right = images.shape[1] - size[0], images.shape[2] - size[1]
        corners = [(0, 0), (0, right), (below, 0), (below, right), (round(below / 2), round(right / 2))]
        crops = [images[:, top : top + size[0], left : left + size[1]] for top, left in corners]
    return crops + [crop[:, :, ::-1] for crop in crops] * (tta != "none")


def view_size(size: tuple[int, int], tta: str) -> tuple[int, int]:
    """Height and width that images must have for the views of a network that takes `size`."""
    if check_tta(tta) != "ten-crop":
        return size
    return round(size[0] / CROP_SHARE), round(size[1] / CROP_SHARE)


def view_logits(predictor: Predictor, images: np.ndarray, tta: str) -> np.ndarray:
    """A model's logits, of several views those of the mean probability: float32 (batch, classes).

    Args:
        predictor: The model.
        images: uint8 (batch, *view_size, channels).
        tta: See `views_of`.
    """
    seen = views_of(images, tta, predictor.preprocessing.fit.size)
    if len(seen) == 1:
        return predictor.logits(images)
    return predictor.task.mean_logits([predictor.logits(np.ascontiguousarray(view)) for view in seen])
