"""`keras.applications.imagenet_utils`: pixels as networks were trained on them, and the names of ImageNet's classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_resnet.errors import UsageError
from keras_resnet.weights.pretrained import imagenet_synsets


def preprocess_input(x: Any, data_format: str | None = None, mode: str = "caffe") -> Any:
    """Pixels as a network was trained on them. The numbers are Keras's.

    Unlike Keras's, it leaves the array as it is that it is given, and takes tensors of whole numbers too.

    Args:
        x: An array, or a tensor of the backend or of a functional graph: an image or a batch of them, red, green, blue
            from 0 to 255.
        data_format: `"channels_last"` or `"channels_first"`; None: as Keras is set.
        mode: `"caffe"`: blue, green, red, minus means; `"tf"`: from -1 to 1; `"torch"`: from 0 to 1, minus means, over
            deviations.

    Returns:
        An array or a tensor of its shape: floats of its own kind, or Keras's `floatx` for whole numbers.

    Raises:
        UsageError: (a ValueError) It is no image, or has other channels.
        ValueError: Keras has no such mode or format.
    """
    import keras

    if not hasattr(x, "dtype"):
        x = np.asarray(x)
    if "float" not in keras.backend.standardize_dtype(x.dtype):
        x = (
            keras.ops.cast(x, keras.config.floatx())
            if not isinstance(x, np.ndarray)
            else x.astype(keras.config.floatx())
        )
    elif isinstance(x, np.ndarray):
        x = x.copy()
    if getattr(x.shape, "rank", 0) is not None:  # TensorFlow's may be unknown, as in a map over files
        _check_image(tuple(x.shape), data_format or keras.config.image_data_format(), mode)
    return keras.applications.imagenet_utils.preprocess_input(x, data_format=data_format, mode=mode)


def _check_image(shape: tuple[int | None, ...], data_format: str, mode: str) -> None:
    if len(shape) not in (3, 4):
        raise UsageError(f"pixels are an image or a batch of them, of 3 or 4 dimensions; received {shape}")
    channels = shape[-3] if data_format == "channels_first" else shape[-1]
    if mode != "tf" and channels not in (3, None):
        raise UsageError(
            f"preprocess_input takes three channels, red, green, blue ({data_format}); received {channels} in {shape}"
        )


def decode_predictions(preds: Any, top: int = 5) -> list[list[tuple[str, str, Any]]]:
    """The likeliest classes of ImageNet. Unlike Keras's, it downloads nothing.

    Args:
        preds: (images, 1000), what a network gives: an array or a tensor.
        top: How many classes of each image.

    Returns:
        For each image, (WordNet's number, word, score) of its classes, the likeliest first.

    Raises:
        UsageError: (a ValueError) Predictions are of another shape, or `top` of no such number.

    >>> import numpy as np
    >>> decode_predictions(np.eye(1000)[[207]], top=1)[0][0][:2]
    ('n02099601', 'golden_retriever')
    """
    shape = tuple(getattr(preds, "shape", np.shape(preds)))
    if len(shape) != 2 or shape[1] != 1000:
        raise UsageError(
            "decode_predictions takes what a network of ImageNet's 1,000 classes gives, of shape (images, 1000); "
            f"received {shape}. The classes of a network of your own have the names that you gave them"
        )
    if isinstance(top, bool) or not isinstance(top, int) or not 1 <= top <= 1000:
        raise UsageError(f"top must be a whole number from 1 to 1,000; received {top!r}")
    classes = imagenet_synsets()
    found = []
    for scores in _as_array(preds):
        best = scores.argsort()[-top:][::-1]
        found.append(sorted(((*classes[one], scores[one]) for one in best), key=lambda row: row[2], reverse=True))
    return found


def _as_array(values: Any) -> np.ndarray:
    if isinstance(values, np.ndarray | list | tuple):
        return np.asarray(values)
    import keras

    return keras.ops.convert_to_numpy(values)
