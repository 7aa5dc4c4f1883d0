"""LeNet-5, the network that read cheques, as a classifier with `fit` and `predict`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    import keras

SIDE = 32
EPOCHS = 30
BATCH = 64


class LeNet5:
    """LeNet-5 (LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to Document Recognition, 1998).

    Three convolutions of 5 × 5 with 6, 16 and 120 maps, averages of 2 × 2 between them, a layer of 84, all with tanh.
    Where the paper connects some maps of the second convolution, all are connected here, and where its last layer
    compares with drawn characters, it is linear. So it is usually built today. Images of other sizes are resized to
    32 × 32. It is trained on cross-entropy by Adam, with a cosine to 0, for 30 epochs, without augmentation.

    Args:
        rate: The first learning rate, above 0.
        seed: Of the weights and the order of images.
        epochs: How often it sees every image.

    Example:
        >>> import numpy as np
        >>> from keras_resnet.experiments.lenet import LeNet5
        >>> images = np.repeat(np.array([0, 255], np.uint8), 50)[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8)
        >>> network = LeNet5(1e-3, seed=0, epochs=2).fit(images, np.repeat([0, 1], 50))
        >>> network.predict(images[[0, -1]]).tolist(), network.parameters
        ([0, 1], 61026)
    """

    def __init__(self, rate: float, *, seed: int, epochs: int = EPOCHS) -> None:
        self.rate, self.seed, self.epochs = rate, seed, epochs
        self._network: keras.Model | None = None

    @property
    def parameters(self) -> int:
        """How many numbers the trained network has learned."""
        return 0 if self._network is None else sum(int(np.prod(one.shape)) for one in self._network.trainable_weights)

    def fit(self, images: np.ndarray, labels: np.ndarray) -> Self:
        """Train a new network.

        Args:
            images: uint8 (n, height, width, channels).
            labels: int (n,), 0 and above.

        Returns:
            Itself.
        """
        import keras
        import tensorflow as tf

        network = self._network = self._built(images, int(labels.max()) + 1)
        steps = self.epochs * -(-len(images) // BATCH)
        network.compile(
            keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(self.rate, steps)),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        data = tf.data.Dataset.from_tensor_slices((images, labels))
        network.fit(
            data.shuffle(len(images), seed=self.seed).batch(BATCH), epochs=self.epochs, shuffle=False, verbose=0
        )
        return self

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The classes of uint8 images (n, height, width, channels), int64 (n,)."""
        assert self._network is not None, "it is trained first"
        return np.asarray(self._network.predict(images, batch_size=256, verbose=0)).argmax(1)

    def _built(self, images: np.ndarray, classes: int) -> keras.Model:
        from keras import Sequential, layers
        from keras.initializers import GlorotUniform

        seeds = iter(range(1000 * self.seed, 1000 * self.seed + 5))

        def drawn() -> GlorotUniform:
            return GlorotUniform(seed=next(seeds))

        mean, deviation = float(images.mean()), max(float(images.std()), 1.0)
        return Sequential(
            [
                layers.Input(images.shape[1:]),
                layers.Resizing(SIDE, SIDE, antialias=True),
                layers.Rescaling(1 / deviation, -mean / deviation),
                layers.Conv2D(6, 5, activation="tanh", kernel_initializer=drawn()),
                layers.AveragePooling2D(2),
                layers.Conv2D(16, 5, activation="tanh", kernel_initializer=drawn()),
                layers.AveragePooling2D(2),
                layers.Conv2D(120, 5, activation="tanh", kernel_initializer=drawn()),
                layers.Flatten(),
                layers.Dense(84, activation="tanh", kernel_initializer=drawn()),
                layers.Dense(classes, kernel_initializer=drawn()),
            ]
        )
