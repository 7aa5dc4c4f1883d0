"""Between what the numbers of a tensor lie, for eight bits: what is cut off weighed against how coarse the rest is."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from keras_resnet.quantize.choices import RANGES
from keras_resnet.quantize.graph import Graph

SAMPLE = 1 << 17
"""Numbers of each tensor, from all images together, by which its range is found."""
STEPS = 255
"""Of a range of eight bits."""
PERCENTILE = 99.99
"""What lies inside of the range, in percent of the numbers."""
SHARES = np.linspace(0.3, 1.0, 71)
"""Of the whole range, which are tried for the least squared error."""
ITERATIONS = 50
"""Of OCTAV, which converges in about ten."""


@dataclass(frozen=True)
class Seen:
    """What was seen of a tensor.

    Args:
        low, high: The least and the greatest number.
        sample: float32 (n,): some of the numbers, of all images.
        means: float64 (channels,): the mean of each channel.
        peaks: float64 (images,): the greatest size of a number in each image.
    """

    low: float
    high: float
    sample: np.ndarray
    means: np.ndarray
    peaks: np.ndarray

    def is_led_by_one(self, times: float) -> bool:
        """Whether one image has numbers so many times larger than all others."""
        largest = np.sort(self.peaks)[::-1]
        return len(largest) > 2 and bool(largest[0] > times * largest[1])


Chooser = Callable[[Seen], tuple[float, float]]


def observe(content: bytes, images: np.ndarray, progress: Callable[[int, int], None] | None = None) -> dict[int, Seen]:
    """Run a float graph on images, and look at all that it computes.

    Args:
        content: The graph; its input takes pixels, 0–255.
        images: uint8 (n, height, width, channels).
        progress: Called with how many images are done, and of how many.

    Returns:
        What was seen of each computed tensor, by number.
    """
    numbers = Graph(content).computed()
    lows, highs = dict.fromkeys(numbers, np.inf), dict.fromkeys(numbers, -np.inf)
    samples: dict[int, list[np.ndarray]] = {number: [] for number in numbers}
    means: dict[int, np.ndarray] = dict.fromkeys(numbers, np.zeros(()))
    peaks: dict[int, list[float]] = {number: [] for number in numbers}
    each = max(1, SAMPLE // len(images))
    random = np.random.default_rng(0)
    for done, tensors in enumerate(run(content, images, numbers), 1):
        for number, values in tensors.items():
            flat = values.ravel()
            peaks[number].append(float(np.abs(flat).max()))
            lows[number] = min(lows[number], float(flat.min()))
            highs[number] = max(highs[number], float(flat.max()))
            if len(flat) > each:
                flat = flat[random.integers(0, len(flat), each)]
            samples[number].append(flat.astype(np.float32))
            channels = values.shape[-1] if values.ndim else 1
            means[number] = means[number] + values.reshape(-1, channels).mean(0, dtype=np.float64) / len(images)
        if progress:
            progress(done, len(images))
    return {
        one: Seen(lows[one], highs[one], np.concatenate(samples[one]), means[one], np.array(peaks[one]))
        for one in numbers
    }


def run(
    content: bytes, images: np.ndarray, numbers: list[int], *, whole: bool = True, threads: int = 2
) -> Iterator[dict[int, np.ndarray]]:
    """Run a graph on images one by one, and give what some of its tensors hold.

    Args:
        content: The graph, float or quantised: where its input is of integers, pixels are put in as they stand for.
        images: uint8 (n, height, width, channels).
        numbers: Of the tensors.
        whole: Whether all tensors are kept until the end of an image; else only the output is.
        threads: Of the runtime.
    """
    from ai_edge_litert.interpreter import Interpreter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that all tensors take memory
        interpreter = Interpreter(model_content=content, experimental_preserve_all_tensors=whole, num_threads=threads)
    interpreter.allocate_tensors()
    (input_,) = interpreter.get_input_details()
    scale, zero = input_["quantization"]
    for image in images:
        pixels = image[None].astype(np.float32)
        if scale:
            limits = np.iinfo(input_["dtype"])
            pixels = np.clip(np.rint(pixels / scale) + zero, limits.min, limits.max)
        interpreter.set_tensor(input_["index"], pixels.astype(input_["dtype"]))
        interpreter.invoke()
        yield {number: interpreter.get_tensor(number) for number in numbers}


def _minmax(seen: Seen) -> tuple[float, float]:
    return seen.low, seen.high


def _percentile(seen: Seen) -> tuple[float, float]:
    """The middle 99.99 % (NVIDIA's TensorRT and PyTorch's toolkits offer the same)."""
    low, high = np.percentile(seen.sample, (100 - PERCENTILE, PERCENTILE))
    return (seen.low if seen.low >= 0 else float(low)), float(high)


def _mse(seen: Seen) -> tuple[float, float]:
    """The share of the whole range with the least squared error of rounding and cutting."""
    errors = [_squared_error(seen.sample, seen.low * share, seen.high * share) for share in SHARES]
    share = SHARES[int(np.argmin(errors))]
    return seen.low * share, seen.high * share


def _squared_error(values: np.ndarray, low: float, high: float) -> float:
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / STEPS or 1.0
    zero = np.rint(low / scale)
    rounded = (np.clip(np.rint(values / scale), zero, zero + STEPS)) * scale
    return float(np.mean((values - rounded) ** 2))


def _octav(seen: Seen) -> tuple[float, float]:
    """OCTAV: a fixed point of where the noise of rounding equals that of cutting (Sakr et al., Optimal Clipping and
    Magnitude-aware Differentiation, 2022, https://arxiv.org/abs/2206.06501), by Newton's iteration.
    """
    sizes = np.abs(seen.sample.astype(np.float64))
    one_sided = seen.low >= 0
    # Of a step of 2 s / 256, or s / 256 where no number is negative, the noise is a twelfth of its square.
    rounding = 4.0**-8 / (12 if one_sided else 3)
    clip = float(sizes.mean()) or 1.0
    for _ in range(ITERATIONS):
        outside = sizes > clip
        share = float(outside.mean())
        clip = float(sizes[outside].sum() / len(sizes)) / (rounding * (1 - share) + share) if share else clip
        if not share:
            break
    return max(seen.low, -clip), min(seen.high, clip)


METHODS: dict[str, Chooser] = dict(zip(RANGES, (_minmax, _percentile, _mse, _octav), strict=True))
"""How a tensor's range is found, by name."""
