"""The formats that a finished model is exported to: a row each. Nothing here imports TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from keras_resnet.errors import MissingExtraError, UsageError, listed

if TYPE_CHECKING:
    import keras
    import numpy as np

    from keras_resnet.preprocessing import Preprocessing

    Writer = Callable[[keras.Model, Preprocessing, Path, np.ndarray | None], object]
"""Writes a model, raw pixels in and logits out, with its preprocessing to a path; the array is calibration images."""


Same = Literal["logits", "decisions"]


@dataclass(frozen=True)
class Format:
    """One format.

    Args:
        path: The file or folder in a run's `exports/`. It must hold its own network and its preprocessing
            (`write_stamp`), so that `open_predictor` can open it alone.
        title: What tables call it.
        write: Writes it.
        calibrated: Whether `write` gets training images to calibrate with; otherwise it gets None.
        same: What of the file must be the model's when both are run on the same images: the `"logits"`, to a
            thousandth of their range, or nearly all `"decisions"`, for files whose numbers are rounded more coarsely.
        marker: For a folder, the file in it that shows that it is one of this format; None: it is a file, whose
            name ends as `path` does.
        runtime: The module that runs it, and the extra that installs it; None: TensorFlow does.
    """

    path: str
    title: str
    write: Writer
    calibrated: bool = False
    same: Same = "logits"
    marker: str | None = None
    runtime: tuple[str, str] | None = None

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

        if self.runtime is not None and find_spec(self.runtime[0]) is None:
            raise MissingExtraError(f"exporting and verifying a {self.ending} file", self.runtime[1])


def _saved_model(model: keras.Model, preprocessing: Preprocessing, path: Path, _: np.ndarray | None) -> object:
    from keras_resnet.exports.saved_model import write_saved_model

    return write_saved_model(model, preprocessing, path)


def _tflite(model: keras.Model, preprocessing: Preprocessing, path: Path, calibration: np.ndarray | None) -> object:
    from keras_resnet.exports.tflite import write_tflite

    return write_tflite(model, preprocessing, path, calibration)


LITERT = ("ai_edge_litert", "edge")

FORMATS = {
    "saved_model": Format("saved_model", "SavedModel", _saved_model, marker="saved_model.pb"),
    "tflite-float": Format("model_float.tflite", "TFLite float", _tflite, runtime=LITERT),
    "tflite-int8": Format(
        "model_int8.tflite", "TFLite INT8", _tflite, calibrated=True, same="decisions", runtime=LITERT
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
