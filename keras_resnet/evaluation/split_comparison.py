"""Trainings on the same images, divided otherwise: what the split makes of the figure."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from keras_resnet.data.images import ImageData, OnRead
from keras_resnet.data.loading import list_source
from keras_resnet.data.sources.source import PATHS, Source
from keras_resnet.data.splits.split_file import read_split
from keras_resnet.errors import DataError, ModelError, UsageError
from keras_resnet.evaluation.evaluate import evaluate, load_run_data
from keras_resnet.evaluation.trainings import called_by, test_by_train, trainings_of
from keras_resnet.evaluation.unpaired import UncertainMean, independent_difference, mean_accuracy
from keras_resnet.json_files import read_json
from keras_resnet.runs.contents import EvaluationRecord
from keras_resnet.runs.run import Run, is_run
from keras_resnet.tasks.intervals import wilson_interval

Trainings: TypeAlias = "Run | str | os.PathLike[str] | Sequence[Run | str | os.PathLike[str]]"
"""A finished run or its folder; or several, as a list or a folder of them: folds or seeds."""

AT_RANDOM = "at random"
AS_GIVEN = "as their source divides them"
OF_THE_SPLIT = {"split", "group_by", "fold", "split_file", "seed"}
OF_THE_PLACE = {"name", "data_dir", "on_error"}
"""Settings of a source that say where images are, not what is made of them."""


@dataclass(frozen=True)
class SplitFigure:
    """What one training, or several in the mean, has right of its own test images.

    Args:
        name: Of its run, or of the folder of several.
        division: How the images were divided, as `at random`, `by camera, fold 2 of 5` or `by camera (5 folds)`.
        correct: How many test images are answered wholly right; of several trainings, in all tests together.
        images: Of how many.
        accuracy: Their share, 0–1; of several trainings, the mean of theirs.
        interval: Its 95 % interval: Wilson's, or of several trainings Student's.
        accuracies: Of each of several trainings; else empty.
    """

    name: str
    division: str
    correct: int
    images: int
    accuracy: float
    interval: tuple[float, float]
    accuracies: tuple[float, ...] = ()


@dataclass(frozen=True)
class SplitComparison:
    """The figures of two trainings, or of two times several, whose images are the same and whose splits are not.

    Args:
        first, second: The two.
        difference: The second's accuracy less the first's, in points.
        interval: Its 95 % interval: of one training each, `independent_difference`; of several, Welch's.
        shared: How many images both are tested on.
        also_differ: Settings besides the split in which the trainings differ. Without any, the split alone can have
            made the difference, or chance.
        p: Of Welch's test of several trainings, two-sided; None of one each.
    """

    first: SplitFigure
    second: SplitFigure
    difference: float
    interval: tuple[float, float]
    shared: int
    also_differ: tuple[str, ...] = ()
    p: float | None = None

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
        several = bool(self.first.accuracies)
        if not self.is_shown:
            looked_at = "these trainings" if several else "these images"
            return f"the split makes no difference that {looked_at} could show"
        lower, higher = (self.second, self.first) if self.difference < 0 else (self.first, self.second)
        low, high = sorted(map(abs, self.interval))
        told = (
            f"{lower.division} it is {abs(self.difference):.1f} points lower ({low:.1f} to {high:.1f}) than "
            f"{higher.division}"
        )
        if not lower.division.startswith(AT_RANDOM) or higher.division.startswith(AT_RANDOM):
            return f"{told}: count on the lower figure"
        if several:
            return f"{told}: a random split that leaks would be the higher one; this one does not leak"
        return f"{told}: the images that were held out may be easy ones; other folds tell (--folds)"

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return asdict(self) | {"is_shown": self.is_shown, "text": self.text}


def divided_otherwise(models: Sequence[object]) -> tuple[tuple[Run, ...], ...]:
    """The runs that each of some models is, if all are of the same images and some share no split; else none.

    Args:
        models: As `compare` takes them: runs, or lists or folders of runs.

    Raises:
        DataError: A run's record of its split is damaged.
        ModelError: Another record is, or a run is not finished.
    """
    sides = [tuple(trainings_of(model)) for model in models]
    if not all(side and all(isinstance(one, Run) for one in side) for side in sides):
        return ()
    splits = [{run.fingerprint for run in side} for side in sides]
    if all(one & other for one in splits for other in splits):
        return ()  # which can be paired, or lack a fold
    contents = {read_split(run.path / "split.json").fingerprint for side in sides for run in side}
    return tuple(sides) if len(contents) == 1 else ()


def compare_splits(*models: Trainings, progress: OnRead | None = None) -> tuple[SplitComparison, ...]:
    """Put the figures of trainings side by side whose images are the same and divided otherwise.

    A figure by random split may be too good: where photographs of one person, burst or camera are on both sides, it
    says little of others. A figure by group says more, and the difference is what the random split leaked, if
    nothing but the split differs. Each training is asked for its own test images. These are others, so that nothing
    is paired. One training each is compared by its images (Newcombe 1998), several, such as folds, by their accuracies:
    Welch's test, with each side's variance as `mean_accuracy` has it (Nadeau and Bengio 2003).

    Args:
        *models: Two or more finished runs or their folders; or as many lists or folders of several.
        progress: Called while images are read.

    Returns:
        A comparison for each model after the first, in which `first` is the first.

    Raises:
        DataError: The images cannot be read or have changed.
        ModelError: A run is damaged.
        UsageError: There are fewer than two models, they are not of the same images, divided otherwise, one training
            stands against several, or several are divided in more than one way.

    Example:
        >>> import keras_resnet
        >>> for found in keras_resnet.compare_splits("saved_models/random", "saved_models/camera"):  # doctest: +SKIP
        ...     print(found.text)
        by camera it is 39.8 points lower (33.3 to 46.6) than at random: count on the lower figure
    """
    sides = divided_otherwise(models)
    if len(sides) < 2:
        raise UsageError(
            "splits are compared of two or more finished runs of the same images, divided otherwise (train with "
            "--split or --group-by), or of folders of them that have no split in common; models on the same test "
            "images are compared by `compare`"
        )
    names = called_by([side[0] if isinstance(model, Run) else model for side, model in zip(sides, models, strict=True)])
    alone = [len(side) == 1 for side in sides]
    if any(alone) and not all(alone):
        counts = ", ".join(f"{name} {len(side)}" for name, side in zip(names, sides, strict=True))
        raise UsageError(
            "one training has no spread that several could be compared with: give one of each, or two or more of each "
            f"(train with --folds or --seeds); there are of {counts}"
        )
    asked = [_asked(side, name, progress) for side, name in zip(sides, names, strict=True)]
    figures = _told_apart([one.figure for one in asked], sides)
    rows = []
    for place in range(1, len(sides)):
        p = None
        first, second = figures[0], figures[place]
        if all(alone):
            difference, interval = independent_difference(first.correct, first.images, second.correct, second.images)
        else:
            apart = asked[place].mean().less(asked[0].mean())
            difference, interval, p = 100 * apart.mean, (100 * apart.interval[0], 100 * apart.interval[1]), apart.p
        shared = len(asked[0].tested & asked[place].tested)
        also_differ = _other_settings(sides[0] + sides[place])
        rows.append(SplitComparison(first, second, difference, interval, shared, also_differ, p))
    return tuple(rows)


def beside(run: Run) -> tuple[SplitComparison, ...]:
    """Put a run's figure beside those of its neighbours: the same images and network, divided otherwise.

    Neighbours are the finished and evaluated runs in the folder that holds the run. Figures are those that
    `evaluate` has written, so that nothing is read but records. Of each way to divide, as `by camera`, there is one:
    that of the same fold, if there are folds, whose settings differ least besides the split. A calibrated copy is not
    a training of its own.

    Args:
        run: Finished and evaluated.

    Returns:
        A comparison for each other way, by their names, in which `first` is the run; none if it is not evaluated.

    Raises:
        DataError: A record of the run's own split is damaged.
        ModelError: Another record of the run is.

    Example:
        >>> import keras_resnet
        >>> for one in keras_resnet.beside(keras_resnet.Run.at("saved_models/photos")):  # doctest: +SKIP
        ...     print(one.second.division, one.second.accuracy, one.second.interval, one.second.images, one.text)
    """
    is_given = cache(_is_given)  # neighbours have few sources, each with many files
    own = _record_of(run, is_given)
    if own is None:
        return ()
    nearest: dict[str, tuple[tuple[bool, int, str], SplitComparison]] = {}
    for path in run.path.resolve().parent.iterdir():
        if not is_run(path) or path.samefile(run.path):
            continue
        other = _record_of(Run(path), is_given, own.content)
        if other is None or not other.may_stand_beside(own):
            continue
        also = _other_settings([run, Run(path)])
        numbers = independent_difference(
            own.figure.correct, own.figure.images, other.figure.correct, other.figure.images
        )
        found = SplitComparison(own.figure, other.figure, *numbers, len(own.tested & other.tested), also)
        rank = (other.fold != own.fold, len(also), path.name)
        if other.way not in nearest or rank < nearest[other.way][0]:
            nearest[other.way] = rank, found
    return tuple(nearest[way][1] for way in sorted(nearest))


@dataclass(frozen=True)
class _Recorded:
    """What the records of an evaluated run say.

    Args:
        figure: Of its test.
        way: How its images were divided, whichever fold was the test.
        fold: Which one was; None: there are no folds.
        tested: Their names.
        content: The fingerprint of all its images, however divided.
        network: What was trained.
    """

    figure: SplitFigure
    way: str
    fold: Sequence[int] | None
    tested: frozenset[str]
    content: str
    network: str

    def may_stand_beside(self, other: _Recorded) -> bool:
        """Whether it is the same but for the way to divide."""
        return self.network == other.network and self.way != other.way and self.tested != other.tested


def _record_of(run: Run, is_given: Callable[[Source], bool], content: str | None = None) -> _Recorded | None:
    """The records of a run; None if it is not finished, not evaluated, a calibrated copy, or trained on no source.

    Those of a neighbour may be of another version or damaged, which is none of the run's business.

    Args:
        run: The run.
        is_given: Whether a source has splits of its own.
        content: The fingerprint that its images must have; None: any.
    """
    found = run.path / "evaluation" / "evaluation.json"
    try:
        if run.status != "finished" or run.is_calibrated or not found.is_file():
            return None
        counts, split = read_json(found, EvaluationRecord), read_split(run.path / "split.json")
        settings = dict[str, Any](run.config["data"])
        if "arrays" in settings or not counts["images"] or split.fingerprint != (content or split.fingerprint):
            return None
        given = is_given(replace(Source(**settings), split="class", group_by=None, fold=None, split_file=None, seed=0))
        divisions = [_division(settings, given=given, with_fold=with_fold) for with_fold in (True, False)]
    except (DataError, ModelError, UsageError):
        return None
    right, images = counts["correct"], counts["images"]
    figure = SplitFigure(run.path.name, divisions[0], right, images, right / images, wilson_interval(right, images))
    tested = frozenset(split.parts["test"] or split.parts["validation"])
    return _Recorded(figure, divisions[1], settings.get("fold"), tested, split.fingerprint, run.network)


@dataclass(frozen=True)
class _Asked:
    """What the trainings of one side answer.

    Args:
        figure: All of it.
        tested: The images' names.
        ratio: Test images divided by training images, of trainings of several splits; 0 of one.
    """

    figure: SplitFigure
    tested: frozenset[str]
    ratio: float

    def mean(self) -> UncertainMean:
        """The mean of several trainings."""
        return _mean(self.figure.accuracies, self.figure.images, self.ratio)


def _mean(accuracies: Sequence[float], images: int, ratio: float) -> UncertainMean:
    """Of trainings that have so many test images together."""
    same = None if ratio else images // len(accuracies)
    return mean_accuracy(accuracies, test_by_train=ratio, images=same)


def _asked(side: Sequence[Run], name: str, progress: OnRead | None) -> _Asked:
    """Ask each training for its own test images."""
    divisions, counts, tested = set(), [], set[str]()
    for run in side:
        data = load_run_data(run, progress)
        evaluation = evaluate(run, data)
        given = isinstance(data.source, Source) and _is_given(data.source)
        divisions.add(_division(dict[str, Any](run.config["data"]), given=given, with_fold=len(side) == 1))
        counts.append((evaluation.metrics.correct, evaluation.metrics.images))
        tested.update(evaluation.names)
    if len(divisions) > 1:
        raise UsageError(
            f"the trainings of {name} are divided in more than one way ({', '.join(sorted(divisions))}): put those of "
            "each way into a folder of their own"
        )
    (division,) = divisions
    right, images = (sum(column) for column in zip(*counts, strict=True))
    ratio = test_by_train(side)
    if len(side) == 1:
        figure = SplitFigure(name, division, right, images, right / images, wilson_interval(right, images))
    else:
        accuracies = tuple(one / of for one, of in counts)
        mean = _mean(accuracies, images, ratio)
        low, high = mean.interval
        division += f" ({len(side)} {_kind(side)})"
        figure = SplitFigure(name, division, right, images, mean.mean, (max(low, 0.0), min(high, 1.0)), accuracies)
    return _Asked(figure, frozenset(tested), ratio)


def _kind(side: Sequence[Run]) -> str:
    """What several trainings of one kind of split are."""
    if len({run.fingerprint for run in side}) == 1:
        return "seeds"
    return "folds" if all(dict[str, Any](run.config["data"]).get("fold") for run in side) else "splits"


def is_at_random(run: Run, data: ImageData) -> bool:
    """Whether a run's images were divided at random.

    Args:
        run: The run.
        data: What it was trained on.
    """
    given = isinstance(data.source, Source) and _is_given(data.source)
    return _division(dict[str, Any](run.config["data"]), given=given, with_fold=False) == AT_RANDOM


def _division(settings: Mapping[str, Any], *, given: bool, with_fold: bool) -> str:
    """How images were divided, in words."""
    if settings.get("split_file"):
        return f"by {Path(settings['split_file']).name}"
    if given:
        return AS_GIVEN
    method, fold = settings.get("split", "class"), settings.get("fold")
    told = AT_RANDOM if method == "class" else f"by {settings.get('group_by') or method}"
    return told + (f", fold {fold[0]} of {fold[1]}" if fold and with_fold else "")


def _is_given(source: Source) -> bool:
    """Whether a source has splits of its own."""
    if source.kind not in PATHS:
        return source.kind == "tfds"
    # Series would be looked for in all images; here only the source's own splits are asked for.
    return bool(list_source(replace(source, split="class", group_by=None)).given)


def _told_apart(figures: Sequence[SplitFigure], sides: Sequence[Sequence[Run]]) -> list[SplitFigure]:
    """Figures whose divisions have the same words, with the seeds of their splits, or the names of the folders."""
    words = [figure.division for figure in figures]
    told = []
    for figure, side in zip(figures, sides, strict=True):
        if words.count(figure.division) > 1:
            seed = dict[str, Any](side[0].config["data"]).get("seed", 0)
            apart = f" of {figure.name}" if figure.accuracies else f", seed {seed} ({figure.name})"
            figure = replace(figure, division=figure.division + apart)
        told.append(figure)
    return told


def _other_settings(runs: Sequence[Run]) -> tuple[str, ...]:
    """The names of the settings besides the split in which runs differ."""
    found = []
    for part, of_no_matter in (("recipe", {"seed"}), ("data", OF_THE_SPLIT | OF_THE_PLACE)):
        settings: list[Mapping[str, Any]] = [dict[str, Any](run.config)[part] for run in runs]
        names = sorted(set().union(*settings) - of_no_matter)
        found += [name for name in names if any(one.get(name) != settings[0].get(name) for one in settings)]
    return tuple(found)
