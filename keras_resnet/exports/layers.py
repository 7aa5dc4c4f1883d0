"""What the layers of a file compute beside those of its model: how far above the noise, and what is cut off.

Layers, and their weights, are those of the float graph that every export is made of, found again by their names: as
tensors of a `.tflite` file, as values of an ONNX file, as tensors of an OpenVINO network. Numbers are compared as what
they stand for, with the channels last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.errors import KerasResNetError, ModelError
from keras_resnet.exports.onnx import TO_NHWC
from keras_resnet.inference.onnx_file import read_onnx, require, session_options
from keras_resnet.inference.openvino_folder import compiled, core_model
from keras_resnet.inference.predictors import network_in
from keras_resnet.inference.runtimes import INTEGERS, kind_of
from keras_resnet.inference.tflite_file import read_tflite
from keras_resnet.quantize.equalization import neighbour
from keras_resnet.quantize.graph import WEIGHTED, Graph, Step, Tensor
from keras_resnet.quantize.ranges import run
from keras_resnet.shortage import refuse_shortage

NOISE_ALONE = -999.0
"""In dB."""


@dataclass(frozen=True)
class Layer:
    """How one layer of a file differs from the model's.

    Args:
        name: Of the tensor that it computes.
        operator: Which computes it.
        noise: How far its signal is above the noise, in dB; infinite where there is none, `NOISE_ALONE` where numbers
            are not finite.
        cut: The share of its numbers that lie beyond their range; 0 for floats.
    """

    name: str
    operator: str
    noise: float
    cut: float


@dataclass(frozen=True)
class Weights:
    """The weights of one layer of a file, and of the same of the model.

    Args:
        name: Of the tensor that the layer computes.
        mine, theirs: float32 (output channels, window × input channels), as the file's and the model's.
        values: How many different numbers the file holds.
    """

    name: str
    mine: np.ndarray
    theirs: np.ndarray
    values: int


@dataclass(frozen=True)
class _Held:
    """What a file computes as a layer.

    Args:
        name: Of the layer.
        low, high: The ends of its range; infinite: it is of floats.
        step: Between two numbers that it can hold.
    """

    name: str
    low: float = -math.inf
    high: float = math.inf
    step: float = 0.0


_Computed = tuple[list[_Held], Callable[[np.ndarray], Iterator[Sequence[np.ndarray]]]]
"""The layers that were found in a file, in its order, and what gives their real numbers image by image."""


def has_layers(path: Path) -> bool:
    """Whether the layers of a file can be looked into: not those of a SavedModel, and of ONNX by onnxruntime alone."""
    kind = kind_of(path)
    return kind in _KINDS and (kind != "onnx" or find_spec("onnxruntime") is not None)


def layers_of(path: Path, exact: Graph, images: np.ndarray, show: Callable[[str, int, int], None]) -> tuple[Layer, ...]:
    """Compare the layers of a file with those of its model's float graph.

    Args:
        path: A file with layers that runs on the images.
        exact: The graph.
        images: uint8 (n, height, width, channels).
        show: Called with what is done, how far it is, and of how much.

    Returns:
        The layers that were found in both, in the order of computation.

    Raises:
        ModelError: Its parts do not fit together.
    """
    steps = _by_name(exact)
    with _looking_into(path):
        held, values_of = _KINDS[kind_of(path)](path, exact)
        twins = [steps[one.name] for one in held]
        sums = [_Sums(one, bool(neighbour(exact, twin))) for one, twin in zip(held, twins, strict=True)]
        expected = run(exact.packed(), images, [twin.output for twin in twins])
        for done, (mine, theirs) in enumerate(zip(values_of(images), expected, strict=True), 1):
            for one, values, twin in zip(sums, mine, twins, strict=True):
                one.add(values, theirs[twin.output])
            show("comparing layers", done, len(images))
    return tuple(
        Layer(one.name, twin.operator, total.noise, total.cut)
        for one, twin, total in zip(held, twins, sums, strict=True)
        if total.count
    )


def weights_of(path: Path, exact: Graph) -> list[Weights]:
    """The weights of a file, layer by layer, with those of its model's float graph.

    Args:
        path: A file with layers.
        exact: The graph.

    Returns:
        Those of layers that have as many in both, in the order of computation.

    Raises:
        ModelError: Its parts do not fit together.
    """
    steps = _by_name(exact)
    found = []
    with _looking_into(path):
        for name, mine, values in _WEIGHTS[kind_of(path)](path, exact):
            theirs = _rows(exact, steps[name])
            if theirs is not None and theirs.shape == mine.shape:
                found.append(Weights(name, mine, theirs, values))
    return found


@contextmanager
def _looking_into(path: Path) -> Iterator[None]:
    """Refuse a file that its runtime took, and whose parts do not fit together: a digest can be made anew."""
    try:
        yield
    except KerasResNetError:
        raise
    except Exception as error:  # those of onnxruntime and OpenVINO have no common class that is public
        refuse_shortage(error, f"look into {path}")
        raise ModelError(f"{path} cannot be looked into: {error}") from error


def _by_name(exact: Graph) -> dict[str, Step]:
    """The steps of the float graph, by the names of their results."""
    return {exact.tensor(step.output).name: step for step in exact.steps}


def _pairs(graph: Graph, exact: Graph) -> list[tuple[Step, Step]]:
    """Steps of a `.tflite` file with those of the float graph that compute the same, by the name of their result."""
    others = _by_name(exact)
    found = []
    for step in graph.steps:
        other = others.get(graph.tensor(step.output).name)
        same = other is not None and other.operator == step.operator
        if other is not None and same and graph.tensor(step.output).shape == exact.tensor(other.output).shape:
            found.append((step, other))
    return found


def _of_tflite(path: Path, exact: Graph) -> _Computed:
    graph = Graph(read_tflite(network_in(path)))
    tensors = [graph.tensor(step.output) for step, _ in _pairs(graph, exact)]

    def values_of(images: np.ndarray) -> Iterator[Sequence[np.ndarray]]:
        for found in run(graph.packed(), images, [one.number for one in tensors]):
            yield [one.real(found[one.number]) for one in tensors]

    return [_held(one) for one in tensors], values_of


def _held(tensor: Tensor) -> _Held:
    if not len(tensor.scales) or tensor.dtype.kind == "f":
        return _Held(tensor.name)
    return _in_integers(tensor.name, float(tensor.scales[0]), int(tensor.zeros[0]), tensor.dtype)


def _in_integers(name: str, scale: float, zero: int, dtype: np.dtype) -> _Held:
    limits = np.iinfo(dtype)
    return _Held(name, (limits.min - zero) * scale, (limits.max - zero) * scale, scale)


def _of_onnx(path: Path, exact: Graph) -> _Computed:
    import onnxruntime

    steps, onnx = _by_name(exact), require("looking into an ONNX file")
    model = onnx.ModelProto.FromString(read_onnx(path)[0])
    constants = {one.name: one for one in model.graph.initializer}
    held = []
    for node in model.graph.node:
        name = node.output[0]
        if name not in steps:
            continue
        if node.op_type == "DequantizeLinear":
            scale, zero = (onnx.numpy_helper.to_array(constants[one]) for one in node.input[1:])
            held.append(_in_integers(name, float(scale), int(zero), zero.dtype))
        else:
            held.append(_Held(name))
    # What a graph gives must say of what type it is; of what size, runtimes find themselves.
    for one in held:
        model.graph.output.append(onnx.helper.make_tensor_value_info(one.name, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), session_options(2), providers=["CPUExecutionProvider"]
    )
    (taken,) = session.get_inputs()

    def values_of(images: np.ndarray) -> Iterator[Sequence[np.ndarray]]:
        for image in images:
            found = session.run([one.name for one in held], {taken.name: image[None]})
            yield [_channels_last(one) for one in found]

    return held, values_of


def _of_openvino(path: Path, exact: Graph) -> _Computed:
    steps = _by_name(exact)
    network = core_model(path)
    names = {name for operator in network.get_ordered_ops() for one in operator.outputs() for name in one.names}
    held = [_Held(name) for name in steps if name in names]
    network.add_outputs([one.name for one in held])
    request = compiled(network, 2)
    outputs = [request.output(one.name) for one in held]

    def values_of(images: np.ndarray) -> Iterator[Sequence[np.ndarray]]:
        for image in images:
            found = request([image[None]])
            yield [_channels_last(np.array(found[one])) for one in outputs]

    return held, values_of


def _channels_last(values: np.ndarray) -> np.ndarray:
    return values.transpose(TO_NHWC) if values.ndim == 4 else values


_Found = Iterator[tuple[str, np.ndarray, int]]
"""The name of a layer, its weights in rows, and how many different numbers they are."""


def _rows(graph: Graph, step: Step) -> np.ndarray | None:
    """The weights of a step, a row for each output channel; None: it has none."""
    tensor = graph.tensor(step.inputs[1]) if step.operator in WEIGHTED else None
    if tensor is None or tensor.values is None:
        return None
    real = tensor.real(tensor.values)
    return real.reshape(-1, real.shape[-1]).T if step.operator == "DEPTHWISE_CONV_2D" else real.reshape(len(real), -1)


def _weights_of_tflite(path: Path, exact: Graph) -> _Found:
    graph = Graph(read_tflite(network_in(path)))
    for step, twin in _pairs(graph, exact):
        rows, held = _rows(graph, step), graph.tensor(step.inputs[1]).values if len(step.inputs) > 1 else None
        if rows is not None and held is not None:
            yield exact.tensor(twin.output).name, rows, len(np.unique(held))


def _weights_of_onnx(path: Path, exact: Graph) -> _Found:
    steps, onnx = _by_name(exact), require("looking into an ONNX file")
    graph = onnx.ModelProto.FromString(read_onnx(path)[0]).graph
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    makers = {node.output[0]: node for node in graph.node}
    readers: dict[str, list[str]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node.output[0])
    for node in graph.node:
        name = _layer_behind(node.output[0], readers, steps)
        if node.op_type not in ("Conv", "Gemm") or name is None:
            continue
        source = makers.get(node.input[1])
        parts = [constants[one] for one in (source.input if source else node.input[1:2]) if one in constants]
        if not parts:
            continue  # weights that are computed are no export's
        held, *ends = parts
        scales = ends[0] if ends else np.float32(1)  # zero points of weights are 0
        rows = _rows_of_channels_first(held) * np.reshape(scales, (-1, 1))
        yield name, rows, len(np.unique(held))


def _weights_of_openvino(path: Path, exact: Graph) -> _Found:
    steps = _by_name(exact)
    operators = core_model(path).get_ordered_ops()
    readers = {
        _of_output(one): [_of_output(to) for reader in one.get_target_inputs() for to in reader.get_node().outputs()]
        for operator in operators
        for one in operator.outputs()
    }
    named = {
        _of_output(one): name
        for operator in operators
        for one in operator.outputs()
        for name in one.names
        if name in steps
    }
    for operator in operators:
        if operator.get_type_name() not in ("Convolution", "GroupConvolution", "MatMul"):
            continue
        given = operator.input_value(1).get_node()
        value = _layer_behind(_of_output(operator.output(0)), readers, named)
        if given.get_type_name() != "Constant" or value is None:
            continue
        held = np.array(given.get_data())
        if operator.get_type_name() == "GroupConvolution":
            held = held.reshape(-1, *held.shape[2:])
        yield named[value], _rows_of_channels_first(held), len(np.unique(held))


def _of_output(output: Any) -> str:
    """What tells an output of OpenVINO's from all others."""
    return f"{output.get_node().get_friendly_name()}:{output.get_index()}"


def _layer_behind(value: str, readers: dict[str, list[str]], layers: Mapping[str, object]) -> str | None:
    """The layer that a value becomes where each has one reader: after its bias, activation and rounding."""
    while value not in layers:
        if len(readers.get(value, ())) != 1:
            return None
        (value,) = readers[value]
    return value


def _rows_of_channels_first(values: np.ndarray) -> np.ndarray:
    """Rows as those of a `.tflite` file from (output channels, input channels, height, width)."""
    last = values.transpose(0, 2, 3, 1) if values.ndim == 4 else values
    return last.reshape(len(last), -1).astype(np.float32)


_KINDS = {"onnx": _of_onnx, "openvino": _of_openvino} | dict.fromkeys(("tflite", *INTEGERS), _of_tflite)
_WEIGHTS = {"onnx": _weights_of_onnx, "openvino": _weights_of_openvino} | dict.fromkeys(
    ("tflite", *INTEGERS), _weights_of_tflite
)


class _Sums:
    """What is summed up of a layer over images.

    Args:
        held: What the file computes.
        is_free: Whether its channels may have other factors than the model's, since the next layer can take them back:
            so equalisation leaves them.
    """

    def __init__(self, held: _Held, is_free: bool) -> None:
        self.held, self.is_free = held, is_free
        self.products, self.signals, self.squares, self.errors = (np.zeros(()) for _ in range(4))
        self.ends = self.count = 0

    def add(self, values: np.ndarray, expected: np.ndarray) -> None:
        if values.shape != expected.shape:
            return  # another layer by the same name
        channels = values.shape[-1]
        mine = values.astype(np.float64).reshape(-1, channels)
        theirs = expected.astype(np.float64).reshape(-1, channels)
        self.products = self.products + (mine * theirs).sum(axis=0)
        self.signals = self.signals + np.square(theirs).sum(axis=0)
        self.squares = self.squares + np.square(mine).sum(axis=0)
        self.errors = self.errors + np.square(mine - theirs).sum(axis=0)
        self.ends += self._at_ends(mine) if self.is_free else self._beyond(theirs)
        self.count += values.size

    @property
    def noise(self) -> float:
        errors = self.errors
        if self.is_free:
            errors = self.signals - np.square(self.products) / np.maximum(self.squares, 1e-300)
        signal, error = float(self.signals.sum()), max(float(errors.sum()), 0.0)
        if not math.isfinite(float(np.sum(errors))):
            return NOISE_ALONE
        return 10 * math.log10(max(signal, 1e-300) / error) if error else math.inf

    @property
    def cut(self) -> float:
        return self.ends / max(self.count, 1)

    def _beyond(self, expected: np.ndarray) -> int:
        """How many numbers are farther out than the range, by more than a step."""
        low, high, step = self.held.low, self.held.high, self.held.step
        return int(((expected < low - step) | (expected > high + step)).sum())

    def _at_ends(self, values: np.ndarray) -> int:
        """How many numbers lie at an end of the range. What they should be is not known; a zero of ReLU is none."""
        low, high, half = self.held.low, self.held.high, self.held.step / 2
        return (int((values <= low + half).sum()) if low else 0) + int((values >= high - half).sum())
