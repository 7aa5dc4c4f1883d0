"""The convolution and the normalisation every residual network here is made of.

Only stock Keras layers, so that `keras.models.load_model` reads a saved model back in any process.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import keras
from keras import layers


@dataclass(frozen=True)
class LayerFactory:
    """Convolutions and normalisations with this package's conventions, initialised from one seed.

    Args:
        seed: Initial weights of every layer follow from it and the layer's name; None takes
            Keras's global generator (`keras.utils.set_random_seed`).
    """

    seed: int | None = None

    def seed_for(self, name: str) -> int | None:
        """A seed of the layer's own, so that changing one layer leaves the others' weights alone."""
        return None if self.seed is None else zlib.crc32(f"{self.seed}/{name}".encode())

    def conv(
        self, x: keras.KerasTensor, filters: int, kernel_size: int, *, stride: int = 1, name: str
    ) -> keras.KerasTensor:
        """A bias-free convolution with symmetric padding and He initialisation.

        At stride 1 `padding="same"` *is* symmetric. At stride 2 Keras would pad bottom and right
        only, unlike every published ResNet, so there the padding is a layer of its own.
        He et al., "Delving Deep into Rectifiers", 2015 (normal, fan-out as torchvision has it).
        """
        margin = kernel_size // 2
        if stride > 1 and margin:
            x = layers.ZeroPadding2D(margin, data_format="channels_last", name=f"{name}_pad")(x)
        return layers.Conv2D(
            filters,
            kernel_size,
            strides=stride,
            padding="same" if stride == 1 else "valid",
            data_format="channels_last",
            use_bias=False,  # the normalisation that follows has one
            kernel_initializer=keras.initializers.VarianceScaling(
                2.0, mode="fan_out", distribution="untruncated_normal", seed=self.seed_for(name)
            ),
            name=name,
        )(x)

    def norm(self, x: keras.KerasTensor, *, last: bool = False, name: str) -> keras.KerasTensor:
        """Batch normalisation with the literature's constants (Keras's own are 0.99 and 1e-3).

        `last=True` starts gamma at zero, so that a block begins as the identity: Goyal et al.,
        "Accurate, Large Minibatch SGD", 2017.
        """
        return layers.BatchNormalization(
            axis=-1, momentum=0.9, epsilon=1e-5, gamma_initializer="zeros" if last else "ones", name=name
        )(x)


def relu(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    """A rectified linear unit as a named layer."""
    return layers.ReLU(name=name)(x)
