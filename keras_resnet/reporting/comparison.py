"""Several runs on one page: which is better and how sure that is, and in what they differ."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from keras_resnet.atomic import write_text
from keras_resnet.data.images import OnRead
from keras_resnet.errors import DataError, ModelError, UsageError
from keras_resnet.evaluation.compare import PairedComparison, shown_p
from keras_resnet.evaluation.evaluate import load_run_data
from keras_resnet.evaluation.report import report_run
from keras_resnet.evaluation.split_comparison import SplitComparison
from keras_resnet.evaluation.trainings import called_by, trainings_of
from keras_resnet.evaluation.written import is_written
from keras_resnet.html_page import render
from keras_resnet.reporting.album import Album
from keras_resnet.reporting.contents import Contents, read_contents
from keras_resnet.reporting.curves import over_one_another
from keras_resnet.reporting.report import MOST_CLASSES, ROOM
from keras_resnet.reporting.words import between, percent
from keras_resnet.runs.run import Run

MOST_DIFFERING = 24
"""Images of one comparison that are shown."""

Found = Sequence[PairedComparison | SplitComparison]


def write_comparison(
    found: Found,
    models: Sequence[Any],
    path: str | os.PathLike[str],
    *,
    progress: OnRead | None = None,
    note: Callable[[str], None] | None = None,
) -> Path:
    """Write a comparison as one HTML page, which needs no network, no scripts and no other file.

    It says which model is better and how sure that is, and puts beside one another the figures, the courses of the
    trainings, the settings that differ, and images on which they decide otherwise. Of a run that has no evaluation one
    is made first; of several trainings of a model, such as folds, and of model files, there is what `found` says.

    Args:
        found: What `compare` or `compare_splits` gives for these models.
        models: The models that they were asked for, in the same order.
        path: The file.
        progress: Called while images are read.
        note: Called with what is done, a line each.

    Returns:
        The file.

    Raises:
        UsageError: There is not one comparison for each model after the first.
        ModelError: A run's own records are damaged.
        StorageError: The page cannot be written.

    Example:
        >>> import keras_resnet
        >>> runs = ["saved_models/plain", "saved_models/residual"]
        >>> keras_resnet.write_comparison(keras_resnet.compare(*runs), runs, "both.html")  # doctest: +SKIP
    """
    if len(models) < 2 or len(found) != len(models) - 1:
        raise UsageError(
            f"a comparison has one row for each model after the first; received {len(found)} for {len(models)} models"
        )
    runs = []
    for name, model in zip(called_by(models), models, strict=True):
        trainings = trainings_of(model)
        if len(trainings) == 1 and isinstance(trainings[0], Run):
            run = trainings[0]
            if not is_written(run.folder("evaluation")):
                if note:
                    note(f"{run.path} has no evaluation: evaluating it")
                report_run(run, progress=progress)
            runs.append((name, read_contents(run)))
    write_text(Path(path), _page(found, called_by(models), runs, progress))
    return Path(path)


def _page(found: Found, names: list[str], runs: list[tuple[str, Contents]], progress: OnRead | None) -> str:
    heads, rows = _table(found)
    differing = [one for one in found if isinstance(one, PairedComparison) and one.differing]
    album = _album(runs, progress) if differing else None
    return render(
        ROOM,
        "comparison.html.jinja",
        names=names,
        texts=[(_second(one), one.text) for one in found],
        first=_first(found[0]),
        heads=heads,
        rows=rows,
        method=found[0].method if isinstance(found[0], PairedComparison) else "",
        figures=list(_figures(runs)),
        classes=_classes(runs),
        runs=[name for name, _ in runs],
        charts=over_one_another(runs),
        settings=list(_settings(runs)),
        differing=[
            {
                "names": (one.first, one.second),
                "count": len(one.differing),
                "images": [
                    {**vars(image), "picture": "" if album is None else album.picture(image.image)}
                    for image in one.differing[:MOST_DIFFERING]
                ],
            }
            for one in differing
        ],
    )


def _first(one: PairedComparison | SplitComparison) -> str:
    return one.first if isinstance(one, PairedComparison) else one.first.name


def _second(one: PairedComparison | SplitComparison) -> str:
    return one.second if isinstance(one, PairedComparison) else one.second.name


def _table(found: Found) -> tuple[list[str], list[list[str]]]:
    """The heads and rows of the first table: a row a model."""
    rows: list[list[str]] = []
    for number, one in enumerate(found):
        apart = [f"{one.difference:+.1f}", f"{one.interval[0]:+.1f} to {one.interval[1]:+.1f}"]
        if isinstance(one, PairedComparison):
            if not number:
                rows.append([one.first, percent(mean(one.accuracies[0])), *["–"] * 4])
            alone = f"{one.only_first:,} / {one.only_second:,}"
            rows.append([one.second, percent(mean(one.accuracies[1])), *apart, shown_p(one.corrected), alone])
        else:
            for figure in (one.first, one.second) if not number else (one.second,):
                right = f"{figure.correct:,} of {figure.images:,}"
                shown = [figure.name, figure.division, right, percent(figure.accuracy), between(figure.interval)]
                rows.append([*shown, *(apart if figure is one.second else ["–", "–"])])
    if isinstance(found[0], PairedComparison):
        return [
            "model",
            "right",
            "points above the first",
            "95 % interval",
            "p, corrected",
            "only the first right / only this right",
        ], rows
    return [
        "model",
        "images divided",
        "right",
        "accuracy",
        "95 % interval",
        "points above the first",
        "95 % interval",
    ], rows


def _figures(runs: list[tuple[str, Contents]]) -> Iterator[tuple[str, list[str]]]:
    """The title of each figure and what it is of each run."""
    known = [one.evaluation for _, one in runs if one.evaluation is not None]
    if len(known) < len(runs) or len({one.task.name for one in known}) != 1:
        return
    for name, metric in known[0].task.metrics.items():
        cells = [
            one.task.shown(one.metrics, name)
            + (
                f" ({' to '.join(map(metric.text, one.metrics.intervals[name]))})"
                if name in one.metrics.intervals
                else ""
            )
            for one in known
        ]
        if any(one.metrics.figures[name] is not None for one in known):
            yield metric.title, cells


def _classes(runs: list[tuple[str, Contents]]) -> list[tuple[str, list[str]]]:
    """The recall of each class in each run, where they have the same classes; those that differ most first."""
    known = [one.evaluation for _, one in runs if one.evaluation is not None]
    if len(known) < max(2, len(runs)) or len({one.task.class_names for one in known}) != 1:
        return []
    recalls = [[row.recall for row in one.metrics.classes] for one in known]
    rows = zip(known[0].task.class_names, *recalls, strict=True)
    ordered = sorted(rows, key=lambda row: min(row[1:]) - max(row[1:]))
    return [(row[0], [percent(float(one)) for one in row[1:]]) for row in ordered[:MOST_CLASSES]]


def _settings(runs: list[tuple[str, Contents]]) -> Iterator[tuple[str, list[str]]]:
    """The settings in which runs differ, each with its values."""
    configs = [{f"{part}.{name}": value for part in ("recipe", "data") for name, value in dict[str, Any](
        one.config[part]).items()} for _, one in runs]  # fmt: skip
    for name in dict.fromkeys(name for one in configs for name in one):
        values = [one.get(name) for one in configs]
        if any(value != values[0] for value in values):
            yield name.removeprefix("recipe."), ["–" if value is None else str(value) for value in values]


def _album(runs: list[tuple[str, Contents]], progress: OnRead | None) -> Album | None:
    for _, one in runs[:1]:
        try:
            return Album(load_run_data(one.run, progress))
        except (DataError, UsageError, ModelError):
            return None
    return None
