"""Models against each other on the same test images: which is better, by how much, and how sure that is."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from keras_resnet.data.images import ImageData, OnRead
from keras_resnet.data.loading import Data, list_source
from keras_resnet.data.sources.source import Source
from keras_resnet.data.sources.table_rows import LABEL_SEPARATOR
from keras_resnet.errors import DataError, UsageError, listed
from keras_resnet.evaluation.evaluate import Evaluation, evaluate, load_run_data
from keras_resnet.evaluation.paired import (
    LEVEL,
    bootstrap_difference,
    design_effect,
    holm,
    images_needed,
    mcnemar,
    paired_difference,
    paired_t_test,
    trainings_needed,
)
from keras_resnet.evaluation.trainings import called_by, test_by_train, trainings_of
from keras_resnet.regular_files import read_bytes
from keras_resnet.runs.run import Run
from keras_resnet.spreadsheet import csv_cell

if TYPE_CHECKING:
    import keras

    from keras_resnet.inference.predictor import Predictor

    Model: TypeAlias = "Predictor | Run | Evaluation | str | os.PathLike[str] | keras.Model"

COLUMNS = ("path", "label", "prediction")
MOST_TABLE_BYTES = 2**30
MANY_IMAGES = 5000
"""From so many on, hundredths of a point mean something."""


@dataclass(frozen=True)
class Differing:
    """An image on which two models decide otherwise.

    Args:
        image: Its name.
        label, first, second: The true class, and what each says.
    """

    image: str
    label: str
    first: str
    second: str


@dataclass(frozen=True)
class PairedComparison:
    """How one model differs from another on the same images.

    Figures are of images that are answered wholly right. Accuracies are 0–1, differences in points.

    Args:
        first, second: What the two are called.
        method: The test.
        images: How many there are in the test of each pair.
        accuracies: Of each training of the first, and of each of the second.
        difference: The second's less the first's, in the mean over trainings.
        interval: Its 95 % interval; by group where groups are known. Not corrected for other comparisons.
        p: Of the test, two-sided.
        corrected: The same after Holm's correction for all comparisons that were made at once.
        only_first, only_second: On how many images just one is right, in all trainings together.
        bootstrap: The paired bootstrap's 95 % interval; None of several trainings.
        groups: How many groups the images are of; None: they count as independent.
        needed: How many images, or trainings, would show a difference of this size with a chance of 80 %; None: there
            is no difference, or no number is enough.
        is_resampled: Whether the trainings are of several splits, such as folds.
        differing: The images on which they decide otherwise; of several trainings none are listed.
    """

    first: str
    second: str
    method: str
    images: int
    accuracies: tuple[tuple[float, ...], tuple[float, ...]]
    difference: float
    interval: tuple[float, float]
    p: float
    corrected: float
    only_first: int
    only_second: int
    bootstrap: tuple[float, float] | None = None
    groups: int | None = None
    needed: int | None = None
    is_resampled: bool = False
    differing: tuple[Differing, ...] = field(default=(), repr=False)

    @property
    def trainings(self) -> int:
        """How many pairs there are."""
        return len(self.accuracies[0])

    @property
    def is_shown(self) -> bool:
        """Whether there is a difference beyond chance, among all that were looked for."""
        return self.corrected <= LEVEL

    @property
    def text(self) -> str:
        """What was found, in words."""
        digits = 1 if self.images < MANY_IMAGES else 2
        several = self.trainings > 1
        if self.is_shown:
            better, sign = (self.second, 1) if self.difference > 0 else (self.first, -1)
            low, high = sorted(sign * bound for bound in self.interval)
            mean = f" on average over {self.trainings} trainings" if several else ""
            return (
                f"{better} is better by {abs(self.difference):.{digits}f} points "
                f"({low:.{digits}f} to {high:.{digits}f}){mean}"
            )
        looked_at = f"{self.trainings} trainings" if several else f"{self.images:,} images"
        if self.p <= LEVEL:
            return (
                f"no difference that {looked_at} could show among several comparisons: "
                f"p is {shown_p(self.p)} alone and {shown_p(self.corrected)} corrected"
            )
        text = f"no difference that {looked_at} could show"
        if not self.only_first + self.only_second:
            return f"{text}: both are right on the same ones"
        if self.needed is None:
            return text
        return (
            f"{text}; {_rounded_up(self.needed):,} would be needed for one of {abs(self.difference):.{digits}f} points"
        )

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file; a bound that is infinite is null."""
        plain = {**vars(self), "differing": [vars(one) for one in self.differing]}
        plain["interval"] = [bound if math.isfinite(bound) else None for bound in self.interval]
        return plain | {"is_shown": self.is_shown, "text": self.text}


@dataclass(frozen=True)
class _Decided:
    """What a model decided on its test images. All texts are as in `predictions.csv`.

    Args:
        names: Of the images.
        labels: Of the same.
        predictions: Likewise.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    predictions: tuple[str, ...]

    @property
    def right(self) -> np.ndarray:
        """Bool (n,)."""
        return np.array([one == other for one, other in zip(self.labels, self.predictions, strict=True)], bool)

    def ordered_as(self, other: _Decided, called: tuple[str, str]) -> _Decided:
        """The same in the order of another's images.

        Args:
            other: Whose order.
            called: What the other and this are called.

        Raises:
            DataError: They are of other images, or the labels differ.
        """
        if self.names != other.names:
            places = {name: place for place, name in enumerate(self.names)}
            missing = [name for name in other.names if name not in places]
            if missing or len(self.names) != len(other.names) or len(places) != len(self.names):
                raise DataError(
                    f"{called[0]} and {called[1]} were not asked for the same images ({len(other.names)} and "
                    f"{len(self.names)}; {listed(missing, 3) or 'none'} missing in the second): evaluate both on the "
                    "same ones"
                )
            order = [places[name] for name in other.names]
            parts = [tuple(part[place] for place in order) for part in (self.labels, self.predictions)]
            return replace(self, names=other.names, labels=parts[0], predictions=parts[1]).ordered_as(other, called)
        differ = [name for name, one, two in zip(self.names, self.labels, other.labels, strict=True) if one != two]
        if differ:
            raise DataError(
                f"{called[0]} and {called[1]} have other labels for {len(differ)} images, first {differ[0]!r}: "
                "evaluate both on the same data"
            )
        return self


def compare(
    *models: Model | Sequence[Model],
    data: Data | None = None,
    split: str | None = None,
    groups: Mapping[str, object] | None = None,
    seed: int = 0,
    progress: OnRead | None = None,
) -> tuple[PairedComparison, ...]:
    r"""Compare models with the first of them, on the same images.

    One training each is compared by McNemar's exact test. Several, such as seeds or folds, are compared by a paired
    t-test of their accuracies, which is corrected where they are of several splits; they are paired by seed and fold.
    Where images belong together in groups, all is computed by group. See `keras_resnet.evaluation.paired` for methods
    and sources.

    Args:
        *models: Two or more: runs, model files of any kind, Keras models, `Evaluation`s, tables `predictions.csv` as
            `evaluate` writes them, or folders with one of these. Several trainings are a list of them, or a folder of
            runs.
        data: Images that no model was trained on, as `evaluate` takes them. None: the runs' own test images, which must
            be the same; a model file beside a run is asked for the run's.
        split: As `evaluate`.
        groups: The group of each image by its name, such as the person it shows. None: as the data have it.
        seed: Of the bootstrap.
        progress: Called while images are read.

    Returns:
        A comparison for each model after the first, in which `first` is the first model; p is corrected for their
        number (Holm).

    Raises:
        DataError: Models were asked for other images, or images cannot be read.
        ModelError: A model cannot be read.
        UsageError: There are fewer than two models, a model has no data, runs have other data, or trainings cannot be
            paired.

    Example:
        >>> import keras_resnet
        >>> from pathlib import Path
        >>> for name, wrong in {"plain": 15, "residual": 4}.items():
        ...     rows = [f"{n}.png,cat,{'dog' if n < wrong else 'cat'}" for n in range(100)]
        ...     _ = Path(f"{name}.csv").write_text("\n".join(["path,label,prediction", *rows]))
        >>> found = keras_resnet.compare("plain.csv", "residual.csv")[0]
        >>> print(found.text)
        residual is better by 11.0 points (4.2 to 17.4)
        >>> print(f"{found.p:.4f}", found.only_first, found.only_second)
        0.0010 0 11
    """
    if len(models) < 2:
        raise UsageError(f"a comparison needs two models or more; received {len(models)}")
    trainings = [trainings_of(model) for model in models]
    called = called_by(models)
    if len({len(one) for one in trainings}) > 1:
        counts = ", ".join(f"{name} {len(one)}" for name, one in zip(called, trainings, strict=True))
        raise UsageError(f"trainings are compared in pairs: give as many of each; there are of {counts}")
    if len(trainings[0]) > 1:
        trainings = [
            _paired_with(trainings[0], one, (called[0], name)) for one, name in zip(trainings, called, strict=True)
        ]
    named: Mapping[str, object] | None = (
        None if groups is None else {csv_cell(name): group for name, group in groups.items()}
    )
    decided = []
    for members in zip(*trainings, strict=True):
        asked, own = _asked(members, data, split, progress)
        named = own if groups is None else named
        decided.append([one.ordered_as(asked[0], (called[0], name)) for one, name in zip(asked, called, strict=True)])
    ratio = test_by_train(trainings[0])
    rows = []
    for place in range(1, len(models)):
        names = called[0], called[place]
        answers = [(one[0], one[place]) for one in decided]
        alone = len(answers) == 1
        rows.append(_of_one(names, *answers[0], named, seed) if alone else _of_several(names, answers, ratio))
    corrected = holm([row.p for row in rows])
    return tuple(replace(row, corrected=p) for row, p in zip(rows, corrected, strict=True))


def _of_one(
    names: tuple[str, str], first: _Decided, second: _Decided, groups: Mapping[str, object] | None, seed: int
) -> PairedComparison:
    right, others = first.right, second.right
    numbers = None
    if groups is not None:
        missing = [name for name in first.names if name not in groups]
        if missing:
            raise DataError(f"{len(missing)} images have no group, first {missing[0]!r}: name the group of each")
        numbers = np.unique([str(groups[name]) for name in first.names], return_inverse=True)[1]
    difference, interval = paired_difference(right, others, numbers)
    alone = int((right & ~others).sum()), int((~right & others).sum())
    p = mcnemar(right, others, numbers)
    needed = images_needed(difference, 100 * sum(alone) / len(right))
    differing = [
        Differing(*row)
        for row in zip(first.names, first.labels, first.predictions, second.predictions, strict=True)
        if row[2] != row[3]
    ]
    return PairedComparison(
        *names,
        method="McNemar's exact test" + ("" if groups is None else ", by group"),
        images=len(right),
        accuracies=((float(right.mean()),), (float(others.mean()),)),
        difference=difference,
        interval=interval,
        p=p,
        corrected=p,
        only_first=alone[0],
        only_second=alone[1],
        bootstrap=bootstrap_difference(right, others, numbers, seed=seed),
        groups=None if numbers is None else int(numbers.max()) + 1,
        needed=None if needed is None else math.ceil(needed * design_effect(right, others, numbers)),
        differing=tuple(differing),
    )


def _of_several(names: tuple[str, str], pairs: Sequence[tuple[_Decided, _Decided]], ratio: float) -> PairedComparison:
    right = [(first.right, second.right) for first, second in pairs]
    accuracies = [tuple(float(one[side].mean()) for one in right) for side in (0, 1)]
    differences = 100 * (np.array(accuracies[1]) - np.array(accuracies[0]))
    test = paired_t_test(differences, ratio)
    return PairedComparison(
        *names,
        method="paired t-test" + (", corrected for resampled images (Nadeau and Bengio)" if ratio else ""),
        images=round(float(np.mean([len(one) for one, _ in right]))),
        accuracies=(accuracies[0], accuracies[1]),
        difference=test.difference,
        interval=test.interval,
        p=test.p,
        corrected=test.p,
        only_first=sum(int((one & ~other).sum()) for one, other in right),
        only_second=sum(int((~one & other).sum()) for one, other in right),
        needed=None if ratio else trainings_needed(differences),  # more folds share more images
        is_resampled=ratio > 0,
    )


# What is compared.


def _paired_with(reference: Sequence[Any], others: Sequence[Any], called: tuple[str, str]) -> list[Any]:
    """Trainings in the order of the reference's seeds and folds; of what are no runs, as they are."""
    if not all(isinstance(one, Run) for one in (*reference, *others)):
        return list(others)
    places = {_draw(one): one for one in others}
    wanted = [_draw(one) for one in reference]
    if len(set(wanted)) < len(wanted) or set(wanted) != places.keys():
        told = [", ".join(sorted({_told(one) for one in draws})) for draws in (wanted, places)]
        raise UsageError(
            f"trainings are paired by seed and fold, each of which must be there once: {called[0]} has {told[0]}; "
            f"{called[1]} has {told[1]}"
        )
    return [places[one] for one in wanted]


def _draw(run: Run) -> tuple[object, ...]:
    """What is drawn otherwise in each of several trainings: the seeds of training and split, and the fold."""
    recipe: dict[str, Any] = {**run.config["recipe"]}
    data: dict[str, Any] = {**run.config["data"]}
    return recipe.get("seed"), data.get("seed"), tuple(data.get("fold") or ()), data.get("split_file")


def _told(draw: tuple[object, ...]) -> str:
    fold = "/".join(map(str, draw[2])) if isinstance(draw[2], tuple) and draw[2] else ""
    return f"seed {draw[0]}" + (f" fold {fold}" if fold else f" split {draw[1]}" if draw[1] != draw[0] else "")


# What they decide.


def _asked(
    members: Sequence[Any], data: Data | None, split: str | None, progress: OnRead | None
) -> tuple[list[_Decided], Mapping[str, object] | None]:
    """What each of some models decides on the same images, and the images' groups if they are known."""
    models = [one for one in members if not isinstance(one, Evaluation) and not _is_table(one)]
    runs = [one for one in models if isinstance(one, Run)]
    loaded: dict[str, ImageData] = {}

    def own(run: Run) -> ImageData:
        key = json.dumps(run.config["data"], sort_keys=True)
        loaded[key] = loaded[key] if key in loaded else load_run_data(run, progress)
        return loaded[key]

    if data is None and models:
        if not runs:
            raise UsageError("bare model files do not know their images: name them by data (--data), as folder:PATH")
        others = [run for run in runs if run.fingerprint != runs[0].fingerprint]
        if others:
            raise UsageError(
                f"{runs[0].path} and {others[0].path} were trained on other images or splits, so that the test images "
                "of one may have trained the other: name images that neither has seen by data (--data). Runs of "
                "the very same images, divided otherwise, are compared by compare_splits, as the command does by itself"
            )
    found = []
    for one in members:
        if _is_table(one):
            found.append(_read_predictions(Path(one)))
            continue
        if not isinstance(one, Evaluation):
            images = data if data is not None else own(one if isinstance(one, Run) else runs[0])
            one = evaluate(one, images, split=split, progress=progress)
        found.append(_decided(one))
    return found, _groups(data if data is not None or not runs else own(runs[0]))


def _is_table(model: Any) -> bool:
    return isinstance(model, str | os.PathLike) and Path(model).suffix == ".csv"


def _decided(evaluation: Evaluation) -> _Decided:
    task = evaluation.predictor.task
    decided = task.decisions(evaluation.logits)
    names = evaluation.names or tuple(map(str, range(len(decided))))
    labels, predictions = (
        tuple(csv_cell(_sorted(LABEL_SEPARATOR.join(task.names_of(one)))) for one in many)
        for many in (evaluation.labels, decided)
    )
    return _Decided(tuple(map(csv_cell, names)), labels, predictions)


def _read_predictions(path: Path) -> _Decided:
    """Read a table that `evaluate` wrote.

    Raises:
        DataError: It cannot be read, has no images, or lacks a column.
    """
    try:
        text = read_bytes(path, MOST_TABLE_BYTES).decode()
        table = csv.DictReader(io.StringIO(text, newline=""))
        rows = [tuple(row.get(column) for column in COLUMNS) for row in table]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no table of predictions: {error}") from None
    if not rows or any(cell is None for row in rows for cell in row):
        raise DataError(
            f"{path} is no table of predictions: expected the columns {', '.join(COLUMNS)} and a row for each image, "
            "as `keras-resnet evaluate` writes them"
        )
    names, labels, predictions = zip(*rows, strict=True)
    return _Decided(names, tuple(map(_sorted, labels)), tuple(map(_sorted, predictions)))


def _sorted(label: str) -> str:
    """Of several classes, the same text whichever stands first."""
    return LABEL_SEPARATOR.join(sorted(label.split(LABEL_SEPARATOR)))


def _groups(data: Data | None) -> Mapping[str, object] | None:
    """The groups of images by their names, where the data have them."""
    source: Any = data.source if isinstance(data, ImageData) else data
    if isinstance(data, ImageData) and data.groups is not None:
        names, groups = data.names, data.groups
    elif isinstance(source, Source | str) and (named := Source(source) if isinstance(source, str) else source).kind in (
        "csv",
        "jsonl",
    ):
        listing = list_source(named)
        if listing.groups is None:
            return None
        names, groups = tuple(listing.names), listing.groups
    else:
        return None
    return {csv_cell(name): int(group) for name, group in zip(names, groups, strict=True)}


def shown_p(p: float) -> str:
    """A p as people read it."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _rounded_up(number: int) -> int:
    """To two digits."""
    unit = 10 ** max(0, len(str(number)) - 2)
    return math.ceil(number / unit) * unit
