"""A training's length as a wish: how it is written, recorded, and found again when the training goes on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_resnet.allowed import seconds
from keras_resnet.errors import ModelError, UsageError
from keras_resnet.training.recipe import Recipe

if TYPE_CHECKING:
    from keras_resnet.runs.run import Run


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
    from keras_resnet.runs.run import Run

    for folder in folders:
        try:
            run = Run.at(folder)
            same = all(run.config.get(key) == config[key] for key in ("budget", "data", "num_classes"))
            if run.status == "unfinished" and same:
                return run
        except (UsageError, ModelError):  # no run, or one that is damaged
            continue
    return None
