"""What a file of Keras holds of ours is read back after `import keras_resnet` alone."""

import subprocess
import sys
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import schedules
from keras_resnet.allowed import OPTIMIZER
from keras_resnet.losses import BinaryCrossEntropy
from keras_resnet.optimizers.by_name import OPTIMIZERS, optimizer
from keras_resnet.registration import HOMES
from keras_resnet.schedules import Schedule

LOAD = """
import sys
{imports}
import numpy

def load(paths):
    network = keras.models.load_model(sys.argv[1])
    print(float(network(numpy.ones((1, 16, 16, 3), "float32"))[0, 0]))
    for path in paths:
        model = keras.models.load_model(path)
        rate = model.optimizer._learning_rate
        print(type(model.optimizer).__name__, int(model.optimizer.iterations), type(model.loss).__name__,
              type(rate).__name__, float(rate(3)))

load(sys.argv[2:])
# The other order, as a new process would have it: Keras is imported and knows nothing of ours.
keras.saving.get_custom_objects().clear()
for name in [name for name in sys.modules if name.split(".")[0] == "keras_resnet"]:
    del sys.modules[name]
import keras_resnet
load(sys.argv[2:7])
"""
SHAPES: dict[str, Callable[[], Schedule]] = {
    "Constant": lambda: schedules.Constant(0.1, steps=10),
    "MultiStep": lambda: schedules.MultiStep(0.1, steps=10, milestones=[2, 3]),
    "Step": lambda: schedules.Step(0.1, epochs=2, every=0.5, steps_per_epoch=5),
    "Cosine": lambda: schedules.Cosine(0.1, epochs=2, warmup=0.4, steps_per_epoch=5, floor=0.01),
    "OneCycle": lambda: schedules.OneCycle(0.1, steps=10, anneal="linear"),
}


def saved(word: str, shape: str, path: Path) -> Path:
    """A tiny model that was trained for one update."""
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3, name="head_dense")(inputs))
    made = optimizer(word, SHAPES[shape](), weight_decay=1e-4)
    model.compile(made, BinaryCrossEntropy(0.1, threshold=0.2), run_eagerly=True)
    model.fit(np.ones((2, 4)), np.ones((2, 3)), verbose=0)
    model.save(path)
    return path


def test_every_class_that_is_registered_has_a_stand_in_and_no_other() -> None:
    keras_resnet.losses, keras_resnet.schedules, OPTIMIZERS  # noqa: B018 – imported, they are registered

    registered = {name for name in keras.saving.get_custom_objects() if name.startswith("keras_resnet>")}

    assert registered == {f"keras_resnet>{name}" for name in HOMES}


# That all come back from their configurations is shown below.
@pytest.mark.parametrize("count", [2, pytest.param(len(OPTIMIZER.choices), marks=pytest.mark.slow)])
def test_our_networks_and_models_compiled_with_any_of_ours_are_read_back_in_either_order_of_imports(
    count: int, tmp_path: Path
) -> None:
    network = keras_resnet.ResNet8(num_classes=3, input_shape=(16, 16, 3), seed=1)
    network.save(tmp_path / "network.keras")
    shapes = dict(zip(OPTIMIZER.choices[:count], cycle(SHAPES), strict=False))
    files = [saved(word, shape, tmp_path / f"{word}.keras") for word, shape in shapes.items()]

    # A fresh process, in which nothing of ours is registered by another test. TensorFlow Datasets asks whether Keras is
    # there before it imports it.
    imports = "import importlib.util, keras_resnet\nimportlib.util.find_spec('keras')\nimport keras"
    done = subprocess.run(
        [sys.executable, "-c", LOAD.format(imports=imports), tmp_path / "network.keras", *files],
        capture_output=True,
        text=True,
    )

    lines = done.stdout.splitlines()
    read = [
        f"{OPTIMIZERS[word].__name__} 1 BinaryCrossEntropy {shape} {float(SHAPES[shape]()(3))}"
        for word, shape in shapes.items()
    ]
    assert [line for line in lines if " " in line] == [*read, *read[:5]], done.stderr
    expected = float(network(np.ones((1, 16, 16, 3), "float32"))[0, 0])
    assert [float(line) for line in lines if " " not in line] == pytest.approx([expected] * 2, abs=1e-6)


def test_whatever_is_ours_in_a_compiled_model_comes_back_from_its_config() -> None:
    things = [
        *(made() for made in SHAPES.values()),
        BinaryCrossEntropy(0.1, threshold=0.2, sum_classes=True, smooth_towards=0.3),
        *(kind(0.1, weight_decay=0.1, layer_decay=0.9, clip="norm", clip_at=2.0) for kind in OPTIMIZERS.values()),
    ]

    for thing in things:
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(thing))

        assert type(again) is type(thing)
        assert again.get_config() == type(thing).from_config(thing.get_config()).get_config() == thing.get_config()


def test_importing_the_package_imports_neither_keras_nor_tensorflow() -> None:
    code = "import sys, keras_resnet; print({'keras', 'tensorflow'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.stdout == "set()\n", done.stderr
