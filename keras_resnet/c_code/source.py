"""The text of a network in C: `model.h`, `model.c`, and `selftest.c`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnet.c_code.lowering import Call, Constant, Place, Program, Value, lowered
from keras_resnet.c_code.names import definitions, label_rows
from keras_resnet.quantize.graph import Graph

KERNELS = Path(__file__).with_name("kernels")
NEEDS = {
    "add": ("clamp", "requantize"),
    "average_pool": ("clamp", "window"),
    "conv": ("clamp", "requantize", "requantize_once", "window"),
    "depthwise": ("clamp", "requantize", "window"),
    "fill": (),
    "lookup": (),
    "max_pool": ("clamp", "window"),
    "move": (),
    "mul": ("clamp", "requantize"),
    "reduce": ("clamp", "requantize"),
}
"""What each kernel calls."""
PARTS = ("clamp", "requantize", "requantize_once", "window")
"""What several kernels call, in an order in which each calls only those before it."""
ON_A_LINE = 24
TYPES = {"int8": "int8_t", "int32": "int32_t"}


@dataclass(frozen=True)
class Network:
    """A network in C.

    Args:
        texts: `model.h` and `model.c`, by the names of their files.
        arena: The bytes of memory that it works in.
        constants: The bytes of its weights, biases, multipliers and tables.
    """

    texts: dict[str, str]
    arena: int
    constants: int


def network(graph: Graph, labels: Sequence[str], several: bool) -> Network:
    """The code of a graph: the same graph and labels always give the same text.

    Args:
        graph: Of integers of 8 bits throughout.
        labels: Names of the classes.
        several: Whether an image may have several of them.

    Raises:
        ModelError: There is no C code for what the graph has.
    """
    program = lowered(graph)
    texts = {"model.h": _header(graph, program, labels, several), "model.c": _code(program, labels)}
    return Network(texts, program.arena, sum(values.nbytes for values in program.constants.values()))


def selftest(inputs: np.ndarray, outputs: np.ndarray) -> str:
    """`selftest.c`: a program that compares what the network gives with what it must.

    Args:
        inputs: Of the network, of 8 bits (n, …).
        outputs: What LiteRT's reference kernels make of them (n, …).
    """
    count = len(inputs)
    return f"""// Whether this machine computes what LiteRT's reference kernels do. Prints; returns 0 only if it does.
#include <stdio.h>

#include "model.h"

static const model_input_t inputs[{count}][{inputs[0].size}] = {{
{_rows(inputs)}
}};
static const model_output_t outputs[{count}][MODEL_OUTPUTS] = {{
{_rows(outputs)}
}};

int main(void) {{
  int wrong = 0;
  for (int image = 0; image < {count}; image++) {{
    model_output_t output[MODEL_OUTPUTS];
    if (model_run(inputs[image], output)) {{
      printf("image %d: model_run failed\\n", image);
      return 2;
    }}
    for (int i = 0; i < MODEL_OUTPUTS; i++) {{
      if (output[i] != outputs[image][i]) {{
        printf("image %d, output %d: %d, expected %d\\n", image, i, output[i], outputs[image][i]);
        wrong++;
      }}
    }}
  }}
  printf(wrong ? "FAILED: %d of %d outputs differ\\n" : "passed: %d of %d outputs differ\\n", wrong,
         {count} * MODEL_OUTPUTS);
  return wrong != 0;
}}
"""


def arena_bytes(header: str) -> int:
    """The bytes of working memory that a `model.h` states."""
    return int(header.split("#define MODEL_ARENA_BYTES ")[1].split()[0])


def _header(graph: Graph, program: Program, labels: Sequence[str], several: bool) -> str:
    return f"""// A network in C99 that needs no library. Made by keras_resnet.
#ifndef MODEL_H_
#define MODEL_H_

#include <stdint.h>

{definitions(graph, len(labels), several)}

// Working memory, in bytes: the static array that model.c has.
#define MODEL_ARENA_BYTES {program.arena}

#ifdef __cplusplus
extern "C" {{
#endif

extern const char* const model_labels[MODEL_CLASSES];

// Runs the network. Returns 0; 1 where a pointer is null. All calls use one arena: not for several threads at once.
// `input`: MODEL_HEIGHT rows of MODEL_WIDTH pixels of MODEL_CHANNELS numbers; `output`: MODEL_OUTPUTS numbers.
int model_run(const model_input_t* input, model_output_t* output);

#ifdef __cplusplus
}}
#endif

#endif  // MODEL_H_
"""


def _code(program: Program, labels: Sequence[str]) -> str:
    used = sorted({call.kernel for call in program.calls})
    parts = [part for part in PARTS if any(part in NEEDS[kernel] for kernel in used)]
    kernels = "\n".join((KERNELS / f"{name}.c").read_text() for name in (*parts, *used))
    calls = {kernel: [call for call in program.calls if call.kernel == kernel] for kernel in used}
    constants = "\n".join(_array(name, values) for name, values in program.constants.items())
    tables = "\n".join(
        f"static const struct {kernel} {kernel}s[] = {{\n{''.join(_row(call, program) for call in rows)}}};"
        for kernel, rows in calls.items()
    )
    return f"""// A network in C99 that needs no library. Made by keras_resnet.
// Its outputs equal those of LiteRT's reference kernels on the same model.tflite, to the last bit.
#include "model.h"

typedef char shifts_to_the_right_keep_the_sign[(-1 >> 1) == -1 ? 1 : -1];

{kernels}
static int8_t arena[MODEL_ARENA_BYTES];

{constants}

{tables}

const char* const model_labels[MODEL_CLASSES] = {{
{label_rows(labels)}
}};

int model_run(const model_input_t* input, model_output_t* output) {{
  if (!input || !output) return 1;
  int8_t *const pixels = {_pointer(program.input, program)};
  for (int32_t i = 0; i < (int32_t)MODEL_HEIGHT * MODEL_WIDTH * MODEL_CHANNELS; i++) pixels[i] = (int8_t)input[i];
{"".join(_calls(program))}  const int8_t *const result = {_pointer(program.output, program)};
  for (int32_t i = 0; i < MODEL_OUTPUTS; i++) output[i] = (model_output_t)result[i];
  return 0;
}}
"""


def _calls(program: Program) -> Iterator[str]:
    counts: dict[str, int] = {}
    for call in program.calls:
        number = counts.setdefault(call.kernel, 0)
        counts[call.kernel] += 1
        yield f"  {call.kernel}(&{call.kernel}s[{number}]);\n"


def _row(call: Call, program: Program) -> str:
    fields = ", ".join(f".{name} = {_value(value, program)}" for name, value in call.values.items())
    return f"    {{{fields}}},\n"


def _value(value: Value, program: Program) -> str:
    if isinstance(value, Place | Constant):
        return _pointer(value, program)
    if isinstance(value, tuple):
        return "{" + ", ".join(map(str, value)) + "}"
    if isinstance(value, dict):
        return "{" + ", ".join(f".{name} = {one}" for name, one in value.items()) + "}"
    return str(value)


def _pointer(value: Place | Constant, program: Program) -> str:
    if isinstance(value, Constant):
        return f"{value.name} + {value.offset}" if value.offset else value.name
    return f"arena + {program.places[value.block] + value.offset}"


def _array(name: str, values: np.ndarray) -> str:
    return f"static const {TYPES[values.dtype.name]} {name}[] = {{\n{_numbers(values)}}};"


def _numbers(values: np.ndarray) -> str:
    flat = values.ravel().tolist()
    return "".join(
        f"    {','.join(map(str, flat[start : start + ON_A_LINE]))},\n" for start in range(0, len(flat), ON_A_LINE)
    )


def _rows(values: np.ndarray) -> str:
    return "\n".join(f"    {{\n{_numbers(one)}    }}," for one in values)
