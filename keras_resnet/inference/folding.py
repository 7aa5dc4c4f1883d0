"""Folding the normalisations of a model, wherever it lies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.errors import UsageError
from keras_resnet.inference.predictors import load_keras
from keras_resnet.models import fusion
from keras_resnet.runs.run import Run, is_run
from keras_resnet.stamp import has_stamp, read_stamp

if TYPE_CHECKING:
    import keras


def fuse_batchnorm(model: keras.Model | Run | str | os.PathLike[str]) -> keras.Model:
    """A copy of a model in which batch normalisations are folded into the layers before them, for faster inference.

    Folded are batch normalisations over the channels that alone read the output of a convolution (transposed, depthwise
    and separable too) or a dense layer without activation; a ReLU that alone reads such a normalisation becomes the
    layer's activation. Others stay, such as those that stand before the convolutions of pre-activation networks or
    behind an activation, and all of layers that are called in several places. Models inside are folded likewise.

    Args:
        model: Any functional or sequential Keras model, which is not changed; a run, or a `.keras` file.

    Returns:
        A functional model of the same inputs and outputs with weights of its own, equal up to rounding. It is
        not for training. `predict`, `evaluate` and `export` take it as they take the model.

    Raises:
        UsageError: (a ValueError) The model has no graph, or nothing to fold, or a layer that cannot be copied.
        ModelError: (a ValueError) The file is damaged.

    >>> import keras
    >>> layers = [keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization(), keras.layers.ReLU()]
    >>> [type(layer).__name__ for layer in fuse_batchnorm(keras.Sequential([keras.Input((8, 8, 3)), *layers])).layers]
    ['InputLayer', 'Conv2D']
    """
    import keras

    if isinstance(model, keras.Model):
        return fusion.fuse_batchnorm(model)
    if not isinstance(model, Run | str | os.PathLike):
        raise UsageError(f"a model is a path, a run or a keras.Model; received {type(model).__name__}")
    if isinstance(model, Run) or is_run(Path(model)):
        path = Run.at(model.path if isinstance(model, Run) else model, finished=True).model
    else:
        path = Path(model)
        if path.suffix != ".keras":
            raise UsageError(
                f"normalisations are folded in a run's folder or a .keras file; received {path}. Of another file that "
                "Keras reads, give what keras.models.load_model returns"
            )
    loaded = load_keras(path)
    if has_stamp(path):
        loaded.preprocessing = read_stamp(path)
    return fusion.fuse_batchnorm(loaded)
