"""Some layers of a graph of eight bits computed more finely: with activations of 16 bits, or in floats.

What a layer loses, it loses where its result is rounded to eight bits. That is spared only where what reads the result
takes it as it is. So a tensor is widened, and with it the step that computes it and those that read it; at the borders
stand QUANTIZE and DEQUANTIZE.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from copy import deepcopy
from typing import Any

import numpy as np

from keras_resnet.quantize.graph import NUMBERS, WEIGHTED, Graph

MOVING = ("PAD", "RESHAPE", "MAX_POOL_2D", "STRIDED_SLICE", "SQUEEZE", "TRANSPOSE", "CONCATENATION", "QUANTIZE")
"""Operators that move numbers and round none: nothing is gained where one of them computes a tensor."""


def candidates(graph: Graph) -> list[int]:
    """The tensors of a graph that can be widened: results of layers that round."""
    return [
        step.output
        for step in graph.steps
        if step.operator not in MOVING and graph.tensor(step.output).dtype == np.int8 and step.output != graph.output
    ]


def widened(content: bytes, exact: Graph, tensors: Collection[int], target: str) -> bytes:
    """A graph in which some tensors have more than eight bits.

    Args:
        content: The graph of integers.
        exact: The float graph that it was made of.
        tensors: Their numbers, of `candidates`.
        target: `int16`: of 16 bits, with weights of 8, as TFLite Micro and NPUs have it; `float`: in float32, with the
            float graph's weights.

    Returns:
        The graph.
    """
    graph = Graph(content)
    wide = {
        step.number
        for step in graph.steps
        if step.output in tensors or any(number in tensors for number in step.inputs)
    }
    _Widening(graph, exact, wide, target).run()
    return graph.packed()


def sensitivity(
    content: bytes,
    exact: Graph,
    target: str,
    measure: Callable[[bytes], float],
    show: Callable[[str, int, int], None] | None = None,
) -> list[tuple[int, float]]:
    """How much each tensor's rounding costs: what is gained where it alone is widened.

    Args:
        content, exact, target: As `widened`.
        measure: How good a graph is, as `post_training.above_noise` tells it.
        show: Called with what is done, how far it is, and of how much.

    Returns:
        Tensors with their gains, the greatest first.
    """
    numbers = candidates(Graph(content))
    before = measure(content)
    gains = []
    for done, number in enumerate(numbers, 1):
        gains.append((number, measure(widened(content, exact, [number], target)) - before))
        if show:
            show("sensitivity of layers", done, len(numbers))
    return sorted(gains, key=lambda one: -one[1])


class _Widening:
    """A graph while steps of it become wide."""

    def __init__(self, graph: Graph, exact: Graph, wide: set[int], target: str) -> None:
        self.graph, self.target, self.wide = graph, target, wide
        self.dtype: np.dtype[Any] = np.dtype(np.int16 if target == "int16" else np.float32)
        self.floats = {exact.tensor(one.output).name: (exact, one) for one in exact.steps}
        self.twins: dict[int, int] = {}  # of a tensor of eight bits, the wide one
        self.ready: set[int] = set()  # tensors of eight bits whose wide twin is computed already
        self.operators: list[Any] = []
        # Kernels demand one scale of these, whatever is computed.
        self.shares = {one.output for one in graph.steps if one.operator in ("LOGISTIC", "TANH", "SOFTMAX")}

    def run(self) -> None:
        """Change the graph."""
        old = list(self.graph.flat.operators)
        readers: dict[int, set[int]] = {}
        for step in self.graph.steps:
            for number in step.inputs:
                readers.setdefault(number, set()).add(step.number)
        for step in self.graph.steps:
            flat = old[step.number]
            if step.number not in self.wide:
                self.operators.append(flat)
                continue
            flat = deepcopy(flat)
            if getattr(flat.builtinOptions, "potScaleInt16", None):
                flat.builtinOptions.potScaleInt16 = False
            inputs = list(step.inputs)
            for place, number in enumerate(inputs):
                if number < 0:
                    continue
                tensor = self.graph.tensor(number)
                if not tensor.is_constant:
                    if tensor.dtype == np.int8:
                        inputs[place] = self._as_input(number)
                elif step.operator in WEIGHTED and place in (1, 2):
                    inputs[place] = self._parameter(step, place)
                elif tensor.dtype == np.int8:
                    inputs[place] = self._constant(number)
            flat.inputs = np.array(inputs, np.int32)
            flat.outputs = np.array([self._twin(step.output)], np.int32)
            self.operators.append(flat)
            self.ready.add(step.output)
            outside = readers.get(step.output, set()) - self.wide
            if outside or step.output == self.graph.output:
                self._convert(self._twin(step.output), step.output)
        self.graph.flat.operators = self.operators

    def _as_input(self, number: int) -> int:
        twin = self._twin(number)
        if number not in self.ready:
            self._convert(number, twin)
            self.ready.add(number)
        return twin

    def _twin(self, number: int) -> int:
        """The wide tensor in the place of one of eight bits."""
        if number not in self.twins:
            tensor = self.graph.tensor(number)
            flat = deepcopy(self.graph.flat.tensors[number])
            flat.name = f"{tensor.name}/wide".encode()
            flat.type = NUMBERS[self.dtype]
            flat.quantization = self._quantization([self._scale(tensor)]) if self.target == "int16" else None
            flat.buffer = 0
            self.graph.flat.tensors.append(flat)
            self.twins[number] = len(self.graph.flat.tensors) - 1
        return self.twins[number]

    def _scale(self, tensor: Any) -> float:
        """Of a wide tensor: so that it holds what the one of eight bits does."""
        if tensor.number in self.shares:
            return 1 / 32768
        zero = int(tensor.zeros[0])
        return max(127 - zero, 128 + zero) * float(tensor.scales[0]) / 32767

    def _quantization(self, scales: Any) -> Any:
        found = self.graph.schema.QuantizationParametersT()
        found.scale, found.zeroPoint = np.array(scales, np.float32), np.zeros(len(scales), np.int64)
        found.quantizedDimension = 0
        return found

    def _new_constant(self, like: int, values: np.ndarray, scales: Any = None) -> int:
        quantization = None if scales is None else self._quantization(scales)
        return self.graph.add_constant(f"{self.graph.tensor(like).name}/wide", values, quantization)

    def _parameter(self, step: Any, place: int) -> int:
        """Weights or bias of a wide step."""
        number = step.inputs[place]
        tensor = self.graph.tensor(number)
        if self.target == "float":
            exact, other = self.floats[self.graph.tensor(step.output).name]
            values = exact.tensor(other.inputs[place]).values
            assert values is not None
            return self._new_constant(number, values.astype(np.float32))
        if place == 1:
            return number
        # A bias has the scale of what it is added to, and 64 bits.
        weights = self.graph.tensor(step.inputs[1])
        scales = self._scale(self.graph.tensor(step.inputs[0])) * weights.scales.astype(np.float64)
        assert tensor.values is not None
        values = np.rint(tensor.real(tensor.values).astype(np.float64) / scales).astype(np.int64)
        return self._new_constant(number, values, scales)

    def _constant(self, number: int) -> int:
        """A constant of eight bits that is added or multiplied."""
        tensor = self.graph.tensor(number)
        assert tensor.values is not None
        real = tensor.real(tensor.values)
        if self.target == "float":
            return self._new_constant(number, real)
        scale = max(float(np.abs(real).max()), 1e-30) / 32767
        return self._new_constant(number, np.rint(real / scale).astype(np.int16), [scale])

    def _convert(self, taken: int, given: int) -> None:
        """Add a step that changes the type of a tensor."""
        to = self.graph.tensor(given).dtype
        name = "DEQUANTIZE" if to == np.float32 else "QUANTIZE"
        schema = self.graph.schema
        code = getattr(schema.BuiltinOperator, name)
        codes = self.graph.model.operatorCodes
        known = [place for place, one in enumerate(codes) if one.builtinCode == code]
        if not known:
            new = schema.OperatorCodeT()
            new.builtinCode = new.deprecatedBuiltinCode = code
            new.version = 2
            codes.append(new)
            known = [len(codes) - 1]
        step = schema.OperatorT()
        step.opcodeIndex = known[0]
        step.inputs, step.outputs = np.array([taken], np.int32), np.array([given], np.int32)
        step.builtinOptionsType = schema.BuiltinOptions.NONE
        step.mutatingVariableInputs = step.intermediates = None
        self.operators.append(step)


def widen_until(
    content: bytes,
    exact: Graph,
    target: str,
    measure: Callable[[bytes], float],
    is_enough: Callable[[bytes], bool],
    show: Callable[[str, int, int], None] | None = None,
) -> tuple[bytes, list[str]] | None:
    """Widen the most sensitive tensors, one more after the other, until a graph is good enough.

    Args:
        content, exact, target, measure, show: As `sensitivity`.
        is_enough: Whether a graph is.

    Returns:
        The graph, and the names of the tensors; None: not even with all of them.
    """
    graph = Graph(content)
    order = [number for number, gain in sensitivity(content, exact, target, measure, show)]
    count = 1
    while True:
        found = widened(content, exact, order[:count], target)
        if is_enough(found):
            return found, [graph.tensor(number).name for number in order[:count]]
        if count >= len(order):
            return None
        count = min(len(order), count + max(1, count // 2))
