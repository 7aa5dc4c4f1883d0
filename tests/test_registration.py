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
{imports}
import numpy
network = keras.models.load_model(sys.argv[1])
print(float(network(numpy.ones((1, 16, 16, 3), "float32"))[0, 0]))
for path in sys.argv[2:]:
    model = keras.models.load_model(path)
    print(type(model.optimizer).__name__, int(model.optimizer.iterations), type(model.loss).__name__,
          type(model.optimizer._learning_rate).__name__)
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
    keras_resnet.losses, keras_resnet.schedules  # noqa: B018 – imported, they are registered

    registered = {name for name in keras.saving.get_custom_objects() if name.startswith("keras_resnet>")}

    assert registered == {f"keras_resnet>{name}" for name in HOMES}


@pytest.mark.parametrize("imports", ["import keras_resnet, keras", "import keras, keras_resnet"])
def test_our_networks_and_models_compiled_with_any_of_our_optimizers_are_read_back(
    imports: str, tmp_path: Path
) -> None:
    network = keras_resnet.ResNet8(num_classes=3, input_shape=(16, 16, 3), seed=1)
    network.save(tmp_path / "network.keras")
    words = OPTIMIZER.choices if imports.startswith("import keras_resnet") else ("sgd", "lamb")
    files = [saved(word, tmp_path / f"{word}.keras") for word in words]

    # A fresh process, in which nothing of ours is registered by another test.
    done = subprocess.run(
        [sys.executable, "-c", LOAD.format(imports=imports), tmp_path / "network.keras", *files],
        capture_output=True,
        text=True,
    )

    shown, *read = done.stdout.splitlines() or [""]
    assert read == [f"{OPTIMIZERS[word].__name__} 1 BinaryCrossEntropy Cosine" for word in words], done.stderr
    expected = network(np.ones((1, 16, 16, 3), "float32"))
    assert float(shown) == pytest.approx(float(expected[0, 0]), abs=1e-6)


def test_importing_the_package_imports_neither_keras_nor_tensorflow() -> None:
    code = "import sys, keras_resnet; print({'keras', 'tensorflow'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.stdout == "set()\n", done.stderr
