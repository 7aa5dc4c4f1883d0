"""Train a small ResNet by a plain PyTorch loop, as the literature does: the other side of `compare_with_torch.py`.

python torch_cifar.py train ARRAYS.npz SETTINGS.json RESULT.json
python torch_cifar.py check ARRAYS.npz SETTINGS.json RESULT.npz

It needs PyTorch 1.13 or newer and NumPy, and nothing of this package, so that another Python can run it. Layers have
the package's names, so that weights pass over by name. `check` loads weights, and gives logits before and after one
update.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

Settings = dict[str, Any]
EVALUATED = 256
"""Images at once where nothing is learned."""


class Convolution(nn.Conv2d):
    """With the literature's padding, or TensorFlow's, which is at bottom and right alone where the stride is two."""

    def __init__(self, channels: int, planes: int, size: int, stride: int, spec: Settings, *, normalised: bool) -> None:
        bias = spec["bias"] == "all" or (spec["bias"] == "unnormalised" and not normalised)
        self.odd = spec["padding"] == "same" and stride == 2 and size == 3
        super().__init__(channels, planes, size, stride, 0 if self.odd else size // 2, bias=bias)
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        if bias:
            nn.init.zeros_(self.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(functional.pad(x, (0, 1, 0, 1)) if self.odd else x)


class Block(nn.Module):
    """Two 3×3 convolutions past which goes the image itself, its channels filled up with zeros or projected."""

    def __init__(self, channels: int, planes: int, stride: int, spec: Settings) -> None:
        super().__init__()
        self.stride, self.missing = stride, planes - channels
        self.conv1 = Convolution(channels, planes, 3, stride, spec, normalised=True)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = Convolution(planes, planes, 3, 1, spec, normalised=True)
        self.bn2 = nn.BatchNorm2d(planes)
        changes = stride > 1 or self.missing > 0
        if changes and spec["shortcut"] == "plain_projection":
            self.shortcut_conv = Convolution(channels, planes, 1, stride, spec, normalised=False)
        if not (changes and spec["shortcut"] == "identity_pad"):  # a block begins as its shortcut (Goyal et al., 2017)
            nn.init.zeros_(self.bn2.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if hasattr(self, "shortcut_conv"):
            x = self.shortcut_conv(x)
        elif self.stride > 1 or self.missing:
            x = x[:, :, :: self.stride, :: self.stride]
            x = functional.pad(x, (0, 0, 0, 0, self.missing // 2, self.missing - self.missing // 2))
        return functional.relu(y + x)


class ResNet(nn.Module):
    """Of basic blocks, with the stem for small images; raw pixels in, logits out."""

    def __init__(self, spec: Settings, channels: int, classes: int, mean: torch.Tensor, std: torch.Tensor) -> None:
        super().__init__()
        self.mean, self.std = mean[:, None, None], std[:, None, None]
        self.stem_conv = Convolution(channels, spec["stem_width"], 3, 1, spec, normalised=True)
        self.stem_bn = nn.BatchNorm2d(spec["stem_width"])
        self.blocks, planes = nn.ModuleDict(), spec["stem_width"]
        for stage, (depth, width) in enumerate(zip(spec["depths"], spec["widths"], strict=True), 1):
            for block in range(1, depth + 1):
                stride = 2 if block == 1 and stage > 1 else 1
                self.blocks[f"stage{stage}_block{block}"] = Block(planes, width, stride, spec)
                planes = width
        self.head_dense = nn.Linear(planes, classes)
        nn.init.xavier_uniform_(self.head_dense.weight)
        nn.init.zeros_(self.head_dense.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = (images.float() - self.mean) / self.std
        x = functional.relu(self.stem_bn(self.stem_conv(x.contiguous(memory_format=torch.channels_last))))
        for block in self.blocks.values():
            x = block(x)
        return self.head_dense(x.mean((2, 3)))

    def load(self, weights: dict[str, np.ndarray]) -> None:
        """Take weights by the package's names, `stage1_block1_conv1/kernel`; every one must be there."""
        ours = {"running_mean": "moving_mean", "running_var": "moving_variance"}
        state = {}
        for name, tensor in self.state_dict().items():
            part = name.rsplit(".", 1)[1]
            if part == "num_batches_tracked":
                continue
            layer = name.removeprefix("blocks.").removesuffix(f".{part}").replace(".", "_")
            normalises = "bn" in layer.rsplit("_", 1)[1]
            own = {"weight": "gamma" if normalises else "kernel", "bias": "beta" if normalises else "bias"} | ours
            array = weights.pop(f"{layer}/{own[part]}")
            array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
            assert array.shape == tuple(tensor.shape), name
            state[name] = torch.from_numpy(array.copy())
        assert not weights, f"weights without a place: {sorted(weights)}"
        self.load_state_dict(state, strict=False)


def channels_first(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def augmented(padded: torch.Tensor, chosen: torch.Tensor, side: tuple[int, int], margin: int) -> torch.Tensor:
    """A part of each padded image, at a random place, mirrored by chance: the augmentation of He et al., 2015."""
    count, (height, width) = len(chosen), side
    rows = torch.randint(0, 2 * margin + 1, (count, 1)) + torch.arange(height)
    columns = torch.randint(0, 2 * margin + 1, (count, 1)) + torch.arange(width)
    columns = torch.where(torch.rand(count, 1) < 0.5, columns.flip(1), columns)
    return padded[chosen[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def optimizer_of(network: ResNet, settings: Settings) -> torch.optim.SGD:
    kernels = [one for one in network.parameters() if one.dim() > 1]
    others = [one for one in network.parameters() if one.dim() == 1]
    decay = settings["weight_decay"]
    groups = [
        {"params": kernels, "weight_decay": decay},
        {"params": others, "weight_decay": decay if settings["decayed"] == "all" else 0.0},
    ]
    return torch.optim.SGD(
        groups, settings["learning_rate"], momentum=settings["momentum"], nesterov=settings["nesterov"]
    )


def schedule_of(optimizer: torch.optim.SGD, settings: Settings, steps: int) -> Any:
    """The rate by updates."""
    if settings["schedule"] == "multistep":
        milestones = [max(1, round(epoch * steps)) for epoch in settings["milestones"]]
        return torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, settings["decay_factor"])
    floor = settings["final_rate"] * settings["learning_rate"]
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings["epochs"] * steps, floor)


def update(network: ResNet, optimizer: torch.optim.SGD, images: torch.Tensor, labels: torch.Tensor) -> None:
    network.train()
    optimizer.zero_grad()
    functional.cross_entropy(network(images), labels).backward()
    optimizer.step()


@torch.no_grad()
def logits_of(network: ResNet, images: torch.Tensor) -> torch.Tensor:
    network.eval()
    return torch.cat([network(part) for part in images.split(EVALUATED)])


def accuracy(network: ResNet, images: torch.Tensor, labels: torch.Tensor) -> float:
    return logits_of(network, images).argmax(1).eq(labels).float().mean().item()


def network_of(arrays: dict[str, np.ndarray], settings: Settings, channels: int) -> ResNet:
    torch.manual_seed(settings["seed"])
    mean, std = (torch.from_numpy(arrays[name].astype(np.float32)) for name in ("mean", "std"))
    network = ResNet(settings["spec"], channels, settings["classes"], mean, std)
    return network.to(memory_format=torch.channels_last)


def train(arrays: dict[str, np.ndarray], settings: Settings) -> dict[str, Any]:
    """Train. The epoch counts that is best on the validation images, of equal ones the last, or simply the last."""
    images = {name: channels_first(arrays[f"{name}_images"]) for name in ("train", "validation", "test")}
    labels = {name: torch.from_numpy(arrays[f"{name}_labels"].astype(np.int64)) for name in images}
    network = network_of(arrays, settings, images["train"].shape[1])
    batch, side = settings["batch_size"], tuple(images["train"].shape[2:])
    margin, steps = min(side) // 8, len(images["train"]) // batch
    padded = functional.pad(images["train"], (margin,) * 4)
    optimizer = optimizer_of(network, settings)
    schedule = schedule_of(optimizer, settings, steps)
    found: dict[str, Any] = {"seconds": [], "rates": [], "validation": []}
    best, kept, parent = -1.0, {}, os.getppid()
    for epoch in range(1, settings["epochs"] + 1):
        start = time.perf_counter()
        for chosen in torch.randperm(len(padded))[: steps * batch].split(batch):
            rate = optimizer.param_groups[0]["lr"]
            update(network, optimizer, augmented(padded, chosen, side, margin), labels["train"][chosen])
            schedule.step()
        reached = accuracy(network, images["validation"], labels["validation"])
        for name, value in (("seconds", time.perf_counter() - start), ("rates", rate), ("validation", reached)):
            found[name].append(value)
        if reached >= best or not settings["chooses"]:
            best, kept = reached, {name: one.clone() for name, one in network.state_dict().items()}
            found["epoch"] = epoch
        print(f"PyTorch epoch {epoch}  val {reached:.4f}  {found['seconds'][-1]:.1f} s", file=sys.stderr, flush=True)
        if os.getppid() != parent:
            sys.exit("who began this training has ended")
    network.load_state_dict(kept)
    return found | {"accuracy": accuracy(network, images["test"], labels["test"])}


def check(arrays: dict[str, np.ndarray], settings: Settings) -> dict[str, np.ndarray]:
    """Logits of some images with given weights, and again after one update by these images."""
    images, labels = channels_first(arrays["images"]), torch.from_numpy(arrays["labels"].astype(np.int64))
    network = network_of(arrays, settings, images.shape[1])
    network.load({name: array for name, array in arrays.items() if "/" in name})
    before = logits_of(network, images)
    update(network, optimizer_of(network, settings), images, labels)
    return {"before": before.numpy(), "after": logits_of(network, images).numpy()}


def main() -> None:
    job, arrays_file, settings_file, result = sys.argv[1:]
    settings = json.loads(Path(settings_file).read_text())
    torch.set_num_threads(settings["threads"])
    with np.load(arrays_file) as archive:
        arrays = dict(archive)
    if job == "check":
        np.savez(result, **check(arrays, settings))
    else:
        Path(result).write_text(json.dumps(train(arrays, settings)))


if __name__ == "__main__":
    main()
