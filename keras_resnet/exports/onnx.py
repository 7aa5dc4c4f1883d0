"""ONNX from the graph of a `.tflite` file: float, or of integers with that file's own scales.

The graph that LiteRT runs is translated operator by operator, so that both files compute the same. Of a graph of
integers every tensor becomes a pair of QuantizeLinear and DequantizeLinear (Q/DQ) with its scale and zero point,
weights per channel: what onnxruntime and OpenVINO take for integers. (TensorRT takes zero points of 0 alone.) What a
layer computes has its name in both files, so that they can be compared.

Pictures are (batch, height, width, channels) outside, as in all files of this package, and (batch, channels, height,
width) inside, as ONNX's operators want them. The batch may be of any size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.atomic import write_with
from keras_resnet.errors import ModelError
from keras_resnet.exports.material import Material
from keras_resnet.exports.tflite import float_graph, integer_graph
from keras_resnet.inference.onnx_file import require, stamped
from keras_resnet.quantize.graph import Graph, Step, Tensor, short_name
from keras_resnet.tasks.table import task

OPSET = 19
IR_VERSION = 9
INPUT, LOGITS, PROBABILITIES = "image", "logits", "probabilities"
NO_ACTIVATION, RELU, RELU_TO_1, RELU6 = range(4)
FROM_NHWC, TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)


def write_onnx(material: Material, path: Path) -> Sequence[str]:
    """Write a model as an ONNX file: of integers where there are calibration images, else of floats.

    Args:
        material: The model, its preprocessing, calibration images, and how it becomes integers.
        path: The file.

    Returns:
        Remarks for the user.

    Raises:
        ModelError: The model has no translation, or loses more than it may however many layers are floats.
        MissingExtraError: `onnx` is not installed.
    """
    remarks: list[str] = []
    content = stamped(proto_of(material, remarks), material.preprocessing)
    write_with(path, lambda temporary: temporary.write_bytes(content))
    return remarks


def proto_of(material: Material, remarks: list[str] | None = None) -> Any:
    """A model as an `onnx.ModelProto`.

    Args:
        material: As `write_onnx`.
        remarks: Takes what the user should know.

    Raises: as `write_onnx`.
    """
    preprocessing = material.preprocessing
    shape = preprocessing.input_shape
    if material.calibration is None:
        content = float_graph(material.model, shape)
    else:
        # What loses too much is left without Q/DQ: runtimes have no layers with activations of 16 bits.
        how = material.quantization
        if how is not None and how.max_drop is not None:
            how = replace(how, wide="float")
        content, more = integer_graph(material.model, shape, material.calibration, how, material.right, material.show)
        if remarks is not None:
            remarks += more
    return onnx_model(content, task(preprocessing.task, preprocessing.class_names).activation)


def onnx_model(content: bytes, activation: str) -> Any:
    """Translate a graph.

    Args:
        content: The `.tflite` graph of a network: pixels of 0–255 in, logits out.
        activation: What makes probabilities of logits: `softmax` or `sigmoid`.

    Returns:
        The `onnx.ModelProto`: uint8 `image` (batch, height, width, channels) in; float32 `logits` and `probabilities`
        (batch, classes) out.

    Raises:
        ModelError: An operator has no translation; the message names it.
        MissingExtraError: `onnx` is not installed.
    """
    return _Translation(content).model(activation)


class _Translation:
    """A graph on its way to ONNX."""

    def __init__(self, content: bytes) -> None:
        self.onnx, self.graph = require("writing an ONNX file"), Graph(content)
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.values: dict[int, str] = {}
        self.padded = _foldable_pads(self.graph)
        self.count = 0
        self.layer = INPUT
        self.named: Counter[str] = Counter()

    def model(self, activation: str) -> Any:
        helper, kinds = self.onnx.helper, self.onnx.TensorProto
        image, logits = self.graph.tensor(self.graph.input), self.graph.tensor(self.graph.output)
        pixels = self.node("Cast", [INPUT], to=kinds.FLOAT)
        self.values[image.number] = self.rounded(self.node("Transpose", [pixels], perm=FROM_NHWC), image)
        for step in self.graph.steps:
            self.layer = short_name(self._name(step))
            if step.output in self.padded:
                self.values[step.output] = self.read(step.inputs[0])
                continue
            translate = OPERATORS.get(step.operator)
            if translate is None:
                raise ModelError(
                    f"ONNX has no translation for {step.operator}, which the network has as {self._name(step)}"
                )
            result = self.activated(translate(self, step), step)
            self.values[step.output] = self.called(self.rounded(result, self.graph.tensor(step.output)), step)
        self.layer = "end"
        self.node("Identity", [self.values[logits.number]], LOGITS)
        if activation == "softmax":
            self.node("Softmax", [LOGITS], PROBABILITIES, axis=-1)
        else:
            self.node("Sigmoid", [LOGITS], PROBABILITIES)
        results = [
            helper.make_tensor_value_info(name, kinds.FLOAT, ["batch", logits.shape[-1]])
            for name in (LOGITS, PROBABILITIES)
        ]
        taken = helper.make_tensor_value_info(INPUT, kinds.UINT8, ["batch", *image.shape[1:]])
        graph = helper.make_graph(self.nodes, "resnet", [taken], results, self.initializers)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], producer_name="keras_resnet")
        model.ir_version = IR_VERSION
        return model

    def _name(self, step: Step) -> str:
        return self.graph.tensor(step.output).name

    # Parts of which translations are made.

    def new(self, what: str) -> str:
        """A name that no value has."""
        self.count += 1
        return f"{what.lower()}_{self.count}"

    def node(self, operator: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        """Add a node, and return the name of its result."""
        output = output or self.new(operator)
        name = f"{self.layer}/{operator}"
        self.named[name] += 1
        name += f"_{self.named[name]}" if self.named[name] > 1 else ""
        made = self.onnx.helper.make_node(operator, list(inputs), [output], name=name, **attributes)
        self.nodes.append(made)
        return output

    def called(self, value: str, step: Step) -> str:
        """The last node's result by the name that it has in the `.tflite` file, if no other value has it."""
        name = self._name(step)
        if self.nodes[-1].output[0] != value or name in (INPUT, LOGITS, PROBABILITIES, *self.values.values()):
            return value
        self.nodes[-1].output[0] = name
        return name

    def constant(self, values: Any, what: str = "constant") -> str:
        """Add a constant, and return its name."""
        name = self.new(what)
        self.initializers.append(self.onnx.numpy_helper.from_array(np.array(values, order="C"), name))
        return name

    def rounded(self, value: str, tensor: Tensor) -> str:
        """A value as the integers of a tensor hold it: quantised, and back."""
        if not len(tensor.scales) or tensor.dtype.kind == "f":
            return value
        ends = self.ends(tensor)
        quantized = self.node("QuantizeLinear", [value, *ends])
        return self.node("DequantizeLinear", [quantized, *ends])

    def ends(self, tensor: Tensor) -> list[str]:
        """The names of a tensor's scale and zero point."""
        zero = tensor.zeros[0].astype(tensor.dtype)
        if tensor.dtype == np.int8 and tensor.number != self.graph.input:
            # The same numbers without a sign. onnxruntime 1.32 on x86 gives an integer kernel to a layer only if what
            # it reads and what it computes have none, and takes the sign away only where one layer alone reads a value.
            # Pixels keep theirs: quantised without sign they are what they were, and OpenVINO 2026.4 then computes the
            # first layer in floats.
            zero = (tensor.zeros[0] + 128).astype(np.uint8)
        return [self.constant(tensor.scales[0], "scale"), self.constant(zero, "zero")]

    def weights(self, number: int, order: Sequence[int] | None, axis: int) -> str:
        """Weights in another order of their axes; of integers, dequantised along an axis.

        Args:
            number: Of the tensor.
            order: Of the axes; None: as they are.
            axis: Of the output channels afterwards.
        """
        tensor = self.graph.tensor(number)
        assert tensor.values is not None
        values = tensor.values if order is None else tensor.values.transpose(order)
        if not len(tensor.scales):
            return self.constant(values.astype(np.float32), "weights")
        held = self.constant(values, "weights")
        scales = tensor.scales if len(tensor.scales) > 1 else tensor.scales[0]
        zeros = np.zeros(np.shape(scales), tensor.dtype)
        ends = [self.constant(np.asarray(scales), "scale"), self.constant(zeros, "zero")]
        return self.node("DequantizeLinear", [held, *ends], axis=axis)

    def bias(self, step: Step) -> list[str]:
        """The name of a step's bias; none if it has none."""
        if len(step.inputs) < 3 or step.inputs[2] < 0:
            return []
        tensor = self.graph.tensor(step.inputs[2])
        assert tensor.values is not None
        if tensor.dtype == np.int64:  # of 16-bit activations: ONNX knows none
            return [self.constant(tensor.real(tensor.values), "bias")]
        return [self.weights(tensor.number, None, 0)]

    def read(self, number: int, beside: int = 2) -> str:
        """An operand: what was computed, or a constant.

        Args:
            number: Of the tensor.
            beside: Axes of the other operand; beside pictures, a constant's channels come first.
        """
        if number in self.values:
            return self.values[number]
        tensor = self.graph.tensor(number)
        assert tensor.values is not None
        values = tensor.values
        if beside == 4 and values.ndim:
            values = values.reshape((1,) * (4 - values.ndim) + values.shape).transpose(FROM_NHWC)
        if tensor.dtype == np.int8 and len(tensor.scales) == 1:
            held = (values.astype(np.int16) + 128).astype(np.uint8)
            return self.node("DequantizeLinear", [self.constant(held), *self.ends(tensor)])
        return self.constant((tensor.real(values) if len(tensor.scales) else values).astype(np.float32))

    def fixed(self, number: int) -> np.ndarray:
        """A constant that says how an operator works: axes, paddings."""
        tensor = self.graph.tensor(number)
        if tensor.values is None:
            raise ModelError(f"{tensor.name} is computed where ONNX needs a constant")
        return tensor.values

    def rank(self, number: int) -> int:
        """How many axes a tensor has."""
        return len(self.graph.tensor(number).shape)

    def upright(self, number: int) -> str:
        """What was computed, with the channels last."""
        value = self.read(number)
        return self.node("Transpose", [value], perm=TO_NHWC) if self.rank(number) == 4 else value

    def lying(self, value: str, rank: int) -> str:
        """A value with channels last, as it is kept here."""
        return self.node("Transpose", [value], perm=FROM_NHWC) if rank == 4 else value

    def activated(self, value: str, step: Step) -> str:
        """A value after the activation that is fused into its step."""
        kind = step.options.get("fusedActivationFunction", NO_ACTIVATION)
        if kind == NO_ACTIVATION:
            return value
        if kind == RELU:
            return self.node("Relu", [value])
        bounds = {RELU_TO_1: (-1, 1), RELU6: (0, 6)}.get(kind)
        if bounds is None:
            raise ModelError(f"ONNX has no translation for the activation {kind} of {self._name(step)}")
        return self.node("Clip", [value, *(self.constant(np.float32(one)) for one in bounds)])

    def pads(self, step: Step, window: Sequence[int]) -> list[int]:
        """What is padded above, left, below and right of a picture."""
        sides, results = (self.graph.tensor(one).shape[1:3] for one in (step.inputs[0], step.output))
        if step.options["padding"] == 1:  # VALID
            return self.padded.get(step.inputs[0], [0, 0, 0, 0])
        strides = (step.options["strideH"], step.options["strideW"])
        lack = [
            max((result - 1) * stride + length - side, 0)
            for side, result, stride, length in zip(sides, results, strides, window, strict=True)
        ]
        return [lack[0] // 2, lack[1] // 2, lack[0] - lack[0] // 2, lack[1] - lack[1] // 2]


def _foldable_pads(graph: Graph) -> dict[int, list[int]]:
    """Zeros around a picture that its readers add themselves, in integers, by the number of the padded tensor.

    A convolution reads zeros beyond the edge of a picture; a maximum does not see them where no number is negative.
    """
    found = {}
    made = {step.output: step for step in graph.steps}
    for step in graph.steps:
        if step.operator != "PAD":
            continue
        amounts, readers = graph.tensor(step.inputs[1]).values, graph.readers(step.output)
        if amounts is None or len(amounts) != 4 or amounts[[0, 3]].any() or not readers:
            continue
        whole = _is_positive(graph.tensor(step.inputs[0]), made.get(step.inputs[0]))
        takers = {"CONV_2D", "DEPTHWISE_CONV_2D", *(("MAX_POOL_2D",) if whole else ())}
        if all(one.operator in takers and one.options["padding"] == 1 for one in readers):
            found[step.output] = amounts[1:3].T.ravel().tolist()
    return found


def _is_positive(tensor: Tensor, made_by: Step | None) -> bool:
    """Whether no number of a tensor is below zero."""
    if len(tensor.scales) and tensor.dtype.kind != "f":
        return int(tensor.zeros[0]) == np.iinfo(tensor.dtype).min
    return made_by is not None and made_by.options.get("fusedActivationFunction") in (RELU, RELU6)


def _convolution(self: _Translation, step: Step) -> str:
    depthwise = step.operator == "DEPTHWISE_CONV_2D"
    kernel, read = self.graph.tensor(step.inputs[1]), self.graph.tensor(step.inputs[0])
    height, width = kernel.shape[1:3]
    dilations = [step.options.get("dilationHFactor", 1), step.options.get("dilationWFactor", 1)]
    window = [(height - 1) * dilations[0] + 1, (width - 1) * dilations[1] + 1]
    channels = read.shape[-1]
    return self.node(
        "Conv",
        [
            self.read(step.inputs[0]),
            self.weights(step.inputs[1], (3, 0, 1, 2) if depthwise else FROM_NHWC, 0),
            *self.bias(step),
        ],
        kernel_shape=[height, width],
        strides=[step.options["strideH"], step.options["strideW"]],
        dilations=dilations,
        group=channels if depthwise else channels // kernel.shape[-1],
        pads=self.pads(step, window),
    )


def _dense(self: _Translation, step: Step) -> str:
    read = self.graph.tensor(step.inputs[0])
    value = self.read(step.inputs[0])
    if len(read.shape) == 4:
        value = self.upright(step.inputs[0])
    if len(read.shape) != 2:
        value = self.node("Reshape", [value, self.constant(np.array([-1, int(np.prod(read.shape[1:]))], np.int64))])
    return self.node("Gemm", [value, self.weights(step.inputs[1], None, 0), *self.bias(step)], transB=1)


def _pool(self: _Translation, step: Step) -> str:
    window = [step.options["filterHeight"], step.options["filterWidth"]]
    common: dict[str, Any] = {
        "kernel_shape": window,
        "strides": [step.options["strideH"], step.options["strideW"]],
        "pads": self.pads(step, window),
    }
    if step.operator == "MAX_POOL_2D":
        return self.node("MaxPool", [self.read(step.inputs[0])], **common)
    return self.node("AveragePool", [self.read(step.inputs[0])], count_include_pad=0, **common)


def _binary(name: str) -> Callable[[_Translation, Step], str]:
    def translate(self: _Translation, step: Step) -> str:
        rank = max(self.rank(number) for number in step.inputs[:2])
        return self.node(name, [self.read(number, rank) for number in step.inputs[:2]])

    return translate


def _unary(name: str, **attributes: Any) -> Callable[[_Translation, Step], str]:
    return lambda self, step: self.node(name, [self.read(step.inputs[0])], **attributes)


def _relu6(self: _Translation, step: Step) -> str:
    return self.node("Clip", [self.read(step.inputs[0]), *(self.constant(np.float32(one)) for one in (0, 6))])


def _pad(self: _Translation, step: Step) -> str:
    amounts = self.fixed(step.inputs[1]).astype(np.int64)
    if len(amounts) == 4:
        amounts = amounts[list(FROM_NHWC)]
    operands = [self.read(step.inputs[0]), self.constant(amounts.T.reshape(-1))]
    if len(step.inputs) > 2:
        tensor = self.graph.tensor(step.inputs[2])
        operands.append(self.constant(tensor.real(self.fixed(step.inputs[2])).astype(np.float32).reshape(())))
    return self.node("Pad", operands)


def _reduce(name: str) -> Callable[[_Translation, Step], str]:
    def translate(self: _Translation, step: Step) -> str:
        rank = self.rank(step.inputs[0])
        axes = [int(axis) % rank for axis in np.atleast_1d(self.fixed(step.inputs[1]))]
        kept = bool(step.options.get("keepDims"))
        if rank == 4:
            axes = [FROM_NHWC.index(axis) for axis in axes]
        if name == "ReduceMean" and rank == 4 and sorted(axes) == [2, 3]:
            return _mean_of_pixels(self, step, kept)
        left = rank - (0 if kept else len(axes))
        if rank == 4 and not kept and left > 2:
            raise ModelError(
                f"ONNX has no translation for {step.operator} of {self._name(step)} that leaves {left} axes"
            )
        return self.node(name, [self.read(step.inputs[0]), self.constant(np.array(axes, np.int64))], keepdims=int(kept))

    return translate


def _mean_of_pixels(self: _Translation, step: Step, kept: bool) -> str:
    """As onnxruntime has it in integers: it has no ReduceMean of them."""
    mean = self.node("GlobalAveragePool", [self.read(step.inputs[0])])
    if kept:
        return mean
    rounded = self.rounded(mean, self.graph.tensor(step.output))
    return self.node("Reshape", [rounded, self.constant(np.array([0, -1], np.int64))])


def _reshape(self: _Translation, step: Step) -> str:
    shape = self.graph.tensor(step.output).shape
    value = self.upright(step.inputs[0])
    reshaped = self.node("Reshape", [value, self.constant(np.array([-1, *shape[1:]], np.int64))])
    return self.lying(reshaped, len(shape))


def _slice(self: _Translation, step: Step) -> str:
    """A part of a picture: STRIDED_SLICE whose masks are of its ends alone."""
    begins, ends, strides = (self.fixed(number).astype(np.int64).copy() for number in step.inputs[1:4])
    options = step.options
    if options["ellipsisMask"] or options["newAxisMask"] or options["shrinkAxisMask"]:
        raise ModelError(f"ONNX has no translation for the STRIDED_SLICE {self._name(step)}, which changes its axes")
    low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    for axis, stride in enumerate(strides):
        if options["beginMask"] >> axis & 1:
            begins[axis] = 0 if stride > 0 else high
        if options["endMask"] >> axis & 1:
            ends[axis] = high if stride > 0 else low
    axes = np.arange(len(begins), dtype=np.int64)
    keep = axes > 0  # the batch is of any size
    if len(begins) == 4:
        axes = np.array([FROM_NHWC.index(axis) for axis in axes], np.int64)
    parts = [self.constant(one[keep]) for one in (begins, ends, axes, strides)]
    return self.node("Slice", [self.read(step.inputs[0]), *parts])


def _concatenation(self: _Translation, step: Step) -> str:
    rank = self.rank(step.output)
    axis = step.options["axis"] % rank
    operands = [self.read(number, rank) for number in step.inputs]
    return self.node("Concat", operands, axis=FROM_NHWC.index(axis) if rank == 4 else axis)


def _transpose(self: _Translation, step: Step) -> str:
    order = [int(axis) for axis in self.fixed(step.inputs[1])]
    value = self.node("Transpose", [self.upright(step.inputs[0])], perm=order)
    return self.lying(value, len(order))


def _same(self: _Translation, step: Step) -> str:
    """QUANTIZE and DEQUANTIZE: what is computed here stands for real numbers already."""
    return self.node("Identity", [self.read(step.inputs[0])])


def _hard_swish(self: _Translation, step: Step) -> str:
    return self.node("HardSwish", [self.read(step.inputs[0])])


OPERATORS: dict[str, Callable[[_Translation, Step], str]] = {
    "ADD": _binary("Add"),
    "AVERAGE_POOL_2D": _pool,
    "CONCATENATION": _concatenation,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "DEQUANTIZE": _same,
    "DIV": _binary("Div"),
    "EXP": _unary("Exp"),
    "FULLY_CONNECTED": _dense,
    "HARD_SWISH": _hard_swish,
    "LOGISTIC": _unary("Sigmoid"),
    "MAX_POOL_2D": _pool,
    "MAXIMUM": _binary("Max"),
    "MEAN": _reduce("ReduceMean"),
    "MINIMUM": _binary("Min"),
    "MUL": _binary("Mul"),
    "PAD": _pad,
    "PADV2": _pad,
    "QUANTIZE": _same,
    "REDUCE_MAX": _reduce("ReduceMax"),
    "RELU": _unary("Relu"),
    "RELU6": _relu6,
    "RESHAPE": _reshape,
    "SOFTMAX": _unary("Softmax", axis=-1),
    "SQUEEZE": _reshape,
    "EXPAND_DIMS": _reshape,
    "STRIDED_SLICE": _slice,
    "SUB": _binary("Sub"),
    "SUM": _reduce("ReduceSum"),
    "TANH": _unary("Tanh"),
    "TRANSPOSE": _transpose,
}
"""By the operator of the `.tflite` file. An operator that networks come to need is a row here."""
