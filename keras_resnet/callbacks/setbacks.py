"""When a training has gone wrong, and how to say so."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from keras_resnet.errors import DivergedError
from keras_resnet.weights.first_normalisation import FirstStatistics

WINDOW = 100
"""Updates whose losses are remembered."""
LEAST = 20
"""Updates before a loss can be called a spike: there is no usual loss yet."""
TIMES_USUAL = 4.0
TIMES_CHANCE = 2.0
TRIES = 3
RATE_FACTOR = 0.5


class Setback(Exception):
    """The batch after which a training must go back to its last checkpoint.

    Args:
        reason: What is wrong with the loss, in words.
        epoch, step: Of the batch.
    """

    def __init__(self, reason: str, epoch: int, step: int) -> None:
        super().__init__(reason)
        self.reason, self.epoch, self.step = reason, epoch, step


def what_is_wrong(loss: float, recent: Sequence[float], guess: float) -> str | None:
    """Why a training should not continue after this loss; None if it should.

    A spike is four times the usual loss and twice that of a guess: late in a training, when the usual
    loss is near zero, one hard batch may have many times of it, and only what is far worse than
    guessing shows that the weights are ruined.

    Args:
        loss: Of one update.
        recent: Those of updates before, up to `WINDOW`.
        guess: The loss of one who knows nothing.
    """
    if not math.isfinite(loss):
        return f"the loss became {loss}"
    if len(recent) >= LEAST:
        usual = statistics.median(recent)
        if loss > max(TIMES_USUAL * usual, TIMES_CHANCE * guess):
            return f"the loss jumped to {loss:.3g} from a usual {usual:.3g}"
    return None


def diagnosis(
    setback: Setback,
    *,
    rate: float,
    gradient_norms: dict[str, float],
    images: Sequence[str],
    first: FirstStatistics | None,
    kept: object,
) -> DivergedError:
    """The error of a training that has gone wrong too often.

    Args:
        setback: The last one.
        rate: The learning rate at that time, already lowered.
        gradient_norms: Of each group of layers.
        images: Names of the images of the batch; none where they are not known.
        first: What the first normalisation of trained initial weights saw at first; None: they were random.
        kept: Where what was good before is.
    """
    where = f"in epoch {setback.epoch + 1}, batch {setback.step + 1}"
    broken = [name for name, norm in gradient_norms.items() if not math.isfinite(norm)]
    if broken:
        gradients = f"gradients are not finite in {', '.join(broken)}"
    else:
        largest = max(gradient_norms, key=lambda name: gradient_norms[name], default="")
        gradients = f"the largest gradients are in {largest}" if largest else "no gradients are known"
        gradients += f" (norm {gradient_norms[largest]:.3g})" if largest else ""
    begins = f"The batch began with {', '.join(images[:3])}. " if images else ""
    remedy = "Lower --learning-rate, lengthen --warmup-epochs or set --clip norm"
    if first is not None and not first.are_usual:  # no rate makes up for wrong pixels
        remedy = (
            "The pixels are probably normalised otherwise than those that the initial weights were trained on "
            f"({first}): say the weights' own normalisation by --weights-preprocessing"
        )
    return DivergedError(
        f"training diverged: {setback.reason} {where}, {TRIES} times after going back, leaving out the batch and "
        f"lowering the rate, at last to {rate:.3g}; {gradients}. {begins}{remedy}, "
        f"and begin anew by --overwrite; look for odd images or labels "
        f"by `keras-resnet check`. What was good before is kept in {kept}"
    )
