"""An ONNX file of this package: looked through, compared with its digest, and run by onnxruntime.

Its preprocessing, its labels and a digest lie in the file's metadata, where other programs show them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.errors import MissingExtraError, ModelError
from keras_resnet.inference.predictor import BatchPredictor
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.regular_files import read_bytes
from keras_resnet.shortage import refuse_shortage
from keras_resnet.stamp import JSON_NAME, LABELS_NAME, SUMS_NAME, stamp_texts

MOST_BYTES = 1 << 31
"""Of a file: Protocol Buffers hold no more."""
MOST_NODES = 1 << 16
OPERATORS = frozenset(
    """Add AveragePool Cast Clip Concat Conv DequantizeLinear Div Exp Gemm GlobalAveragePool HardSwish Identity Max
    MaxPool Min Mul Pad QuantizeLinear ReduceMax ReduceMean ReduceSum Relu Reshape Sigmoid Slice Softmax Sub Tanh
    Transpose""".split()  # noqa: SIM905
)
"""Those that exports are made of."""


def require(what: str) -> Any:
    """The library `onnx`. Raises: MissingExtraError."""
    try:
        import onnx
    except ImportError:
        raise MissingExtraError(what, "onnx") from None
    return onnx


def stamped(model: Any, preprocessing: Preprocessing) -> bytes:
    """A model as the content of a file, with its preprocessing, labels and digest.

    Args:
        model: An `onnx.ModelProto`.
        preprocessing: How its input is prepared.
    """
    stamp = stamp_texts(preprocessing) | {SUMS_NAME: ""}
    stamp[SUMS_NAME] = _digest(model, stamp)
    del model.metadata_props[:]
    for name, text in stamp.items():
        model.metadata_props.add(key=name, value=text)
    return bytes(model.SerializeToString(deterministic=True))


def read_onnx(path: Path) -> tuple[bytes, Preprocessing]:
    """Read a file, and look through it before the runtime sees it.

    Returns:
        Its content, and its preprocessing.

    Raises:
        ModelError: It is damaged, or is none of this package.
        MissingExtraError: `onnx` is not installed.
    """
    onnx = require("reading an ONNX file")
    try:
        content = read_bytes(path, MOST_BYTES)
        model = onnx.ModelProto.FromString(content)
    except Exception as error:  # protobuf's errors have no common class that is public
        refuse_shortage(error, f"read {path}")
        raise ModelError(f"{path} cannot be read as an ONNX model: {error}") from None
    stamp = {one.key: one.value for one in model.metadata_props}
    if not {JSON_NAME, SUMS_NAME} <= stamp.keys():
        raise ModelError(
            f"{path} does not say how its input is prepared: it was not written by this package, or is damaged"
        )
    _check(onnx, model, path)
    if _digest(model, stamp) != stamp[SUMS_NAME]:
        raise ModelError(f"{path} is damaged: it is not what was written, by its digest")
    return content, Preprocessing.from_json(stamp[JSON_NAME].encode(), f"{path}, {JSON_NAME}")


def _digest(model: Any, stamp: dict[str, str]) -> str:
    parts = [
        model.graph.SerializeToString(deterministic=True),
        str([(one.domain, one.version) for one in model.opset_import]).encode(),
        str(model.ir_version).encode(),
        *(f"{name}\0{stamp.get(name, '')}".encode() for name in (JSON_NAME, LABELS_NAME)),
    ]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _check(onnx: Any, model: Any, path: Path) -> None:
    """Refuse what exports are not made of: other operators, functions, numbers in other files."""
    graph = model.graph
    odd = sorted({node.op_type for node in graph.node if node.op_type not in OPERATORS or node.domain})
    if odd or model.functions or model.training_info or len(graph.node) > MOST_NODES:
        raise ModelError(f"{path} has parts that this package's exports have not: {', '.join(odd) or 'functions'}")
    if any(one.type in (one.GRAPH, one.GRAPHS) for node in graph.node for one in node.attribute):
        raise ModelError(f"{path} has graphs inside of its nodes, which this package's exports have not")
    if graph.sparse_initializer or any(one.data_location or one.external_data for one in graph.initializer):
        raise ModelError(f"{path} keeps numbers in other files, which this package's exports do not")
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        refuse_shortage(error, f"read {path}")
        raise ModelError(f"{path} cannot be read as an ONNX model: {error}") from None


def session_options(threads: int = 1) -> Any:
    """How onnxruntime runs files of this package: exactly, on every processor.

    Args:
        threads: Of the runtime.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    # On x86 without VNNI, sums of two products would overflow 16 bits; elsewhere this changes nothing.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return options


class OnnxPredictor(BatchPredictor):
    """An ONNX file, run by onnxruntime.

    Args:
        path: The file.
        content: What it holds, from `read_onnx`.
        preprocessing: Likewise.
        threads: Of the runtime.
    """

    def __init__(self, path: Path, content: bytes, preprocessing: Preprocessing, *, threads: int = 1) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise MissingExtraError("running an ONNX file", "onnx") from None
        try:
            options = session_options(threads)
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no common class that is public
            refuse_shortage(error, f"run {path}")
            raise ModelError(f"{path} cannot be run by onnxruntime: {error}") from None
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(uint8)" or "logits" not in {one.name for one in outputs}:
            raise ModelError(f"{path} is an ONNX file of another kind: expected one image in and 'logits' out")
        super().__init__("ONNX INT8" if b"QuantizeLinear" in content else "ONNX", preprocessing, path)
        shape = [side if isinstance(side, int) else None for side in inputs[0].shape]
        self._check_input(shape, path)
        self._check_outputs(next(one.shape[-1] for one in outputs if one.name == "logits"), path)
        self._input = inputs[0].name

    def _run(self, batch: np.ndarray) -> np.ndarray:
        result: np.ndarray = self._session.run(["logits"], {self._input: np.ascontiguousarray(batch, np.uint8)})[0]
        return result
