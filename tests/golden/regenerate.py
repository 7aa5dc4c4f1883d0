"""Write the golden files anew from PyTorch's networks. Needs torch, torchvision, timm, transformers; no Keras.

    pip install torch==2.15.0 torchvision==0.29.2 timm==1.0.31 transformers==5.23.0
    python -m tests.golden.regenerate

References are the networks that people use: timm's (whose tensors are named as torchvision's),
transformers', and, where only scripts exist, akamaster's CIFAR networks and Zagoruyko's wide ones
written down here. Weights are random, normalisations' statistics too, and rounded to float16.
"""

import json
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision
import transformers
from safetensors.numpy import save_file
from timm.layers import BatchNormAct2d, BlurPool2d, get_attn
from timm.layers.create_conv2d import create_conv2d
from timm.models import resnet, resnetv2
from torch import nn
from torch.nn import functional

from tests.golden.cases import CASES, CLASSES, DEPTHS, FILE, SIDES
from tests.golden.digest import digest

STRIDES = {"stride8": 8, "stride16": 16}


def timm_resnet(block: type, channels: tuple[int, ...], **options) -> nn.Module:
    return resnet.ResNet(block, DEPTHS, num_classes=CLASSES, channels=channels, **options)


def hugging_face(kind: str, sizes: tuple[int, ...], **options) -> nn.Module:
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=list(sizes), depths=list(DEPTHS), layer_type=kind, num_labels=CLASSES, **options
    )
    return transformers.ResNetForImageClassification(config)


class AkamasterBlock(nn.Module):
    def __init__(self, channels: int, planes: int, stride: int, option: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.pad = (planes - channels) // 2 if option == "A" else 0
        self.shortcut = nn.Sequential()
        if option == "B" and (stride > 1 or channels != planes):
            self.shortcut = nn.Sequential(nn.Conv2d(channels, planes, 1, stride, bias=False), nn.BatchNorm2d(planes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        pad = (0, 0, 0, 0, self.pad, self.pad)
        shortcut = functional.pad(x[:, :, ::2, ::2], pad) if self.pad else self.shortcut(x)
        return functional.relu(y + shortcut)


class Akamaster(nn.Module):
    def __init__(self, option: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        for stage, (channels, planes) in enumerate([(8, 8), (8, 12), (12, 16)], start=1):
            first = AkamasterBlock(channels, planes, 1 if stage == 1 else 2, option)
            setattr(self, f"layer{stage}", nn.Sequential(first, AkamasterBlock(planes, planes, 1, option)))
        self.linear = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


class WideBlock(nn.Module):
    def __init__(self, channels: int, planes: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        if channels != planes:
            self.downsample = nn.Sequential(nn.Conv2d(channels, planes, 1, stride, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        active = functional.relu(self.bn1(x))
        y = self.conv2(functional.relu(self.bn2(self.conv1(active))))
        return y + (self.downsample(active) if hasattr(self, "downsample") else x)


class Wide(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        for stage, (channels, planes) in enumerate([(8, 12), (12, 16), (16, 24)], start=1):
            blocks = WideBlock(channels, planes, 1 if stage == 1 else 2), WideBlock(planes, planes, 1)
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.norm = nn.BatchNorm2d(24)
        self.fc = nn.Linear(24, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return self.fc(functional.relu(self.norm(x)).mean((2, 3)))


def timm_preact(output_stride: int = 32) -> nn.Module:
    return resnetv2.ResNetV2(
        DEPTHS,
        channels=(32, 32, 64, 96),
        num_classes=CLASSES,
        stem_chs=8,
        stem_type="fixed",  # pads the max-pool with zeros, as our pre-activation stem does
        output_stride=output_stride,
        conv_layer=create_conv2d,
        norm_layer=BatchNormAct2d,
    )


def preact_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """timm's names of its ResNetV2, turned into those of its ResNet."""
    renamed = {}
    for name, tensor in state.items():
        name = name.replace("stem.conv", "conv1").replace("head.fc", "fc")
        parts = name.split(".")
        if parts[0] == "stages":
            name = ".".join([f"layer{int(parts[1]) + 1}", parts[3], *parts[4:]])
            name = name.replace("norm", "bn").replace("downsample.conv", "downsample.0")
        renamed[name] = tensor.flatten(1) if name == "fc.weight" else tensor
    return renamed


B, N = resnet.BasicBlock, resnet.Bottleneck
SMALL_STEM = {"stem_width": 8, "stem_type": "deep"}
REFERENCES = {
    "basic": lambda **o: timm_resnet(B, (8, 8, 12, 16), **o),
    "bottleneck": lambda **o: timm_resnet(N, (4, 4, 8, 12), **o),
    "hugging_face_v1": lambda: hugging_face("bottleneck", (16, 16, 32, 48), downsample_in_bottleneck=True),
    "hugging_face_v1_5": lambda: hugging_face("bottleneck", (16, 16, 32, 48)),
    "hugging_face_basic": lambda: hugging_face("basic", (8, 8, 12, 16)),
    "resnet_c": lambda **o: timm_resnet(N, (4, 4, 8, 12), **SMALL_STEM, **o),
    "resnet_d": lambda **o: timm_resnet(N, (4, 4, 8, 12), **SMALL_STEM, avg_down=True, **o),
    "se": lambda: timm_resnet(N, (4, 4, 8, 12), **SMALL_STEM, block_args={"attn_layer": "se"}),
    "eca": lambda: timm_resnet(B, (8, 8, 12, 16), **SMALL_STEM, block_args={"attn_layer": "eca"}),
    "rs": lambda: timm_resnet(
        N,
        (4, 4, 8, 12),
        **SMALL_STEM,
        avg_down=True,
        replace_stem_pool=True,
        block_args={"attn_layer": lambda channels, **o: get_attn("se")(channels, rd_ratio=0.25, **o)},
    ),
    "blur_basic": lambda **o: timm_resnet(B, (8, 8, 12, 16), aa_layer=BlurPool2d, **o),
    "blur_bottleneck": lambda **o: timm_resnet(N, (4, 4, 8, 12), aa_layer=BlurPool2d, **o),
    "resnext": lambda: timm_resnet(N, (8, 8, 16, 16), cardinality=4, base_width=32, **SMALL_STEM),
    "wide": lambda: timm_resnet(N, (4, 4, 8, 12), base_width=128, **SMALL_STEM),
    "cifar_identity": lambda: Akamaster("A"),
    "cifar_projection": lambda: Akamaster("B"),
    "wrn": Wide,
    "preact_bottleneck": timm_preact,
}


def randomise(module: nn.Module, generator: torch.Generator) -> None:
    """Weights that keep the signal's size, statistics that are not those of a fresh network."""
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var"):
            values = 0.5 + torch.rand(tensor.shape, generator=generator)
        elif tensor.ndim > 1:
            fan_in = tensor[0].numel()
            values = torch.randn(tensor.shape, generator=generator) * (2 / fan_in) ** 0.5
        elif name.endswith("weight"):
            values = 0.5 + torch.rand(tensor.shape, generator=generator)
        elif tensor.is_floating_point():
            values = 0.2 * torch.randn(tensor.shape, generator=generator)
        else:
            continue
        tensor.copy_(values.half().float())


def parity() -> None:
    tensors = {}
    random = np.random.default_rng(0)
    images = {side: random.integers(0, 256, (2, side, side, 3)).astype(np.uint8) for side in SIDES}
    tensors |= {f"images/{side}": array for side, array in images.items()}
    states = {}
    for number, (name, case) in enumerate(CASES.items()):
        reference, _, ending = name.rpartition("_")
        options = {"output_stride": STRIDES[ending]} if ending in STRIDES else {}
        module = REFERENCES[reference if options else name](**options).eval()
        with torch.no_grad():
            if case.weights_of:
                module.load_state_dict(states[case.weights_of])
            else:
                randomise(module, torch.Generator().manual_seed(number))
                states[name] = module.state_dict()
                named = preact_names(states[name]) if name.startswith("preact") else states[name]
                tensors |= {
                    f"{name}/{key}": tensor.half().numpy()
                    for key, tensor in named.items()
                    if tensor.is_floating_point()
                }
            for side, array in images.items():
                x = torch.from_numpy(array.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)
                logits = module(x)
                logits = getattr(logits, "logits", logits)
                tensors[f"logits/{name}/{side}"] = logits.numpy()
                print(name, side, [round(float(value), 2) for value in logits[0]])
    save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, FILE)
    print(f"{FILE}: {FILE.stat().st_size:,} bytes")


TIMM = {"wideresnet50_2": "wide_resnet50_2", "wideresnet101_2": "wide_resnet101_2"}
TORCHVISION = """
resnet18 resnet34 resnet50 resnet101 resnet152 resnext50_32x4d resnext101_32x8d resnext101_64x4d wide_resnet50_2
wide_resnet101_2
"""
ROWS = """
resnet18 resnet26 resnet34 resnet50 resnet101 resnet152 resnet200 resnet50c resnet101c resnet152c resnet18d resnet26d
resnet34d resnet50d resnet101d resnet152d resnet200d wideresnet50_2 wideresnet101_2 resnext50_32x4d resnext101_32x8d
resnext101_64x4d seresnet18 seresnet34 seresnet50 seresnet101 seresnet152 seresnet152d ecaresnet50d ecaresnet101d
resnetblur18 resnetblur50 resnetrs50 resnetrs101 resnetrs152 resnetrs200 resnetrs270 resnetrs350 resnetrs420
"""


def names() -> None:
    found = {}
    for row in ROWS.split():
        made = {"timm": timm.create_model(TIMM.get(row, row), pretrained=False)}
        if TIMM.get(row, row) in TORCHVISION.split():
            made["torchvision"] = getattr(torchvision.models, TIMM.get(row, row))()
        digests = {
            digest({key: list(t.shape) for key, t in module.state_dict().items() if t.is_floating_point()})
            for module in made.values()
        }
        assert len(digests) == 1, f"torchvision and timm disagree on {row}"
        found[row] = {"same_as": sorted(made), "digest": digests.pop()}
        print(row, found[row])
    path = Path(__file__).parent / "names.json"
    path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    parity()
    names()
