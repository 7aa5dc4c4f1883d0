"""Networks of other families that a residual network is compared with, at the size of small images.

Those of keras.applications are built by it, on images that are enlarged where its strides would leave nothing to look
at. The others are a few lines. All take raw pixels and give logits, and are made of Keras's own layers.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from keras_resnet.compat.naming import numbered_from_the_beginning
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.training.start import OtherNetwork

LENET_SIDE = 32
SMALL_SIDE = 64
"""Up to this side of images AlexNet has a small first layer."""
BATCH_NORM_MOMENTUM = 0.9
"""As in all networks here; keras.applications has up to 0.999, which takes thousands of steps to settle."""


@dataclass(frozen=True)
class Family:
    """One network of another family.

    Args:
        title: What people call it.
        body: Normalised images (batch, height, width, channels) → what its classifier takes, (batch, numbers).
        paper: Where it comes from.
        settings: Of a recipe, what it needs otherwise.
        least_side: Images with a smaller side are enlarged by a whole number.
    """

    title: str
    body: Callable[[Any], Any]
    paper: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    least_side: int = 1

    def network(self, name: str) -> OtherNetwork:
        """What a training takes.

        Args:
            name: What the run calls it.
        """
        return OtherNetwork(name, lambda preprocessing, seed: self._built(name, preprocessing, seed))

    def _built(self, name: str, preprocessing: Preprocessing, seed: int) -> keras.Model:
        scale = [1 / one for one in preprocessing.std]
        offset = [-mean / std for mean, std in zip(preprocessing.mean, preprocessing.std, strict=True)]
        with _drawing_by(seed), numbered_from_the_beginning():
            image = keras.Input(preprocessing.input_shape)
            x = layers.Rescaling(scale, offset, name="normalization")(image)
            x = self.body(_enlarged(x, self.least_side))
            model = keras.Model(image, layers.Dense(len(preprocessing.class_names), name="logits")(x), name=name)
        for layer in model.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.momentum = BATCH_NORM_MOMENTUM
        return model


@contextmanager
def _drawing_by(seed: int) -> Iterator[None]:
    """Draw initial weights and the seeds of dropout by a seed, and leave Python's random numbers as they were.

    keras.applications takes no seed. Keras draws those that are not given from Python's numbers, see
    `keras.utils.set_random_seed`.
    """
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


def _enlarged(x: Any, least_side: int) -> Any:
    """Images whose smaller side is at least so long."""
    factor = -(-least_side // min(x.shape[1:3]))
    return layers.UpSampling2D(factor, interpolation="bilinear", name="enlarged")(x) if factor > 1 else x


def _lenet5(x: Any) -> Any:
    """On 32 × 32 pixels. Where the paper connects some maps of the second convolution, all are connected here."""
    factor = max(1, min(x.shape[1:3]) // LENET_SIDE)
    x = layers.AveragePooling2D(factor)(x) if factor > 1 else x
    if x.shape[1:3] != (LENET_SIDE, LENET_SIDE):
        x = layers.Resizing(LENET_SIDE, LENET_SIDE)(x)
    x = layers.AveragePooling2D(2)(layers.Conv2D(6, 5, activation="tanh")(x))
    x = layers.AveragePooling2D(2)(layers.Conv2D(16, 5, activation="tanh")(x))
    x = layers.Flatten()(layers.Conv2D(120, 5, activation="tanh")(x))
    return layers.Dense(84, activation="tanh")(x)


def _alexnet(x: Any) -> Any:
    """Of one column, as usually built. Of small images the first layer looks at 5 × 5 pixels and strides by 2."""

    def conv(x: Any, filters: int, size: int = 3, stride: int = 1) -> Any:
        return layers.Conv2D(filters, size, stride, "same", activation="relu", kernel_initializer="he_normal")(x)

    def pool(x: Any) -> Any:
        return layers.MaxPooling2D(3, 2, "same")(x)

    small = min(x.shape[1:3]) <= SMALL_SIDE
    x = pool(conv(x, 64, 5, 2) if small else conv(x, 64, 11, 4))
    x = pool(conv(x, 192, 5))
    x = pool(conv(conv(conv(x, 384), 256), 256))
    x = layers.Flatten()(x)
    for _ in range(2):
        x = layers.Dropout(0.5)(x)
        x = layers.Dense(4096, activation="relu", kernel_initializer="he_normal")(x)
    return x


def _vit(x: Any, width: int = 128, depth: int = 6, heads: int = 4) -> Any:
    """Patches of 4 × 4, of images larger than 64 a sixteenth; the mean of all tokens before the classifier.

    A bias for each place makes the projection of patches embed their positions, too. Normalisations come first in each
    block, with the mean for a class token: Beyer, Zhai and Kolesnikov, Better plain ViT baselines, 2022.
    """
    patch = max(4, min(x.shape[1:3]) // 16)
    over = [-side % patch for side in x.shape[1:3]]
    if any(over):
        x = layers.ZeroPadding2D([(one // 2, one - one // 2) for one in over])(x)
    rows, columns, channels = x.shape[1] // patch, x.shape[2] // patch, x.shape[3]
    x = layers.Permute((1, 3, 2, 4))(layers.Reshape((rows, patch, columns, patch * channels))(x))
    x = layers.Reshape((rows * columns, patch * patch * channels))(x)
    x = layers.EinsumDense("bnp,pd->bnd", (rows * columns, width), bias_axes="nd", bias_initializer="random_normal")(x)
    for _ in range(depth):
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        x = layers.Add()([x, layers.MultiHeadAttention(heads, width // heads)(y, y)])
        y = layers.Dense(4 * width, activation="gelu")(layers.LayerNormalization(epsilon=1e-6)(x))
        x = layers.Add()([x, layers.Dense(width)(y)])
    return layers.GlobalAveragePooling1D()(layers.LayerNormalization(epsilon=1e-6)(x))


def _of_keras(name: str, **options: Any) -> Callable[[Any], Any]:
    """The layers of a network of keras.applications up to its global average, with random weights."""

    def body(x: Any) -> Any:
        build = getattr(keras.applications, name)
        model = build(include_top=False, weights=None, input_tensor=x, pooling="avg", **options)
        return model.output

    return body


BEFORE_NORMALISATION = {
    "optimizer": "sgd",
    "learning_rate": 0.01,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "clip": "norm",
}
"""Rate and decay of the papers of AlexNet and VGG, which have no batch normalisation to bear more."""

FAMILIES = {
    "lenet5": Family(
        "LeNet-5",
        _lenet5,
        "LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to Document Recognition, 1998",
        {"optimizer": "adam", "learning_rate": 1e-3, "weight_decay": 0.0},
    ),
    "alexnet": Family(
        "AlexNet",
        _alexnet,
        "Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional Neural Networks, 2012; in "
        "one column, Krizhevsky, One Weird Trick, 2014, https://arxiv.org/abs/1404.5997",
        BEFORE_NORMALISATION,
        least_side=32,
    ),
    "vgg16": Family(
        "VGG-16",
        _of_keras("VGG16"),
        "Simonyan and Zisserman, Very Deep Convolutional Networks, 2014, https://arxiv.org/abs/1409.1556",
        BEFORE_NORMALISATION,
        least_side=32,
    ),
    "inception": Family(
        "Inception v3",
        _of_keras("InceptionV3"),
        "Szegedy et al., Rethinking the Inception Architecture, 2015, https://arxiv.org/abs/1512.00567",
        least_side=75,
    ),
    "densenet": Family(
        "DenseNet-121",
        _of_keras("DenseNet121"),
        "Huang et al., Densely Connected Convolutional Networks, 2016, https://arxiv.org/abs/1608.06993",
        least_side=64,
    ),
    "efficientnet": Family(
        "EfficientNetV2-B0",
        _of_keras("EfficientNetV2B0", include_preprocessing=False),
        "Tan and Le, EfficientNetV2, 2021, https://arxiv.org/abs/2104.00298",
        least_side=64,
    ),
    "mobilenet": Family(
        "MobileNetV2",
        _of_keras("MobileNetV2"),
        "Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, 2018, https://arxiv.org/abs/1801.04381",
        least_side=64,
    ),
    "vit": Family(
        "small Vision Transformer",
        _vit,
        "Dosovitskiy et al., An Image is Worth 16x16 Words, 2020, https://arxiv.org/abs/2010.11929",
        {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 0.05, "clip": "norm"},
        least_side=32,
    ),
}
"""By the words of `keras-resnet baselines --methods`."""
