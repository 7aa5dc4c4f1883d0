"""The tables of the automatic policies against values typed from where they were published, operation by operation."""

from collections.abc import Callable

import numpy as np
import pytest

from keras_resnet.augment import automatic
from keras_resnet.augment.automatic import AugMix, Extent, RandAugment, space
from keras_resnet.augment.policy_tables import AUTOAUGMENT

# Cubuk et al., "RandAugment", 2019, https://arxiv.org/abs/1909.13719, section 3 and table 6; amounts at the lowest, the
# middle and the highest of 31 magnitudes on images of 224 × 331 as in torchvision's transforms/autoaugment.py,
# RandAugment._augmentation_space.
RANDAUGMENT = {
    "Identity": (0, 0, 0), "ShearX": (0, 0.15, 0.3), "ShearY": (0, 0.15, 0.3), "TranslateX": (0, 75, 150),
    "TranslateY": (0, 50.755287, 101.510574), "Rotate": (0, 15, 30), "Brightness": (0, 0.45, 0.9),
    "Color": (0, 0.45, 0.9), "Contrast": (0, 0.45, 0.9), "Sharpness": (0, 0.45, 0.9), "Posterize": (8, 6, 4),
    "Solarize": (255, 127.5, 0), "AutoContrast": (0, 0, 0), "Equalize": (0, 0, 0),
}  # fmt: skip
# Müller & Hutter, "TrivialAugment", 2021, https://arxiv.org/abs/2103.10158, table 1, "wide"; as in torchvision's
# TrivialAugmentWide._augmentation_space.
TRIVIALAUGMENT = {
    "Identity": (0, 0, 0), "ShearX": (0, 0.495, 0.99), "ShearY": (0, 0.495, 0.99), "TranslateX": (0, 16, 32),
    "TranslateY": (0, 16, 32), "Rotate": (0, 67.5, 135), "Brightness": (0, 0.495, 0.99), "Color": (0, 0.495, 0.99),
    "Contrast": (0, 0.495, 0.99), "Sharpness": (0, 0.495, 0.99), "Posterize": (8, 5, 2), "Solarize": (255, 127.5, 0),
    "AutoContrast": (0, 0, 0), "Equalize": (0, 0, 0),
}  # fmt: skip
# Hendrycks et al., "AugMix", 2019, https://arxiv.org/abs/1912.02781; amounts at the lowest, the fourth and the highest
# of 10 magnitudes on images of 30 × 60 as in torchvision's AugMix._augmentation_space with all_ops. The authors' code
# (github.com/google-research/augmix, augmentations.py) draws from the same ranges, without steps.
AUGMIX = {
    "ShearX": (0, 0.1, 0.3), "ShearY": (0, 0.1, 0.3), "TranslateX": (0, 6.666667, 20),
    "TranslateY": (0, 3.333333, 10), "Rotate": (0, 10, 30), "Brightness": (0, 0.3, 0.9), "Color": (0, 0.3, 0.9),
    "Contrast": (0, 0.3, 0.9), "Sharpness": (0, 0.3, 0.9), "Posterize": (4, 3, 0), "Solarize": (255, 170, 0),
    "AutoContrast": (0, 0, 0), "Equalize": (0, 0, 0),
}  # fmt: skip
SIGNED = {
    "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast", "Sharpness",
}  # fmt: skip

# Bits that Posterize keeps at each magnitude, by torchvision's formulas.
POSTERIZE = {
    "RandAugment, 31 magnitudes": (
        automatic.CLASSIC, 31,
        "8 8 8 8 7 7 7 7 7 7 7 7 6 6 6 6 6 6 6 5 5 5 5 5 5 5 5 4 4 4 4",
    ),
    "TrivialAugment, 31 magnitudes": (
        automatic.WIDE, 31,
        "8 8 8 7 7 7 7 7 6 6 6 6 6 5 5 5 5 5 4 4 4 4 4 3 3 3 3 3 2 2 2",
    ),
    "AutoAugment, 10 magnitudes": (automatic.CLASSIC, 10, "8 8 7 7 6 6 5 5 4 4"),
    "AugMix, 10 magnitudes": (automatic.AUGMIX, 10, "4 4 3 3 2 2 1 1 0 0"),
}  # fmt: skip

# Cubuk et al., "AutoAugment", 2018, https://arxiv.org/abs/1805.09501, table 7; as torchvision has it in
# AutoAugment._get_policies, "-" for operations whose magnitude plays no part.
CIFAR10 = """
Invert 0.1 -        Contrast 0.2 6
Rotate 0.7 2        TranslateX 0.3 9
Sharpness 0.8 1     Sharpness 0.9 3
ShearY 0.5 8        TranslateY 0.7 9
AutoContrast 0.5 -  Equalize 0.9 -
ShearY 0.2 7        Posterize 0.3 7
Color 0.4 3         Brightness 0.6 7
Sharpness 0.3 9     Brightness 0.7 9
Equalize 0.6 -      Equalize 0.5 -
Contrast 0.6 7      Sharpness 0.6 5
Color 0.7 7         TranslateX 0.5 8
Equalize 0.3 -      AutoContrast 0.4 -
TranslateY 0.4 3    Sharpness 0.2 6
Brightness 0.9 6    Color 0.2 8
Solarize 0.5 2      Invert 0.0 -
Equalize 0.2 -      AutoContrast 0.6 -
Equalize 0.2 -      Equalize 0.6 -
Color 0.9 9         Equalize 0.6 -
AutoContrast 0.8 -  Solarize 0.2 8
Brightness 0.1 3    Color 0.7 0
Solarize 0.4 5      AutoContrast 0.9 -
TranslateY 0.9 9    TranslateY 0.7 9
AutoContrast 0.9 -  Solarize 0.8 3
Equalize 0.8 -      Invert 0.1 -
TranslateY 0.7 9    AutoContrast 0.9 -
"""
# The same paper's policy for ImageNet, as torchvision has it there.
IMAGENET = """
Posterize 0.4 8     Rotate 0.6 9
Solarize 0.6 5      AutoContrast 0.6 -
Equalize 0.8 -      Equalize 0.6 -
Posterize 0.6 7     Posterize 0.6 6
Equalize 0.4 -      Solarize 0.2 4
Equalize 0.4 -      Rotate 0.8 8
Solarize 0.6 3      Equalize 0.6 -
Posterize 0.8 5     Equalize 1.0 -
Rotate 0.2 3        Solarize 0.6 8
Equalize 0.6 -      Posterize 0.4 6
Rotate 0.8 8        Color 0.4 0
Rotate 0.4 9        Equalize 0.6 -
Equalize 0.0 -      Equalize 0.8 -
Invert 0.6 -        Equalize 1.0 -
Color 0.6 4         Contrast 1.0 8
Rotate 0.8 8        Color 1.0 2
Color 0.8 8         Solarize 0.8 7
Sharpness 0.4 7     Invert 0.6 -
ShearX 0.6 5        Equalize 1.0 -
Color 0.4 0         Equalize 0.6 -
Equalize 0.4 -      Solarize 0.2 4
Solarize 0.6 5      AutoContrast 0.6 -
Invert 0.6 -        Equalize 1.0 -
Color 0.6 4         Contrast 1.0 8
Equalize 0.8 -      Equalize 0.6 -
"""
WITHOUT_MAGNITUDE = {"AutoContrast", "Equalize", "Invert"}


@pytest.mark.parametrize(
    ("extent", "names", "bins", "size", "places", "published"),
    [
        (automatic.CLASSIC, automatic.RAND_AUGMENT, 31, (224, 331), (0, 15, 30), RANDAUGMENT),
        (automatic.WIDE, automatic.RAND_AUGMENT, 31, (224, 331), (0, 15, 30), TRIVIALAUGMENT),
        (automatic.AUGMIX, automatic.AUG_MIX, 10, (30, 60), (0, 3, 9), AUGMIX),
    ],
    ids=["randaugment", "trivialaugment", "augmix"],
)
def test_operations_amounts_and_signs_are_the_published_ones(
    extent: Extent,
    names: tuple[str, ...],
    bins: int,
    size: tuple[int, int],
    places: tuple[int, ...],
    published: dict[str, tuple[float, ...]],
) -> None:
    choices = space(extent, bins, *size)

    assert set(names) == set(published), "each as often as the others, so that their order plays no part"
    assert len(names) == len(published)
    for name, amounts in published.items():
        assert len(choices[name].levels) == bins
        np.testing.assert_allclose(choices[name].levels[list(places)], amounts, rtol=1e-6, err_msg=name)
        assert choices[name].signed == (name in SIGNED), name
        steps = np.diff(choices[name].levels)
        if name != "Posterize":
            np.testing.assert_allclose(steps, steps[0], atol=1e-9, err_msg=f"{name}: equal steps")


@pytest.mark.parametrize(("extent", "bins", "kept"), POSTERIZE.values(), ids=POSTERIZE)
def test_posterize_keeps_the_published_bits_at_every_magnitude(extent: Extent, bins: int, kept: str) -> None:
    assert space(extent, bins, 32, 32)["Posterize"].levels.tolist() == [float(word) for word in kept.split()]


@pytest.mark.parametrize(("learnt_on", "published"), [("cifar10", CIFAR10), ("imagenet", IMAGENET)])
def test_the_learnt_policies_are_the_published_ones_row_by_row(learnt_on: str, published: str) -> None:
    def step(name: str, probability: str, magnitude: str) -> tuple[str, float, int]:
        return name, float(probability), 0 if name in WITHOUT_MAGNITUDE else int(magnitude)

    rows = [line.split() for line in published.strip().splitlines()]

    assert len(rows) == 25
    assert AUTOAUGMENT[learnt_on] == tuple((step(*row[:3]), step(*row[3:])) for row in rows)


@pytest.mark.parametrize(
    ("policy", "published"),
    [
        (RandAugment(), {"layers": 2, "magnitude": 9}),  # the paper's for ResNet-50 on ImageNet; torchvision's
        (AugMix(), {"severity": 3, "width": 3}),  # the paper's; torchvision's
    ],
)
def test_what_is_usual_is_what_the_papers_used(policy: Callable[..., object], published: dict[str, int]) -> None:
    assert vars(policy) == published
