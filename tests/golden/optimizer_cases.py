"""What PyTorch's optimizers and Keras's are both put through; NumPy alone, so that either side can import it."""

from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("optimizers.safetensors")
STEPS = 20
PEAK, WARMUP, WARMUP_FROM = 0.05, 5, 0.1
DECAY, LAYER_DECAY = 0.05, 0.8

# Keras's shapes; distance from the head counts stem, blocks, head.
VARIABLES = {
    "stem_conv/kernel": (3, 3, 2, 3),
    "stem_bn/gamma": (3,),
    "stem_bn/beta": (3,),
    "stage1_block1_conv1/kernel": (1, 1, 3, 4),
    "stage1_block2_conv1/kernel": (1, 1, 4, 4),
    "stage2_block1_conv1/kernel": (1, 1, 4, 4),
    "head_dense/kernel": (4, 3),
    "head_dense/bias": (3,),
}
DISTANCES = {"stem": 4, "stage1_block1": 3, "stage1_block2": 2, "stage2_block1": 1, "head": 0}

# Arguments of `optimizer` by case; weight decay is DECAY, the layers' LAYER_DECAY, unless said.
CASES = {
    "sgd": {"kind": "sgd"},
    "nesterov": {"kind": "sgd", "nesterov": True},
    "plain": {"kind": "sgd", "momentum": 0.0},
    "sgdw": {"kind": "sgdw"},
    "adamw": {"kind": "adamw"},
    "lamb": {"kind": "lamb"},
    "lion": {"kind": "lion"},
    "rmsprop": {"kind": "rmsprop", "weight_decay": 0.0, "rho": 0.99, "epsilon": 1e-30},
    # Keras adds epsilon elsewhere, so that it is next to nothing in these, and PyTorch couples their decay.
    "adam": {"kind": "adam", "epsilon": 1e-30},
    "adamax": {"kind": "adamax", "weight_decay": 0.0, "epsilon": 1e-30},
    "adagrad": {"kind": "adagrad", "weight_decay": 0.0, "epsilon": 1e-30},
    "adadelta": {"kind": "adadelta", "weight_decay": 0.0, "rho": 0.9, "epsilon": 1e-6},
    "norm": {"kind": "sgd", "clip": "norm", "clip_at": 6.0},
    "value": {"kind": "sgd", "clip": "value", "clip_at": 0.9},
    "adaptive": {"kind": "sgd", "clip": "adaptive", "clip_at": 0.5},
}


def distance(path: str) -> int:
    return next(far for prefix, far in DISTANCES.items() if path.startswith(prefix))


def initial(path: str) -> np.ndarray:
    random = np.random.default_rng(list(VARIABLES).index(path))
    return random.normal(0.0, 0.5, VARIABLES[path]).astype(np.float32)


def gradient(weights: np.ndarray, step: int) -> np.ndarray:
    """Of no loss in particular; its size comes and goes, so that clipping does."""
    weights = np.asarray(weights, np.float64)
    return (1.2 + np.cos(step)) * (np.sin(2 * weights + step) + 0.3 * weights)


# The network: convolution, normalisation, ReLU, mean, classifier, on 6×6 pictures.
BATCH, CLASSES, CHANNELS = 8, 3, 4
SMOOTHING = 0.1


def network_weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {
        "stem_conv/kernel": random.normal(0, 0.4, (3, 3, 2, CHANNELS)).astype(np.float32),
        "head_dense/kernel": random.normal(0, 0.5, (CHANNELS, CLASSES)).astype(np.float32),
    }


def network_batch(step: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (8, 6, 6, 2) and mixed labels (8, 3)."""
    random = np.random.default_rng(100 + step)
    first, second = np.eye(CLASSES)[random.integers(0, CLASSES, (2, BATCH))]
    part = random.uniform(0, 1, (BATCH, 1))
    labels = part * first + (1 - part) * second
    images = random.normal(0, 1, (BATCH, 6, 6, 2)) + labels[:, None, None, :2]
    return images.astype(np.float32), labels.astype(np.float32)


def loss_batch() -> tuple[np.ndarray, np.ndarray]:
    """Logits (6, 5), some extreme, and mixed labels (6, 5)."""
    random = np.random.default_rng(2)
    logits = random.normal(0, 4, (6, 5))
    logits[0, 0], logits[1, 1], logits[2] = 60, -60, 0
    part = random.uniform(0, 1, (6, 1))
    first, second = np.eye(5)[random.integers(0, 5, (2, 6))]
    return logits.astype(np.float32), (part * first + (1 - part) * second).astype(np.float32)


BINARY = {
    "mean": {},
    "smoothed": {"label_smoothing": 0.1},
    "threshold": {"label_smoothing": 0.1, "threshold": 0.2},
    "sum": {"sum_classes": True},
}

# Schedules: arguments of `schedule`, without peak and steps.
SCHEDULE_PEAK, SCHEDULE_STEPS = 0.3, 60
SCHEDULES = {
    "constant": {"kind": "constant"},
    "constant-warm": {"kind": "constant", "warmup_steps": 10, "warmup_from": 0.1},
    "step": {"kind": "step", "every": 17, "factor": 0.3},
    "multistep": {"kind": "multistep", "milestones": (20, 45), "factor": 0.1},
    "multistep-warm": {
        "kind": "multistep",
        "milestones": (20, 45),
        "factor": 0.1,
        "warmup_steps": 10,
        "warmup_from": 0.2,
    },
    "cosine": {"kind": "cosine"},
    "cosine-floor-warm": {"kind": "cosine", "floor": 0.01, "warmup_steps": 7, "warmup_from": 0.05},
    "one-cycle": {"kind": "one-cycle"},
    "one-cycle-linear": {
        "kind": "one-cycle",
        "anneal": "linear",
        "climb": 0.25,
        "initial_division": 10.0,
        "final_division": 100.0,
    },
}
