"""Pretrained weights that are at hand: in a folder of the user's, or fetched before."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from keras_resnet.errors import UsageError
from keras_resnet.weights.files import READERS
from keras_resnet.weights.pretrained import cached, list_weights, published

FOLDER = "KERAS_RESNET_WEIGHTS"
"""The environment variable that names a folder of weights files, called by network and tag, as
`resnet50.a1_in1k.safetensors` or `resnet50v1.h5`."""
TORCH_SUFFIXES = (".pth", ".pt", ".th", ".bin")


@dataclass(frozen=True)
class AtHand:
    """Weights that need not be fetched.

    Args:
        model: The network, as `list_models` has it.
        weights: What `weights=` takes: a path, or a name.
        place: Where they are, in words.
    """

    model: str
    weights: str
    place: str


def at_hand(models: Sequence[str]) -> list[AtHand]:
    """The weights for some networks that are on this machine.

    Args:
        models: The networks, the preferred one first.

    Returns:
        In this order; of one network, those of the user's folder first.

    Raises:
        UsageError: `KERAS_RESNET_WEIGHTS` names no folder.
    """
    folder = os.environ.get(FOLDER)
    found = list(_in_folder(Path(folder), models)) if folder else []
    for model in models:
        found += [
            AtHand(model, name, "fetched before")
            for name in list_weights(model)
            if name.startswith("timm/") or name == "keras"
            if cached(model, name) is not None
        ]
    return sorted(found, key=lambda one: models.index(one.model))


def _in_folder(folder: Path, models: Sequence[str]) -> Iterator[AtHand]:
    if not folder.is_dir():
        raise UsageError(f"{FOLDER} names {folder}, which is no folder: name one that holds weights files, or unset it")
    torch = find_spec("torch") is not None
    for path in sorted(folder.iterdir()):
        readable = path.suffix in READERS and (torch or path.suffix not in TORCH_SUFFIXES)
        model = network_called(path.name, models) if readable and path.is_file() else None
        if model is not None:
            row = published(path)  # keras.applications' own files of v1 are called as v1.5 is
            yield AtHand(row.model if row and row.model in models else model, str(path), f"in {folder}")


def network_called(name: str, models: Sequence[str]) -> str | None:
    """The network that a file is called by.

    Args:
        name: Of the file, which begins with the network's: `resnet50.a1_in1k.safetensors`, `resnet50v1_caffe.h5`.
        models: Those that come into question.
    """
    plain = name.lower().replace("-", "_")
    fitting = [
        model for model in models if plain.startswith(model) and not plain[len(model) : len(model) + 1].isalnum()
    ]
    return max(fitting, key=len, default=None)
