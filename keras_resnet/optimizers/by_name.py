"""Optimizers by name: an update rule, how its weight decay acts, and what all of them have in common."""

from __future__ import annotations

import inspect
import math
from typing import Any

import keras

from keras_resnet import allowed
from keras_resnet.errors import UsageError, listed, nearest
from keras_resnet.optimizers import update_rules
from keras_resnet.optimizers.layerwise import Layerwise

# Not Keras's Ftrl, whose weights do not remember a decay, nor ScheduleFreeAdamW, which takes no schedule.
_RULES: dict[str, tuple[type, str]] = {
    "sgd": (update_rules.DecayingMomentum, "rule"),
    "sgdw": (update_rules.Momentum, "decoupled"),
    "adamw": (update_rules.Adam, "decoupled"),
    "lamb": (update_rules.Lamb, "rule"),
    "adadelta": (keras.optimizers.Adadelta, "decoupled"),
    "adafactor": (update_rules.Adafactor, "decoupled"),
    "adagrad": (keras.optimizers.Adagrad, "decoupled"),
    "adam": (keras.optimizers.Adam, "decoupled"),
    "adamax": (keras.optimizers.Adamax, "decoupled"),
    "lion": (keras.optimizers.Lion, "decoupled"),
    "muon": (keras.optimizers.Muon, "decoupled"),
    "nadam": (keras.optimizers.Nadam, "decoupled"),
    "rmsprop": (keras.optimizers.RMSprop, "decoupled"),
}


_SPELLINGS = {"sgd": "SGD", "sgdw": "SGDW", "adamw": "AdamW", "lamb": "LAMB", "rmsprop": "RMSprop"}
_DECAYS = {
    "rule": "a part of the rule: of SGD's gradient, as in PyTorch; of LAMB's step, as in timm",
    "decoupled": "decoupled: `rate × weight_decay` of each weight is taken away at each update",
}
_DOCSTRING = """{name}, as this package trains with it, for any model and any `fit`.

    Args:
        learning_rate: A number, or a schedule by the number of updates.
        {own}: Of the rule.
        weight_decay: At least 0; {decay}.
        decayed: What decays: `kernels`; or `all`, biases and normalisations, too, as in PyTorch where the optimizer is
            given `model.parameters()`.
        layer_decay: Each block's rate is this times the next one's towards the head, in (0, 1]; less than 1 needs
            layers named as this package's networks name them.
        clip: `none`; `norm`, of all gradients together; `value`; `adaptive`, see `clip_adaptively`.
        clip_at: The bound, positive; 0 where gradients are not clipped.
        gradient_accumulation_steps: Batches whose mean gradient makes one update; None: each.
        **options: As every Keras optimizer.

    Example:
        >>> import keras, keras_resnet
        >>> model = keras_resnet.ResNet8(num_classes=3, input_shape=(16, 16, 3))
        >>> model.compile(keras_resnet.optimizers.{name}(0.01, weight_decay=1e-4), "categorical_crossentropy")
    """


def _layerwise(word: str, rule: type, decay: str) -> type[Layerwise]:
    name = _SPELLINGS.get(word, word.capitalize())
    own = ", ".join(_own_settings(rule)) or "**options"
    docstring = _DOCSTRING.format(name=name, own=own, decay=_DECAYS[decay])
    made = type(name, (Layerwise, rule), {"word": word, "decay": decay, "__doc__": docstring, "__module__": __name__})
    return keras.saving.register_keras_serializable(package="keras_resnet", name=word)(made)


def _own_settings(rule: type) -> list[str]:
    common = {"options", "kwargs", "learning_rate", *inspect.signature(keras.optimizers.Optimizer).parameters}
    names = inspect.signature(rule).parameters
    return [name for name in names if name not in common and "weight_decay" not in name]


OPTIMIZERS: dict[str, type[Layerwise]] = {word: _layerwise(word, *_RULES[word]) for word in allowed.OPTIMIZER.choices}
SGD, SGDW, AdamW, LAMB = (OPTIMIZERS[word] for word in ("sgd", "sgdw", "adamw", "lamb"))
Adadelta, Adafactor, Adagrad = (OPTIMIZERS[word] for word in ("adadelta", "adafactor", "adagrad"))
Adam, Adamax, Lion, Muon = (OPTIMIZERS[word] for word in ("adam", "adamax", "lion", "muon"))
Nadam, RMSprop = (OPTIMIZERS[word] for word in ("nadam", "rmsprop"))


def options_of(kind: str) -> list[str]:
    """The settings that belong to one update rule alone: `beta_1`, `epsilon`, `nesterov` and so on.

    Args:
        kind: One of `OPTIMIZERS`.
    """
    return _own_settings(_RULES[kind][0])


def optimizer(
    kind: str,
    schedule: keras.optimizers.schedules.LearningRateSchedule | float,
    *,
    momentum: float | None = None,
    nesterov: bool | None = None,
    weight_decay: float = 0.0,
    decayed: str = "kernels",
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
        weight_decay: At least 0. Decoupled decay takes `rate × weight_decay` of a weight a step.
        decayed: What decays: `kernels`; or `all`, biases and normalisations, too.
        layer_decay: Each block's rate is this times the next one's towards the head, in (0, 1].
        clip: `none`; `norm`, of all gradients together; `value`; `adaptive`, each output's in proportion to
            its weights' norm, the classifier spared (Brock et al., 2021). None: `norm` at 1 for `lamb`, else `none`.
        clip_at: The bound, positive; 0 where gradients are not clipped.
        accumulate: Batches whose mean gradient makes one update.
        **options: The rule's own: `beta_1`, `beta_2`, `epsilon`, `rho` …

    Raises:
        UsageError: There is no such optimizer or option, or a setting is out of range.

    Example:
        >>> import keras_resnet
        >>> made = keras_resnet.optimizers.optimizer("lamb", 0.005, weight_decay=0.02)
        >>> type(made).__name__, made.clip, made.clip_at
        ('LAMB', 'norm', 1.0)
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
        decayed=decayed,
        layer_decay=layer_decay,
        clip=clip,
        clip_at=clip_at,
        gradient_accumulation_steps=accumulate if accumulate > 1 else None,
        **options,
    )
