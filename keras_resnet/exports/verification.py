"""Verify an exported file against its model: find the images, gather the evidence, write it down."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import numpy as np

from keras_resnet.atomic import write_json, write_text
from keras_resnet.data.class_names import class_names_of
from keras_resnet.data.images import ImageData, OnRead, Split
from keras_resnet.data.loading import Data, in_memory, load_data
from keras_resnet.data.sources.source import Source
from keras_resnet.data.stores import at_size
from keras_resnet.errors import DataError, ModelError, UsageError
from keras_resnet.evaluation.evaluate import load_run_data
from keras_resnet.exports import accelerators, lint
from keras_resnet.exports.evidence import Evidence, Show, gather, graph_of
from keras_resnet.exports.export import Model, spread_over
from keras_resnet.exports.page import page
from keras_resnet.inference.predictors import KerasPredictor, network_in, open_predictor
from keras_resnet.inference.runtimes import INTEGERS, kind_of
from keras_resnet.json_files import read_json
from keras_resnet.models.precision import float32_copy
from keras_resnet.regular_files import check_folder, check_regular
from keras_resnet.runs.contents import NUMBER
from keras_resnet.runs.run import Run, is_run
from keras_resnet.stamp import check_digests

MOST = 10_000
"""Images that are compared."""
PAGE, RESULT = "verification.html", "verification.json"


class _Evidence(TypedDict):
    """Of a file's evidence, what tells whose it is."""

    file: str


class WrittenRuntime(TypedDict):
    """A runtime in `verification.json`: see `OnRuntime`."""

    runtime: str
    failure: str
    agreement: float
    right: NUMBER | None
    difference: float | None
    interval: list[float] | None


class WrittenEvidence(TypedDict):
    """What is read of `verification.json`; it has more. See `Evidence`."""

    file: str
    images: NUMBER
    model_right: NUMBER | None
    runtimes: list[WrittenRuntime]
    size: NUMBER
    passes: bool
    failures: list[str]


def read_all_evidence(folder: Path) -> list[WrittenEvidence]:
    """Read what `write_evidence` has written of the files in a folder.

    Raises:
        ModelError: A file is damaged.
    """
    return [read_json(path, WrittenEvidence, raw_names=True) for path in sorted(folder.glob(f"*{RESULT}"))]


def verify_file(
    file: str | os.PathLike[str],
    against: Model,
    data: Data | None = None,
    *,
    split: str | None = None,
    limit: int | None = None,
    max_drop: float = 1.0,
    progress: OnRead | None = None,
    show: Show | None = None,
) -> tuple[Evidence, np.ndarray]:
    """Compare an exported file with the model it came from, on every runtime at hand.

    Args:
        file: The file or folder.
        against: A finished run or its folder, a `.keras` file, or a Keras model in memory.
        data: Labelled images, or the source of some. Default for a run: the data it was trained on.
        split: `train`, `validation`, `test` or `all`. Default: `test`, or `validation` where there is no test, or all
            of a source that is not divided.
        limit: At most so many images of a source.
        max_drop: Points of accuracy that the file may lose.
        progress: Called while images are read.
        show: Called with what is done, how far it is, and of how much.

    Returns:
        What was found; and the images, uint8 (n, height, width, channels).

    Raises:
        UsageError: There are no data, or no runtime for the file is installed.
        ModelError: The file is no exported file, or the model cannot be read.
        DataError: The images cannot be read.

    Example:
        >>> import keras_resnet
        >>> digits = keras_resnet.load_data(keras_resnet.Source("digits", image_size=8, limit=200))
        >>> model = keras_resnet.ResNet8(num_classes=10, input_shape=(8, 8, 1))
        >>> exported = keras_resnet.export(model, "mine.tflite", data=digits)
        >>> evidence, images = keras_resnet.verify_file("mine.tflite", model, digits, max_drop=100)
        >>> evidence.passes, len(images) == evidence.images
        (True, True)
    """
    path = Path(file)
    if limit is not None and data is None:
        raise UsageError(
            "limit goes with data (at the command line: --limit goes with --data): of a run's own images all are used"
        )
    if not path.exists():
        raise UsageError(f"there is no file {path}")
    check_folder(path) if path.is_dir() else check_regular(path)
    if path.suffix == ".tflite" or path.is_dir():
        check_digests(network_in(path))
    reference = open_predictor(against)
    if not isinstance(reference, KerasPredictor):
        raise UsageError(f"{against} is an exported file, too: give the run or the .keras file that {path} came from")
    run = _as_run(against)
    if data is None and run is None:
        raise UsageError(f"{against} does not know its images: give data (at the command line: --data SOURCE)")
    images = _images(reference, run, data, limit, progress)
    is_nameless = reference.is_nameless
    reference = reference.named(class_names_of(images))
    images = images.relabelled(reference.task)
    parts = _parts(images, split)
    expected = reference.preprocessing.input_shape
    if parts[0].images.shape != expected:
        raise DataError(f"the model takes images of {expected}, the data are of {parts[0].images.shape}")
    spread = [spread_over(one, MOST // len(parts)) for one in parts]
    pixels = np.concatenate([part.read(places) for part, places in zip(parts, spread, strict=True)])
    labels = np.concatenate([part.labels[places] for part, places in zip(parts, spread, strict=True)])
    if any(getattr(layer, "compute_dtype", "float32") in ("bfloat16", "float16") for layer in reference.model.layers):
        reference = KerasPredictor(float32_copy(reference.model), reference.preprocessing, reference.path)
    called = str(run.path if run is not None else reference.path or reference.model.name)
    if is_nameless:
        reference.is_nameless = True  # whatever the file calls its classes is right
    found = gather(path, reference, pixels, labels, called=called, max_drop=max_drop, show=show)
    graph = graph_of(path)
    if graph is not None and kind_of(path) in INTEGERS and accelerators.is_installed():
        found = replace(found, estimates=accelerators.estimates(graph.packed()))
    return found, pixels


def write_evidence(
    evidence: Evidence, images: np.ndarray, folder: str | os.PathLike[str], file: str | os.PathLike[str]
) -> tuple[Path, Path]:
    """Write a file's evidence as a page and as JSON.

    They are called `verification.html` and `verification.json`, unless evidence of another file lies there under these
    names: then `NAME-verification.html` and `.json`, after the file.

    Args:
        evidence: From `verify_file`.
        images: Likewise.
        folder: Where to.
        file: The exported file, which is looked through once more for what may hurt.

    Returns:
        The files.
    """
    folder = Path(folder)
    begin = "" if _is_free(folder / RESULT, evidence.file) else f"{Path(evidence.file).name}-"
    files = folder / f"{begin}{PAGE}", folder / f"{begin}{RESULT}"
    graph = graph_of(Path(file))
    write_text(files[0], page(evidence, images, tuple(lint.of_graph(graph)) if graph is not None else ()))
    write_json(files[1], evidence.to_dict())
    return files


def _is_free(path: Path, file: str) -> bool:
    """Whether there is no evidence of another file at a path."""
    if not path.exists():
        return True
    try:
        return Path(read_json(path, _Evidence)["file"]).name == Path(file).name
    except ModelError:  # it is none, or damaged
        return True


def _as_run(model: Model) -> Run | None:
    if isinstance(model, Run):
        return model
    return Run.at(model) if isinstance(model, str | os.PathLike) and is_run(Path(model)) else None


def _images(
    reference: KerasPredictor, run: Run | None, data: Data | None, limit: int | None, progress: OnRead | None
) -> ImageData:
    if data is None:
        assert run is not None
        return load_run_data(run, progress)
    data = in_memory(data, task=reference.task.name, whole=True)
    if not isinstance(data, ImageData):
        source = data if isinstance(data, Source) else Source(os.fspath(data))
        source = replace(source, task=source.task or reference.task.name, limit=limit or source.limit)
        data = load_data(source, progress, whole=True, fit=reference.preprocessing.fit)
    size = reference.preprocessing.fit.size
    fitted = {name: replace(one, images=at_size(one.images, size)) for name, one in data.splits.items()}
    return replace(data, splits=fitted)


def _parts(images: ImageData, split: str | None) -> list[Split]:
    filled = {name: part for name, part in images.splits.items() if len(part)}
    if split is None:
        split = next((name for name in ("test", "validation") if name in filled), "all")
    if split != "all" and split not in filled:
        raise DataError(f"{images.name} has no {split} images, only {' and '.join(filled) or 'none'}; name the split")
    if not filled:
        raise DataError(f"{images.name} has no images to verify with")
    return list(filled.values()) if split == "all" else [filled[split]]
