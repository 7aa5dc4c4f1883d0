"""What the tests share: TensorFlow imported once and quietly, one tiny finished run, real data if present."""

import gc
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Processes that share the cores would only wait for each other's threads, and NumPy's and scikit-learn's wait by
# spinning: to fit a linear probe took three times the time. It must be said before they are imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(threads, "1")

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import load_data
from keras_resnet.data.sources.source import Source
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.models.variants import VARIANTS, Variant
from keras_resnet.runs.run import Run
from keras_resnet.training.fit import fit
from keras_resnet.training.recipe import Recipe

# Two logical devices of the one CPU, for training over several; all else goes on using the first. It must be settled
# before TensorFlow is first used.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

if "PYTEST_XDIST_WORKER" in os.environ:
    tf.config.threading.set_intra_op_parallelism_threads(1)

# Grappler looks for a shorter graph before the first run of each, which pays where graphs run often; here most run a
# few times, and a tenth of all time went into it. What tests start in a process of its own trains with it.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

# Tracing asks often for all garbage to be collected, which takes a third of a second or more: a fifth of that suffices.
# What has been imported need not be looked through.
gc.set_threshold(*gc.get_threshold()[:2], 50)
gc.freeze()

# A network of one block, whose shortcut has a projection. To trace a training of it takes half the time of ResNet-8's.
ONE_BLOCK = ResNetSpec("oneblock", "basic", (1,), (16,), "cifar", stem_width=8)
VARIANTS[ONE_BLOCK.name] = Variant("OneBlock", "For tests.", ONE_BLOCK)

TINY = Recipe(model=ONE_BLOCK.name, epochs=3, batch_size=32, learning_rate=0.05, augment="none")
TRAINED = TINY.but(epochs=12, warmup_epochs=1, learning_rate=0.4)
TINY_SOURCE = Source("digits", image_size=8, limit=300)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """The same numbers for a test, also in its fixtures, whichever tests ran before it in its process."""
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True, scope="module")
def _forget_models() -> Iterator[None]:
    """Give back the graphs and functions that a module's tests have built, which Keras and TensorFlow would keep."""
    yield
    keras.backend.clear_session()  # collects garbage, too
    gc.freeze()  # what the module imported stays


@pytest.fixture
def alone() -> Iterator[None]:
    """Give a large network's memory back at once: together they would take gigabytes."""
    yield
    keras.backend.clear_session()


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out a report's pictures, as without matplotlib: to draw them takes seconds."""
    monkeypatch.setattr("keras_resnet.pictures.available", lambda: False)


@pytest.fixture(scope="session")
def tiny_data() -> ImageData:
    return load_data(TINY_SOURCE)


@pytest.fixture(scope="session")
def finished_run(tiny_data: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run on 300 digits of 8×8 that has learned something; tests must not change it."""
    return fit(TRAINED, tiny_data, tmp_path_factory.mktemp("runs") / "tiny", verbose=False)


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Three classes of twelve 12×10 images that differ by colour."""
    root = tmp_path / "shapes"
    random = np.random.default_rng(0)
    for label, colour in {"blue": (20, 40, 200), "green": (10, 190, 30), "red": (210, 20, 10)}.items():
        (root / label).mkdir(parents=True)
        for number in range(12):
            pixels = np.clip(np.array(colour) + random.integers(-20, 20, (10, 12, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / label / f"{number:02}.png")
    return root


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The format of each image file that Pillow opens while the test runs."""
    found: list[str] = []
    really = Image.open

    def counted(*arguments: Any, **options: Any) -> Image.Image:
        image = really(*arguments, **options)
        found.append(str(image.format))
        return image

    monkeypatch.setattr(Image, "open", counted)
    return found


def script_module(name: str) -> ModuleType:
    """A script of `scripts/` as a module."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def shared_data(name: str) -> Path:
    """A folder of the real data that may lie beside the project; the test is skipped where it does not."""
    root = Path(os.environ.get("KERAS_RESNET_DATA", Path(__file__).parents[2] / "shared" / "data"))
    path = root / name
    if not path.exists():
        pytest.skip(f"the real data {path} are not on this machine")
    return path
