"""Whether a map tells what the model goes by: pixels are erased and shown in its order.

Deletion and insertion are those of Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box
Models", 2018. Small squares stand for pixels, as in Samek et al., "Evaluating the Visualization of What a Deep Neural
Network Has Learned", 2017: single pixels that are erased make noise, which changes an answer wherever it is. And what a
map does is compared with what the same map does when it is laid elsewhere: erasing anything lowers a probability.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.inference.predictor import Predictor

CELLS = 28
"""Squares along the longer side, at most: of 8 pixels in images of 224."""
STEPS = 10
"""Parts in which squares are erased and shown."""
BLUR = 22.4
"""The shorter side is so many times the deviation of the blur that insertion begins from: 10 pixels of 224."""
SHIFTS = ((1, 1), (1, 0), (0, 1))
"""By how many halves of the image a map is moved, down and to the right, to lie elsewhere."""
UNSURE = 0.1
"""Below this probability an answer has little to lose, and curves tell little. So do curves that move by less."""
CLEAR, NONE = 0.15, 0.05
"""By how much, of the probability, a map must do better than elsewhere to be called faithful, or partly so."""


@dataclass(frozen=True)
class Faithfulness:
    """How a class's probability changes while pixels are erased, and shown, in the order of a map.

    Args:
        probability: Of the class for the whole image.
        deletion: float64 (steps + 1,), the probability when 0, 1/steps … all of the image is erased.
        insertion: The same when so much of a blurred image is shown as it is.
        deletion_elsewhere, insertion_elsewhere: float64 (shifts, steps + 1), the same in the order of the map laid
            elsewhere, so that it has the same form.
    """

    probability: float
    deletion: np.ndarray
    insertion: np.ndarray
    deletion_elsewhere: np.ndarray
    insertion_elsewhere: np.ndarray

    @property
    def deletion_area(self) -> float:
        """The area under the curve of deletion, 0–1: less is better."""
        return _area(self.deletion)

    @property
    def insertion_area(self) -> float:
        """The area under the curve of insertion, 0–1: more is better."""
        return _area(self.insertion)

    @property
    def gain(self) -> float:
        """By how much insertion less deletion is more than that of the map elsewhere, as a share of the probability.

        Near 0, the place that the map marks is no better than another; it may be negative.
        """
        elsewhere = [
            _area(shown) - _area(erased)
            for erased, shown in zip(self.deletion_elsewhere, self.insertion_elsewhere, strict=True)
        ]
        own = self.insertion_area - self.deletion_area
        return (own - float(np.mean(elsewhere))) / max(self.probability, 1e-9)

    @property
    def _is_still(self) -> bool:
        """Whether the probability hardly moves, whatever is erased."""
        every = [self.deletion, self.insertion, self.deletion_elsewhere, self.insertion_elsewhere]
        return float(np.ptp(np.concatenate([one.ravel() for one in every]))) < UNSURE

    @property
    def verdict(self) -> str:
        """`faithful`, `partly faithful`, `not faithful`, or `cannot tell` where the probability has no way to fall."""
        if self.probability < UNSURE or self._is_still:
            return "cannot tell"
        if self.gain >= CLEAR:
            return "faithful"
        return "partly faithful" if self.gain >= NONE else "not faithful"

    @property
    def text(self) -> str:
        """In plain words."""
        if self.probability < UNSURE:
            return f"cannot tell: the model gives the class {self.probability:.1%}, which leaves little to lose"
        if self._is_still:
            return f"cannot tell: the model stays near {self.probability:.0%}, whatever is erased"
        erased, shown = (_area(one.mean(axis=0)) for one in (self.deletion_elsewhere, self.insertion_elsewhere))
        return (
            f"{self.verdict}: erasing what it marks first leaves {self.deletion_area:.0%} on average, elsewhere "
            f"{erased:.0%}; showing what it marks first gives {self.insertion_area:.0%}, elsewhere {shown:.0%}"
        )

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return {
            "verdict": self.verdict,
            "text": self.text,
            "gain": self.gain,
            "deletion_area": self.deletion_area,
            "insertion_area": self.insertion_area,
            "deletion_area_elsewhere": _area(self.deletion_elsewhere.mean(axis=0)),
            "insertion_area_elsewhere": _area(self.insertion_elsewhere.mean(axis=0)),
            "deletion": self.deletion.tolist(),
            "insertion": self.insertion.tolist(),
        }


def faithfulness(
    predictor: Predictor, image: np.ndarray, number: int, values: np.ndarray, fill: np.ndarray, seed: int = 0
) -> Faithfulness:
    """Erase and show the pixels of an image in the order of a map, and of the same map elsewhere.

    Args:
        predictor: The model.
        image: uint8 (height, width, channels).
        number: Of the class that the map is for.
        values: float (height, width), the map.
        fill: (channels,), the colour of what is erased.
        seed: Orders what the map does not tell apart.
    """
    from scipy.ndimage import gaussian_filter

    height, width = image.shape[:2]
    sigma = min(height, width) / BLUR
    blurred = np.rint(gaussian_filter(image.astype(np.float32), (sigma, sigma, 0))).astype(np.uint8)
    erased = np.broadcast_to(np.rint(fill).astype(np.uint8), image.shape)
    moved = [np.roll(values, (down * height // 2, right * width // 2), (0, 1)) for down, right in SHIFTS]
    frames = [image, erased, blurred]  # where all orders begin and end
    for one in (values, *moved):
        order = _order(one, np.random.default_rng(seed))
        for share in np.arange(1, STEPS) / STEPS:
            reached = (order < round(share * (order.max() + 1)))[..., None]
            frames += [np.where(reached, erased, image), np.where(reached, image, blurred)]
    logits = predictor.logits(np.stack(frames)).astype(np.float64)
    shares = predictor.task.probabilities(logits)[:, number]
    whole, nothing, blur = shares[:3]
    inner = shares[3:].reshape(len(moved) + 1, STEPS - 1, 2)
    deletions = np.pad(inner[..., 0], ((0, 0), (1, 1)), constant_values=((0, 0), (whole, nothing)))
    insertions = np.pad(inner[..., 1], ((0, 0), (1, 1)), constant_values=((0, 0), (blur, whole)))
    return Faithfulness(float(whole), deletions[0], insertions[0], deletions[1:], insertions[1:])


def _order(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """When each pixel's turn comes, int64 (height, width): all of one square together, the largest mean first."""
    side = math.ceil(max(values.shape) / CELLS)
    rows, columns = (np.arange(length) // side for length in values.shape)
    square = rows[:, None] * (columns[-1] + 1) + columns
    means = np.bincount(square.ravel(), values.ravel()) / np.bincount(square.ravel())
    turns = np.empty(len(means), np.int64)
    turns[np.lexsort((random.random(len(means)), -means))] = np.arange(len(means))
    return turns[square]


def _area(curve: np.ndarray) -> float:
    """The area under a curve over shares of an image, by trapezoids."""
    return float((curve[1:] + curve[:-1]).mean() / 2)
