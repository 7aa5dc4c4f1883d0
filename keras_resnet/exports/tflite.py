"""TFLite files: float, and full-integer INT8 with int8 pixels in and int8 logits out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from keras_resnet.atomic import storage_errors, write_with
from keras_resnet.errors import ModelError
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.shortage import refuse_shortage
from keras_resnet.stamp import write_stamp


def write_tflite(
    model: keras.Model, preprocessing: Preprocessing, path: Path, calibration: np.ndarray | None = None
) -> Path:
    """Export a model as a `.tflite` file with a static batch of one.

    Args:
        model: Raw pixels in, logits out.
        preprocessing: Stored in the file.
        path: Where to.
        calibration: None for a float file; training images, uint8 (n, height, width, channels), for
            a full-integer one: weights int8 per output channel, activations int8. Its input is
            `pixel - 128` exactly: scale 1, zero point -128.

    Raises:
        ModelError: The converter refused, or left an operation that is not integer.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        with storage_errors(Path(folder)):
            _write_static(model, preprocessing.input_shape, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if calibration is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: representative(calibration)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        try:
            content: bytes = converter.convert()
        except Exception as error:  # the converter has no error class of its own
            refuse_shortage(error, f"convert {model.name}")
            raise ModelError(f"TensorFlow's converter refused {model.name}: {error}") from error
    if calibration is not None:
        check_integer(content)

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)
        write_stamp(temporary, preprocessing)

    write_with(path, write)
    return path


def representative(images: np.ndarray) -> Iterator[list[np.ndarray]]:
    """What the converter calibrates with: the images one by one, and the full range of pixels.

    The converter takes the input's range from what it sees. Two corner pixels of the first image
    show it 0 and 255, so that the input's scale is exactly 1 and every pixel has its own number.
    """
    for number, image in enumerate(images):
        sample = image.astype(np.float32)[None]
        if number == 0:
            sample[0, 0, 0], sample[0, -1, -1] = 0, 255
        yield [sample]


def check_integer(content: bytes) -> None:
    """Refuse a model with a floating-point tensor anywhere: an integer-only device could not run it.

    Raises:
        ModelError: There is one; the message names it.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    integer = {schema.TensorType.INT8, schema.TensorType.INT32, schema.TensorType.INT64, schema.TensorType.BOOL}
    floating = [
        tensor.name.decode() for graph in model.subgraphs for tensor in graph.tensors if tensor.type not in integer
    ]
    if floating:
        raise ModelError(f"the exported model is not all integer: {floating[0]} and {len(floating) - 1} more tensors")


def _write_static(model: keras.Model, input_shape: tuple[int, int, int], folder: str) -> None:
    """A SavedModel with a batch of one, which the converter and microcontrollers need.

    (`TFLiteConverter.from_keras_model` and `from_concrete_functions` lose the weights under Keras 3; Keras's
    `ExportArchive` writes what only a later training would need, too, and takes twice as long.)
    """
    import tensorflow as tf

    module = tf.Module()
    module.kept = [variable.value for variable in model.variables]
    spec = tf.TensorSpec((1, *input_shape), tf.float32, name="image")
    serve = tf.function(lambda image: model(image, training=False), input_signature=[spec], autograph=False)
    tf.saved_model.save(module, folder, signatures=serve.get_concrete_function())
