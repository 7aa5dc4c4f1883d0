"""An evaluation on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from keras_resnet.cli.tables import table
from keras_resnet.cli.terminal import say
from keras_resnet.evaluation.evaluate import Evaluation
from keras_resnet.evaluation.report import Report
from keras_resnet.tasks.task import ClassMetrics

MOST_CLASSES = 40
HEADS = {"name": "class", "f1": "F1"}
"""Column heads that differ from the fields' names."""


def show_report(report: Report) -> None:
    """Print a run's figures, and the warnings about its training."""
    show_evaluation(report.evaluation, report.files)
    if report.averaged:
        say(f"{report.averaged.predictor.name} on {report.averaged.data_name}: {figures(report.averaged)}")
    for symptom in report.symptoms:
        say(f"\nWarning: {symptom.text}")


def show_evaluation(evaluation: Evaluation, files: Iterable[Path] = ()) -> None:
    """Print a model's figures: all classes if they are few, else the worst."""
    metrics = evaluation.metrics
    rows: Sequence[ClassMetrics] = metrics.classes
    if len(rows) > MOST_CLASSES:
        rows = sorted((row for row in rows if row.images), key=lambda row: row.f1)
    left_out = len(rows) - MOST_CLASSES
    heads = [HEADS.get(name, name.replace("_", " ")) for name in vars(metrics.classes[0])]
    title = f"{evaluation.predictor.name} on {evaluation.data_name}"
    table(title, heads, [_cells(row) for row in rows[:MOST_CLASSES]])
    if left_out > 0:
        say(f"and {left_out} classes with better F1")
    say(figures(evaluation))
    for remark in evaluation.remarks:
        say(f"note: {remark}")
    for file in files:
        say(f"wrote {file}")


def figures(evaluation: Evaluation) -> str:
    """All figures of an evaluation in a line, in the order of its task's table."""
    metrics, parts = evaluation.metrics, []
    for name, metric in evaluation.predictor.task.metrics.items():
        if metrics.figures[name] is None:
            continue
        text = f"{metric.title} {evaluation.predictor.task.shown(metrics, name)}"
        if name in metrics.intervals:
            low, high = map(metric.text, metrics.intervals[name])
            text += f" ({metrics.hits[name]} of {metrics.images}; 95 % interval {low} to {high})"
        parts.append(text)
    return "; ".join(parts)


def _cells(row: ClassMetrics) -> list[str]:
    return [_cell(value, known=row.images > 0) for value in vars(row).values()]


def _cell(value: str | float | None, *, known: bool) -> str:
    """What a row says; of a class without images, figures are not known."""
    if value is None or (isinstance(value, float) and not known):
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
