"""Write the golden file of optimizers, schedules and losses anew, from PyTorch and timm. No Keras.

    pip install torch==2.13.0 numpy safetensors && pip install --no-deps timm==1.0.31
    python -m tests.golden.regenerate_optimizers

Everything is computed in float64 and stored in float32; the starting values are float32 numbers.
"""

import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn
from torch.nn import functional
from torch.optim import lr_scheduler

from tests.golden import optimizer_cases as cases


def without_torchvision() -> None:
    """Let timm's optimizers and losses be imported by themselves: timm as a whole imports torchvision."""
    root = Path(next(iter(importlib.util.find_spec("timm").submodule_search_locations)))
    for name in ("timm", "timm.optim", "timm.utils", "timm.loss"):
        package = types.ModuleType(name)
        package.__path__ = [str(root.parent.joinpath(*name.split(".")))]
        sys.modules[name] = package


without_torchvision()

from timm.loss.binary_cross_entropy import BinaryCrossEntropy  # noqa: E402
from timm.optim.lamb import Lamb  # noqa: E402
from timm.optim.lion import Lion  # noqa: E402
from timm.optim.sgdw import SGDW  # noqa: E402
from timm.utils.agc import adaptive_clip_grad  # noqa: E402


def torch_layout(array: np.ndarray) -> np.ndarray:
    """Keras's kernels have the outputs last, PyTorch's first."""
    return np.moveaxis(array, (-1, -2), (0, 1)) if array.ndim > 1 else array


def keras_layout(array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, (0, 1), (-1, -2)) if array.ndim > 1 else array


def parameter(array: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.array(torch_layout(array), np.float64)))


def warmup_cosine(optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
    return lr_scheduler.SequentialLR(
        optimizer,
        [
            lr_scheduler.LinearLR(optimizer, cases.WARMUP_FROM, total_iters=cases.WARMUP),
            lr_scheduler.CosineAnnealingLR(optimizer, cases.STEPS - cases.WARMUP),
        ],
        milestones=[cases.WARMUP],
    )


MAKERS: dict[str, Callable[[list], torch.optim.Optimizer]] = {
    "sgd": lambda groups: torch.optim.SGD(groups, momentum=0.9),
    "nesterov": lambda groups: torch.optim.SGD(groups, momentum=0.9, nesterov=True),
    "plain": lambda groups: torch.optim.SGD(groups),
    "sgdw": lambda groups: SGDW(groups, momentum=0.9),
    "adamw": lambda groups: torch.optim.AdamW(groups),
    "lamb": lambda groups: Lamb(groups),
    "lion": lambda groups: Lion(groups),
    "rmsprop": lambda groups: torch.optim.RMSprop(groups, alpha=0.99, eps=0.0),
    "adam": lambda groups: torch.optim.AdamW(groups, eps=0.0),
    "adamax": lambda groups: torch.optim.Adamax(groups, eps=0.0),
    "adagrad": lambda groups: torch.optim.Adagrad(groups, initial_accumulator_value=0.1, eps=0.0),
    "adadelta": lambda groups: torch.optim.Adadelta(groups, rho=0.9, eps=1e-6),
    "norm": lambda groups: torch.optim.SGD(groups, momentum=0.9),
    "value": lambda groups: torch.optim.SGD(groups, momentum=0.9),
    "adaptive": lambda groups: torch.optim.SGD(groups, momentum=0.9),
}


def clip(case: str, parameters: dict[str, nn.Parameter]) -> None:
    at = cases.CASES[case].get("clip_at")
    if case == "norm":
        nn.utils.clip_grad_norm_(parameters.values(), at)
    elif case == "value":
        nn.utils.clip_grad_value_(parameters.values(), at)
    elif case == "adaptive":
        adaptive_clip_grad([p for path, p in parameters.items() if not path.startswith("head_dense")], at)


def trajectory(case: str) -> dict[str, np.ndarray]:
    """All weights after every step, and the norms of all gradients together before clipping."""
    parameters = {path: parameter(cases.initial(path)) for path in cases.VARIABLES}
    decay = cases.CASES[case].get("weight_decay", cases.DECAY)
    optimizer = MAKERS[case](
        [
            {
                "params": [weights],
                "lr": cases.PEAK * cases.LAYER_DECAY ** cases.distance(path),
                "weight_decay": decay if path.endswith("/kernel") else 0.0,
            }
            for path, weights in parameters.items()
        ]
    )
    scheduler = warmup_cosine(optimizer)
    kept: dict[str, list[np.ndarray]] = {path: [] for path in parameters}
    norms = []
    for step in range(cases.STEPS):
        for weights in parameters.values():
            weights.grad = torch.from_numpy(cases.gradient(weights.detach().numpy(), step))
        norms.append(np.sqrt(sum(float((weights.grad**2).sum()) for weights in parameters.values())))
        clip(case, parameters)
        optimizer.step()
        scheduler.step()
        for path, weights in parameters.items():
            kept[path].append(keras_layout(weights.detach().numpy().copy()))
    return {f"{case}/{path}": np.stack(arrays) for path, arrays in kept.items()} | {f"{case}/norms": np.array(norms)}


def network() -> np.ndarray:
    """The losses of 20 steps of a small network by SGD with momentum and decay of its kernels."""
    weights = {path: parameter(array) for path, array in cases.network_weights().items()}
    norm = nn.BatchNorm2d(cases.CHANNELS, dtype=torch.float64)
    bias = nn.Parameter(torch.zeros(cases.CLASSES, dtype=torch.float64))
    optimizer = torch.optim.SGD(
        [
            {"params": list(weights.values()), "weight_decay": cases.DECAY},
            {"params": [*norm.parameters(), bias], "weight_decay": 0.0},
        ],
        lr=cases.PEAK,
        momentum=0.9,
        nesterov=True,
    )
    scheduler = warmup_cosine(optimizer)
    losses = []
    for step in range(cases.STEPS):
        images, labels = (torch.from_numpy(array.astype(np.float64)) for array in cases.network_batch(step))
        x = functional.conv2d(images.permute(0, 3, 1, 2), weights["stem_conv/kernel"], padding=1)
        logits = functional.linear(functional.relu(norm(x)).mean((2, 3)), weights["head_dense/kernel"], bias)
        loss = functional.cross_entropy(logits, labels, label_smoothing=cases.SMOOTHING)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return np.array(losses)


def losses() -> Iterator[tuple[str, np.ndarray]]:
    """Each loss of the batch and its gradients by the logits."""
    logits, labels = (torch.from_numpy(array.astype(np.float64)) for array in cases.loss_batch())
    logits.requires_grad_()

    def kept(name: str, loss: torch.Tensor) -> Iterator[tuple[str, np.ndarray]]:
        yield f"loss/{name}", np.array([loss.item()])
        yield f"loss/{name}/gradient", torch.autograd.grad(loss, logits)[0].numpy()

    yield from kept("softmax", functional.cross_entropy(logits, labels))
    yield from kept("softmax-smoothed", functional.cross_entropy(logits, labels, label_smoothing=cases.SMOOTHING))
    for name, options in cases.BINARY.items():
        # timm smooths mixed labels where it mixes them (timm.data.mixup).
        smoothing = options.get("label_smoothing", 0.0)
        smoothed = labels * (1 - smoothing) + smoothing / labels.shape[-1]
        criterion = BinaryCrossEntropy(
            0.0, target_threshold=options.get("threshold"), sum_classes=options.get("sum_classes", False)
        )
        yield from kept(f"binary-{name}", criterion(logits, smoothed))


def scheduler(optimizer: torch.optim.Optimizer, options: dict) -> lr_scheduler.LRScheduler:
    kind, begin = options["kind"], options.get("warmup_steps", 0)
    peak, steps = cases.SCHEDULE_PEAK, cases.SCHEDULE_STEPS - begin
    if kind == "one-cycle":
        return lr_scheduler.OneCycleLR(
            optimizer,
            peak,
            total_steps=steps,
            pct_start=options.get("climb", 0.3),
            anneal_strategy={"cosine": "cos", "linear": "linear"}[options.get("anneal", "cosine")],
            cycle_momentum=False,
            div_factor=options.get("initial_division", 25.0),
            final_div_factor=options.get("final_division", 1e4),
        )
    main = {
        "constant": lambda: lr_scheduler.LambdaLR(optimizer, lambda _: 1.0),
        "step": lambda: lr_scheduler.StepLR(optimizer, options["every"], options["factor"]),
        # PyTorch counts from the end of the warm-up.
        "multistep": lambda: lr_scheduler.MultiStepLR(
            optimizer, [milestone - begin for milestone in options["milestones"]], options["factor"]
        ),
        "cosine": lambda: lr_scheduler.CosineAnnealingLR(optimizer, steps, options.get("floor", 0.0)),
    }
    if not begin:
        return main[kind]()
    warmup = lr_scheduler.LinearLR(optimizer, options["warmup_from"], total_iters=begin)
    return lr_scheduler.SequentialLR(optimizer, [warmup, main[kind]()], milestones=[begin])


def rates(options: dict) -> np.ndarray:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=cases.SCHEDULE_PEAK)
    schedule = scheduler(optimizer, options)
    kept = []
    for _ in range(cases.SCHEDULE_STEPS):
        kept.append(optimizer.param_groups[0]["lr"])  # what the coming update goes by
        optimizer.step()
        schedule.step() if len(kept) < cases.SCHEDULE_STEPS else None
    return np.array(kept)


def main() -> None:
    tensors = {name: array for case in cases.CASES for name, array in trajectory(case).items()}
    tensors["network/losses"] = network()
    tensors |= dict(losses())
    tensors |= {f"schedule/{name}": rates(options) for name, options in cases.SCHEDULES.items()}
    save_file(
        {name: np.ascontiguousarray(array, np.float32) for name, array in tensors.items()},
        cases.FILE,
        {"torch": torch.__version__},
    )
    print(f"{cases.FILE}: {len(tensors)} tensors, {cases.FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
