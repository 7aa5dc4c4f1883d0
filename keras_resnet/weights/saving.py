"""Saving a model's weights as a safetensors file, under our names or another library's."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from safetensors.numpy import save

from keras_resnet.atomic import write_with
from keras_resnet.errors import UsageError, listed
from keras_resnet.json_files import parsed
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.stamp import write_stamp
from keras_resnet.weights.files import DIGEST, NETWORK, tensor_digest, variables_by_path
from keras_resnet.weights.naming import (
    AKAMASTER,
    HUGGING_FACE,
    OURS,
    TIMM,
    TORCHVISION,
    epsilon_of,
    namings_for,
    strided_conv,
)
from keras_resnet.weights.pixels import described

if TYPE_CHECKING:
    import keras

SAVED_AS = {"keras_resnet": OURS, "torchvision": TORCHVISION, "huggingface": HUGGING_FACE, "akamaster": AKAMASTER}


def save_weights(
    model: keras.Model,
    path: str | os.PathLike[str],
    naming: Literal["keras_resnet", "torchvision", "huggingface", "akamaster"] = "keras_resnet",
) -> None:
    """Write a model's weights as a safetensors file.

    Args:
        model: One that `build` made.
        path: The file, which is replaced whole or not at all; it must end in `.safetensors`.
        naming: Whose names and layout: `"keras_resnet"`, which `weights=` reads; `"torchvision"`, for
            torchvision and timm (which agree); `"huggingface"`, for
            `transformers.ResNetForImageClassification`;
            `"akamaster"`, for the CIFAR networks. In PyTorch:
            `module.load_state_dict(safetensors.torch.load_file(path))`.

    Raises:
        UsageError: The naming or the ending is unknown, or the naming has no word for a layer.
        StorageError: The file cannot be written.
    """
    path = Path(path)
    if naming not in SAVED_AS:
        raise UsageError(f"naming must be one of {listed(SAVED_AS)}; received {naming!r}")
    if path.suffix != ".safetensors":
        raise UsageError(f"weights are saved as safetensors: the file must end in .safetensors; received {path}")
    tensors = {
        name: variable.numpy()
        for name, variable in variables_by_path(model).items()
        if not name.endswith("/seed_generator_state")
    }
    chosen = SAVED_AS[naming]
    if chosen is TORCHVISION:
        _refuse_v1(model)
        chosen = TIMM if TIMM in namings_for(model) else TORCHVISION
    try:
        renamed = chosen.from_ours(tensors, epsilon_of(model))
    except KeyError as error:
        raise UsageError(f"{chosen.title}'s naming has no word for {error} of {model.name}") from None
    about = {"format": "pt" if chosen.torch else "keras", "naming": chosen.title, NETWORK: model.name}
    write_tensors(renamed, path, about | described(model) | {DIGEST: tensor_digest(renamed)})


def _refuse_v1(model: keras.Model) -> None:
    """Torchvision would load a v1 network's tensors and stride where they were not trained to."""
    if strided_conv(model) == "1x1":
        raise UsageError(
            f"torchvision and timm have no v1 networks such as {model.name}, which strides in its 1×1 convolutions: "
            "naming='huggingface' fits transformers' ResNetConfig(downsample_in_bottleneck=True)"
        )


def write_tensors(tensors: Mapping[str, np.ndarray], path: Path, metadata: Mapping[str, str]) -> None:
    """Write a safetensors file, whole or not at all.

    Args:
        tensors: By name, of any dtype that safetensors has.
        path: The file; it is replaced.
        metadata: Texts to keep with them, by name.

    Raises:
        StorageError: The disk is full or the folder cannot be written; the old file is unharmed.
    """
    # As bytes: safetensors' own writing hides what the disk answered.
    content = tensor_bytes(tensors, metadata)
    write_with(path, lambda temporary: temporary.write_bytes(content))


def tensor_bytes(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """The content of a safetensors file, the same for the same tensors."""
    content = save({name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}, dict(metadata))
    if len(metadata) < 2:
        return content
    # safetensors writes metadata in an order that differs from process to process.
    (length,) = struct.unpack_from("<Q", content)
    header = parsed(content[8 : 8 + length].decode())
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, memoryview(content)[8 + length :]])


def save_model(model: keras.Model, path: str | os.PathLike[str], preprocessing: Preprocessing) -> None:
    """Save a model as a `.keras` file with its preprocessing inside; `keras.models.load_model` reads it too.

    Args:
        model: Raw pixels in, logits out.
        path: Ends in `.keras`.
        preprocessing: Put into the file.
    """
    import keras

    # Without the optimizer, which needs this package to load and triples the size.
    bare = keras.Model(model.inputs, model.outputs, name=model.name)
    bare.save(path)
    write_stamp(Path(path), preprocessing)
