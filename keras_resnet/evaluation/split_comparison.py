"""Trainings on the same images, divided otherwise: what the split makes of the figure."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

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
from keras_resnet.tasks.intervals import effective_images, share_interval, wilson_interval

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
        interval: Its 95 % interval: Wilson's, by group where groups are known, or of several trainings Student's.
        accuracies: Of each of several trainings; else empty.
        groups: In how many groups the test images are, which the interval goes by; None: each image is by itself, or
            the interval goes by trainings.
    """

    name: str
    division: str
    correct: int
    images: int
    accuracy: float
    interval: tuple[float, float]
    accuracies: tuple[float, ...] = ()
    groups: int | None = None


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
        on_these: The interval if each image is by itself, of these groups and no others; None: no groups are known, so
            that it is the same.
    """

    first: SplitFigure
    second: SplitFigure
    difference: float
    interval: tuple[float, float]
    shared: int
    also_differ: tuple[str, ...] = ()
    p: float | None = None
    on_these: tuple[float, float] | None = None

    @property
    def is_shown(self) -> bool:
        """Whether no difference at all lies outside the interval."""
        return not self.interval[0] <= 0 <= self.interval[1]

    @property
    def is_seen(self) -> bool:
        """Whether these groups of images show a difference, even if they are too few to tell of others."""
        low, high = self.on_these or self.interval
        return self.is_shown or not low <= 0 <= high

    @property
    def text(self) -> str:
        """What was found, in words."""
        told = self._difference()
        if self.also_differ:
            told += f" (the trainings differ in more than the split: {', '.join(self.also_differ)})"
        return told

    def _difference(self) -> str:
        several = bool(self.first.accuracies)
        if not self.is_seen:
            looked_at = "these trainings" if several else "these images"
            return f"the split makes no difference that {looked_at} could show"
        lower, higher = (self.second, self.first) if self.difference < 0 else (self.first, self.second)
        low, high = sorted(map(abs, self.interval))
        between = f" ({low:.1f} to {high:.1f})" if self.is_shown else ""
        told = f"{lower.division} it is {abs(self.difference):.1f} points lower{between} than {higher.division}"
        if not self.is_shown:
            fewest = min(one.groups for one in (lower, higher) if one.groups)
            told += f" on these images, of {fewest} group{'s' * (fewest > 1)}, too few to tell how it is on others"
        if not lower.division.startswith(AT_RANDOM) or higher.division.startswith(AT_RANDOM):
            return f"{told}: count on the lower figure"
        if several:
            return f"{told}: a random split that leaks would be the higher one; this one does not leak"
        return f"{told}: the images that were held out may be easy ones; other folds tell (--folds)"

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return asdict(self) | {"is_shown": self.is_shown, "is_seen": self.is_seen, "text": self.text}


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
    is paired. One training each is compared by its images, or groups of images where these are known (Newcombe 1998,
    Zou and Donner 2008), several, such as folds, by their accuracies: Welch's test, with each side's variance as
    `mean_accuracy` has it (Nadeau and Bengio 2003).

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
        shared = len(asked[0].tested & asked[place].tested)
        also_differ = _other_settings(sides[0] + sides[place])
        found = _compared(figures[0], figures[place], shared, also_differ)
        if not all(alone):
            found = _compared_in_the_mean(found, asked[0], asked[place])
        rows.append(found)
    return tuple(rows)


def _compared(first: SplitFigure, second: SplitFigure, shared: int, also_differ: tuple[str, ...]) -> SplitComparison:
    """Compare one training each, by their images or groups of images."""
    counts = first.correct, first.images, second.correct, second.images
    difference, interval = independent_difference(*counts, intervals=(first.interval, second.interval))
    on_these = independent_difference(*counts)[1] if first.groups or second.groups else None
    return SplitComparison(first, second, difference, interval, shared, also_differ, on_these=on_these)


def _compared_in_the_mean(found: SplitComparison, first: _Asked, second: _Asked) -> SplitComparison:
    """The same of several trainings each, by their means."""
    apart, on_these = second.mean.less(first.mean), second.mean_on_these.less(first.mean_on_these)
    return replace(
        found,
        difference=100 * apart.mean,
        interval=_in_points(apart.interval),
        p=apart.p,
        on_these=found.on_these and _in_points(on_these.interval),
    )


def _in_points(interval: tuple[float, float]) -> tuple[float, float]:
    return 100 * interval[0], 100 * interval[1]


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
        found = _compared(own.figure, other.figure, len(own.tested & other.tested), also)
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
        right, images, groups = counts["correct"], counts["images"], counts.get("groups")
        if "correct_95%_interval" in counts:
            low, high = counts["correct_95%_interval"]
        else:  # as written before there were groups here
            (low, high), groups = wilson_interval(right, images), None
    except (DataError, ModelError, UsageError, ValueError):
        return None
    figure = SplitFigure(run.path.name, divisions[0], right, images, right / images, (low, high), groups=groups)
    tested = frozenset(split.parts["test"] or split.parts["validation"])
    return _Recorded(figure, divisions[1], settings.get("fold"), tested, split.fingerprint, run.network)


@dataclass(frozen=True)
class _Asked:
    """What the trainings of one side answer.

    Args:
        figure: All of it.
        tested: The images' names.
        mean: Of several trainings; of one without a variance.
        mean_on_these: The same if each image is by itself.
    """

    figure: SplitFigure
    tested: frozenset[str]
    mean: UncertainMean
    mean_on_these: UncertainMean


def _asked(side: Sequence[Run], name: str, progress: OnRead | None) -> _Asked:
    """Ask each training for its own test images."""
    divisions, tested, answered = set(), set[str](), []
    for run in side:
        data = load_run_data(run, progress)
        evaluation = evaluate(run, data)
        given = isinstance(data.source, Source) and _is_given(data.source)
        divisions.add(_division(dict[str, Any](run.config["data"]), given=given, with_fold=len(side) == 1))
        answered.append((evaluation.answers.right, evaluation.groups))
        tested.update(evaluation.names)
    if len(divisions) > 1:
        raise UsageError(
            f"the trainings of {name} are divided in more than one way ({', '.join(sorted(divisions))}): put those of "
            "each way into a folder of their own"
        )
    (division,) = divisions
    rights, (groups, *_) = zip(*answered, strict=True)
    right, images = sum(int(one.sum()) for one in rights), sum(map(len, rights))
    counted = None if groups is None else len(np.unique(groups))
    if len(side) == 1:
        mean = by_itself = UncertainMean(right / images, ())
        interval = share_interval(rights[0], groups)
        figure = SplitFigure(name, division, right, images, mean.mean, interval, groups=counted)
    else:
        accuracies = tuple(float(one.mean()) for one in rights)
        if ratio := test_by_train(side):
            counted = None  # folds vary as their groups do
            mean = by_itself = mean_accuracy(accuracies, test_by_train=ratio)
        else:
            shares = np.mean(rights, axis=0)
            worth = effective_images(shares.mean(), shares - shares.mean(), groups, units=len(shares))
            by_itself = mean_accuracy(accuracies, images=len(shares))
            mean = mean_accuracy(accuracies, images=worth, groups=counted) if counted else by_itself
        low, high = mean.interval
        interval = max(low, 0.0), min(high, 1.0)
        division += f" ({len(side)} {_kind(side)})"
        figure = SplitFigure(name, division, right, images, mean.mean, interval, accuracies, counted)
    return _Asked(figure, frozenset(tested), mean, by_itself)


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
