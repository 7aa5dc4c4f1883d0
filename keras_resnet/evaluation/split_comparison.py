"""Trainings on the same images, divided otherwise: what the split makes of the figure."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from keras_resnet.data.images import ImageData, OnRead
from keras_resnet.data.loading import list_source
from keras_resnet.data.sources.source import PATHS, Source
from keras_resnet.data.splits.split_file import read_split
from keras_resnet.errors import UsageError
from keras_resnet.evaluation.evaluate import evaluate, load_run_data
from keras_resnet.runs.run import Run, is_run
from keras_resnet.tasks.intervals import wilson_interval

AT_RANDOM = "at random"
AS_GIVEN = "as their source divides them"
OF_THE_SPLIT = {"split", "group_by", "fold", "split_file", "seed"}
OF_THE_PLACE = {"name", "data_dir", "on_error"}
"""Settings of a source that say where images are, not what is made of them."""


@dataclass(frozen=True)
class SplitFigure:
    """What one training has right of its own test images.

    Args:
        name: Of its run.
        division: How the images were divided, as `at random` or `by camera, fold 2 of 5`.
        correct: How many test images are answered wholly right.
        images: Of how many.
        accuracy: Their share, 0–1.
        interval: Its 95 % Wilson interval.
    """

    name: str
    division: str
    correct: int
    images: int
    accuracy: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class SplitComparison:
    """The figures of two trainings whose images are the same and whose splits are not.

    Args:
        first, second: The two.
        difference: The second's accuracy less the first's, in points.
        interval: Its 95 % interval for independent shares; see `independent_difference`.
        shared: How many images both are tested on.
        also_differ: Settings besides the split in which the trainings differ. Without any, the split alone can have
            made the difference, or chance.
    """

    first: SplitFigure
    second: SplitFigure
    difference: float
    interval: tuple[float, float]
    shared: int
    also_differ: tuple[str, ...] = ()

    @property
    def is_shown(self) -> bool:
        """Whether no difference at all lies outside the interval."""
        return not self.interval[0] <= 0 <= self.interval[1]

    @property
    def text(self) -> str:
        """What was found, in words."""
        told = self._difference()
        if self.also_differ:
            told += f" (the trainings differ in more than the split: {', '.join(self.also_differ)})"
        return told

    def _difference(self) -> str:
        if not self.is_shown:
            return "the split makes no difference that these images could show"
        lower, higher = (self.second, self.first) if self.difference < 0 else (self.first, self.second)
        low, high = sorted(map(abs, self.interval))
        told = (
            f"{lower.division} it is {abs(self.difference):.1f} points lower ({low:.1f} to {high:.1f}) than "
            f"{higher.division}"
        )
        if lower.division.startswith(AT_RANDOM) and not higher.division.startswith(AT_RANDOM):
            return f"{told}: the images that were held out may be easy ones; other folds tell (--folds)"
        return f"{told}: count on the lower figure"

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return asdict(self) | {"is_shown": self.is_shown, "text": self.text}


def independent_difference(
    hits: int, images: int, other_hits: int, other_images: int
) -> tuple[float, tuple[float, float]]:
    """The difference of two accuracies on images of two independent samples, in points, with its 95 % interval.

    The interval is made of the two Wilson intervals (Newcombe, Interval Estimation for the Difference Between
    Independent Proportions: Comparison of Eleven Methods, 1998, method 10). It has a width where all are right, too.

    Args:
        hits, images: How many are right in the first sample, and of how many, at least 1.
        other_hits, other_images: The same of the second.

    Returns:
        The second's accuracy less the first's; and the bounds of the interval.

    Example:
        Newcombe's own, 48 of 80 and 56 of 70:

        >>> from keras_resnet.evaluation.split_comparison import independent_difference
        >>> difference, (low, high) = independent_difference(48, 80, 56, 70)
        >>> print(f"{difference:.2f}, {low:.2f} to {high:.2f}")
        20.00, 5.24 to 33.39
    """
    first, second = hits / images, other_hits / other_images
    (low, high), (other_low, other_high) = wilson_interval(hits, images), wilson_interval(other_hits, other_images)
    difference = second - first
    bounds = (
        difference - math.hypot(second - other_low, high - first),
        difference + math.hypot(other_high - second, first - low),
    )
    return 100 * difference, (100 * bounds[0], 100 * bounds[1])


def divided_otherwise(models: Sequence[object]) -> tuple[Run, ...]:
    """The runs that models are, if all are finished runs of the same images and their splits differ; else none.

    Args:
        models: As `compare` takes them.

    Raises:
        DataError: A run's record of its split is damaged.
        ModelError: Another record is.
    """
    runs = []
    for model in models:
        if isinstance(model, Run):
            runs.append(model)
        elif isinstance(model, str | os.PathLike) and is_run(Path(model)):
            runs.append(Run.at(model, finished=True))
        else:
            return ()
    if len({run.fingerprint for run in runs}) < 2:
        return ()
    contents = {read_split(run.path / "split.json").fingerprint for run in runs}
    return tuple(runs) if len(contents) == 1 else ()


def compare_splits(*runs: Run | str | os.PathLike[str], progress: OnRead | None = None) -> tuple[SplitComparison, ...]:
    """Put the figures of trainings side by side whose images are the same and divided otherwise.

    A figure by random split may be too good: where photographs of one person, burst or camera are on both sides, it
    says little of others. A figure by group says more, and the difference is what the random split leaked, if
    nothing but the split differs. Each training is asked for its own test images. These are others, so that nothing
    is paired.

    Args:
        *runs: Two or more finished runs, or their folders.
        progress: Called while images are read.

    Returns:
        A comparison for each run after the first, in which `first` is the first run.

    Raises:
        DataError: The images cannot be read or have changed.
        ModelError: A run is damaged.
        UsageError: There are fewer than two runs, or they are not of the same images, divided otherwise.

    Example:
        >>> import keras_resnet
        >>> for found in keras_resnet.compare_splits("saved_models/random", "saved_models/camera"):  # doctest: +SKIP
        ...     print(found.text)
        by camera it is 39.8 points lower (33.3 to 46.6) than at random: count on the lower figure
    """
    found = divided_otherwise(runs)
    if len(found) < 2:
        raise UsageError(
            "splits are compared of two or more finished runs of the same images, divided otherwise (train with "
            "--split or --group-by); models on the same test images are compared by `compare`"
        )
    names = _names([run.path for run in found])
    asked = []
    for run, name in zip(found, names, strict=True):
        data = load_run_data(run, progress)
        evaluation = evaluate(run, data)
        right, images = evaluation.metrics.correct, evaluation.metrics.images
        division = _division(dict[str, Any](run.config["data"]), data)
        figure = SplitFigure(name, division, right, images, right / images, wilson_interval(right, images))
        asked.append((figure, set(evaluation.names)))
    figures = _told_apart([figure for figure, _ in asked], found)
    rows = []
    for place in range(1, len(found)):
        first, second = figures[0], figures[place]
        difference, interval = independent_difference(first.correct, first.images, second.correct, second.images)
        shared = len(asked[0][1] & asked[place][1])
        rows.append(
            SplitComparison(first, second, difference, interval, shared, _other_settings(found[0], found[place]))
        )
    return tuple(rows)


def _division(settings: Mapping[str, Any], data: ImageData) -> str:
    """How images were divided, in words."""
    if settings.get("split_file"):
        return f"by {Path(settings['split_file']).name}"
    if _is_given(data):
        return AS_GIVEN
    method, fold = settings.get("split", "class"), settings.get("fold")
    told = AT_RANDOM if method == "class" else f"by {settings.get('group_by') or method}"
    return told + (f", fold {fold[0]} of {fold[1]}" if fold else "")


def _is_given(data: ImageData) -> bool:
    """Whether the source has splits of its own."""
    source = data.source
    if not isinstance(source, Source) or source.kind not in PATHS:
        return isinstance(source, Source) and source.kind == "tfds"
    # Series would be looked for in all images; here only the source's own splits are asked for.
    return bool(list_source(replace(source, split="class", group_by=None)).given)


def _told_apart(figures: Sequence[SplitFigure], runs: Sequence[Run]) -> list[SplitFigure]:
    """Figures whose divisions have the same words, with the seeds of their splits."""
    words = [figure.division for figure in figures]
    seeds = [dict[str, Any](run.config["data"]).get("seed", 0) for run in runs]
    return [
        figure
        if words.count(figure.division) == 1
        else replace(figure, division=f"{figure.division}, seed {seed} ({figure.name})")
        for figure, seed in zip(figures, seeds, strict=True)
    ]


def _other_settings(first: Run, second: Run) -> tuple[str, ...]:
    """The names of the settings besides the split in which two runs differ."""
    found = []
    for part, of_no_matter in (("recipe", {"seed"}), ("data", OF_THE_SPLIT | OF_THE_PLACE)):
        settings: list[Mapping[str, Any]] = [dict[str, Any](run.config)[part] for run in (first, second)]
        one, other = settings
        names = sorted((one.keys() | other.keys()) - of_no_matter)
        found += [name for name in names if one.get(name) != other.get(name)]
    return tuple(found)


def _names(paths: Sequence[Path]) -> list[str]:
    """Short names, as far as they differ."""
    short = [path.name for path in paths]
    return short if len(set(short)) == len(short) else [str(path) for path in paths]
