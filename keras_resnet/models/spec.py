"""What a residual network is, as data: one frozen row, validated when it is made."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, get_args

from keras_resnet.errors import UsageError, listed

Block = Literal["basic", "bottleneck", "preact_basic", "preact_bottleneck"]
Stem = Literal["imagenet", "cifar", "deep", "deep_strided"]
Shortcut = Literal["projection", "plain_projection", "avgpool_projection", "identity_pad", "none"]
Attention = Literal["none", "se", "eca"]
Bias = Literal["none", "unnormalised", "all"]
Padding = Literal["symmetric", "same"]
StridedBlock = Literal["first", "last"]
StridedConv = Literal["1x1", "3x3"]
DropoutAt = Literal["head", "block"]

# By how much each divides the resolution.
STEM_STRIDES: dict[Stem, int] = {"imagenet": 4, "cifar": 1, "deep": 4, "deep_strided": 4}
# The 7×7 stride-2 stem with max-pooling divides the resolution by four before the first stage,
# which leaves nothing to look at in small images.
LARGEST_CIFAR_SIDE = 64


@dataclass(frozen=True)
class ResNetSpec:
    """One residual network.

    Args:
        name: How users call it; also the Keras model's name, as long as a spec of the table is not changed.
        block: `"basic"` (two 3×3 convolutions), `"bottleneck"` (1×1, 3×3, 1×1), or one of them with
            normalisation and ReLU before each convolution: `"preact_basic"`, `"preact_bottleneck"`.
        depths: Blocks in each stage.
        widths: Output channels of each stage, as many as `depths`.
        stem: `"imagenet"` (7×7/2, max-pool 3×3/2), `"cifar"` (3×3/1), `"deep"` (three 3×3, the first
            strided, max-pool; ResNet-C), `"deep_strided"` (the same with a strided 3×3 convolution
            for the max-pool; ResNet-RS), or `"auto"`: `cifar` when the shorter side of the input is
            at most 64 pixels, else `imagenet`.
        stem_width: Output channels of the stem.
        shortcut: What stands on the shortcut where the shape changes: `"projection"` (1×1
            convolution and normalisation; option B of He et al.), `"plain_projection"` (without the
            normalisation), `"avgpool_projection"` (average pool, then the projection unstrided;
            ResNet-D) or `"identity_pad"` (subsampling and zero channels, no parameters; option A).
            Pre-activation blocks never normalise their projections. `"none"`: no block has a shortcut,
            the plain network that He et al. compare with.
        bottleneck_ratio: Channels of a bottleneck's 3×3 convolution over those of its output: 0.25,
            more in wide networks and ResNeXt.
        groups: Groups of a bottleneck's 3×3 convolution (cardinality).
        strided_conv: Which convolution of a bottleneck strides: `"3x3"` (v1.5) or `"1x1"` (v1).
        strided_block: Which block of a stage strides: its `"first"`, or its `"last"` in every stage
            but the last, as TF-Slim and keras.applications have v2.
        attention: What weighs the channels of each block's output: `"none"`, `"se"` (squeeze and
            excitation) or `"eca"` (efficient channel attention).
        se_ratio: Channels of the squeeze over those of the block; rounded to a multiple of 8.
        antialias: Blur before subsampling (BlurPool, 3×3 binomial) in stem and branches.
        bias: Which convolutions have one: `"none"`, those `"unnormalised"`, or `"all"`.
        padding: Of strided convolutions: `"symmetric"` as the literature has it, or TensorFlow's
            `"same"` (bottom and right only where sides are even).
        dropout_at: Where a dropout rate acts: before the classifier (`"head"`) or between a block's
            convolutions (`"block"`; wide residual networks).
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
    bottleneck_ratio: float = 0.25
    groups: int = 1
    strided_conv: StridedConv = "3x3"
    strided_block: StridedBlock = "first"
    attention: Attention = "none"
    se_ratio: float = 1 / 16
    antialias: bool = False
    bias: Bias = "none"
    padding: Padding = "symmetric"
    dropout_at: DropoutAt = "head"
    input_size: int = 224
    paper: str = ""

    def __post_init__(self) -> None:
        for field, words in WORDS.items():
            _one_of(field, getattr(self, field), words)
        for field in ("depths", "widths"):
            values = getattr(self, field)
            if not isinstance(values, tuple) or not values or any(not _positive(value) for value in values):
                raise UsageError(f"{field} must be a tuple of one positive whole number a stage; received {values!r}")
        if len(self.depths) != len(self.widths):
            raise UsageError(
                f"depths and widths must have one entry a stage each; received depths={self.depths} and "
                f"widths={self.widths}"
            )
        for field in ("stem_width", "input_size", "groups"):
            if not _positive(getattr(self, field)):
                raise UsageError(f"{field} must be a positive whole number; received {getattr(self, field)!r}")
        for field, most in (("se_ratio", 1), ("bottleneck_ratio", math.inf)):
            value = getattr(self, field)
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not 0 < value <= most
                or value == math.inf
            ):
                limit = " and at most 1" if most == 1 else ""
                raise UsageError(f"{field} must be a number above 0{limit}; received {value!r}")
        self._check_branches()

    def _check_branches(self) -> None:
        if not self.has_bottlenecks:
            for field, standard in (("groups", 1), ("bottleneck_ratio", 0.25), ("strided_conv", "3x3")):
                if getattr(self, field) != standard:
                    raise UsageError(
                        f"{field} is for bottleneck blocks; received {getattr(self, field)!r} with block={self.block!r}"
                    )
        for width in self.widths if self.has_bottlenecks else ():
            inner = self.inner_width(width)
            if not math.isclose(inner, width * self.bottleneck_ratio) or inner % self.groups:
                raise UsageError(
                    f"widths must be divisible so that width × bottleneck_ratio={self.bottleneck_ratio} is a whole "
                    f"number and a multiple of groups={self.groups}; received {self.widths}"
                )
        grows = all(before <= width for before, width in itertools.pairwise((self.stem_width, *self.widths)))
        if self.shortcut == "identity_pad" and not grows:
            raise UsageError(
                "widths must not shrink with identity_pad shortcuts, which add channels and remove none; received "
                f"stem_width={self.stem_width}, widths={self.widths}"
            )
        if self.shortcut == "none" and self.is_preact:
            raise UsageError(f"shortcut='none' is for post-activation blocks; received it with block={self.block!r}")
        if self.antialias and self.is_preact:
            raise UsageError(f"antialias is for post-activation blocks; received it with block={self.block!r}")
        if self.stem in ("deep", "deep_strided") and self.stem_width % 2:
            raise UsageError(f"stem_width must be even with the {self.stem} stem; received {self.stem_width}")

    @property
    def has_bottlenecks(self) -> bool:
        """Whether blocks are 1×1, 3×3, 1×1."""
        return self.block.endswith("bottleneck")

    @property
    def is_preact(self) -> bool:
        """Whether normalisation and ReLU stand before the convolutions (v2)."""
        return self.block.startswith("preact")

    def inner_width(self, width: int) -> int:
        """Channels of the 3×3 convolution in a bottleneck of `width` output channels."""
        return round(width * self.bottleneck_ratio)

    def resolve_stem(self, height: int | None, width: int | None) -> Stem:
        """The stem for an input of this size; an unknown side counts as large."""
        if self.stem != "auto":
            return self.stem
        sides = [side for side in (height, width) if side is not None]
        return "cifar" if sides and min(sides) <= LARGEST_CIFAR_SIDE else "imagenet"

    def smallest_side(self, stem: Stem) -> int:
        """By how much the network divides the resolution: the smallest side that leaves one position."""
        return STEM_STRIDES[stem] * 2 ** (len(self.depths) - 1)

    def scaled(self, width_multiplier: float) -> ResNetSpec:
        """The network with all its channels multiplied, rounded to what its blocks can divide.

        Inner widths stay multiples of 8 and of `groups`; nothing falls below the smallest such width.

        Raises:
            UsageError: The multiplier is not a positive finite number.
        """
        if not isinstance(width_multiplier, int | float) or not 0 < width_multiplier < math.inf:
            raise UsageError(f"width_multiplier must be a positive number; received {width_multiplier!r}")
        unit = math.lcm(8, self.groups)
        if self.has_bottlenecks:  # the least width whose inner width is a multiple of it
            ratio = Fraction(self.bottleneck_ratio).limit_denominator(1000)
            unit = unit * ratio.denominator // math.gcd(unit * ratio.denominator, ratio.numerator)
        return replace(
            self,
            widths=tuple(max(unit, round(width * width_multiplier / unit) * unit) for width in self.widths),
            stem_width=max(8, round(self.stem_width * width_multiplier / 8) * 8),
        )


WORDS: dict[str, tuple[str, ...]] = {
    "block": get_args(Block),
    "stem": (*get_args(Stem), "auto"),
    "shortcut": get_args(Shortcut),
    "attention": get_args(Attention),
    "bias": get_args(Bias),
    "padding": get_args(Padding),
    "strided_conv": get_args(StridedConv),
    "strided_block": get_args(StridedBlock),
    "dropout_at": get_args(DropoutAt),
}


def _positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _one_of(field: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{field} must be one of {listed(allowed)}; received {value!r}")
