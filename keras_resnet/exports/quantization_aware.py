"""Any Keras model of convolutions, made ready to be trained for integers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.allowed import RANGE_LEARNING
from keras_resnet.data.images import ImageData, Split
from keras_resnet.errors import DataError, UsageError
from keras_resnet.exports.calibration import calibration_batch
from keras_resnet.inference.predictors import load_keras
from keras_resnet.models.quantization_aware import IMAGES, quantization_aware
from keras_resnet.preprocessing import Fit
from keras_resnet.runs.run import Run, is_run
from keras_resnet.stamp import has_stamp, read_stamp

if TYPE_CHECKING:
    import keras


def quantize_aware(
    model: keras.Model | Run | str | os.PathLike[str],
    calibration: Any,
    *,
    ranges: str = "averaged",
    bits: int = 8,
) -> keras.Model:
    """A copy of a model that computes what its INT8 file will compute, to be trained on by anyone's `fit`.

    Batch normalisations are folded with the statistics that they have, kernels are rounded to 8 bits for each output
    channel, and activations wherever TFLite's kernels requantise. Compile the result and train it for a few epochs at a
    hundredth of the first rate; `export(model, path, "tflite-int8")` then writes the file that it stands for. It is
    saved and loaded as any model; `keras.models.load_model` needs `import keras_resnet` before it.

    Outside of training its numbers are those of TFLite's reference kernels but for sums that lie within a millionth of
    a step of where they round.

    Args:
        model: Any functional or sequential Keras model of convolutions, keras.applications' too, which is not changed;
            a run, or a `.keras` file.
        calibration: Training images in which the first ranges of activations are found: as the model takes them, an
            array (n, height, width, channels) or a `tf.data.Dataset` whose elements begin with them; or a data set of
            this package or a split of one. Up to 256 are looked at.
        ranges: How ranges are found in training: `averaged`, over batches (Jacob et al., 2017); `learned`, by gradients
            (Esser et al., 2019): leave their weights, `step`, out of weight decay; or `fixed`, as calibrated.
        bits: Of a weight, 2 to 8. Files hold 8; fewer are for experiments.

    Returns:
        A functional model in float32 of the same inputs and outputs with weights of its own.

    Raises:
        UsageError: (a ValueError) The model has no graph, a layer that cannot be trained for integers, or nothing that
            could; or an argument is out of range.
        DataError: There are no images to calibrate with, or they are not such as the model takes.
        ModelError: The file is damaged.

    Sources: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", 2017, https://arxiv.org/abs/1712.05877; Esser et al., "Learned Step Size Quantization", 2019,
    https://arxiv.org/abs/1902.08153.

    Example:
        >>> import keras_resnet, numpy as np
        >>> images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)
        >>> model = keras_resnet.ResNet8(num_classes=3, input_shape=(16, 16, 3))
        >>> aware = keras_resnet.quantize_aware(model, images)
        >>> aware.compile("adam", "sparse_categorical_crossentropy")
        >>> _ = aware.fit(images, np.arange(8) % 3, verbose=0)
        >>> keras_resnet.export(aware, "mine.tflite", "tflite-int8", calibration=images).verification.images
        8
    """
    import keras

    RANGE_LEARNING.checked(ranges, "ranges")
    if not isinstance(model, keras.Model):
        model = _loaded(model)
    return quantization_aware(model, _images(calibration, model), learning=ranges, bits=bits)


def _loaded(model: Any) -> keras.Model:
    if not isinstance(model, Run | str | os.PathLike):
        raise UsageError(f"a model is a path, a run or a keras.Model; received {type(model).__name__}")
    path = model.path if isinstance(model, Run) else Path(model)
    if is_run(path):
        path = Run.at(path, finished=True).model
    loaded = load_keras(path)
    if has_stamp(path):
        loaded.preprocessing = read_stamp(path)
    return loaded


def _images(calibration: Any, model: keras.Model) -> np.ndarray:
    """Images as the model takes them: pixels in 0–255, uint8, unless floats are given."""
    if not isinstance(calibration, ImageData | Split):
        if hasattr(calibration, "element_spec"):
            calibration = _of_dataset(calibration)
        if isinstance(calibration, np.ndarray) and calibration.ndim == 4 and calibration.dtype.kind == "f":
            return calibration[:IMAGES]
    shape = model.inputs[0].shape[1:]
    fit = getattr(getattr(model, "preprocessing", None), "fit", None)
    if fit is None:
        if len(shape) != 3 or None in shape:
            raise UsageError(
                f"{model.name} takes images of any size: give calibration images as an array of floats or a "
                "tf.data.Dataset, of the size that it is trained on"
            )
        fit = Fit((shape[0], shape[1]), shape[2])
    return calibration_batch(calibration, fit, IMAGES)


def _of_dataset(dataset: Any) -> np.ndarray:
    found: list[np.ndarray] = []
    for element in dataset:
        while isinstance(element, tuple | list):
            element = element[0]
        images = np.asarray(element)
        found.append(images if images.ndim == 4 else images[np.newaxis])
        if sum(map(len, found)) >= IMAGES:
            break
    if not found:
        raise DataError("the data set of calibration images is empty")
    return np.concatenate(found)
