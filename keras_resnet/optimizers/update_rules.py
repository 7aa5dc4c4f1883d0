"""Update rules as PyTorch and timm have them, where Keras's differ, and an Adafactor that stays finite.

Keras multiplies the rate into the momentum, so that a changed rate acts late; its Adam adds epsilon before the bias
correction; its Adafactor can divide zero by zero. `layerwise` decays the weights, except where decay is a part of the
rule: in LAMB, and where it is coupled with the momentum.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_resnet.compat.optimizers import HookedAdafactor, HookedOptimizer

Tensor = Any
registered = keras.saving.register_keras_serializable("keras_resnet")


@registered
class Momentum(HookedOptimizer):
    """Gradient descent with momentum, as `torch.optim.SGD`: `m ← μ·m + g; w ← w - rate·m`.

    Args:
        learning_rate: A number or a schedule.
        momentum: In [0, 1).
        nesterov: Step by `g + μ·m` instead of `m`.
        **options: As every Keras optimizer.
    """

    def __init__(self, learning_rate: Any, momentum: float = 0.9, nesterov: bool = False, **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.momentum, self.nesterov = momentum, nesterov

    def add_state(self, variables: list[keras.Variable]) -> None:
        self.momentums = self.add_optimizer_variables(variables, "momentum") if self.momentum else []

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        step = gradient = ops.cast(gradient, variable.dtype)
        rate = ops.cast(learning_rate, variable.dtype)
        if self.momentum:
            momentum = self.momentums[self.position(variable)]
            if keras.backend.backend() == "tensorflow":
                _apply_momentum(variable, momentum, gradient, rate, self.momentum, self.nesterov)
                return
            step = self.momentum * momentum + gradient
            self.assign(momentum, step)
            if self.nesterov:
                step = gradient + self.momentum * step
        self.assign_sub(variable, rate * step)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


@registered
class DecayingMomentum(Momentum):
    """`Momentum` with the decay coupled, as `torch.optim.SGD` has it: `g ← g + decay·w` comes first.

    Args: As `Momentum`.
    """

    shrinks_weights = False  # decay is a part of the gradient

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        if self.weight_decay and self.decays(variable):
            if keras.backend.backend() == "tensorflow" and self.momentum and not self.nesterov:
                # μ·(m + decay/μ·w) + g is μ·m + (g + decay·w), and needs no tensor for the sum.
                momentum = self.momentums[self.position(variable)]
                _add_in_place(momentum, self.weight_decay / self.momentum, variable)
            else:
                gradient = ops.cast(gradient, variable.dtype) + self.weight_decay * ops.convert_to_tensor(variable)
        super().update_step(gradient, variable, learning_rate)


def _apply_momentum(
    variable: Any, momentum: keras.Variable, gradient: Tensor, rate: Tensor, factor: float, nesterov: bool
) -> None:
    """A step by TensorFlow's kernel, which passes over each tensor once: updates are bound by memory."""
    import tensorflow as tf

    tf.raw_ops.ResourceApplyMomentum(
        var=variable.handle,
        accum=momentum.value.handle,
        lr=rate,
        grad=gradient,
        momentum=ops.cast(factor, variable.dtype),
        use_nesterov=nesterov,
    )


def _add_in_place(target: keras.Variable, factor: float, addend: Any) -> None:
    """`target ← target + factor·addend` in one pass, by TensorFlow's kernel of gradient descent."""
    import tensorflow as tf

    tf.raw_ops.ResourceApplyGradientDescent(
        var=target.value.handle, alpha=ops.cast(-factor, target.dtype), delta=ops.convert_to_tensor(addend)
    )


@registered
class Adam(HookedOptimizer):
    """Adam (Kingma & Ba, 2014) as `torch.optim.AdamW` computes it; epsilon is added after the bias correction.

    Args:
        learning_rate: A number or a schedule.
        beta_1, beta_2: The part that the averages of gradients and of their squares keep in a step, in [0, 1).
        epsilon: Positive.
        **options: As every Keras optimizer.
    """

    def __init__(
        self,
        learning_rate: Any,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def add_state(self, variables: list[keras.Variable]) -> None:
        self.momentums, self.velocities = self.add_optimizer_variables(variables, ["momentum", "velocity"])

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        direction = self.direction(gradient, variable)
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * direction)

    def direction(self, gradient: Tensor, variable: Any) -> Tensor:
        """Take a gradient into the averages and return the mean gradient by the root of the mean square."""
        gradient = ops.cast(gradient, variable.dtype)
        index = self.position(variable)
        momentum = self.momentums[index] + (1 - self.beta_1) * (gradient - self.momentums[index])
        velocity = self.beta_2 * self.velocities[index] + (1 - self.beta_2) * ops.square(gradient)
        self.assign(self.momentums[index], momentum)
        self.assign(self.velocities[index], velocity)
        mean = momentum / self._seen(self.beta_1, variable.dtype)
        square = velocity / self._seen(self.beta_2, variable.dtype)
        return mean / (ops.sqrt(square) + self.epsilon)

    def _seen(self, beta: float, dtype: Any) -> Tensor:
        # 1 - beta ** updates; so in float32 the first step's 1 - 0.999 would have four digits.
        updates = ops.cast(self.iterations + 1, dtype)
        return -ops.expm1(updates * math.log(beta)) if beta else ops.ones_like(updates)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


@registered
class Lamb(Adam):
    """LAMB (You et al., 2019) as `timm.optim.Lamb`: Adam's step and the decay, scaled to the weights' norm.

    What does not decay (biases, normalisations) is not scaled either. timm's clipping of the gradients'
    norm to 1 is not in here.

    Args: As `Adam`.
    """

    shrinks_weights = False  # decay is a part of the step

    def __init__(
        self,
        learning_rate: Any,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **options)

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        step = self.direction(gradient, variable)
        if self.weight_decay and self.decays(variable):
            step = step + self.weight_decay * ops.convert_to_tensor(variable)
            weights, length = (ops.sqrt(ops.sum(ops.square(tensor))) for tensor in (variable, step))
            known = ops.logical_and(weights > 0, length > 0)
            step = step * ops.where(known, weights / ops.where(known, length, 1.0), 1.0)
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * step)


@registered
class Adafactor(HookedAdafactor):
    """Adafactor (Shazeer & Stern, 2018) as Keras has it, for networks with dead units too.

    Mean squares are kept by row and by column, and their product stands for each weight's own. Where an input and an
    output of a kernel both have no gradient, the product of two numbers of 1e-30 is zero in float32, and Keras
    divides by its root: zero by zero, which the root mean square of the step spreads over the whole kernel.
    Here the step is divided by one root after the other.

    Args: As `keras.optimizers.Adafactor`.
    """

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        if len(variable.shape) < 2:
            super().update_step(gradient, variable, learning_rate)
            return
        dtype = variable.dtype
        row_squares, column_squares = self.mean_squares(variable)
        gradient, rate = ops.cast(gradient, dtype), ops.cast(learning_rate, dtype)
        updates = ops.cast(self.iterations + 1, dtype)
        kept = 1 - ops.power(updates, self.beta_2_decay)
        square = ops.square(gradient) + self.epsilon_1
        rows = kept * row_squares + (1 - kept) * ops.mean(square, axis=-1)
        columns = kept * column_squares + (1 - kept) * ops.mean(square, axis=-2)
        self.assign(row_squares, rows)
        self.assign(column_squares, columns)
        by_row = ops.sqrt(ops.mean(rows, axis=-1, keepdims=True)) / ops.sqrt(rows)
        step = gradient * by_row[..., None] / ops.sqrt(columns)[..., None, :]
        step = step / ops.maximum(1.0, _root_mean_square(step) / self.clip_threshold)
        size = ops.maximum(self.epsilon_2, _root_mean_square(variable)) * ops.minimum(rate, 1 / ops.sqrt(updates))
        self.assign_sub(variable, size * step)


def _root_mean_square(tensor: Any) -> Tensor:
    return ops.sqrt(ops.mean(ops.square(tensor)))
