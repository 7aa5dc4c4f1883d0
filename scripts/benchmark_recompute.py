"""Peak memory and time of a training step with and without activation checkpointing.

python scripts/benchmark_recompute.py                                  # ResNet-50, 224×224, 16 and 32 images
python scripts/benchmark_recompute.py --batches 16 --segments 1 2 4 --rounds 9

Memory: each contender trains a few steps in a fresh process, and its peak (`ru_maxrss`) is counted from what
the process held when the model was built and filled. So gradients and the optimizer's slots are in it, as they are
in the memory a training needs. Time: all contenders take turns in one process.
"""

import argparse
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable

import numpy as np
from benchmark_models import medians

from keras_resnet.cli.running import script_main
from keras_resnet.cli.tables import table
from keras_resnet.errors import UsageError

MIB = 2**20


def peak() -> float:
    """The most memory this process ever held, in MiB."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / MIB


def trainer(options: argparse.Namespace, batch: int, segment: int) -> Callable[[], float]:
    """A training step of Keras's own, to be called without arguments; `segment` 0 keeps all activations."""
    import keras
    import tensorflow as tf

    import keras_resnet
    from keras_resnet.models.recompute import recompute_activations

    shape = (options.side, options.side, 3)
    model = keras_resnet.build(
        keras_resnet.spec(options.network), input_shape=shape, classifier_activation=None, seed=0
    )
    if segment:
        model = recompute_activations(model, segment)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, jit_compile=options.jit_compile)
    random = np.random.default_rng(0)
    images = tf.constant(random.normal(size=(batch, *shape)).astype("float32"))
    labels = tf.constant(random.integers(0, 1000, batch))
    return lambda: model.train_on_batch(images, labels)


def grown(options: argparse.Namespace, batch: int, segment: int) -> float:
    """MiB by which training raises the peak of a fresh process over what building the network took."""
    step = trainer(options, batch, segment)
    before = peak()
    for _ in range(3):
        step()
    return peak() - before


def grown_in_child(options: argparse.Namespace, batch: int, segment: int) -> float:
    """`grown`, in a process of its own: a peak never falls."""
    arguments = ["--network", options.network, "--side", str(options.side), "--child", str(batch), str(segment)]
    jit = ["--jit-compile"] if options.jit_compile else []
    done = subprocess.run([sys.executable, __file__, *arguments, *jit], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UsageError(f"training {batch} images with segments of {segment} blocks failed: {done.stderr[-500:]}")
    return float(done.stdout.split()[-1])


def run(options: argparse.Namespace) -> int:
    if options.child:
        print(grown(options, *options.child))
        return 0
    contenders = [0, *options.segments]
    # Before this process grows: on Linux a child's peak begins with its parent's.
    memories = {batch: {each: grown_in_child(options, batch, each) for each in contenders} for batch in options.batches}
    for batch, memory in memories.items():
        steps = {str(segment): trainer(options, batch, segment) for segment in contenders} if options.rounds else {}
        times = medians(steps, options.rounds, 0.0) if steps else {}
        rows = [
            (
                f"recomputed in segments of {segment}" if segment else "all kept",
                f"{memory[segment]:.0f}",
                f"{100 * (memory[segment] / memory[0] - 1):+.0f} %",
                f"{times[str(segment)][0]:.2f}" if times else "–",
                f"{statistics.median(times[str(segment)][1]):.2f}" if times else "–",
            )
            for segment in contenders
        ]
        title = f"{options.network}, batch {batch}, {options.side}×{options.side}, {options.rounds} rounds"
        table(title, ("activations", "peak MiB", "peak", "seconds a step", "time ratio"), rows)
        sys.stdout.flush()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--side", type=int, default=224, help="of the square images (default: 224)")
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--segments", type=int, nargs="+", default=[1, 2], help="residual blocks each (default: 1 2)")
    parser.add_argument("--rounds", type=int, default=7, help="of timing; 0 measures memory alone (default: 7)")
    parser.add_argument("--jit-compile", action="store_true", help="compile the step by XLA")
    parser.add_argument("--child", type=int, nargs=2, help=argparse.SUPPRESS)
    return script_main(parser, run)


if __name__ == "__main__":
    sys.exit(main())
