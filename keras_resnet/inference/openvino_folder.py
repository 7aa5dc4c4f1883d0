"""A folder of this package with a network for OpenVINO, and what runs it: OpenVINO, which reads other files, too."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.errors import MissingExtraError, ModelError
from keras_resnet.inference.predictor import BatchPredictor
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.regular_files import check_folder
from keras_resnet.shortage import refuse_shortage

NETWORK = "model.xml"
EXACT = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
"""In float32 also where the processor would be quicker in 16 bits, so that it computes what its model does."""


def core_model(path: Path) -> Any:
    """The network of a folder, or of an ONNX file that was looked through before, as OpenVINO reads it."""
    import openvino

    return openvino.Core().read_model(path / NETWORK if path.is_dir() else path)


def compiled(network: Any, threads: int) -> Any:
    """A network as OpenVINO executes it on the processor.

    Args:
        network: From `core_model`.
        threads: Of the runtime.
    """
    import openvino

    return openvino.Core().compile_model(network, "CPU", EXACT | {"INFERENCE_NUM_THREADS": threads})


class OpenVinoPredictor(BatchPredictor):
    """A folder with `model.xml` and `model.bin`, or an ONNX file that was looked through before.

    Args:
        path: The folder or file.
        preprocessing: From its stamp.
        threads: Of the runtime.
    """

    def __init__(self, path: Path, preprocessing: Preprocessing, *, threads: int = 1) -> None:
        if find_spec("openvino") is None:
            raise MissingExtraError("running a network by OpenVINO", "openvino")
        if path.is_dir():
            check_folder(path)
        super().__init__("OpenVINO", preprocessing, path)
        try:
            network = core_model(path)
            self._check_input(
                [side.get_length() if side.is_static else None for side in network.input().partial_shape], path
            )
            self._compiled = compiled(network, threads)
            self._logits = self._compiled.output("logits")
        except ModelError:
            raise
        except Exception as error:  # OpenVINO's errors are plain RuntimeErrors
            refuse_shortage(error, f"run {path}")
            raise ModelError(f"{path} cannot be read as an OpenVINO network: {error}") from None
        self._check_outputs(self._logits.partial_shape[-1].get_length(), path)

    def _run(self, batch: np.ndarray) -> np.ndarray:
        return np.array(self._compiled([np.ascontiguousarray(batch, np.uint8)])[self._logits])
