"""A `.tflite` file looked through before the runtime sees it.

The runtime believes a file: an index out of range, or a stride of 0, ends the process. So what is checked is not only
that all parts are inside the file, but that they name each other rightly. Only what this package's exports are made of
is allowed: one graph of the operators below, with constants in the file.

The numbers of fields are those of TensorFlow Lite's schema (tensorflow/compiler/mlir/lite/schema/schema.fbs).
"""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnet.errors import ModelError
from keras_resnet.inference.flatbuffer import Buffer, FlatBufferError, Table, indices, product
from keras_resnet.regular_files import read_bytes
from keras_resnet.shortage import refuse_shortage
from keras_resnet.stamp import ArchiveError, flatbuffer_size, opened_archive

IDENTIFIER = b"TFL3"
VERSION = 3
BYTES = {0: 4, 1: 2, 2: 4, 3: 1, 4: 8, 6: 1, 7: 2, 9: 1, 10: 8}  # float32, float16, int32, uint8, int64, bool, …
"""Of one number, for each `TensorType` that is allowed; the rest are int16, int8, float64."""
RANGES = {3: (0, 255), 7: (-(2**15), 2**15 - 1), 9: (-128, 127)}
"""Of the zero points of quantised types."""
LARGEST_SUM, LARGEST_PRODUCT = float(1 << 19), float(1 << 30)
"""How many times the scale of a sum, or of another result, the scales that go into it may be."""
MOST_BYTES = 1 << 31
"""Of one tensor."""
LONGEST_STEP = 1 << 15
"""Of a stride, a dilation and the side of a window."""


@dataclass(frozen=True)
class Operator:
    """What is known of an operator.

    Args:
        name: As the schema calls it.
        options: The number of the table of its options; 0: it has none.
        fields: The fields of that table, a letter each: `p` padding, `a` activation, `s` a step that must be there,
            `d` a step that is 1 where it is left out, `t` a type, `z` must be 0, `i` any integer, `f` any float, `b` a
            byte, `?` yes or no, `v` a vector of integers.
        inputs: The fewest and most.
        outputs: The fewest and most.
    """

    name: str
    options: int = 0
    fields: str = ""
    inputs: tuple[int, int] = (1, 1)
    outputs: tuple[int, int] = (1, 1)


ONE, TWO, THREE, FOUR, MANY = (1, 1), (2, 2), (3, 3), (4, 4), (1, 1 << 12)
OPERATORS = {
    0: Operator("ADD", 11, "a?", TWO),
    1: Operator("AVERAGE_POOL_2D", 5, "pssssa"),
    2: Operator("CONCATENATION", 10, "ia", MANY),
    3: Operator("CONV_2D", 1, "pssaddt", (2, 3)),
    4: Operator("DEPTHWISE_CONV_2D", 2, "psssadd", (2, 3)),
    6: Operator("DEQUANTIZE", 38),
    9: Operator("FULLY_CONNECTED", 8, "az??t", (2, 3)),
    14: Operator("LOGISTIC"),
    17: Operator("MAX_POOL_2D", 5, "pssssa"),
    18: Operator("MUL", 21, "a", TWO),
    19: Operator("RELU"),
    21: Operator("RELU6"),
    22: Operator("RESHAPE", 17, "v", (1, 2)),
    23: Operator("RESIZE_BILINEAR", 15, "ii??", TWO),
    25: Operator("SOFTMAX", 9, "f"),
    28: Operator("TANH"),
    34: Operator("PAD", 22, "", TWO),
    36: Operator("GATHER", 23, "ii", TWO),
    39: Operator("TRANSPOSE", 26, "", TWO),
    40: Operator("MEAN", 27, "?", TWO),
    41: Operator("SUB", 28, "a?", TWO),
    42: Operator("DIV", 29, "a", TWO),
    43: Operator("SQUEEZE", 30, "v"),
    45: Operator("STRIDED_SLICE", 32, "iiiii?", FOUR),
    47: Operator("EXP", 33),
    49: Operator("SPLIT", 35, "s", TWO, MANY),
    50: Operator("LOG_SOFTMAX", 36),
    53: Operator("CAST", 37, "tt"),
    55: Operator("MAXIMUM", 39, "", TWO),
    57: Operator("MINIMUM", 39, "", TWO),
    59: Operator("NEG", 42),
    60: Operator("PADV2", 43, "", THREE),
    65: Operator("SLICE", 48, "", THREE),
    70: Operator("EXPAND_DIMS", 52, "", TWO),
    74: Operator("SUM", 27, "?", TWO),
    76: Operator("RSQRT"),
    77: Operator("SHAPE", 55, "t"),
    82: Operator("REDUCE_MAX", 27, "?", TWO),
    83: Operator("PACK", 59, "si", MANY),
    99: Operator("SQUARED_DIFFERENCE", 76, "", TWO),
    100: Operator("MIRROR_PAD", 77, "b", TWO),
    114: Operator("QUANTIZE", 89),
    117: Operator("HARD_SWISH", 91),
    126: Operator("BATCH_MATMUL", 101, "???", TWO),
    150: Operator("GELU", 116, "?"),
}
"""By `BuiltinOperator`. An operator that exports come to need is a row here."""


def read_tflite(path: Path) -> bytes:
    """The content of a `.tflite` file that was looked through.

    Raises:
        ModelError: It is damaged.
    """
    check_tflite(path)
    try:
        return read_bytes(path, MOST_BYTES)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from None


def check_tflite(path: Path) -> None:
    """Look through a `.tflite` file: bounds, indices, sizes, the order of operators. Constants are not read.

    Raises:
        ModelError: The runtime could stumble over it.
    """
    try:
        content = np.memmap(path, np.uint8, "r")  # only the pages that are looked at are read
        size = len(content)
        if zipfile.is_zipfile(path):
            with opened_archive(path) as archive:
                size = flatbuffer_size(archive)
        _check_model(np.asarray(content).data[:size])
    except (OSError, ValueError, ArchiveError, FlatBufferError) as error:
        refuse_shortage(error, f"read {path}")
        raise ModelError(f"{path} cannot be read as a TFLite model: {error}") from None


def _check_model(content: memoryview) -> None:
    if bytes(content[4:8]) != IDENTIFIER:
        raise FlatBufferError(f"its bytes 4 to 8 are {bytes(content[4:8])!r}, expected {IDENTIFIER!r}")
    model = Buffer(content).root()
    model.refuse_fields(8, what="the model")
    if model.integer(0, "I") != VERSION:
        raise FlatBufferError(f"it is of version {model.integer(0, 'I')}, expected {VERSION}")
    model.text(3)
    operators = [_operator(table) for table in model.tables(1)]
    constants = [_bytes_of(table) for table in model.tables(4)]
    indices(model.numbers(5, np.int32), len(constants), "the buffer")
    for entry in model.tables(6):
        entry.refuse_fields(2, what="an entry of the metadata")
        entry.text(0)
        _index(entry.integer(1, "I"), len(constants), "the buffer")
    graphs = model.tables(2)
    if len(graphs) != 1:
        raise FlatBufferError(f"it has {len(graphs)} graphs, expected one")
    tensors = _check_graph(graphs[0], operators, constants)
    for signature in model.tables(7):
        signature.refuse_fields(5, 3, what="a signature")
        signature.text(2)
        _index(signature.integer(4, "I"), 1, "the graph")
        for name in (*signature.tables(0), *signature.tables(1)):
            name.text(0)
            _index(name.integer(1, "I"), tensors, "the tensor")


def _operator(table: Table) -> Operator:
    table.refuse_fields(4, 1, what="an operator")
    code = max(table.integer(0, "b"), table.integer(3, "i"))
    if code not in OPERATORS:
        raise FlatBufferError(f"it has the operator {code}, which is none of those that exports are made of")
    return OPERATORS[code]


def _bytes_of(table: Table) -> int:
    table.refuse_fields(1, what="a buffer")  # constants behind the flatbuffer, for files of more than 2 GB
    return len(table.numbers(0, np.uint8))


@dataclass
class Tensor:
    """What the checks of a graph need to know of a tensor.

    Args:
        shape: Of what it holds.
        is_constant: Whether the file holds its numbers.
        scale: The largest, of integers that stand for other numbers; else 0.
    """

    shape: tuple[int, ...]
    is_constant: bool
    scale: float


def _check_graph(graph: Table, operators: list[Operator], constants: list[int]) -> int:
    """The number of its tensors."""
    graph.refuse_fields(5, what="the graph")
    graph.text(4)
    tensors = [_tensor(table, constants) for table in graph.tables(0)]
    count = len(tensors)
    ends = [indices(graph.numbers(field, np.int32), count, "the tensor") for field in (1, 2)]
    if [len(end) for end in ends] != [1, 1]:
        raise FlatBufferError(f"it has {len(ends[0])} inputs and {len(ends[1])} outputs, expected one of each")
    there = {number for number, tensor in enumerate(tensors) if tensor.is_constant}

    def write(written: list[int]) -> None:
        if there.intersection(written) or len(set(written)) < len(written):
            raise FlatBufferError(f"it writes one of the tensors {written} twice")
        there.update(written)

    write(ends[0])
    for step in graph.tables(3):
        write(_check_step(step, operators, tensors, there))
    if not there.issuperset(ends[1]) or tensors[ends[1][0]].is_constant:
        raise FlatBufferError("no operator writes its output")
    for tensor in (tensors[end[0]] for end in ends):
        if not tensor.shape:
            raise FlatBufferError("its input or output is a single number")
    return count


def _check_step(step: Table, operators: list[Operator], tensors: list[Tensor], there: set[int]) -> list[int]:
    """The tensors that a step of a graph writes."""
    count = len(tensors)
    step.refuse_fields(9, 5, 7, 8, what="a step of the graph")
    operator = operators[_index(step.integer(0, "I"), len(operators), "the operator")]
    read = indices(step.numbers(1, np.int32), count, "the tensor", may_lack=operator.inputs[0])
    written = indices(step.numbers(2, np.int32), count, "the tensor")
    for found, (fewest, most), what in ((read, operator.inputs, "reads"), (written, operator.outputs, "writes")):
        if not fewest <= len(found) <= most:
            raise FlatBufferError(f"its {operator.name} {what} {len(found)} tensors, expected {fewest} to {most}")
    missing = {tensor for tensor in read if tensor >= 0} - there
    if missing:
        raise FlatBufferError(f"its {operator.name} reads the tensors {sorted(missing)} before they are written")
    _check_options(step, operator)
    _check_scales(operator, [tensors[one] for one in read if one >= 0], [tensors[one] for one in written])
    return written


def _check_scales(operator: Operator, read: list[Tensor], written: list[Tensor]) -> None:
    """Kernels multiply by quotients of scales, and end the process where one is too large for 31 bits."""
    scales = [tensor.scale for tensor in read if tensor.scale]
    largest = max([*scales, math.prod(scales)])
    most = LARGEST_SUM if operator.name in ("ADD", "SUB") else LARGEST_PRODUCT
    for tensor in written:
        if tensor.scale and largest >= most * tensor.scale:
            raise FlatBufferError(
                f"its {operator.name} has scales {scales} and {tensor.scale}, which are too far apart"
            )


def _check_options(step: Table, operator: Operator) -> None:
    kind, options = step.integer(3, "B"), step.table(4)
    if kind not in (0, operator.options) or (kind == 0) != (options is None):
        raise FlatBufferError(f"its {operator.name} has options of the kind {kind}, expected {operator.options}")
    if options is None:
        if "s" in operator.fields:
            raise FlatBufferError(f"its {operator.name} has no options")
        return
    options.refuse_fields(len(operator.fields), what=f"its {operator.name}")
    for field, kind_of_field in enumerate(operator.fields):
        if kind_of_field == "v":
            options.numbers(field, np.int32)
            continue
        layout, default, least, most = FIELDS[kind_of_field]
        value = options.number(field, layout, default)
        if not least <= value <= most:
            raise FlatBufferError(f"its {operator.name} has {value} in field {field}, expected {least} to {most}")


FIELDS: dict[str, tuple[str, int, float, float]] = {
    "p": ("b", 0, 0, 1),
    "a": ("b", 0, 0, 5),
    "s": ("i", 0, 1, LONGEST_STEP),
    "d": ("i", 1, 1, LONGEST_STEP),
    "t": ("b", 0, 0, max(BYTES)),
    "z": ("b", 0, 0, 0),
    "i": ("i", 0, -(2**31), 2**31 - 1),
    "f": ("f", 0, -math.inf, math.inf),
    "b": ("b", 0, 0, 1),
    "?": ("B", 0, 0, 1),
}
"""Of the letters of `Operator.fields`: how they are stored, their default, and the least and most they may be."""


def _tensor(table: Table, constants: list[int]) -> Tensor:
    table.refuse_fields(9, 6, what="a tensor")
    name = table.text(3)
    shape, kind = table.numbers(0, np.int32), table.integer(1, "b")
    size = constants[_index(table.integer(2, "I"), len(constants), "the buffer")]
    if kind not in BYTES:
        raise FlatBufferError(f"its tensor {name!r} is of the type {kind}; expected one of {sorted(BYTES)}")
    if table.number(5, "B"):
        raise FlatBufferError(f"its tensor {name!r} is a variable")
    needed = product(shape) * BYTES[kind]
    if (len(shape) and shape.min() < (0 if size else 1)) or needed > MOST_BYTES or size not in (0, needed):
        raise FlatBufferError(f"its tensor {name!r} has the shape {shape.tolist()}, and {size} bytes in the file")
    variable = table.numbers(7, np.int32)
    if len(variable) and (len(variable) != len(shape) or variable.min() < -1):
        raise FlatBufferError(f"its tensor {name!r} has the shape {shape.tolist()}, and {variable.tolist()} as well")
    quantization = table.table(4)
    scale = 0.0 if quantization is None else _checked_scale(quantization, shape, kind, name)
    return Tensor(tuple(shape.tolist()), size > 0, scale)


def _checked_scale(table: Table, shape: np.ndarray, kind: int, name: str) -> float:
    table.refuse_fields(7, 4, 5, what=f"the quantisation of {name!r}")
    scales, zeros = table.numbers(2, np.float32), table.numbers(3, np.int64)
    lows, highs, axis = table.numbers(0, np.float32), table.numbers(1, np.float32), table.integer(6, "i")
    many = len(scales) > 1
    if (
        len(scales) != len(zeros)
        or len(lows) != len(highs)
        or (many and not (0 <= axis < len(shape) and shape[axis] == len(scales)))
    ):
        raise FlatBufferError(
            f"its tensor {name!r} of the shape {shape.tolist()} has {len(scales)} scales and {len(zeros)} zero points "
            f"along the axis {axis}"
        )
    least, most = RANGES.get(kind, (0, 0))
    if not (np.isfinite(scales).all() and (scales > 0).all() and (zeros >= least).all() and (zeros <= most).all()):
        raise FlatBufferError(f"its tensor {name!r} has scales or zero points that are out of range")
    return float(scales.max(initial=0)) if kind in RANGES else 0.0


def _index(value: int, count: int, what: str) -> int:
    return indices(np.array([value]), count, what)[0]
