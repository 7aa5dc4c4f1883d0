"""What an evaluation costs beside a bare `model.predict` on the same batches, and whether it holds on to memory.

A B A B: in each round both are timed, so that what else the machine does meets both. Reported are the medians, and the
median of the rounds' ratios. Then small evaluations are repeated in the process, and its memory is read between them.
"""

from __future__ import annotations

import argparse
import gc
import time
from pathlib import Path

import numpy as np

from keras_resnet.cli.running import script_main
from keras_resnet.cli.tables import table
from keras_resnet.cli.terminal import say

BATCH = 64
"""As evaluations have it."""


def resident() -> float:
    """The process's memory, in MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def run(options: argparse.Namespace) -> int:
    import keras

    import keras_resnet

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (options.images, 32, 32, 3)).astype(np.uint8)
    labels = random.integers(0, 10, options.images)
    model = keras_resnet.ResNet8(num_classes=10, input_shape=(32, 32, 3), seed=0)
    data = keras_resnet.from_arrays(images, labels, whole=True)
    few = keras_resnet.from_arrays(images[:64], labels[:64], [str(number) for number in range(10)], whole=True)
    model.predict(images[:BATCH], batch_size=BATCH, verbose=0)
    keras_resnet.evaluate(model, few)
    rounds = []
    for number in range(options.rounds):
        times = []
        for one in (
            lambda: model.predict(images, batch_size=BATCH, verbose=0),
            lambda: keras_resnet.evaluate(model, data),
        ):
            began = time.perf_counter()
            one()
            times.append(time.perf_counter() - began)
        rounds.append(times)
        say(f"round {number + 1}: {times[0]:.2f} s and {times[1]:.2f} s; memory {resident():.0f} MB")
    bare, whole = np.median(rounds, axis=0)
    ratio = np.median([one[1] / one[0] for one in rounds])
    table(
        f"ResNet-8, {options.images:,} images of 32×32, {options.rounds} rounds",
        ("model.predict", "evaluate", "ratio of the medians", "median of the ratios"),
        [(f"{bare:.2f} s", f"{whole:.2f} s", f"{whole / bare:.3f}", f"{ratio:.3f}")],
    )
    for calls in range(options.calls + 1):
        if calls % 50 == 0:
            gc.collect()
            say(f"after {calls} more evaluations: {resident():.0f} MB")
        keras_resnet.evaluate(model, few)
        if options.clear:
            keras.backend.clear_session()
    return 0


if __name__ == "__main__":
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--images", type=int, default=10_000, help="default: 10,000")
    command.add_argument("--rounds", type=int, default=7, help="default: 7")
    command.add_argument("--calls", type=int, default=300, help="small evaluations, for memory (default: 300)")
    command.add_argument("--clear", action="store_true", help="clear Keras's session after each of these")
    raise SystemExit(script_main(command, run))
