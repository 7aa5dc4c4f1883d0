"""The vocabulary of layers that every residual network here is written in, and its Keras meaning.

Stems, blocks and heads say what they are in the words of `Layers`, on tensors they know only by their
shape. `KerasLayers` makes Keras tensors of the words; `counting.Counter` counts with them. Only stock
Keras layers, so that `keras.models.load_model` reads a saved model back in any process.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from keras_resnet.models.spec import Bias, Padding


class HasShape(Protocol):
    """A feature map: what blocks may ask of a tensor."""

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Batch, height, width, channels, or batch and channels."""


T = TypeVar("T", bound=HasShape)


class Layers(Protocol[T]):
    """What networks are made of. Every method takes and gives tensors, channels last."""

    def conv(
        self,
        x: T,
        filters: int,
        size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        normalised: bool = True,
        name: str,
    ) -> T:
        """Convolution, He-initialised; `normalised` says whether a normalisation follows."""

    def norm(self, x: T, *, last: bool = False, name: str) -> T:
        """Batch normalisation; the `last` of a block starts with gamma 0."""

    def relu(self, x: T, *, name: str) -> T:
        """max(x, 0)."""

    def add(self, branch: T, shortcut: T, *, name: str) -> T:
        """The sum of two equal shapes."""

    def max_pool(self, x: T, size: int, *, stride: int, name: str) -> T:
        """Maximum over windows, zero-padded by size // 2 on all sides."""

    def average_pool(self, x: T, *, stride: int, name: str) -> T:
        """Mean over 2×2 windows; at stride 2 partial windows count what they hold, at 1 a zero border."""

    def blur(self, x: T, *, stride: int, name: str) -> T:
        """3×3 binomial filter over a reflected border, subsampled."""

    def pad_channels(self, x: T, before: int, after: int, *, name: str) -> T:
        """Zero channels on both sides."""

    def squeeze_excite(self, x: T, squeezed: int, *, name: str) -> T:
        """Channels weighed by a two-layer network of their means."""

    def channel_attention(self, x: T, size: int, *, name: str) -> T:
        """Channels weighed by a convolution over their means."""

    def drop_path(self, x: T, rate: float, *, name: str) -> T:
        """In training, whole samples of the branch become zero."""

    def dropout(self, x: T, rate: float, *, name: str) -> T:
        """In training, single values become zero."""

    def global_pool(self, x: T, kind: str, *, name: str) -> T:
        """Mean or maximum over all positions, in float32: (batch, channels)."""

    def dense(self, x: T, units: int, *, name: str) -> T:
        """A fully connected layer with bias, in float32."""


@dataclass(frozen=True)
class KerasLayers:
    """The words as Keras layers with this package's conventions, initialised from one seed.

    Args:
        seed: Initial weights of every layer follow from it and the layer's name; None takes
            Keras's global generator (`keras.utils.set_random_seed`).
        bias: Which convolutions have one; see `ResNetSpec.bias`.
        padding: Of strided convolutions; see `ResNetSpec.padding`.
    """

    seed: int | None = None
    bias: Bias = "none"
    padding: Padding = "symmetric"

    def seed_for(self, name: str) -> int | None:
        """A seed of the layer's own, so that changing one layer leaves the others' weights alone."""
        return None if self.seed is None else zlib.crc32(f"{self.seed}/{name}".encode())

    def conv(
        self,
        x: Any,
        filters: int,
        size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        normalised: bool = True,
        name: str,
    ) -> Any:
        """Convolution with symmetric padding and He initialisation.

        At stride 1 `padding="same"` *is* symmetric. At stride 2 Keras would pad bottom and right
        only, unlike every published ResNet, so there the padding is a layer of its own.
        He et al., "Delving Deep into Rectifiers", 2015 (normal, fan-out as torchvision has it).
        """
        from keras_resnet.models.kernels import use_matrix_product

        layers = _layers()
        same = stride == 1 or self.padding == "same"
        margin = dilation * (size // 2)
        if margin and not same:
            x = layers.ZeroPadding2D(margin, data_format="channels_last", name=f"{name}_pad")(x)
        layer = layers.Conv2D(
            filters,
            size,
            strides=stride,
            dilation_rate=dilation,
            groups=groups,
            padding="same" if same else "valid",
            data_format="channels_last",
            use_bias=has_bias(self.bias, normalised),
            kernel_initializer=self._he_normal(name),
            name=name,
        )
        return use_matrix_product(layer)(x)

    def norm(self, x: Any, *, last: bool = False, name: str) -> Any:
        """Batch normalisation with the literature's constants (Keras's own are 0.99 and 1e-3).

        `last=True` starts gamma at zero, so that a block begins as the identity: Goyal et al.,
        "Accurate, Large Minibatch SGD", 2017.
        """
        from keras_resnet.models.kernels import use_fused_kernel

        layer = _layers().BatchNormalization(
            axis=-1, momentum=0.9, epsilon=1e-5, gamma_initializer="zeros" if last else "ones", name=name
        )
        return use_fused_kernel(layer)(x)

    def relu(self, x: Any, *, name: str) -> Any:
        return _layers().ReLU(name=name)(x)

    def add(self, branch: Any, shortcut: Any, *, name: str) -> Any:
        return _layers().Add(name=name)([shortcut, branch])

    def max_pool(self, x: Any, size: int, *, stride: int, name: str) -> Any:
        layers = _layers()
        if size > 1:
            x = layers.ZeroPadding2D(size // 2, data_format="channels_last", name=f"{name}_pad")(x)
        return layers.MaxPooling2D(size, strides=stride, data_format="channels_last", name=name)(x)

    def average_pool(self, x: Any, *, stride: int, name: str) -> Any:
        layers = _layers()
        if stride == 1:  # timm's dilated ResNet-D counts the border's zeros
            margins = ((0, 1), (0, 1))
            x = layers.ZeroPadding2D(margins, data_format="channels_last", name=f"{name}_pad")(x)
        padding = "valid" if stride == 1 else "same"
        return layers.AveragePooling2D(2, strides=stride, padding=padding, data_format="channels_last", name=name)(x)

    def blur(self, x: Any, *, stride: int, name: str) -> Any:
        """[1 2 1]/4 in both directions is the mean of neighbours taken twice: no weights to keep."""
        import keras

        layers = _layers()
        x = keras.ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
        x = layers.AveragePooling2D(2, strides=1, data_format="channels_last", name=f"{name}_mean")(x)
        return layers.AveragePooling2D(2, strides=stride, data_format="channels_last", name=name)(x)

    def pad_channels(self, x: Any, before: int, after: int, *, name: str) -> Any:
        import keras

        return keras.ops.pad(x, ((0, 0), (0, 0), (0, 0), (before, after)))

    def squeeze_excite(self, x: Any, squeezed: int, *, name: str) -> Any:
        from keras_resnet.models.kernels import use_matrix_product

        layers = _layers()
        y = layers.GlobalAveragePooling2D(data_format="channels_last", keepdims=True, name=f"{name}_pool")(x)
        for part, filters in (("reduce", squeezed), ("expand", x.shape[-1])):
            layer = layers.Conv2D(
                filters,
                1,
                data_format="channels_last",
                kernel_initializer=self._he_normal(f"{name}_{part}"),
                activation="relu" if part == "reduce" else "sigmoid",
                name=f"{name}_{part}",
            )
            y = use_matrix_product(layer)(y)
        return layers.Multiply(name=f"{name}_scale")([x, y])

    def channel_attention(self, x: Any, size: int, *, name: str) -> Any:
        layers = _layers()
        y = layers.GlobalAveragePooling2D(data_format="channels_last", name=f"{name}_pool")(x)
        y = layers.Reshape((-1, 1), name=f"{name}_row")(y)
        y = layers.Conv1D(
            1,
            size,
            padding="same",
            data_format="channels_last",
            use_bias=False,
            activation="sigmoid",
            kernel_initializer=self._he_normal(f"{name}_conv"),
            name=f"{name}_conv",
        )(y)
        y = layers.Reshape((1, 1, x.shape[-1]), name=f"{name}_weights")(y)
        return layers.Multiply(name=f"{name}_scale")([x, y])

    def drop_path(self, x: Any, rate: float, *, name: str) -> Any:
        shape = (None, 1, 1, 1)
        return _layers().Dropout(rate, noise_shape=shape, seed=self.seed_for(name), name=name)(x)

    def dropout(self, x: Any, rate: float, *, name: str) -> Any:
        return _layers().Dropout(rate, seed=self.seed_for(name), name=name)(x)

    def global_pool(self, x: Any, kind: str, *, name: str) -> Any:
        """float32 also under a mixed-precision policy: a mean of many positions loses accuracy in 16 bits."""
        layers = _layers()
        pool = layers.GlobalAveragePooling2D if kind == "avg" else layers.GlobalMaxPooling2D
        return pool(data_format="channels_last", dtype="float32", name=name)(x)

    def dense(self, x: Any, units: int, *, name: str) -> Any:
        """float32 also under a mixed-precision policy: half-precision logits lose accuracy in the loss."""
        import keras

        initializer = keras.initializers.GlorotUniform(self.seed_for(name))
        return _layers().Dense(units, kernel_initializer=initializer, dtype="float32", name=name)(x)

    def _he_normal(self, name: str) -> Any:
        import keras

        return keras.initializers.VarianceScaling(
            2.0, mode="fan_out", distribution="untruncated_normal", seed=self.seed_for(name)
        )


def has_bias(policy: Bias, normalised: bool) -> bool:
    """Whether a convolution has a bias under a spec's policy: one before a normalisation would be idle."""
    return policy == "all" or (policy == "unnormalised" and not normalised)


def _layers() -> Any:
    """Keras's layers, imported when first a network is built: specs and counts do without."""
    from keras import layers

    return layers
