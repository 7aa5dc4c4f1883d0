"""A finished run's own report: test figures, confusion matrix, learning curves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from keras_resnet.data.images import ImageData, Progress
from keras_resnet.evaluation import plots
from keras_resnet.evaluation.evaluate import Evaluation, evaluate
from keras_resnet.runs.run import Run


@dataclass(frozen=True)
class Report:
    """What was found, and the files it was written to."""

    evaluation: Evaluation
    files: tuple[Path, ...]


def report_run(run: Run, data: ImageData | None = None, progress: Progress | None = None) -> Report:
    """Evaluate a finished run on its test images and write figures and pictures into its folder.

    Pictures are left out where matplotlib is not installed.

    Args:
        run: Finished.
        data: Its data, if they are loaded already.
        progress: Called while images are read.
    """
    evaluation = evaluate(run, data, progress=progress)
    files = evaluation.write(run.path / "evaluation")
    if plots.available() and run.metrics():
        curves = run.path / "plots" / "learning_curves.png"
        plots.learning_curves(run.metrics(), curves)
        files.append(curves)
    return Report(evaluation, tuple(files))
