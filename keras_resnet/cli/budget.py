"""`--budget`: choose network and epochs by the speed of this machine; a continued run keeps its choice."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.cli.terminal import say
from keras_resnet.errors import UsageError
from keras_resnet.training.configuration import Configuration

if TYPE_CHECKING:
    from keras_resnet.data.images import ImageData
    from keras_resnet.data.sources.source import Source
    from keras_resnet.display import Display
    from keras_resnet.training.fit import Plan
    from keras_resnet.tuning.choice import Candidate, Choice


def plan_within_budget(
    configuration: Configuration, source: Source, options: argparse.Namespace, progress: Display
) -> tuple[Plan, ImageData]:
    """Plan a training whose network or epochs a budget chooses, and load its data.

    Args:
        configuration: The settings.
        source: Where the images come from.
        options: The command line.
        progress: Shows the reading and the timing.

    Raises:
        UsageError: Nothing is left to choose, the budget is too short, or the folder is taken.
    """
    from keras_resnet.allowed import seconds
    from keras_resnet.data.loading import load_data
    from keras_resnet.runs.run import Run
    from keras_resnet.training.fit import RUNS, plan
    from keras_resnet.training.fit import configuration as recorded
    from keras_resnet.tuning.choice import budget_record, choose, recipe_of, run_within

    began, recipe, num_classes = time.monotonic(), configuration.recipe, configuration["num_classes"]
    free = [name for name in ("model", "epochs") if not configuration.is_said(name)]
    if not free:
        raise UsageError("a budget chooses the network and the epochs, and both are said: leave one of them out")
    record = budget_record(configuration["budget"], recipe, free)
    config = recorded(recipe, source, num_classes) | {"budget": record}
    folders = [options.out] if options.out else sorted(RUNS.glob("*"))
    begun = None if options.overwrite else run_within(config, folders)
    out: Path | None = begun.path if begun else options.out
    if begun:
        recipe = recipe_of(begun)
        progress.note(f"{begun.path} was begun with {recipe.model} for this budget")
    elif out:
        Run.check_free(out, config, overwrite=options.overwrite)
    data = load_data(source, progress.reading, cache=options.cache)
    if not begun:
        progress.note("timing networks for the budget")
        choice = choose(
            seconds(configuration["budget"]) - (time.monotonic() - began),
            recipe,
            data,
            models=None if "model" in free else [recipe.model],
            epochs=None if "epochs" in free else recipe.epochs,
        )
        show_choice(choice, configuration["budget"])
        recipe = recipe.but(model=choice.model)
        recipe = recipe.lasting(choice.epochs) if "epochs" in free else recipe
    planned = plan(recipe, source, out, overwrite=options.overwrite, num_classes=num_classes, budget=record)
    return planned, data


def show_choice(choice: Choice, budget: str) -> None:
    """Print what was timed and chosen, and why."""
    from keras_resnet.cli.tables import table

    columns = ("network", "MACs", "step", "epoch", "epochs that fit", "verdict")
    rows = [
        (
            one.model,
            f"{one.macs / 1e6:,.1f} M",
            f"{1000 * one.timing.step:,.0f} ms" if one.timing else "–",
            f"{one.epoch:,.1f} s" if one.timing else f"over {one.epoch:,.1f} s",
            str(one.epochs) if one.timing else "–",
            verdict(one, choice),
        )
        for one in choice.table
    ]
    table(f"networks for a budget of {budget}", columns, rows, left=("verdict",), whole=("network",), compact=True)
    say(f"chosen: {choice.model}, {choice.epochs} epochs")


def verdict(one: Candidate, choice: Choice) -> str:
    """Why a network was chosen, or not."""
    few = f"fewer than {choice.least} epochs"
    if one.model == choice.model:
        return "chosen" if one.epochs >= choice.least else f"chosen, as the cheapest; {few} are few"
    if one.timing is None:
        return f"not timed: {few} even at twice the best speed so far"
    return "smaller than need be" if one.epochs >= choice.least else few
