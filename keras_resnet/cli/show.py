"""An evaluation on a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from keras_resnet.cli.tables import table
from keras_resnet.evaluation.evaluate import Evaluation
from keras_resnet.evaluation.metrics import Metrics
from keras_resnet.evaluation.report import Report

MOST_CLASSES = 40


def show_report(report: Report) -> None:
    """Print a run's figures, and what looks ill in its training."""
    show_evaluation(report.evaluation, report.files)
    if report.averaged:
        print(f"{report.averaged.predictor.name} on {report.averaged.data_name}: {_top(report.averaged.metrics)}")
    for symptom in report.symptoms:
        print(f"\nWarning: {symptom.text}")


def show_evaluation(evaluation: Evaluation, files: Iterable[Path] = ()) -> None:
    """Print a model's figures: every class's if they are few, the worst ones if they are many."""
    metrics = evaluation.metrics
    rows = sorted(metrics.classes, key=lambda row: row.f1) if len(metrics.classes) > MOST_CLASSES else metrics.classes
    left_out = len(rows) - MOST_CLASSES
    table(
        f"{evaluation.predictor.name} on {evaluation.data_name}",
        ("class", "precision", "recall", "F1", "images"),
        [
            (row.name, f"{row.precision:.3f}", f"{row.recall:.3f}", f"{row.f1:.3f}", str(row.images))
            for row in rows[:MOST_CLASSES]
        ],
    )
    if left_out > 0:
        print(f"and {left_out} classes with better F1")
    print(_top(metrics))
    for file in files:
        print(f"wrote {file}")


def _top(metrics: Metrics) -> str:
    low, high = metrics.top1_interval
    top5 = f"; top-5 {metrics.top5:.2%}" if metrics.top5 is not None else ""
    return (
        f"top-1 {metrics.top1:.2%} ({metrics.correct} of {metrics.images}; 95 % interval {low:.2%} to {high:.2%})"
        f"{top5}; log loss {metrics.log_loss:.4f}"
    )
