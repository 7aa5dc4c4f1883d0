"""What is asked of a network that sees an image, in one object.

A task knows what labels look like, which targets, loss and metrics train on them, how outputs become answers, and
how answers are judged and drawn. Pipeline, training, prediction, evaluation and export ask the task and never what
kind it is. `keras_resnet.tasks.table` lists the tasks there are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from keras_resnet.errors import DataError, listed
from keras_resnet.tasks.intervals import Estimate, Interval, bootstrap_interval, bounded_interval, share_interval

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


@dataclass(frozen=True)
class Answers:
    """A model's answers beside the true labels.

    Args:
        task: Whose labels and logits they are.
        logits: float (n, number of classes).
        labels: As the task has them.
        groups: int (n,): images of one group, as one person's, are not independent; None: all are.
    """

    task: Task
    logits: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None = None

    @cached_property
    def probabilities(self) -> np.ndarray:
        """float64 (n, number of classes), what the logits stand for."""
        return self.task.probabilities(self.logits.astype(np.float64))

    @cached_property
    def decisions(self) -> np.ndarray:
        """The labels that the model gives, in the form of the true ones."""
        return self.task.decisions(self.logits)

    @cached_property
    def right(self) -> np.ndarray:
        """Which images have exactly the labels that the model gives them, bool (n,)."""
        same = self.decisions == self.labels
        return np.asarray(same if same.ndim == 1 else same.all(axis=1))

    def at(self, positions: np.ndarray) -> Answers:
        """Those to some of the images, int64 (m,), which may repeat."""
        return Answers(self.task, self.logits[positions], self.labels[positions])


@dataclass(frozen=True)
class Metric:
    """One figure of an evaluation: a row in a task's table.

    Args:
        title: What people call it, as `top-1`.
        value: Computes it, alone or as an `Estimate` with its interval. None, or what is no finite number, stands for a
            figure that means nothing for these answers.
        shown: How it is printed, as `str.format` takes it.
        hits: For a share of images, which of them count, bool (n,): gives the share its Wilson interval. A figure that
            comes with neither gets one by the bootstrap.
    """

    title: str
    value: Callable[[Answers], float | Estimate | None]
    shown: str = "{:.2%}"
    hits: Callable[[Answers], np.ndarray] | None = None

    def estimate(self, answers: Answers) -> Estimate | None:
        """The figure with its 95 % interval; None if it means nothing."""
        found = self.value(answers)
        value, interval = found if isinstance(found, Estimate) else (found, None)
        # JSON has no NaN, as scikit-learn gives for figures that mean nothing.
        if value is None or not np.isfinite(value):
            return None
        if isinstance(found, Estimate):
            return found
        if self.hits is not None:
            return Estimate(value, share_interval(self.hits(answers), answers.groups))
        interval = bootstrap_interval(
            lambda positions: _number(self.value(answers.at(positions))), len(answers.labels), answers.groups
        )
        return Estimate(value, interval)

    def text(self, value: float) -> str:
        """The value as people read it."""
        return self.shown.format(value)


@dataclass(frozen=True)
class ClassMetrics:
    """One class's figures; shares in [0, 1], 0 where there was nothing to count.

    Args:
        intervals: The 95 % intervals of precision, recall and F1; without those of shares of nothing.
    """

    name: str
    precision: float
    recall: float
    f1: float
    images: int
    intervals: Mapping[str, Interval] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True)
class Confused:
    """Images of one class that were taken for another.

    Args:
        label: The true class.
        prediction: The class that they were taken for.
        images: How many.
        share: Of the true class's images.
        interval: The 95 % interval of the share.
    """

    label: str
    prediction: str
    images: int
    share: float
    interval: Interval

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        shown = {"label": self.label, "prediction": self.prediction, "images": self.images, "share": self.share}
        return {**shown, "share_95%_interval": list(self.interval)}


Row = TypeVar("Row", bound=ClassMetrics)


@dataclass(frozen=True)
class Metrics:
    """A model's figures on one set of images.

    Each figure is an attribute, too: `metrics.top1`, and `metrics.top1_interval` where it has an interval.

    Args:
        images: How many there were.
        correct: How many were answered wholly right.
        figures: By name, in the order of the task's table; None where a figure means nothing.
        hits: How many images count, for each of those figures that are shares of the images.
        intervals: The 95 % interval of each figure that has one; see `keras_resnet.tasks.intervals`.
        classes: Each class's figures.
        confusion: int64 (classes, classes), rows the true classes and columns the predicted ones; None where an
            image may have several.
        remarks: What the figures hide.
        confused: The pairs of classes that are most often confused.
        groups: How many groups the images are in, by which intervals are; None: each image is by itself.
        correct_interval: The 95 % interval of the share that is answered wholly right; None: not known.
    """

    images: int
    correct: int
    figures: Mapping[str, float | None]
    hits: Mapping[str, int]
    intervals: Mapping[str, tuple[float, float]]
    classes: tuple[ClassMetrics, ...]
    confusion: np.ndarray | None = None
    remarks: tuple[str, ...] = ()
    confused: tuple[Confused, ...] = ()
    groups: int | None = None
    correct_interval: Interval | None = None

    @property
    def wrong(self) -> int:
        """How many images were not answered wholly right."""
        return self.images - self.correct

    def __getattr__(self, name: str) -> Any:
        known = vars(self)  # empty while a copy is being made
        if name in known.get("figures", ()):
            return known["figures"][name]
        if name.removesuffix("_interval") in known.get("intervals", ()):
            return known["intervals"][name.removesuffix("_interval")]
        raise AttributeError(f"there is no figure {name!r}; there are {listed(known.get('figures', ()))}")

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        found: dict[str, Any] = {"images": self.images, "correct": self.correct}
        if self.correct_interval is not None:
            found["correct_95%_interval"] = list(self.correct_interval)
        if self.groups is not None:
            found["groups"] = self.groups
        for name, value in self.figures.items():
            found[name] = value
            if name in self.intervals:
                found[f"{name}_95%_interval"] = list(self.intervals[name])
        for row in self.classes:
            intervals = {f"{name}_95%_interval": list(one) for name, one in row.intervals.items()}
            shown = {name: value for name, value in vars(row).items() if name != "intervals"}
            found.setdefault("classes", []).append(shown | intervals)
        if self.confusion is not None:
            found["confusion"] = self.confusion.tolist()
            if len(self.confusion) <= MOST_SHARES:
                shares = self.confusion / np.maximum(self.confusion.sum(axis=1, keepdims=True), 1)
                found["confusion_shares"] = shares.round(6).tolist()
            found["most_confused"] = [pair.to_dict() for pair in self.confused]
        return found


MOST_SHARES = 100
"""Classes whose confusion is written as shares beside the counts, which say the same."""
FEW_WRONG = 5
"""With fewer wrong answers, figures of probabilities may hang on errors that were not seen: docs/evaluation.md has how
often intervals then miss; and none shows which class or kind of image a model is bad at."""
FEW_GROUPS = 30
"""With fewer, a variance by group is known badly (Cameron & Miller, A practitioner's guide to cluster-robust inference,
2015, begin to doubt it at 20 to 50)."""
TAKEN = {
    "images", "correct", "figures", "hits", "intervals", "classes", "confusion", "model", "data", "task", "remarks",
    "groups", "confused", "confusion_shares", "most_confused", "reliability", "accuracy_at_coverage", "prediction_sets",
}  # fmt: skip
"""Names that stand for something else in `Metrics` or in `evaluation.json`."""


@dataclass(frozen=True)
class Task(ABC):
    """What is asked of a network: to say which of some classes an image shows.

    Args:
        class_names: The names of the network's outputs, in their order.
    """

    class_names: tuple[str, ...]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        taken = [name for name in getattr(cls, "metrics", ()) if name in TAKEN or name.endswith("_interval")]
        if taken:
            raise TypeError(
                f"{listed(taken)} stands for something else in evaluation.json: give the metric another name"
            )

    name: ClassVar[str]
    """As files and options have it."""
    several: ClassVar[bool]
    """Whether an image may have any number of classes, as the task's row in the table says, too."""
    activation: ClassVar[str]
    """What makes probabilities of logits; a Keras activation."""
    metrics: ClassVar[Mapping[str, Metric]]
    """What an evaluation reports, by name."""
    headline: ClassVar[str]
    """The one of `metrics` that models are compared by."""
    monitored: ClassVar[str]
    """The Keras metric by whose validation value the best epoch is chosen; more is better."""

    @property
    def outputs(self) -> int:
        """How many logits the network has."""
        return len(self.class_names)

    # Labels and targets

    @abstractmethod
    def checked(self, labels: np.ndarray, images: int) -> np.ndarray:
        """Labels in the form that all else takes.

        Raises:
            DataError: They do not fit the images or the classes.
        """

    @abstractmethod
    def targets(self, labels: np.ndarray, positions: tf.Tensor) -> tf.Tensor:
        """What the network is to answer, float32 (batch, outputs), for some positions among the labels."""

    def image_weights(self, targets: tf.Tensor, class_weights: tf.Tensor) -> tf.Tensor:
        """What each image of a batch counts in the loss.

        Args:
            targets: As `targets` makes them, perhaps mixed: the shares of the classes, unless a task says otherwise.
            class_weights: float32 (classes,), what an image of each class counts.

        Returns:
            float32 (batch,).
        """
        import tensorflow as tf

        return tf.linalg.matvec(targets, class_weights)

    @abstractmethod
    def membership(self, labels: np.ndarray) -> np.ndarray:
        """Which classes each image has, bool (n, classes)."""

    @abstractmethod
    def members(self, labels: np.ndarray, number: int) -> np.ndarray:
        """Where the images of a class are, int64 (images of the class,), rising; without `membership`'s large table."""

    @abstractmethod
    def renumbered(self, labels: np.ndarray, class_names: Sequence[str]) -> np.ndarray:
        """The labels as a task with other classes has them, which include this one's."""

    def images_of_classes(self, labels: np.ndarray) -> np.ndarray:
        """How many images each class has, int64 (classes,)."""
        return self.membership(labels).sum(axis=0, dtype=np.int64)

    def names_of(self, label: np.ndarray) -> tuple[str, ...]:
        """The names of the classes that one label stands for."""
        return tuple(self.class_names[index] for index in np.flatnonzero(self.membership(label[None])[0]))

    def shares(self, target: np.ndarray) -> list[tuple[str, float]]:
        """The classes of one target and their shares, the largest first: several where images were mixed."""
        order = [int(index) for index in np.argsort(-target, kind="stable") if target[index] >= 0.005]
        return [(self.class_names[index], float(target[index])) for index in order]

    # Training

    @abstractmethod
    def loss(self, kind: str, label_smoothing: float = 0.0, *, threshold: float | None = None) -> keras.losses.Loss:
        """The loss of logits against targets, averaged over the images of a batch.

        Args:
            kind: A recipe's word, one of `keras_resnet.allowed.LOSS`.
            label_smoothing: In [0, 1).
            threshold: Targets above it become 1 and others 0, for the binary loss; None leaves them.

        Raises:
            UsageError: The task has no such loss.
        """

    @abstractmethod
    def loss_of_a_guess(self, kind: str) -> float:
        """The loss of a network whose logits are all zero."""

    @abstractmethod
    def accuracy(self) -> keras.metrics.Metric:
        """A Keras metric called `accuracy`, a mean over the images, that training reports."""

    def validation_metrics(self) -> list[keras.metrics.Metric]:
        """Further Keras metrics that choose the best epoch."""
        return []

    # Answers

    @abstractmethod
    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """What the logits stand for, of the same shape and dtype."""

    @abstractmethod
    def decisions(self, logits: np.ndarray) -> np.ndarray:
        """The labels that the logits decide for."""

    @abstractmethod
    def mean_logits(self, logits: Sequence[np.ndarray]) -> np.ndarray:
        """Logits, float32 (n, classes), that stand for the mean of the probabilities of several."""

    @abstractmethod
    def agreement(self, first: np.ndarray, second: np.ndarray) -> float:
        """How far two models' logits for the same images decide alike, in [0, 1]."""

    # Judging

    def evaluate(self, logits: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None) -> Metrics:
        """Compare logits with the true labels.

        Args:
            logits: float (n, classes).
            labels: As `checked` gives them, n of them.
            groups: int (n,), images of one group are not independent of each other, which widens the intervals; None:
                each is by itself.

        Raises:
            DataError: There are no images, shapes do not fit, or logits are not finite.
        """
        if logits.shape != (len(labels), self.outputs) or not len(labels):
            raise DataError(
                f"expected logits of shape (number of labels, number of classes), at least one label; "
                f"received {logits.shape} for {len(labels)} labels and {self.outputs} classes"
            )
        if groups is not None and np.shape(groups) != (len(labels),):
            raise DataError(f"expected a group for each of {len(labels)} images; received {np.shape(groups)}")
        if not np.isfinite(logits).all():
            raise DataError("the model's outputs are not all finite numbers")
        answers = Answers(self, logits, labels, groups)
        figures: dict[str, float | None] = {}
        hits: dict[str, int] = {}
        intervals: dict[str, Interval] = {}
        for name, metric in self.metrics.items():
            found = metric.estimate(answers)
            figures[name] = None if found is None else found.value
            if found is not None and found.interval is not None:
                intervals[name] = found.interval
            if found is not None and metric.hits is not None:
                hits[name] = int(metric.hits(answers).sum())
        metrics = Metrics(
            len(labels),
            int(answers.right.sum()),
            figures,
            hits,
            intervals,
            self.class_metrics(answers),
            self.confusion(answers),
            confused=tuple(self.confused(answers)),
            groups=None if groups is None else len(np.unique(groups)),
            correct_interval=share_interval(answers.right, groups),
        )
        return replace(metrics, remarks=tuple(self.remarks(metrics)))

    def shown(self, metrics: Metrics, name: str) -> str:
        """One of an evaluation's figures as people read it; – where it means nothing."""
        value = metrics.figures[name]
        return "–" if value is None else self.metrics[name].text(value)

    def remarks(self, metrics: Metrics) -> Iterator[str]:
        """What an evaluation's figures hide, in sentences."""
        if metrics.wrong < FEW_WRONG:
            yield (
                f"Only {metrics.wrong} of {metrics.images:,} images are answered wrong. Log loss and calibration errors"
                " may be larger than their intervals say, since rarer errors may not be among so few images: more "
                "images tell."
            )
        if metrics.groups is not None and metrics.groups < FEW_GROUPS:
            yield (
                f"There {'is' if metrics.groups == 1 else 'are'} only {metrics.groups} "
                f"group{'s' * (metrics.groups != 1)} of images: other groups may differ more than these do, and "
                f"intervals miss the true figure more often than they say. {FEW_GROUPS} groups or more tell."
            )
        missed = [f"{row.name} ({row.images})" for row in metrics.classes if row.images and not row.recall]
        if missed:
            yield f"No image of these classes was recognised, recall 0 (images): {listed(missed)}."
        absent = [row.name for row in metrics.classes if not row.images]
        if absent:
            yield (
                f"There was no image of {listed(absent)}: these figures say nothing of how well "
                f"{'it is' if len(absent) == 1 else 'they are'} recognised, and means over the classes leave "
                f"{'it' if len(absent) == 1 else 'them'} out."
            )

    @abstractmethod
    def class_metrics(self, answers: Answers) -> tuple[ClassMetrics, ...]:
        """Each class's figures."""

    def confusion(self, answers: Answers) -> np.ndarray | None:
        """See `Metrics`."""
        return None

    def confused(self, answers: Answers) -> Iterator[Confused]:
        """The pairs of classes that are most often confused, the most frequent first."""
        yield from ()

    @abstractmethod
    def statements(self, answers: Answers) -> tuple[np.ndarray, np.ndarray]:
        """What the model says and how likely it says that is, to be compared with what is.

        Returns:
            Probabilities, float64 (n,) or (n, statements of an image), and which of the statements are true, bool.
        """

    @abstractmethod
    def confidence(self, answers: Answers) -> np.ndarray:
        """How sure the model is that its answer for an image is wholly right, float64 (n,): the higher the surer."""

    @property
    @abstractmethod
    def picture_name(self) -> str:
        """The file name of what `draw` draws."""

    @abstractmethod
    def draw(self, metrics: Metrics, title: str, path: Path) -> None:
        """A picture of an evaluation, as a PNG file.

        Args:
            metrics: What `evaluate` found.
            title: Above the picture.
            path: The file.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """


def _number(found: float | Estimate | None) -> float | None:
    return found.value if isinstance(found, Estimate) else found


def wholly_right(answers: Answers) -> np.ndarray:
    """Which images have exactly the labels that the model gives them, bool (n,)."""
    return answers.right


def class_rows(answers: Answers, kind: type[Row], **more: Sequence[Any]) -> tuple[Row, ...]:
    """Precision, recall and F1 of every class.

    Args:
        answers: Whose.
        kind: The dataclass that makes a row of them.
        **more: Its further fields, each with a value a class.
    """
    from sklearn.metrics import precision_recall_fscore_support

    every: Any = np.arange(answers.task.outputs)
    *shares, images = precision_recall_fscore_support(
        answers.labels, answers.decisions, labels=every, zero_division=0.0
    )
    names = ("name", "precision", "recall", "f1", "images", *more)
    # Where no image is recognised, scikit-learn counts the images in floats.
    columns = [*(column.tolist() for column in shares), images.astype(np.int64).tolist()]
    values = zip(answers.task.class_names, *columns, *more.values(), strict=True)
    intervals = _class_intervals(answers, shares[2])
    return tuple(
        kind(**dict(zip(names, row, strict=True)), intervals=one) for row, one in zip(values, intervals, strict=True)
    )


def _class_intervals(answers: Answers, f1: np.ndarray) -> Iterator[dict[str, Interval]]:
    """Those of precision, recall and F1, class by class."""
    groups, task = answers.groups, answers.task
    labelled, decided = task.membership(answers.labels).T, task.membership(answers.decisions).T
    for true, said, figure in zip(labelled, decided, f1.tolist(), strict=True):
        found = {}
        for name, of in {"precision": said, "recall": true}.items():
            if of.any():
                found[name] = share_interval((true & said)[of], None if groups is None else groups[of])
        concerned = true | said
        count = int(concerned.sum())
        if count:
            # F1 = 2 TP / (labelled + said): how it changes with each image that is one of these.
            parts = true[concerned].astype(np.float64) + said[concerned]
            influences = count / parts.sum() * (2 * (parts == 2) - figure * parts)
            own = None if groups is None else groups[concerned]
            found["f1"] = bounded_interval(figure, influences, own, units=count)
        yield found
