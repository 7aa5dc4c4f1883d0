"""A folder for TFLite Micro: the INT8 file as an aligned C array, labels, the size of the arena, a sketch of use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keras_resnet.atomic import write_folder_with
from keras_resnet.c_code.names import definitions, label_rows
from keras_resnet.errors import ModelError, UsageError
from keras_resnet.exports.material import Material
from keras_resnet.exports.tflite import integers_of, write_stamped
from keras_resnet.inference import micro
from keras_resnet.inference.predictors import FOLDER_MODEL, MICRO_DATA
from keras_resnet.quantize.graph import Graph
from keras_resnet.regular_files import RefusedFileError, read_bytes
from keras_resnet.stamp import ArchiveError, flatbuffer_size, opened_archive, read_stamp
from keras_resnet.tasks.table import task

RESOLVERS = {
    "ADD": "AddAdd",
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "CONCATENATION": "AddConcatenation",
    "CONV_2D": "AddConv2D",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "DEQUANTIZE": "AddDequantize",
    "DIV": "AddDiv",
    "EXPAND_DIMS": "AddExpandDims",
    "FULLY_CONNECTED": "AddFullyConnected",
    "HARD_SWISH": "AddHardSwish",
    "LOGISTIC": "AddLogistic",
    "MAX_POOL_2D": "AddMaxPool2D",
    "MAXIMUM": "AddMaximum",
    "MEAN": "AddMean",
    "MINIMUM": "AddMinimum",
    "MUL": "AddMul",
    "PAD": "AddPad",
    "PADV2": "AddPadV2",
    "QUANTIZE": "AddQuantize",
    "RELU": "AddRelu",
    "RELU6": "AddRelu6",
    "RESHAPE": "AddReshape",
    "SOFTMAX": "AddSoftmax",
    "SQUEEZE": "AddSqueeze",
    "STRIDED_SLICE": "AddStridedSlice",
    "SUB": "AddSub",
    "SUM": "AddSum",
    "TANH": "AddTanh",
    "TRANSPOSE": "AddTranspose",
}
"""What `MicroMutableOpResolver` calls an operator: those that TFLite Micro has kernels for and our networks use."""
MARGIN = 1.05
"""Of the arena: pointers of microcontrollers are smaller, their alignments may be larger."""
UNKNOWN_ARENA = 3
"""Without TFLite Micro at hand: an arena of so many times the largest two tensors."""


def write_micro(material: Material, path: Path) -> Sequence[str]:
    """Write a folder for TFLite Micro.

    Args:
        material: The model, its preprocessing, calibration images, and how it becomes integers.
        path: The folder, replaced as a whole.

    Returns:
        Remarks for the user.

    Raises:
        ModelError: TFLite Micro has no kernel for an operator of the network, or its runtime refuses it.
    """
    how = material.quantization
    if how is not None and how.max_drop is not None and how.wide == "float":
        raise UsageError(
            "a microcontroller's file is of integers: take wide='int16' (at the command line: --wide int16)"
        )
    content, more = integers_of(material)
    graph = Graph(content)
    operators = sorted({step.operator for step in graph.steps})
    missing = [name for name in operators if name not in RESOLVERS]
    if missing:
        raise ModelError(f"TFLite Micro has no kernel for {', '.join(missing)}, which the network has")
    remarks = [*more]
    if micro.is_installed():
        try:
            arena = micro.run_in_child(content)[1]
        except RuntimeError as error:
            raise ModelError(str(error)) from None
        measured = f"measured by TFLite Micro on this machine: {arena:,} bytes"
    else:
        sizes = sorted(graph.tensor(number).nbytes for number in graph.computed())
        arena = UNKNOWN_ARENA * sum(sizes[-2:])
        measured = "a guess: install the extra tflm to measure it"
    remarks.append(f"arena {measured}")
    labels = material.preprocessing.class_names
    several = task(material.preprocessing.task, labels).several

    def write(folder: Path) -> None:
        write_stamped(content, material.preprocessing, folder / FOLDER_MODEL)
        arena_bytes = -(-int(arena * MARGIN) // 16) * 16
        (folder / "model_data.h").write_text(_header(graph, labels, arena_bytes, measured, several))
        (folder / MICRO_DATA).write_text(_data(content, labels))
        (folder / "sketch.cc").write_text(_sketch(operators))

    write_folder_with(path, write)
    return remarks


def check_array(path: Path) -> None:
    """Compare the array of a folder with its `model.tflite`: what a device runs with what is verified.

    Args:
        path: The folder.

    Raises:
        ModelError: They are not of the same bytes and labels.
    """
    file = path / FOLDER_MODEL
    try:
        with opened_archive(file) as archive:
            content = read_bytes(file)[: flatbuffer_size(archive)]
        expected = _data(content, read_stamp(file).class_names).encode()
        is_same = read_bytes(path / MICRO_DATA, len(expected)) == expected
    except RefusedFileError:  # it is longer, or no file
        is_same = False
    except (OSError, ArchiveError) as error:
        raise ModelError(f"cannot compare {path / MICRO_DATA} with {file.name}: {error}") from None
    if not is_same:
        raise ModelError(
            f"{path / MICRO_DATA} is not what its {file.name} becomes: it was changed, or made by another version of "
            "this package. A device would run something else than what is verified: export it again"
        )


def _header(graph: Graph, labels: Sequence[str], arena: int, measured: str, several: bool) -> str:
    return f"""// A network for TensorFlow Lite Micro. Made by keras_resnet.
#ifndef MODEL_DATA_H_
#define MODEL_DATA_H_

#include <stdint.h>

{definitions(graph, len(labels), several)}

// Working memory, in bytes. {measured[0].upper()}{measured[1:]}.
#define MODEL_ARENA_BYTES {arena}

extern const unsigned char model_data[];
extern const unsigned int model_data_length;
extern const char* const model_labels[MODEL_CLASSES];

#endif  // MODEL_DATA_H_
"""


def _data(content: bytes, labels: Sequence[str]) -> str:
    rows = [content[start : start + 16] for start in range(0, len(content), 16)]
    numbers = "\n".join(f"    {', '.join(f'0x{one:02x}' for one in row)}," for row in rows)
    return f"""#include "model_data.h"

alignas(16) const unsigned char model_data[] = {{
{numbers}
}};
const unsigned int model_data_length = {len(content)};
const char* const model_labels[MODEL_CLASSES] = {{
{label_rows(labels)}
}};
"""


def _sketch(operators: Sequence[str]) -> str:
    added = "\n".join(f"  resolver.{RESOLVERS[name]}();" for name in operators)
    return f"""// A sketch of use: copy it into your program, and give it pixels of your camera.
#include "model_data.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

alignas(16) static uint8_t arena[MODEL_ARENA_BYTES];
static tflite::MicroInterpreter* interpreter;

// Returns 0, or what failed.
int model_begin() {{
  static tflite::MicroMutableOpResolver<{len(operators)}> resolver;
{added}
  static tflite::MicroInterpreter made(tflite::GetModel(model_data), resolver, arena, MODEL_ARENA_BYTES);
  interpreter = &made;
  return interpreter->AllocateTensors() == kTfLiteOk ? 0 : 1;
}}

// Returns the class with the largest logit, or -1; where an image may have several, compare each with
// MODEL_OUTPUT_ZERO instead. `pixels`: MODEL_HEIGHT rows of MODEL_WIDTH pixels of MODEL_CHANNELS bytes.
int model_classify(const uint8_t* pixels) {{
  model_input_t* input = tflite::GetTensorData<model_input_t>(interpreter->input(0));
  for (int i = 0; i < MODEL_HEIGHT * MODEL_WIDTH * MODEL_CHANNELS; ++i) {{
    input[i] = static_cast<model_input_t>(pixels[i] + MODEL_INPUT_ZERO);
  }}
  if (interpreter->Invoke() != kTfLiteOk) return -1;
  const model_output_t* output = tflite::GetTensorData<model_output_t>(interpreter->output(0));
  int best = 0;
  for (int i = 1; i < MODEL_OUTPUTS; ++i) {{
    if (output[i] > output[best]) best = i;
  }}
  return best;
}}
"""
