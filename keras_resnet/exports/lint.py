"""What of a network, its calibration images or its file will hurt on a device, said before it does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.errors import listed
from keras_resnet.quantize.graph import WEIGHTED, Graph

if TYPE_CHECKING:
    import keras

FEW = 100
"""Calibration images, below which ranges still grow with every one more: docs/log.md."""
NO_VARIANCE = 1e-10
"""A moving variance below this is that of a channel that never changed."""

EDGE_TPU = frozenset(
    """ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D EXPAND_DIMS FULLY_CONNECTED LOGISTIC MAX_POOL_2D
    MAXIMUM MEAN MINIMUM MUL PACK PAD QUANTIZE REDUCE_MAX RELU RELU6 RESHAPE RSQRT SLICE SOFTMAX SPLIT SQUEEZE
    STRIDED_SLICE SUB SUM TANH TRANSPOSE""".split()  # noqa: SIM905
)
"""Of ours, what Google's Edge TPU compiler takes: https://www.coral.ai/docs/edgetpu/models-intro."""
ETHOS_U = frozenset(
    """ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D EXPAND_DIMS FULLY_CONNECTED HARD_SWISH LOGISTIC
    MAX_POOL_2D MAXIMUM MEAN MINIMUM MIRROR_PAD MUL PACK PAD PADV2 QUANTIZE RELU RELU6 RESHAPE SLICE SOFTMAX SPLIT
    SQUEEZE STRIDED_SLICE SUB TANH TRANSPOSE""".split()  # noqa: SIM905
)
"""Of ours, what Vela puts on an Ethos-U: its SUPPORTED_OPS.md."""


def of_model(model: keras.Model) -> Iterator[str]:
    """Channels that never changed in the training, and inputs of any size."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            still = int((np.asarray(layer.moving_variance) < NO_VARIANCE).sum())
            if still:
                yield (
                    f"{still} channels of {layer.name} had no variance in the training: folded into the layer before, "
                    "their weights are multiplied by a large number, and what is a rounding error there becomes noise"
                )
    if None in model.input_shape[1:]:
        yield "the model takes images of any size; the file takes one size, that of its preprocessing"


def of_graph(graph: Graph) -> Iterator[str]:
    """Operators that cost, and those that accelerators lack."""
    operators = {step.operator for step in graph.steps}
    weights_seen, unfused = False, []
    for step in graph.steps:
        weights_seen |= step.operator in WEIGHTED
        constants = [number for number in step.inputs if number >= 0 and graph.tensor(number).is_constant]
        if weights_seen and step.operator in ("MUL", "ADD", "SUB") and constants:
            unfused.append(graph.tensor(step.output).name)
    if unfused:
        yield (
            f"{len(unfused)} normalisations are not folded into a convolution, as in pre-activation networks: each "
            "rounds once more and takes its own time"
        )
    if "SOFTMAX" in operators and graph.tensor(graph.input).dtype.itemsize == 1:
        yield (
            "the file ends with a softmax of eight bits, whose probabilities are multiples of 1/256: many classes tie. "
            "Give the device logits"
        )
    for title, known in (("the Edge TPU", EDGE_TPU), ("Ethos-U", ETHOS_U)):
        missing = sorted(operators - known)
        if missing:
            yield f"{title} has no {listed(missing)}: the processor computes these, and what follows"


def of_calibration(calibration: np.ndarray, others: np.ndarray | None) -> Iterator[str]:
    """Too few images, the same ones again, and images that are to test the file.

    Args:
        calibration: uint8 (n, height, width, channels).
        others: Images of the test; None: not known.
    """
    different = {image.tobytes() for image in calibration}
    if len(different) < FEW:
        yield (
            f"{len(different)} different calibration images are few: give {FEW} or more, of all classes, as the device "
            "will see them"
        )
    if others is not None:
        both = sum(image.tobytes() in different for image in others)
        if both:
            yield (
                f"{both} of the {len(others)} images that test the file were calibrated with: its figures are too good"
            )
