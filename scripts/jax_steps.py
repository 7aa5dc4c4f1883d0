"""Training steps on JAX and PyTorch on one device, and its matrix rate, for `benchmark_training.py --jax`."""

import argparse
import importlib.util
import statistics
import time
from typing import Any

import numpy as np
from benchmark_models import Step, medians, torch_steps

CLASSES = 1000


def jax_step(network: str, side: int, x: np.ndarray, labels: np.ndarray) -> Step:
    """One compiled step of gradient, momentum, weight decay and update, in bfloat16; its state stays on the device."""
    import jax
    import keras

    import keras_resnet
    from keras_resnet.optimizers.by_name import optimizer as optimizer_named

    spec = keras_resnet.spec(network, stem="imagenet")
    model = keras_resnet.build(
        spec, CLASSES, input_shape=(side, side, 3), classifier_activation=None, precision="bfloat16", seed=0
    )
    optimizer = optimizer_named("sgd", 0.001, momentum=0.9, weight_decay=1e-4)
    optimizer.build(model.trainable_variables)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def loss(trainable: Any, state: Any, images: Any, targets: Any) -> Any:
        logits, state = model.stateless_call(trainable, state, images, training=True)
        return loss_of(targets, logits), state

    def step(trainable: Any, state: Any, slots: Any, images: Any, targets: Any) -> Any:
        (value, state), gradient = jax.value_and_grad(loss, has_aux=True)(trainable, state, images, targets)
        trainable, slots = optimizer.stateless_apply(slots, gradient, trainable)
        return trainable, state, slots, value

    compiled = jax.jit(step, donate_argnums=(0, 1, 2))
    variables = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
    held: list[Any] = [[variable.value for variable in group] for group in variables]
    images, targets = jax.device_put(x), jax.device_put(labels)

    def turn() -> float:
        *held[:], value = compiled(*held, images, targets)
        return float(value)

    return turn


def matrix_rate(side: int, rounds: int) -> float:
    """Floating-point operations per second in a product of two bfloat16 matrices of this side."""
    import jax
    import jax.numpy as jnp

    left, right = (jax.random.normal(jax.random.key(seed), (side, side), jnp.bfloat16) for seed in (0, 1))
    multiply = jax.jit(jnp.matmul)
    multiply(left, right).block_until_ready()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(10):
            product = multiply(left, right)
        product.block_until_ready()
        times.append((time.perf_counter() - start) / 10)
    return 2 * side**3 / statistics.median(times)


def compare_jax(
    network: str, side: int, batch: int, options: argparse.Namespace
) -> tuple[str, int, dict[str, tuple[float, list[float]]]]:
    """Title, batch and times as `medians` gives them; the share of the matrix rate stands in the title.

    A training step counts as three forward passes: forward, gradient by activations, gradient by weights.
    """
    import jax

    import keras_resnet

    random = np.random.default_rng(0)
    x = random.normal(size=(batch, side, side, 3)).astype("float32")
    labels = random.integers(0, CLASSES, batch)
    steps: dict[str, Step] = {"ours on JAX": jax_step(network, side, x, labels)}
    if importlib.util.find_spec("torch"):
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        steps["PyTorch compiled"] = torch_steps(network, x, labels, True, True, True, device)
    found = medians(steps, options.rounds, options.seconds)
    macs = keras_resnet.cost(keras_resnet.spec(network, stem="imagenet"), input_shape=(side, side, 3)).folded_macs
    rate = matrix_rate(options.matrix, options.rounds)
    reached = 3 * 2 * macs * batch / found["ours on JAX"][0]
    title = (
        f"{network}, bfloat16, {side}×{side}, batch {batch}, {options.rounds} rounds, {jax.devices()[0].device_kind}: "
        f"{100 * reached / rate:.1f} % of {rate / 1e12:.2f} TFLOP/s in products of {options.matrix}² matrices"
    )
    return title, batch, found
