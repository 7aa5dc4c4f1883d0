"""The learning rate range test: train a few steps at ever higher rates and look where the loss falls and breaks.

Smith, Cyclical Learning Rates for Training Neural Networks, 2015, https://arxiv.org/abs/1506.01186; smoothing,
the end, and the suggestions as in fastai.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from keras_resnet.data.batches import steps_per_epoch
from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import Data, in_memory, load_data
from keras_resnet.errors import UsageError
from keras_resnet.pictures import new_figure, save
from keras_resnet.training.configuration import source_for
from keras_resnet.training.recipe import Recipe
from keras_resnet.training.recipes import recipe as recipe_named

STEPS, FEWEST = 100, 30
PASSES = 5
"""No image is to be shown more often: a loss that falls because images are known by heart says nothing."""
EXPLODED = 4
"""Times the lowest loss."""
LEAST_FALL = 0.005
"""Share of the loss; small, since a network may stand at the loss of guessing for a hundred steps."""


class Steps(Protocol):
    """What the test is made on: `TrialSteps`."""

    def set_rate(self, rate: float) -> None: ...

    def step(self) -> float: ...


@dataclass(frozen=True)
class RateCurve:
    """Losses at rising rates.

    Args:
        rates: Of each step.
        losses: After each step's, smoothed: averages of the losses so far that count later ones more.
        steps: How many were planned; there are fewer rates if the loss exploded.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    steps: int

    @property
    def suggestion(self) -> float | None:
        """A rate in the middle of the longest fall, fastai's "valley"; None if the loss did not fall."""
        first, end = self._trusted
        losses = self.losses[first:end]
        if not losses or min(losses) > (1 - LEAST_FALL) * max(losses[: int(np.argmin(losses)) + 1]):
            return None
        return self.rates[first + valley(losses)]

    @property
    def _trusted(self) -> tuple[int, int]:
        """Not the first tenth, averages of few losses, nor the last five, where it explodes; as in fastai."""
        return len(self.rates) // 10, len(self.rates) - (5 if len(self.rates) > 20 else 0)

    @property
    def lowest(self) -> float:
        """The rate at which the loss is lowest: too high to train with; a tenth of it is a usual choice."""
        return self.rates[int(np.argmin(self.losses))]


def find_learning_rate(
    recipe: Recipe | str,
    data: Data,
    *,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int | None = None,
    start: Callable[[Recipe, ImageData], Steps] | None = None,
) -> RateCurve:
    """Find the learning rate for a recipe on a data set. Writes nothing; the same seed gives the same curve.

    Args:
        recipe: A `Recipe`, or the name of one; its optimizer takes the rates.
        data: As `fit`. What is not divided yet is divided by the recipe's seed.
        lowest, highest: Between these the rate rises exponentially.
        steps: How many; None: 100, fewer (at least 30) where that would show images more than five times.
        start: Sets up what takes the steps; default: `TrialSteps`.

    Raises:
        UsageError: An argument is out of range.
        DataError: The data cannot be read.
    """
    recipe = recipe_named(recipe) if isinstance(recipe, str) else recipe
    if not 0 < lowest < highest < math.inf:
        raise UsageError(f"lowest must be greater than 0 and less than highest; received {lowest} and {highest}")
    if steps is not None and steps < 2:
        raise UsageError(f"steps must be at least 2; received {steps}")
    data = in_memory(data, seed=recipe.seed)
    if not isinstance(data, ImageData):
        data = load_data(source_for(recipe, data))
    steps = steps or min(STEPS, max(FEWEST, PASSES * steps_per_epoch(data.train, recipe.batch_size)))
    if start is None:
        from keras_resnet.tuning.trial import TrialSteps

        start = TrialSteps
    trial = start(recipe, data)
    rates, losses, mean, decay = [], [], 0.0, 1 - 2 / steps
    for number, rate in enumerate(np.geomspace(lowest, highest, steps).tolist()):
        trial.set_rate(rate)
        loss = trial.step()
        mean = decay * mean + (1 - decay) * loss
        smoothed = mean / (1 - decay ** (number + 1))
        if not math.isfinite(smoothed):
            break
        rates.append(rate)
        losses.append(smoothed)
        if smoothed > EXPLODED * min(losses):
            break
    return RateCurve(tuple(rates), tuple(losses), steps)


def valley(losses: Sequence[float]) -> int:
    """The middle of the longest falling subsequence: after its first third and half of its second, as in fastai."""
    lengths, begins = [1] * len(losses), list(range(len(losses)))
    for end, loss in enumerate(losses):
        higher = [before for before in range(end) if losses[before] > loss]
        if higher:
            best = max(higher, key=lengths.__getitem__)
            lengths[end], begins[end] = lengths[best] + 1, begins[best]
    end = int(np.argmax(lengths))
    third = (end - begins[end]) / 3
    return begins[end] + int(third) + int(third / 2)


def rate_picture(
    rates: Sequence[float], losses: Sequence[float], suggestion: float | None, title: str, path: Path
) -> None:
    """The smoothed loss against the learning rate, with the suggested one marked, as a PNG file.

    Args:
        rates, losses: Of each step.
        suggestion: One of the rates, or None.
        title: Above it.
        path: The file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = new_figure(8, 4.5)
    axes = figure.subplots()
    axes.plot(rates, losses, color="#1f77b4")
    axes.set(xscale="log", title=title, xlabel="learning rate", ylabel="loss, smoothed")
    axes.set_ylim(min(losses) * 0.95, max(losses[: max(1, len(losses) // 4)]) * 1.3)
    axes.grid(alpha=0.3)
    if suggestion is not None:
        at = list(rates).index(suggestion)
        axes.plot(suggestion, losses[at], "o", color="#d62728", label=f"suggested: {suggestion:.2g}")
        axes.legend()
    save(figure, path)
