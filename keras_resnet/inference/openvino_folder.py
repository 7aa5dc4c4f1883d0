"""A folder of this package with a network for OpenVINO, and what runs it: OpenVINO, which reads other files, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_resnet.errors import MissingExtraError, ModelError
from keras_resnet.inference.predictor import BatchPredictor
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.regular_files import check_folder
from keras_resnet.shortage import refuse_shortage

NETWORK = "model.xml"
EXACT = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
"""In float32 also where the processor would be quicker in 16 bits, so that it computes what its model does."""


class OpenVinoPredictor(BatchPredictor):
    """A folder with `model.xml` and `model.bin`, or an ONNX file that was looked through before.

    Args:
        path: The folder or file.
        preprocessing: From its stamp.
        threads: Of the runtime.
    """

    def __init__(self, path: Path, preprocessing: Preprocessing, *, threads: int = 1) -> None:
        try:
            import openvino
        except ImportError:
            raise MissingExtraError("running a network by OpenVINO", "openvino") from None
        if path.is_dir():
            check_folder(path)
        super().__init__("OpenVINO", preprocessing, path)
        try:
            core = openvino.Core()
            network = core.read_model(path / NETWORK if path.is_dir() else path)
            self._check_input(
                [side.get_length() if side.is_static else None for side in network.input().partial_shape], path
            )
            self._compiled = core.compile_model(network, "CPU", EXACT | {"INFERENCE_NUM_THREADS": threads})
            self._logits = self._compiled.output("logits")
        except ModelError:
            raise
        except Exception as error:  # OpenVINO's errors are plain RuntimeErrors
            refuse_shortage(error, f"run {path}")
            raise ModelError(f"{path} cannot be read as an OpenVINO network: {error}") from None
        self._check_outputs(self._logits.partial_shape[-1].get_length(), path)

    def _run(self, batch: np.ndarray) -> np.ndarray:
        return np.array(self._compiled([np.ascontiguousarray(batch, np.uint8)])[self._logits])
