"""What every optimizer here can do: rates by layer, clipping, norms of gradients, decay of kernels or of all.

A variable is treated by where it stands in the network, which the name of its layer says (`keras_resnet.layer_names`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import keras
from keras import ops

from keras_resnet.allowed import CLIP, DECAYED
from keras_resnet.compat.optimizers import HookedOptimizer
from keras_resnet.errors import UsageError, listed
from keras_resnet.layer_names import HEAD, OTHER, is_classifier, part_of, section_of
from keras_resnet.settings import check_arguments

Tensor = Any

USUAL_BOUNDS = {"none": 0.0, "norm": 1.0, "value": 0.5, "adaptive": 0.01}
"""The bound of each kind of clipping where none is given: `norm` as timm's LAMB, `adaptive` as Brock et al., 2021."""


class Layerwise(HookedOptimizer):
    """A base class that treats each variable by where it stands in the network.

    It is put before an update rule among the bases. Gradients are taken as they act: unscaled, averaged over
    accumulated batches, summed over replicas. Their norms are measured, then they are clipped, then the rule is applied
    at the variable's own rate. Only kernels decay, unless it is told that biases and normalisations do, too.

    Args:
        *args: The rule's.
        decayed: What weight decay acts on: `kernels`, or `all` variables.
        layer_decay: Rates are multiplied by this to the power of the distance from the head, in (0, 1].
        clip: `none`, `norm`, `value` or `adaptive`.
        clip_at: The norm, value or ratio to keep to; positive where gradients are clipped, else 0.
        name: Default: the optimizer's word. (Keras would number it through the process.)
        **options: The rule's, and those of every Keras optimizer.

    Attributes:
        rate_factor: A scalar variable, 1 at first, that every rate is multiplied by.
        gradient_groups: Names of groups of layers: `stem`, `stage1` …, `head`; once built.
        gradient_norms: A float32 variable, the norm of each group's gradient at the last update, before
            clipping; once built.

    Raises:
        UsageError: A setting is out of range; or, when it is built, `layer_decay` is less than 1 and a layer's
            name does not say where it stands.
    """

    word: ClassVar[str]
    decay: ClassVar[str]  # `decoupled`: by rate × decay; `rule`: the rule's own
    shrinks_weights = False  # Keras would at the common rate; `update_step` knows each variable's own

    @check_arguments(clip=CLIP, decayed=DECAYED)
    def __init__(
        self,
        *args: Any,
        decayed: str = "kernels",
        layer_decay: float = 1.0,
        clip: str = "none",
        clip_at: float = 0.0,
        name: str | None = None,
        **options: Any,
    ) -> None:
        if clip != "none" and not 0 < clip_at < math.inf:
            raise UsageError(f"clip={clip!r} needs a positive clip_at; received {clip_at}")
        if clip == "none" and clip_at:
            raise UsageError(f"clip_at={clip_at} needs to be told what to clip by: {listed(CLIP.choices[1:])}")
        if not 0 < layer_decay <= 1:
            raise UsageError(f"layer_decay must be more than 0 and at most 1; received {layer_decay}")
        super().__init__(*args, name=name or self.word, **options)
        self.decayed, self.layer_decay, self.clip, self.clip_at = decayed, layer_decay, clip, clip_at
        self.rate_factor = self.add_variable((), "ones", name="rate_factor", aggregation="only_first_replica")

    def build(self, variables: list[keras.Variable]) -> None:
        if self.built or not variables:
            return
        # By position, since updates receive the backend's variables, which have other names.
        paths = [variable.path for variable in variables]
        self._multipliers = rate_multipliers(paths, self.layer_decay)
        self._decays = [self.decayed == "all" or variable.name == "kernel" for variable in variables]
        self._classifies = [is_classifier(path) for path in paths]
        self.gradient_groups, self._groups = groups(paths)
        super().build(variables)

    def add_state(self, variables: list[keras.Variable]) -> None:
        super().add_state(variables)
        self.gradient_norms = self.add_variable(
            (len(self.gradient_groups),), dtype="float32", name="gradient_norms", aggregation="none"
        )

    @property
    def last_rate(self) -> float:
        """The rate of the last update, without `layer_decay`; before the first update, the rate of the first."""
        return float(ops.convert_to_numpy(self.rate_after(max(int(ops.convert_to_numpy(self.iterations)) - 1, 0))))

    def rate_after(self, updates: Any) -> Tensor:
        return super().rate_after(updates) * self.rate_factor

    def decays(self, variable: Any) -> bool:
        return self._decays[self.position(variable)]

    def before_rule(self, gradients: Sequence[Tensor], variables: Sequence[Any]) -> list[Tensor]:
        """The gradients clipped, after the norms of their groups have been noted."""
        indices = [self.position(variable) for variable in variables]
        members: list[list[Tensor]] = [[] for _ in self.gradient_groups]
        for index, gradient in zip(indices, gradients, strict=True):
            members[self._groups[index]].append(gradient)
        self.gradient_norms.assign(ops.stack([norm(group) if group else 0.0 for group in members]))
        if self.clip == "norm":
            return clip_by_norm(gradients, self.clip_at)
        if self.clip == "value":
            return clip_by_value(gradients, self.clip_at)
        if self.clip == "adaptive":
            return [
                gradient if self._classifies[index] else clip_adaptively(gradient, variable, self.clip_at)
                for index, gradient, variable in zip(indices, gradients, variables, strict=True)
            ]
        return list(gradients)

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        rate = ops.cast(learning_rate * self._multipliers[self.position(variable)], variable.dtype)
        if self.decay == "decoupled" and self.weight_decay and self.decays(variable):
            self.assign_sub(variable, rate * self.weight_decay * ops.convert_to_tensor(variable))
        super().update_step(gradient, variable, rate)

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("decayed", "layer_decay", "clip", "clip_at")}
        return {**super().get_config(), **own}


def groups(paths: Sequence[str]) -> tuple[tuple[str, ...], list[int]]:
    """The groups of layers that variables belong to: `stem`, `stage1` …, `head`, and `other` for other names.

    Args:
        paths: Of the variables: `stage1_block2_conv1/kernel`.

    Returns:
        The names from input to output, and for each variable the position of its group among them.
    """
    parts = [part_of(path) for path in paths]
    sections = sorted({section for path in paths if (section := section_of(path))})
    present = list(dict.fromkeys(section.part for section in sections))
    present += [OTHER] if OTHER in parts else []
    return tuple(present), [present.index(part) for part in parts]


def rate_multipliers(paths: Sequence[str], layer_decay: float) -> list[float]:
    """`layer_decay` to the power of the distance from the head, counted in blocks; the stem is one more.

    Args:
        paths: Of the variables that are trained.
        layer_decay: In (0, 1]; 1 gives all the same rate, whatever the layers are called.

    Raises:
        UsageError: A layer's name does not say where it stands.
    """
    if layer_decay == 1:
        return [1.0] * len(paths)
    sections = [section_of(path) for path in paths]
    unknown = sorted({path.split("/")[0] for path, at in zip(paths, sections, strict=True) if at is None})
    if unknown:
        raise UsageError(
            "layer-wise learning rates need layers named stem_*, stageS_blockB_* and head_*, as this package's "
            f"networks have them; received {listed(unknown)}. Set layer_decay to 1"
        )
    order = sorted({at for at in sections if at is not None} | {HEAD}, reverse=True)
    return [layer_decay ** order.index(at) for at in sections if at is not None]


def norm(tensors: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of all numbers in some tensors, a float32 scalar."""
    return ops.sqrt(sum(_square_sum(ops.cast(tensor, "float32")) for tensor in tensors))


def _square_sum(tensor: Tensor) -> Tensor:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return 2 * tf.nn.l2_loss(tensor)  # one pass, and no tensor of squares
    return ops.sum(ops.square(tensor))


def clip_by_norm(gradients: Sequence[Tensor], limit: float) -> list[Tensor]:
    """Scaled together so that their common norm is at most `limit`, as `torch.nn.utils.clip_grad_norm_`."""
    scale = ops.minimum(limit / (norm(gradients) + 1e-6), 1.0)
    return [gradient * ops.cast(scale, gradient.dtype) for gradient in gradients]


def clip_by_value(gradients: Sequence[Tensor], limit: float) -> list[Tensor]:
    """Each number cut to `-limit` … `limit`."""
    return [ops.clip(gradient, -limit, limit) for gradient in gradients]


def clip_adaptively(gradient: Tensor, weights: Tensor, ratio: float) -> Tensor:
    """A gradient whose norm is at most `ratio` times the weights', for each output by itself (Brock et al., 2021).

    As `timm.utils.agc.adaptive_clip_grad`: weights' norms count as at least 1e-3.

    Args:
        gradient: Of the weights' shape.
        weights: A Keras kernel, whose last axis counts the outputs, or a vector, which is one unit.
        ratio: Positive; 0.01 in the paper.
    """
    axes = tuple(range(len(weights.shape) - 1)) or None
    most = ratio * ops.maximum(_norm(weights, axes), 1e-3)
    present = _norm(gradient, axes)
    return ops.where(present < most, gradient, gradient * (most / ops.maximum(present, 1e-6)))


def _norm(tensor: Tensor, axes: tuple[int, ...] | None) -> Tensor:
    return ops.sqrt(ops.sum(ops.square(tensor), axis=axes, keepdims=True))
