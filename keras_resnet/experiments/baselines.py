"""What simpler methods make of the same images and splits: whether a network is worth it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet import pictures
from keras_resnet.atomic import write_json
from keras_resnet.data.images import ImageData, OnRead, Split
from keras_resnet.data.loading import Data, in_memory, load_data
from keras_resnet.errors import DataError, UsageError, listed
from keras_resnet.evaluation.evaluate import evaluate, load_run_data
from keras_resnet.experiments.hog import hog
from keras_resnet.experiments.lenet import LeNet5
from keras_resnet.inference.predictors import KerasPredictor
from keras_resnet.runs.run import Run
from keras_resnet.tasks.intervals import wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_SIDE = 32
"""Of the images whose pixels are compared; larger ones are averaged."""
MOST_TRAINING = 20_000
"""Training images of a method: more cost it hours and gigabytes, and help it little."""
BATCH = 256
PENALTIES = tuple(10.0**power for power in range(-4, 0))
"""The inverse strength C of a penalty on the weights, the strongest penalty first."""
RATES = (1e-3, 3e-3)

Show = Callable[[str, int, int], None]
"""Called with what is done, how far it is, and of how much."""


@dataclass(frozen=True)
class BaselineMethod:
    """A way to classify images that is no residual network.

    Args:
        title: What people call it.
        describe: uint8 (n, height, width, channels) → what its classifier takes, n of them.
        candidates: seed → what is chosen between on the validation images, by its words: classifiers as scikit-learn
            has them. Of equals the first is taken.
        parameters: How many numbers a trained classifier has learned.
    """

    title: str
    describe: Callable[[np.ndarray], np.ndarray]
    candidates: Callable[[int], dict[str, Any]]
    parameters: Callable[[Any], int]


def _nothing(images: np.ndarray) -> np.ndarray:
    return np.zeros((len(images), 1), np.float32)


def _pixels(images: np.ndarray) -> np.ndarray:
    """float32 (n, height · width · channels), 0–1."""
    return (_small(images) / 255).reshape(len(images), -1)


def _small(images: np.ndarray) -> np.ndarray:
    """Images of at most 32 pixels a side, each the mean of those that it stands for; float32 on the 0–255 scale."""
    import tensorflow as tf

    largest = max(images.shape[1:3])
    if largest <= MOST_SIDE:
        return images.astype(np.float32)
    size = [max(1, round(side * MOST_SIDE / largest)) for side in images.shape[1:3]]
    return np.asarray(tf.image.resize(images, size, method="area"))


def _always_the_most_frequent(seed: int) -> dict[str, Any]:
    from sklearn.dummy import DummyClassifier

    return {"": DummyClassifier(strategy="most_frequent")}


def _by_frequency(seed: int) -> dict[str, Any]:
    from sklearn.dummy import DummyClassifier

    return {"": DummyClassifier(strategy="stratified", random_state=seed)}


def _regressions(seed: int) -> dict[str, Any]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return {
        f"C = {penalty:g}": make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=100, tol=1e-3))
        for penalty in PENALTIES
    }


def _machines(seed: int) -> dict[str, Any]:
    from sklearn.svm import LinearSVC

    return {
        f"C = {penalty:g}": LinearSVC(C=penalty, random_state=seed)
        for penalty in (100 * one for one in PENALTIES)  # features are smaller than standardised ones
    }


def _networks(seed: int) -> dict[str, Any]:
    return {f"rate {rate:g}": LeNet5(rate, seed=seed) for rate in RATES}


def _weights(linear: Any) -> int:
    """Of a linear classifier."""
    return int(linear.coef_.size + linear.intercept_.size)


BASELINES = {
    "majority": BaselineMethod("majority class", _nothing, _always_the_most_frequent, lambda _: 1),
    "random": BaselineMethod(
        "random by class frequency", _nothing, _by_frequency, lambda trained: len(trained.classes_)
    ),
    "logistic": BaselineMethod(
        "logistic regression on pixels", _pixels, _regressions, lambda trained: _weights(trained[-1])
    ),
    "hog-svm": BaselineMethod("HOG + linear SVM", hog, _machines, _weights),
    "lenet5": BaselineMethod("LeNet-5", lambda images: images, _networks, lambda trained: int(trained.parameters)),
}


@dataclass(frozen=True)
class Baseline:
    """A row of the table.

    Args:
        name: A key of `BASELINES`, or `run`.
        title: What people call it.
        correct: How many test images are right.
        images: Of how many.
        parameters: How many numbers it has learned.
        seconds: What its training took, with the choice of its setting; of a run, its epochs alone.
        setting: What was chosen on the validation images, as `C = 0.01`; nothing where there is no choice.
    """

    name: str
    title: str
    correct: int
    images: int
    parameters: int
    seconds: float
    setting: str = ""

    @property
    def accuracy(self) -> float:
        """The share that is right, 0–1."""
        return self.correct / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % Wilson interval."""
        return wilson_interval(self.correct, self.images)

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return asdict(self) | {"accuracy": self.accuracy, "interval": list(self.interval)}


@dataclass(frozen=True)
class Baselines:
    """What simpler methods have right of a data set's test images.

    Args:
        data_name: Of the data.
        fingerprint: Of the data with their split.
        trained_on: How many training images the methods saw; a run, if there is one, saw all.
        seed: Of what is random in them.
        rows: In the order in which they were asked for; a run comes last.
    """

    data_name: str
    fingerprint: str
    trained_on: int
    seed: int
    rows: tuple[Baseline, ...]

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return {**vars(self), "rows": [row.to_dict() for row in self.rows]}

    def write(self, folder: Path) -> list[Path]:
        """Put `baselines.json` into a folder and, where matplotlib is installed, `baselines.png`.

        Returns:
            The files.
        """
        files = [folder / "baselines.json"]
        write_json(files[0], self.to_dict())
        if pictures.available():
            files.append(folder / "baselines.png")
            figure = pictures.new_figure(9, 4)
            self._draw(figure.subplots())
            pictures.save(figure, files[-1])
        return files

    def _draw(self, axes: Axes) -> None:
        for row in self.rows:
            low, high = row.interval
            reach = [[max(0, row.accuracy - low)], [max(0, high - row.accuracy)]]  # rounding leaves less than 0
            label = f"{pictures.short(row.title, 40)}: {row.accuracy:.1%}"
            marker = "s" if row.name == "run" else "o"
            axes.errorbar([row.parameters], [row.accuracy], reach, marker=marker, linestyle="", capsize=3, label=label)
        axes.set(xscale="log", xlabel="parameters", ylabel="accuracy", ylim=(0, 1.05))
        axes.legend(
            loc="upper left", bbox_to_anchor=(1, 1), frameon=False
        )  # beside the points, which lie close together
        images = self.rows[0].images
        axes.set_title(f"{pictures.short(self.data_name, 60)}: {images:,} test images, 95 % intervals")


def baselines(
    data: Data | None = None,
    names: Sequence[str] = tuple(BASELINES),
    *,
    run: Run | None = None,
    seed: int = 0,
    progress: OnRead | None = None,
    show: Show | None = None,
) -> Baselines:
    """Train simpler methods on the same images as a network, and test them on the same ones.

    Each learns from the training images alone, as they are. What it leaves open, such as its penalty, is chosen on the
    validation images. Test images choose nothing.

    - `majority`: always the most frequent class.
    - `random`: a class drawn by its frequency.
    - `logistic`: multinomial logistic regression on standardised pixels, of at most 32 a side; an L2 penalty.
    - `hog-svm`: histograms of oriented gradients and a linear support vector machine, as Dalal and Triggs (2005).
    - `lenet5`: LeNet-5 (LeCun et al., 1998), with softmax and cross-entropy, trained by Adam for 30 epochs.

    Args:
        data: As `fit` takes them; each image has one class. None: those of the run.
        names: Of the methods; default: all.
        run: A finished run on the same data with the same split, which becomes the last row.
        seed: Of what is random, and of which training images are taken where there are more than 20,000.
        progress: Called while images are read.
        show: Called while methods are trained.

    Returns:
        A row for each.

    Raises:
        DataError: The data cannot be read, an image may have several classes, or there are no images to choose by or to
            test on.
        UsageError: There is no such method, neither data nor a run are given, or the run had other data or another
            split.

    Example:
        >>> import keras_resnet
        >>> digits = keras_resnet.load_data("digits", image_size=8)
        >>> for row in keras_resnet.baselines(digits, ["majority", "hog-svm"]).rows:
        ...     print(f"{row.title}: {row.accuracy:.2f}, {row.parameters:,} parameters")
        majority class: 0.10, 1 parameters
        HOG + linear SVM: 0.98, 3,250 parameters
    """
    if unknown := [name for name in names if name not in BASELINES]:
        raise UsageError(f"there is no baseline {listed(unknown)}; there are {', '.join(BASELINES)}")
    images = _images(data, run, seed, progress)
    _check(images, run)
    train = images.train
    chosen = np.arange(len(train))
    if len(train) > MOST_TRAINING:
        chosen = np.sort(np.random.default_rng(seed).choice(len(train), MOST_TRAINING, replace=False))
    rows = []
    for done, name in enumerate(names):
        if show:
            show(BASELINES[name].title, done, len(names))
        rows.append(_row(name, images, chosen, seed))
    if run is not None:
        rows.append(_row_of_run(run, images))
    return Baselines(images.name, images.fingerprint, len(chosen), seed, tuple(rows))


def _images(data: Data | None, run: Run | None, seed: int, progress: OnRead | None) -> ImageData:
    if data is None:
        if run is None:
            raise UsageError("baselines need data, or a run that has some")
        return load_run_data(run, progress)
    data = in_memory(data, seed=seed)
    return data if isinstance(data, ImageData) else load_data(data, progress)


def _check(images: ImageData, run: Run | None) -> None:
    if images.task.several:
        raise DataError(f"baselines are for images of one class each; those of {images.name} may have several")
    empty = [name for name, split in images.splits.items() if not len(split)]
    if empty:
        raise DataError(f"baselines learn, choose and are tested; {images.name} has no images for {listed(empty)}")
    if run is not None and run.fingerprint != images.fingerprint:
        raise UsageError(
            f"{run.path} was trained on other images or another split than {images.name}: give the same options, or "
            "leave the data out to take the run's own"
        )


def _row(name: str, images: ImageData, chosen: np.ndarray, seed: int) -> Baseline:
    method = BASELINES[name]
    begun = time.perf_counter()
    features, labels = _described(method, images.train, chosen), images.train.labels[chosen]
    validation = _described(method, images.validation)
    best, setting, most = None, "", -1
    for words, candidate in method.candidates(seed).items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a weak penalty needs more steps; the validation images judge it
            trained = candidate.fit(features, labels)
        right = int((trained.predict(validation) == images.validation.labels).sum())
        if right > most:
            best, setting, most = trained, words, right
    seconds = time.perf_counter() - begun
    assert best is not None
    right = int((best.predict(_described(method, images.test)) == images.test.labels).sum())
    return Baseline(name, method.title, right, len(images.test), method.parameters(best), seconds, setting)


def _described(method: BaselineMethod, split: Split, positions: np.ndarray | None = None) -> np.ndarray:
    """What a method's classifier takes of images, read a few at a time."""
    positions = np.arange(len(split)) if positions is None else positions
    starts = range(0, len(positions), BATCH)
    return np.concatenate([method.describe(split.read(positions[start : start + BATCH])) for start in starts])


def _row_of_run(run: Run, images: ImageData) -> Baseline:
    evaluation = evaluate(run, images)
    assert isinstance(evaluation.predictor, KerasPredictor)
    parameters = sum(
        int(np.prod(weight.shape))
        for layer in evaluation.predictor.model.layers
        for weight in layer.weights
        if not weight.path.rpartition("/")[2].startswith(("moving_", "mean", "variance", "count"))
    )
    seconds = sum(row.get("seconds") or 0.0 for row in run.log.rows() if row["event"] == "epoch")
    title = f"{run.config['recipe']['model']} ({run.path.name})"
    metrics = evaluation.metrics
    return Baseline("run", title, metrics.correct, metrics.images, parameters, seconds)
