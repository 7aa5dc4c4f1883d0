"""Stochastic gradient descent as the literature's recipes mean it."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="keras_resnet")
class CoupledSGD(keras.optimizers.SGD):
    """SGD whose weight decay is part of the gradient, and so goes through the momentum, as PyTorch has it.

    Keras's own `weight_decay` is decoupled: at momentum 0.9 it acts about a tenth as strongly, so
    that published values would not mean what they meant. Only kernels decay; biases and batch
    normalisation do not.

    Args:
        coupled_weight_decay: At least 0.
        **options: As `keras.optimizers.SGD`, without its `weight_decay`.
    """

    def __init__(
        self, *args: Any, coupled_weight_decay: float = 0.0, name: str = "coupled_sgd", **options: Any
    ) -> None:
        # A name of its own: Keras would number it through the process, and checkpoints go by it.
        super().__init__(*args, name=name, **options)
        self.coupled_weight_decay = coupled_weight_decay
        self._decays: list[bool] = []

    def build(self, variables: list[keras.Variable]) -> None:
        super().build(variables)
        # By position, since `update_step` receives the backend's variables, which have other names.
        self._decays = [variable.name == "kernel" for variable in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if self.coupled_weight_decay and self._decays[self._get_variable_index(variable)]:
            gradient = gradient + self.coupled_weight_decay * keras.ops.cast(variable, gradient.dtype)
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "coupled_weight_decay": self.coupled_weight_decay}


def warmup_cosine(peak: float, steps: int, warmup_steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """A rate that climbs linearly from 0 to `peak` in `warmup_steps` and falls by a cosine to 0 at `steps`."""
    warmup_steps = min(warmup_steps, steps - 1)
    if warmup_steps < 1:
        return keras.optimizers.schedules.CosineDecay(peak, decay_steps=steps)
    # Keras counts the decay from the end of the warm-up.
    return keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=steps - warmup_steps, warmup_target=peak, warmup_steps=warmup_steps
    )
