"""What a file of Keras holds of ours is read back after `import keras_resnet` alone."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.allowed import OPTIMIZER
from keras_resnet.losses import BinaryCrossEntropy
from keras_resnet.optimizers.by_name import OPTIMIZERS, optimizer
from keras_resnet.registration import HOMES
from keras_resnet.schedules import Cosine

LOAD = """
import sys
import keras_resnet, keras
import numpy

def show(network, *paths):
    network = keras.models.load_model(network)
    print(float(network(numpy.ones((1, 16, 16, 3), "float32"))[0, 0]))
    for path in paths:
        model = keras.models.load_model(path)
        print(type(model.optimizer).__name__, int(model.optimizer.iterations), type(model.loss).__name__,
              type(model.optimizer._learning_rate).__name__)

show(*sys.argv[1:])

print("Keras first")
for name in [name for name in sys.modules if name.split(".")[0] == "keras_resnet"]:
    del sys.modules[name]
registered = keras.saving.get_custom_objects()
for name in [name for name in registered if name.startswith("keras_resnet>")]:
    del registered[name]
import keras_resnet
show(*sys.argv[1:4])
"""


def saved(word: str, path: Path) -> Path:
    """A tiny model that was trained for one update."""
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3, name="head_dense")(inputs))
    model.compile(optimizer(word, Cosine(0.1, 10), weight_decay=1e-4), BinaryCrossEntropy(), run_eagerly=True)
    model.fit(np.ones((2, 4)), np.ones((2, 3)), verbose=0)
    model.save(path)
    return path


def test_every_class_that_is_registered_has_a_stand_in_and_no_other() -> None:
    keras_resnet.losses, keras_resnet.schedules, OPTIMIZERS  # noqa: B018 – imported, they are registered

    registered = {name for name in keras.saving.get_custom_objects() if name.startswith("keras_resnet>")}

    assert registered == {f"keras_resnet>{name}" for name in HOMES}


def test_our_networks_and_models_compiled_with_any_of_our_optimizers_are_read_back_whether_keras_is_there_or_comes(
    tmp_path: Path,
) -> None:
    network = keras_resnet.ResNet8(num_classes=3, input_shape=(16, 16, 3), seed=1)
    network.save(tmp_path / "network.keras")
    words = ("sgd", "lamb", *sorted(set(OPTIMIZER.choices) - {"sgd", "lamb"}))
    files = [saved(word, tmp_path / f"{word}.keras") for word in words]

    # A fresh process, in which nothing of ours is registered by another test.
    done = subprocess.run(
        [sys.executable, "-c", LOAD, tmp_path / "network.keras", *files], capture_output=True, text=True
    )

    expected = float(network(np.ones((1, 16, 16, 3), "float32"))[0, 0])
    parts = [part.split("\n") for part in done.stdout.strip().split("\nKeras first\n")]
    assert len(parts) == 2, done.stderr
    for (shown, *read), asked in zip(parts, (words, words[:2]), strict=True):
        assert read == [f"{OPTIMIZERS[word].__name__} 1 BinaryCrossEntropy Cosine" for word in asked], done.stderr
        assert float(shown) == pytest.approx(expected, abs=1e-6)


def test_importing_the_package_imports_neither_keras_nor_tensorflow() -> None:
    code = "import sys, keras_resnet; print({'keras', 'tensorflow'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.stdout == "set()\n", done.stderr
