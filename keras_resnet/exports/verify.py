"""Compare an exported file with the model it came from, on real images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_resnet.errors import ModelError
from keras_resnet.inference.predictor import Predictor

LEAST_AGREEMENT = 0.9
"""A file that decides less often as its model does is broken, not just rounded."""

FORGIVEN = 2
"""Images on which a rounded file may always decide otherwise, however few images there are."""


@dataclass(frozen=True)
class Verification:
    """How an exported file compares with its model on the same images.

    Args:
        images: How many were compared.
        agreement: How far both decide alike, as the task counts it; in classification the share of equal classes.
        largest_difference: Of any logit.
        logit_range: From the lowest to the highest logit of the model.
    """

    images: int
    agreement: float
    largest_difference: float
    logit_range: float


def verify(
    exported: Predictor, reference: Predictor, images: np.ndarray, *, tolerance: float | None, called: object = None
) -> Verification:
    """Run an exported file and its model on the same images.

    Args:
        exported: The file.
        reference: The model it came from.
        images: uint8 (n, height, width, channels).
        tolerance: How far a logit may be off, as a share of their range; None: decisions must agree; see `Format`.
        called: What messages call the file; None: its path.

    Raises:
        ModelError: They differ by more than the format explains.
    """
    called = called or exported.path
    ours, theirs = reference.logits(images), exported.logits(images)
    spread = float(ours.max() - ours.min())
    agreed, largest = reference.task.agreement(ours, theirs), float(np.abs(ours - theirs).max())
    found = Verification(len(images), agreed, largest, spread)
    if exported.preprocessing != reference.preprocessing:
        raise ModelError(f"{called} carries another preprocessing than its model")
    differing = round(len(images) * (1 - found.agreement))
    broken = (
        differing > max(FORGIVEN, len(images) * (1 - LEAST_AGREEMENT))
        if tolerance is None
        else not found.largest_difference <= tolerance * (spread or 1)
    )
    if broken:
        raise ModelError(
            f"{called} is not the model it came from: on {len(images)} images its decisions agree to "
            f"{found.agreement:.1%}, logits differ by up to {found.largest_difference:.3g} of a range of {spread:.3g}"
        )
    return found
