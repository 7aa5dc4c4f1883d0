"""The formats that a finished model is exported to: a row each. Nothing here imports TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_resnet.errors import MissingExtraError, UsageError, listed
from keras_resnet.exports.material import Material

if TYPE_CHECKING:
    import keras

Writer = Callable[[Material, Path], Sequence[str]]
"""Writes a file; returns remarks for the user."""

FLOAT, ROUNDED = 1e-3, 2e-2
"""The largest difference of a logit between float runtimes, and with numbers of 16 bits, as a share of the logits'
range."""
RANGES = ("ranges", "equalize", "correct_bias")
BYTES = (*RANGES, "io", "engine")
INTEGERS = (*BYTES, "max_drop", "wide")


@dataclass(frozen=True)
class Format:
    """One format.

    Args:
        path: The file or folder in a run's `exports/`. It must hold its own network and its preprocessing
            (`write_stamp`), so that `open_predictor` can open it alone.
        title: What tables call it.
        write: Writes it.
        calibrated: Whether `write` gets training images to calibrate with; otherwise it gets None.
        tolerance: How far a logit may be from the model's on the same images, as a share of the logits' range. None:
            nearly all decisions must be the same, for files whose numbers are rounded more coarsely.
        marker: For a folder, the file in it that shows that it is one of this format; None: it is a file, whose
            name ends as `path` does.
        needs: The modules that write and run it, each with the extra that installs it; none: TensorFlow does.
        arguments: What of a `Quantization` it takes.
        device: What it is for.
        integers: Whether it is for models that were trained for integers, too: it has the numbers that they compute.
    """

    path: str
    title: str
    write: Writer
    calibrated: bool = False
    tolerance: float | None = FLOAT
    marker: str | None = None
    needs: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = ()
    device: str = ""
    integers: bool = False

    @property
    def ending(self) -> str:
        """How the names of its files end: all suffixes, as `.weights.h5`."""
        return "".join(Path(self.path).suffixes)

    def check_target(self, path: Path) -> None:
        """Check before the work whether the file can be written and run.

        Raises:
            UsageError: The path holds something else, or has another ending.
            MissingExtraError: What runs the format is not installed.
        """
        if self.marker is not None:
            untouched = path.is_dir() and not any(path.iterdir())
            if path.exists() and not (path / self.marker).is_file() and not untouched:
                raise UsageError(f"{path} holds other files and no {self.marker}; choose another path")
        elif path.is_dir() or not path.name.endswith(self.ending) or path.name == self.ending:
            raise UsageError(f"{path}: this format is a file whose name ends in {self.ending}")
        from importlib.util import find_spec

        for module, extra in self.needs:
            if find_spec(module) is None:
                raise MissingExtraError(f"exporting and verifying {self.title}", extra)

    def check_model(self, model: keras.Model) -> None:
        """Refuse a model that computes in integers where the format has floats.

        Args:
            model: To be written.

        Raises:
            UsageError: It does.
        """
        from keras_resnet.models.quantization_aware import is_quantization_aware

        if is_quantization_aware(model) and not self.integers:
            takers = [name for name, one in FORMATS.items() if one.integers]
            raise UsageError(
                f"{model.name} was trained for integers of 8 bits, which {self.title} does not have: take "
                f"{listed(takers)}, or the model that it was made of"
            )

    def check_arguments(self, given: dict[str, Any]) -> None:
        """Refuse arguments that the format does not take. Raises: UsageError."""
        wrong = [name for name in given if name not in self.arguments]
        if wrong:
            takers = [name for name, one in FORMATS.items() if wrong[0] in one.arguments]
            raise UsageError(f"{self.title} takes no {wrong[0]}; that is for {listed(takers)}")


def _saved_model(material: Material, path: Path) -> Sequence[str]:
    from keras_resnet.exports.saved_model import write_saved_model

    write_saved_model(material.model, material.preprocessing, path)
    return ()


def _tflite(material: Material, path: Path, *, kind: str) -> Sequence[str]:
    from keras_resnet.exports.tflite import write_tflite

    return write_tflite(
        material.model,
        material.preprocessing,
        path,
        material.calibration,
        kind=kind,
        how=material.quantization,
        right=material.right,
        show=material.show,
    )


def _onnx(material: Material, path: Path) -> Sequence[str]:
    from keras_resnet.exports.onnx import write_onnx

    return write_onnx(material, path)


def _openvino(material: Material, path: Path) -> Sequence[str]:
    from keras_resnet.exports.openvino import write_openvino

    return write_openvino(material, path)


def _micro(material: Material, path: Path) -> Sequence[str]:
    from keras_resnet.exports.micro import write_micro

    return write_micro(material, path)


def _c(material: Material, path: Path) -> Sequence[str]:
    from keras_resnet.exports.c import write_c

    return write_c(material, path)


LITERT = (("ai_edge_litert", "edge"),)
ONNX = (*LITERT, ("onnx", "onnx"), ("onnxruntime", "onnx"))

FORMATS = {
    "saved_model": Format(
        "saved_model", "SavedModel", _saved_model, marker="saved_model.pb", device="servers: TensorFlow, TF Serving"
    ),
    "tflite-float": Format(
        "model_float.tflite", "TFLite float", partial(_tflite, kind="float"), needs=LITERT, device="phones: LiteRT"
    ),
    "tflite-float16": Format(
        "model_float16.tflite",
        "TFLite float16",
        partial(_tflite, kind="float16"),
        tolerance=ROUNDED,
        needs=LITERT,
        device="phones' GPUs: half the size",
    ),
    "tflite-dynamic": Format(
        "model_dynamic.tflite",
        "TFLite dynamic",
        partial(_tflite, kind="dynamic"),
        tolerance=None,
        needs=LITERT,
        device="phones' CPUs: weights of 8 bits, no calibration",
    ),
    "tflite-int8": Format(
        "model_int8.tflite",
        "TFLite INT8",
        partial(_tflite, kind="int8"),
        calibrated=True,
        tolerance=None,
        needs=LITERT,
        arguments=INTEGERS,
        device="microcontrollers, NPUs, DSPs, phones",
        integers=True,
    ),
    "tflite-int16x8": Format(
        "model_int16x8.tflite",
        "TFLite INT16×8",
        partial(_tflite, kind="int16x8"),
        calibrated=True,
        tolerance=ROUNDED,
        needs=LITERT,
        device="microcontrollers, where 8 bits lose too much",
    ),
    "onnx": Format("model.onnx", "ONNX", _onnx, needs=ONNX, device="onnxruntime, TensorRT"),
    "onnx-int8": Format(
        "model_int8.onnx",
        "ONNX INT8",
        _onnx,
        calibrated=True,
        tolerance=None,
        needs=ONNX,
        arguments=(*RANGES, "max_drop", "wide"),
        device="onnxruntime, OpenVINO: Q/DQ with the scales of tflite-int8",
        integers=True,
    ),
    "openvino": Format(
        "openvino",
        "OpenVINO",
        _openvino,
        marker="model.xml",
        needs=(*LITERT, ("onnx", "onnx"), ("openvino", "openvino")),
        device="Intel's CPUs, GPUs and NPUs",
    ),
    "tflm": Format(
        "tflm",
        "TFLite Micro",
        _micro,
        calibrated=True,
        tolerance=None,
        marker="model_data.cc",
        needs=LITERT,
        arguments=INTEGERS,
        device="microcontrollers: the INT8 file as a C array, with a sketch of use",
        integers=True,
    ),
    "c": Format(
        "c",
        "C",
        _c,
        calibrated=True,
        tolerance=None,
        marker="model.c",
        needs=LITERT,
        arguments=BYTES,
        device="microcontrollers without a runtime: the INT8 file as C99 that needs no library",
        integers=True,
    ),
}
"""Each format by its name, as `--format` takes it."""


def format_named(name: str) -> Format:
    """A format by its name.

    Raises:
        UsageError: There is none of this name.
    """
    if name not in FORMATS:
        raise UsageError(f"the format must be one of {listed(FORMATS)}; received {name!r}")
    return FORMATS[name]
