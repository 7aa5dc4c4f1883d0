"""Weights that are zero: which are to be, and how many are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.errors import UsageError, listed

if TYPE_CHECKING:
    import keras

Pattern = tuple[int, int]
"""(N, M): of each M weights in a row, N may differ from zero."""

REDUCED = {
    **dict.fromkeys(("Dense", "Conv1D", "Conv2D", "Conv3D", "SeparableConv1D", "SeparableConv2D"), -2),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), -1),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), None),
}
"""By the kind of a layer: the axis of its kernel that a matrix product sums over; None: there is none."""


@dataclass(frozen=True)
class Sparsity:
    """How many weights of a model are zero.

    Args:
        share: Of the weights of all kernels, in [0, 1].
        layers: That share in each layer with a kernel, by the layer's name.
    """

    share: float
    layers: dict[str, float]


def sparsity(model: keras.Model) -> Sparsity:
    """The share of weights that are exactly zero, in all and by layer.

    Counted are the kernels of convolutions and fully connected layers, those of models inside, too; biases and
    normalisations are not.

    Args:
        model: Any Keras model with weights.

    Raises:
        UsageError: (a ValueError) It has no such layer.

    Example:
        >>> import keras, keras_resnet
        >>> inputs = keras.Input((3,))
        >>> hidden = keras.layers.Dense(4, name="first")(inputs)
        >>> outputs = keras.layers.Dense(2, kernel_initializer="zeros", name="last")(hidden)
        >>> model = keras.Model(inputs, outputs)
        >>> keras_resnet.sparsity(model)
        Sparsity(share=0.4, layers={'first': 0.0, 'last': 1.0})
    """
    zeros: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for layer in _with_kernels(model):
        for kernel in _kernels(layer):
            values = np.asarray(kernel)
            zeros[layer.name] = zeros.get(layer.name, 0) + int((values == 0).sum())
            sizes[layer.name] = sizes.get(layer.name, 0) + values.size
    if not sizes:
        raise UsageError(f"{model.name} has no convolution or fully connected layer whose zeros could be counted")
    return Sparsity(sum(zeros.values()) / sum(sizes.values()), {name: zeros[name] / sizes[name] for name in sizes})


@dataclass(frozen=True)
class Prunable:
    """A kernel whose weights may become zero.

    Args:
        path: Of the variable.
        kernel: The variable.
        reduced: The axis that a matrix product sums over; None: there is none.
    """

    path: str
    kernel: Any
    reduced: int | None


def prunable(model: keras.Model, names: tuple[str, ...] | None) -> list[Prunable]:
    """The kernels of a model that are pruned.

    Args:
        model: Built.
        names: Of the layers; None: all that are trained, but the first one and the last, which are small and matter
            most, and depthwise convolutions.

    Raises:
        UsageError: There is none, or no such layer.
    """
    there = list(_with_kernels(model))
    if names is not None:
        unknown = set(names) - {one.name for one in there}
        if unknown:
            raise UsageError(
                f"layers= names {listed(sorted(unknown))}, and {model.name} has no such convolution or fully connected "
                f"layer; there are {listed(one.name for one in there)}"
            )
        chosen = [one for one in there if one.name in names]
    else:
        chosen = [one for one in there[1:-1] if one.trainable and REDUCED[_kind(one)] is not None]
    if not chosen:
        raise UsageError(
            f"{model.name} has no trained convolution or fully connected layer between its first and its last: name "
            "those to prune by layers="
        )
    kernels = [(_kernels(one)[-1], REDUCED[_kind(one)]) for one in chosen]
    return [Prunable(kernel.path, kernel, axis) for kernel, axis in kernels]


def kept_now(kernel: np.ndarray) -> np.ndarray:
    """The mask of a kernel as it is: zeros stay zeros, but a kernel that is all zero has not been pruned."""
    mask: np.ndarray = kernel != 0
    return mask if mask.any() else np.ones_like(mask)


def kept_next(
    kernel: np.ndarray, mask: np.ndarray, share: float, pattern: Pattern | None, reduced: int | None
) -> np.ndarray:
    """The mask of a kernel once this share of it is zero.

    Args:
        kernel: Its weights.
        mask: Which are kept now; no other will be.
        share: Of the weights that are zero then, those with the least magnitude, in [0, 1].
        pattern: That leaves no more of them than it lets become zero; None: any.
        reduced: The axis along which it goes.

    Returns:
        Booleans of the kernel's shape. Of equal weights it is always the same ones.
    """
    sizes = np.where(mask, np.abs(kernel), -1)
    if pattern is not None:
        assert reduced is not None
        sizes = np.where(_least_of_each(sizes, pattern, reduced), sizes, np.inf)
    count = min(round(share * sizes.size), int(np.isfinite(sizes).sum()))
    found = mask.copy()
    if count:
        found.reshape(-1)[np.argsort(sizes.reshape(-1), kind="stable")[:count]] = False
    return found


def fits(one: Prunable, pattern: Pattern | None) -> bool:
    """Whether a pattern can be laid over a kernel: what is summed must be a multiple of M."""
    return pattern is None or (one.reduced is not None and one.kernel.shape[one.reduced] % pattern[1] == 0)


def _least_of_each(sizes: np.ndarray, pattern: Pattern, reduced: int) -> np.ndarray:
    kept, of = pattern
    rows = np.moveaxis(sizes, reduced, -1)
    ranks = np.argsort(np.argsort(rows.reshape(-1, of), axis=-1, kind="stable"), axis=-1, kind="stable")
    return np.moveaxis((ranks < of - kept).reshape(rows.shape), -1, reduced)


def _with_kernels(model: Any) -> Iterator[Any]:
    """The layers with kernels from input to output, those of models inside, too."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _with_kernels(layer)
        elif _kind(layer) in REDUCED and layer.built:
            yield layer


def _kind(layer: Any) -> str:
    """The class of Keras that a layer is or derives from."""
    return next((kind.__name__ for kind in type(layer).__mro__ if kind.__name__ in REDUCED), "")


def _kernels(layer: Any) -> list[Any]:
    if _kind(layer).startswith("Separable"):
        return [layer.depthwise_kernel, layer.pointwise_kernel]
    return [layer.kernel]
