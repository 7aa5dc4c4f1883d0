"""The layers that every residual network here is made of, and how Keras builds them.

Stems, blocks and heads are written as calls of the methods of `Layers`, on tensors of which they know only the shape.
`KerasLayers` builds Keras layers by them; `counting.Counter` counts what they cost. Only layers that Keras itself has
are used, so that `keras.models.load_model` reads a saved model back in any process.
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
    """What networks are made of. A feature map is (batch, height, width, channels); `name` is the layer's."""

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
        """Convolution, He-initialised.

        Args:
            x: A feature map.
            filters: Channels of the output.
            size: Side of the kernel, odd, in pixels.
            stride: By which it divides the resolution.
            dilation: Distance of the kernel's taps, in pixels.
            groups: Of channels that see each other; divides both numbers of channels.
            normalised: Whether a normalisation follows.
            name: Of the layer.
        """

    def norm(self, x: T, *, last: bool = False, name: str) -> T:
        """Batch normalisation.

        Args:
            x: A feature map.
            last: Whether it ends a block's branch and so starts with gamma 0.
            name: Of the layer.
        """

    def relu(self, x: T, *, name: str) -> T:
        """max(x, 0)."""

    def add(self, branch: T, shortcut: T, *, name: str) -> T:
        """The sum of two feature maps.

        Args:
            branch: What the block computes.
            shortcut: What goes past it, of the same shape.
            name: Of the layer.
        """

    def max_pool(self, x: T, size: int, *, stride: int, name: str) -> T:
        """Maximum over windows, zero-padded by size // 2 on all sides.

        Args:
            x: A feature map.
            size: Side of a window in pixels.
            stride: By which it divides the resolution.
            name: Of the layer.
        """

    def average_pool(self, x: T, *, stride: int, name: str) -> T:
        """Mean over windows of 2×2.

        Args:
            x: A feature map.
            stride: 2, where windows that are cut off count what they hold; or 1, where a zero border counts.
            name: Of the layer.
        """

    def blur(self, x: T, *, stride: int, name: str) -> T:
        """3×3 binomial filter over a reflected border, subsampled.

        Args:
            x: A feature map.
            stride: By which it divides the resolution.
            name: Of the layer.
        """

    def pad_channels(self, x: T, before: int, after: int, *, name: str) -> T:
        """Channels of zeros on both sides.

        Args:
            x: A feature map.
            before: How many before the others.
            after: How many behind them.
            name: Of the layer.
        """

    def squeeze_excite(self, x: T, squeezed: int, *, name: str) -> T:
        """Channels weighed by a network of two layers of their means.

        Args:
            x: A feature map.
            squeezed: Units of the first of the two layers.
            name: Prefix of the layers' names.
        """

    def channel_attention(self, x: T, size: int, *, name: str) -> T:
        """Channels weighed by a convolution over their means.

        Args:
            x: A feature map.
            size: Of the convolution's kernel, odd, in channels.
            name: Prefix of the layers' names.
        """

    def drop_path(self, x: T, rate: float, *, name: str) -> T:
        """In training, whole samples of the branch become zero.

        Args:
            x: A feature map.
            rate: Chance of it, in (0, 1); the samples that stay are divided by 1 - rate.
            name: Of the layer.
        """

    def dropout(self, x: T, rate: float, *, name: str) -> T:
        """In training, single values become zero.

        Args:
            x: A feature map, or (batch, channels).
            rate: Chance of it, in (0, 1); the values that stay are divided by 1 - rate.
            name: Of the layer.
        """

    def global_pool(self, x: T, kind: str, *, name: str) -> T:
        """A feature map to (batch, channels), in float32.

        Args:
            x: A feature map.
            kind: `avg`, the mean over all positions, or `max`.
            name: Of the layer.
        """

    def dense(self, x: T, units: int, *, name: str) -> T:
        """A fully connected layer with bias, in float32.

        Args:
            x: (batch, channels).
            units: Numbers it gives.
            name: Of the layer.
        """


@dataclass(frozen=True)
class KerasLayers(Layers[Any]):
    """Builds Keras layers with this package's conventions, initialised from one seed.

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
            kernel_initializer=self.kernel_initializer(name),
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
        layers = _layers()
        x = self._reflected(x, name=name)
        x = layers.AveragePooling2D(2, strides=1, data_format="channels_last", name=f"{name}_mean")(x)
        return layers.AveragePooling2D(2, strides=stride, data_format="channels_last", name=name)(x)

    def _reflected(self, x: Any, *, name: str) -> Any:
        """The map with its second and its last row but one around it; so its columns.

        Of layers alone, since Keras reads no other operation back from an `.h5` file. They must know the size.
        """
        import keras

        if None in x.shape[1:3]:
            return keras.ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
        layers = _layers()
        for axis, before, after in ((1, "top", "bottom"), (2, "left", "right")):
            far = x.shape[axis] - 2
            lines = [
                layers.Cropping2D(
                    ((first, last), (0, 0)) if axis == 1 else ((0, 0), (first, last)),
                    data_format="channels_last",
                    name=f"{name}_{side}",
                )(x)
                for side, first, last in ((before, 1, far), (after, far, 1))
            ]
            whole = f"{name}_{'rows' if axis == 1 else 'columns'}"
            x = layers.Concatenate(axis=axis, name=whole)([lines[0], x, lines[1]])
        return x

    def pad_channels(self, x: Any, before: int, after: int, *, name: str) -> Any:
        # Told that channels come first, the layer takes the last axis, which holds ours, for columns.
        margins = ((0, 0), (before, after))
        return _layers().ZeroPadding2D(margins, data_format="channels_first", name=name)(x)

    def squeeze_excite(self, x: Any, squeezed: int, *, name: str) -> Any:
        from keras_resnet.models.kernels import use_matrix_product

        layers = _layers()
        y = layers.GlobalAveragePooling2D(data_format="channels_last", keepdims=True, name=f"{name}_pool")(x)
        for part, filters in (("reduce", squeezed), ("expand", x.shape[-1])):
            layer = layers.Conv2D(
                filters,
                1,
                data_format="channels_last",
                kernel_initializer=self.kernel_initializer(f"{name}_{part}"),
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
            kernel_initializer=self.kernel_initializer(f"{name}_conv"),
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

    def kernel_initializer(self, name: str) -> Any:
        """Initial values of a convolution's kernel, by the layer's name."""
        import keras

        return keras.initializers.VarianceScaling(
            2.0, mode="fan_out", distribution="untruncated_normal", seed=self.seed_for(name)
        )


def has_bias(policy: Bias, normalised: bool) -> bool:
    """Whether a convolution has a bias under a spec's policy: one before a normalisation would be idle."""
    return policy == "all" or (policy == "unnormalised" and not normalised)


def _layers() -> Any:
    """Keras's layers, imported when a network is first built: specs and counts do without Keras."""
    from keras import layers

    return layers
