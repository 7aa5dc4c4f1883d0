"""Learning rates over a training: constant, steps, cosine, one-cycle, each after a linear warm-up.

A schedule maps the number of updates done to the rate of the next one: `schedule(0)` is the rate of
the first update. This is PyTorch's convention too (`scheduler.get_last_lr()` before the update). The
rates are computed in float32 from whole numbers of steps, and near the end of a cosine from the steps
that remain, so that they keep six digits over millions of steps.

Each is a Keras `LearningRateSchedule` that any Keras optimizer takes, and is told how long the training is in epochs or
in updates:

    >>> import keras, keras_resnet
    >>> rate = keras_resnet.schedules.Cosine(0.1, epochs=90, warmup=5, steps_per_epoch=100)
    >>> optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    >>> [round(float(rate(update)), 3) for update in (0, 250, 500, 4750, 9000)]
    [0.0, 0.05, 0.1, 0.05, 0.0]
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from keras_resnet.allowed import SCHEDULE
from keras_resnet.errors import UsageError, listed
from keras_resnet.pictures import new_figure, save
from keras_resnet.settings import check_arguments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Tensor = Any
DRAWN = 500
"""Updates that a picture shows at most."""
USUAL_DIVISION = 25.0
"""The highest rate of a one-cycle divided by its first, as in PyTorch."""


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that begins with a linear warm-up; subclasses say how it goes on.

    How long the training is, is said by `epochs` and `steps_per_epoch`, and then all that follows is counted in epochs,
    or by `steps`, in updates.

    Args:
        peak: The rate that all others are parts of; positive.
        steps: Updates in the whole training; at least 1.
        warmup_steps: Updates before the schedule proper begins. At most `steps - 1` are taken, so that the last
            update of even the shortest training has its full rate.
        warmup_from: The first update's rate as a part of the rate that the warm-up ends at, in [0, 1].
        epochs: Epochs in the whole training, in place of `steps`; positive.
        warmup: Epochs, or parts of one, before the schedule proper begins, in place of `warmup_steps`.
        steps_per_epoch: Updates in an epoch, `len` of the training data; with `epochs`.

    Raises:
        UsageError: A setting is out of range, or lengths are given in both ways or none.

    Example:
        >>> import keras_resnet
        >>> class Falling(keras_resnet.schedules.Schedule):
        ...     def after_warmup(self, step):
        ...         return self.peak * (1 - step / self.steps)
        >>> rate = Falling(0.5, epochs=10, warmup=2, steps_per_epoch=5)
        >>> [round(float(rate(update)), 3) for update in (0, 5, 10, 30, 50)]
        [0.0, 0.2, 0.4, 0.2, 0.0]
    """

    def __init__(
        self,
        peak: float,
        steps: int | None = None,
        warmup_steps: int = 0,
        warmup_from: float = 0.0,
        *,
        epochs: float | None = None,
        warmup: float = 0.0,
        steps_per_epoch: int | None = None,
    ) -> None:
        super().__init__()
        if (steps is None) == (epochs is None) or (epochs is None) != (steps_per_epoch is None):
            raise UsageError(
                "a schedule is told how long the training is: by epochs= and steps_per_epoch= (the len of the training "
                f"data), or by steps=; received epochs={epochs}, steps_per_epoch={steps_per_epoch}, steps={steps}"
            )
        if (warmup if steps is not None else warmup_steps) != 0:
            raise UsageError("the warm-up is counted as the training is: warmup= in epochs, warmup_steps= in updates")
        self._unit = 1
        if steps is None:
            assert steps_per_epoch is not None
            assert epochs is not None
            require(steps_per_epoch >= 1, "steps_per_epoch must be at least 1", steps_per_epoch)
            require(0 < epochs < math.inf, "epochs must be positive", epochs)
            self._unit = steps_per_epoch
            steps, warmup_steps = self.updates(epochs), round(warmup * steps_per_epoch)
        require(0 < peak < math.inf, "the learning rate must be positive", peak)
        require(steps >= 1, "a schedule needs at least one step", steps)
        require(warmup_steps >= 0, "warmup_steps must be at least 0", warmup_steps)
        require(0 <= warmup_from <= 1, "warmup_from must lie in 0–1", warmup_from)
        self.peak, self.steps = float(peak), int(steps)
        self.warmup_steps, self.warmup_from = min(int(warmup_steps), self.steps - 1), float(warmup_from)

    def __call__(self, step: Tensor) -> Tensor:
        """The rate of the update after `step` others, a float32 scalar; after the end the last rate."""
        step = ops.minimum(ops.convert_to_tensor(step), self.steps)
        begin = self.warmup_steps
        rate = ops.cast(self.after_warmup(ops.maximum(step, begin)), "float32")  # of whole numbers it may be float64
        if not begin:
            return rate
        climbed = self.warmup_from + (1 - self.warmup_from) / begin * ops.cast(ops.minimum(step, begin), "float32")
        return rate * ops.where(step < begin, climbed, 1.0)

    def after_warmup(self, step: Tensor) -> Tensor:
        """The rate after `step` updates, a whole number in `warmup_steps` … `steps`."""
        raise NotImplementedError

    def updates(self, length: float) -> int:
        """A length in the unit of this schedule, epochs or updates, as a number of updates; at least 1."""
        return max(1, round(length * self._unit))

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw the rate over the training.

        Args:
            path: Where to write the picture, a PNG file; None: nowhere.

        Returns:
            A matplotlib figure, which a notebook shows.

        Raises:
            MissingExtraError: matplotlib is not installed.

        Example:
            >>> import keras_resnet
            >>> figure = keras_resnet.schedules.OneCycle(0.1, steps=100).plot()
        """
        figure = new_figure(6, 3)
        axes = figure.subplots()
        steps = np.unique(np.linspace(0, self.steps - 1, min(self.steps, DRAWN)).astype(np.int64))
        axes.plot(steps, [float(ops.convert_to_numpy(self(step))) for step in steps])
        axes.set(title=type(self).__name__, xlabel="update", ylabel="learning rate", ylim=(0, None))
        axes.grid(alpha=0.3)
        if path is not None:
            save(figure, Path(path))
        return figure

    def get_config(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


@keras.saving.register_keras_serializable(package="keras_resnet")
class Constant(Schedule):
    """The same rate to the end.

    Example:
        >>> import keras_resnet
        >>> float(keras_resnet.schedules.Constant(0.5, epochs=2, steps_per_epoch=10)(7))
        0.5
    """

    def after_warmup(self, step: Tensor) -> Tensor:
        return self.peak * ops.ones((), "float32")


@keras.saving.register_keras_serializable(package="keras_resnet")
class MultiStep(Schedule):
    """A rate multiplied by `factor` at each of some steps, counted from the beginning of the training.

    Args:
        *args: As of `Schedule`.
        milestones: The updates, or epochs, before which the rate falls.
        factor: Positive.
        **options: As of `Schedule`.

    Example:
        >>> import keras_resnet
        >>> rate = keras_resnet.schedules.MultiStep(0.1, epochs=90, milestones=[30, 60], steps_per_epoch=10)
        >>> [round(float(rate(10 * epoch)), 4) for epoch in (29, 30, 60)]
        [0.1, 0.01, 0.001]
    """

    def __init__(self, *args: Any, milestones: Sequence[float], factor: float = 0.1, **options: Any) -> None:
        super().__init__(*args, **options)
        require(all(milestone > 0 for milestone in milestones), "milestones must be positive", list(milestones))
        require(0 < factor < math.inf, "factor must be positive", factor)
        self.milestones, self.factor = [self.updates(milestone) for milestone in milestones], float(factor)

    def after_warmup(self, step: Tensor) -> Tensor:
        passed = sum(
            (ops.cast(step >= milestone, "float32") for milestone in self.milestones), ops.zeros((), "float32")
        )
        return self.peak * ops.power(self.factor, passed)


@keras.saving.register_keras_serializable(package="keras_resnet")
class Step(Schedule):
    """A rate multiplied by `factor` every so many updates, counted from the beginning of the training.

    Args:
        *args: As of `Schedule`.
        every: Updates, at least 1; or epochs, where parts of an epoch count as 1 update at least.
        factor: Positive.
        **options: As of `Schedule`.

    Example:
        >>> import keras_resnet
        >>> rate = keras_resnet.schedules.Step(0.1, epochs=100, every=30, steps_per_epoch=10)
        >>> [round(float(rate(10 * epoch)), 4) for epoch in (29, 30, 60, 90)]
        [0.1, 0.01, 0.001, 0.0001]
    """

    def __init__(self, *args: Any, every: float, factor: float = 0.1, **options: Any) -> None:
        super().__init__(*args, **options)
        if options.get("epochs") is None:
            require(every >= 1, "every must be a whole number of at least 1", every)
        require(0 < every < math.inf, "every must be positive", every)
        require(0 < factor < math.inf, "factor must be positive", factor)
        self.every, self.factor = self.updates(every), float(factor)

    def after_warmup(self, step: Tensor) -> Tensor:
        return self.peak * ops.power(self.factor, ops.cast(ops.floor_divide(step, self.every), "float32"))


@keras.saving.register_keras_serializable(package="keras_resnet")
class Cosine(Schedule):
    """A rate that falls by half a cosine from the warm-up's end to `floor` at the end (Loshchilov & Hutter, 2016).

    Args:
        *args: As of `Schedule`.
        floor: The last rate, from 0 to `peak`.
        **options: As of `Schedule`.

    Example:
        >>> import keras_resnet
        >>> rate = keras_resnet.schedules.Cosine(0.1, epochs=30, warmup=2, steps_per_epoch=10, floor=0.01)
        >>> [round(float(rate(10 * epoch)), 3) for epoch in (0, 1, 2, 16, 30)]
        [0.0, 0.05, 0.1, 0.055, 0.01]
    """

    def __init__(self, *args: Any, floor: float = 0.0, **options: Any) -> None:
        super().__init__(*args, **options)
        require(0 <= floor <= self.peak, f"floor must lie between 0 and the peak {self.peak}", floor)
        self.floor = float(floor)

    def after_warmup(self, step: Tensor) -> Tensor:
        remaining = ops.cast(self.steps - step, "float32") / (self.steps - self.warmup_steps)
        return cosine_between(self.floor, self.peak, remaining)


@keras.saving.register_keras_serializable(package="keras_resnet")
class OneCycle(Schedule):
    """A rate that climbs to `peak` and falls far below where it began (Smith & Topin, 2018), as `OneCycleLR`.

    Args:
        *args: As of `Schedule`.
        climb: The part of the steps after the warm-up in which the rate climbs, in [0, 1].
        anneal: `cosine` or `linear`, for both ways.
        initial_division: The first rate is `peak` divided by this.
        final_division: The last rate, of update `steps - 1`, is the first divided by this.
        **options: As of `Schedule`.

    Example:
        >>> import keras_resnet
        >>> rate = keras_resnet.schedules.OneCycle(0.1, epochs=10, steps_per_epoch=10)
        >>> [round(float(rate(update)), 6) for update in (0, 29, 64, 99)]
        [0.004, 0.1, 0.05, 0.0]
    """

    def __init__(
        self,
        *args: Any,
        climb: float = 0.3,
        anneal: str = "cosine",
        initial_division: float = USUAL_DIVISION,
        final_division: float = 1e4,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        require(0 <= climb <= 1, "climb must lie in 0–1", climb)
        require(anneal in ANNEALS, f"anneal must be one of {listed(ANNEALS)}", anneal)
        require(initial_division >= 1, "initial_division must be at least 1", initial_division)
        require(final_division >= 1, "final_division must be at least 1", final_division)
        self.climb, self.anneal = float(climb), anneal
        self.initial_division, self.final_division = float(initial_division), float(final_division)

    def after_warmup(self, step: Tensor) -> Tensor:
        between = ANNEALS[self.anneal]
        done = ops.cast(step - self.warmup_steps, "float32")
        length = self.steps - self.warmup_steps
        top, end = self.climb * length - 1, length - 1
        first = self.peak / self.initial_division
        up = between(first, self.peak, done / top if top > 0 else ops.ones_like(done))
        left = (end - done) / (end - max(top, 0.0)) if end > max(top, 0.0) else ops.zeros_like(done)
        down = between(first / self.final_division, self.peak, ops.clip(left, 0.0, 1.0))
        return ops.where(done <= top, up, down)


def cosine_between(low: float, high: float, part: Tensor) -> Tensor:
    """Half a cosine; exact near `low`, where 1 + cos would cancel.

    Args:
        low: Where it begins.
        high: Where it ends.
        part: From 0 to 1.
    """
    return low + (high - low) * ops.square(ops.sin(math.pi / 2 * part))


def linear_between(low: float, high: float, part: Tensor) -> Tensor:
    """A straight line.

    Args:
        low: Where it begins.
        high: Where it ends.
        part: From 0 to 1.
    """
    return low + (high - low) * part


def require(holds: bool, rule: str, received: object) -> None:
    """Refuse a setting that breaks a rule.

    Args:
        holds: Whether it keeps to the rule.
        rule: For the message: "factor must be positive".
        received: The setting's value.

    Raises:
        UsageError: It does not keep to the rule.
    """
    if not holds:
        raise UsageError(f"{rule}; received {received}")


ANNEALS: dict[str, Callable[[float, float, Tensor], Tensor]] = {"cosine": cosine_between, "linear": linear_between}

_SHAPES: dict[str, tuple[type[Schedule], tuple[str, ...]]] = {
    "constant": (Constant, ()),
    "step": (Step, ("every", "factor")),
    "multistep": (MultiStep, ("milestones", "factor")),
    "cosine": (Cosine, ("floor",)),
    "one-cycle": (OneCycle, ("climb", "anneal", "initial_division", "final_division")),
}


@check_arguments(kind=SCHEDULE)
def schedule(
    kind: str,
    peak: float,
    steps: int,
    *,
    warmup_steps: int = 0,
    warmup_from: float = 0.0,
    milestones: Sequence[int] = (),
    factor: float = 0.1,
    every: int = 0,
    floor: float = 0.0,
    climb: float = 0.3,
    anneal: str = "cosine",
    initial_division: float = USUAL_DIVISION,
    final_division: float = 1e4,
) -> Schedule:
    """The learning rate over a training.

    Args:
        kind: `constant`; `step`, × `factor` every `every` updates; `multistep`, × `factor` at each of the
            `milestones`; `cosine`, down to `floor`; `one-cycle`, see `OneCycle`.
        peak: The highest rate.
        steps: Updates in the whole training, the warm-up's included.
        warmup_steps: Updates of a linear climb before; what follows fills the rest.
        warmup_from: The first update's rate as a part of the rate the climb leads to, in [0, 1].
        milestones, every: Counted in updates from the beginning of the training.
        factor: Positive.
        floor: A rate of at most `peak`.
        climb, anneal, initial_division, final_division: Of `one-cycle`.

    Raises:
        UsageError: A setting is out of range.

    Example:
        >>> from keras_resnet.schedules import schedule
        >>> schedule("step", 0.1, 90, every=30).get_config()["every"]
        30
    """
    shape, takes = _SHAPES[kind]
    given: dict[str, Any] = {
        "milestones": milestones,
        "factor": factor,
        "every": every,
        "floor": floor,
        "climb": climb,
        "anneal": anneal,
        "initial_division": initial_division,
        "final_division": final_division,
    }
    own = {name: given[name] for name in takes}
    return shape(peak, steps, warmup_steps=warmup_steps, warmup_from=warmup_from, **own)
