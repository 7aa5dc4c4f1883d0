"""Policies that choose among Pillow's operations: RandAugment, TrivialAugment, AutoAugment, AugMix.

Operations, amounts and signs are drawn for each image. The operations and their magnitudes are those of the papers, as
in torchvision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import tensorflow as tf

from keras_resnet.allowed import COUNT, MAGNITUDE
from keras_resnet.augment import geometry, tone
from keras_resnet.augment.dispatch import Operation, each_its_own, identity
from keras_resnet.augment.policy_tables import AUTOAUGMENT
from keras_resnet.augment.randomness import SampleRandom, in_whole_packets
from keras_resnet.errors import UsageError
from keras_resnet.settings import keep_checked


@dataclass(frozen=True)
class Choice:
    """One operation that a policy may choose.

    Args:
        apply: The operation.
        levels: float (bins,): the distance of the amount from `start` at each magnitude.
        start: The amount that changes nothing.
        signed: Whether half of the images get an amount below `start`.
    """

    apply: Operation
    levels: np.ndarray
    start: float = 0.0
    signed: bool = False

    @property
    def amounts(self) -> np.ndarray:
        """float32 (2, bins): amounts above `start` and, if signed, amounts below it."""
        return np.array(
            [self.start + self.levels, self.start + (-self.levels if self.signed else self.levels)], np.float32
        )


Space = dict[str, Choice]


@dataclass(frozen=True)
class Extent:
    """The amounts of a space's operations at the highest magnitude.

    Args:
        shear: Pixels a row or column.
        shift: From the length of a side in pixels to pixels.
        degrees: Of a rotation.
        tone: The distance of the factor from 1: of brightness, colour, contrast and sharpness.
        posterize: Bits that are kept at the lowest and at the highest magnitude.
    """

    shear: float
    shift: Callable[[int], float]
    degrees: float
    tone: float
    posterize: tuple[int, int]


CLASSIC = Extent(shear=0.3, shift=lambda side: 150 / 331 * side, degrees=30, tone=0.9, posterize=(8, 4))
WIDE = Extent(shear=0.99, shift=lambda side: 32, degrees=135, tone=0.99, posterize=(8, 2))
AUGMIX = Extent(shear=0.3, shift=lambda side: side / 3, degrees=30, tone=0.9, posterize=(4, 0))


def space(extent: Extent, bins: int, height: int, width: int) -> Space:
    """The fourteen operations of RandAugment (Cubuk et al., 2019, table 6) and AutoAugment's Invert.

    Args:
        extent: The amounts at the highest magnitude.
        bins: How many magnitudes there are.
        height, width: Of the images, in pixels.

    Returns:
        The operations by their names in the paper.
    """

    def up_to(most: float) -> np.ndarray:
        return np.linspace(0.0, most, bins)

    nothing, (most, least) = np.zeros(bins), extent.posterize
    return {
        "Identity": Choice(identity, nothing),
        "ShearX": Choice(geometry.shear_x, up_to(extent.shear), signed=True),
        "ShearY": Choice(geometry.shear_y, up_to(extent.shear), signed=True),
        "TranslateX": Choice(geometry.translate_x, up_to(extent.shift(width)), signed=True),
        "TranslateY": Choice(geometry.translate_y, up_to(extent.shift(height)), signed=True),
        "Rotate": Choice(geometry.rotate, up_to(extent.degrees), signed=True),
        "Brightness": Choice(tone.brightness, up_to(extent.tone), 1.0, signed=True),
        "Color": Choice(tone.saturation, up_to(extent.tone), 1.0, signed=True),
        "Contrast": Choice(tone.contrast, up_to(extent.tone), 1.0, signed=True),
        "Sharpness": Choice(tone.sharpness, up_to(extent.tone), 1.0, signed=True),
        "Posterize": Choice(tone.posterize, most - np.round(np.arange(bins) / ((bins - 1) / (most - least)))),
        "Solarize": Choice(tone.solarize, np.linspace(255.0, 0.0, bins)),
        "AutoContrast": Choice(tone.autocontrast, nothing),
        "Equalize": Choice(tone.equalize, nothing),
        "Invert": Choice(tone.invert, nothing),
    }


ALL = tuple(space(CLASSIC, 31, 32, 32))
RAND_AUGMENT = tuple(name for name in ALL if name != "Invert")
AUG_MIX = tuple(name for name in RAND_AUGMENT if name != "Identity")


@dataclass(frozen=True)
class Menu:
    """What a policy chooses from: some operations of a space, by name, in this order. See `space`."""

    extent: Extent
    bins: int
    names: tuple[str, ...]


def _apply(images: tf.Tensor, menu: Menu, choice: tf.Tensor, magnitude: tf.Tensor, random: SampleRandom) -> tf.Tensor:
    """Apply to each image its own operation, a place in the menu, at its own magnitude, with a random sign."""
    sign = tf.cast(random.event("sign", 0.5), tf.int32)
    return _applied(menu, *images.shape[1:3])(images, choice, tf.stack([choice, sign, magnitude], axis=1))


@lru_cache(maxsize=32)
def _applied(menu: Menu, height: int, width: int) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """A menu for images of one size, as a graph.

    To trace the operations takes a second, and AugMix applies them nine times.
    """
    operations = space(menu.extent, menu.bins, height, width)
    choices = [operations[name] for name in menu.names]
    table = np.stack([one.amounts for one in choices])

    @tf.function(autograph=False)
    def apply(images: tf.Tensor, choice: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
        amounts = tf.gather_nd(tf.constant(table), places)
        return each_its_own(images, [one.apply for one in choices], choice, amounts)

    return apply


def _check_images(images: tf.Tensor) -> None:
    if images.dtype != tf.uint8:
        raise UsageError(
            f"RandAugment, TrivialAugment, AutoAugment and AugMix take uint8 images; received {images.dtype}"
        )


@dataclass(frozen=True)
class RandAugment:
    """Several operations in a row, each drawn uniformly from fourteen, all of one magnitude (Cubuk et al., 2019).

    Args:
        layers: The number of operations in a row, at least 1; the paper's N.
        magnitude: 0–30; the paper's M, which is 9 for ResNet-50 on ImageNet. On a scale of 0–10, as in timm's `m7`,
            multiply by three.

    Raises:
        UsageError: An argument is out of range.
    """

    layers: int = 2
    magnitude: int = 9

    def __post_init__(self) -> None:
        keep_checked(self, layers=COUNT, magnitude=MAGNITUDE)

    def __call__(self, images: tf.Tensor, random: SampleRandom) -> tf.Tensor:
        """Args and Returns: as `Policy`."""
        _check_images(images)
        menu = Menu(CLASSIC, 31, RAND_AUGMENT)
        for layer in range(self.layers):
            drawn = random.within(f"randaugment {layer}")
            choice = drawn.integer("operation", 0, len(menu.names) - 1)
            images = _apply(images, menu, choice, tf.fill(tf.shape(choice), self.magnitude), drawn)
        return images


@dataclass(frozen=True)
class TrivialAugment:
    """One operation of fourteen, with a magnitude drawn uniformly from a wide range (Müller & Hutter, 2021)."""

    def __call__(self, images: tf.Tensor, random: SampleRandom) -> tf.Tensor:
        """Args and Returns: as `Policy`."""
        _check_images(images)
        menu = Menu(WIDE, 31, RAND_AUGMENT)
        drawn = random.within("trivialaugment")
        choice = drawn.integer("operation", 0, len(menu.names) - 1)
        return _apply(images, menu, choice, drawn.integer("magnitude", 0, 30), drawn)


@dataclass(frozen=True)
class AutoAugment:
    """One of 25 learnt pairs of operations, each applied with a probability of its own (Cubuk et al., 2018).

    Args:
        learnt_on: `cifar10` or `imagenet`.

    Raises:
        UsageError: There is no such policy.
    """

    learnt_on: str = "imagenet"

    def __post_init__(self) -> None:
        if self.learnt_on not in AUTOAUGMENT:
            raise UsageError(
                f"AutoAugment policies are learnt on {', '.join(AUTOAUGMENT)}; received {self.learnt_on!r}"
            )

    def __call__(self, images: tf.Tensor, random: SampleRandom) -> tf.Tensor:
        """Args and Returns: as `Policy`."""
        _check_images(images)
        menu = Menu(CLASSIC, 10, ALL)
        policy = random.integer("autoaugment", 0, 24)
        for place in range(2):
            drawn = random.within(f"autoaugment {place}")
            rows = [pair[place] for pair in AUTOAUGMENT[self.learnt_on]]
            choice = tf.gather(tf.constant([ALL.index(name) for name, _, _ in rows]), policy)
            done = drawn.event("done", tf.gather(tf.constant([share for _, share, _ in rows], tf.float32), policy))
            choice = tf.where(done, choice, ALL.index("Identity"))
            images = _apply(images, menu, choice, tf.gather(tf.constant([m for _, _, m in rows]), policy), drawn)
        return images


@dataclass(frozen=True)
class AugMix:
    """Each image mixed with the results of three chains of one to three mild operations (Hendrycks et al., 2019).

    The weights of the chains are drawn from a flat Dirichlet distribution, the weight of the original image from a
    flat Beta distribution. (The paper's loss for consistency between views is not part of this.)

    Args:
        severity: The highest magnitude, 1–10.
        width: The number of chains, at least 1.

    Raises:
        UsageError: An argument is out of range.
    """

    severity: int = 3
    width: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.severity <= 10 or self.width < 1:
            raise UsageError(
                f"AugMix takes a severity of 1–10 and a width of at least 1; received {self.severity}, {self.width}"
            )

    def __call__(self, images: tf.Tensor, random: SampleRandom) -> tf.Tensor:
        """Args and Returns: as `Policy`."""
        _check_images(images)
        menu = Menu(AUGMIX, 10, (*AUG_MIX, "Identity"))
        # Exponential variates divided by their sum have a flat Dirichlet distribution.
        uniform = [random.uniform(f"augmix weight {chain}") for chain in range(self.width)]
        weights = [-in_whole_packets(tf.math.log, 1.0 - one) for one in uniform]
        share = random.uniform("augmix share") / tf.add_n(weights)
        parts = [tf.cast(tf.round(share * one * WHOLE), tf.int32) for one in weights]
        mixed = _weighted(images, WHOLE - tf.add_n(parts))
        for chain in range(self.width):
            result, depth = images, random.integer(f"augmix depth {chain}", 1, 3)
            for link in range(3):
                drawn = random.within(f"augmix {chain} {link}")
                choice = tf.where(link < depth, drawn.integer("operation", 0, len(AUG_MIX) - 1), len(AUG_MIX))
                result = _apply(result, menu, choice, drawn.integer("magnitude", 0, self.severity - 1), drawn)
            mixed += _weighted(result, parts[chain])
        rounded = tf.bitwise.right_shift(mixed + WHOLE // 2, 16)
        return tf.cast(tf.clip_by_value(rounded, 0, 255), tf.uint8)


WHOLE = 1 << 16
"""AugMix's weights are whole numbers with this sum: TensorFlow adds floats in another order in a graph than outside,
and a value half-way between two levels would be rounded otherwise there."""


def _weighted(images: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """uint8 images times int32 (batch,) weights, as int32."""
    return weights[:, None, None, None] * tf.cast(images, tf.int32)
