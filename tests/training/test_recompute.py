from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_resnet
from keras_resnet.errors import UsageError
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.training.recompute import recompute_activations
from keras_resnet.weights.files import variables_by_path

TINY = {"depths": (2, 2), "widths": (8, 16), "stem_width": 8}
FAMILIES = {
    "basic": keras_resnet.spec("resnet18", **TINY),
    "basic, option A": keras_resnet.spec("resnet20", **TINY),
    "bottleneck, SE": keras_resnet.spec("resnet50", attention="se", **TINY),
    "bottleneck, ECA, ResNet-D, blurred": keras_resnet.spec("resnet50d", attention="eca", antialias=True, **TINY),
    "preact bottleneck": keras_resnet.spec("resnet50v2", **TINY),
    "preact basic, dropout in the blocks": keras_resnet.spec("wrn-16-4", **TINY),
}
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (12, 16, 16, 3)).astype("uint8")
LABELS = RANDOM.integers(0, 3, 12)
PREPROCESSING = Preprocessing((16, 16), 3, (120.0,) * 3, (70.0,) * 3, ("a", "b", "c"))


def network(family: str) -> keras.Model:
    return keras_resnet.build(
        FAMILIES[family],
        preprocessing=PREPROCESSING,
        classifier_activation=None,
        stem="cifar",
        dropout=0.3,
        stochastic_depth=0.5,
        seed=1,
    )


def trained(model: keras.Model, **options: object) -> list[float]:
    """Losses of three steps through `fit`."""
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **options,
    )
    batches = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(4)
    losses: list[float] = []
    keep = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: losses.append(logs["loss"]))
    model.fit(batches, verbose=0, callbacks=[keep])
    return losses


@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_training_is_the_same_to_the_last_bit(family: str, blocks: int) -> None:
    plain, lean = network(family), recompute_activations(network(family), blocks)
    before = {name: variable.numpy() for name, variable in variables_by_path(plain).items()}

    assert trained(plain) == trained(lean)
    after, expected = variables_by_path(lean), variables_by_path(plain)
    assert list(after) == list(expected)
    for name, variable in expected.items():
        np.testing.assert_array_equal(after[name].numpy(), variable.numpy(), err_msg=name)
    unmoved = [name for name in before if np.array_equal(before[name], after[name].numpy())]
    assert not unmoved  # weights, moving statistics and random states alike
