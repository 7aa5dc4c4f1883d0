"""A model exported at the end of anyone's `model.fit`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras

from keras_resnet.callbacks.exact_checkpoint import ExactCheckpoint, those_before
from keras_resnet.callbacks.moving_average import MovingAverage
from keras_resnet.callbacks.notes import note
from keras_resnet.data.loading import Data
from keras_resnet.errors import UsageError
from keras_resnet.exports.export import Exported, export
from keras_resnet.exports.formats import format_named
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.runs.run import Run

CHANGING = (
    ExactCheckpoint,
    MovingAverage,
    keras.callbacks.EarlyStopping,
    keras.callbacks.SwapEMAWeights,
)
"""What may give a model other weights at the end of a `fit`."""


class Export(keras.callbacks.Callback):
    """Writes the model in another format at the end of a `fit`, and verifies the file.

    It exports the weights that the model has then: the best ones with `ExactCheckpoint`, the average with
    `MovingAverage`. It must come after both, and after Keras's callbacks that give the model other weights at the end.

    Args:
        folder: A run folder, as of `ExactCheckpoint`; the file goes into its `exports/`.
        format: As `keras_resnet.export`.
        calibration: For files of integers: training images, see `keras_resnet.export`.
        data, preprocessing: As `keras_resnet.export`.

    Attributes:
        exported: The file and how it compares with the model; None before the end.

    Raises:
        UsageError: There is no such format, INT8 has no images to calibrate with, or, in `fit`, the order is wrong.

    Example:
        >>> import keras_resnet
        >>> digits = keras_resnet.load_data("digits")
        >>> model = keras_resnet.ResNet8(num_classes=10, input_shape=(16, 16, 1))
        >>> model.compile("sgd", "categorical_crossentropy")
        >>> exports = keras_resnet.callbacks.Export("mine", "tflite-int8", calibration=digits.train)
        >>> _ = model.fit(digits.train.batches(64, seed=0).take(2), callbacks=[exports], verbose=0)
        >>> exports.exported.path.name
        'model_int8.tflite'
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        format: str = "tflite-int8",
        *,
        calibration: Any = None,
        data: Data | None = None,
        preprocessing: Preprocessing | None = None,
    ) -> None:
        super().__init__()
        chosen = format_named(format)
        if chosen.calibrated and calibration is None and data is None:
            raise UsageError("a file of integers is calibrated on training images: give calibration=images.train, say")
        self.path, self.format = Run(Path(folder)).exports / chosen.path, format
        self.options: dict[str, Any] = {"calibration": calibration, "data": data, "preprocessing": preprocessing}
        self.exported: Exported | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        those_before(self, "which gives the model its last weights", CHANGING)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.exported = export(self.model, self.path, self.format, **self.options)
        checked = self.exported.verification
        note(f"wrote {self.path}; on {checked.images} images it decides as the model on {checked.agreement:.2%}")
