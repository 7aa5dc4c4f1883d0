"""What simpler methods and other networks make of the same images and splits: whether a ResNet is worth it."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet import pictures
from keras_resnet.allowed import COUNT
from keras_resnet.atomic import write_json
from keras_resnet.data.images import ImageData, Split
from keras_resnet.data.loading import Data, in_memory, load_data
from keras_resnet.data.sources.source import Source
from keras_resnet.display import Display
from keras_resnet.errors import DataError, MissingExtraError, UsageError, listed
from keras_resnet.evaluation.evaluate import evaluate, load_run_data
from keras_resnet.experiments.baseline_picture import draw
from keras_resnet.experiments.costs import Costs, costs
from keras_resnet.experiments.hog import hog
from keras_resnet.experiments.networks import FAMILIES
from keras_resnet.experiments.sift import DESCRIPTOR, WORDS, BagOfWords, sift
from keras_resnet.experiments.trained import from_scratch, is_network, title_of, trained
from keras_resnet.inference.predictors import KerasPredictor
from keras_resnet.runs.run import Run
from keras_resnet.settings import check_arguments
from keras_resnet.tasks.intervals import wilson_interval
from keras_resnet.training.fit import RUNS
from keras_resnet.training.recipe import Recipe
from keras_resnet.training.recipes import recipe as recipe_named
from keras_resnet.training.recipes import recipe_for

MOST_SIDE = 32
"""Of the images whose pixels are compared; larger ones are averaged."""
MOST_TRAINING = 20_000
"""Training images of a method: more cost it hours and gigabytes, and help it little."""
BATCH = 256
NOT_LEARNED = ("moving_", "mean", "variance", "count", "seed_generator_state")
"""How the names of a network's numbers begin that are no parameters."""
PENALTIES = tuple(10.0**power for power in range(-4, 0))
"""The inverse strength C of a penalty on the weights, the strongest penalty first."""
USUAL = ("majority", "random", "logistic", "hog-svm", "lenet5")
"""What is trained if nothing is said: it takes minutes on a CPU and needs no extra."""


@dataclass(frozen=True)
class BaselineMethod:
    """A way to classify images without a deep network.

    Args:
        title: What people call it.
        describe: uint8 (n, height, width, channels) → what its classifier takes, n of them.
        candidates: seed → what is chosen between on the validation images, by its words: classifiers as scikit-learn
            has them. Of equals the first is taken.
        parameters: How many numbers a trained classifier has learned.
        encoder: seed → what is learned of all descriptions first, and turns them into features: a transformer as
            scikit-learn has them. None: descriptions are features.
    """

    title: str
    describe: Callable[[np.ndarray], np.ndarray]
    candidates: Callable[[int], dict[str, Any]]
    parameters: Callable[[Any], int]
    encoder: Callable[[int], Any] | None = None


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


def _machines_on_shares(seed: int) -> dict[str, Any]:
    from sklearn.svm import LinearSVC

    return {f"C = {penalty:g}": LinearSVC(C=penalty, random_state=seed) for penalty in (0.1, 1.0, 10.0, 100.0)}


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
    "sift-svm": BaselineMethod(
        "SIFT bag of words + linear SVM",
        sift,
        _machines_on_shares,
        lambda trained: _weights(trained) + WORDS * DESCRIPTOR,
        BagOfWords,
    ),
}


@dataclass(frozen=True)
class Baseline:
    """A row of the table.

    Args:
        name: Of the method or network, or `run`.
        title: What people call it.
        correct: How many test images are right.
        images: Of how many.
        parameters: How many numbers it has learned.
        seconds: What its training took, with the choice of its setting; of a network, its epochs alone.
        setting: What was chosen on the validation images, as `C = 0.01`; nothing where there is no choice.
        costs: Of a network, where it is used; None: it is none.
    """

    name: str
    title: str
    correct: int
    images: int
    parameters: int
    seconds: float
    setting: str = ""
    costs: Costs | None = None

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
    """What methods and networks have right of a data set's test images.

    Args:
        data_name: Of the data.
        fingerprint: Of the data with their split.
        trained_on: How many training images methods without a network saw; networks saw all.
        seed: Of what is random in them.
        folder: Where networks were trained.
        rows: The most accurate first; of equals the smaller.
    """

    data_name: str
    fingerprint: str
    trained_on: int
    seed: int
    folder: Path
    rows: tuple[Baseline, ...]

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return {**vars(self), "folder": str(self.folder), "rows": [row.to_dict() for row in self.rows]}

    def write(self, folder: Path | None = None) -> list[Path]:
        """Put `baselines.json` into a folder and, where matplotlib is installed, `baselines.png`.

        Args:
            folder: Which; None: that in which networks were trained.

        Returns:
            The files.
        """
        folder = folder or self.folder
        files = [folder / "baselines.json"]
        write_json(files[0], self.to_dict())
        if pictures.available():
            files.append(folder / "baselines.png")
            draw(self.rows, f"{pictures.short(self.data_name, 60)}: {self.rows[0].images:,} test images", files[-1])
        return files


@check_arguments(epochs=COUNT.or_none)
def baselines(
    data: Data | None = None,
    names: Sequence[str] = USUAL,
    *,
    run: Run | None = None,
    recipe: Recipe | str | None = None,
    epochs: int | None = None,
    out: str | os.PathLike[str] | None = None,
    seed: int = 0,
    cache: str = "auto",
    verbose: bool = True,
) -> Baselines:
    """Train simpler methods and other networks on the same images, and test them on the same ones.

    Each learns from the training images. What it leaves open, such as a penalty, or the epoch that is kept, is chosen
    on the validation images. Test images choose nothing.

    Methods see the images as they are:

    - `majority`: always the most frequent class.
    - `random`: a class drawn by its frequency.
    - `logistic`: multinomial logistic regression on standardised pixels, of at most 32 a side; an L2 penalty.
    - `hog-svm`: histograms of oriented gradients and a linear support vector machine, as Dalal and Triggs (2005).
    - `sift-svm`: a bag of 256 words of SIFT descriptors and a linear support vector machine, as Csurka et al. (2004).

    Networks are trained by one recipe, as `fit` trains: with its augmentation, and continued if they were stopped. They
    are `lenet5`, `alexnet`, `vgg16`, `inception`, `densenet`, `efficientnet`, `mobilenet`, `vit`, and all that
    `list_models` names, such as `plainnet20`. Those without batch normalisation have the optimizer, rate and decay of
    their papers. Each is exported and measured.

    Args:
        data: As `fit` takes them; each image has one class. None: those of the run.
        names: Of methods and networks; default: those that take minutes.
        run: A finished run on the same data with the same split, which becomes a row.
        recipe: How networks are trained, or the name of a recipe; its own network plays no part. None: as the run was,
            or as is usual for the data. Of a run that was fine-tuned, only the size of images is taken.
        epochs: Of the networks; None: as the recipe has it.
        out: Where networks are trained, each in a run folder of its own. Default: the run's folder `evaluation/`, or
            else `saved_models/baselines-<data>`.
        seed: Of what is random, and of which training images methods take where there are more than 20,000.
        cache: As `load_data`.
        verbose: Show progress.

    Returns:
        A row for each, the most accurate first.

    Raises:
        DataError: The data cannot be read, an image may have several classes, or there are no images to choose by or to
            test on.
        UsageError: There is no such method or network, neither data nor a run are given, the run had other data or
            another split, or a folder holds a training with other settings.
        MissingExtraError: `sift-svm` is wanted and OpenCV is not installed.
        As `fit` else.

    Example:
        >>> import keras_resnet
        >>> digits = keras_resnet.load_data("digits", image_size=8)
        >>> for row in keras_resnet.baselines(digits, ["majority", "hog-svm"], verbose=False).rows:
        ...     print(f"{row.title}: {row.accuracy:.2f}, {row.parameters:,} parameters")
        HOG + linear SVM: 0.98, 3,250 parameters
        majority class: 0.10, 1 parameters
    """
    _check_names(names)
    with Display(verbose) as display:
        images = _images(data, run, seed, cache, display)
        _check(images, run)
        networks = _networks_recipe(images, run, recipe, epochs, seed)
        folder = Path(out) if out is not None else _folder(images, run)
        train = images.train
        chosen = np.arange(len(train))
        if len(train) > MOST_TRAINING:
            chosen = np.sort(np.random.default_rng(seed).choice(len(train), MOST_TRAINING, replace=False))
        rows = []
        for done, name in enumerate(names):
            if name in BASELINES:
                display.show(BASELINES[name].title, done, len(names))
                rows.append(_row(name, images, chosen, seed))
                continue
            display.close()
            its = trained(name, networks, images, folder / name, display)
            display.show(f"measuring {title_of(name)}", done, len(names))
            rows.append(replace(_row_of_run(its, images), name=name, title=title_of(name)))
        if run is not None:
            display.show("measuring the run", len(names), len(names))
            rows.append(_row_of_run(run, images))
    rows.sort(key=lambda row: (-row.accuracy, row.parameters))
    return Baselines(images.name, images.fingerprint, len(chosen), seed, folder, tuple(rows))


def _folder(images: ImageData, run: Run | None) -> Path:
    return run.folder("evaluation") if run is not None else RUNS / f"baselines-{images.name}"


def _check_names(names: Sequence[str]) -> None:
    if unknown := [name for name in names if name not in BASELINES and not is_network(name)]:
        known = ", ".join((*BASELINES, *FAMILIES))
        raise UsageError(
            f"there is no baseline {listed(unknown)}; there are {known}, and the networks of `keras-resnet models`"
        )
    if "sift-svm" in names:
        from importlib.util import find_spec

        if find_spec("cv2") is None:  # before anything is trained
            raise MissingExtraError("describing images by SIFT", "sift")


def _images(data: Data | None, run: Run | None, seed: int, cache: str, display: Display) -> ImageData:
    if data is None:
        if run is None:
            raise UsageError("baselines need data, or a run that has some")
        return load_run_data(run, display.reading)
    data = in_memory(data, seed=seed)
    return data if isinstance(data, ImageData) else load_data(data, display.reading, cache=cache)


def _networks_recipe(
    images: ImageData, run: Run | None, recipe: Recipe | str | None, epochs: int | None, seed: int
) -> Recipe:
    if isinstance(recipe, str):
        recipe = recipe_named(recipe)
    if recipe is None:
        settings: dict[str, Any] = {**run.config["recipe"]} if run is not None else {}
        if "optimizer" in settings:
            recipe = Recipe(**settings)
        else:  # no run, or one of a script
            source = images.source
            recipe = recipe_for(source.kind) if isinstance(source, Source) else recipe_named("folder")
    return from_scratch(recipe).but(epochs=epochs, seed=seed)


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
    encoder = method.encoder(seed).fit(features) if method.encoder else None

    def encoded(described: np.ndarray) -> np.ndarray:
        return described if encoder is None else np.asarray(encoder.transform(described))

    features, validation = encoded(features), encoded(_described(method, images.validation))
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
    right = int((best.predict(encoded(_described(method, images.test))) == images.test.labels).sum())
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
        if not weight.path.rpartition("/")[2].startswith(NOT_LEARNED)
    )
    seconds = sum(row.get("seconds") or 0.0 for row in run.log.rows() if row["event"] == "epoch")
    title, metrics, kept = f"{run.network} ({run.path.name})", evaluation.metrics, run.kept
    setting = f"epoch {kept['epoch']}" if kept else ""
    measured = costs(run, images)
    return Baseline("run", title, metrics.correct, metrics.images, parameters, seconds, setting, measured)
