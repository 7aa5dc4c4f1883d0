"""Train, evaluate and export on real handwritten digits, run the exported files, compare them, write a report.

Trains ResNet-8 on the 1,797 digits that ship with scikit-learn, and writes everything to one folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from keras_resnet.cli.terminal import say

SHOWN = ("saved_model", "tflite-float", "tflite-int8")
"""The formats that it exports; `keras-resnet export` has more."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", type=Path, default=Path("saved_models/demo"), help="default: saved_models/demo")
    command.add_argument("--epochs", type=int, help="default: the digits recipe's")
    command.add_argument("--seed", type=int, default=0, help="default: 0")
    command.add_argument("--overwrite", action="store_true", help="replace the demo that the folder holds")


def run(options: argparse.Namespace) -> int:
    from importlib.util import find_spec

    from keras_resnet.errors import MissingExtraError

    # Now, not after minutes of training.
    if find_spec("ai_edge_litert") is None or find_spec("matplotlib") is None:
        raise MissingExtraError("the demo", "demo")

    from keras_resnet.cli.show import show_report
    from keras_resnet.cli.tables import table
    from keras_resnet.data.loading import load_data
    from keras_resnet.display import Display
    from keras_resnet.evaluation.comparison import columns, compare, write_comparison
    from keras_resnet.evaluation.evaluate import load_run_data
    from keras_resnet.evaluation.report import report_run
    from keras_resnet.exports.export import export_run
    from keras_resnet.reporting.model_card import is_free, write_model_card
    from keras_resnet.reporting.report import write_report
    from keras_resnet.runs.run import Run
    from keras_resnet.training.configuration import source_for
    from keras_resnet.training.fit import configuration, fit_planned, plan
    from keras_resnet.training.recipes import recipe_for

    options.kept = True
    recipe = recipe_for("digits").but(seed=options.seed, epochs=options.epochs)
    source = source_for(recipe, "digits")
    comparison_file = options.out / "comparison.json"
    progress = Display()
    if (
        not options.overwrite
        and not comparison_file.exists()
        and _is_trained(options.out, configuration(recipe, source))
    ):
        finished = Run(options.out)  # stopped before the exports: go on from there
        data = load_run_data(finished)
    else:
        planned = plan(recipe, source, options.out, overwrite=options.overwrite)
        data = load_data(source)
        with progress:
            finished = fit_planned(planned, data, progress)
    report = report_run(finished, data)
    show_report(report)
    predictors = [report.evaluation.predictor]
    for file_format in SHOWN:
        progress.note(f"exporting {file_format} and running it on the test images")
        predictors.append(export_run(finished, file_format, data=data).predictor)
    rows = compare(predictors, data.test)
    write_comparison(rows, comparison_file)
    say()
    table(
        f"{recipe.model} on the {len(data.test)} test digits",
        columns(data.task),
        [row.cells() for row in rows],
    )
    say("latency: median milliseconds for one image at batch 1 on this machine; TFLite on one thread")
    page = write_report(finished, data, look=False)  # to look through the images takes as long as to train
    if is_free(finished):
        write_model_card(finished)
    say(f"everything lies in {finished.path}; its report: {page}")
    return 0


def _is_trained(path: Path, config: dict[str, Any]) -> bool:
    from keras_resnet.runs.run import Run, is_run

    return is_run(path) and Run(path).status == "finished" and Run(path).config == config
