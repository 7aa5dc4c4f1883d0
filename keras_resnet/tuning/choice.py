"""A network and a number of epochs that fit a time, chosen by timing a few real steps on this machine.

The run records its budget, by which the same command finds the choice again.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnet.allowed import seconds
from keras_resnet.data.batches import steps_per_epoch
from keras_resnet.data.images import ImageData
from keras_resnet.errors import ModelError, UsageError
from keras_resnet.models.counting import cost
from keras_resnet.models.variants import spec
from keras_resnet.runs.run import Run
from keras_resnet.training.recipe import Recipe
from keras_resnet.weights.pretrained import is_name, pretrained

SMALL_SIDE = 64
SMALL_LADDER = ("resnet8", "resnet20", "resnet56", "wrn16_4", "resnet18")
LARGE_LADDER = ("resnet8", "resnet18", "resnet50")
MARGIN = 0.9
"""Share of the time that is planned with: steps do not all take as long as those that were timed."""
HEADROOM = 2
"""By how much a larger network may be quicker an operation than any before it, and is timed to see."""
EPOCH_END = 0.2
"""Seconds of each epoch's end beside validation: its checkpoint, records and look at the network's state."""
TIMED_STEPS = 5


@dataclass(frozen=True)
class Timing:
    """How long a network takes on this machine, in seconds.

    Args:
        start: From nothing to the first update and the first evaluation.
        step: An update after that.
        image: The evaluation of one image.
    """

    start: float
    step: float
    image: float


Timer = Callable[[Recipe, ImageData], Timing]


@dataclass(frozen=True)
class Candidate:
    """A network that a budget might choose.

    Args:
        model: Its name.
        macs: Multiply-accumulates for one image.
        timing: None: not timed, being too slow even at twice the best speed seen before.
        epoch: Seconds of an epoch with its validation; where it was not timed, at that speed.
        epochs: How many fit what was left of the budget; 0 where it was not timed.
    """

    model: str
    macs: int
    timing: Timing | None
    epoch: float
    epochs: int = 0


@dataclass(frozen=True)
class Choice:
    """What fits a budget.

    Args:
        model: The network.
        epochs: Its epochs.
        least: Fewer epochs would have been too few.
        table: What was compared, from the cheapest network up.
    """

    model: str
    epochs: int
    least: int
    table: tuple[Candidate, ...]


def least_epochs(images: int) -> int:
    """Epochs below which a larger network would be worse than a smaller one that gets more of them.

    15, with which networks learn CIFAR-10 well (DAWNBench's take 10 to 24) and ImageNet passably (fast.ai's
    take 16 to 18); 30 for fewer than 5,000 images, whose epochs have few updates.
    """
    return 15 if images >= 5_000 else 30


def ladder(recipe: Recipe, shape: tuple[int, int, int]) -> list[str]:
    """A few networks, the recipe's among them, that take images of this shape and have the recipe's weights."""
    names = dict.fromkeys((*(SMALL_LADDER if min(shape[:2]) <= SMALL_SIDE else LARGE_LADDER), recipe.model))
    return [name for name in names if _takes(name, shape) and _has_weights(name, recipe)] or [recipe.model]


def measured(recipe: Recipe, data: ImageData) -> Timing:
    """Time a network: a first step, one to warm up, then the median of five; and evaluation likewise."""
    from keras_resnet.tuning.trial import TrialSteps

    began = time.perf_counter()
    trial = TrialSteps(recipe, data)
    trial.step()
    trial.evaluate()
    start = time.perf_counter() - began
    trial.step()
    steps, images = [], []
    for _ in range(TIMED_STEPS):
        began = time.perf_counter()
        trial.step()
        steps.append(time.perf_counter() - began)
    for _ in range(2):
        began = time.perf_counter()
        count = trial.evaluate()
        images.append((time.perf_counter() - began) / count)
    return Timing(start, statistics.median(steps), min(images))


def choose(
    budget_seconds: float,
    recipe: Recipe,
    data: ImageData,
    *,
    models: Sequence[str] | None = None,
    epochs: int | None = None,
    timer: Timer = measured,
    clock: Callable[[], float] = time.monotonic,
) -> Choice:
    """The largest network that gets enough epochs in a time, and how many.

    Goes up from the cheapest network and times each, unless even at twice the best speed per operation
    seen so far it would get too few epochs (`least_epochs`). The budget holds this timing, every epoch with its
    validation, and the evaluation on the test images. No network gets more epochs than the recipe has,
    or three times the least number if that is more.

    Args:
        budget_seconds: For everything from now on.
        recipe: All but the network and the epochs.
        data: What is trained on.
        models: Candidates; None: `ladder`'s.
        epochs: As many, and choose only the network; None: choose them, too.
        timer: Times a recipe on data.
        clock: Seconds that have passed.

    Raises:
        UsageError: Not even the cheapest network can be trained in this time; the message says what it takes.
    """
    end = clock() + budget_seconds
    least = epochs or least_epochs(len(data.train))
    shape = data.train.images.shape
    costs = {name: cost(spec(name), 10, input_shape=shape).macs for name in models or ladder(recipe, shape)}
    table: list[Candidate] = []
    speeds: list[float] = []
    for name, macs in sorted(costs.items(), key=lambda item: item[1]):
        guess = macs * min(speeds, default=0.0) / HEADROOM + EPOCH_END
        known = [one.timing.start for one in table if one.timing]
        starts = 2 * known[-1] if known else 0.0  # once to time it and once to train it
        if speeds and guess * least + starts > MARGIN * (end - clock()):
            table.append(Candidate(name, macs, None, guess))
            continue
        timing = timer(recipe.but(model=name), data)
        steps = steps_per_epoch(data.train, recipe.batch_size)
        epoch = steps * timing.step + len(data.validation) * timing.image + EPOCH_END
        table.append(Candidate(name, macs, timing, epoch))
        speeds.append((epoch - EPOCH_END) / macs)
    left = MARGIN * (end - clock())  # only now, since timing took of it
    fitted = tuple(_fitted(one, left, recipe, data) for one in table)
    enough = [one for one in fitted if one.epochs >= least]
    best = enough[-1] if enough else fitted[0]
    if best.epochs < (epochs or 1):
        raise _too_short(best, budget_seconds, left, epochs or 1, recipe)
    most = max(recipe.epochs, 3 * least)
    return Choice(best.model, epochs or min(best.epochs, most), least, fitted)


def budget_record(budget: str, recipe: Recipe, free: Iterable[str]) -> dict[str, Any]:
    """What a run folder keeps of a budget, so that the same command finds its choice again.

    Args:
        budget: As the user wrote it.
        recipe: As it was before the choice.
        free: Which of `model` and `epochs` were chosen.
    """
    return {"seconds": seconds(budget), "chosen": sorted(free), "recipe": recipe.settings}


def recipe_of(run: Run) -> Recipe:
    """The recipe that a run folder records.

    Raises:
        UsageError: Another version wrote it, whose recipes had other settings, or values that this one refuses.
    """
    try:
        return Recipe(**run.config["recipe"])
    except (KeyError, TypeError, UsageError) as error:
        raise UsageError(
            f"the recipe in {run.path} is another version's ({error}): go on with that version, or begin anew by "
            "--overwrite"
        ) from None


def run_within(config: dict[str, Any], folders: Iterable[Path]) -> Run | None:
    """The unfinished run that was begun with the same budget, recipe before the choice, data and classes.

    Args:
        config: `budget` (see `budget_record`), `data` and `num_classes`.
        folders: Where it may be.
    """
    for folder in folders:
        try:
            run = Run.at(folder)
            same = all(run.config.get(key) == config[key] for key in ("budget", "data", "num_classes"))
            if run.status == "unfinished" and same:
                return run
        except (UsageError, ModelError):  # no run, or one that is damaged
            continue
    return None


def _fitted(one: Candidate, left: float, recipe: Recipe, data: ImageData) -> Candidate:
    if one.timing is None:
        return one
    once = one.timing.start + len(data.splits[data.reported]) * one.timing.image
    possible = max(0, math.floor((left - once) / one.epoch) - recipe.head_epochs)
    return Candidate(one.model, one.macs, one.timing, one.epoch, possible)


def _too_short(best: Candidate, budget: float, left: float, epochs: int, recipe: Recipe) -> UsageError:
    start = best.timing.start if best.timing else 0.0
    needed = math.ceil(budget - left / MARGIN + ((epochs + recipe.head_epochs) * best.epoch + start) / MARGIN)
    return UsageError(
        f"the budget is too short: even {best.model} takes about {best.epoch:.1f} s an epoch here, after {start:.0f} s "
        f"to start. Allow {needed // 60}min{needed % 60}s or more, or use fewer images by --limit"
    )


def _takes(model: str, shape: tuple[int, int, int]) -> bool:
    own = spec(model)
    return min(shape[:2]) >= own.smallest_side(own.resolve_stem(*shape[:2]))


def _has_weights(model: str, recipe: Recipe) -> bool:
    if not recipe.weights:
        return True
    if not is_name(recipe.weights):
        return model == recipe.model
    try:
        pretrained(model, recipe.weights)
    except (UsageError, ModelError):
        return False
    return True
