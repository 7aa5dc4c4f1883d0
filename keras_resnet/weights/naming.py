"""What others call our layers: name maps to torchvision, timm, Hugging Face, akamaster and Keras.

A naming is derived from the names of a model's own layers, so that one rule covers every depth and
width. Layers here are called `stem_conv`, `stage2_block1_conv1`, `stage2_block1_shortcut_bn`,
`stage2_block1_se_reduce`, `head_bn`, `head_dense`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.weights.files import Tensors

if TYPE_CHECKING:
    import keras

OUR_EPSILON = 1e-5
BLOCK_LAYER = re.compile(r"stage(\d+)_block(\d+)_(.+)")
NUMBERED = re.compile(r"(conv|bn)(\d+)")
NORMALISATION = ("gamma", "beta", "moving_mean", "moving_variance")
KERAS_VARIABLES = {name: name for name in ("kernel", "bias", *NORMALISATION)}
TORCH_VARIABLES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# (height, width, in, out), (length, in, out), (in, out) to PyTorch's output first; grouped kernels alike.
TO_TORCH = {4: (3, 2, 0, 1), 3: (2, 1, 0), 2: (1, 0)}
TO_KERAS = {4: (2, 3, 1, 0), 3: (2, 1, 0), 2: (1, 0)}


@dataclass(frozen=True)
class Naming:
    """How one library names and lays out what our models hold.

    Args:
        title: What to call it in messages and when saving.
        layers: Names of all our layers to the library's, for those it has a name for.
        torch: Whether variables are named, and kernels laid out, as in PyTorch; else as in Keras.
        epsilon: Of the library's batch normalisations.
    """

    title: str
    layers: Callable[[list[str]], dict[str, str]]
    torch: bool = True
    epsilon: float = OUR_EPSILON

    def names(self, layers: Iterable[str]) -> dict[str, str]:
        """The library's name for every variable that our layers have or could have."""
        called = TORCH_VARIABLES if self.torch else KERAS_VARIABLES
        separator = "." if self.torch else "/"
        return {
            f"{ours}/{variable}": f"{theirs}{separator}{called[variable]}"
            for ours, theirs in self.layers(list(layers)).items()
            for variable in (NORMALISATION if "_bn" in ours else ("kernel", "bias"))
        }

    def to_ours(self, tensors: Tensors, layers: Iterable[str]) -> Tensors:
        """Tensors of this naming under our names and in our layout; those it has no place for keep their own."""
        ours_by_theirs = {theirs: ours for ours, theirs in self.names(layers).items()}
        found = {}
        for name, tensor in tensors.items():
            ours = ours_by_theirs.get(name, name)
            if self.torch and ours.endswith("/kernel") and tensor.ndim in TO_KERAS:
                tensor = tensor.transpose(TO_KERAS[tensor.ndim])
            if ours.endswith("/moving_variance"):
                tensor = _shifted(tensor, self.epsilon - OUR_EPSILON)
            found[ours] = tensor
        return found

    def from_ours(self, tensors: Tensors) -> Tensors:
        """Our tensors under this naming and in its layout.

        Raises:
            KeyError: A variable that the library has no name for.
        """
        names = self.names(dict.fromkeys(path.split("/")[0] for path in tensors))
        found = {}
        for ours, tensor in tensors.items():
            if self.torch and ours.endswith("/kernel"):
                tensor = np.ascontiguousarray(tensor.transpose(TO_TORCH[tensor.ndim]))
            if ours.endswith("/moving_variance"):
                tensor = _shifted(tensor, OUR_EPSILON - self.epsilon)
            found[names[ours]] = tensor
        return found


def _shifted(variance: np.ndarray, epsilon: float) -> np.ndarray:
    """Another epsilon moved into the variance: a normalisation divides by the root of their sum."""
    return (variance.astype(np.float64) + epsilon).astype(variance.dtype) if epsilon else variance


def _each(name: Callable[[str], str | None]) -> Callable[[list[str]], dict[str, str]]:
    """Layers translated one by one; those without a name are left out."""
    return lambda layers: {layer: theirs for layer in layers if (theirs := name(layer)) is not None}


def _torchvision(layer: str, shortcut: str = "downsample.{}", head: str = "fc") -> str | None:
    """Torchvision's, with timm's names for what torchvision lacks."""
    fixed = {
        "stem_conv": "conv1",
        "stem_bn": "bn1",
        "stem_conv1": "conv1.0",
        "stem_bn1": "conv1.1",
        "stem_conv2": "conv1.3",
        "stem_bn2": "conv1.4",
        "stem_conv3": "conv1.6",
        "stem_down_conv": "maxpool.0",
        "stem_down_bn": "maxpool.1",
        "head_bn": "norm",
        "head_dense": head,
    }
    parts = {
        "shortcut_conv": shortcut.format(0),
        "shortcut_bn": shortcut.format(1),
        "se_reduce": "se.fc1",
        "se_expand": "se.fc2",
        "eca_conv": "se.conv",
    }
    found = BLOCK_LAYER.fullmatch(layer)
    if not found:
        return fixed.get(layer)
    stage, block, part = found.groups()
    part = part if NUMBERED.fullmatch(part) else parts.get(part)
    return part and f"layer{stage}.{int(block) - 1}.{part}"


def _torchvision_pooled(layer: str) -> str | None:
    """Where shortcuts begin with a pooling layer, which takes the number 0."""
    name = _torchvision(layer)
    return re.sub(r"downsample\.(\d)", lambda found: f"downsample.{int(found[1]) + 1}", name) if name else None


def _akamaster(layer: str) -> str | None:
    return _torchvision(layer, shortcut="shortcut.{}", head="linear")


def _hugging_face(layer: str) -> str | None:
    kinds = {"conv": "convolution", "bn": "normalization"}
    fixed = {"head_dense": "classifier.1"}
    fixed |= {f"stem_{ours}": f"resnet.embedder.embedder.{theirs}" for ours, theirs in kinds.items()}
    found = BLOCK_LAYER.fullmatch(layer)
    if not found:
        return fixed.get(layer)
    stage, block, part = found.groups()
    numbered, shortcut = NUMBERED.fullmatch(part), re.fullmatch("shortcut_(conv|bn)", part)
    if numbered:
        inside = f"layer.{int(numbered[2]) - 1}.{kinds[numbered[1]]}"
    elif shortcut:
        inside = f"shortcut.{kinds[shortcut[1]]}"
    else:
        return None
    return f"resnet.encoder.stages.{int(stage) - 1}.layers.{int(block) - 1}.{inside}"


def _keras_applications(layers: list[str]) -> dict[str, str]:
    preact = "head_bn" in layers
    return _each(lambda layer: _keras_applications_layer(layer, preact))(layers)


def _keras_applications_layer(layer: str, preact: bool) -> str | None:
    fixed = {"stem_conv": "conv1_conv", "stem_bn": "conv1_bn", "head_bn": "post_bn", "head_dense": "predictions"}
    found = BLOCK_LAYER.fullmatch(layer)
    if not found:
        return fixed.get(layer)
    stage, block, part = found.groups()
    numbered, shortcut = NUMBERED.fullmatch(part), re.fullmatch("shortcut_(conv|bn)", part)
    if numbered and preact and numbered[1] == "bn":  # the one before the first convolution has a name
        inside = "preact_bn" if numbered[2] == "1" else f"{int(numbered[2]) - 1}_bn"
    elif numbered:
        inside = f"{numbered[2]}_{numbered[1]}"
    elif shortcut:
        inside = f"0_{shortcut[1]}"
    else:
        return None
    return f"conv{int(stage) + 1}_block{block}_{inside}"


def _mlperf_tiny(layers: list[str]) -> dict[str, str]:
    """Keras numbered the reference's layers as they were made: the branch, then the shortcut."""
    found = {"head_dense": "dense"} if "head_dense" in layers else {}
    for ending, called in (("conv", "conv2d"), ("bn", "batch_normalization")):
        alike = sorted((name for name in layers if _kind(name) == ending), key=_making)
        found |= {layer: f"{called}_{number}" if number else called for number, layer in enumerate(alike)}
    return found


def _kind(layer: str) -> str:
    return layer.rstrip("0123456789").rsplit("_", 1)[-1]


def _making(layer: str) -> tuple[int, int, bool, str]:
    found = BLOCK_LAYER.fullmatch(layer)
    return (int(found[1]), int(found[2]), found[3].startswith("shortcut"), found[3]) if found else (0, 0, False, "")


OURS = Naming("keras_resnet", _each(lambda layer: layer), torch=False)
TORCHVISION = Naming("torchvision", _each(_torchvision))
# The same but for shortcuts that pool.
TIMM = Naming("timm", _each(_torchvision_pooled))
HUGGING_FACE = Naming("Hugging Face transformers", _each(_hugging_face))
AKAMASTER = Naming("akamaster", _each(_akamaster))
KERAS_APPLICATIONS = Naming("keras.applications", _keras_applications, torch=False, epsilon=1.001e-5)
MLPERF_TINY = Naming("MLPerf Tiny", _mlperf_tiny, torch=False, epsilon=1e-3)


def namings_for(model: keras.Model) -> tuple[Naming, ...]:
    """The namings that can mean this model; where names fit equally, the earlier one is meant.

    The tensors of ResNet-C and -D have the same shapes, and only their names tell them apart.
    """
    pools = any(layer.name.endswith("_shortcut_pool") for layer in model.layers)
    return (OURS, TIMM if pools else TORCHVISION, HUGGING_FACE, AKAMASTER, KERAS_APPLICATIONS, MLPERF_TINY)
