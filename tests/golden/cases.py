"""Tiny networks whose logits PyTorch computed once: the same table for `regenerate.py` and the test.

Names, fields and options are ours; `regenerate.py` says which PyTorch network is meant by each.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "parity.safetensors"
CLASSES = 7
SIDES = (40, 41)  # even and odd, at every stage


@dataclass(frozen=True)
class Case:
    """One network.

    Args:
        row: Fields of `ResNetSpec`.
        options: Of `build`.
        weights_of: Another case that has the same weights.
    """

    row: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    weights_of: str = ""


DEPTHS = (1, 2, 1, 1)
BASIC = {"block": "basic", "depths": DEPTHS, "widths": (8, 8, 12, 16), "stem": "imagenet"}
BOTTLENECK = {"block": "bottleneck", "depths": DEPTHS, "widths": (16, 16, 32, 48), "stem": "imagenet"}
SMALL_STEM = {"stem": "deep", "stem_width": 16}
HUGGING_FACE = {**BOTTLENECK, "stem_width": 8}
CIFAR = {"block": "basic", "depths": (2, 2, 2), "widths": (8, 12, 16), "stem": "cifar", "stem_width": 8}
PREACT = {**BOTTLENECK, "block": "preact_bottleneck", "stem_width": 8, "widths": (32, 32, 64, 96)}

CASES = {
    "basic": Case(BASIC),
    "basic_stride16": Case(BASIC, {"output_stride": 16}, "basic"),
    "basic_stride8": Case(BASIC, {"output_stride": 8}, "basic"),
    "bottleneck": Case(BOTTLENECK),
    "bottleneck_stride16": Case(BOTTLENECK, {"output_stride": 16}, "bottleneck"),
    "bottleneck_stride8": Case(BOTTLENECK, {"output_stride": 8}, "bottleneck"),
    "hugging_face_v1": Case({**HUGGING_FACE, "strided_conv": "1x1"}),
    "hugging_face_v1_5": Case(HUGGING_FACE, weights_of="hugging_face_v1"),
    "hugging_face_basic": Case({**BASIC, "stem_width": 8}),
    "resnet_c": Case({**BOTTLENECK, **SMALL_STEM}),
    "resnet_d": Case({**BOTTLENECK, **SMALL_STEM, "shortcut": "avgpool_projection"}),
    "resnet_d_stride8": Case(
        {**BOTTLENECK, **SMALL_STEM, "shortcut": "avgpool_projection"}, {"output_stride": 8}, "resnet_d"
    ),
    "se": Case({**BOTTLENECK, **SMALL_STEM, "attention": "se"}),
    "eca": Case({**BASIC, **SMALL_STEM, "attention": "eca"}),
    "rs": Case(
        {
            **BOTTLENECK,
            "stem": "deep_strided",
            "stem_width": 16,
            "shortcut": "avgpool_projection",
            "attention": "se",
            "se_ratio": 0.25,
        }
    ),
    "blur_basic": Case({**BASIC, "antialias": True}, weights_of="basic"),
    "blur_bottleneck": Case({**BOTTLENECK, "antialias": True}, weights_of="bottleneck"),
    "blur_bottleneck_stride8": Case({**BOTTLENECK, "antialias": True}, {"output_stride": 8}, "bottleneck"),
    "resnext": Case({**BOTTLENECK, **SMALL_STEM, "bottleneck_ratio": 0.5, "groups": 4, "widths": (32, 32, 64, 64)}),
    "wide": Case({**BOTTLENECK, **SMALL_STEM, "bottleneck_ratio": 0.5}),
    "cifar_identity": Case({**CIFAR, "shortcut": "identity_pad"}),
    "cifar_projection": Case(CIFAR),
    "wrn": Case({**CIFAR, "block": "preact_basic", "widths": (12, 16, 24)}),
    "preact_bottleneck": Case(
        {**BOTTLENECK, "block": "preact_bottleneck", "stem_width": 8, "widths": (32, 32, 64, 96)}
    ),
    "preact_bottleneck_stride8": Case(
        {**BOTTLENECK, "block": "preact_bottleneck", "stem_width": 8, "widths": (32, 32, 64, 96)},
        {"output_stride": 8},
        "preact_bottleneck",
    ),
}
