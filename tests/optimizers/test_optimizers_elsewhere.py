"""The same optimizers on another engine and on two devices, each in a fresh process."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = (
    "tests/test_schedules.py",
    "tests/test_losses.py",
    "tests/compat/test_optimizers.py",
    "tests/optimizers/test_by_name.py",
    "tests/optimizers/test_layerwise.py",
    "tests/optimizers/test_state.py",
)


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=variables, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_schedules_losses_and_optimizers_hold_to_their_tests_on_jax() -> None:
    tests = python("-m", "pytest", "-q", "-p", "no:cacheprovider", *FILES, KERAS_BACKEND="jax")

    assert tests.returncode == 0, tests.stdout[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "clip"), [("sgd", "norm"), ("lamb", "adaptive")])
def test_two_devices_clip_and_measure_the_whole_gradient_as_one_does(kind: str, clip: str) -> None:
    trained = python("-m", "tests.training.replicas", kind, clip)

    assert trained.returncode == 0, trained.stderr[-3000:]
    assert float(trained.stdout.split()[-1]) < 1e-6
