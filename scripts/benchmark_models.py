"""Our networks against others': a forward pass and a training step, side by side in one process.

python scripts/benchmark_models.py                              # ResNet-50 and ResNet-18, float32 and bfloat16
python scripts/benchmark_models.py --networks resnet18 --policies float32 --rounds 15

Contenders take turns, A B C A B C, so that a machine whose speed swings treats them alike; what is
compared are medians of their times, as ratios to ours (above 1: ours is faster). keras.applications has
v1, whose bottlenecks stride earlier and compute less: it is compared with our v1. Kinds: `call` is
model(x) as one writes it, `forward` the same compiled by tf.function, `training` a compiled step.
Beside ours and its folded form: keras.applications; KerasHub, PyTorch eager and PyTorch compiled where
`keras_hub` and `torch` are installed.
"""

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from keras_resnet.cli.running import script_main

Step = Callable[[], object]
BLOCKS = {"resnet18": ("basic", (2, 2, 2, 2)), "resnet50": ("bottleneck", (3, 4, 6, 3))}
# Whether PyTorch compiles: a plain call is compared with a plain call.
TORCH_MODES = {"call": (False,), "forward": (False, True), "training": (False, True)}
# Ours that computes the same; elsewhere the first contender.
COUNTERPARTS = {"keras.applications": "ours, v1"}
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def keras_models(network: str) -> dict[str, object]:
    """Networks of the same function in Keras, ours first."""
    import keras

    import keras_resnet

    found = {"ours": keras_resnet.build(keras_resnet.spec(network))}
    if network == "resnet50":
        found["ours, v1"] = keras_resnet.ResNet50V1()
        found["keras.applications"] = keras.applications.ResNet50(weights=None)
    if importlib.util.find_spec("keras_hub"):
        import keras_hub

        kind, depths = BLOCKS[network]
        backbone = keras_hub.models.ResNetBackbone(
            input_conv_filters=[64],
            input_conv_kernel_sizes=[7],
            stackwise_num_filters=[64, 128, 256, 512],
            stackwise_num_blocks=list(depths),
            stackwise_num_strides=[1, 2, 2, 2],
            block_type=f"{kind}_block",
            image_shape=(224, 224, 3),
        )
        pooled = keras.layers.GlobalAveragePooling2D()(backbone.output)
        logits = keras.layers.Dense(1000, dtype="float32", activation="softmax")(pooled)
        found["KerasHub"] = keras.Model(backbone.input, logits)
    return found


def keras_steps(model: object, x: np.ndarray, labels: np.ndarray, kind: str) -> Step:
    """A call, a compiled forward pass, or a compiled step of gradient, momentum and update."""
    import keras
    import tensorflow as tf

    images, targets = tf.constant(x), tf.constant(labels)
    if kind == "call":
        return lambda: model(images, training=False).numpy()
    if kind == "forward":
        forward = tf.function(lambda batch: model(batch, training=False))
        return lambda: forward(images).numpy()
    optimizer = keras.optimizers.SGD(0.001, momentum=0.9)
    optimizer.build(model.trainable_variables)
    loss_of = keras.losses.SparseCategoricalCrossentropy()

    @tf.function
    def step(batch: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = loss_of(wanted, model(batch, training=True))
        variables = [variable.value for variable in model.trainable_variables]
        optimizer.apply(tape.gradient(loss, variables), model.trainable_variables)
        return loss

    return lambda: step(images, targets).numpy()


def torch_steps(
    network: str, x: np.ndarray, labels: np.ndarray, training: bool, half: bool, compiled: bool, device: str = "cpu"
) -> Step:
    """The same in PyTorch."""
    import torch
    from torch_resnet import ResNet

    torch.manual_seed(0)
    module = ResNet(*BLOCKS[network]).train(training).to(device, memory_format=torch.channels_last)
    images = torch.from_numpy(x.transpose(0, 3, 1, 2)).to(device).contiguous(memory_format=torch.channels_last)
    targets = torch.from_numpy(labels.astype(np.int64)).to(device)
    called = torch.compile(module) if compiled else module
    optimizer = torch.optim.SGD(module.parameters(), 0.001, momentum=0.9)

    def forward() -> object:
        with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=half):
            return called(images).float().sum().item()

    def step() -> object:
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=half):
            loss = torch.nn.functional.cross_entropy(called(images), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step if training else forward


def medians(steps: dict[str, Step], rounds: int, seconds: float) -> dict[str, tuple[float, list[float]]]:
    """Median seconds of each contender, and its ratio to our counterpart in every round; they take turns."""
    first = next(iter(steps))
    for step in steps.values():
        step()
    start = time.perf_counter()
    steps[first]()
    calls = max(1, round(seconds / (time.perf_counter() - start)))  # so that a turn is long enough to time
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            for _ in range(calls):
                step()
            times[name].append((time.perf_counter() - start) / calls)
    return {
        name: (
            statistics.median(taken),
            [own / ours for own, ours in zip(taken, times[COUNTERPARTS.get(name, first)], strict=True)],
        )
        for name, taken in times.items()
    }


def run(options: argparse.Namespace) -> int:
    import keras

    import keras_resnet
    from keras_resnet.cli.tables import table
    from keras_resnet.errors import UsageError

    if options.rounds < 7:
        raise UsageError(f"--rounds must be at least 7 for a median to mean something; received {options.rounds}")
    with_torch = importlib.util.find_spec("torch") is not None
    random = np.random.default_rng(0)
    for network in options.networks:
        for policy in options.policies:
            for kind in options.kinds:
                training = kind == "training"
                batch = options.training_batch if training else options.batch
                x = random.normal(size=(batch, 224, 224, 3)).astype("float32")
                labels = random.integers(0, 1000, batch)
                keras.utils.set_random_seed(0)
                keras.config.set_dtype_policy(POLICIES[policy])
                models = keras_models(network)
                if not training:
                    models["ours, folded"] = keras_resnet.fuse_batchnorm(models["ours"])
                steps = {name: keras_steps(model, x, labels, kind) for name, model in models.items()}
                for compiled in TORCH_MODES[kind] if with_torch else ():
                    name = "PyTorch compiled" if compiled else "PyTorch eager"
                    steps[name] = torch_steps(network, x, labels, training, policy == "bfloat16", compiled)
                found = medians(steps, options.rounds, options.seconds)
                rows = [
                    (
                        f"{name} (against {COUNTERPARTS[name]})" if name in COUNTERPARTS else name,
                        f"{1000 * median:.1f}",
                        f"{statistics.median(ratios):.2f}",
                        f"{min(ratios):.2f} to {max(ratios):.2f}",
                    )
                    for name, (median, ratios) in found.items()
                ]
                title = f"{network}, {policy}, {kind}, batch {batch}, 224×224, {options.rounds} rounds"
                table(title, ("contender", "median ms", "time over ours", "least to most"), rows)
                sys.stdout.flush()
                del models, steps
                keras.backend.clear_session()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=BLOCKS, default=["resnet50", "resnet18"])
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=list(POLICIES))
    parser.add_argument("--kinds", nargs="+", choices=TORCH_MODES, default=list(TORCH_MODES))
    parser.add_argument("--rounds", type=int, default=9, help="at least 7 (default: 9)")
    parser.add_argument("--batch", type=int, default=1, help="images of a forward pass (default: 1)")
    parser.add_argument("--training-batch", type=int, default=8, help="images of a training step (default: 8)")
    parser.add_argument("--seconds", type=float, default=0.3, help="least length of a turn (default: 0.3)")
    return script_main(parser, run)


if __name__ == "__main__":
    sys.exit(main())
