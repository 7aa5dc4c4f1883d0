"""Export a model: write the file, run it, and compare it with its model before it counts."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

from keras_resnet.atomic import put_in_place, storage_errors, temporary_folder
from keras_resnet.data.class_names import class_names_of
from keras_resnet.data.images import ImageData, OnRead, Split
from keras_resnet.data.loading import Data, in_memory, load_data
from keras_resnet.data.sources.source import Source
from keras_resnet.data.stores import at_size
from keras_resnet.errors import DataError, ModelError, UsageError, listed
from keras_resnet.evaluation.evaluate import load_run_data
from keras_resnet.exports import lint
from keras_resnet.exports.calibration import calibration_batch
from keras_resnet.exports.evidence import graph_of
from keras_resnet.exports.formats import format_named
from keras_resnet.exports.material import Material
from keras_resnet.exports.verify import Verification, verify
from keras_resnet.inference.predictor import Predictor
from keras_resnet.inference.predictors import KerasPredictor, open_predictor
from keras_resnet.models.precision import float32_copy
from keras_resnet.models.quantization_aware import is_quantization_aware
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.quantize.post_training import Quantization, logits_of
from keras_resnet.runs.run import Run, is_run

if TYPE_CHECKING:
    import keras

Model: TypeAlias = Union[Run, str, os.PathLike[str], "keras.Model"]  # fmt: skip
"""What can be exported."""

logger = logging.getLogger(__name__)
VERIFICATION_IMAGES = 256
TEST_IMAGES = 2000
"""Of the test, which are compared with those that calibrate."""
NOISE_IMAGES = 8
"""Of random pixels, where a float file is verified and there are no images."""


@dataclass(frozen=True)
class Exported:
    """An exported and verified file.

    Args:
        path: The file or folder.
        predictor: Opened.
        verification: How it compares with its model.
        remarks: How it was quantised, and what speaks against the model.
    """

    path: Path
    predictor: Predictor
    verification: Verification
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Images:
    """Of a model: what its file is verified with, and calibrated with if it needs that."""

    verification: np.ndarray
    calibration: np.ndarray | None
    are_real: bool = True
    tests: np.ndarray | None = None
    labels: np.ndarray | None = None  # of those that verify


def export(
    model: Model,
    path: str | os.PathLike[str] | None = None,
    format: str = "tflite-int8",
    *,
    calibration: Any = None,
    data: Data | None = None,
    preprocessing: Preprocessing | None = None,
    quantization: Quantization | None = None,
    progress: OnRead | None = None,
    show: Callable[[str, int, int], None] | None = None,
) -> Exported:
    """Write a model in another format, run the file, and compare it with the model before it counts.

    The file takes its place only once it is verified; a file that fails leaves what was there before. Calibration
    sees training images only; verification sees validation images, and training images where those are few; the test
    images stay untouched for evaluation.

    Args:
        model: A finished run or its folder; a `.keras` file; or a Keras model in memory, trained by anyone: one batch
            of images in, one row of outputs for each out.
        path: Where to. Default, for a run: in its `exports/`; for a file: beside it, named after it.
        format: A key of `keras_resnet.exports.formats.FORMATS`: `saved_model`; `tflite-float`, `tflite-float16`,
            `tflite-dynamic`, `tflite-int8`, `tflite-int16x8`; `onnx`, `onnx-int8`; `openvino`; `tflm`, `c`.
        calibration: What a file of integers is calibrated with: training images as the model's user would give them,
            see `keras_resnet.exports.calibration.calibration_batch`. Files are verified with them, too, where there are
            no `data`, and a model without class names gets those of the data set.
        data: A data set or the source of one, to calibrate and verify with. Default, for a run: the data it was trained
            on, and where they are gone, the few images that the run keeps; for a run a name says where its data are
            now, if they were moved.
        preprocessing: As `predict`.
        quantization: How integers are found, for formats that have them; None: what is best on the calibration images.
        progress: Called while images are read.
        show: Called with what is done, how far it is, and of how much.

    Returns:
        The file, opened, and how it compares with its model.

    Raises:
        UsageError: The run is not finished, there is no such format, integers have no images to calibrate with,
            `path` holds something else, the format takes no such quantisation, or a Keras model is no classifier of
            images.
        DataError: The images cannot be read, or the run's data are gone or have changed.
        ModelError: The model has weights that are no numbers, or the file written is not the model it came from.
        MissingExtraError: What writes or runs the format is not installed; the message names the extra.

    Example:
        >>> import keras_resnet, numpy as np
        >>> model = keras_resnet.ResNet8(num_classes=3, input_shape=(16, 16, 3))
        >>> pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)
        >>> keras_resnet.export(model, "mine.tflite", calibration=pixels).verification.images
        8
    """
    chosen = format_named(format)
    run = _as_run(model)
    target = Path(path) if path is not None else _beside(model, run, chosen.path)
    chosen.check_target(target)
    if quantization is not None:
        usual = Quantization()
        said = {name: one for name, one in vars(quantization).items() if one != getattr(usual, name)}
        chosen.check_arguments(said)
    reference = open_predictor(run or model, preprocessing)
    if not isinstance(reference, KerasPredictor):
        raise UsageError(f"{model} is an exported file already: export the Keras model that it came from")
    if run is None and data is not None:
        data = _read(data, reference, progress)
    if run is None and reference.is_assumed and preprocessing is None:
        reference = reference.named(class_names_of(calibration if data is None else data))
    _check_finite(reference)
    chosen.check_model(reference.model)
    reference = _in_float32(reference)
    calibrated = chosen.calibrated and not is_quantization_aware(reference.model)
    images = _images(reference, run, data, calibration, calibrated=calibrated, progress=progress)
    doubt = reference.check_pixels(images.verification) if images.are_real else ""
    if not reference.is_assumed:  # after a short training statistics have not settled
        doubt = ""
    with storage_errors(target), temporary_folder(target.parent) as folder:
        unverified = folder / target.name
        material = Material(
            reference.model,
            reference.preprocessing,
            # One image stands for those that a model trained for integers does not need.
            (images.verification[:1] if images.calibration is None else images.calibration)
            if chosen.calibrated
            else None,
            quantization,
            _right_of(reference, images),
            images.verification,
            show or (lambda what, done, total: None),
        )
        remarks = [*chosen.write(material, unverified), *lint.of_model(reference.model)]
        if calibrated and material.calibration is not None:
            remarks += lint.of_calibration(material.calibration, images.tests)
        graph = graph_of(unverified)
        remarks += lint.of_graph(graph) if graph is not None and chosen.calibrated else ()
        found = verify(
            open_predictor(unverified), reference, images.verification, tolerance=chosen.tolerance, called=target
        )
        put_in_place(unverified, target)
    predictor = open_predictor(target)
    predictor.name = chosen.title  # a file does not always tell which format it is of
    return Exported(target, predictor, found, (*remarks, *((doubt,) if doubt else ())))


def export_saved_model(model: Model, path: str | os.PathLike[str] | None = None, **options: Any) -> Exported:
    """Write a model as a SavedModel folder and verify it: `export(model, path, "saved_model", …)`.

    Args:
        model, path: As `export`.
        options: As `export`: `data`, `preprocessing`.

    Raises: as `export`.
    """
    return export(model, path, "saved_model", **options)


def export_tflite(
    model: Model,
    path: str | os.PathLike[str] | None = None,
    *,
    format: str = "int8",
    **options: Any,
) -> Exported:
    """Write a model as a `.tflite` file and verify it: `export(model, path, "tflite-int8", …)`.

    Args:
        model: As `export`.
        path: The file, `.tflite`; default: as `export`.
        format: `int8`: all of it computes in integers of 8 bits; `int16x8`: with activations of 16 bits; `float`: in
            float32; `float16` and `dynamic`: with weights of 16 and of 8 bits.
        options: As `export`: `calibration`, `data`, `preprocessing`, `quantization`.

    Raises: as `export`.
    """
    return export(model, path, f"tflite-{format}", **options)


def export_onnx(
    model: Model,
    path: str | os.PathLike[str] | None = None,
    *,
    format: str = "float",
    **options: Any,
) -> Exported:
    """Write a model as an ONNX file and verify it by onnxruntime: `export(model, path, "onnx", …)`.

    Args:
        model: As `export`.
        path: The file, `.onnx`; default: as `export`.
        format: `float`; or `int8`: integers as pairs of QuantizeLinear and DequantizeLinear.
        options: As `export`: `calibration`, `data`, `preprocessing`, `quantization`.

    Raises: as `export`.
    """
    return export(model, path, "onnx" if format == "float" else f"onnx-{format}", **options)


def export_c(model: Model, path: str | os.PathLike[str] | None = None, **options: Any) -> Exported:
    """Write a model as C that needs no library and verify it: `export(model, path, "c", …)`.

    The folder has `model.h`, `model.c` (C99, no heap, one static array to work in), `selftest.c`, and `model.tflite`,
    from which they are made. Where a C compiler is at hand, the code has been run, and gives what LiteRT's reference
    kernels give, to the last bit.

    Args:
        model: As `export`.
        path: The folder; default: as `export`.
        options: As `export`: `calibration`, `data`, `preprocessing`, `quantization`.

    Raises: as `export`; ModelError, too, if there is no C code for an operator of the network, or the compiled code
        gives other numbers.

    Example:
        >>> import keras_resnet, numpy as np
        >>> model = keras_resnet.ResNet8(num_classes=3, input_shape=(8, 8, 3))
        >>> pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), np.uint8)
        >>> exported = keras_resnet.export_c(model, "network", calibration=pixels)
        >>> sorted(file.name for file in exported.path.iterdir())
        ['model.c', 'model.h', 'model.tflite', 'selftest.c']
    """
    return export(model, path, "c", **options)


def export_run(
    run: Run | str | os.PathLike[str],
    file_format: str,
    path: str | os.PathLike[str] | None = None,
    *,
    data: Data | None = None,
    progress: OnRead | None = None,
) -> Exported:
    """`export`, as it was called when it took runs alone.

    Args:
        run, path, data, progress: As `export`.
        file_format: Its `format`.

    Raises: as `export`.
    """
    return export(run, path, file_format, data=data, progress=progress)


def _right_of(reference: KerasPredictor, images: _Images) -> Callable[[bytes], tuple[int, int]]:
    """How many images of the verification a graph is right on; without labels, the model is."""
    task = reference.task

    @cache
    def answers() -> np.ndarray:  # only where it is asked: it takes a pass of the model
        return images.labels if images.labels is not None else task.decisions(reference.logits(images.verification))

    def right(content: bytes) -> tuple[int, int]:
        same = task.decisions(logits_of(content, images.verification)) == answers()
        return int(same.reshape(len(same), -1).all(axis=1).sum()), len(same)

    return right


def _check_finite(predictor: KerasPredictor) -> None:
    """Refuse a model with weights that are no numbers: a file of it would be as useless, and may not show it."""
    bad = [one.path for one in predictor.model.variables if not np.isfinite(np.asarray(one, np.float32)).all()]
    if bad:
        raise ModelError(
            f"the model has weights that are no numbers, in {listed(bad)}: its training diverged. Export an earlier "
            "checkpoint, or train anew at a lower rate"
        )


def _in_float32(predictor: KerasPredictor) -> KerasPredictor:
    """A model that computes in float32, as files do: it itself, or a copy, which is what the file must agree with."""
    layers = predictor.model.layers
    if not any(getattr(layer, "compute_dtype", "float32") in ("bfloat16", "float16") for layer in layers):
        return predictor
    copy = float32_copy(predictor.model)
    return KerasPredictor(copy, predictor.preprocessing, predictor.path, is_assumed=predictor.is_assumed)


def _as_run(model: Model) -> Run | None:
    """The finished run that a model is; None: it is another."""
    if isinstance(model, Run):
        return Run.at(model.path, finished=True)
    if isinstance(model, str | os.PathLike) and (is_run(Path(model)) or not _may_be_model(Path(model))):
        return Run.at(model, finished=True)  # or says that there is no run
    return None


def _may_be_model(path: Path) -> bool:
    return path.is_file() or (path / "saved_model.pb").is_file()


def _beside(model: Model, run: Run | None, name: str) -> Path:
    if run is not None:
        return run.exports / name
    if not isinstance(model, str | os.PathLike):
        raise UsageError("say where to write the file: path=")
    return Path(model).with_name(f"{Path(model).stem}-{name.removeprefix('model_')}")


def _images(
    reference: KerasPredictor,
    run: Run | None,
    data: Data | None,
    calibration: Any,
    *,
    calibrated: bool,
    progress: OnRead | None,
) -> _Images:
    """What a model's file is calibrated and verified with: real images wherever there are any."""
    fit = reference.preprocessing.fit
    own = None if calibration is None else calibration_batch(calibration, fit)
    if run is not None and (data is not None or (own is None and not _has_no_images(run))):
        found = _images_of_run(run, data, progress, calibrated)
        return found if own is None else replace(found, calibration=own)
    if isinstance(data, ImageData):
        parts = [split for split in (data.validation, data.train, data.test) if len(split)]
        verification, labels = _first_of(parts, VERIFICATION_IMAGES)
        names_fit = reference.task.class_names == data.task.class_names
        calibrating = calibration_batch(data, fit) if own is None else own
        tests = data.test.read(slice(0, TEST_IMAGES)) if calibrated and len(data.train) else None
        return _Images(verification, calibrating, tests=tests, labels=labels if names_fit else None)
    if own is not None:
        return _Images(own[:VERIFICATION_IMAGES], own)
    if calibrated:
        raise UsageError(
            "a file of integers is calibrated on training images: give calibration= (a split, an array, a "
            "tf.data.Dataset, paths) or data= (at the command line: --data SOURCE)"
        )
    noise = np.random.default_rng(0).integers(0, 256, (NOISE_IMAGES, *fit.shape), np.uint8)
    return _Images(noise, None, are_real=False)


def _read(data: Data, reference: KerasPredictor, progress: OnRead | None) -> ImageData:
    """Images for a model that no run belongs to; their labels play no part."""
    data = in_memory(data, task=reference.task.name, whole=True)
    if not isinstance(data, ImageData):
        source = data if isinstance(data, Source) else Source(os.fspath(data))
        source = replace(source, task=source.task or reference.task.name)
        data = load_data(source, progress, whole=True, fit=reference.preprocessing.fit)
    size = reference.preprocessing.fit.size
    fitted = {name: replace(one, images=at_size(one.images, size)) for name, one in data.splits.items()}
    return replace(data, splits=fitted)


def _images_of_run(run: Run, data: Data | None, progress: OnRead | None, calibrated: bool) -> _Images:
    """Images to verify with, and to calibrate with: those that a run was trained on; and those that test it."""
    if data is None:
        try:
            data = load_run_data(run, progress)
        except (DataError, UsageError) as error:
            kept = run.kept_images()
            if kept is None or not _is_gone(run):
                raise
            logger.warning("%s; calibrating and verifying on the %d images that the run keeps", error, len(kept))
            return _Images(kept, kept)
    elif isinstance(data, str | os.PathLike):
        data = load_run_data(run, progress, where=os.fspath(data))
    if not isinstance(data, ImageData):
        raise UsageError(
            f"the data of a run are an ImageData or the name of where they are now; received {type(data).__name__}. "
            "Other images are given by calibration="
        )
    if data.fingerprint != run.fingerprint:
        raise DataError(f"{data.name} are not the data that {run.path} was trained on")
    tests = data.test.read(slice(0, TEST_IMAGES)) if calibrated and len(data.test) else None
    verification, labels = _first_of((data.validation, data.train), VERIFICATION_IMAGES)
    return _Images(verification, calibration_batch(data.train, run.preprocessing.fit), tests=tests, labels=labels)


def _has_no_images(run: Run) -> bool:
    """Whether a run's data were its script's own, of which nothing was kept."""
    return "arrays" in run.config["data"] and run.kept_images() is None


def _is_gone(run: Run) -> bool:
    """Whether the data were arrays, or files that are not where they were."""
    settings: dict[str, Any] = {**run.config["data"]}
    if "arrays" in settings:
        return True
    return Source(**settings).is_missing


def _first_of(parts: Sequence[Split], most: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of some splits together, and their labels: as many of the first as may be, then of the next."""
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for part in parts:
        left = most - sum(len(one) for one in labels)
        if left and len(part):
            places = spread_over(part, left)
            images.append(part.read(places))
            labels.append(part.labels[places])
    return np.concatenate(images), np.concatenate(labels)


def spread_over(part: Split, most: int) -> np.ndarray:
    """Positions evenly over a split, which may be in the order of its classes.

    Args:
        part: The split.
        most: At most so many.
    """
    return np.unique(np.linspace(0, len(part) - 1, min(most, len(part))).astype(np.int64))
