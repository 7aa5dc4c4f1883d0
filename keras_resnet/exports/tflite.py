"""TFLite files: float, with weights of 16 or 8 bits, and of integers throughout."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_resnet.atomic import storage_errors, write_with
from keras_resnet.errors import ModelError, UsageError, listed
from keras_resnet.exports.material import Material
from keras_resnet.models.quantization_aware import deployed, is_quantization_aware
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.quantize.graph import Graph
from keras_resnet.quantize.post_training import (
    Quantization,
    above_noise,
    judged_of,
    logits_of,
    quantize,
    with_ends,
)
from keras_resnet.quantize.widening import widen_until
from keras_resnet.shortage import refuse_shortage
from keras_resnet.stamp import write_stamp

KINDS = ("float", "float16", "dynamic", "int8", "int16x8")
MOST_AS_CONSTANTS = 32 * 2**20
"""Bytes of weights that are converted as constants."""


def write_tflite(
    model: keras.Model,
    preprocessing: Preprocessing,
    path: Path,
    calibration: np.ndarray | None = None,
    *,
    kind: str | None = None,
    how: Quantization | None = None,
    right: Callable[[bytes], tuple[int, int]] | None = None,
    show: Callable[[str, int, int], None] | None = None,
) -> Sequence[str]:
    """Export a model as a `.tflite` file with a static batch of one.

    Args:
        model: Raw pixels in, logits out.
        preprocessing: Stored in the file.
        path: Where to.
        calibration: Training images, uint8 (n, height, width, channels), for a file of integers.
        kind: One of `KINDS`. `float16` and `dynamic` keep weights in 16 and 8 bits, and compute in floats or in what
            the runtime likes. `int8` has weights of 8 bits per output channel and activations of 8 bits; its input is
            `pixel - 128` exactly: scale 1, zero point -128. `int16x8` has activations of 16 bits. None: `int8` with
            calibration images, else `float`.
        how: How it becomes integers; None: all ways are tried.
        right: How many images a graph is right on, and of how many, where `how.max_drop` is given.
        show: Called with what is done, how far it is, and of how much.

    Returns:
        Remarks for the user.

    Raises:
        ModelError: The converter refused, or left an operation that is not integer.
    """
    kind = kind or ("float" if calibration is None else "int8")
    remarks: tuple[str, ...] = ()
    if kind == "int8":
        assert calibration is not None
        content, remarks = integer_graph(model, preprocessing.input_shape, calibration, how, right, show)
    else:
        content = _converted(model, preprocessing.input_shape, kind, calibration)
    if kind in ("int8", "int16x8") and not (how and how.wide == "float" and how.max_drop is not None):
        check_integer(content)
    write_stamped(content, preprocessing, path)
    return remarks


def integers_of(material: Material) -> tuple[bytes, tuple[str, ...]]:
    """The graph of a model in integers throughout, for formats that hold nothing else.

    Args:
        material: With calibration images.

    Returns:
        As `integer_graph`.

    Raises: as `integer_graph`; ModelError, too, if a tensor of floats is left.
    """
    assert material.calibration is not None
    content, remarks = integer_graph(
        material.model,
        material.preprocessing.input_shape,
        material.calibration,
        material.quantization,
        material.right,
        material.show,
    )
    check_integer(content)
    return content, remarks


def integer_graph(
    model: keras.Model,
    input_shape: tuple[int, int, int],
    calibration: np.ndarray,
    how: Quantization | None = None,
    right: Callable[[bytes], tuple[int, int]] | None = None,
    show: Callable[[str, int, int], None] | None = None,
) -> tuple[bytes, tuple[str, ...]]:
    """The graph of a model in integers of eight bits, with as many wider layers as it needs.

    Args:
        model, input_shape: As `float_graph`.
        calibration, how, right, show: As `write_tflite`.

    Returns:
        The graph, and remarks for the user.

    Raises:
        ModelError: The converter refused the model, or it loses more than it may however wide its layers are.
    """
    if is_quantization_aware(model):
        return _trained_for_integers(model, input_shape, how or Quantization())
    graph = float_graph(model, input_shape)
    quantized = quantize(graph, calibration, how, progress=show)
    if how is None or how.max_drop is None or right is None:
        return quantized.content, quantized.remarks
    allowed, (best, images) = how.max_drop, right(graph)

    def drop(content: bytes) -> float:
        return 100 * (best - right(content)[0]) / images

    lost = drop(quantized.content)
    if lost <= allowed:
        text = f"loses {lost:.2f} points on {images} images: no layer is widened"
        return quantized.content, (*quantized.remarks, text)
    few = judged_of(calibration)
    exact = logits_of(graph, few)
    found = widen_until(
        quantized.content,
        Graph(quantized.origin),
        how.wide,
        lambda content: above_noise(exact, logits_of(content, few)),
        lambda content: drop(content) <= allowed,
        show,
    )
    if found is None:
        raise ModelError(
            f"{model.name} loses {lost:.2f} points in integers of 8 bits, and more than {allowed:g} with all layers in "
            f"{how.wide}, too: train it for integers, calibrate with other images, or allow more by max_drop"
        )
    content, names = found
    text = (
        f"loses {drop(content):.2f} points on {images} images, and {lost:.2f} with 8 bits alone: the results of "
        f"{len(names)} layers are {'of 16 bits' if how.wide == 'int16' else 'floats'} ({listed(names)})"
    )
    return content, (*quantized.remarks, text)


def _trained_for_integers(
    model: keras.Model, input_shape: tuple[int, int, int], how: Quantization
) -> tuple[bytes, tuple[str, ...]]:
    """The graph of a model that brings the ranges of its activations, which its training found."""
    usual = Quantization()
    said = [name for name, value in vars(how).items() if value != getattr(usual, name) and name != "io"]
    if said:
        raise UsageError(f"{model.name} was trained for integers and brings its ranges: leave out {listed(said)}")
    content = Graph(_converted(deployed(model), input_shape, "trained for integers")).packed()
    if how.io != "int8":
        content = with_ends(content, how.io)
    return content, ("with the ranges and the rounded kernels of its training for integers",)


def write_stamped(content: bytes, preprocessing: Preprocessing, path: Path) -> None:
    """Write a graph as a `.tflite` file.

    Args:
        content: The graph.
        preprocessing: How its input is prepared; stored in the file.
        path: The file.
    """

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)
        write_stamp(temporary, preprocessing)

    write_with(path, write)


def float_graph(model: keras.Model, input_shape: tuple[int, int, int]) -> bytes:
    """The graph of floats that a quantiser begins with: normalisations and activations folded as in its result.

    Args:
        model: Raw pixels in, logits out.
        input_shape: Height, width and channels of an image.

    Raises:
        ModelError: The converter refused the model.
    """
    plain = deployed(model, rounds=False) if is_quantization_aware(model) else model
    return _converted(plain, input_shape, "to be quantised")


def representative(images: np.ndarray) -> Iterator[list[np.ndarray]]:
    """What TensorFlow's converter calibrates with: the images one by one, and the full range of pixels.

    It takes the input's range from what it sees. Two corner pixels of the first image show it 0 and 255.
    """
    for number, image in enumerate(images):
        sample = image.astype(np.float32)[None]
        if number == 0:
            sample[0, 0, 0], sample[0, -1, -1] = 0, 255
        yield [sample]


def _converted(
    model: keras.Model, input_shape: tuple[int, int, int], kind: str, calibration: np.ndarray | None = None
) -> bytes:
    import tensorflow as tf

    images = np.zeros((1, *input_shape), np.uint8) if calibration is None else calibration
    settings: dict[str, dict[str, Any]] = {
        "float": {},
        "float16": {"optimizations": [tf.lite.Optimize.DEFAULT]},
        "dynamic": {"optimizations": [tf.lite.Optimize.DEFAULT]},
        # Of 16 bits hardly any range is too coarse, and the quantiser that takes ranges from us knows 8 bits alone.
        "int16x8": {
            "optimizations": [tf.lite.Optimize.DEFAULT],
            "representative_dataset": lambda: representative(images),
            "inference_input_type": tf.int16,
            "inference_output_type": tf.int16,
        },
        # Without images: the graph itself says what rounds where.
        "trained for integers": {
            "optimizations": [tf.lite.Optimize.DEFAULT],
            "inference_input_type": tf.int8,
            "inference_output_type": tf.int8,
        },
        # Our own ranges take the place of those of this one image.
        "to be quantised": {
            "optimizations": [tf.lite.Optimize.DEFAULT],
            "representative_dataset": lambda: representative(images),
            "_experimental_calibrate_only": True,
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        with storage_errors(Path(folder)):
            _write_static(model, input_shape, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        for name, value in settings[kind].items():
            setattr(converter, name, value)
        if kind == "float16":
            converter.target_spec.supported_types = [tf.float16]
        elif kind == "int16x8":
            operators = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
            converter.target_spec.supported_ops = [operators]
        try:
            content: bytes = converter.convert()
        except Exception as error:  # the converter has no error class of its own
            refuse_shortage(error, f"convert {model.name}")
            raise ModelError(f"TensorFlow's converter refused {model.name}: {error}") from error
    return content


def check_integer(content: bytes) -> None:
    """Refuse a graph with a floating-point tensor anywhere: an integer-only device could not run it.

    Raises:
        ModelError: There is one; the message names it.
    """
    floating = [tensor.name for tensor in Graph(content).tensors if tensor.dtype.kind == "f"]
    if floating:
        raise ModelError(f"the exported model is not all integer: {floating[0]} and {len(floating) - 1} more tensors")


def _write_static(model: keras.Model, input_shape: tuple[int, int, int], folder: str) -> None:
    """A SavedModel with a batch of one, which the converter and microcontrollers need.

    Variables would be written as a checkpoint, restored twice and frozen by a session, in three times the time that
    constants take; but constants are held ten times over until the file is there.
    (`TFLiteConverter.from_keras_model` and `from_concrete_functions` lose the weights under Keras 3; Keras's
    `ExportArchive` writes what only a later training would need, too.)
    """
    import tensorflow as tf

    module, weights = tf.Module(), [(variable, variable.numpy()) for variable in model.variables]
    if sum(value.nbytes for _, value in weights) > MOST_AS_CONSTANTS:
        module.kept, weights = [variable.value for variable, _ in weights], []

    @tf.function(input_signature=[tf.TensorSpec((1, *input_shape), tf.float32, name="image")], autograph=False)
    def serve(image: Any) -> Any:
        constants = [(variable, tf.constant(value)) for variable, value in weights]
        with keras.StatelessScope(state_mapping=constants):
            return model(image, training=False)

    tf.saved_model.save(module, folder, signatures=serve.get_concrete_function())
