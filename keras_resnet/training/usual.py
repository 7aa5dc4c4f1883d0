"""What each optimizer is usually trained with, for those who change the optimizer and say nothing of the rest."""

from __future__ import annotations

from typing import Any

_SGD = {"learning_rate": 0.1, "weight_decay": 1e-4}  # He et al., 2015
_ADAM = {"learning_rate": 1e-3, "weight_decay": 0.0}  # Kingma & Ba, 2014; Keras's default for all of these

USUAL: dict[str, dict[str, Any]] = {
    "sgd": _SGD,
    "sgdw": _SGD,
    "adam": _ADAM,
    "adamax": _ADAM,
    "nadam": _ADAM,
    "rmsprop": _ADAM,
    "adafactor": _ADAM,
    "adagrad": {"learning_rate": 0.01, "weight_decay": 0.0},  # PyTorch's default
    "adadelta": {"learning_rate": 1.0, "weight_decay": 0.0},  # Zeiler, 2012, has no rate; PyTorch's default
    "adamw": {"learning_rate": 1e-3, "weight_decay": 0.05},  # DeiT III (Touvron et al., 2022) and ConvNeXt decay so
    "lamb": {"learning_rate": 5e-3, "weight_decay": 0.02, "clip": "norm"},  # Wightman et al., 2021, A2; clips at 1
    "lion": {"learning_rate": 3e-4, "weight_decay": 0.15},  # Chen et al., 2023: AdamW's / 3 to 10 and × 3 to 10
    "muon": {"learning_rate": 1e-3, "weight_decay": 0.1},  # Liu et al., Moonlight, 2025; Keras's default rate
}
"""By optimizer, settings of a recipe."""


def usual_instead(optimizer: str, before: str) -> dict[str, Any]:
    """The settings that are usual for one optimizer where a recipe was made for another one.

    Args:
        optimizer: The one to train with.
        before: The one the recipe was made for.

    Returns:
        Settings by name; none where both are usually trained alike, so that what the recipe has fits still.
    """
    return USUAL[optimizer] if USUAL[optimizer] != USUAL[before] else {}
