"""Trains a small network on one device and on two, and prints how far the weights then differ.

A process of its own: TensorFlow takes a second device before its first operation only.
"""

import sys

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.losses import loss
from keras_resnet.optimizers.by_name import optimizer
from keras_resnet.schedules import schedule


def trained(strategy: tf.distribute.Strategy, kind: str, clip: str) -> list[np.ndarray]:
    """All weights, and the last gradients' norms."""
    with strategy.scope():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,))
        hidden = keras.layers.Dense(8, "relu", name="stem_a")(inputs)
        model = keras.Model(inputs, keras.layers.Dense(3, name="head_dense")(hidden))
        rate = schedule("cosine", 0.1, 16, warmup_steps=2, warmup_from=0.1)
        made = optimizer(kind, rate, weight_decay=0.01, layer_decay=0.9, clip=clip, clip_at=0.3)
        made.build(model.trainable_variables)
        model.compile(made, loss("cross-entropy", 0.1), jit_compile=False)
    random = np.random.default_rng(0)
    images, labels = random.normal(0, 3, (64, 4)).astype("float32"), np.eye(3)[random.integers(0, 3, 64)]
    model.fit(images, labels, batch_size=8, epochs=2, shuffle=False, verbose=0)
    return [weights.numpy() for weights in (*model.trainable_variables, made.gradient_norms)]


def main(kind: str, clip: str) -> None:
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    one = trained(tf.distribute.get_strategy(), kind, clip)
    two = trained(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), kind, clip)
    print(max(float(np.abs(a - b).max()) for a, b in zip(one, two, strict=True)))


if __name__ == "__main__":
    main(*sys.argv[1:])
