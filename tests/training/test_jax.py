"""Training on JAX, in a process of its own: Keras takes its backend when it is imported, once and for all."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.losses import loss
from keras_resnet.models.recompute import recompute_activations
from keras_resnet.optimizers.by_name import optimizer
from keras_resnet.preprocessing import Fit, Preprocessing

SPEC = keras_resnet.spec("resnet50d", depths=(1, 1), widths=(16, 32), stem_width=8, attention="se", antialias=True)
PREPROCESSING = Preprocessing(Fit((16, 16), 3), (120.0,) * 3, (70.0,) * 3, ("a", "b", "c"))
ROOT = Path(__file__).parents[2]
CHILD = """
import json, sys
from pathlib import Path

class NoTensorFlow:
    def find_spec(self, name, *rest):
        if name.split(".")[0] == "tensorflow":
            raise ModuleNotFoundError("TensorFlow is not to be needed")

sys.meta_path.insert(0, NoTensorFlow())
import keras
from tests.training.test_jax import losses
print(json.dumps([keras.backend.backend(), losses(Path(sys.argv[1]), bool(int(sys.argv[2])))]))
"""


def network(weights: Path | None = None) -> keras.Model:
    return keras_resnet.build(
        SPEC, preprocessing=PREPROCESSING, classifier_activation=None, weights=weights, stem="cifar", seed=1
    )


def losses(weights: Path, recomputing: bool) -> list[float]:
    """Losses of ten steps on fixed batches, from the weights in a file.

    Without dropout: JAX and TensorFlow draw other numbers from one seed.
    """
    model = network(weights)
    model = recompute_activations(model) if recomputing else model
    model.compile(
        optimizer("sgd", 0.02, momentum=0.9, nesterov=True, weight_decay=1e-3),
        loss("cross-entropy", 0.1),
    )
    random = np.random.default_rng(0)
    found = []
    for _ in range(10):
        labels = random.integers(0, 3, 12)
        noise = random.integers(0, 130, (12, 16, 16, 3))
        images = (60 * labels[:, None, None, None] + noise).clip(0, 255).astype("uint8")
        found.append(float(model.train_on_batch(images, np.eye(3, dtype="float32")[labels])))
    return found


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
@pytest.mark.parametrize("recomputing", [False, True])
def test_ten_steps_on_jax_without_tensorflow_have_the_losses_they_have_on_tensorflow(
    recomputing: bool, tmp_path: Path
) -> None:
    keras_resnet.save_weights(network(), tmp_path / "begin.safetensors")
    expected = losses(tmp_path / "begin.safetensors", False)

    environment = os.environ | {"KERAS_BACKEND": "jax"}
    arguments = [sys.executable, "-c", CHILD, str(tmp_path / "begin.safetensors"), str(int(recomputing))]
    done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    backend, found = json.loads(done.stdout)

    assert backend == "jax"
    assert expected[-1] < 0.9 * expected[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
