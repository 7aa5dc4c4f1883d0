"""Layers that compute in floats what a file of integers will compute: rounded kernels, rounded activations.

Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2017. What
rounds has no gradient of use, so gradients pass it as if it were not there.

Outside of training the sums are those of TFLite's reference kernels, digit by digit: a layer adds up whole numbers of a
`unit`, which is a step of what it is given times a step of its kernel, and the range behind it brings them to its own
steps as the kernels do, which round twice. So layers hand on, with their numbers, what a step or a unit of them is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_resnet.allowed import MOMENTUM, RANGE_LEARNING
from keras_resnet.registration import PACKAGE
from keras_resnet.settings import Values

STEPS = 255
"""Of an activation's range: int8 has 256 values."""
BITS = Values(int, low=2, high=8)
LEAST = 1e-6
"""The narrowest range: kernels divide by it. TFLite's converter widens narrower ones, too."""


def kernel_steps(kernel: Any, axes: tuple[int, ...], bits: int) -> Any:
    """The steps of a kernel's numbers in a file of integers: symmetric, for each output channel its own.

    Args:
        kernel: Float.
        axes: Those that a channel's numbers lie along.
        bits: Of a number, 2 to 8; the lowest number is not used.

    Returns:
        Of the kernel's shape, but 1 along `axes`.
    """
    return ops.maximum(ops.max(ops.abs(kernel), axis=axes, keepdims=True), LEAST) / (2 ** (bits - 1) - 1)


def rounded_to(values: Any, steps: Any) -> Any:
    """Values rounded to whole steps; the gradient is theirs."""
    return values + ops.stop_gradient(ops.round(values / steps) * steps - values)


class _Rounded:
    """What layers with a rounded kernel share.

    Args:
        bits: Of a weight.
        options: Of the layer it is like.
    """

    AXES: tuple[int, ...]

    def __init__(self, *args: Any, bits: int = 8, **options: Any) -> None:
        super().__init__(*args, **options)
        self.bits = BITS.checked(bits, "bits")

    @property
    def steps(self) -> Any:
        """Of each output channel's kernel."""
        layer: Any = self
        return kernel_steps(ops.convert_to_tensor(layer.kernel), self.AXES, self.bits)

    @property
    def rounded(self) -> Any:
        """The kernel as a file of integers has it."""
        layer: Any = self
        return rounded_to(ops.convert_to_tensor(layer.kernel), self.steps)

    def call(self, inputs: Any, step: Any, training: bool | None = None) -> tuple[Any, Any]:
        """Compute.

        Args:
            inputs: As the layer it is like takes.
            step: Of the inputs, a scalar.
            training: In training numbers are as they come; else they are whole, and their sums exact.

        Returns:
            What that layer gives, and the unit of each channel.
        """
        layer: Any = self
        unit = ops.reshape(self.steps, (-1,)) * step
        if training:
            outputs = self.sums(inputs, self.rounded)
            outputs = outputs + layer.bias if layer.use_bias else outputs
        else:
            whole = self.sums(rounded_to(inputs, step) / step, self.rounded / self.steps)
            outputs = (whole + rounded_to(layer.bias / unit, 1.0) if layer.use_bias else whole) * unit
        return (outputs if layer.activation is None else layer.activation(outputs)), unit

    def sums(self, inputs: Any, kernel: Any) -> Any:
        """The sums of products, without bias."""
        return super().convolution_op(inputs, kernel)  # type: ignore[misc]

    def compute_output_spec(self, inputs: Any, step: Any) -> tuple[Any, Any]:
        layer: Any = self
        shape = layer.compute_output_shape(inputs.shape)
        return keras.KerasTensor(shape, "float32"), keras.KerasTensor((shape[-1],), "float32")

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()  # type: ignore[misc]
        return {**config, "bits": self.bits}


@keras.saving.register_keras_serializable(PACKAGE)
class RoundedConv2D(_Rounded, keras.layers.Conv2D):
    """`keras.layers.Conv2D` with a kernel of integers."""

    AXES = (0, 1, 2)


@keras.saving.register_keras_serializable(PACKAGE)
class RoundedConv1D(_Rounded, keras.layers.Conv1D):
    """`keras.layers.Conv1D` likewise."""

    AXES = (0, 1)


@keras.saving.register_keras_serializable(PACKAGE)
class RoundedDepthwiseConv2D(_Rounded, keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` likewise."""

    AXES = (0, 1)

    def sums(self, inputs: Any, kernel: Any) -> Any:
        return ops.depthwise_conv(inputs, kernel, self.strides, self.padding, self.data_format, self.dilation_rate)


@keras.saving.register_keras_serializable(PACKAGE)
class RoundedDense(_Rounded, keras.layers.Dense):
    """`keras.layers.Dense` likewise."""

    AXES = (0,)

    def sums(self, inputs: Any, kernel: Any) -> Any:
        return ops.matmul(inputs, kernel)


@keras.saving.register_keras_serializable(PACKAGE)
class ChannelRescaling(keras.layers.Layer):
    """`keras.layers.Rescaling` with a scale and an offset for each channel, as a depthwise convolution of 1×1.

    A file of integers has a product and a sum for Rescaling, each with constants of 8 bits for all channels together.
    A convolution has a scale for each channel and a bias of 32 bits, so that nothing is lost but in its one result.

    Args:
        scale, offset: As many numbers as there are channels.
        options: Of every layer.
    """

    def __init__(self, scale: Sequence[float], offset: Sequence[float], **options: Any) -> None:
        super().__init__(**options)
        self.scale, self.offset = tuple(scale), tuple(offset)

    def call(self, inputs: Any, step: Any) -> tuple[Any, Any]:
        """Compute: as `RoundedDepthwiseConv2D`, of one weight a channel."""
        scale, offset = (np.asarray(one, np.float32) for one in (self.scale, self.offset))
        return ops.cast(inputs, "float32") * scale + offset, np.abs(scale) / (2**7 - 1) * step

    def compute_output_spec(self, inputs: Any, step: Any) -> tuple[Any, Any]:
        return keras.KerasTensor(inputs.shape, "float32"), keras.KerasTensor((inputs.shape[-1],), "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": list(self.scale), "offset": list(self.offset)}


@keras.saving.register_keras_serializable(PACKAGE)
class ActivationRange(keras.layers.Layer):
    """Rounds activations to 256 values between two ends, as an int8 tensor of a file holds them.

    Args:
        learning: How the ends are found. `averaged`: in training they follow the least and the largest value of each
            batch, as a moving average (Jacob et al., 2017). `learned`: the width of a step is a weight of its own, with
            the gradient of Esser et al., "Learned Step Size Quantization", 2019 (https://arxiv.org/abs/1902.08153), and
            zero stays where it is between the ends; it must not decay. `fixed`: they stay as they are.
        momentum: Share of the average that a batch leaves as it is, in [0, 1).
        low, high: The ends to begin with; 0 lies between them.
        options: Of every layer.
    """

    def __init__(
        self,
        learning: str = "averaged",
        momentum: float = 0.99,
        low: float = 0.0,
        high: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.learning = RANGE_LEARNING.checked(learning, "learning")
        self.momentum, self.first = MOMENTUM.checked(momentum, "momentum"), (float(low), float(high))

    def build(self, input_shape: Any) -> None:
        def scalar(name: str, value: float, trainable: bool = False) -> Any:
            return self.add_weight(
                shape=(), initializer=keras.initializers.Constant(value), trainable=trainable, name=name
            )

        if self.learning == "learned":
            step, zero = _step_and_zero(*self.first)
            self.step, self.zero = scalar("step", step, trainable=True), scalar("zero", zero)
        else:
            self.low, self.high = (scalar(name, value) for name, value in zip(("low", "high"), self.first, strict=True))

    def set_ends(self, low: float, high: float) -> None:
        """Give it other ends; 0 is taken in between, and 1 where nothing else is.

        Args:
            low, high: The least and the largest value.
        """
        low, high = min(low, 0.0), max(high, 0.0)
        if high - low < LEAST:  # of a branch that begins with zeros, and soon will not
            high = low + 1.0
        if self.learning == "learned":
            step, zero = _step_and_zero(low, high)
            self.step.assign(step)
            self.zero.assign(zero)
        else:
            self.low.assign(low)
            self.high.assign(high)

    def step_and_zero(self) -> tuple[Any, Any]:
        """The width of a step, and how many steps 0 lies above the low end: scalars."""
        if self.learning == "learned":
            return ops.maximum(self.step, LEAST / STEPS), ops.convert_to_tensor(self.zero)
        low = ops.convert_to_tensor(self.low)
        step = ops.maximum(self.high - low, LEAST) / STEPS
        return step, ops.round(-low / step)

    def ends(self) -> tuple[Any, Any]:
        """Where it ends now, so that 0 is one of its values: scalars."""
        step, zero = self.step_and_zero()
        return -zero * step, (STEPS - zero) * step

    def call(
        self,
        inputs: Any,
        unit: Any = None,
        training: bool | None = None,
        *,
        share: float = 1.0,
        is_mean: bool = False,
    ) -> tuple[Any, Any]:
        """Round.

        Args:
            inputs: Of any shape.
            unit: What the inputs are whole numbers of, if they are: a scalar, one for each channel, or two whose
                product it is.
            training: Whether ends are learned.
            share: Of the unit: 1 over as many as a mean is of.
            is_mean: Whether the inputs are means of what this range has rounded already.

        Returns:
            The rounded inputs, and the width of a step.
        """
        learns = training and self.trainable and not is_mean
        if learns and self.learning == "learned":
            return self._with_gradient(inputs)
        if learns and self.learning == "averaged":
            self._follow(inputs)
        step, zero = self.step_and_zero()
        if training or (unit is None and not is_mean):
            return keras.quantizers.fake_quant_with_min_max_vars(inputs, *self.ends()), step
        if is_mean:
            numbers = _rounded(inputs / step + zero - 128) + 128 - zero
        else:
            unit = (unit[0] * unit[1] if isinstance(unit, list | tuple) else unit) * share
            numbers = ops.clip(_in_steps(_rounded(inputs / unit), unit, step), -zero, STEPS - zero)
        return inputs + ops.stop_gradient(numbers * step - inputs), step

    def _follow(self, inputs: Any) -> None:
        reached = ops.minimum(ops.min(inputs), 0.0), ops.maximum(ops.max(inputs), 0.0)
        for end, newest in zip((self.low, self.high), reached, strict=True):
            end.assign(self.momentum * end + (1 - self.momentum) * ops.cast(newest, end.dtype))

    def _with_gradient(self, inputs: Any) -> tuple[Any, Any]:
        """Rounds with a gradient for the step, of a size as if each activation were a weight."""
        step, zero = self.step_and_zero()
        share = 1.0 / math.sqrt(math.prod(inputs.shape[1:]) * STEPS)
        step = step * share + ops.stop_gradient(step - step * share)
        numbers = ops.clip(inputs / step, -zero, STEPS - zero)
        return (numbers + ops.stop_gradient(ops.round(numbers) - numbers)) * step, ops.stop_gradient(step)

    def compute_output_spec(self, inputs: Any, unit: Any = None, training: Any = None, **_: Any) -> tuple[Any, Any]:
        return keras.KerasTensor(inputs.shape, "float32"), keras.KerasTensor((), "float32")

    def get_config(self) -> dict[str, Any]:
        low, high = self.first
        own = {"learning": self.learning, "momentum": self.momentum, "low": low, "high": high}
        return {**super().get_config(), **own}


def _step_and_zero(low: float, high: float) -> tuple[float, float]:
    """The width of a step, and how many steps 0 lies above the low end: a whole number."""
    step = (high - low) / STEPS
    return step, float(round(-low / step))


def _rounded(values: Any) -> Any:
    """To whole numbers; what lies in the middle goes away from zero, as in TFLite's kernels."""
    return ops.sign(values) * ops.floor(ops.abs(values) + 0.5)


def _in_steps(sums: Any, unit: Any, step: Any) -> Any:
    """Sums of a unit as whole numbers of steps, by TFLite's two roundings.

    A unit is m / 2^n steps with m in [0.5, 1). The kernels multiply by m and round, and then divide by 2^n and round.
    """
    sums, factor = ops.cast(sums, "float64"), ops.cast(unit, "float64") / ops.cast(step, "float64")
    shift = ops.power(ops.cast(2.0, "float64"), ops.maximum(-ops.floor(ops.log2(factor)) - 1, 0.0))
    return ops.cast(_rounded(_rounded(sums * (factor * shift)) / shift), "float32")
