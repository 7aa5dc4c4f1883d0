"""Normalisation statistics and dead units of a network in training, measured once an epoch without changing it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.compat.deep_graphs import deep_recursion
from keras_resnet.data.images import Split
from keras_resnet.errors import ModelError, UsageError
from keras_resnet.layer_names import part_of
from keras_resnet.weights.files import Tensors

MOST_IMAGES = 256
"""Images that the network is shown: with so many, a channel's mean errs by a sixteenth of its deviation."""
PIXELS_AT_ONCE = 1 << 18
"""Pixels of the images in one batch, 256 of 32×32 or 5 of 224×224, so that feature maps fit the memory."""


class Statistics(NamedTuple):
    """Of one batch normalisation's channels: float64 (channels,) each, `deviation` above 0."""

    mean: np.ndarray
    deviation: np.ndarray


class Health:
    """Measures a network at the end of every epoch.

    It changes nothing: the network runs as at inference, so that no statistic is updated and no random state advanced.
    The same weights give the same figures.

    Args:
        model: The network in training, its layers named as `keras_resnet.build` names them; of others only layers of
            feature maps that stand once in a functional model's own graph are looked at.
        images: The network is shown these each time: (n, height, width, channels) as it takes them; see
            `images_to_look_with`.

    Attributes:
        norms: The batch normalisations that are looked at.

    Raises:
        UsageError: There are no images, or they are of another shape than the network takes.
    """

    def __init__(self, model: keras.Model, images: np.ndarray) -> None:
        self.model, self._images = model, images
        layers = [layer for layer in model.layers if _is_in_graph(layer)]
        maps = [layer for layer in layers if layer.output.ndim == 4]
        self.norms = [layer for layer in maps if isinstance(layer, keras.layers.BatchNormalization)]
        self._relus = [layer for layer in maps if _is_relu(layer)]
        self._first = next((layer for layer in layers if hasattr(layer, "kernel")), None)
        self._probe = _probe(model, self._relus, self.norms, self._first)
        self._before: dict[str, Statistics] = {}
        if self._probe is not None:
            taken, found = tuple(model.inputs[0].shape)[1:], images.shape[1:]
            fits = len(taken) == len(found) and all(one in (None, two) for one, two in zip(taken, found, strict=True))
            if not fits or not len(images):
                raise UsageError(
                    f"the network takes images of {taken}, and is to be looked at with {len(images)} of {found}: give "
                    "Diagnosis some as the network takes them, such as those of the validation"
                )

    def observe(self) -> dict[str, Any]:
        """Measure the network as it is now, and remember its moving statistics for the next time.

        Returns:
            `input_mean`, `input_deviation`: of what the first layer with weights receives. `batchnorm_drift`: by stage,
            how far the moving statistics have moved since the last time (`distance`); empty the first time.
            `batchnorm_gap`: how far they are from what the
            normalisations receive for the fixed images. `dead_units`: share of the channels of the
            stage's ReLUs that are zero at every position of every image. `images_looked_at`: a number. Nothing, if
            the network has no layers that can be looked at, or several inputs.
        """
        if self._probe is None:
            return {}
        maxima, received, given = self._look()
        now = {layer.name: moving_statistics(layer) for layer in self.norms}
        before, self._before = self._before, now
        return {
            **({"input_mean": float(given.mean), "input_deviation": float(given.deviation)} if given else {}),
            "batchnorm_drift": _by_stage({name: distance(before[name], one) for name, one in now.items() if before}),
            "batchnorm_gap": _by_stage({name: distance(one, received[name]) for name, one in now.items()}),
            "dead_units": _by_stage({name: np.where(np.isnan(one), one, one <= 0) for name, one in maxima.items()}),
            "images_looked_at": len(self._images),
        }

    def state(self) -> Tensors:
        """What must be saved for the next figures to be the same after a resume; empty before the first ones."""
        return {f"{name}/{part}": value for name, one in self._before.items() for part, value in one._asdict().items()}

    def restore(self, tensors: Mapping[str, np.ndarray], source: str) -> None:
        """Take what `state` gave.

        Raises:
            ModelError: It is of another network; `source` is named.
        """
        names = {f"{layer.name}/{part}" for layer in self.norms for part in Statistics._fields}
        if tensors and tensors.keys() != names:
            raise ModelError(f"{source} does not fit: its normalisation statistics are those of another network")
        self._before = {
            layer.name: Statistics(*(tensors[f"{layer.name}/{part}"] for part in Statistics._fields))
            for layer in self.norms
            if tensors
        }

    def _look(self) -> tuple[dict[str, np.ndarray], dict[str, Statistics], Statistics | None]:
        """Each ReLU's largest output (channels,); statistics of what normalisations receive, and the first layer."""
        assert self._probe is not None
        found = [keras.tree.flatten(self._probe.predict_on_batch(part)) for part in _parts(self._images)]
        columns = [np.concatenate(column).astype(np.float64) for column in zip(*found, strict=True)]
        maxima = {layer.name: column.max(axis=0) for layer, column in zip(self._relus, columns, strict=False)}
        moments = columns[len(self._relus) :]
        given = None
        if self._first is not None:
            *moments, mean, variance = moments
            given = _pooled(mean, variance, 0.0)
        received = {
            layer.name: _pooled(mean, variance, layer.epsilon)
            for layer, mean, variance in zip(self.norms, moments[::2], moments[1::2], strict=True)
        }
        return maxima, received, given


def images_to_look_with(images: Split | tf.data.Dataset) -> np.ndarray:
    """At most `MOST_IMAGES` of a split, from all over it, since it may lie sorted by class; or a data set's first."""
    if isinstance(images, Split):
        count = min(MOST_IMAGES, len(images))
        return images.read(np.linspace(0, len(images) - 1, count).round().astype(np.int64))
    found: list[np.ndarray] = []
    for batch in images:
        found.append(keras.ops.convert_to_numpy(keras.tree.flatten(batch)[0]))
        if sum(map(len, found)) >= MOST_IMAGES:
            break
    return np.concatenate(found)[:MOST_IMAGES] if found else np.zeros((0,))


def moving_statistics(layer: keras.layers.BatchNormalization) -> Statistics:
    """A normalisation's moving mean, and the deviation it divides by at inference."""
    mean, variance = (np.array(one, np.float64) for one in (layer.moving_mean, layer.moving_variance))
    return Statistics(mean, np.sqrt(variance + layer.epsilon))


def distance(reference: Statistics, other: Statistics) -> np.ndarray:
    """How far channels' statistics are from their reference, in units of the reference's deviation σ.

    √((μ′ − μ)² + (σ′ − σ)²) / σ: the 2-Wasserstein distance of two normal distributions, divided by σ. At 0.1 a
    channel's values have moved by a tenth of their spread, or are spread a tenth more.

    Returns:
        float64 (channels,), at least 0.
    """
    return np.hypot(other.mean - reference.mean, other.deviation - reference.deviation) / reference.deviation


def _by_stage(channels: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The mean over all channels of a stage's layers, stages in the order of the layers."""
    stages: dict[str, list[np.ndarray]] = {}
    for name, values in channels.items():
        stages.setdefault(part_of(name), []).append(values)
    return {stage: float(np.concatenate(values).mean()) for stage, values in stages.items()}


def _is_in_graph(layer: keras.Layer) -> bool:
    """Whether a layer has one input and one output in its model's graph."""
    try:
        return keras.tree.is_nested(layer.input) is False and keras.tree.is_nested(layer.output) is False
    except (AttributeError, ValueError, RuntimeError):  # called several times, or never on symbolic tensors
        return False


def _is_relu(layer: keras.Layer) -> bool:
    return isinstance(layer, keras.layers.ReLU) or (
        isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.relu
    )


def _probe(
    model: keras.Model, relus: list[keras.Layer], norms: list[keras.Layer], first: keras.Layer | None
) -> keras.Model | None:
    """A model from images to figures of its layers.

    They are each ReLU's maximum, then each normalisation input's mean and variance, (n, channels); at last the mean and
    variance of all that the first layer receives, (n,).
    """
    ops = keras.ops
    places = (1, 2)
    outputs = [ops.max(layer.output, places) for layer in relus]
    for layer in norms:
        x = ops.cast(layer.input, "float32")
        outputs += [ops.mean(x, places), ops.var(x, places)]
    if first is not None:
        x = ops.cast(first.input, "float32")
        all_axes = tuple(range(1, x.ndim))
        outputs += [ops.mean(x, all_axes), ops.var(x, all_axes)]
    if not outputs or len(model.inputs) != 1:  # the images are not all that it takes
        return None
    with deep_recursion():
        return keras.Model(model.inputs, outputs, name="probe")


def _parts(images: np.ndarray) -> Iterable[np.ndarray]:
    """Batches of one size, so that the probe is traced once; images that do not fill one are left out."""
    size = min(len(images), max(1, PIXELS_AT_ONCE // math.prod(images.shape[1:3])))
    return (images[start : start + size] for start in range(0, len(images) - size + 1, size))


def _pooled(means: np.ndarray, variances: np.ndarray, epsilon: float) -> Statistics:
    """Over all images, from each image's own: the law of total variance."""
    return Statistics(means.mean(axis=0), np.sqrt(variances.mean(axis=0) + means.var(axis=0) + epsilon))
