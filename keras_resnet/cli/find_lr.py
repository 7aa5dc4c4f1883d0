"""Find a learning rate: a few steps at ever higher rates, and the curve of the loss (Smith, 2015).

Takes what `train` takes. Writes rates.json and, with the plots extra, rates.png; no run is begun or touched.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.cli.options import (
    SOURCE_HELP,
    add_cache_option,
    add_training_options,
    configuration_of,
    training_command,
)
from keras_resnet.cli.terminal import say
from keras_resnet.errors import UsageError

if TYPE_CHECKING:
    from keras_resnet.tuning.rate_finder import RateCurve


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.usage = "%(prog)s [SOURCE] [options]"
    command.add_argument("source", metavar="SOURCE", nargs="?", help=SOURCE_HELP)
    command.add_argument("--out", type=Path, metavar="DIR", help="default: saved_models/find-lr-<model>-<data>")
    add_cache_option(command)
    add_training_options(command)


def run(options: argparse.Namespace) -> int:
    configuration = configuration_of(options)
    source, recipe = configuration.source, configuration.recipe
    if configuration["budget"]:
        raise UsageError("budget is for training: rates are tried for one network, by --model; leave it out here")

    from keras_resnet.atomic import write_json
    from keras_resnet.data.loading import load_data
    from keras_resnet.display import Display
    from keras_resnet.pictures import available
    from keras_resnet.runs.run import is_run
    from keras_resnet.tuning.rate_finder import find_learning_rate, rate_picture

    out = options.out or Path("saved_models") / f"find-lr-{recipe.model}-{source.short_name}"
    if is_run(out):
        raise UsageError(f"{out} holds a run, which is left as it is: give --out another folder")
    with Display() as progress:
        data = load_data(source, progress.reading, cache=options.cache)
        progress.note(f"trying rates for {recipe.model} on {data.name}")
        curve = find_learning_rate(recipe, data)
    found = {"rates": curve.rates, "losses": curve.losses, "suggestion": curve.suggestion}
    write_json(out / "rates.json", {**found, "recipe": recipe.settings, "data": source.settings})
    files = [out / "rates.json"]
    if available():
        files.append(out / "rates.png")
        rate_picture(curve.rates, curve.losses, curve.suggestion, f"{recipe.model} on {data.name}", files[-1])
    for file in files:
        say(f"wrote {file}")
    for line in said(curve):
        say(line)
    if curve.suggestion is not None:
        say(f"Train with it: {training_command(options, learning_rate=format(curve.suggestion, '.2g'))}")
    return 0


def said(curve: RateCurve) -> list[str]:
    """The curve in words."""
    from keras_resnet.tuning.rate_finder import EXPLODED, STEPS

    lines = []
    if curve.steps < STEPS:
        lines.append(f"note: {curve.steps} steps instead of {STEPS}, since there are few images; the curve is rough")
    if len(curve.rates) < curve.steps:
        lines.append(f"the loss exploded (beyond {EXPLODED} times its lowest) at a rate of {curve.rates[-1]:.2g}")
    if curve.suggestion is None:
        return [*lines, "No rate lowered the loss: look at the labels by `keras-resnet check`, or try another recipe."]
    return [
        *lines,
        f"Suggested learning rate: {curve.suggestion:.2g}, in the middle of the loss's longest fall. It is "
        f"lowest at {curve.lowest:.2g}; rates near that are too high.",
    ]
