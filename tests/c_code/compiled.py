"""Networks for C: graphs of integers of tiny networks, and their code compiled with all checks and run."""

import shutil
import subprocess
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import pytest

from keras_resnet.c_code.reference import reference
from keras_resnet.c_code.source import network, selftest
from keras_resnet.exports.tflite import check_integer, integer_graph
from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.quantize.graph import Graph
from keras_resnet.quantize.post_training import Quantization

CHECKED = (
    *("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1"),
    *("-fsanitize=undefined,address", "-fno-sanitize-recover=all"),
)
HOW = Quantization("minmax", False, False)


def needs_gcc() -> str:
    """The compiler; the test is skipped where there is none."""
    found = shutil.which("gcc")
    if found is None:
        pytest.skip("gcc is not installed")
    return found


def graph_of(model: keras.Model, shape: tuple[int, int, int], how: Quantization = HOW) -> bytes:
    """A model as a graph of integers, calibrated on noise."""
    images = np.random.default_rng(0).integers(0, 256, (4, *shape), np.uint8)
    content, _ = integer_graph(model, shape, images, how)
    check_integer(content)
    return content


def graph_of_spec(
    row: ResNetSpec, shape: tuple[int, int, int], how: Quantization = HOW, output_stride: Literal[8] | None = None
) -> bytes:
    """A network as a graph of integers, whose normalisations all differ."""
    ready = Preprocessing(Fit(shape[:2], shape[2]), (120.0,) * shape[2], (60.0,) * shape[2], tuple("abcde"))
    model = build(
        row, preprocessing=ready, num_classes=5, classifier_activation=None, seed=0, output_stride=output_stride
    )
    random = np.random.default_rng(1)
    for weight in model.weights:
        if weight.path.rsplit("/")[-1] in ("gamma", "beta", "moving_mean", "moving_variance"):
            weight.assign(weight + random.uniform(0.05, 0.5, weight.shape))
    return graph_of(model, shape, how)


def inputs_of(content: bytes, count: int) -> np.ndarray:
    """Inputs of a graph: noise, and as many that are smooth like photographs."""
    graph = Graph(content)
    taken = graph.tensor(graph.input)
    random = np.random.default_rng(2)
    noise = random.integers(-128, 128, (count, *taken.shape[1:]))
    smooth = np.cumsum(random.normal(0, 9, noise.shape), axis=2) + random.integers(-60, 60, (count, 1, 1, 1))
    return np.concatenate([noise, np.clip(smooth, -128, 127)]).astype(np.int8).view(taken.dtype)


def run_selftest(texts: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Compile and run `selftest.c` with its network, with all warnings and sanitisers."""
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text)
    files = [str(folder / name) for name in ("model.c", "selftest.c")]
    compiling = [needs_gcc(), *CHECKED, "-o", str(folder / "selftest"), *files]
    done = subprocess.run(compiling, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return subprocess.run([str(folder / "selftest")], capture_output=True, text=True, check=False)


def check_bit_exact(content: bytes, folder: Path, count: int = 20) -> None:
    """Compare the code of a graph with LiteRT's reference kernels."""
    inputs = inputs_of(content, count)
    outputs = reference(content, inputs)
    assert len(np.unique(outputs, axis=0)) > count  # the network tells its inputs apart
    texts = network(Graph(content), tuple("abcde"), several=False).texts
    done = run_selftest({**texts, "selftest.c": selftest(inputs, outputs)}, folder)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout[-500:]
    assert done.stdout == f"passed: 0 of {outputs.size} outputs differ\n"
