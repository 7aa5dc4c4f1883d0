"""What a runtime makes of a file when it optimises it: which kernels it runs, and what stays in floats or alone.

A runtime fuses operators into kernels as it can. Of a file of integers, what it cannot fuse it computes in floats,
between a DequantizeLinear and a QuantizeLinear; nothing but the time shows it.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnet.inference.onnx_file import read_onnx, require, session_options
from keras_resnet.inference.openvino_folder import compiled, core_model
from keras_resnet.quantize.graph import short_name
from keras_resnet.regular_files import read_bytes

NAMED = 4
"""Layers that are named of each kind."""
MOVING = frozenset(
    "Concat Flatten Identity MaxPool NhwcMaxPool Pad Relu Reshape Slice Squeeze Transpose Unsqueeze".split()  # noqa: SIM905
)
"""Operators that onnxruntime runs on integers as on floats."""
ALONE = frozenset("Add BatchNormalization Clip Div Eltwise Mul Pad Relu Sub".split())  # noqa: SIM905
"""Operators that a convolution before them could take in."""
QUIET = frozenset(
    """Cast Const Convert Identity Input Output Reorder ReorderInput ReorderOutput Reshape
    Transpose""".split()  # noqa: SIM905
)
"""Operators that only move numbers or change their type."""


@dataclass(frozen=True)
class Kernel:
    """What a runtime executes as one.

    Args:
        operator: As the runtime calls it.
        layer: Which of the file's layers it computes.
        integers: Whether it computes with integers.
        at_end: Whether it is of what prepares pixels, or of what makes floats and probabilities of logits.
    """

    operator: str
    layer: str
    integers: bool
    at_end: bool = False


@dataclass(frozen=True)
class Kernels:
    """All that a runtime executes of a file.

    Args:
        counts: How often it runs each kernel.
        unfused: What of a file of integers it computes in floats; of a file of floats, what it does not fuse.
    """

    counts: dict[str, int]
    unfused: tuple[str, ...]


def of_onnxruntime(path: Path) -> Kernels:
    """What onnxruntime makes of an ONNX file of this package."""
    import onnxruntime

    content, _ = read_onnx(path)
    with tempfile.TemporaryDirectory() as folder:
        optimized = Path(folder) / "optimized.onnx"
        options = session_options()
        options.optimized_model_filepath = str(optimized)
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        graph = require("reading an ONNX file").ModelProto.FromString(read_bytes(optimized, 1 << 31)).graph
    return _summed_up(_of_graph(graph), b"QuantizeLinear" in content)


def of_openvino(path: Path) -> Kernels:
    """What OpenVINO makes of one of its folders, or of an ONNX file of this package."""
    network = core_model(path)
    has_integers = any(one.get_type_name() == "FakeQuantize" for one in network.get_ops())
    return _summed_up(map(_of_openvino, compiled(network, 1).get_runtime_model().get_ordered_ops()), has_integers)


def _of_graph(graph: Any) -> list[Kernel]:
    """The kernels of a graph that onnxruntime has optimised."""
    constants = {one.name for one in graph.initializer}
    after = {one.name for one in graph.output}  # what only the outputs need
    for node in reversed(graph.node):
        if node.op_type in (*QUIET, "DequantizeLinear", "Softmax", "Sigmoid") and set(node.output) <= after:
            after |= set(node.input) - constants
    before = {one.name for one in graph.input}  # what is made of pixels, until they are integers
    integers: set[str] = set()
    kernels = []
    for node in graph.node:
        taken = set(node.input) - constants
        if not taken - {""}:
            continue  # of constants: what they are dequantised for stays in floats, and is named itself
        is_first = bool(taken) and taken <= before and node.op_type in (*QUIET, "QuantizeLinear")
        fused = node.op_type.startswith(("QLinear", "QGemm")) or node.op_type.endswith("Integer")
        has_integers = fused or (node.op_type in MOVING and node.input[0] in integers)
        if has_integers or node.op_type == "QuantizeLinear":
            integers |= set(node.output)
        elif is_first:
            before |= set(node.output)
        layer = re.sub(r"_token_\d+$|_nchwc$", "", node.name).removesuffix(f"/{node.op_type}")
        layer = short_name(layer) if "/" in layer else layer  # it has been named anew, after its result
        kernels.append(Kernel(node.op_type, layer, has_integers, is_first or set(node.output) <= after))
    return kernels


def _of_openvino(operation: Any) -> Kernel:
    """A kernel of a network that OpenVINO has compiled."""
    info = operation.get_rt_info()
    found = {name: info[name].astype(str) for name in ("layerType", "runtimePrecision", "originalLayersNames")}
    names = found["originalLayersNames"].split(",")
    layer = (names[0] or operation.get_friendly_name()).removesuffix("/WithoutBiases")
    at_end = bool({"logits", "probabilities"} & set(names))
    return Kernel(found["layerType"], layer, found["runtimePrecision"] in ("i8", "u8"), at_end)


def _summed_up(kernels: Iterable[Kernel], has_integers: bool) -> Kernels:
    kernels = [one for one in kernels if one.operator not in ("Const", "Input", "Output")]
    left: dict[str, list[str]] = {}
    for one in kernels:
        if one.at_end or one.integers or one.operator in QUIET:
            continue
        if has_integers or one.operator in ALONE:
            left.setdefault(one.operator, []).append(one.layer)
    between = [f"{len(left.pop(name))} {name}" for name in ("DequantizeLinear", "QuantizeLinear") if name in left]
    what = "in floats" if has_integers else "not fused"
    unfused = [f"{len(layers)} {name} {what} ({_those(layers)})" for name, layers in left.items()]
    if between:
        unfused.append(f"{' and '.join(between)} between integers and floats")
    return Kernels(dict(Counter(one.operator for one in kernels)), tuple(unfused))


def _those(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
