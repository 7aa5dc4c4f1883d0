"""What an evaluation costs beside a bare `model.predict` on the same batches, and whether it holds on to memory.

python scripts/benchmark_evaluation.py               # a minute or so
python scripts/benchmark_evaluation.py --only memory

Time: A B A B, so that what else the machine does meets both. Reported are the first calls, in which both are traced,
the medians of those that follow, and the median of the rounds' ratios. Memory: after a warm-up, small evaluations are
repeated in the process, of one model and of a file that each opens anew, and the pictures of some are drawn; then n and
4 n images are evaluated. Exits with 1 where the ratio, or what the process has grown by, is above the bound that the
table states.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.cli.running import script_main
from keras_resnet.cli.tables import table
from keras_resnet.cli.terminal import say
from keras_resnet.errors import UsageError

if TYPE_CHECKING:
    import keras

    from keras_resnet.data.images import ImageData

MOST_RATIO = 1.1
"""Of an evaluation's time to that of a bare `model.predict`."""
BATCH = 64
"""As evaluations have it."""
SIDE = 32
FEW = 64
"""Images of a small evaluation."""
WARM = 50
"""Calls after which allocators have what they need."""
MOST_PER_CALL = 0.04
"""MB. A graph or a figure that is kept takes a tenth of an MB or more."""
MOST_PER_IMAGE = 4.0
"""KB beside the image itself, for its logits, label, name and draws; activations that are kept take 8 KB and more."""
DRAWN_EACH = 25
"""Calls of which one draws and writes its pictures."""


def resident() -> float:
    """The process's memory after its garbage is collected, in MB (Linux)."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def peak(model: keras.Model, images: int) -> float:
    """The most memory that an evaluation takes beyond what there was before, in MB (Linux).

    Args:
        model: What is evaluated.
        images: On how many; they themselves are there before.
    """
    import keras_resnet

    data = drawn(images)
    before = resident()
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
    keras_resnet.evaluate(model, data)
    status = Path("/proc/self/status").read_text()
    (most,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    return most * 1024 / 1e6 - before


def drawn(images: int) -> ImageData:
    """So many random images of ten classes."""
    import keras_resnet

    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (images, SIDE, SIDE, 3), np.uint8)
    names = [str(number) for number in range(10)]
    return keras_resnet.from_arrays(pixels, random.integers(0, 10, images), names, whole=True)


def small_model() -> keras.Model:
    """One convolution: what an evaluation keeps does not hang on the network, and its calls are fast."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((SIDE, SIDE, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10),
        ]
    )


def time_it(options: argparse.Namespace) -> bool:
    """Print what an evaluation costs beside a bare `model.predict`.

    Returns:
        Whether the ratio is within its bound.
    """
    import keras_resnet
    from keras_resnet.data.loading import merge

    data = drawn(options.images)
    images = merge(data).read(slice(None))
    keras_resnet.evaluate(small_model(), drawn(FEW))  # imports what it needs
    model = keras_resnet.ResNet8(num_classes=10, input_shape=(SIDE, SIDE, 3), seed=0)
    ways = (
        lambda: model.predict(images, batch_size=BATCH, verbose=0),
        lambda: keras_resnet.evaluate(model, data),
    )
    first, *rounds = ([seconds(one) for one in ways] for _ in range(1 + options.rounds))
    for number, (bare, whole) in enumerate(rounds, start=1):
        say(f"round {number}: {bare:.2f} s and {whole:.2f} s")
    bare, whole = np.median(rounds, axis=0)
    ratio = np.median([one[1] / one[0] for one in rounds])
    table(
        f"ResNet-8, {options.images:,} images of 32×32, {options.rounds} rounds",
        ("", "model.predict", "evaluate", "ratio", "median of the ratios", "at most", "holds"),
        [
            ("first calls", f"{first[0]:.2f} s", f"{first[1]:.2f} s", f"{first[1] / first[0]:.3f}", "", "", ""),
            (
                "medians",
                f"{bare:.2f} s",
                f"{whole:.2f} s",
                f"{whole / bare:.3f}",
                f"{ratio:.3f}",
                str(MOST_RATIO),
                "yes" if ratio <= MOST_RATIO else "NO",
            ),
        ],
        left=("",),
    )
    return bool(ratio <= MOST_RATIO)


def seconds(call: Callable[[], object]) -> float:
    """What a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def measure_memory(options: argparse.Namespace) -> bool:
    """Print by how much the process grows over calls and with the number of images.

    Returns:
        Whether both are within their bounds.
    """
    import keras_resnet

    few, model = drawn(FEW), small_model()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        model.save(file)
        for call in range(options.calls + 1):
            if call % WARM == 0:
                say(f"after {call} evaluations: {resident():.1f} MB")
            if call == WARM:
                warm = resident()
            found = keras_resnet.evaluate(file if call % 2 else model, few)
            if call % DRAWN_EACH == 0:
                found.write(Path(folder))
        del found
    grown, calls = resident() - warm, options.calls - WARM
    peak(model, options.memory_images)  # allocators keep what batches need
    less, more = (peak(model, times * options.memory_images) for times in (1, 4))
    added = 3 * options.memory_images
    rows = [
        (f"calls {WARM} to {options.calls}, still held", grown, MOST_PER_CALL * calls),
        (
            f"{4 * options.memory_images:,} images instead of {options.memory_images:,}, peak",
            more - less,
            MOST_PER_IMAGE * added / 1000,
        ),
    ]
    cells = [(what, f"{mb:+.1f} MB", f"{bound:.1f} MB", "yes" if mb <= bound else "NO") for what, mb, bound in rows]
    table("memory of the process", ("what", "growth", "at most", "holds"), cells, left=("what",))
    return all(mb <= bound for _, mb, bound in rows)


def run(options: argparse.Namespace) -> int:
    if options.calls <= WARM:
        raise UsageError(f"the first {WARM} calls are the warm-up: give more; received --calls {options.calls}")
    measures = {"time": time_it, "memory": measure_memory}
    held = [measure(options) for name, measure in measures.items() if options.only in (None, name)]
    return 0 if all(held) else 1


if __name__ == "__main__":
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--only", choices=("time", "memory"), help="default: both")
    command.add_argument("--images", type=int, default=2000, help="for time (default: 2,000)")
    command.add_argument("--rounds", type=int, default=3, help="for time (default: 3)")
    command.add_argument("--calls", type=int, default=300, help="small evaluations, for memory (default: 300)")
    command.add_argument("--memory-images", type=int, default=1000, help="n, for memory (default: 1,000)")
    raise SystemExit(script_main(command, run))
