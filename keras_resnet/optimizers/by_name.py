"""Optimizers by name: an update rule, how its weight decay acts, and what all of them have in common."""

from __future__ import annotations

import inspect
import math
from typing import Any

import keras

from keras_resnet import allowed
from keras_resnet.errors import UsageError, listed, nearest
from keras_resnet.optimizers.layerwise import Layerwise
from keras_resnet.optimizers.update_rules import Adafactor, Adam, DecayingMomentum, Lamb, Momentum

# Not Keras's Ftrl, whose weights do not remember a decay, nor ScheduleFreeAdamW, which takes no schedule.
_RULES: dict[str, tuple[type, str]] = {
    "sgd": (DecayingMomentum, "rule"),
    "sgdw": (Momentum, "decoupled"),
    "adamw": (Adam, "decoupled"),
    "lamb": (Lamb, "rule"),
    "adadelta": (keras.optimizers.Adadelta, "decoupled"),
    "adafactor": (Adafactor, "decoupled"),
    "adagrad": (keras.optimizers.Adagrad, "decoupled"),
    "adam": (keras.optimizers.Adam, "decoupled"),
    "adamax": (keras.optimizers.Adamax, "decoupled"),
    "lion": (keras.optimizers.Lion, "decoupled"),
    "muon": (keras.optimizers.Muon, "decoupled"),
    "nadam": (keras.optimizers.Nadam, "decoupled"),
    "rmsprop": (keras.optimizers.RMSprop, "decoupled"),
}


def _layerwise(word: str, rule: type, decay: str) -> type[Layerwise]:
    made = type(f"Layerwise{rule.__name__}", (Layerwise, rule), {"word": word, "decay": decay})
    return keras.saving.register_keras_serializable(package="keras_resnet", name=word)(made)


OPTIMIZERS: dict[str, type[Layerwise]] = {word: _layerwise(word, *_RULES[word]) for word in allowed.OPTIMIZER.choices}


def options_of(kind: str) -> list[str]:
    """The settings that belong to one update rule alone: `beta_1`, `epsilon`, `nesterov` and so on.

    Args:
        kind: One of `OPTIMIZERS`.
    """
    common = {"options", "kwargs", *keras.optimizers.Optimizer(0.1).get_config()}
    names = inspect.signature(_RULES[kind][0]).parameters
    return [name for name in names if name not in common and "weight_decay" not in name]


def optimizer(
    kind: str,
    schedule: keras.optimizers.schedules.LearningRateSchedule | float,
    *,
    momentum: float | None = None,
    nesterov: bool | None = None,
    weight_decay: float = 0.0,
    layer_decay: float = 1.0,
    clip: str | None = None,
    clip_at: float = 0.0,
    accumulate: int = 1,
    **options: Any,
) -> Layerwise:
    """An optimizer for the networks of this package; on other networks it works with `layer_decay=1`.

    Args:
        kind: `sgd` (weight decay added to the gradient, as in PyTorch), `sgdw` (decoupled), `adamw` (as
            PyTorch), `lamb` (as timm), or one of Keras's with decoupled decay: `adadelta`, `adafactor`,
            `adagrad`, `adam`, `adamax`, `lion`, `muon`, `nadam`, `rmsprop`.
        schedule: The rate, by the number of updates.
        momentum: Of those that have it (`sgd`, `sgdw`, `muon`, `rmsprop`), in [0, 1); others ignore it.
            None: the rule's default, 0.9 for `sgd` and `sgdw`.
        nesterov: Of `sgd`, `sgdw`, `muon`; others ignore it. None: the rule's default.
        weight_decay: Of kernels, at least 0. Decoupled decay takes `rate × weight_decay` of a weight a step.
        layer_decay: Each block's rate is this times the next one's towards the head, in (0, 1].
        clip: `none`; `norm`, of all gradients together; `value`; `adaptive`, each output's in proportion to
            its weights' norm, the classifier spared (Brock et al., 2021). None: `norm` at 1 for `lamb`, else `none`.
        clip_at: The bound, positive; 0 where gradients are not clipped.
        accumulate: Batches whose mean gradient makes one update.
        **options: The rule's own: `beta_1`, `beta_2`, `epsilon`, `rho` …

    Raises:
        UsageError: There is no such optimizer or option, or a setting is out of range.
    """
    if kind not in OPTIMIZERS:
        near = nearest(kind, OPTIMIZERS)
        hint = f"did you mean {near!r}?" if near else f"known are {listed(OPTIMIZERS, most=20)}"
        raise UsageError(f"there is no optimizer {kind!r}; {hint}")
    if clip is None:
        clip, clip_at = ("norm", clip_at or 1.0) if kind == "lamb" else ("none", clip_at)
    if not 0 <= weight_decay < math.inf:
        raise UsageError(f"weight_decay must be at least 0; received {weight_decay}")
    if momentum is not None and not 0 <= momentum < 1:
        raise UsageError(f"momentum must be at least 0 and less than 1; received {momentum}")
    if isinstance(accumulate, bool) or not isinstance(accumulate, int) or accumulate < 1:
        raise UsageError(f"accumulate must be a whole number of at least 1; received {accumulate!r}")
    takes = options_of(kind)
    unknown = [name for name in options if name not in takes]
    if unknown:
        raise UsageError(f"the optimizer {kind!r} has no option {listed(unknown)}; it has {listed(takes, most=20)}")
    shared = {"momentum": momentum, "nesterov": nesterov}
    options |= {name: value for name, value in shared.items() if value is not None and name in takes}
    return OPTIMIZERS[kind](
        schedule,
        weight_decay=weight_decay or None,
        layer_decay=layer_decay,
        clip=clip,
        clip_at=clip_at,
        gradient_accumulation_steps=accumulate if accumulate > 1 else None,
        **options,
    )
