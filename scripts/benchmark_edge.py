"""What integers cost and give: files of one network side by side, on the runtimes at hand.

python scripts/benchmark_edge.py --networks resnet8 resnet18 resnet50     # latency, random weights
python scripts/benchmark_edge.py --mlperf FOLDER --calibration IMAGES   # the benchmark's network
python scripts/benchmark_edge.py --imagenet resnet50v1.h5 --photographs FOLDER           # agreement with floats

Latency: one image, one thread, all files by turns in one process; the median of the rounds, and the ratio
to float LiteRT of the same rounds; and which kernels onnxruntime and OpenVINO run, and what they did not fuse.
Agreement: every fourth photograph calibrates, the others are compared.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FILES = {
    "float LiteRT": ("tflite-float", "float.tflite"),
    "INT8 LiteRT": ("tflite-int8", "int8.tflite"),
    "INT8 onnxruntime": ("onnx-int8", "int8.onnx"),
    "INT8 OpenVINO": ("onnx-int8", "int8.onnx"),
}
SIDES = {"resnet8": 32, "resnet20": 32}
CALLS = 7


def runtime_of(name: str) -> Any:
    from keras_resnet.inference.runtimes import RUNTIMES

    return RUNTIMES[{"INT8 onnxruntime": "onnxruntime", "INT8 OpenVINO": "openvino"}.get(name, "litert")]


def fused(name: str, path: Path) -> str:
    """Which kernels a file becomes, and what of it stays in floats; nothing where the runtime does not tell."""
    told = runtime_of(name).kernels
    if told is None:
        return ""
    found = told(path)
    kernels = ", ".join(f"{count} {kernel}" for kernel, count in found.counts.items())
    return f"{kernels}; not fused: {'; '.join(found.unfused) or 'nothing'}"


def by_turns(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each call: the median of a few, in every round."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            found = []
            for _ in range(CALLS):
                began = time.perf_counter()
                call()
                found.append(1000 * (time.perf_counter() - began))
            times[name].append(statistics.median(found))
    return times


def latency(network: str, rounds: int) -> tuple[list[tuple[str, ...]], dict[str, str]]:
    """Rows of the table, and of each file what became of its operators."""
    import keras_resnet
    from keras_resnet.models.resnet import build

    side = SIDES.get(network, 224)
    model = build(network, input_shape=(side, side, 3), num_classes=10 if side < 64 else 1000, seed=0)
    random = np.random.default_rng(0)
    for one in model.weights:  # or blocks whose last normalisation begins with 0 compute nothing
        if one.name == "gamma":
            one.assign(random.uniform(0.5, 1.0, one.shape))
    images = random.integers(0, 256, (8, side, side, 3), np.uint8)
    how = keras_resnet.Quantization(ranges="minmax", equalize=False, correct_bias=False)
    with tempfile.TemporaryDirectory() as folder:
        calls, kernels = {}, {}
        for name, (kind, file) in FILES.items():
            path = Path(folder) / file
            if not path.exists():
                integers = {"calibration": images, "quantization": how} if "int8" in kind else {}
                keras_resnet.export(model, path, kind, **integers)
            calls[name] = runtime_of(name).open(path, 1).one(images[0])
            kernels[name] = fused(name, path)
        times = by_turns(calls, rounds)
    usual = times["float LiteRT"]
    rows = []
    for name, found in times.items():
        ratio = statistics.median(one / other for one, other in zip(usual, found, strict=True))
        rows.append((network, name, f"{statistics.median(found):.3f} ms", f"{ratio:.2f}"))
    return rows, kernels


def mlperf(folder: Path, calibration: str) -> None:
    """The benchmark's network: what its files decide on each runtime, their sizes, the arena."""
    import keras

    import keras_resnet
    from keras_resnet.cli.tables import table
    from keras_resnet.exports.evidence import gather
    from keras_resnet.inference.predictors import KerasPredictor, open_predictor
    from keras_resnet.inference.runtimes import RUNTIMES

    with np.load(folder / "cifar10_raw_half.npz") as found:
        images, labels = found["x"], found["y"].ravel().astype(np.int64)
    model = keras.models.load_model(folder / "pretrainedResnet.h5", compile=False)
    reference = open_predictor(model)
    assert isinstance(reference, KerasPredictor)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "model.tflite"
        exported = keras_resnet.export(model, path, "tflite-int8", calibration=calibration)
        evidence = gather(path, reference, images, labels)
    print(*exported.remarks, sep="\n")
    print(f"{evidence.size:,} bytes; the float network has {evidence.model_right} of {len(images)} right")
    rows = [
        (RUNTIMES[one.runtime].title, str(one.right), f"{one.agreement:.2%}", f"{one.steps:.0f}", str(one.otherwise),
         f"{one.arena:,}" if one.arena else "–")
        for one in evidence.runtimes
    ]  # fmt: skip
    table("MLPerf Tiny, ResNet-8", ("runtime", "right", "as floats", "steps", "otherwise", "arena"), rows)


def imagenet(weights: str, photographs: Path) -> None:
    """ResNet-50 of ImageNet: how many photographs integers decide as floats do."""
    import keras_resnet
    from keras_resnet.cli.tables import table
    from keras_resnet.exports.tflite import float_graph
    from keras_resnet.inference.inputs import image_batch
    from keras_resnet.inference.predictors import KerasPredictor, open_predictor
    from keras_resnet.quantize.post_training import Quantization, above_noise, logits_of, quantize

    reference = open_predictor(keras_resnet.ResNet50V1(weights=weights))
    assert isinstance(reference, KerasPredictor)
    files = sorted(one for one in photographs.iterdir() if one.suffix.lower() in (".jpeg", ".jpg", ".png"))
    images = image_batch(files, reference.preprocessing.fit)
    graph = float_graph(reference.model, reference.preprocessing.input_shape)
    test = np.arange(len(images)) % 4 != 0
    exact = logits_of(graph, images[test])
    rows = []
    ways = [
        Quantization("minmax", False, False),
        Quantization("minmax", False, True),
        Quantization("octav", False, True),
        Quantization("mse", False, False),
        Quantization("mse", True, True),
        Quantization(),
    ]
    for way in ways:
        found = quantize(graph, images[~test], way)
        logits = logits_of(found.content, images[test])
        same = int((logits.argmax(axis=1) == exact.argmax(axis=1)).sum())
        words = found.how.in_words if way.ranges else f"the best: {found.how.in_words}"
        rows.append(
            (words, f"{same} of {test.sum()}", f"{above_noise(exact, logits):.1f} dB", f"{len(found.content):,}")
        )
        table("ResNet-50 v1 of ImageNet", ("integers", "decided as floats", "above noise", "bytes"), rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=[])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--mlperf", type=Path, metavar="FOLDER", help="with pretrainedResnet.h5 and cifar10_raw_half.npz"
    )
    parser.add_argument("--calibration", metavar="IMAGES", help="a folder of images of CIFAR-10")
    parser.add_argument("--imagenet", metavar="WEIGHTS", help="ResNet-50 v1 as keras.applications saves it")
    parser.add_argument("--photographs", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    import keras_resnet
    from keras_resnet.cli.tables import table

    with keras_resnet.quiet():
        import tensorflow  # noqa: F401

    rows: list[tuple[str, ...]] = []
    for network in options.networks:
        more, kernels = latency(network, options.rounds)
        rows += more
        table("latency, one image, one thread", ("network", "file", "median", "float LiteRT ÷ it"), rows)
        print(*(f"{network}, {name}: {text}" for name, text in kernels.items() if text), sep="\n")
    if options.mlperf:
        mlperf(options.mlperf, options.calibration)
    if options.imagenet:
        imagenet(options.imagenet, options.photographs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
