"""A network and a number of epochs that fit a time, chosen by timing a few real steps on this machine.

The run records its budget, by which the same command finds the choice again.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnet.allowed import BUDGET, COUNT, seconds
from keras_resnet.data.batches import steps_per_epoch
from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import Data, in_memory, load_data
from keras_resnet.data.sources.source import Source
from keras_resnet.errors import ModelError, UsageError
from keras_resnet.models.counting import cost
from keras_resnet.models.variants import spec
from keras_resnet.runs.run import Run, is_run
from keras_resnet.settings import Values, check_arguments
from keras_resnet.training.configuration import recipe_of, source_for
from keras_resnet.training.fit import configuration
from keras_resnet.training.recipe import Recipe
from keras_resnet.training.recipes import recipe as recipe_named
from keras_resnet.training.recipes import recipe_for
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


COLUMNS = ("network", "MACs", "step", "epoch", "epochs that fit", "verdict")
"""Of what was compared, as it is shown."""


@dataclass(frozen=True)
class Choice:
    """What fits a budget. `print` shows what was compared, and why this was chosen.

    Args:
        recipe: With the network and the epochs that were chosen; what it counts in epochs is stretched.
        least: Fewer epochs would have been too few.
        table: What was compared, from the cheapest network up; empty where a run is continued, whose choice stands.
    """

    recipe: Recipe
    least: int
    table: tuple[Candidate, ...]

    @property
    def model(self) -> str:
        """The network."""
        return self.recipe.model

    @property
    def epochs(self) -> int:
        """Its epochs."""
        return self.recipe.epochs

    def verdict(self, one: Candidate) -> str:
        """Why a network was chosen, or not."""
        few = f"fewer than {self.least} epochs"
        if one.model == self.model:
            return "chosen" if one.epochs >= self.least else f"chosen, as the cheapest; {few} are few"
        if one.timing is None:
            return f"not timed: {few} even at twice the best speed so far"
        return "smaller than need be" if one.epochs >= self.least else few

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """What was compared, in words: the cells of `COLUMNS` for each network."""
        return [
            (
                one.model,
                f"{one.macs / 1e6:,.1f} M",
                f"{1000 * one.timing.step:,.0f} ms" if one.timing else "–",
                f"{one.epoch:,.1f} s" if one.timing else f"over {one.epoch:,.1f} s",
                str(one.epochs) if one.timing else "–",
                self.verdict(one),
            )
            for one in self.table
        ]

    @property
    def summary(self) -> str:
        """The choice in a line."""
        return f"{'chosen' if self.table else 'begun with'}: {self.model}, {self.epochs} epochs"

    def __str__(self) -> str:
        return "\n".join([*("  ".join(row) for row in ((COLUMNS, *self.rows) if self.table else ())), self.summary])


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
    return Choice(recipe.but(model=best.model, epochs=epochs or min(best.epochs, most)), least, fitted)


@check_arguments(epochs=COUNT.or_none)
def choose_recipe(
    data: Data,
    budget: str | float,
    recipe: Recipe | str | None = None,
    *,
    model: str | None = None,
    epochs: int | None = None,
    out: str | os.PathLike[str] | None = None,
) -> Choice:
    """Choose the network and the epochs that fit a time on this machine, as `--budget` does.

    A few real steps of several networks are timed. The largest that gets enough epochs is taken. The time holds the
    reading of a source that is named here, this timing, the training and its evaluation.

    Args:
        data: As `fit`. Give `fit` the same; a data set that is loaded is read once.
        budget: `90s`, `10min`, `2h`, `1h30min`, or a number of seconds; from now on.
        recipe: All but the network and the epochs: a `Recipe`, or the name of one. None: that for the kind of source.
        model: Keep this network, and choose the epochs.
        epochs: Keep this number, and choose the network.
        out: The run folder that `fit` is given. If a training by this recipe on these data was begun in it, its choice
            stands and nothing is timed, so that a script that is started again goes on.

    Returns:
        The choice; `fit(choice.recipe, data, out)` trains by it.

    Raises:
        UsageError: There is nothing to choose, the budget is none or is too short, or `out` holds something else.
        DataError: The data cannot be read.

    Example:
        >>> import keras_resnet
        >>> digits = keras_resnet.load_data(keras_resnet.Source("digits", image_size=8, limit=200))
        >>> choice = keras_resnet.choose_recipe(digits, "1h", model="resnet8")
        >>> choice.summary
        'chosen: resnet8, 90 epochs'
        >>> choice.recipe.warmup_epochs  # 3 of the 30 epochs that the recipe has
        9.0
    """
    began, length = time.monotonic(), _seconds(budget)
    check_leaves_a_choice(model, epochs)
    recipe = _usual_recipe(data) if recipe is None else recipe_named(recipe) if isinstance(recipe, str) else recipe
    recipe = recipe.but(model=model, epochs=epochs)
    data = in_memory(data, seed=recipe.seed)
    if out is not None:
        begun = _begun_in(Path(out), recipe, data, model, epochs)
        if begun:
            return begun
    images = data if isinstance(data, ImageData) else load_data(source_for(recipe, data))
    models = None if model is None else [recipe.model]
    return choose(length - (time.monotonic() - began), recipe, images, models=models, epochs=epochs)


def check_leaves_a_choice(model: str | None, epochs: int | None) -> None:
    """Refuse a budget for a training whose network and epochs are both said. Raises: UsageError."""
    if model is not None and epochs is not None:
        raise UsageError("a budget chooses the network and the epochs, and both are said: leave one of them out")


def _seconds(budget: str | float) -> float:
    if isinstance(budget, str):
        return seconds(BUDGET.checked(budget, "budget"))
    return float(Values(float, noun=f"{BUDGET.noun}, or a number of seconds").checked(budget, "budget"))


def _usual_recipe(data: Data) -> Recipe:
    source = data.source if isinstance(data, ImageData) else data
    source = Source(os.fspath(source)) if isinstance(source, str | os.PathLike) else source
    return recipe_for(source.kind) if isinstance(source, Source) else recipe_named("folder")


def _begun_in(
    out: Path, recipe: Recipe, data: ImageData | Source | str, model: str | None, epochs: int | None
) -> Choice | None:
    """The choice with which a training was begun in a folder; None: the folder is free.

    Raises:
        UsageError: It holds another training, one that is finished, or something else.
    """
    known = data if isinstance(data, ImageData) else source_for(recipe, data)
    source = (known.source or known) if isinstance(known, ImageData) else known
    if is_run(out) and Run(out).status == "unfinished":
        chosen = recipe_of(Run(out))
        recipe = recipe.but(model=None if model else chosen.model, epochs=None if epochs else chosen.epochs)
    Run.check_free(out, configuration(recipe, source))
    return Choice(recipe, 0, ()) if is_run(out) else None


def budget_record(budget: str, recipe: Recipe, free: Iterable[str]) -> dict[str, Any]:
    """What a run folder keeps of a budget, so that the same command finds its choice again.

    Args:
        budget: As the user wrote it.
        recipe: As it was before the choice.
        free: Which of `model` and `epochs` were chosen.
    """
    return {"seconds": seconds(budget), "chosen": sorted(free), "recipe": recipe.settings}


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
    probed = len(data.train) if recipe.probe != "none" else 0
    once = one.timing.start + (len(data.splits[data.reported]) + probed) * one.timing.image
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
