"""Post-training quantisation: a float `.tflite` graph becomes one of eight-bit integers.

The ranges of what is computed are chosen here (`ranges.METHODS`) and given to a quantiser: TensorFlow's, which its
converter ends with, or Google's `litert-quantizer`. Both keep weights per output channel, symmetrically.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec

import numpy as np

from keras_resnet.errors import MissingExtraError, ModelError, UsageError, listed
from keras_resnet.quantize.choices import ENGINES, RANGES, TYPES, WIDE
from keras_resnet.quantize.equalization import equalize
from keras_resnet.quantize.graph import Graph, weighted
from keras_resnet.quantize.ranges import METHODS, Seen, observe, run
from keras_resnet.shortage import refuse_shortage

LED = 2.0
"""How many times larger than what all other images show a range must be to be led by one image."""
JUDGED = 64
"""Calibration images on which ways of quantising are compared."""


@dataclass(frozen=True)
class Quantization:
    """How a network becomes integers. What is None is tried, and what differs least from the float network is taken.

    Args:
        ranges: How the range of each activation is found on the calibration images: `minmax`, `percentile` (99.99 %),
            `mse` (the least squared error) or `octav` (Sakr et al., 2022). Weights have the range of their channel.
        equalize: Whether to balance the channels of neighbouring layers first (Nagel et al., Data-Free Quantization
            Through Weight Equalization and Bias Correction, 2019, https://arxiv.org/abs/1906.04721).
        correct_bias: Whether to move biases by the mean error of the rounded weights (the same paper).
        io: The type of the pixels that go in and the logits that come out: `int8`, pixel - 128; or `uint8`.
        engine: What quantises: `tensorflow`, or `litert-quantizer`, an extra.
        max_drop: Points of accuracy that the file may lose on the images it is verified with; where they have no
            labels, points of agreement with the model. Layers are widened, the most sensitive first, until it loses
            no more. None: as it comes.
        wide: What layers are widened to: `int16` activations, as TFLite Micro and NPUs have them; or `float`.

    Raises:
        UsageError: A value is none of these.
    """

    ranges: str | None = None
    equalize: bool | None = None
    correct_bias: bool | None = None
    io: str = "int8"
    engine: str = "tensorflow"
    max_drop: float | None = None
    wide: str = "int16"

    def __post_init__(self) -> None:
        for name, allowed in (("ranges", (*RANGES, None)), ("io", TYPES), ("engine", ENGINES), ("wide", WIDE)):
            if getattr(self, name) not in allowed:
                known = [one for one in allowed if one]
                raise UsageError(f"{name} must be one of {listed(known)}; received {getattr(self, name)!r}")

        if self.max_drop is not None and self.io != "int8":
            raise UsageError("max_drop widens layers of files with int8 in and out: leave io out, or max_drop")

    @property
    def tries(self) -> list[Quantization]:
        """The ways that are to be tried, the plainest first."""
        return [
            replace(self, ranges=ranges, equalize=equalized, correct_bias=corrected)
            for equalized in ((False, True) if self.equalize is None else (self.equalize,))
            for ranges in (RANGES if self.ranges is None else (self.ranges,))
            for corrected in ((False, True) if self.correct_bias is None else (self.correct_bias,))
        ]

    @property
    def in_words(self) -> str:
        """One way, as people read it."""
        parts = [
            f"ranges by {self.ranges}",
            "equalised" * bool(self.equalize),
            "biases corrected" * bool(self.correct_bias),
        ]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class Quantized:
    """A quantised graph.

    Args:
        content: The graph.
        how: The way that was taken.
        noise: For each way that was tried, how far the logits' signal is above the noise of quantisation, in dB, on
            calibration images.
        led: Names of what is computed whose range one image leads.
        origin: The float graph that it was made of: equalised, where that was taken.
    """

    content: bytes
    how: Quantization
    noise: dict[Quantization, float]
    led: tuple[str, ...] = ()
    origin: bytes = b""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was taken, and what the plainest way had given; and ranges that one image leads."""
        plain = next(iter(self.noise))
        text = f"quantised with {self.how.in_words}: the logits are {self.noise[self.how]:.1f} dB above the noise"
        text += "" if plain == self.how else f" ({plain.in_words}: {self.noise[plain]:.1f} dB)"
        if not self.led or self.how.ranges != "minmax":
            return (text,)
        return (
            text,
            f"one calibration image alone makes the ranges of {len(self.led)} layers more than {LED:g} times as large "
            f"({self.led[0]}): look at it, or take ranges by percentile",
        )


def quantize(
    content: bytes,
    images: np.ndarray,
    how: Quantization | None = None,
    *,
    progress: Callable[[str, int, int], None] | None = None,
) -> Quantized:
    """Quantise a float graph, all of it.

    Args:
        content: The graph: a batch of one image, pixels of 0–255 in, logits out.
        images: To calibrate with, uint8 (n, height, width, channels).
        how: Choices; None: all are tried.
        progress: Called with what is done, how far it is, and of how much.

    Raises:
        ModelError: The quantiser refused it.
        MissingExtraError: `litert-quantizer` is not installed.
    """
    tries = (how or Quantization()).tries
    show = progress or (lambda what, done, total: None)
    judged = judged_of(images)
    exact = logits_of(content, judged)
    noise: dict[Quantization, float] = {}
    best: tuple[float, bytes] | None = None
    floats: dict[bool, tuple[Graph, dict[int, Seen]]] = {}
    before: tuple[Quantization, bytes] | None = None
    for number, one in enumerate(tries):
        if bool(one.equalize) not in floats:
            graph = Graph(content)
            if one.equalize and not equalize(graph):
                floats[True] = floats.get(False) or (graph, _seen(graph, images, show))
            else:
                floats[bool(one.equalize)] = graph, _seen(graph, images, show)
        if one.equalize and floats[True] is floats.get(False):
            continue  # there is nothing to equalise
        graph, seen = floats[bool(one.equalize)]
        uncorrected = replace(one, correct_bias=False)
        if before is None or before[0] != uncorrected:  # ways that differ by their biases alone follow one another
            before = uncorrected, _quantized(graph, seen, uncorrected)
        quantized = corrected(before[1], graph, seen) if one.correct_bias else before[1]
        noise[one] = above_noise(exact, logits_of(quantized, judged))
        if best is None or noise[one] > best[0]:
            best = noise[one], quantized
        show("quantising", number + 1, len(tries))
    assert best is not None
    graph, seen = next(iter(floats.values()))
    led = tuple(graph.tensor(number).name for number, one in seen.items() if one.is_led_by_one(LED))
    taken = max(noise, key=lambda one: noise[one])
    return Quantized(best[1], taken, noise, led, floats[bool(taken.equalize)][0].packed())


def judged_of(images: np.ndarray) -> np.ndarray:
    """Some of the calibration images, evenly spread, on which graphs are compared."""
    return images[np.unique(np.linspace(0, len(images) - 1, JUDGED).astype(np.int64))]


def above_noise(exact: np.ndarray, rounded: np.ndarray) -> float:
    """How far a signal is above the noise of its quantisation, in dB: ten times the logarithm of a ratio of squares."""
    error = float(np.square(rounded.astype(np.float64) - exact).sum())
    signal = float(np.square(exact.astype(np.float64)).sum())
    return float("inf") if not error else 10 * float(np.log10(max(signal, 1e-300) / error))


def logits_of(content: bytes, images: np.ndarray) -> np.ndarray:
    """What a graph, of floats or integers, makes of images: float32 (n, classes)."""
    graph = Graph(content)
    tensor = graph.tensor(graph.output)
    return np.concatenate([tensor.real(one[graph.output]) for one in run(content, images, [graph.output], whole=False)])


def _quantized(graph: Graph, seen: dict[int, Seen], how: Quantization) -> bytes:
    """The graph in integers, its biases as they come."""
    choose = METHODS[how.ranges or "minmax"]
    chosen = {number: choose(one) for number, one in seen.items()}
    # Every pixel has its own number, and a normalisation loses none.
    chosen |= {number: (seen[number].low, seen[number].high) for number in _of_pixels(graph)}
    quantiser = _by_tensorflow if how.engine == "tensorflow" else _by_litert_quantizer
    return quantiser(graph.packed(), chosen, how)


def _seen(graph: Graph, images: np.ndarray, show: Callable[[str, int, int], None]) -> dict[int, Seen]:
    """What a graph computes of images; of what is computed of pixels one by one, of all pixels that there can be."""
    content = graph.packed()
    seen = observe(content, images, lambda done, total: show("calibrating", done, total))
    extremes = np.zeros((1, *images.shape[1:]), np.uint8)
    extremes[0, : -(-images.shape[1] // 2)] = 255
    numbers = _of_pixels(graph)
    for tensors in run(content, extremes, numbers):
        for number, values in tensors.items():
            one = seen[number]
            low, high = min(one.low, float(values.min())), max(one.high, float(values.max()))
            seen[number] = replace(one, low=low, high=high)
    return seen


def _of_pixels(graph: Graph) -> list[int]:
    """The tensors each number of which is computed of one pixel: the input, and what normalises it."""
    found = [graph.input]
    for step in graph.steps:
        computed = [number for number in step.inputs if number >= 0 and not graph.tensor(number).is_constant]
        if step.operator in ("SUB", "ADD", "MUL", "DIV", "CAST", "RESHAPE") and set(computed) <= set(found):
            found += step.outputs
    return found


def _by_tensorflow(content: bytes, chosen: dict[int, tuple[float, float]], how: Quantization) -> bytes:
    import tensorflow as tf
    from tensorflow.lite.python import convert

    graph = Graph(content)
    for number, (low, high) in chosen.items():
        graph.set_range(number, min(low, 0.0), max(high, 0.0))
    # The quantiser writes int8 at the ends; other types are put around floats afterwards.
    ends = tf.int8 if how.io == "int8" else tf.float32
    try:
        quantized: bytes = convert.mlir_quantize(
            graph.packed(),
            fully_quantize=how.io == "int8",
            input_data_type=ends,
            output_data_type=ends,
        )
    except Exception as error:  # the quantiser has no error class of its own
        refuse_shortage(error, "quantise the network")
        raise ModelError(f"TensorFlow's quantiser refused the network: {error}") from error
    if how.io == "int8":
        return quantized
    return with_ends(quantized, how.io)


def with_ends(content: bytes, io: str) -> bytes:
    """A graph of integers with others at its ends.

    Args:
        content: The graph, with int8 or floats there.
        io: `uint8`: the pixels as they are, and logits likewise.
    """
    import tensorflow as tf
    from tensorflow.lite.python import util

    other = tf.as_dtype(io)
    return Graph(bytes(util.modify_model_io_type(content, other, other))).packed()


def _by_litert_quantizer(content: bytes, chosen: dict[int, tuple[float, float]], how: Quantization) -> bytes:
    if find_spec("litert_quantizer") is None:
        raise MissingExtraError("quantising by litert-quantizer", "quantizer")
    if how.io != "int8":
        raise UsageError("litert-quantizer writes int8 in and out; leave io out, or take engine='tensorflow'")
    from litert_quantizer import Quantizer, recipe

    graph = Graph(content)
    ranges = {
        graph.tensor(number).name: {
            "min": np.array([[[[min(low, 0.0)]]]], np.float32),
            "max": np.array([[[[max(high, 0.0)]]]], np.float32),
        }
        for number, (low, high) in chosen.items()
    }
    try:
        quantizer = Quantizer(content, recipe.static_wi8_ai8())
        result = quantizer.quantize(ranges)
    except Exception as error:  # it has no error class of its own
        refuse_shortage(error, "quantise the network")
        raise ModelError(f"litert-quantizer refused the network: {error}") from error
    return bytes(result.quantized_model)


def corrected(quantized: bytes, graph: Graph, seen: dict[int, Seen]) -> bytes:
    """Move biases by the mean of what rounding the weights adds to each channel.

    The mean of what a layer reads is taken from the float graph, so borders count as the rest.

    Args:
        quantized: The graph of integers.
        graph: The float graph that it was made of.
        seen: What was seen of its tensors.
    """
    means = {graph.tensor(number).name: one.means for number, one in seen.items()}
    floats = {graph.tensor(step.output).name: step for step in weighted(graph)}
    result = Graph(quantized)
    for step in weighted(result):
        before = floats.get(result.tensor(step.output).name)
        if before is None or len(step.inputs) < 3 or step.inputs[2] < 0:
            continue
        read = means.get(graph.tensor(before.inputs[0]).name)
        weights, exact = result.tensor(step.inputs[1]), graph.tensor(before.inputs[1])
        if read is None or weights.values is None or exact.values is None:
            continue
        error = weights.real(weights.values) - exact.values
        depthwise = step.operator == "DEPTHWISE_CONV_2D"
        if error.shape[-1] != len(read):
            continue  # grouped: each group reads its own channels
        per_channel = (error * read).sum(axis=(0, 1, 2)) if depthwise else (error * read).reshape(len(error), -1).sum(1)
        bias = result.tensor(step.inputs[2])
        assert bias.values is not None
        moved = np.rint(bias.values - per_channel / bias.scales)
        limits = np.iinfo(bias.dtype)
        result.set_values(bias.number, np.clip(moved, limits.min, limits.max).astype(bias.dtype))
    return result.packed()
