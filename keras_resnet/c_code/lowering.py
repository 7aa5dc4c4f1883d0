"""From the graph of a `.tflite` file of integers to calls of C kernels, with their parameters and constants.

An operator is a row of `OPERATORS`. Pads go into the convolutions and pools that read them, another shape of the same
bytes is no step at all, and what depends on one number alone is a table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from keras_resnet.c_code import arithmetic
from keras_resnet.c_code.arena import Block, distance, plan
from keras_resnet.c_code.arithmetic import Factor
from keras_resnet.c_code.reference import table
from keras_resnet.errors import ModelError, listed
from keras_resnet.quantize.graph import Graph, Step, Tensor

FILTERS = 4
"""That a convolution computes at once."""
MOST_SIDES = 4
"""Of the tensors that kernels walk through."""
LONGEST_SIDE = (1 << 15) - 1
LARGEST = (1 << 31) - 1
SAME = 0
"""A padding, as the schema numbers it; the other one is none."""


@dataclass(frozen=True)
class Place:
    """A place in the arena: a block, and so many bytes behind its beginning."""

    block: str
    offset: int = 0


@dataclass(frozen=True)
class Constant:
    """A place in an array of constants."""

    name: str
    offset: int = 0


Value = int | Place | Constant | tuple[int, ...] | dict[str, int]


@dataclass(frozen=True)
class Call:
    """A call of a kernel.

    Args:
        kernel: Its name.
        values: The fields of its structure.
    """

    kernel: str
    values: dict[str, Value]


@dataclass(frozen=True)
class Program:
    """What a graph becomes.

    Args:
        calls: In the order of computation.
        constants: By name: int8 or int32.
        places: Where blocks begin in the arena.
        arena: Its bytes.
        input, output: Where the arena has them.
    """

    calls: tuple[Call, ...]
    constants: dict[str, np.ndarray]
    places: dict[str, int]
    arena: int
    input: Place
    output: Place


def lowered(graph: Graph) -> Program:
    """The program of a graph.

    Args:
        graph: Of integers of 8 bits throughout.

    Raises:
        ModelError: It has an operator, or a kind of one, for which there is no C code; the message says which.
    """
    return _Lowering(graph).program()


@dataclass
class _Span:
    size: int
    first: int
    last: int


@dataclass
class _Lowering:
    graph: Graph
    calls: list[Call] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.steps = self.graph.steps
        self.number = 0  # of the step at work
        self.spans: dict[str, _Span] = {}
        self.distances: dict[tuple[str, str], int] = {}
        self.blocks: dict[int, str] = {}  # of tensors, several of which may be one
        self.pads: dict[int, tuple[int, np.ndarray]] = {}  # tensors that are another one with pads around it

    def program(self) -> Program:
        unknown = sorted({step.operator for step in self.steps} - set(OPERATORS))
        if unknown:
            raise ModelError(f"there is no C code for {listed(unknown)}, which the network has; export it as tflm")
        for tensor in map(self.graph.tensor, self.graph.computed()):
            if tensor.dtype.itemsize != 1:
                raise ModelError(f"the C code computes with 8 bits; {tensor.name} has {8 * tensor.dtype.itemsize}")
        self.output_block(self.graph.input, -1)
        for step in self.steps:
            self.number = step.number
            OPERATORS[step.operator](self, step)
        if self.graph.tensor(self.graph.output).is_constant:
            raise ModelError("the network's output does not depend on its input")
        self.spans[self.block(self.graph.output)].last = len(self.steps)
        blocks = [Block(name, one.size, one.first, one.last) for name, one in self.spans.items()]
        places, size = plan(blocks, self.distances)
        ends = Place(self.block(self.graph.input)), Place(self.block(self.graph.output))
        return Program(tuple(self.calls), self.constants, places, size, *ends)

    # Tensors and constants.

    def block(self, number: int) -> str:
        """The block of a computed tensor."""
        return self.blocks[number]

    def output_block(self, number: int, step: int | None = None) -> Place:
        """A new block for what a step computes."""
        at = self.number if step is None else step
        self.blocks[number] = name = f"tensor{number}"
        self.spans[name] = _Span(_count(self.graph.tensor(number).shape), at, at)
        return Place(name)

    def scratch(self, size: int) -> Place:
        """A block for this step alone."""
        name = f"scratch{self.number}"
        self.spans[name] = _Span(size, self.number, self.number)
        return Place(name)

    def source(self, number: int) -> Place | Constant:
        """Where a step reads a tensor."""
        tensor = self.graph.tensor(number)
        if tensor.values is not None:
            return self.constant("values", tensor.values.view(np.int8), number)
        if number in self.pads:
            raise AssertionError(f"{tensor.name} is read without its pads")
        name = self.block(number)
        self.spans[name].last = max(self.spans[name].last, self.number)
        return Place(name)

    def may_overlap(self, written: Place, read: Place | Constant, bytes_before: int) -> None:
        """Say how far the result of this step may overlap what it reads."""
        if isinstance(read, Place):
            self.distances[written.block, read.block] = bytes_before

    def constant(self, name: str, values: np.ndarray, number: int | None = None) -> Constant:
        """An array of constants of this step, or of a tensor of this number."""
        name = f"{name}{self.number if number is None else number}"
        self.constants[name] = np.ascontiguousarray(values).ravel()
        return Constant(name)

    def call(self, kernel: str, **values: Value) -> None:
        for name, value in values.items():
            for number in value.values() if isinstance(value, dict) else (value,):
                if isinstance(number, int) and not -LARGEST <= number <= LARGEST:
                    raise ModelError(f"the C code has numbers of 32 bits: {kernel} has {name}={number}")
        self.calls.append(Call(kernel, values))

    # Operators.

    def convolution(self, step: Step) -> None:
        taken, weights, given = self.padless(step.inputs[0]), self.weights(step), self.graph.tensor(step.output)
        _, rows, columns, channels = weights.shape
        window = self.window(step, taken, given, (rows, columns))
        factors = arithmetic.of_filters(taken, weights, given)
        self.filters(step, taken, weights, given, window, factors, taken.shape[3] // channels)

    def dense(self, step: Step) -> None:
        taken, weights, given = self.graph.tensor(step.inputs[0]), self.weights(step), self.graph.tensor(step.output)
        if step.options.get("weightsFormat"):
            raise ModelError("the C code has no dense layers with shuffled weights")
        outputs, inputs = weights.shape
        pixels = _count(taken.shape) // inputs
        _check_count(step, given, pixels * outputs)
        window = _pointwise(pixels, inputs)
        self.filters(step, taken, weights, given, window, arithmetic.of_dense(taken, weights, given), 1)

    def filters(
        self,
        step: Step,
        taken: Tensor,
        weights: Tensor,
        given: Tensor,
        window: dict[str, int],
        factors: Sequence[Factor],
        groups: int,
    ) -> None:
        """A convolution: weights for four filters at a time, each group's filled up with zeros."""
        assert weights.values is not None
        filters = weights.shape[0] // groups
        rows = weights.values.reshape(groups, filters, -1)
        padded = -(-filters // FILTERS) * FILTERS
        zero = int(taken.zeros[0])
        bias = self.bias(step, weights.shape[0]) - zero * rows.astype(np.int64).sum(-1).ravel()
        if np.abs(bias).max(initial=0) + 128 * 127 * rows.shape[-1] > LARGEST:
            raise ModelError(f"{weights.name}: its sums may need more than 32 bits")
        multipliers, shifts = _arrays(factors, weights.shape[0])

        def filled(values: np.ndarray) -> np.ndarray:
            grouped = values.reshape(groups, filters, *values.shape[1:])
            return np.pad(grouped, ((0, 0), (0, padded - filters), *((0, 0),) * (values.ndim - 1)))

        blocks = filled(weights.values.reshape(weights.shape[0], -1)).reshape(groups * padded // FILTERS, FILTERS, -1)
        is_direct = _is_inside(window) and window["rows"] == window["columns"] == 1
        source = self.source(self.unpadded(step.inputs[0]))
        written = self.output_block(step.output)
        patch: Value = 0 if is_direct else self.scratch(rows.shape[-1])
        before = distance(_begins(window), weights.shape[0], reads_on=is_direct or groups > 1)
        self.may_overlap(written, source, before)
        least, most = self.limits(step, given)
        self.call(
            "conv",
            input=source,
            output=written,
            patch=patch,
            weights=self.constant("weights", blocks.transpose(0, 2, 1)),
            bias=self.constant("bias", filled(bias).astype(np.int32)),
            multipliers=self.constant("multipliers", filled(multipliers)),
            shifts=self.constant("shifts", filled(shifts)),
            window=window,
            groups=groups,
            filters=filters,
            zero=zero,
            output_zero=int(given.zeros[0]),
            least=least,
            most=most,
            rounds_once=int(step.operator == "FULLY_CONNECTED"),
        )

    def depthwise(self, step: Step) -> None:
        taken, weights, given = self.padless(step.inputs[0]), self.weights(step), self.graph.tensor(step.output)
        assert weights.values is not None
        _, rows, columns, outputs = weights.shape
        window = self.window(step, taken, given, (rows, columns))
        multipliers, shifts = _arrays(arithmetic.of_filters(taken, weights, given), outputs)
        source = self.source(self.unpadded(step.inputs[0]))
        written = self.output_block(step.output)
        self.may_overlap(written, source, distance(_begins(window), outputs))
        least, most = self.limits(step, given)
        self.call(
            "depthwise",
            input=source,
            output=written,
            weights=self.constant("weights", weights.values),
            bias=self.constant("bias", self.bias(step, outputs).astype(np.int32)),
            multipliers=self.constant("multipliers", multipliers),
            shifts=self.constant("shifts", shifts),
            window=window,
            filters=outputs // taken.shape[3],
            zero=int(taken.zeros[0]),
            output_zero=int(given.zeros[0]),
            least=least,
            most=most,
        )

    def pool(self, step: Step) -> None:
        taken, given = self.padless(step.inputs[0]), self.graph.tensor(step.output)
        _same_scale(step, taken, given)
        sides = step.options["filterHeight"], step.options["filterWidth"]
        window = self.window(step, taken, given, sides)
        source = self.source(self.unpadded(step.inputs[0]))
        written = self.output_block(step.output)
        self.may_overlap(written, source, distance(_begins(window), taken.shape[3]))
        kernel = "max_pool" if step.operator == "MAX_POOL_2D" else "average_pool"
        least, most = self.limits(step, given)
        self.call(kernel, input=source, output=written, window=window, least=least, most=most)

    def sum(self, step: Step) -> None:
        a, b, given = map(self.graph.tensor, (*step.inputs, step.output))
        first, second, result = arithmetic.of_sum(a, b, given)
        self.elementwise(
            "add",
            step,
            a_multiplier=first.multiplier,
            b_multiplier=second.multiplier,
            multiplier=result.multiplier,
            a_shift=first.shift,
            b_shift=second.shift,
            shift=result.shift,
            sign=-1 if step.operator == "SUB" else 1,
        )

    def product(self, step: Step) -> None:
        a, b, given = map(self.graph.tensor, (*step.inputs, step.output))
        factor = arithmetic.of_product(a, b, given)
        self.elementwise("mul", step, multiplier=factor.multiplier, shift=factor.shift)

    def elementwise(self, kernel: str, step: Step, **values: Value) -> None:
        a, b, given = map(self.graph.tensor, (*step.inputs, step.output))
        sides, a_steps, b_steps = _walked(
            given.shape, _broadcast(a.shape, given.shape), _broadcast(b.shape, given.shape)
        )
        first, second = self.source(step.inputs[0]), self.source(step.inputs[1])
        written = self.output_block(step.output)
        for read, tensor in ((first, a), (second, b)):
            if _count(tensor.shape) == _count(given.shape):
                self.may_overlap(written, read, 0)
        least, most = self.limits(step, given)
        self.call(
            kernel,
            a=first,
            b=second,
            output=written,
            sides=sides,
            a_steps=a_steps,
            b_steps=b_steps,
            **values,
            a_zero=int(a.zeros[0]),
            b_zero=int(b.zeros[0]),
            output_zero=int(given.zeros[0]),
            least=least,
            most=most,
        )

    def reduction(self, step: Step) -> None:
        taken, given = self.graph.tensor(step.inputs[0]), self.graph.tensor(step.output)
        axes = sorted({int(axis) % len(taken.shape) for axis in np.ravel(self.values(step.inputs[1]))})
        if axes != list(range(axes[0], axes[-1] + 1)):
            raise ModelError(f"the C code reduces neighbouring sides; {step.operator} has {axes}")
        outer, inner = _count(taken.shape[: axes[0]]), _count(taken.shape[axes[-1] + 1 :])
        length = _count([taken.shape[axis] for axis in axes])
        _check_count(step, given, outer * inner)
        factor = arithmetic.of_reduction(taken, given)
        if step.operator == "MEAN":
            factor = factor.over(length)
        source, written = self.source(step.inputs[0]), self.output_block(step.output)
        self.call(
            "reduce",
            input=source,
            output=written,
            outer=outer,
            length=length,
            inner=inner,
            multiplier=factor.multiplier,
            shift=factor.shift,
            zero=int(taken.zeros[0]),
            output_zero=int(given.zeros[0]),
        )

    def function(self, step: Step) -> None:
        count = _count(self.graph.tensor(step.output).shape)
        _check_count(step, self.graph.tensor(step.inputs[0]), count)
        source, written = self.source(step.inputs[0]), self.output_block(step.output)
        self.may_overlap(written, source, 0)
        values = self.constant("table", table(self.graph, step))
        self.call("lookup", input=source, output=written, table=values, count=count)

    def reshape(self, step: Step) -> None:
        """The same bytes."""
        taken, given = self.graph.tensor(step.inputs[0]), self.graph.tensor(step.output)
        _same_scale(step, taken, given)
        _check_count(step, given, _count(taken.shape))
        self.source(step.inputs[0])
        self.blocks[step.output] = self.block(step.inputs[0])

    def pad(self, step: Step) -> None:
        taken, given = self.graph.tensor(step.inputs[0]), self.graph.tensor(step.output)
        _same_scale(step, taken, given)
        around = self.values(step.inputs[1]).reshape(-1, 2)
        zero = int(given.zeros[0])
        value = zero
        if len(step.inputs) > 2:
            _same_scale(step, self.graph.tensor(step.inputs[2]), given)
            value = int(self.values(step.inputs[2]).ravel()[0])
        if value == zero and len(around) == 4 and not around[[0, 3]].any() and self.readers_pad(step.output, zero):
            self.pads[step.output] = (step.inputs[0], around[1:3])
            return
        if tuple(np.add(taken.shape, around.sum(1))) != given.shape:
            raise ModelError(f"PAD of {list(taken.shape)} gives {list(given.shape)}")
        source, written = self.source(step.inputs[0]), self.output_block(step.output)
        self.call("fill", output=written, count=_count(given.shape), value=value)
        begin = sum(int(one) * part for one, part in zip(around[:, 0], _steps(given.shape), strict=True))
        self.move(source, written, taken.shape, _steps(taken.shape), _steps(given.shape), to=begin)

    def readers_pad(self, number: int, zero: int) -> bool:
        """Whether all that reads a tensor may as well pad it itself."""
        readers = self.graph.readers(number)
        windows = ("CONV_2D", "DEPTHWISE_CONV_2D", *(("MAX_POOL_2D",) if zero == -128 else ()))
        return number != self.graph.output and all(
            one.operator in windows and one.options["padding"] != SAME for one in readers
        )

    def slice(self, step: Step) -> None:
        taken, given = self.graph.tensor(step.inputs[0]), self.graph.tensor(step.output)
        _same_scale(step, taken, given)
        begin, end, stride = (self.values(number).ravel().tolist() for number in step.inputs[1:])
        options = step.options
        if options.get("ellipsisMask") or options.get("newAxisMask") or options.get("offset"):
            raise ModelError("the C code has no slices with an ellipsis or a new axis")
        steps, at, sides, moved = _steps(taken.shape), 0, [], []
        for axis, side in enumerate(taken.shape):
            found = slice(
                None if options.get("beginMask", 0) >> axis & 1 else begin[axis],
                None if options.get("endMask", 0) >> axis & 1 else end[axis],
                stride[axis],
            )
            if options.get("shrinkAxisMask", 0) >> axis & 1:
                found = slice(begin[axis] % side, begin[axis] % side + 1, 1)
            first, _, stepped = found.indices(side)
            sides.append(len(range(*found.indices(side))))
            at += first * steps[axis]
            moved.append(stepped * steps[axis])
        _check_count(step, given, _count(sides))
        source, written = self.source(step.inputs[0]), self.output_block(step.output)
        self.move(source, written, sides, moved, _steps(sides), at=at)

    def transpose(self, step: Step) -> None:
        taken, given = self.graph.tensor(step.inputs[0]), self.graph.tensor(step.output)
        _same_scale(step, taken, given)
        steps, order = _steps(taken.shape), self.values(step.inputs[1]).ravel().tolist()
        _check_count(step, given, _count(taken.shape))
        source, written = self.source(step.inputs[0]), self.output_block(step.output)
        self.move(source, written, given.shape, [steps[axis] for axis in order], _steps(given.shape))

    def join(self, step: Step) -> None:
        given = self.graph.tensor(step.output)
        axis = step.options["axis"] % len(given.shape)
        steps, at = _steps(given.shape), 0
        sources = [self.source(number) for number in step.inputs]
        written = self.output_block(step.output)
        for number, source in zip(step.inputs, sources, strict=True):
            taken = self.graph.tensor(number)
            _same_scale(step, taken, given)
            self.move(source, written, taken.shape, _steps(taken.shape), steps, to=at)
            at += taken.shape[axis] * steps[axis]
        _check_count(step, given, sum(_count(self.graph.tensor(number).shape) for number in step.inputs))

    def move(
        self,
        source: Place | Constant,
        written: Place,
        shape: Sequence[int],
        steps: Sequence[int],
        output_steps: Sequence[int],
        *,
        at: int = 0,
        to: int = 0,
    ) -> None:
        sides, read, put = _walked(shape, steps, output_steps)
        source, written = replace(source, offset=at), replace(written, offset=to)
        self.call("move", input=source, output=written, sides=sides, steps=read, output_steps=put)

    # Parts of operators.

    def values(self, number: int) -> np.ndarray:
        """A constant's numbers."""
        values = self.graph.tensor(number).values
        if values is None:
            raise ModelError(f"{self.graph.tensor(number).name} is computed, and must be a constant for the C code")
        return values

    def weights(self, step: Step) -> Tensor:
        tensor = self.graph.tensor(step.inputs[1])
        if self.values(step.inputs[1]).dtype != np.int8 or tensor.zeros.any():
            raise ModelError(f"the C code has weights of int8 with a zero point of 0; {tensor.name} is another")
        return tensor

    def bias(self, step: Step, outputs: int) -> np.ndarray:
        if len(step.inputs) < 3 or step.inputs[2] < 0:
            return np.zeros(outputs, np.int64)
        return self.values(step.inputs[2]).astype(np.int64).ravel()

    def limits(self, step: Step, given: Tensor) -> tuple[int, int]:
        activation = step.options.get("fusedActivationFunction", 0)
        try:
            return arithmetic.limits(activation, given)
        except KeyError:
            raise ModelError(f"the C code has no fused activation {activation}, which {step.operator} has") from None

    def padless(self, number: int) -> Tensor:
        """What a step with a window reads: a tensor without the pads around it."""
        return self.graph.tensor(self.unpadded(number))

    def unpadded(self, number: int) -> int:
        return self.pads[number][0] if number in self.pads else number

    def window(self, step: Step, taken: Tensor, given: Tensor, sides: tuple[int, int]) -> dict[str, int]:
        if len(taken.shape) != 4 or taken.shape[0] != 1:
            raise ModelError(f"the C code takes one image at a time; {taken.name} is {list(taken.shape)}")
        options = step.options
        strides = options["strideH"], options["strideW"]
        dilations = options.get("dilationHFactor", 1), options.get("dilationWFactor", 1)
        pads = [0, 0]
        if step.inputs[0] in self.pads:
            pads = [int(one) for one in self.pads[step.inputs[0]][1][:, 0]]
        elif options["padding"] == SAME:
            for axis in range(2):
                reach = (given.shape[1 + axis] - 1) * strides[axis] + (sides[axis] - 1) * dilations[axis] + 1
                pads[axis] = max(reach - taken.shape[1 + axis], 0) // 2
        window = {
            "height": taken.shape[1],
            "width": taken.shape[2],
            "channels": taken.shape[3],
            "output_height": given.shape[1],
            "output_width": given.shape[2],
            "rows": sides[0],
            "columns": sides[1],
            "stride_y": strides[0],
            "stride_x": strides[1],
            "dilation_y": dilations[0],
            "dilation_x": dilations[1],
            "top": pads[0],
            "left": pads[1],
        }
        return _short(window)


OPERATORS: dict[str, Callable[[_Lowering, Step], None]] = {
    "ADD": _Lowering.sum,
    "AVERAGE_POOL_2D": _Lowering.pool,
    "CONCATENATION": _Lowering.join,
    "CONV_2D": _Lowering.convolution,
    "DEPTHWISE_CONV_2D": _Lowering.depthwise,
    "EXPAND_DIMS": _Lowering.reshape,
    "FULLY_CONNECTED": _Lowering.dense,
    "HARD_SWISH": _Lowering.function,
    "LOGISTIC": _Lowering.function,
    "MAX_POOL_2D": _Lowering.pool,
    "MEAN": _Lowering.reduction,
    "MUL": _Lowering.product,
    "PAD": _Lowering.pad,
    "PADV2": _Lowering.pad,
    "QUANTIZE": _Lowering.function,
    "RELU": _Lowering.function,
    "RELU6": _Lowering.function,
    "RESHAPE": _Lowering.reshape,
    "SQUEEZE": _Lowering.reshape,
    "STRIDED_SLICE": _Lowering.slice,
    "SUB": _Lowering.sum,
    "TANH": _Lowering.function,
    "TRANSPOSE": _Lowering.transpose,
}
"""What there is C code for."""


def _arrays(factors: Sequence[Factor], outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """The multipliers and shifts of so many outputs, which may have one for all."""
    found = factors if len(factors) > 1 else [*factors] * outputs
    return np.array([one.multiplier for one in found], np.int32), np.array([one.shift for one in found], np.int8)


def _check_count(step: Step, given: Tensor, count: int) -> None:
    """Refuse a damaged graph, whose result would not fit where it is to lie."""
    if _count(given.shape) != count:
        raise ModelError(f"{step.operator} gives {count} numbers; {given.name} is {list(given.shape)}")


def _count(shape: Sequence[int]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _steps(shape: Sequence[int]) -> list[int]:
    """How far apart neighbours are along each side, in numbers."""
    return [_count(shape[axis + 1 :]) for axis in range(len(shape))]


def _broadcast(shape: Sequence[int], onto: Sequence[int]) -> list[int]:
    """The steps of a tensor along the sides of a larger one: 0 where it is repeated."""
    sides = [1] * (len(onto) - len(shape)) + list(shape)
    return [0 if side == 1 else step for side, step in zip(sides, _steps(sides), strict=True)]


def _walked(shape: Sequence[int], a: Sequence[int], b: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Sides and the steps along them of two tensors, as few as do it, filled up to four.

    Raises:
        ModelError: More are needed.
    """
    walked: list[tuple[int, int, int]] = []
    for side, one, other in zip(shape, a, b, strict=True):
        if side == 1:
            continue
        if walked and walked[-1][1] == one * side and walked[-1][2] == other * side:
            walked[-1] = (walked[-1][0] * side, one, other)
        else:
            walked.append((side, one, other))
    if len(walked) > MOST_SIDES:
        raise ModelError(f"the C code walks through {MOST_SIDES} sides; a tensor of {list(shape)} needs {len(walked)}")
    filled = [(1, 0, 0)] * (MOST_SIDES - len(walked)) + walked
    return tuple(zip(*filled, strict=True))


def _same_scale(step: Step, taken: Tensor, given: Tensor) -> None:
    if not np.array_equal(taken.scales, given.scales) or not np.array_equal(taken.zeros, given.zeros):
        raise ModelError(f"{step.operator} changes the scale, for which there is no C code")


def _short(window: dict[str, int]) -> dict[str, int]:
    longest = max(window, key=lambda name: window[name])
    if window[longest] > LONGEST_SIDE:
        raise ModelError(f"the C code has sides of at most {LONGEST_SIDE}; one is {window[longest]}")
    return window


def _pointwise(pixels: int, channels: int) -> dict[str, int]:
    """A window of one pixel over a row of them."""
    sides = {"height": 1, "width": pixels, "channels": channels, "output_height": 1, "output_width": pixels}
    ones = dict.fromkeys(("rows", "columns", "stride_y", "stride_x", "dilation_y", "dilation_x"), 1)
    return _short({**sides, **ones, "top": 0, "left": 0})


def _is_inside(window: dict[str, int]) -> bool:
    """Whether no window reaches beyond the image."""
    height = (window["output_height"] - 1) * window["stride_y"] + (window["rows"] - 1) * window["dilation_y"] + 1
    width = (window["output_width"] - 1) * window["stride_x"] + (window["columns"] - 1) * window["dilation_x"] + 1
    return not window["top"] and not window["left"] and height <= window["height"] and width <= window["width"]


def _begins(window: dict[str, int]) -> np.ndarray:
    """The first byte of the input in the window of each pixel of the output."""
    rows = np.maximum(np.arange(window["output_height"]) * window["stride_y"] - window["top"], 0)
    columns = np.maximum(np.arange(window["output_width"]) * window["stride_x"] - window["left"], 0)
    return ((rows[:, None] * window["width"] + columns) * window["channels"]).ravel()
