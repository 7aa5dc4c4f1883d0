"""A folder for OpenVINO: `model.xml`, the network, and `model.bin`, its weights in float32."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from keras_resnet.atomic import storage_errors, write_folder_with
from keras_resnet.errors import ModelError
from keras_resnet.exports.material import Material
from keras_resnet.exports.onnx import proto_of
from keras_resnet.inference.openvino_folder import NETWORK
from keras_resnet.shortage import refuse_shortage
from keras_resnet.stamp import write_stamp


def write_openvino(material: Material, path: Path) -> Sequence[str]:
    """Write a model as a folder for OpenVINO, by way of ONNX.

    Args:
        material: The model and its preprocessing.
        path: The folder, replaced as a whole.

    Raises:
        ModelError: OpenVINO refused the model.
    """
    import openvino

    model = proto_of(material)

    def write(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as other, storage_errors(Path(other)):
            between = Path(other) / "model.onnx"
            between.write_bytes(model.SerializeToString())
            try:
                network = openvino.convert_model(between)
            except Exception as error:  # OpenVINO's errors are plain RuntimeErrors
                refuse_shortage(error, "convert the network")
                raise ModelError(f"OpenVINO refused the network: {error}") from error
        openvino.save_model(network, folder / NETWORK, compress_to_fp16=False)
        write_stamp(folder, material.preprocessing)

    write_folder_with(path, write)
    return ()
