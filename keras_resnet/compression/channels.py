"""Which channels of a network hang together, so that none can be removed without the others.

Each channel of each tensor in the graph has a number. A layer that adds two tensors makes the numbers of their channels
one; so does a depthwise convolution with those that it reads and gives. Channels of one number are removed together:
Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023, https://arxiv.org/abs/2301.12900, here channel by
channel. So a shortcut that fills up with zeros couples the channels that it fills up with those that it meets.

What reads or gives channels that are not followed, such as a layer of another package, keeps all of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from keras_resnet.compat.graph import Call, calls, is_functional, kind_of
from keras_resnet.errors import UsageError

Ids = np.ndarray
"""The numbers of channels, (channels,)."""

ELEMENTWISE = (
    "linear", "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "sigmoid", "hard_sigmoid",
    "hard_silu", "tanh", "softplus", "softsign", "mish", "log_sigmoid", "exponential",
)  # fmt: skip
"""Activations that see each channel by itself."""


@dataclass(frozen=True)
class Features:
    """A tensor whose channels are followed.

    Args:
        axis: That holds them; the batch is axis 0.
        ids: The channels' numbers.
    """

    axis: int
    ids: Ids


@dataclass
class Member:
    """A layer whose weights or settings depend on which channels there are.

    Args:
        layer: It.
        inputs: Of the channels that it reads; None: they are not followed and all stay.
        outputs: Of those that it gives.
        positions: At how many places of an image its kernel is multiplied.
        norm: The batch normalisation that reads what it gives.
        padded: Of a layer that puts zeros before and behind the channels: which of its margins does.
    """

    layer: Any
    inputs: Ids | None
    outputs: Ids
    positions: int = 0
    norm: Any = None
    padded: int = 0

    @property
    def groups(self) -> int:
        """Of a grouped convolution; of others 1."""
        return int(getattr(self.layer, "groups", 1))

    def along(self, side: str) -> Ids | None:
        """The channels along an axis of one of its weights; None: they all stay.

        Args:
            side: `inputs`, `outputs` or, between the two kernels of a separable convolution, `middle`.
        """
        if side == "outputs":
            return self.outputs
        if self.inputs is None or self.groups > 1:  # of a grouped convolution, each filter reads the whole of its group
            return None
        return np.repeat(self.inputs, self.layer.depth_multiplier) if side == "middle" else self.inputs

    @property
    def has_kernel(self) -> bool:
        """Whether it multiplies."""
        kind = kind_of(self.layer)
        return kind in WEIGHTS and kind != "BatchNormalization"

    @property
    def reads_each(self) -> bool:
        """Whether each of its filters reads all channels, and which ones is known."""
        return self.inputs is not None and self.groups == 1 and not kind_of(self.layer).startswith("Depthwise")

    def macs(self, inputs: int, outputs: int) -> int:
        """Multiply-accumulates of an image with so many channels.

        Args:
            inputs: That it reads, where they are followed.
            outputs: That it gives.
        """
        if not self.has_kernel:
            return 0
        kind, window = kind_of(self.layer), math.prod(getattr(self.layer, "kernel_size", ()))
        if kind.startswith("Depthwise"):
            return self.positions * window * outputs
        multiplier = getattr(self.layer, "depth_multiplier", 1)
        kernel = self.layer.pointwise_kernel if kind.startswith("Separable") else self.layer.kernel
        all_of_them = kernel.shape[-1 if kind.endswith("Transpose") else -2]
        read = inputs * multiplier if self.reads_each else all_of_them
        return self.positions * read * (window + outputs if kind.startswith("Separable") else window * outputs)


Axes = dict[str, tuple[tuple[int, str], ...]]
_CONVOLUTION: Axes = {"kernel": ((-2, "inputs"), (-1, "outputs")), "bias": ((0, "outputs"),)}
_TRANSPOSED: Axes = {"kernel": ((-1, "inputs"), (-2, "outputs")), "bias": ((0, "outputs"),)}
_DEPTHWISE: Axes = {"kernel": ((-2, "inputs"),), "bias": ((0, "outputs"),)}
_SEPARABLE: Axes = {
    "depthwise_kernel": ((-2, "inputs"),),
    "pointwise_kernel": ((-2, "middle"), (-1, "outputs")),
    "bias": ((0, "outputs"),),
}
_NORM: Axes = dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), ((0, "inputs"),))
WEIGHTS: dict[str, Axes] = {
    **dict.fromkeys(("Dense", "Conv1D", "Conv2D", "Conv3D"), _CONVOLUTION),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _TRANSPOSED),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _DEPTHWISE),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _SEPARABLE),
    "BatchNormalization": _NORM,
}
"""By the kind of a layer: its weights, and which of their axes go over which channels of a `Member`."""


@dataclass(frozen=True)
class Group:
    """Channels that stand in the same places: of them, so many may be removed.

    Args:
        classes: Their numbers.
        places: By member and side (`inputs`, `outputs`): how many channels each of them is there.
    """

    classes: Ids
    places: tuple[tuple[tuple[int, str], int], ...]


@dataclass
class ChannelGraph:
    """The channels of a functional model.

    Args:
        model: It; models inside are followed, too.

    Attributes:
        members: The layers that change where channels are removed.
        classes: The number that each number has become one with: `classes[ids]`.
        entries: What models inside are given, by the identity of their symbolic inputs.

    Raises:
        UsageError: The size of its images is not known.
    """

    model: keras.Model
    members: list[Member] = field(default_factory=list, init=False)
    classes: Ids = field(init=False)
    entries: dict[int, Features | None] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._parents: list[int] = []
        self._fixed: set[int] = set()
        self._summed: set[int] = set()
        self._numbers: dict[int, int] = {}  # of members, by the layer's identity
        self._made: dict[int, Member] = {}  # by the identity of the tensor that it gives
        for one in self._trace(self.model, [None] * len(self.model.inputs)):
            self._fix(one)
        self.classes = np.array([self._root(one) for one in range(len(self._parents))], np.int64)

    def member(self, layer: Any) -> Member | None:
        """What is known of a layer; None: it stays as it is."""
        number = self._numbers.get(id(layer))
        return None if number is None else self.members[number]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of an image in convolutions and fully connected layers."""
        return sum(one.macs(0 if one.inputs is None else len(one.inputs), len(one.outputs)) for one in self.members)

    def groups(self, residual: bool) -> list[Group]:
        """The channels that can be removed.

        Args:
            residual: Also those of sums, as of the residual stream.
        """
        kept = {self._root(one) for one in self._fixed | (set() if residual else self._summed)}
        places: dict[int, list[tuple[tuple[int, str], int]]] = {}
        for number, member in enumerate(self.members):
            for side, ids in (("inputs", member.inputs), ("outputs", member.outputs)):
                for one, times in Counter(self.classes[ids].tolist() if ids is not None else ()).items():
                    if one not in kept:
                        places.setdefault(one, []).append(((number, side), times))
        alike: dict[tuple[tuple[tuple[int, str], int], ...], list[int]] = {}
        for one, where in places.items():
            alike.setdefault(tuple(where), []).append(one)
        return [Group(np.array(sorted(classes)), where) for where, classes in alike.items()]

    # How channels go through a graph.

    def _trace(self, model: Any, given: Sequence[Features | None]) -> list[Features | None]:
        """What a model gives for what it is given."""
        there = dict(zip((id(one) for one in model.inputs), given, strict=True))
        for tensor, features in there.items():
            before = self.entries.setdefault(tensor, features)
            if features is not None and before is not None:  # of a model that is called in several places
                self._unite(features.ids, before.ids)
            elif features is not before:
                self._fix(features)
                self._fix(before)
        for call in calls(model):
            inputs = [there.get(id(one)) for one in call.inputs]
            if is_functional(call.operation) and len(inputs) == len(call.operation.inputs):
                outputs = self._trace(call.operation, inputs)
            else:
                outputs = [self._through(call, inputs)]
            there |= dict(zip((id(one) for one in call.outputs), outputs, strict=False))
        return [there.get(id(one)) for one in model.outputs]

    def _through(self, call: Call, given: list[Features | None]) -> Features | None:
        rule = _RULES.get(kind_of(call.operation))
        found = rule(self, call, given) if rule is not None and len(call.outputs) == 1 else None
        if found is None:
            for one in given:
                self._fix(one)
        return found

    def _new(self, count: int) -> Ids:
        ids = np.arange(len(self._parents), len(self._parents) + count)
        self._parents += ids.tolist()
        return ids

    def _root(self, one: int) -> int:
        while self._parents[one] != one:
            self._parents[one] = self._parents[self._parents[one]]
            one = self._parents[one]
        return one

    def _unite(self, ids: Ids, others: Ids) -> None:
        for one, other in zip(ids.tolist(), others.tolist(), strict=True):
            self._parents[self._root(one)] = self._root(other)

    def _fix(self, features: Features | None) -> None:
        """Keep these channels, whatever becomes of others."""
        if features is not None:
            self._fixed |= set(features.ids.tolist())

    def _join(self, layer: Any, inputs: Ids | None, outputs: Callable[[], Ids]) -> Member:
        """The member of a layer; one that is called in several places reads the same channels in all of them."""
        if id(layer) not in self._numbers:
            self._numbers[id(layer)] = len(self.members)
            self.members.append(Member(layer, inputs, outputs()))
            return self.members[-1]
        member = self.members[self._numbers[id(layer)]]
        if inputs is not None and member.inputs is not None:
            self._unite(inputs, member.inputs)
        else:
            self._fixed |= {one for ids in (inputs, member.inputs) if ids is not None for one in ids.tolist()}
        return member

    def _same(self, call: Call, given: list[Features | None]) -> Features | None:
        """Each channel by itself: activations, pooling, cropping."""
        x, layer = given[0], call.operation
        if x is None or len(given) != 1 or len(call.outputs[0].shape) != len(call.inputs[0].shape):
            return None
        is_elementwise = not hasattr(layer, "activation") or _sees_each(layer.activation)
        at_channels = not hasattr(layer, "data_format") or _axis(layer, call.inputs[0]) == x.axis
        return x if is_elementwise and at_channels else None

    def _norm(self, call: Call, given: list[Features | None]) -> Features | None:
        x, layer = given[0], call.operation
        if x is None or layer.axis % len(call.inputs[0].shape) != x.axis:
            return None
        self._join(layer, x.ids, lambda: x.ids)
        maker = self._made.get(id(call.inputs[0]))
        if maker is not None:
            maker.norm = layer
        return x

    def _kernel(self, call: Call, given: list[Features | None]) -> Features | None:
        """Convolutions and fully connected layers."""
        layer, kind = call.operation, kind_of(call.operation)
        if getattr(layer, "lora_enabled", False) or getattr(layer, "quantization_mode", None) is not None:
            return None
        axis = len(call.inputs[0].shape) - 1 if kind == "Dense" else _axis(layer, call.inputs[0])
        x = given[0] if given[0] is not None and given[0].axis == axis else None
        if x is None:
            self._fix(given[0])
        inputs = x.ids if x is not None else None
        by_itself = kind.startswith("Depthwise")
        if by_itself and inputs is None:
            return None
        count = layer.units if kind == "Dense" else call.outputs[0].shape[axis]
        multiplier = getattr(layer, "depth_multiplier", 1)
        member = self._join(
            layer,
            inputs,
            lambda: np.repeat(inputs, multiplier) if by_itself and inputs is not None else self._new(count),
        )
        ids = np.repeat(inputs, multiplier) if by_itself and inputs is not None else member.outputs
        if member.groups > 1:
            self._couple(member)
        if not _sees_each(layer.activation):
            self._fix(Features(axis, ids))
        shape = (call.inputs if kind.endswith("Transpose") else call.outputs)[0].shape
        if None in shape[1:]:
            raise UsageError(
                f"{self.model.name} does not know the size of its images, so that its multiply-accumulates cannot be "
                f"counted (layer {layer.name!r} has {shape}): build it for images of one size, as keras.Input((224, "
                "224, 3)) gives it"
            )
        member.positions += math.prod(side for place, side in enumerate(shape) if place not in (0, axis))
        self._made[id(call.outputs[0])] = member
        return Features(axis, ids)

    def _couple(self, member: Member) -> None:
        """A grouped convolution loses whole groups, with all that they read and give."""
        given = member.outputs.reshape(member.groups, -1)
        if member.inputs is None:
            self._fixed |= set(member.outputs.tolist())
            return
        together = np.concatenate([member.inputs.reshape(member.groups, -1), given], axis=1)
        for ids in together:
            self._unite(ids[1:], np.broadcast_to(ids[0], ids[1:].shape))

    def _pad(self, call: Call, given: list[Features | None]) -> Features | None:
        """Zeros around a map, or before and behind the channels."""
        x, layer = given[0], call.operation
        if x is None:
            return None
        margins = layer.padding if isinstance(layer.padding[0], tuple) else (layer.padding,)
        place = x.axis - (2 if _axis(layer, call.inputs[0]) == 1 else 1)
        if not 0 <= place < len(margins) or not any(margins[place]):
            return x
        before, after = margins[place]
        member = self._join(layer, x.ids, lambda: np.concatenate([self._new(before), x.ids, self._new(after)]))
        member.padded = place
        return Features(x.axis, member.outputs)

    def _merge(self, call: Call, given: list[Features | None]) -> Features | None:
        """Sums, products and the like, element by element."""
        ranks = {len(one.shape) for one in call.inputs}
        axes = {one.axis for one in given if one is not None}
        if len(given) < 2 or None in given or len(ranks) > 1 or len(axes) > 1:
            return None
        features = [one for one in given if one is not None]
        whole = max(features, key=lambda one: len(one.ids))
        for one in features:
            if len(one.ids) == len(whole.ids):
                self._unite(one.ids, whole.ids)
            else:
                self._fix(one)  # a single channel that meets all of the others
        if kind_of(call.operation) in SUMS:
            self._summed |= {number for one in features for number in one.ids.tolist()}
        return whole

    def _concatenate(self, call: Call, given: list[Features | None]) -> Features | None:
        if None in given or len({one.axis for one in given if one is not None}) > 1:
            return None
        features = [one for one in given if one is not None]
        axis = call.operation.axis % len(call.outputs[0].shape)
        if axis == features[0].axis:
            return Features(axis, np.concatenate([one.ids for one in features]))
        for one in features[1:]:
            self._unite(one.ids, features[0].ids)
        return features[0]

    def _global_pool(self, call: Call, given: list[Features | None]) -> Features | None:
        x, shape = given[0], call.outputs[0].shape
        if x is None or _axis(call.operation, call.inputs[0]) != x.axis:
            return None
        return Features(x.axis if call.operation.keepdims else len(shape) - 1, x.ids)

    def _flatten(self, call: Call, given: list[Features | None]) -> Features | None:
        x, shape = given[0], tuple(call.inputs[0].shape[1:])
        if x is None or None in shape or call.operation.data_format == "channels_first":
            return None
        along = [-1 if place == x.axis - 1 else 1 for place in range(len(shape))]
        return Features(1, np.broadcast_to(x.ids.reshape(along), shape).reshape(-1))

    def _reshape(self, call: Call, given: list[Features | None]) -> Features | None:
        """Axes of length 1 put in or left out."""
        x, before, after = given[0], tuple(call.inputs[0].shape[1:]), tuple(call.outputs[0].shape[1:])
        longer = [side for side in before if side != 1]
        if x is None or None in before or longer != [side for side in after if side != 1] or len(x.ids) == 1:
            return None
        place = sum(side != 1 for side in before[: x.axis - 1])
        axis = [where for where, side in enumerate(after, start=1) if side != 1][place]
        self._join(call.operation, x.ids, lambda: x.ids)
        return Features(axis, x.ids)


Rule = Callable[[ChannelGraph, Call, list[Features | None]], Features | None]
SUMS = ("Add", "Subtract", "Average")


def _rules(rule: Rule, names: Iterable[str]) -> dict[str, Rule]:
    return dict.fromkeys(names, rule)


_RULES: dict[str, Rule] = {
    **_rules(ChannelGraph._kernel, [kind for kind in WEIGHTS if kind != "BatchNormalization"]),
    "BatchNormalization": ChannelGraph._norm,
    **_rules(
        ChannelGraph._same,
        [
            "Activation", "ReLU", "LeakyReLU", "ELU", "Identity", "Dropout", "GaussianNoise", "GaussianDropout",
            *(f"{kind}{axes}D" for kind in ("MaxPooling", "AveragePooling", "SpatialDropout", "Cropping", "UpSampling")
              for axes in (1, 2, 3)),
            "Relu", "Relu6", "Sigmoid", "HardSigmoid", "Silu", "HardSilu", "Gelu", "Tanh",
        ],
    ),
    **_rules(ChannelGraph._merge, [*SUMS, "Multiply", "Maximum", "Minimum"]),
    "Concatenate": ChannelGraph._concatenate,
    **_rules(ChannelGraph._pad, ["ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D"]),
    **_rules(
        ChannelGraph._global_pool,
        [f"Global{kind}Pooling{axes}D" for kind in ("Average", "Max") for axes in (1, 2, 3)],
    ),
    "Flatten": ChannelGraph._flatten,
    "Reshape": ChannelGraph._reshape,
}  # fmt: skip
"""By the kind of a layer or operation: what it does with channels. None of it: that is not known."""


def _axis(layer: Any, tensor: Any) -> int:
    """The axis that a layer takes for the channels."""
    return 1 if layer.data_format == "channels_first" else len(tensor.shape) - 1


def _sees_each(activation: Any) -> bool:
    return any(activation is getattr(keras.activations, name) for name in ELEMENTWISE)
