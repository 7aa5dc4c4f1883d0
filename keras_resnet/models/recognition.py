"""Which network of the table a weights file is of, told from the names and shapes of its tensors.

No network is built: what each holds is counted (`models/counting.py`).
"""

from __future__ import annotations

import os
from pathlib import Path

from keras_resnet.errors import UsageError, listed
from keras_resnet.layer_names import CLASSIFIER, is_classifier
from keras_resnet.models.counting import count
from keras_resnet.models.spec import LARGEST_CIFAR_SIDE
from keras_resnet.models.variants import VARIANTS
from keras_resnet.weights.at_hand import network_called
from keras_resnet.weights.files import Tensors, network_said, read_weights
from keras_resnet.weights.naming import KERAS_APPLICATIONS, TIMM, TORCHVISION, Naming, naming_of, without_wrappers
from keras_resnet.weights.pixels import FIRST_KERNELS
from keras_resnet.weights.pretrained import published

FAMILIES = (KERAS_APPLICATIONS, TORCHVISION, TIMM)
"""Namings of libraries whose bottlenecks all stride in the same convolution: the 1×1 in the first, else the 3×3."""


def networks_of(tensors: Tensors, naming: Naming) -> list[str]:
    """The networks of the table whose tensors these are, whatever their classifier and input channels.

    Args:
        tensors: Under the names of the file.
        naming: The library that gave these names.

    Returns:
        Names as in `list_models`. Several networks may have the same tensors, as a network, its anti-aliased form and
        the plain one without shortcuts.
    """
    kernels = sum(tensor.ndim == 4 for tensor in tensors.values())
    found = []
    for name, row in VARIANTS.items():
        spec = row.spec
        strides_elsewhere = (spec.strided_conv == "1x1") != (naming is KERAS_APPLICATIONS)
        if strides_elsewhere and naming in FAMILIES and spec.block == "bottleneck":
            continue
        if naming in (TORCHVISION, TIMM):
            naming = TIMM if "pool" in spec.shortcut else TORCHVISION
        sides = (spec.input_size, LARGEST_CIFAR_SIDE)
        by_stem = {spec.resolve_stem(side, side): side for side in sides}  # a network may have another for small images
        for side in by_stem.values():
            held = count(spec, 1, (side, side, 3), include_top=False).weights
            if sum(len(shape) == 4 for shape in held.values()) == kernels and _fits(held, tensors, naming):
                found.append(name)
                break
    return found


def _fits(held: dict[str, tuple[int, ...]], tensors: Tensors, naming: Naming) -> bool:
    layers = list(dict.fromkeys([*(path.split("/")[0] for path in held), CLASSIFIER]))
    ours = {
        name: tensor.shape
        for name, tensor in naming.to_ours(tensors, layers).items()
        if not is_classifier(name) and not (name.endswith("/bias") and name not in held)  # idle, before a normalisation
    }
    return ours.keys() == held.keys() and all(
        shape == held[name] or (name in FIRST_KERNELS and shape[:2] + shape[3:] == held[name][:2] + held[name][3:])
        for name, shape in ours.items()
    )


def network_of_file(path: str | os.PathLike[str]) -> str:
    """The network of the table whose weights a file holds.

    Args:
        path: As `read_weights` takes it. Of several networks with the same tensors, the one that the file itself says,
            that published the file, or that the file is called by.

    Raises:
        ModelError: The file cannot be read.
        UsageError: It holds the weights of none of them, or of several and does not tell of which.
    """
    path = Path(path)
    tensors = read_weights(path)
    tensors = dict(zip(without_wrappers(tensors), tensors.values(), strict=True))
    naming = naming_of(tensors)
    found = networks_of(tensors, naming) if naming is not None else []
    if not found:
        raise UsageError(
            f"{path} holds the weights of no network that `keras-resnet models` lists; name one by --model (in a "
            "Recipe model) to see what differs"
        )
    if len(found) == 1:
        return found[0]
    row = published(path)
    for name in (network_said(path), row.model if row else None, network_called(path.name, found)):
        if name in found:
            return name
    raise UsageError(
        f"{path} holds weights that fit {len(found)} networks alike: {listed(found)}. Say "
        "which of them was trained by --model (in a Recipe model)"
    )
