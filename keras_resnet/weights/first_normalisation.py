"""Whether images reach a network as those did that it was trained on, told by its first batch normalisation.

It keeps the mean and variance of what it saw in training. Other photographs move them a little: on blood cells, which
have little contrast, the variance in a network of ImageNet is a tenth. Pixels that are normalised otherwise, 0–255 for
-2 … 2, say, change it by thousands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.errors import UsageError
from keras_resnet.weights.pixels import CONVENTIONS, Pixels

if TYPE_CHECKING:
    import keras

IMAGES = 32
LEAST, MOST = 1 / 500, 100.0
"""Of the variance in training: what no kind of photograph explains is below or above."""
DULL = 10
"""Of the 0–255 scale: the deviation of pixels below which images are so dull that little variance is right."""
LOW, HIGH = 1 / 20, 10.0
"""Of the variance in training: what photographs usually lie between."""
FAR = 0.4
"""Deviations by which the mean may lie off before something may be wrong. For the ResNet-50 trained in Caffe it is at
most 0.35 with the right pixels, on blood cells, hand signs and streets, and at least 0.43 with its means left in."""


@dataclass(frozen=True)
class FirstStatistics:
    """What the first batch normalisation sees on some images, compared with its training.

    Args:
        variance: Its variance over that in training; the median over the channels.
        shift: How far its mean lies from that in training, in deviations; the median over the channels.
        images: How many were looked at.
    """

    variance: float
    shift: float
    images: int

    @property
    def are_possible(self) -> bool:
        """Whether some kind of photograph may have them."""
        return LEAST <= self.variance <= MOST

    @property
    def are_usual(self) -> bool:
        """Whether the images look much as those in training."""
        return LOW <= self.variance <= HIGH and self.shift <= FAR

    def __str__(self) -> str:
        return (
            f"on {self.images} images its first normalisation sees {self.variance:.3g} times the variance that it saw "
            f"in training, and a mean that lies {self.shift:.2g} deviations off"
        )


def first_statistics(model: keras.Model, images: np.ndarray) -> FirstStatistics | None:
    """Compare some images with those a network was trained on.

    Args:
        model: A model; only of a functional or sequential one it is known what comes first. Models inside are looked
            into.
        images: As the model takes them, (n, height, width, channels).

    Returns:
        None where the network keeps no statistics or has not been trained, or where the images are of one colour.
    """
    import keras

    from keras_resnet.compat.graph import graph_of

    graph = graph_of(model)
    if graph is None or np.std(images) <= 1e-3 * np.abs(images).max():  # a blank sheet tells nothing
        return None
    found = _first_normalisation(graph)
    if found is None:
        return None
    first, way = found
    if first.axis not in (-1, len(way[-1][1].shape) - 1):
        return None
    mean, variance = (np.asarray(keras.ops.convert_to_numpy(one)) for one in (first.moving_mean, first.moving_variance))
    alive = variance > 1e-6 * np.median(variance)  # filters that have died see nothing
    if not alive.any() or (not mean.any() and (variance == 1).all()):
        return None
    given: Any = images.astype(np.float32)
    for part, tensor in way:
        if tensor is not part.inputs[0]:
            given = keras.Model(part.inputs[0], tensor)(given, training=False)
    seen = keras.ops.convert_to_numpy(given).astype(np.float64)
    seen = seen.reshape(-1, seen.shape[-1])[:, alive]
    ratios = seen.var(axis=0) / variance[alive]
    shifts = np.abs(seen.mean(axis=0) - mean[alive]) / np.sqrt(variance[alive])
    return FirstStatistics(float(np.median(ratios)), float(np.median(shifts)), len(images))


def _first_normalisation(
    graph: keras.Model,
) -> tuple[keras.layers.BatchNormalization, list[tuple[keras.Model, Any]]] | None:
    """The batch normalisation that a graph, or a model inside, comes to first, and the way there.

    Layers may have been called elsewhere before, as those of a model whose head was replaced: what counts is the call
    in this graph.

    Returns:
        The layer, and for each graph from the outermost on its symbolic tensor that the next one, or the layer, is
        given.
    """
    import keras

    from keras_resnet.compat.graph import calls, graph_of

    for call in calls(graph):
        layer = call.operation
        if isinstance(layer, keras.layers.BatchNormalization):
            return layer, [(graph, call.inputs[0])]
        inside = graph_of(layer) if isinstance(layer, keras.Model) and len(call.inputs) == 1 else None
        found = None if inside is None else _first_normalisation(inside)
        if found is not None:
            return found[0], [(graph, call.inputs[0]), *found[1]]
    return None


def by_convention(model: keras.Model, images: np.ndarray) -> dict[str, FirstStatistics]:
    """The statistics that images have under each of `CONVENTIONS`.

    Args:
        model: A functional model that does not normalise its input itself.
        images: uint8 (n, height, width, channels), red first.
    """
    found = {}
    for name, pixels in CONVENTIONS.items():
        mean, std = pixels.for_channels(images.shape[-1])
        statistics = first_statistics(model, (images - np.asarray(mean)) / np.asarray(std))
        if statistics is not None:
            found[name] = statistics
    return found


def check_pixels(
    model: keras.Model, images: np.ndarray, called: object, pixels: Pixels | None = None, *, remedy: str
) -> str:
    """Refuse images that reach a network as no kind of photograph would.

    Args:
        model: A functional model.
        images: Pixels of 0–255, as the model takes them; the first `IMAGES` are looked at.
        called: What messages call the model.
        pixels: What it makes of them, where that is known of it.
        remedy: What a user does about wrong pixels; the end of the error's message.

    Returns:
        A remark where the images lie far from those in training; else nothing.

    Raises:
        UsageError: Only wrong pixels explain the difference.
    """
    found = first_statistics(model, images[:IMAGES])
    if found is None or found.are_usual:
        return ""
    cause = f"{found}."
    if pixels is not None:
        cause += f" It is given {pixels.title}{pixels.known_by and ': '}{pixels.known_by}."
        scale = np.mean(pixels.std)
        others = {name: found.variance * (scale / np.mean(one.std)) ** 2 for name, one in CONVENTIONS.items()}
        usual = [f"{name} ({variance:.2g})" for name, variance in others.items() if LOW <= variance <= HIGH]
        if usual and not LOW <= found.variance <= HIGH:
            cause += f" About the variance of its training would come of {' or '.join(usual)}."
    dull = found.variance < LEAST and images[:IMAGES].std() < DULL
    if found.are_possible or dull:
        return f"the pixels may not be those that {called} was trained on: {cause}"
    raise UsageError(
        f"the pixels are not those that {called} was trained on: {cause} No kind of photograph explains this, only "
        f"another normalisation. {remedy}"
    )
