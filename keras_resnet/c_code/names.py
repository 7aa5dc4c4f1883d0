"""What a program in C must know of a network, shared by all formats that are C: sizes, scales, labels."""

from __future__ import annotations

from collections.abc import Sequence

from keras_resnet.quantize.graph import Graph

KINDS = {"int8": "int8_t", "uint8": "uint8_t"}


def definitions(graph: Graph, classes: int, several: bool) -> str:
    """Macros and types of a network's input and output.

    Args:
        graph: Of integers.
        classes: How many.
        several: Whether an image may have several.
    """
    height, width, channels = graph.tensor(graph.input).shape[1:]
    taken, given = graph.tensor(graph.input), graph.tensor(graph.output)
    meaning = "An image has each class whose logit is above 0." if several else "The largest one is the class."
    return f"""// The input: pixels of 0 to 255, each plus MODEL_INPUT_ZERO, rows first, channels last.
#define MODEL_HEIGHT {height}
#define MODEL_WIDTH {width}
#define MODEL_CHANNELS {channels}
#define MODEL_INPUT_ZERO ({int(taken.zeros[0])})
typedef {KINDS[taken.dtype.name]} model_input_t;

// The output: a logit is (value - MODEL_OUTPUT_ZERO) * MODEL_OUTPUT_SCALE. {meaning}
#define MODEL_CLASSES {classes}
#define MODEL_OUTPUTS {given.shape[-1]}
#define MODEL_OUTPUT_ZERO ({int(given.zeros[0])})
#define MODEL_OUTPUT_SCALE {float(given.scales[0])!r}f
typedef {KINDS[given.dtype.name]} model_output_t;"""


def label_rows(labels: Sequence[str]) -> str:
    """Names of classes as the rows of an array of C."""
    return "\n".join(f"    {text(name)}," for name in labels)


def text(name: str) -> str:
    """A name as a string of C: all but plain ASCII as octal escapes of its UTF-8, which no compiler reads otherwise."""
    plain = "".join(chr(one) if 32 <= one < 127 and chr(one) not in '"\\?' else f"\\{one:03o}" for one in name.encode())
    return f'"{plain}"'
