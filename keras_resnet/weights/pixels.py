"""What the pixels must be that a pretrained network reads: how they are normalised, and the order of the channels.

Most weights files do not say it, and with other pixels a network learns, only badly. What is known is found here: by
the file's content, where it was published or says it itself; by the library that the names of its tensors are those
of; by its first kernel. What is not known is asked for, never guessed.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import numpy as np

from keras_resnet.errors import ModelError, UsageError, listed
from keras_resnet.json_files import parse_json, parsed
from keras_resnet.layer_names import STEM
from keras_resnet.preprocessing import DEVIATION
from keras_resnet.regular_files import MOST_TEXT, read_member
from keras_resnet.stamp import read_preprocessing, read_stamp
from keras_resnet.weights.files import Tensors, read_metadata, read_weights
from keras_resnet.weights.keras_applications import official
from keras_resnet.weights.naming import (
    AKAMASTER,
    HUGGING_FACE,
    KERAS_APPLICATIONS,
    MLPERF_TINY,
    TIMM,
    TORCHVISION,
    naming_of,
    without_wrappers,
)
from keras_resnet.weights.pretrained import is_name, pretrained, published

if TYPE_CHECKING:
    import keras

METADATA = "pixels"
"""The entry of a safetensors file's metadata that says what its network reads."""
MOST_CHANNELS = 4096
"""Of an input that this is asked about; a damaged file may claim any number."""
FIRST_KERNELS = tuple(STEM.layer(role) + "/kernel" for role in ("conv", "conv1"))
AUGMENTING = "Random"
"""How Keras's layers of random augmentation begin."""
ALIKE = 0.97
"""Correlation from which a first kernel is one that was trained further; Caffe's has 0.57 with itself turned."""


class _Metadata(TypedDict):
    mean: list[float]
    std: list[Annotated[float, DEVIATION]]


@dataclass(frozen=True)
class Pixels:
    """What a network's first convolution reads: (pixel - mean) / std.

    Args:
        title: In words, for a message.
        mean: Of red, green, blue (or of grey), on the 0–255 scale.
        std: Positive; likewise.
        bgr: The file's kernel reads blue, green, red. It is turned as it is loaded, since our networks read red first.
        known_by: How it is known.
    """

    title: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr: bool = False
    known_by: str = ""

    @classmethod
    def of(cls, mean: Iterable[float], std: Iterable[float], known_by: str) -> Pixels:
        """Those that a file says itself.

        Args:
            mean: Of each channel, on the 0–255 scale.
            std: Likewise; positive.
            known_by: How it is known.
        """
        mean, std = tuple(mean), tuple(std)
        return cls(_formula(mean, std), mean, std, False, known_by)

    def for_channels(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and std for images of another number of channels, as the first kernel is fitted to them.

        Args:
            channels: One is what red, green and blue are on average; more repeat them.
        """
        count = len(self.mean)
        if channels == count:
            return self.mean, self.std
        if channels == 1:
            return (sum(self.mean) / count,), (sum(self.std) / count,)
        turns = -(-channels // count)
        return (self.mean * turns)[:channels], (self.std * turns)[:channels]


def _formula(mean: tuple[float, ...], std: tuple[float, ...]) -> str:
    numbers = [", ".join(f"{value:g}" for value in values) for values in (mean, std)]
    if set(mean) == {0} and set(std) == {1}:
        return "pixels of 0–255 as they are"
    return f"pixels minus ({numbers[0]})" + ("" if set(std) == {1} else f", divided by ({numbers[1]})")


def _convention(name: str, mean: tuple[float, ...], std: tuple[float, ...], *, bgr: bool = False) -> Pixels:
    order = ", blue first in the file" if bgr else ""
    return Pixels(f"{name} ({_formula(mean, std)}{order})", mean, std, bgr)


CONVENTIONS: dict[str, Pixels] = {
    # keras.applications.resnet.preprocess_input; He et al.'s networks of 2015.
    "caffe": _convention("caffe", (123.68, 116.779, 103.939), (1.0, 1.0, 1.0), bgr=True),
    # torchvision, and most of timm.
    "imagenet": _convention("imagenet", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    # keras.applications.resnet_v2.preprocess_input; TF-Slim, Big Transfer: -1 … 1.
    "tf": _convention("tf", (127.5,) * 3, (127.5,) * 3),
    # What a network with no normalisation before it was trained on.
    "raw": _convention("raw", (0.0,) * 3, (1.0,) * 3),
}
LIBRARIES = {
    TORCHVISION.title: "imagenet",
    TIMM.title: "imagenet",
    HUGGING_FACE.title: "imagenet",
    AKAMASTER.title: "imagenet",
    MLPERF_TINY.title: "raw",
}
"""What each library's own weights read. keras.applications' read two things, and ours anything."""


def pixels_of(model: str, weights: str | os.PathLike[str], said: str = "") -> Pixels | None:
    """What pixels weights need.

    Args:
        model: The network, as `list_models` has it; for weights that have a name.
        weights: A name or a file, as `build` takes them.
        said: What the user says of them: a key of `CONVENTIONS`, or a file that holds a `Preprocessing` (a model that
            this package wrote, a run's folder, or a `preprocessing.json`). Empty: nothing.

    Returns:
        None where it cannot be known.

    Raises:
        UsageError: `said` is neither.
        ModelError: The file cannot be read.
    """
    if is_name(weights):
        own = pretrained(model, str(weights)).preprocessing
        return replace(_said(said), bgr=False) if said else Pixels.of(own.mean, own.std, "published so")
    path = Path(weights)
    if not said:
        return _known(path)
    found = _said(said)
    if not path.is_file() or _is_nameless(path):
        return found
    if official(path):  # turned whenever it is read
        return replace(found, bgr=False)
    order = _order(read_weights(path))
    return found if order is None else replace(found, bgr=order == "bgr")


def _known(path: Path) -> Pixels | None:
    own = _stored(path, "the file says it")
    if own is not None:
        return own
    if not path.is_file() or _is_nameless(path):
        return None
    row = published(path)
    if row is not None:
        return Pixels.of(row.preprocessing.mean, row.preprocessing.std, f"the file is {row.name} of {row.model}")
    tensors = read_weights(path)
    order = _order(tensors)
    if order is not None:
        caffe = CONVENTIONS["caffe"]
        return replace(caffe, bgr=order == "bgr", known_by="its first kernel is that of the ResNet-50 trained in Caffe")
    naming = naming_of(tensors)
    if naming is KERAS_APPLICATIONS and "post_bn/gamma" in tensors:
        return replace(CONVENTIONS["tf"], known_by="its tensors are named as keras.applications' v2 networks")
    if naming is not None and naming.title in LIBRARIES:
        return replace(CONVENTIONS[LIBRARIES[naming.title]], known_by=f"its tensors are named as {naming.title}'s")
    return None


def _said(said: str) -> Pixels:
    if said in CONVENTIONS:
        return replace(CONVENTIONS[said], known_by="as you say")
    path = Path(said)
    inside = path / "model.keras"
    own = _stored(inside if inside.is_file() else path, f"as {path.name} has it")
    if own is None:
        raise UsageError(
            f"weights_preprocessing is one of {listed(CONVENTIONS)}, or a file that says how its images are prepared "
            f"(a model that this package wrote, a run's folder, a preprocessing.json); received {said!r}"
        )
    return own


def _stored(path: Path, known_by: str) -> Pixels | None:
    """What a file says itself; None: nothing."""
    if path.suffix == ".json" and path.is_file():
        own = read_preprocessing(path)
        return Pixels.of(own.mean, own.std, known_by)
    if path.suffix == ".safetensors" and path.is_file():
        text = read_metadata(path).get(METADATA)
        return _from_json(text, path, known_by) if text else None
    if path.suffix not in (".keras", ".tflite") and not path.is_dir():
        return None
    try:
        own = read_stamp(path)
    except ModelError:  # another package wrote it; what is damaged is refused when it is loaded
        return _in_graph(path, known_by) if path.suffix == ".keras" else None
    return Pixels.of(own.mean, own.std, known_by)


def _in_graph(path: Path, known_by: str) -> Pixels | None:
    """What the first layers of a `.keras` file that Keras wrote do to pixels; None: nothing that is known."""
    try:
        layers = parsed(read_member(path, "config.json", MOST_TEXT).decode())["config"]["layers"]
        found = affine((layer["class_name"], layer["config"]) for layer in layers)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile):
        return None
    return Pixels.of(*found, known_by) if found else None


def affine(
    layers: Iterable[tuple[str, dict[str, Any]]], channels: int = 3
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and std of what the layers behind an input do before anything else does.

    Args:
        layers: Class and configuration of each, from the input on; of a model inside, with those of its layers.
        channels: Of the input, where no layer for it says so.

    Returns:
        None: They do not normalise, or it is not known how.
    """
    scale, offset, normalises = np.array(1.0), np.array(0.0), False
    for kind, config in _one_by_one(layers):
        # It rounds what it gets; layers of random augmentation hand it on in inference, or cut it.
        if kind == "ActivationRange" or kind.startswith(AUGMENTING):
            continue
        if kind == "InputLayer":
            channels = config["batch_shape"][-1]
        elif kind in ("Rescaling", "ChannelRescaling"):
            by, plus = np.asarray(config["scale"], float), np.asarray(config["offset"], float)
            scale, offset, normalises = scale * by, offset * by + plus, True
        elif kind == "Normalization":
            if config.get("mean") is None:  # it has seen data, and keeps what it saw among its weights
                return None
            by = 1 / np.sqrt(np.asarray(config["variance"], float).ravel())
            scale, offset, normalises = scale * by, (offset - np.asarray(config["mean"], float).ravel()) * by, True
        else:
            break
    if not normalises or not isinstance(channels, int) or not 1 <= channels <= MOST_CHANNELS:
        return None
    try:
        scale, offset = (np.broadcast_to(one, channels) for one in (scale, offset))
    except ValueError:  # along another axis
        return None
    if not (np.isfinite(scale).all() and np.isfinite(offset).all() and (scale > 0).all()):
        return None
    return tuple((-offset / scale).tolist()), tuple((1 / scale).tolist())


def _one_by_one(layers: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same, with the layers of models inside in the places of these."""
    for kind, config in layers:
        inside = config.get("layers")
        if isinstance(inside, list):
            yield from _one_by_one((layer["class_name"], layer["config"]) for layer in inside)
        else:
            yield kind, config


def first_layers(model: keras.Model) -> Iterator[tuple[str, dict[str, Any]]]:
    """Class and configuration of a model's layers, from the input on, as `affine` takes them.

    Args:
        model: Models inside are gone through. A `Normalization` is given with what it saw of data, too.
    """
    import keras

    from keras_resnet.compat.graph import is_functional  # which imports Keras

    for layer in model.layers:
        if isinstance(layer, keras.Sequential) or is_functional(layer):
            yield from first_layers(layer)
        elif isinstance(layer, keras.layers.Normalization) and layer.built:
            seen = {name: np.asarray(getattr(layer, name)) for name in ("mean", "variance")}
            yield "Normalization", layer.get_config() | seen
        else:
            yield type(layer).__name__, layer.get_config()


def described(model: keras.Model) -> dict[str, str]:
    """What a safetensors file of this model's weights says of the pixels it reads; empty: its graph does not say it."""
    found = affine(first_layers(model))
    return {METADATA: json.dumps({"mean": found[0], "std": found[1]})} if found else {}


def _from_json(text: str, path: Path, known_by: str) -> Pixels:
    called = f"{path}: what its metadata say of the pixels it needs"
    values = parse_json(text, _Metadata, called)
    mean, std = tuple(values["mean"]), tuple(values["std"])
    if len(mean) != len(std) or not mean:
        raise ModelError(f"{called}: mean and std must be as many numbers")
    return Pixels.of(mean, std, known_by)


def _is_nameless(path: Path) -> bool:
    return path.name.endswith(".weights.h5")


def _order(tensors: Tensors) -> str | None:
    """As `order_of_caffe`, of a file's tensors under the names that it gives them."""
    tensors = dict(zip(without_wrappers(tensors), tensors.values(), strict=True))
    naming = naming_of(tensors)
    layers = [name.split("/")[0] for name in FIRST_KERNELS]
    return order_of_caffe({} if naming is None else naming.to_ours(tensors, layers))


def order_of_caffe(tensors: Mapping[str, np.ndarray]) -> str | None:
    """Whether the first kernel is that of the ResNet-50 trained in Caffe, or came of it by further training.

    Args:
        tensors: Under our names.

    Returns:
        `"bgr"`: as it was trained; `"rgb"`: turned; None: another kernel.
    """
    kernel = next((tensors[name] for name in FIRST_KERNELS if name in tensors), None)
    if kernel is None or kernel.shape != (7, 7, 3, 64) or not np.isfinite(kernel).all():
        return None
    sums, known = kernel.astype(np.float64).sum(axis=(0, 1)), _caffe_sums()
    if not sums.std():
        return None
    for order, expected in (("bgr", known), ("rgb", known[::-1])):
        if np.corrcoef(sums.ravel(), expected.ravel())[0, 1] > ALIKE:
            return order
    return None


@cache
def _caffe_sums() -> np.ndarray:
    """The sums over the window of its first kernel, (blue, green, red; 64 filters). MIT; He et al., 2015."""
    text = files("keras_resnet.weights").joinpath("caffe_first_kernel.csv").read_text(encoding="utf-8")
    return np.array([[float(value) for value in line.split(",")] for line in text.splitlines()[1:]]).T
