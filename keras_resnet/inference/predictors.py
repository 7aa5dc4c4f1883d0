"""One way to ask every kind of saved model: raw pixels in, logits out.

Evaluation, verification and prediction use a `Predictor` and never ask which kind it is. Each kind imports what it
alone needs when it is opened, so that a `.tflite` file answers without TensorFlow, and at once.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.errors import KerasResNetError, MissingExtraError, ModelError, UsageError
from keras_resnet.inference.predictor import BATCH, MOST_NUMBERS, Predictor
from keras_resnet.inference.saved_graph import check_saved_graph
from keras_resnet.inference.tflite_file import check_tflite
from keras_resnet.plain_paths import plain_path
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.regular_files import check_folder, check_regular
from keras_resnet.runs.run import Run, is_run
from keras_resnet.shortage import refuse_shortage
from keras_resnet.stamp import check_digests, has_stamp, read_stamp

if TYPE_CHECKING:
    import keras

TITLES = {
    np.int8: "TFLite INT8",
    np.uint8: "TFLite INT8",
    np.int16: "TFLite INT16×8",
    np.float32: "TFLite float",
}
"""Of `.tflite` files, by the type of their input."""
MICRO_DATA, C_SOURCE = "model_data.cc", "model.c"
"""The files that show that a folder is one for TFLite Micro, or has a network in C."""
FOLDER_MODEL = "model.tflite"
"""In both: the file that they were made from."""


class KerasPredictor(Predictor):
    """A Keras model in memory.

    Args:
        model: Raw pixels, float32 (batch, height, width, channels), in; logits out, or what a softmax or sigmoid at
            its end makes of them.
        preprocessing: How its input is prepared, and its classes.
        path: Where it was read from; None: nowhere.
        is_assumed: The preprocessing was not stored with the model, but is what its graph says.

    Raises:
        ModelError: It has another number of outputs than there are classes.
    """

    def __init__(
        self, model: keras.Model, preprocessing: Preprocessing, path: Path | None = None, *, is_assumed: bool = False
    ) -> None:
        from keras_resnet.inference.activation import logits_model

        super().__init__("Keras", preprocessing, path)
        if not isinstance(model.output_shape, tuple) or not isinstance(model.input_shape, tuple):
            raise ModelError(f"{path or model.name} has several inputs or outputs, expected one of each")
        self._check_outputs(model.output_shape[-1], path or model.name)
        self.is_assumed = is_assumed
        self._check_input(model.input_shape, path or model.name)
        self.model = logits_model(model)

    @cached_property
    def _call(self) -> Callable[[Any], Any]:
        from keras_resnet.inference.traced import traced

        return traced(self.model, self.preprocessing.input_shape)

    def logits(self, images: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        return _in_batches(lambda batch: self._call(tf.constant(batch)).numpy(), images)

    def one(self, image: np.ndarray) -> Callable[[], object]:
        import tensorflow as tf

        batch = tf.constant(image[None], tf.float32)
        return lambda: self._call(batch).numpy()

    def check_pixels(self, images: np.ndarray) -> str:
        from keras_resnet.weights.first_normalisation import check_pixels
        from keras_resnet.weights.pixels import Pixels

        own = self.preprocessing
        pixels = Pixels.of(own.mean, own.std, "as the model has it")
        remedy = (
            "The model does not say how its images are normalised: say it by preprocessing="
            if self.is_assumed
            else "Give the model the normalisation that it was trained with, or images as it was trained on"
        )
        return check_pixels(self.model, images, self.path or self.model.name, pixels, remedy=remedy)


class SavedModelPredictor(Predictor):
    """A SavedModel folder, run by TensorFlow with no Keras code."""

    def __init__(self, path: Path, preprocessing: Preprocessing) -> None:
        import tensorflow as tf

        super().__init__("SavedModel", preprocessing, path)
        try:
            check_folder(path)
            check_saved_graph(path)
            with plain_path(path) as plain:
                self._loaded = tf.saved_model.load(str(plain))
            self._call: Any = self._loaded.signatures["serving_default"]
        except ModelError:
            raise
        except Exception as error:  # TensorFlow raises nearly anything for a damaged file
            refuse_shortage(error, f"run {path}")
            raise ModelError(f"{path} cannot be read as a SavedModel: {error or type(error).__name__}") from None
        inputs, outputs = self._call.structured_input_signature[1], self._call.structured_outputs
        if len(inputs) != 1 or "logits" not in outputs:
            raise ModelError(f"{path} is a SavedModel of another kind: expected one input and an output 'logits'")
        ((self._input, spec),) = inputs.items()
        self._dtype = spec.dtype
        self._check_outputs(outputs["logits"].shape[-1], path)
        self._check_input(spec.shape, path)

    def logits(self, images: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        return _in_batches(
            lambda batch: self._call(**{self._input: tf.constant(batch, self._dtype)})["logits"].numpy(), images
        )

    def one(self, image: np.ndarray) -> Callable[[], object]:
        import tensorflow as tf

        batch = {self._input: tf.constant(image[None], self._dtype)}
        return lambda: self._call(**batch)["logits"].numpy()


class TFLitePredictor(Predictor):
    """A `.tflite` file, run by LiteRT one image at a time, as on a device.

    Args:
        path: The file.
        preprocessing: From its stamp.
        threads: Of the runtime.
        reference: By LiteRT's reference kernels, which are plain C++ and slow; else by XNNPACK's.
    """

    def __init__(self, path: Path, preprocessing: Preprocessing, *, threads: int = 1, reference: bool = False) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter, OpResolverType
        except ImportError:
            raise MissingExtraError("running a .tflite file", "edge") from None
        check_tflite(path)
        try:
            check_regular(path)
            kernels = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
            self._interpreter = Interpreter(
                model_path=str(path), num_threads=threads, experimental_op_resolver_type=kernels
            )
            self._interpreter.allocate_tensors()
        except Exception as error:  # an operator's checks of its inputs
            refuse_shortage(error, f"run {path}")
            raise ModelError(f"{path} cannot be read as a TFLite model: {error}") from None
        (self.input,), (self.output,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        super().__init__(TITLES.get(self.input["dtype"], "TFLite"), preprocessing, path)
        self._check_outputs(self.output["shape"][-1], path)
        self._check_input(self.input["shape"], path)

    def logits(self, images: np.ndarray) -> np.ndarray:
        quantised = self._quantise(images)
        outputs = np.stack([self._run(image[None]) for image in quantised])
        return self._dequantise(outputs)

    def one(self, image: np.ndarray) -> Callable[[], object]:
        batch = self._quantise(image[None])
        return lambda: self._run(batch)

    def _run(self, image: np.ndarray) -> np.ndarray:
        self._interpreter.set_tensor(self.input["index"], image)
        self._interpreter.invoke()
        result: np.ndarray = self._interpreter.get_tensor(self.output["index"])[0]
        return result

    def _quantise(self, images: np.ndarray) -> np.ndarray:
        dtype = self.input["dtype"]
        if not np.issubdtype(dtype, np.integer):
            return images.astype(dtype)
        scale, zero_point = self.input["quantization"]
        limits = np.iinfo(dtype)
        return np.clip(np.rint(images / scale) + zero_point, limits.min, limits.max).astype(dtype)

    def _dequantise(self, outputs: np.ndarray) -> np.ndarray:
        if not np.issubdtype(self.output["dtype"], np.integer):
            return outputs.astype(np.float32)
        scale, zero_point = self.output["quantization"]
        return ((outputs.astype(np.float32) - zero_point) * scale).astype(np.float32)


class FolderPredictor(TFLitePredictor):
    """The `.tflite` file in a folder for TFLite Micro or of C, run by LiteRT.

    Args:
        path: The file.
        preprocessing: From its stamp.
        name: For tables.
    """

    def __init__(self, path: Path, preprocessing: Preprocessing, name: str) -> None:
        super().__init__(path, preprocessing)
        self.name, self.path = name, path.parent


def network_in(path: Path) -> Path:
    """The `.tflite` file in a folder for TFLite Micro or of C; another path as it is."""
    return path / FOLDER_MODEL if any((path / name).is_file() for name in (MICRO_DATA, C_SOURCE)) else path


def open_predictor(
    source: str | os.PathLike[str] | Run | keras.Model, preprocessing: Preprocessing | None = None
) -> Predictor:
    """Open a model: a finished run, a file or folder that was exported, a `.keras` file, or a Keras model in memory.

    Args:
        source: The model. Files and folders but `.keras` must be of this package.
        preprocessing: How images are prepared for a Keras model that does not say it; None: what its graph says, see
            `with_raw_pixels`.

    Raises:
        ModelError: It is missing, damaged, of another kind, or does not say how its input is prepared.
        UsageError: The run is not finished, or the model and `preprocessing` do not fit.
        StorageError: The memory does not suffice to run it.
        MissingExtraError: What runs the file is not installed; the message names the extra.
    """
    if not isinstance(source, str | os.PathLike | Run):
        return _unstamped(source, preprocessing)
    path = source.path if isinstance(source, Run) else Path(source)
    if not path.exists():
        raise ModelError(f"there is no model {path}")
    if preprocessing is not None and path.suffix == ".keras":
        return _tried(lambda file: _unstamped(load_keras(file), preprocessing, file), path)
    if preprocessing is not None:
        raise UsageError(f"preprocessing= is for Keras models that do not say it; {path} does: leave it out")
    for is_of_kind, opened in OPENERS.values():
        if is_of_kind(path):
            return _tried(opened, path)
    raise ModelError(f"{path} is none of these: {', '.join(OPENERS)}")


def _tried(opened: Callable[[Path], Predictor], path: Path) -> Predictor:
    """Open a file and ask for one black image: what damage did to a network may show only when it runs."""
    try:
        predictor = opened(path)
        logits = predictor.logits(np.zeros((1, *predictor.preprocessing.input_shape), np.uint8))
    except KerasResNetError:
        raise
    except Exception as error:  # every runtime has exceptions of its own
        refuse_shortage(error, f"run {path}")
        raise ModelError(f"{path} is damaged, its network cannot be run: {error or type(error).__name__}") from error
    if logits.shape != (1, predictor.task.outputs):
        raise ModelError(f"{path} gives {list(logits.shape)} for one image, expected {[1, predictor.task.outputs]}")
    return predictor


def _unstamped(model: Any, preprocessing: Preprocessing | None, path: Path | None = None) -> KerasPredictor:
    import keras

    from keras_resnet.inference.activation import gives_shares, logits_model, logs_of
    from keras_resnet.inference.unstamped import with_raw_pixels

    if not isinstance(model, keras.Model):
        raise UsageError(f"a model is a path, a run or a keras.Model; received {type(model).__name__}")
    logits = logits_model(model)
    if logits is model and len(getattr(model, "inputs", None) or ()) == 1 and gives_shares(model):
        logits = logs_of(model)
    predictor = KerasPredictor(*with_raw_pixels(model, preprocessing, logits), path, is_assumed=True)
    predictor.is_nameless |= preprocessing is None and getattr(model, "preprocessing", None) is None
    return predictor


def _open_keras(path: Path) -> KerasPredictor:
    if not has_stamp(path):
        return _unstamped(load_keras(path), None, path)
    preprocessing = read_stamp(path)
    return KerasPredictor(load_keras(path), preprocessing, path)


def load_keras(path: Path) -> keras.Model:
    """The model of a `.keras` file, none of whose layers gives more numbers than an image may have.

    Raises:
        ModelError: One does, or the file is damaged.
    """
    import keras

    from keras_resnet.weights.keras_archive import load_archive

    model = load_archive(path)
    for layer in model.layers:
        for tensor in keras.tree.flatten(layer.output):
            if math.prod(side or 1 for side in tensor.shape) > MOST_NUMBERS:
                raise ModelError(f"{path}: {layer.name} gives {tensor.shape[1:]}, more than {MOST_NUMBERS:,} numbers")
    return model


def _open_onnx(path: Path) -> Predictor:
    from keras_resnet.inference.onnx_file import OnnxPredictor, read_onnx

    return OnnxPredictor(path, *read_onnx(path))


def _open_openvino(path: Path) -> Predictor:
    from keras_resnet.inference.openvino_folder import OpenVinoPredictor

    return OpenVinoPredictor(*_stamped(path))


def _stamped(path: Path) -> tuple[Path, Preprocessing]:
    """What opens an exported file, whose digests fit if it has any."""
    preprocessing = read_stamp(path)
    check_digests(path)
    return path, preprocessing


OPENERS: dict[str, tuple[Callable[[Path], bool], Callable[[Path], Predictor]]] = {
    "run folder": (is_run, lambda path: _open_keras(Run.at(path, finished=True).model)),
    ".keras file": (lambda path: path.suffix == ".keras", _open_keras),
    "SavedModel folder": (
        lambda path: (path / "saved_model.pb").is_file(),
        lambda path: SavedModelPredictor(*_stamped(path)),
    ),
    ".tflite file": (
        lambda path: path.suffix == ".tflite",
        lambda path: TFLitePredictor(*_stamped(path)),
    ),
    ".onnx file": (lambda path: path.suffix == ".onnx", _open_onnx),
    "OpenVINO folder": (lambda path: (path / "model.xml").is_file(), _open_openvino),
    "TFLite Micro folder": (
        lambda path: (path / MICRO_DATA).is_file(),
        lambda path: FolderPredictor(*_stamped(network_in(path)), "TFLite Micro"),
    ),
    "C folder": (
        lambda path: (path / C_SOURCE).is_file(),
        lambda path: FolderPredictor(*_stamped(network_in(path)), "C"),
    ),
}
"""What a path may be, in words for messages; how that is seen; and what opens it. The first that fits is taken."""


def _in_batches(call: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> np.ndarray:
    return np.concatenate([call(images[i : i + BATCH].astype(np.float32)) for i in range(0, len(images), BATCH)])
