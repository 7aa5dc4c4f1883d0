"""The graph in a `.tflite` file: read, changed, and written again.

Only files of ours come here: made in this process, or looked through by `inference.tflite_file.check_tflite` before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from keras_resnet.errors import MissingExtraError, ModelError
from keras_resnet.shortage import refuse_shortage

ALIGNMENT = 16
"""Bytes: where constants begin. Kernels read whole registers; Python's FlatBuffers library does not see to it."""
TYPES = {0: np.float32, 1: np.float16, 2: np.int32, 3: np.uint8, 4: np.int64, 6: np.bool_, 7: np.int16, 9: np.int8}
NUMBERS: dict[Any, int] = {np.dtype(kind): number for number, kind in TYPES.items()}
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Operators with weights, their second input, and a bias, their third."""
HOMOGENEOUS = (0, 1)
"""Fused activations with f(s x) = s f(x) for s > 0: none, and ReLU."""


def schema() -> Any:
    """The classes of the `.tflite` format.

    Raises:
        MissingExtraError: LiteRT is not installed.
    """
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError:
        raise MissingExtraError("reading the graph of a .tflite file", "edge") from None
    return schema_py_generated


@dataclass(frozen=True)
class Tensor:
    """A tensor of a graph.

    Args:
        number: Its place in the graph.
        name: Of the layers it comes from.
        shape: Of what it holds; the first is the batch, of one.
        dtype: Of its numbers.
        scales: Of integers that stand for other numbers: float32, one, or one for each channel; else none.
        zeros: As many zero points.
        axis: Of the channels.
        values: What the file holds of it; None: it is computed.
    """

    number: int
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scales: np.ndarray = field(repr=False)
    zeros: np.ndarray = field(repr=False)
    axis: int
    values: np.ndarray | None = field(repr=False)

    @property
    def is_constant(self) -> bool:
        """Whether the file holds its numbers."""
        return self.values is not None

    @property
    def nbytes(self) -> int:
        """Of its numbers."""
        return math.prod(self.shape) * self.dtype.itemsize

    def real(self, numbers: np.ndarray) -> np.ndarray:
        """What numbers of this tensor stand for, float32."""
        if not len(self.scales):
            return numbers.astype(np.float32)
        shape = [1] * numbers.ndim
        if len(self.scales) > 1:
            shape[self.axis] = -1
        scales, zeros = self.scales.reshape(shape), self.zeros.reshape(shape)
        return ((numbers.astype(np.float32) - zeros) * scales).astype(np.float32)


@dataclass(frozen=True)
class Step:
    """An operator at its place in a graph.

    Args:
        number: Its place in the order of computation.
        operator: As the schema calls it, `CONV_2D`.
        inputs, outputs: Numbers of tensors; -1: an input that is left out.
        options: What else it is told, by the schema's names.
    """

    number: int
    operator: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any] = field(repr=False)

    @property
    def output(self) -> int:
        """Its first output."""
        return self.outputs[0]


class Graph:
    """The one graph of a `.tflite` file.

    Args:
        content: The FlatBuffer; what follows it, as our stamp, is not looked at.

    Raises:
        ModelError: It is damaged where no runtime looks, as in the version of an operator.
    """

    def __init__(self, content: bytes) -> None:
        self.schema = schema()
        try:
            self.model = self.schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
        except Exception as error:  # of the parsing of numbers, of text, of indices
            refuse_shortage(error, "read the graph of a .tflite file")
            raise ModelError(f"the graph of a .tflite file is damaged: {error}") from error
        (self.flat,) = self.model.subgraphs

    @cached_property
    def _names(self) -> dict[int, str]:
        operators = vars(self.schema.BuiltinOperator)
        return {number: name for name, number in operators.items() if isinstance(number, int)}

    def tensor(self, number: int) -> Tensor:
        """A tensor as it is now."""
        flat = self.flat.tensors[number]
        shape = () if flat.shape is None else tuple(int(side) for side in flat.shape)
        dtype = np.dtype(TYPES[flat.type])
        held = self.model.buffers[flat.buffer].data
        values = None if held is None or not len(held) else np.asarray(held, np.uint8).view(dtype).reshape(shape)
        quantization = flat.quantization
        has_scales = quantization is not None and quantization.scale is not None
        scales = np.array(quantization.scale if has_scales else (), np.float32)
        zeros = np.array(quantization.zeroPoint if has_scales else (), np.int64)
        axis = quantization.quantizedDimension if has_scales else 0
        name = (flat.name or b"").decode("utf-8", "replace")
        return Tensor(number, name, shape, dtype, scales, zeros, axis, values)

    @property
    def tensors(self) -> list[Tensor]:
        """All of them."""
        return [self.tensor(number) for number in range(len(self.flat.tensors))]

    @property
    def steps(self) -> list[Step]:
        """The operators in the order of computation."""
        return [
            Step(
                number,
                self.operator(flat),
                tuple(int(one) for one in flat.inputs),
                tuple(int(one) for one in flat.outputs),
                {} if flat.builtinOptions is None else dict(vars(flat.builtinOptions)),
            )
            for number, flat in enumerate(self.flat.operators)
        ]

    def operator(self, flat: Any) -> str:
        """What the schema calls an operator."""
        code = self.model.operatorCodes[flat.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        if number == self.schema.BuiltinOperator.CUSTOM:
            return (code.customCode or b"CUSTOM").decode("utf-8", "replace")
        return self._names.get(number, str(number))

    @property
    def input(self) -> int:
        """The number of the tensor that takes an image."""
        return int(self.flat.inputs[0])

    @property
    def output(self) -> int:
        """The number of the tensor with the logits."""
        return int(self.flat.outputs[0])

    def computed(self) -> list[int]:
        """The tensors that hold no constants and are used: the input, and what the steps compute, in this order."""
        return [self.input, *(output for step in self.steps for output in step.outputs)]

    def readers(self, number: int) -> list[Step]:
        """The steps that read a tensor."""
        return [step for step in self.steps if number in step.inputs]

    # Changes.

    def set_values(self, number: int, values: np.ndarray) -> None:
        """Give a constant other numbers, of the same type and shape or of others."""
        flat = self.flat.tensors[number]
        flat.shape, flat.type = np.array(values.shape, np.int32), NUMBERS[values.dtype]
        buffer = self.model.buffers[flat.buffer]
        if buffer.data is None:
            buffer = self.schema.BufferT()
            self.model.buffers.append(buffer)
            flat.buffer = len(self.model.buffers) - 1
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)

    def add_constant(self, name: str, values: np.ndarray, quantization: Any = None) -> int:
        """Add a tensor with numbers that the file holds.

        Args:
            name: Of the tensor.
            values: The numbers.
            quantization: What they stand for, as the schema has it; None: themselves.

        Returns:
            Its number.
        """
        flat = self.schema.TensorT()
        flat.name, flat.quantization, flat.shapeSignature, flat.sparsity, flat.variantTensors = (
            name.encode(), quantization, None, None, None,
        )  # fmt: skip
        buffer = self.schema.BufferT()
        buffer.data = np.zeros(0, np.uint8)
        self.model.buffers.append(buffer)
        flat.buffer = len(self.model.buffers) - 1
        self.flat.tensors.append(flat)
        number = len(self.flat.tensors) - 1
        self.set_values(number, values)
        return number

    def set_range(self, number: int, low: float, high: float) -> None:
        """Say what a computed tensor's numbers are between, for the quantiser.

        Args:
            number: Of the tensor.
            low, high: The ends.
        """
        quantization = self.flat.tensors[number].quantization or self.schema.QuantizationParametersT()
        quantization.min, quantization.max = [float(low)], [float(high)]
        self.flat.tensors[number].quantization = quantization

    def packed(self) -> bytes:
        """The graph as a FlatBuffer, with constants where kernels can read them."""
        import flatbuffers

        before = self.model.buffers
        self.model.buffers = [_AlignedBuffer(self.schema, one) for one in before]
        try:
            builder = flatbuffers.Builder(1 << 16)
            builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
            return bytes(builder.Output())
        finally:
            self.model.buffers = before


class _AlignedBuffer:
    """A constant that packs itself as `BufferT` does, at a multiple of `ALIGNMENT`."""

    def __init__(self, schema: Any, buffer: Any) -> None:
        self.schema, self.buffer = schema, buffer

    def Pack(self, builder: Any) -> Any:
        if self.buffer.data is None or not len(self.buffer.data):
            return self.buffer.Pack(builder)
        data = np.asarray(self.buffer.data, np.uint8)
        builder.StartVector(1, len(data), ALIGNMENT)
        builder.head -= len(data)
        builder.Bytes[builder.head : builder.head + len(data)] = data.tobytes()
        vector = builder.EndVector()
        self.schema.BufferStart(builder)
        self.schema.BufferAddData(builder, vector)
        return self.schema.BufferEnd(builder)


def macs(graph: Graph) -> dict[int, int]:
    """Multiply-accumulates of each step with weights, or that multiplies two results, for one image, by its number."""
    found = {}
    for step in graph.steps:
        if step.operator == "BATCH_MATMUL":
            found[step.number] = int(np.prod(graph.tensor(step.output).shape)) * graph.tensor(step.inputs[0]).shape[-1]
        if step.operator in WEIGHTED:
            weights, output = graph.tensor(step.inputs[1]), graph.tensor(step.output)
            outputs = int(np.prod(output.shape))
            per_output = weights.shape[1:3] if step.operator == "DEPTHWISE_CONV_2D" else weights.shape[1:]
            found[step.number] = outputs * int(np.prod(per_output))
    return found


def weighted(graph: Graph) -> Iterator[Step]:
    """The steps with weights, in order."""
    return (step for step in graph.steps if step.operator in WEIGHTED)


def short_name(name: str) -> str:
    """What to call a layer: of all the layers that went into it, the one with weights, or else the first.

    Args:
        name: Of a tensor, as TensorFlow's converter makes it: `model/conv_1/convolution;model/bn_1/add`.
    """
    if name.startswith(("PartitionedCall", "StatefulPartitionedCall")):  # the converter's name for what the model gives
        return "logits"
    name = name.removesuffix("/wide")
    parts = [part.rstrip("0123456789") for part in name.split(";")]
    kinds = ("convolution", "depthwise", "MatMul")
    part = next((one for one in parts if one.endswith(kinds)), name.split(";")[0])
    folders = part.split("/")
    return "/".join(folders[1:-1] if len(folders) > 2 else folders[-1:])
