"""Several views of each test image, whose predictions are averaged: test-time augmentation."""

from __future__ import annotations

import numpy as np

from keras_resnet.errors import UsageError, listed

VIEWS = ("none", "flip", "ten-crop")


def check_views(views: str) -> str:
    """The name itself.

    Raises:
        UsageError: There are no such views.
    """
    if views not in VIEWS:
        raise UsageError(f"test-time augmentation must be one of {listed(VIEWS)}; received {views!r}")
    return views


def views_of(images: np.ndarray, views: str, size: tuple[int, int]) -> list[np.ndarray]:
    """The views of a batch.

    Args:
        images: (batch, height, width, channels); larger than `size` for `ten-crop`, otherwise of it.
        views: `none`; `flip`: the image and its mirror image; `ten-crop`: corners and centre and
            their mirror images (Krizhevsky et al., 2012).
        size: Height and width of a view.

    Returns:
        Arrays (batch, *size, channels).
    """
    crops = [images]
    if check_views(views) == "ten-crop":
        below, right = images.shape[1] - size[0], images.shape[2] - size[1]
        corners = [(0, 0), (0, right), (below, 0), (below, right), (round(below / 2), round(right / 2))]
        crops = [images[:, top : top + size[0], left : left + size[1]] for top, left in corners]
    return crops + [crop[:, :, ::-1] for crop in crops] * (views != "none")
