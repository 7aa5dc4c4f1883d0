"""Evaluate a finished run, a file exported from it or any model file, on the run's test images or on other data.

Figures go to the run's `evaluation/` folder, or to a folder beside the file, and onto the screen.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.allowed import TTA

if TYPE_CHECKING:
    from keras_resnet.data.sources.source import Source


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="RUN|FILE", type=Path,
                         help="folder of a finished run, or any model file, which needs --data")  # fmt: skip
    command.add_argument("--artifact", type=Path, metavar="FILE", help="a file or folder exported from it")
    command.add_argument(
        "--data", metavar="SOURCE", help="a SOURCE, as `train` takes it, instead of the run's own data"
    )
    command.add_argument("--data-dir", type=Path, help="for tfds: a prepared folder, read with no network")
    command.add_argument("--limit", type=int, metavar="N", help="with --data: use at most N images, by class")
    command.add_argument(
        "--split",
        choices=("train", "validation", "test", "all"),
        help="default: test, or validation where there is no test",
    )
    command.add_argument("--tta", choices=TTA.choices, default="none",
                         help="average the predictions over views of each image (default: none)")  # fmt: skip
    command.add_argument("--corruptions", action="store_true",
                         help="also with noise, blur, weather and so on, in five severities each: 95 times as many "
                         "images")  # fmt: skip
    command.add_argument("--corruptions-reference", metavar="RUN|FILE", type=Path,
                         help="another model on the same images, whose errors are 1")  # fmt: skip
    command.add_argument(
        "--coverage",
        type=float,
        metavar="SHARE",
        help="as 0.9: also sets of classes that hold the true one so often, by a threshold from the validation images",
    )


def run(options: argparse.Namespace) -> int:
    from keras_resnet.cli.corruptions import check_corruptions, corrupted
    from keras_resnet.cli.show import show_evaluation, show_report, show_slices
    from keras_resnet.data.images import ImageData
    from keras_resnet.data.sources.source import Source, fitting
    from keras_resnet.display import Display
    from keras_resnet.errors import UsageError
    from keras_resnet.evaluation.evaluate import evaluate, load_run_data
    from keras_resnet.evaluation.report import report_run
    from keras_resnet.evaluation.slices import slices, write_slices
    from keras_resnet.inference.predictors import open_predictor
    from keras_resnet.runs.run import Run

    if not options.data and (options.data_dir or options.limit):
        raise UsageError("--data-dir and --limit go with --data; without it the run's own data are used")
    if _is_file(options.model):
        if options.artifact:
            raise UsageError(
                f"{options.model} is a model file, and --artifact names another: leave it out, or give a run"
            )
        if not options.data:
            raise UsageError(f"{options.model} is a model file: it needs --data SOURCE, as it does not know its images")
        finished, of = None, options.model
    else:
        finished = Run.at(options.model, finished=True)
        of = options.artifact or finished
    check_corruptions(options)
    with Display() as progress:
        if (
            finished
            and not (options.artifact or options.data or options.split or options.coverage)
            and options.tta == "none"
        ):
            report = report_run(finished, progress=progress.reading)
            show_report(report)
            corrupted(options, report.evaluation, finished.folder("evaluation"), None)
            return 0
        predictor = open_predictor(of)
        data: Source | ImageData
        if options.data:
            data_dir = str(options.data_dir) if options.data_dir else None
            data = Source(options.data, data_dir=data_dir, limit=options.limit)
        else:
            assert finished is not None
            data = load_run_data(finished, progress.reading)
        evaluation = evaluate(
            predictor,
            data,
            split=options.split,
            tta=options.tta,
            coverage=options.coverage,
            progress=progress.reading,
        )
    # A folder for each kind of evaluation, so that none overwrites another.
    asked_of = f"{data.short_name}-{_key(data)}" if isinstance(data, Source) else ""
    tta = options.tta if options.tta != "none" else ""
    sets = f"coverage-{options.coverage:g}" if options.coverage is not None else ""
    parts = [fitting(options.artifact.name) if options.artifact else "", asked_of, options.split, tta, sets]
    name = "-".join(part for part in parts if part)
    beside = options.model.with_name(f"{options.model.stem}-evaluation") / name
    folder = finished.folder("evaluation", name) if finished else beside
    found = slices(evaluation, data)
    show_evaluation(evaluation, [*evaluation.write(folder), write_slices(found, folder)])
    show_slices(found)
    corrupted(options, evaluation, folder, data)
    return 0


def _is_file(path: Path) -> bool:
    """Whether a model is no run: a file, or a folder that was exported."""
    from keras_resnet.inference.runtimes import kind_of

    return path.is_file() or (path.is_dir() and bool(kind_of(path)))


def _key(source: Source) -> str:
    """A key that differs between sources of one name with other paths or limits."""
    settings = json.dumps(source.settings, sort_keys=True)
    return hashlib.sha256(settings.encode("utf-8", "surrogateescape")).hexdigest()[:6]
