"""A network that integers of eight bits spoil, and floats do not."""

import keras
import numpy as np


def lead_by_one_channel(model: keras.Model, times: float = 3000.0) -> None:
    """Make one channel within the last block so many times larger, which the next layer does not read.

    So it leads the range of all channels, and the others become coarse.

    Args:
        model: A ResNet-8; changed.
        times: How much larger.
    """
    norms = [one for one in model.layers if isinstance(one, keras.layers.BatchNormalization)]
    layers = [one for one in model.layers if isinstance(one, keras.layers.Conv2D)]
    block = sorted({one.name.rpartition("_")[0] for one in layers if "stage3" in one.name})[0]
    first = next(one for one in norms if one.name.startswith(block))
    second = [one for one in layers if one.name.startswith(block) and one.kernel_size == (3, 3)][1]
    factors = np.ones(first.gamma.shape, np.float32)
    factors[3] = times
    first.gamma.assign(np.maximum(np.abs(first.gamma), 0.1) * factors)
    first.beta.assign(np.abs(first.beta) * factors)
    second.kernel.assign(second.kernel * (factors == 1)[:, None])


def enliven(model: keras.Model, seed: int = 1) -> None:
    """Let all branches of a new network count."""
    random = np.random.default_rng(seed)
    for one in model.weights:
        if one.name == "gamma":
            one.assign(random.uniform(0.5, 1.5, one.shape))
        elif one.name in ("beta", "bias"):
            one.assign(random.normal(0, 0.2, one.shape))
