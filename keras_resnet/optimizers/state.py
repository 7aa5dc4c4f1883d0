"""An optimizer's state as named arrays.

The names are the same in every process and on every machine. The state also fits an optimizer that accumulates another
number of batches for an update.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import keras
import numpy as np

from keras_resnet.compat.optimizers import batch_counter, gradient_accumulators
from keras_resnet.weights.files import expectations, refuse_mismatches

_NUMBERED = re.compile(r"variable(_\d+)?")
_UPDATES = "iterations"
_ACCUMULATED = "accumulated/"


def unwrapped(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The optimizer inside Keras's loss scaling, which `compile` puts around one for float16; or itself."""
    return optimizer.inner_optimizer if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) else optimizer


def last_rate(optimizer: keras.optimizers.Optimizer) -> float:
    """The learning rate of the last update; of an optimizer of others that follows a schedule, of the next one."""
    inner = unwrapped(optimizer)
    rate = getattr(inner, "last_rate", None)
    return float(keras.ops.convert_to_numpy(inner.learning_rate)) if rate is None else float(rate)


def in_mid_update(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether gradients are accumulated that no update has used yet."""
    inner = unwrapped(optimizer)
    return int(keras.ops.convert_to_numpy(batch_counter(inner))) % (inner.gradient_accumulation_steps or 1) != 0


def forget_partial_update(optimizer: keras.optimizers.Optimizer) -> None:
    """Drop the gradients of a batch of which a part is missing.

    That happens only with a scaled loss, which skips a part of a batch where its gradient overflows. The batch then
    makes no update, as it makes none where it is computed as a whole.
    """
    if in_mid_update(optimizer):
        inner = unwrapped(optimizer)
        parts = inner.gradient_accumulation_steps
        batch_counter(inner).assign(int(keras.ops.convert_to_numpy(batch_counter(inner))) // parts * parts)
        for variable in gradient_accumulators(inner):
            variable.assign(keras.ops.zeros(variable.shape, variable.dtype))


def optimizer_state(optimizer: keras.optimizers.Optimizer) -> dict[str, np.ndarray]:
    """What a built optimizer must keep from one update to the next.

    Args:
        optimizer: Built, in loss scaling or not.

    Returns:
        Arrays by names that depend on the network alone: `stem_conv_kernel_momentum`, `rate_factor`,
        `loss_scale/dynamic_scale` …; `iterations` counts updates, int64. In the middle of an update also
        `accumulated/0000` …, gradients that no update has used yet, and `accumulated/batches`, of how many batches.
    """
    inner = unwrapped(optimizer)
    updates, batches = divmod(
        int(keras.ops.convert_to_numpy(batch_counter(inner))), inner.gradient_accumulation_steps or 1
    )
    arrays = {name: keras.ops.convert_to_numpy(variable) for name, variable in _variables(optimizer).items()}
    if batches:
        sums = {f"{number:04d}": one for number, one in enumerate(gradient_accumulators(inner))}
        arrays |= {f"{_ACCUMULATED}{name}": keras.ops.convert_to_numpy(one) for name, one in sums.items()}
        arrays[f"{_ACCUMULATED}batches"] = np.array(batches, np.int64)
    return {_UPDATES: np.array(updates, np.int64), **arrays}


def load_optimizer_state(
    optimizer: keras.optimizers.Optimizer, state: Mapping[str, np.ndarray], source: str = "the optimizer's state"
) -> None:
    """Give a built optimizer the state of another one; gradients that it has accumulated are replaced.

    Args:
        optimizer: Built for the same variables; it may accumulate another number of batches, unless the state is of the
            middle of an update.
        state: As `optimizer_state` gives it.
        source: What to call it in an error.

    Raises:
        ModelError: Names, shapes or dtypes do not match; nothing was loaded.
    """
    inner = unwrapped(optimizer)
    variables, expected = _variables(optimizer), {}
    accumulated = {f"{_ACCUMULATED}{number:04d}": one for number, one in enumerate(gradient_accumulators(inner))}
    if f"{_ACCUMULATED}batches" in state:
        expected = {f"{_ACCUMULATED}batches": ((), "int64"), **expectations(accumulated)}
    refuse_mismatches({_UPDATES: ((), "int64"), **expectations(variables), **expected}, state, source)
    for name, variable in variables.items():
        variable.assign(state[name])
    batches = int(state[f"{_ACCUMULATED}batches"]) if expected else 0
    batch_counter(inner).assign(int(state[_UPDATES]) * (inner.gradient_accumulation_steps or 1) + batches)
    for name, variable in accumulated.items():
        variable.assign(state[name] if expected else keras.ops.zeros(variable.shape, variable.dtype))


def _variables(optimizer: keras.optimizers.Optimizer) -> dict[str, keras.Variable]:
    inner = unwrapped(optimizer)
    left_out = {id(variable) for variable in (batch_counter(inner), *gradient_accumulators(inner))}
    named: dict[str, keras.Variable] = {}
    for variable in inner.variables:
        if id(variable) in left_out:
            continue
        # Keras's Nadam has a variable that is named by a count through the process, Adafactor many of one name.
        name = "unnamed" if _NUMBERED.fullmatch(variable.name) else variable.name
        repeats = sum(other.split("#")[0] == name for other in named)
        named[f"{name}#{repeats + 1}" if repeats else name] = variable
    if optimizer is not inner:
        named["loss_scale/step_counter"] = optimizer.step_counter
        named["loss_scale/dynamic_scale"] = optimizer.dynamic_scale
    return named
