"""What other libraries call our layers: torchvision, timm, Hugging Face, akamaster, keras.applications, MLPerf Tiny.

A naming is derived from the names of a model's own layers, so that one rule covers every depth and
width.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.layer_names import CLASSIFIER, HEAD, STEM, LayerName, Section, is_classifier, read_name
from keras_resnet.weights.files import Tensors

if TYPE_CHECKING:
    import keras

OUR_EPSILON = 1e-5
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
            for variable in _variables(ours)
        }

    def to_ours(self, tensors: Tensors, layers: Iterable[str], epsilon: float = OUR_EPSILON) -> Tensors:
        """Tensors of this naming under our names and in our layout; those it has no place for keep their own.

        Args:
            tensors: By the library's names.
            layers: Names of the model's layers.
            epsilon: Of the model's batch normalisations.
        """
        ours_by_theirs = {theirs: ours for ours, theirs in self.names(layers).items()}
        found = {}
        for name, tensor in tensors.items():
            ours = ours_by_theirs.get(name, name)
            if self.torch and ours.endswith("/kernel") and tensor.ndim in TO_KERAS:
                tensor = tensor.transpose(TO_KERAS[tensor.ndim])
            if ours.endswith("/moving_variance"):
                tensor = _shifted(tensor, self.epsilon - epsilon)
            found[ours] = tensor
        return found

    def from_ours(self, tensors: Tensors, epsilon: float = OUR_EPSILON) -> Tensors:
        """Our tensors under this naming and in its layout.

        Args:
            tensors: By our names.
            epsilon: Of the batch normalisations of the model that has them.

        Raises:
            KeyError: A variable that the library has no name for.
        """
        names = self.names(dict.fromkeys(path.split("/")[0] for path in tensors))
        found = {}
        for ours, tensor in tensors.items():
            if self.torch and ours.endswith("/kernel"):
                tensor = np.ascontiguousarray(tensor.transpose(TO_TORCH[tensor.ndim]))
            if ours.endswith("/moving_variance"):
                tensor = _shifted(tensor, epsilon - self.epsilon)
            found[names[ours]] = tensor
        return found


def epsilon_of(model: keras.Model) -> float:
    """What a network's batch normalisations add to the variance: ours 1e-5, unless it takes another library's."""
    names = ((layer, read_name(layer.name)) for layer in model.layers)
    return next((layer.epsilon for layer, name in names if name and name.kind == "bn"), OUR_EPSILON)


def _variables(layer: str) -> tuple[str, ...]:
    name = read_name(layer)
    return NORMALISATION if name and name.kind == "bn" else ("kernel", "bias")


def _shifted(variance: np.ndarray, epsilon: float) -> np.ndarray:
    """Another epsilon moved into the variance: a normalisation divides by the root of their sum."""
    return (variance.astype(np.float64) + epsilon).astype(variance.dtype) if epsilon else variance


def _each(called: Callable[[LayerName], str | None]) -> Callable[[list[str]], dict[str, str]]:
    """Layers translated one by one; those without a name are left out."""

    def translate(layers: list[str]) -> dict[str, str]:
        names = {layer: read_name(layer) for layer in layers}
        return {layer: theirs for layer, name in names.items() if name and (theirs := called(name)) is not None}

    return translate


def _torchvision(name: LayerName, shortcut: str = "downsample.{}", head: str = "fc") -> str | None:
    """Torchvision's, with timm's names for what torchvision lacks."""
    if name.section == STEM:
        return {
            "conv": "conv1",
            "bn": "bn1",
            "conv1": "conv1.0",
            "bn1": "conv1.1",
            "conv2": "conv1.3",
            "bn2": "conv1.4",
            "conv3": "conv1.6",
            "down_conv": "maxpool.0",
            "down_bn": "maxpool.1",
        }.get(name.role)
    if name.section == HEAD:
        return {"bn": "norm", "dense": head}.get(name.role)
    inside = {
        "shortcut_conv": shortcut.format(0),
        "shortcut_bn": shortcut.format(1),
        "se_reduce": "se.fc1",
        "se_expand": "se.fc2",
        "eca_conv": "se.conv",
    }.get(name.role, name.role if name.number else None)
    return inside and f"layer{name.section.stage}.{name.section.block - 1}.{inside}"


def _torchvision_pooled(name: LayerName) -> str | None:
    """Where shortcuts begin with a pooling layer, which takes the number 0."""
    theirs = _torchvision(name)
    return re.sub(r"downsample\.(\d)", lambda found: f"downsample.{int(found[1]) + 1}", theirs) if theirs else None


def _akamaster(name: LayerName) -> str | None:
    return _torchvision(name, shortcut="shortcut.{}", head="linear")


def _hugging_face(name: LayerName) -> str | None:
    kinds = {"conv": "convolution", "bn": "normalization"}
    if name.section == STEM:
        return f"resnet.embedder.embedder.{kinds[name.role]}" if name.role in kinds else None
    if name.section == HEAD:
        return "classifier.1" if is_classifier(str(name)) else None
    if name.kind not in kinds or not (name.number or name.in_shortcut):
        return None
    inside = f"layer.{name.number - 1}" if name.number else "shortcut"
    block = f"resnet.encoder.stages.{name.section.stage - 1}.layers.{name.section.block - 1}"
    return f"{block}.{inside}.{kinds[name.kind]}"


def _keras_applications(layers: list[str]) -> dict[str, str]:
    preact = HEAD.layer("bn") in layers
    return _each(lambda name: _keras_applications_layer(name, preact))(layers)


def _keras_applications_layer(name: LayerName, preact: bool) -> str | None:
    if name.section == STEM:
        return {"conv": "conv1_conv", "bn": "conv1_bn"}.get(name.role)
    if name.section == HEAD:
        return {"bn": "post_bn", "dense": "predictions"}.get(name.role)
    if name.kind not in ("conv", "bn") or not (name.number or name.in_shortcut):
        return None
    inside = f"{name.number or 0}_{name.kind}"
    if preact and name.kind == "bn" and name.number:  # the one before the first convolution has a name
        inside = "preact_bn" if name.number == 1 else f"{name.number - 1}_bn"
    return f"conv{name.section.stage + 1}_block{name.section.block}_{inside}"


def _mlperf_tiny(layers: list[str]) -> dict[str, str]:
    """Keras numbered the reference's layers as they were made: the branch, then the shortcut."""
    names = sorted(
        (name for layer in layers if (name := read_name(layer))),  # which come from input to output
        key=lambda name: (name.section, name.in_shortcut),
    )
    found = {CLASSIFIER: "dense"} if CLASSIFIER in layers else {}
    for kind, called in (("conv", "conv2d"), ("bn", "batch_normalization")):
        alike = [str(name) for name in names if name.kind == kind]
        found |= {layer: f"{called}_{number}" if number else called for number, layer in enumerate(alike)}
    return found


OURS = Naming("keras_resnet", lambda layers: {layer: layer for layer in layers}, torch=False)
TORCHVISION = Naming("torchvision", _each(_torchvision))
# The same but for shortcuts that pool.
TIMM = Naming("timm", _each(_torchvision_pooled))
HUGGING_FACE = Naming("Hugging Face transformers", _each(_hugging_face))
AKAMASTER = Naming("akamaster", _each(_akamaster))
KERAS_APPLICATIONS = Naming("keras.applications", _keras_applications, torch=False, epsilon=1.001e-5)
MLPERF_TINY = Naming("MLPerf Tiny", _mlperf_tiny, torch=False, epsilon=1e-3)

NAMINGS = (OURS, TORCHVISION, HUGGING_FACE, AKAMASTER, KERAS_APPLICATIONS, MLPERF_TINY)


def naming_of(names: Iterable[str]) -> Naming | None:
    """Whose names tensors have, judged by those of a stem, a first block and a classifier; None: nobody's.

    Args:
        names: As a file has them.
    """
    found, block = set(without_wrappers(names)), Section(1, 1)
    roles = ("conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "shortcut_conv", "shortcut_bn")
    layers = [*(STEM.layer(role) for role in ("conv", "bn")), *(block.layer(role) for role in roles), CLASSIFIER]
    layers += [HEAD.layer("bn")] if "post_bn/gamma" in found else []
    known = {one.title: len(found & set(one.names(layers).values())) for one in NAMINGS}
    best = max(NAMINGS, key=lambda one: known[one.title])
    return best if known[best.title] else None


def without_wrappers(names: Iterable[str]) -> list[str]:
    """Tensors' names as they were before DataParallel, torch.compile or a headless checkpoint changed them."""
    names = list(names)
    for prefix in ("module.", "_orig_mod."):
        if names and all(name.startswith(prefix) for name in names):
            names = [name.removeprefix(prefix) for name in names]
    if any(name.startswith("embedder.embedder.") for name in names):  # Hugging Face's model without its head
        names = [f"resnet.{name}" for name in names]
    return [name.replace("probs/", "predictions/") for name in names]


def namings_for(model: keras.Model) -> tuple[Naming, ...]:
    """The namings that a file for this model may have; where several fit equally well, the first is taken.

    The tensors of ResNet-C and -D have the same shapes, and only their names tell them apart.
    """
    names = [read_name(layer.name) for layer in model.layers]
    pools = any(name and name.in_shortcut and name.kind == "pool" for name in names)
    return (OURS, TIMM if pools else TORCHVISION, HUGGING_FACE, AKAMASTER, KERAS_APPLICATIONS, MLPERF_TINY)


def strided_conv(model: keras.Model) -> str | None:
    """Which convolution strides in a model's bottlenecks, `1x1` (v1) or `3x3` (v1.5), as `ResNetSpec` says it.

    The tensors of both are alike. None: a model without bottlenecks, of one stage, or with pre-activation.
    """
    first, last = (Section(2, 1).layer(role) for role in ("conv1", "conv3"))
    names = {layer.name for layer in model.layers}
    if HEAD.layer("bn") in names or not {first, last} <= names:
        return None
    return "3x3" if tuple(model.get_layer(first).strides) == (1, 1) else "1x1"
