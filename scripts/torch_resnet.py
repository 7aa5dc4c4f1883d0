"""A plain PyTorch ResNet (v1.5, torchvision's names), for `benchmark_models.py` to measure against."""

import torch
from torch import nn
from torch.nn import functional


def convolution(channels: int, planes: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, planes, size, stride, size // 2, bias=False)


class Block(nn.Module):
    """Basic or bottleneck."""

    def __init__(self, kind: str, channels: int, planes: int, stride: int) -> None:
        super().__init__()
        inner = planes if kind == "basic" else planes // 4
        sizes = (3, 3) if kind == "basic" else (1, 3, 1)
        widths = (channels, *(inner for _ in sizes[1:]), planes)
        striding = 0 if kind == "basic" else 1
        self.count = len(sizes)
        for number, size in enumerate(sizes):
            own_stride = stride if number == striding else 1
            setattr(self, f"conv{number + 1}", convolution(widths[number], widths[number + 1], size, own_stride))
            setattr(self, f"bn{number + 1}", nn.BatchNorm2d(widths[number + 1]))
        self.downsample = nn.Identity()
        if stride > 1 or channels != planes:
            self.downsample = nn.Sequential(convolution(channels, planes, 1, stride), nn.BatchNorm2d(planes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for number in range(1, self.count + 1):
            y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
            y = functional.relu(y, inplace=True) if number < self.count else y
        return functional.relu(y + self.downsample(x), inplace=True)


class ResNet(nn.Module):
    """Four stages with the ImageNet stem, or with the 3×3 convolution of CIFAR's."""

    def __init__(self, kind: str, depths: tuple[int, ...], num_classes: int = 1000, stem: str = "imagenet") -> None:
        super().__init__()
        small = stem == "cifar"
        self.conv1, self.bn1 = convolution(3, 64, 3 if small else 7, 1 if small else 2), nn.BatchNorm2d(64)
        self.pool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        channels = 64
        for stage, depth in enumerate(depths):
            planes = (64 if kind == "basic" else 256) * 2**stage
            blocks = []
            for block in range(depth):
                blocks.append(Block(kind, channels, planes, 2 if block == 0 and stage > 0 else 1))
                channels = planes
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.pool(x)))))
        return self.fc(x.mean((2, 3)))
