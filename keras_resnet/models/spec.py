"""What a residual network is, as data: one frozen row, validated when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from keras_resnet.errors import UsageError, listed

Block = Literal["basic", "bottleneck"]
Stem = Literal["imagenet", "cifar"]
Shortcut = Literal["projection", "identity_pad"]

BLOCKS = ("basic", "bottleneck")
STEMS = ("imagenet", "cifar")
SHORTCUTS = ("projection", "identity_pad")

# The 7×7 stride-2 stem with max-pooling divides the resolution by four before the first stage,
# which leaves nothing to look at in small images.
LARGEST_CIFAR_SIDE = 64


@dataclass(frozen=True)
class ResNetSpec:
    """One residual network.

    Args:
        name: How users call it; also the Keras model's name.
        block: `"basic"` (two 3×3 convolutions) or `"bottleneck"` (1×1, 3×3, 1×1).
        depths: Blocks in each stage.
        widths: Output channels of each stage, as many as `depths`.
        stem: `"imagenet"` (7×7/2, max-pool 3×3/2), `"cifar"` (3×3/1), or `"auto"`: the `cifar` stem
            when the shorter side of the input is at most 64 pixels.
        stem_width: Output channels of the stem.
        shortcut: What stands on the shortcut where the shape changes: `"projection"` (1×1
            convolution and normalisation; option B of He et al.) or `"identity_pad"` (subsampling
            and zero channels, no parameters; option A).
        input_size: Side of the square images it was published for, the default input.
        paper: Where it comes from.

    Raises:
        UsageError: A field is out of range; the message names it.
    """

    name: str
    block: Block
    depths: tuple[int, ...]
    widths: tuple[int, ...]
    stem: Stem | Literal["auto"] = "auto"
    stem_width: int = 64
    shortcut: Shortcut = "projection"
    input_size: int = 224
    paper: str = ""

    def __post_init__(self) -> None:
        _one_of("block", self.block, BLOCKS)
        _one_of("stem", self.stem, (*STEMS, "auto"))
        _one_of("shortcut", self.shortcut, SHORTCUTS)
        for field in ("depths", "widths"):
            values = getattr(self, field)
            if not values or any(not isinstance(value, int) or value < 1 for value in values):
                raise UsageError(f"{field} must be one positive whole number a stage; received {values}")
        if len(self.depths) != len(self.widths):
            raise UsageError(
                f"depths and widths must have one entry a stage each; received {self.depths} and {self.widths}"
            )
        if self.block == "bottleneck" and any(width % 4 for width in self.widths):
            raise UsageError(f"widths must be divisible by 4 for bottleneck blocks; received {self.widths}")
        if self.stem_width < 1 or self.input_size < 1:
            raise UsageError(
                "stem_width and input_size must be positive; "
                f"received stem_width={self.stem_width}, input_size={self.input_size}"
            )

    def resolve_stem(self, height: int | None, width: int | None) -> Stem:
        """The stem for an input of this size; an unknown side counts as large."""
        if self.stem != "auto":
            return self.stem
        sides = [side for side in (height, width) if side is not None]
        return "cifar" if sides and min(sides) <= LARGEST_CIFAR_SIDE else "imagenet"

    def smallest_side(self, stem: Stem) -> int:
        """By how much the network divides the resolution: the smallest side that leaves one position."""
        return (4 if stem == "imagenet" else 1) * 2 ** (len(self.depths) - 1)


def _one_of(field: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{field} must be one of {listed(allowed)}; received {value!r}")
