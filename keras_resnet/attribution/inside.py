"""Pictures of what is inside a network: its first filters, its feature maps, the images that excite its channels."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.allowed import COUNT
from keras_resnet.attribution.methods import Subject
from keras_resnet.attribution.network import Network, Place, has_kernel
from keras_resnet.attribution.overlays import MAP, draw_image
from keras_resnet.data.images import Split
from keras_resnet.errors import DataError, UsageError
from keras_resnet.inference.inputs import AnImage, image_batch
from keras_resnet.inference.predictor import Predictor
from keras_resnet.inference.predictors import KerasPredictor, open_predictor
from keras_resnet.layer_names import OTHER, part_of
from keras_resnet.pictures import new_figure, save, short
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.runs.run import Run
from keras_resnet.settings import check_arguments

Model = Predictor | Run | str | os.PathLike[str] | Any
"""As `explain` takes it; the last is a `keras.Model`."""
CHANNELS = 7
"""That are drawn of each stage."""
MOST_FILTERS = 256
BATCH = 64


def show_filters(model: Model, path: str | os.PathLike[str], *, preprocessing: Preprocessing | None = None) -> Path:
    """Draw the filters of a network's first convolution, as a PNG file.

    Filters of images in colour are drawn in colour: grey is 0. Smooth edges and spots of colour are what a trained
    network has; noise is what it had before.

    Args:
        model: As `explain`, of Keras.
        path: The PNG file to write.
        preprocessing: As `explain`.

    Raises:
        UsageError: It is no Keras model, or has no convolution.
        MissingExtraError: matplotlib is not installed.
    """
    kernel = first_kernel(_keras(model, preprocessing))
    count = min(kernel.shape[-1], MOST_FILTERS)
    columns = math.ceil(math.sqrt(count * 1.6))
    rows = math.ceil(count / columns)
    figure = new_figure(max(0.62 * columns + 0.4, 5.2), 0.62 * rows + 0.7)
    height, width, channels = kernel.shape[:3]
    figure.suptitle(
        f"{kernel.shape[-1]} filters of the first convolution, {height}×{width}×{channels}; grey is 0", fontsize=11
    )
    for number, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if number < count:
            one = kernel[..., number]
            one = one if channels == 3 else one.mean(axis=-1, keepdims=True)
            most = np.abs(one).max() or 1.0
            axes.imshow(np.squeeze(0.5 + 0.5 * one / most, -1) if one.shape[-1] == 1 else 0.5 + 0.5 * one / most,
                        cmap="gray", vmin=0, vmax=1)  # fmt: skip
    path = Path(path)
    save(figure, path)
    return path


def first_kernel(predictor: KerasPredictor) -> np.ndarray:
    """The kernel of a network's first convolution, float32 (height, width, channels, filters).

    Raises:
        UsageError: It has none.
    """
    kernels: list[np.ndarray] = []

    def look(step: Any, compute: Any) -> Any:
        if has_kernel(step.layer) and not kernels:
            kernel = next(
                getattr(step.layer, name) for name in ("kernel", "depthwise_kernel") if hasattr(step.layer, name)
            )
            kernels.append(np.asarray(kernel, np.float32))
        return compute()

    Network(predictor.model).walk(np.zeros((1, *predictor.preprocessing.input_shape)), look)
    if not kernels or kernels[0].ndim != 4:
        raise UsageError(f"{predictor.model.name} has no convolution first, whose filters could be drawn")
    return kernels[0]


def show_activations(
    model: Model,
    image: AnImage,
    path: str | os.PathLike[str],
    *,
    preprocessing: Preprocessing | None = None,
) -> Path:
    """Draw what each stage of a network makes of an image, as a PNG file.

    A row for each stage: the mean over its channels, and the channels that one point of the image excites most.

    Args:
        model: As `explain`, of Keras.
        image: One, as `predict` takes it.
        path: The PNG file to write.
        preprocessing: As `explain`.

    Raises:
        DataError: The image cannot be read.
        UsageError: It is no Keras model, or has no feature maps.
        MissingExtraError: matplotlib is not installed.
    """
    predictor = _keras(model, preprocessing)
    pixels = image_batch(image, predictor.preprocessing.fit)[:1]
    network = Network(predictor.model)
    stages = stages_of(network.places(pixels[0]))
    if not stages:
        raise UsageError(f"{network.name} has no feature maps of several pixels behind a convolution")
    side = 1.35
    figure = new_figure(side * (CHANNELS + 2) + 0.3, (side + 0.28) * len(stages) + 0.4)
    figure.suptitle("What each stage makes of the image: mean, and the channels that it excites most", fontsize=11)
    grid = figure.subplots(len(stages), CHANNELS + 2, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    draw_image(grid[0, 0], pixels[0])
    maps = network.maps(pixels, list(stages.values()))
    for row, (name, found) in enumerate(zip(stages, maps, strict=True)):
        of_stage = found.numpy()[0]
        mean, excited = np.abs(of_stage).mean(axis=-1), np.argsort(-of_stage.max(axis=(0, 1)))[:CHANNELS]
        height, width, channels = of_stage.shape
        grid[row, 1].imshow(mean, cmap=MAP)
        grid[row, 1].set_title(f"{short(name, 14)}\n{height}×{width}×{channels}", fontsize=8)
        for axes, channel in zip(grid[row, 2:], excited, strict=False):
            axes.imshow(of_stage[..., channel], cmap=MAP, vmin=0)
            axes.set_title(f"channel {channel}", fontsize=8)
    path = Path(path)
    save(figure, path)
    return path


def stages_of(places: Sequence[Place]) -> dict[str, Place]:
    """The last feature maps of each stage, by its name.

    Args:
        places: All that a network has. What `keras_resnet.build` made has stages in its layers' names; of other
            networks all maps of one size are a stage.
    """
    found: dict[str, Place] = {}
    for place in places:
        height, width, _ = place.shape
        part = part_of(place.name)
        found[f"{height}×{width}" if part == OTHER else part] = place
    return found


@check_arguments(count=COUNT)
def show_exciting_images(
    model: Model,
    images: Split,
    path: str | os.PathLike[str],
    *,
    channels: Sequence[int] | None = None,
    layer: str | None = None,
    count: int = 8,
    preprocessing: Preprocessing | None = None,
) -> Path:
    """Draw the images of a data set that excite channels of a network most, as a PNG file: what a channel looks for.

    An image excites a channel by the largest value in its map (Zeiler and Fergus, "Visualizing and Understanding
    Convolutional Networks", 2014); a frame shows where that is.

    Args:
        model: As `explain`, of Keras.
        images: Some, as `load_data("folder:photos").test`, of the model's size.
        path: The PNG file to write.
        channels: By number. None: the eight that few images excite far more than the others do.
        layer: As `explain`.
        count: Images for each channel.
        preprocessing: As `explain`.

    Raises:
        DataError: The images have another size than the model's.
        UsageError: It is no Keras model, or has no such layer or channel.
        MissingExtraError: matplotlib is not installed.
    """
    subject = Subject(_keras(model, preprocessing), layer)
    if not len(images) or images.images.shape != subject.predictor.preprocessing.input_shape:
        raise DataError(
            f"the model takes images of {subject.predictor.preprocessing.input_shape}; received {len(images)} of "
            f"{images.images.shape}: load them by fit=, as load_data(…, fit=model.preprocessing.fit)"
        )
    values, where = excitations(subject, images)
    known = values.shape[1]
    chosen = list(selective_channels(values) if channels is None else channels)
    if not chosen or any(not 0 <= one < known for one in chosen):
        raise UsageError(f"channels of {subject.cut.place.path} must be numbers in 0–{known - 1}; received {channels}")
    count = min(count, len(images))
    side = 1.45
    figure = new_figure(side * count + 0.9, (side + 0.28) * len(chosen) + 0.5)
    figure.suptitle(f"The images that excite channels of {subject.cut.place.path} most", fontsize=11)
    height, width, _ = subject.cut.place.shape
    grid = figure.subplots(len(chosen), count, squeeze=False)
    for row, channel in enumerate(chosen):
        best = np.argsort(-values[:, channel], kind="stable")[:count]
        for axes, position, pixels in zip(grid[row], best, images.read(best), strict=True):
            draw_image(axes, pixels)
            _frame(axes, pixels.shape, divmod(int(where[position, channel]), width), (height, width))
            label = "|".join(images.task.names_of(images.labels[position]))
            axes.set_title(f"{short(label, 14)} {values[position, channel]:.3g}", fontsize=8)
        grid[row, 0].text(-0.12, 0.5, f"channel {channel}", rotation=90, fontsize=9, va="center", ha="center",
                          transform=grid[row, 0].transAxes)  # fmt: skip
    path = Path(path)
    save(figure, path)
    return path


def excitations(subject: Subject, images: Split) -> tuple[np.ndarray, np.ndarray]:
    """How much each image excites each channel where a network is cut.

    Args:
        subject: The model, of Keras.
        images: Of its size.

    Returns:
        float32 (n, channels), the largest value in a channel's map; int64 (n, channels), its position in the map, rows
        one behind another.
    """
    values, where = [], []
    for start in range(0, len(images), BATCH):
        maps = subject.cut.maps(images.read(slice(start, start + BATCH))).numpy()
        flat = maps.reshape(len(maps), -1, maps.shape[-1])
        values.append(flat.max(axis=1))
        where.append(flat.argmax(axis=1))
    return np.concatenate(values), np.concatenate(where)


def selective_channels(values: np.ndarray, count: int = 8) -> list[int]:
    """The channels whose most exciting image stands out most from the others, in standard deviations.

    Args:
        values: float (n, channels), as `excitations` gives them.
        count: At most so many; channels that no image excites are none.
    """
    spread = values.std(axis=0)
    above = values.max(axis=0) - values.mean(axis=0)
    outstanding = np.divide(above, spread, out=np.zeros_like(spread), where=spread > 0)
    order = np.argsort(-outstanding, kind="stable")[:count]
    return [int(one) for one in order if outstanding[one] > 0] or [0]


def _frame(axes: Any, shape: tuple[int, ...], cell: tuple[int, int], cells: tuple[int, int]) -> None:
    """A frame around the part of an image that stands behind one position of a map, and its neighbours."""
    from matplotlib.patches import Rectangle

    down, across = shape[0] / cells[0], shape[1] / cells[1]
    corner = (cell[1] - 1) * across - 0.5, (cell[0] - 1) * down - 0.5
    for colour, thickness in (("black", 2.6), ("white", 1.2)):  # seen on dark and on bright images
        axes.add_patch(Rectangle(corner, 3 * across, 3 * down, fill=False, edgecolor=colour, linewidth=thickness))


def _keras(model: Model, preprocessing: Preprocessing | None) -> KerasPredictor:
    predictor = model if isinstance(model, Predictor) else open_predictor(model, preprocessing)
    if not isinstance(predictor, KerasPredictor):
        raise UsageError(
            f"{predictor.path} ({predictor.name}) gives answers alone, and what is inside cannot be had: give the run "
            "or the .keras file that it was exported from"
        )
    return predictor
