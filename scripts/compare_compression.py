"""What channel pruning, zeros and a teacher do to one network, all trained on for as long: accuracy, size, latency.

python scripts/compare_compression.py saved_models/floats --data tfds:cifar10 --data-dir PREPARED
python scripts/compare_compression.py saved_models/floats --data … --trained saved_models/half

The model is a run or a .keras file, and SOURCE has its classes. Each row begins with it, is changed, and is trained on
for so many steps: SGD by a cosine, images cropped and mirrored, the same batches for all. The first row is only trained
on. With --trained nothing is: these runs or files are compared with the model as it is. Accuracy is top-1 of the first
test images, with its 95 % Wilson interval. The file is `tflite-int8`; its latency is the median of so many rounds in
turn, one image, one thread of LiteRT.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.cli.running import script_main

CALIBRATION = 256
CALLS = 20


@dataclass(frozen=True)
class Way:
    """How a network is made to need less: which channels it loses, which weights are zero, who teaches it."""

    name: str
    pruned: dict[str, Any] | None = None
    sparse: dict[str, Any] | None = None
    taught: bool = False


WAYS = (
    Way("only trained on"),
    Way("half, taylor", {"criterion": "taylor"}),
    Way("half, taylor, teacher", {"criterion": "taylor"}, taught=True),
    Way("half, l2", {"criterion": "l2"}),
    Way("half, l2, residual=False", {"criterion": "l2", "residual": False}),
    Way("80 % zeros", sparse={"sparsity": 0.8}),
    Way("2:4", sparse={"pattern": "2:4"}),
)


def run(options: argparse.Namespace) -> int:
    import keras

    import keras_resnet
    from keras_resnet.cli.tables import table
    from keras_resnet.inference.activation import logits_model
    from keras_resnet.inference.predictors import open_predictor
    from keras_resnet.quantize.graph import Graph, macs
    from keras_resnet.tasks.intervals import wilson_interval

    data = keras_resnet.load_data(options.data, data_dir=options.data_dir, cache="none")
    predictor = open_predictor(options.model)
    whole = logits_model(predictor.model)
    calibration = data.train.read(slice(0, CALIBRATION))
    tests = slice(0, options.tests)
    images, labels = data.test.read(tests), np.asarray(data.test.labels[tests])

    def right(model: keras.Model) -> int:
        return int((np.asarray(model.predict(images, batch_size=256, verbose=0)).argmax(axis=1) == labels).sum())

    def trained(way: Way) -> tuple[keras.Model, int]:
        keras.utils.set_random_seed(options.seed)
        if way.pruned:
            given = None if way.pruned["criterion"] == "l2" else calibration
            model = keras_resnet.prune_channels(whole, options.keep, calibration=given, **way.pruned)
        else:
            model = keras.models.clone_model(whole)
            model.set_weights(whole.get_weights())
        before = right(model)
        learner = keras_resnet.Distillation(model, whole) if way.taught else model
        rate = keras.optimizers.schedules.CosineDecay(options.learning_rate, options.steps)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        learner.compile(keras_resnet.optimizers.SGD(rate, momentum=0.9), loss)
        batches = data.train.batches(options.batch_size, augment="crop-flip", seed=options.seed)
        callbacks = [keras_resnet.MagnitudePruning(**way.sparse, every=10)] if way.sparse else []
        learner.fit(batches.repeat().take(options.steps), epochs=1, callbacks=callbacks, verbose=0)
        return model, before

    def networks() -> Iterator[tuple[str, keras.Model, str]]:
        """Each with its name and its accuracy before it was trained on."""
        if options.trained:
            yield "as it is", whole, "–"
            yield from ((Path(one).name, logits_model(open_predictor(one).model), "–") for one in options.trained)
            return
        for way in WAYS:
            model, before = trained(way)
            yield way.name, model, f"{100 * before / len(labels):.1f} %"

    rows, files = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for name, model, before in networks():
            hits = right(model)
            low, high = wilson_interval(hits, len(labels))
            path = Path(folder) / f"{len(rows)}.tflite"
            keras_resnet.export(
                model, path, "tflite-int8", calibration=calibration, preprocessing=predictor.preprocessing
            )
            files[name] = open_predictor(path)
            rows.append(
                [
                    name,
                    f"{sum(macs(Graph(path.read_bytes())).values()) / 1e6:.2f}",
                    f"{model.count_params():,}",
                    f"{100 * keras_resnet.sparsity(model).share:.0f} %",
                    before,
                    f"{100 * hits / len(labels):.1f} % ({100 * low:.1f} to {100 * high:.1f})",
                    f"{path.stat().st_size:,}",
                ]
            )
            print(*rows[-1], sep="  ", flush=True)
        latencies = interleaved({name: lambda one=one: one.logits(images[:1]) for name, one in files.items()}, options)
    heads = ("", "million MACs", "parameters", "zeros", "before", "after", "INT8 bytes", "latency")
    shown = [(*row, f"{1000 * latencies[row[0]]:.3f} ms") for row in rows]
    how = "trained before" if options.trained else f"{options.steps} steps of {options.batch_size} images"
    table(f"{how}, {len(labels):,} test images", heads, shown)
    return 0


def interleaved(calls: dict[str, Callable[[], object]], options: argparse.Namespace) -> dict[str, float]:
    """The median seconds of each call, all taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(options.rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(CALLS):
                call()
            seconds[name].append((time.perf_counter() - start) / CALLS)
    return {name: float(np.median(one)) for name, one in seconds.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a run or a .keras file")
    parser.add_argument("--data", required=True, help="a source of images")
    parser.add_argument("--data-dir", help="where TensorFlow Datasets has prepared it")
    parser.add_argument("--trained", nargs="+", default=[], metavar="MODEL", help="compare these, and train nothing")
    parser.add_argument("--keep", type=float, default=0.5, help="of the multiply-accumulates")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=0.02)
    parser.add_argument("--tests", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    return script_main(parser, run)


if __name__ == "__main__":
    sys.exit(main())
