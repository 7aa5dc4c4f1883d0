"""An evaluation on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev

from keras_resnet.cli.tables import table
from keras_resnet.cli.terminal import say
from keras_resnet.evaluation.compare import shown_p
from keras_resnet.evaluation.evaluate import Evaluation
from keras_resnet.evaluation.report import Report
from keras_resnet.evaluation.slices import Slice
from keras_resnet.evaluation.split_comparison import SplitComparison
from keras_resnet.tasks.task import ClassMetrics, Metrics, Task

MOST_CLASSES = 40
MOST_PAIRS = 5
MOST_SLICES = 5
HEADS = {"name": "class", "f1": "F1"}
"""Column heads that differ from the fields' names."""


def show_report(report: Report) -> None:
    """Print a run's figures, and the warnings about its training."""
    show_evaluation(report.evaluation, report.files)
    if report.averaged:
        say(f"{report.averaged.predictor.name} on {report.averaged.data_name}: {report.averaged.headline}")
    show_slices(report.slices)
    if report.splits:
        show_splits(report.splits)
    for note in report.notes:
        say(f"\nWarning: {note}")
    for symptom in report.symptoms:
        say(f"\nWarning: {symptom.text}")


def show_splits(found: tuple[SplitComparison, ...]) -> None:
    """Print the figures of trainings whose images are divided otherwise, and what the split makes of them.

    Args:
        found: What `compare_splits` or `beside` gives.
    """
    rows = []
    for number, figure in enumerate([found[0].first, *(one.second for one in found)]):
        low, high = figure.interval
        by = f", by {figure.groups} group{'s' * (figure.groups > 1)}" if figure.groups else ""
        accuracy = accuracy_text(figure.accuracies or (figure.accuracy,))
        cells = (figure.name, figure.division, f"{figure.correct:,} of {figure.images:,}", accuracy)
        one = found[number - 1] if number else None
        against = ("–", "–", "–")
        if one:
            against = (f"{one.difference:+.2f}", points_between(one.interval), f"{one.shared:,}")
        rows.append((*cells, f"{low:.2%} to {high:.2%}{by}", *against))
    interval = "95 % interval"
    heads = ("model", "images divided", "right", "accuracy", interval, "points", interval, "tested by both")
    table("The same images, divided otherwise: each on its own test images", heads, rows, left=("images divided",))
    if found[0].p is not None:
        said = ", ".join(shown_p(one.p) for one in found if one.p is not None)
        say(f"Welch's test of the trainings' accuracies, p: {said}")
    for one in found:
        say(one.text if len(found) == 1 else f"{one.second.name} against {one.first.name}: {one.text}")


def accuracy_text(values: Sequence[float]) -> str:
    """An accuracy, or the mean of several with their deviation.

    Args:
        values: In 0–1.
    """
    return f"{mean(values):.2%}" + (f" ± {100 * stdev(values):.2f}" if len(values) > 1 else "")


def points_between(interval: tuple[float, float]) -> str:
    """The bounds of a difference in points."""
    return f"{interval[0]:+.2f} to {interval[1]:+.2f}"


def show_slices(found: Iterable[Slice]) -> None:
    """Print on which images a model fails more often than on the others, beyond chance; classes have their table."""
    failing = [one for one in found if one.fails and one.attribute != "class"]
    if failing:
        say("\nThe model fails more often, beyond chance, on")
    for one in failing[:MOST_SLICES]:
        say(f"  {one}")
    if len(failing) > MOST_SLICES:
        say(f"  and {len(failing) - MOST_SLICES} more: slices.json")


def show_evaluation(evaluation: Evaluation, files: Iterable[Path] = ()) -> None:
    """Print a model's figures: all classes if they are few, else the worst."""
    metrics = evaluation.metrics
    rows: Sequence[ClassMetrics] = metrics.classes
    if len(rows) > MOST_CLASSES:
        rows = sorted((row for row in rows if row.images), key=lambda row: row.f1)
    left_out = len(rows) - MOST_CLASSES
    heads = [HEADS.get(name, name.replace("_", " ")) for name in vars(metrics.classes[0]) if name != "intervals"]
    title = f"{evaluation.predictor.name} on {evaluation.data_name}"
    table(title, heads, [_cells(row) for row in rows[:MOST_CLASSES]])
    if left_out > 0:
        say(f"and {left_out} classes with better F1")
    if metrics.confused:
        pairs = [
            (f"{pair.label} → {pair.prediction}", str(pair.images), f"{pair.share:.2%}", _between(pair.interval))
            for pair in metrics.confused[:MOST_PAIRS]
        ]
        table("Most confused", ("class → taken for", "images", "of the class", "95 % interval"), pairs)
    task = evaluation.predictor.task
    kind = "" if metrics.groups is None else f", by {metrics.groups} groups"
    table("Figures", ("figure", "value", f"95 % interval{kind}"), figure_rows(task, metrics))
    if evaluation.sets is not None:
        sets = evaluation.sets
        say(
            f"prediction sets for a coverage of {sets.asked:.2%}: the set of {sets.achieved:.2%} of the images has "
            f"their class (95 % interval {_between(sets.interval)}); {sets.mean_size:.2f} classes in a set on average. "
            f"In it are those of a probability of at least {sets.threshold:.4f}, by {sets.calibrated_on} validation "
            "images"
        )
    say(evaluation.headline)
    for remark in evaluation.remarks:
        say(f"note: {remark}")
    for file in files:
        say(f"wrote {file}")


def figure_rows(task: Task, metrics: Metrics) -> list[tuple[str, str, str]]:
    """Each figure that means something, in the order of its task's table: title, value, interval."""
    rows = []
    for name, metric in task.metrics.items():
        if metrics.figures[name] is not None:
            interval = " to ".join(map(metric.text, metrics.intervals[name])) if name in metrics.intervals else "–"
            rows.append((metric.title, task.shown(metrics, name), interval))
    return rows


def _between(interval: tuple[float, float]) -> str:
    return " to ".join(f"{bound:.2%}" for bound in interval)


def _cells(row: ClassMetrics) -> list[str]:
    return [_cell(value, known=row.images > 0) for name, value in vars(row).items() if name != "intervals"]


def _cell(value: str | float | None, *, known: bool) -> str:
    """What a row says; of a class without images, figures are not known."""
    if value is None or (isinstance(value, float) and not known):
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
