"""Make a model's probabilities mean what they say, by a temperature that is found on its validation images.

It decides as before. The temperature is put into the last layer of a new model, beside the old one, which stays as it
is: of a run a new run, which evaluate, predict and export take as any other, so that exported files have it, too.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="RUN|FILE", type=Path,
                         help="folder of a finished run, or a .keras file, which needs --data")  # fmt: skip
    command.add_argument("--data", metavar="SOURCE", help="a SOURCE, as `train` takes it, with validation images")
    command.add_argument("--out", type=Path, metavar="PATH", help="where to (default: beside it, NAME-calibrated)")


def run(options: argparse.Namespace) -> int:
    from keras_resnet.cli.show import figure_rows
    from keras_resnet.cli.tables import table
    from keras_resnet.cli.terminal import say
    from keras_resnet.display import Display
    from keras_resnet.evaluation.temperature import calibrate
    from keras_resnet.inference.predictors import open_predictor

    with Display() as progress:
        found = calibrate(options.model, options.data, options.out, progress=progress.reading)
    how = "too sure" if found.temperature > 1 else "not sure enough"
    say(f"temperature {found.temperature:.3f} of {found.images} validation images: the model was {how}")
    if found.before and found.after:
        task = open_predictor(found.path).task
        pairs = zip(figure_rows(task, found.before), figure_rows(task, found.after), strict=True)
        changed = [(*old[:3], *new[1:3]) for old, new in pairs if old[1] != new[1]]
        heads = ("figure", "before", "95 % interval", "after", "95 % interval")
        table(f"On {found.before.images} test images; all else is as before", heads, changed)
    say(f"wrote {found.path}")
    return 0
