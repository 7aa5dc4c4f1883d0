"""`--budget`: choose network and epochs by the speed of this machine; a continued run keeps its choice."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.cli.terminal import say
from keras_resnet.training.configuration import Configuration, recipe_of

if TYPE_CHECKING:
    from keras_resnet.data.images import ImageData
    from keras_resnet.data.sources.source import Source
    from keras_resnet.display import Display
    from keras_resnet.training.fit import Plan
    from keras_resnet.tuning.choice import Choice

CHOSEN = ("model", "epochs")
"""What a budget chooses, where it is not said."""


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
    from keras_resnet.tuning.choice import budget_record, check_leaves_a_choice, choose_recipe, run_within

    began, recipe, num_classes = time.monotonic(), configuration.recipe, configuration["num_classes"]
    said = {name: getattr(recipe, name) for name in CHOSEN if configuration.is_said(name)}
    check_leaves_a_choice(said.get("model"), said.get("epochs"))
    record = budget_record(configuration["budget"], recipe, set(CHOSEN) - said.keys())
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
        left = seconds(configuration["budget"]) - (time.monotonic() - began)
        choice = choose_recipe(data, left, recipe, **said)
        show_choice(choice, configuration["budget"])
        recipe = choice.recipe
    planned = plan(recipe, source, out, overwrite=options.overwrite, num_classes=num_classes, budget=record)
    return planned, data


def show_choice(choice: Choice, budget: str) -> None:
    """Print what was timed and chosen, and why."""
    from keras_resnet.cli.tables import table
    from keras_resnet.tuning.choice import COLUMNS

    title = f"networks for a budget of {budget}"
    table(title, COLUMNS, choice.rows, left=("verdict",), whole=("network",), compact=True)
    say(choice.summary)
