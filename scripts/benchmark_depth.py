"""What building a network takes, against its depth: seconds, memory and layers, each in a process of its own.

python scripts/benchmark_depth.py                       # ResNet-110, -200, -1001, -1202, three times each

Processes are new because memory once taken is seldom given back; the depths alternate.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

MODELS = ("resnet110", "resnet200", "resnet1001v2", "resnet1202")


def build_one(name: str) -> None:
    """Build in this process and print what it took."""
    import numpy as np

    import keras_resnet

    keras_resnet.ResNet8(10)  # Keras and TensorFlow are loaded and warm
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    model = keras_resnet.build(keras_resnet.spec(name), 10, input_shape=(32, 32, 3))
    seconds = time.perf_counter() - start
    megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    start = time.perf_counter()
    model(np.zeros((1, 32, 32, 3), "float32"))
    forward = time.perf_counter() - start
    weights = sum(variable.numpy().nbytes for variable in model.weights) / 2**20
    print(json.dumps([seconds, megabytes, weights, forward, len(model.layers)]))


def main() -> None:
    from keras_resnet.cli.tables import table
    from keras_resnet.models.counting import cost
    from keras_resnet.models.variants import spec

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        build_one(options.one)
        return
    for name in options.models:
        spec(name)  # an unknown one is said before anything is measured
    measured: dict[str, list[list[float]]] = {name: [] for name in options.models}
    for _ in range(options.rounds):
        for name in options.models:
            command = [sys.executable, __file__, "--one", name]
            found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            measured[name].append(json.loads(found.splitlines()[-1]))
    rows = []
    for name, runs in measured.items():
        seconds, megabytes, weights, forward, layers = (statistics.median(column) for column in zip(*runs, strict=True))
        depth = cost(spec(name), 10, input_shape=(32, 32, 3)).depth
        rows.append(
            (
                name,
                str(depth),
                f"{layers:.0f}",
                f"{seconds:.2f}",
                f"{1000 * seconds / layers:.2f}",
                f"{megabytes:.0f}",
                f"{weights:.0f}",
                f"{forward:.2f}",
            )
        )
    columns = ("network", "depth", "layers", "build s", "ms a layer", "memory MB", "of it weights MB", "first call s")
    table(f"Building, median of {options.rounds}", columns, rows)


if __name__ == "__main__":
    main()
