"""The recipes that there are, each with its source and the accuracy to expect.

Accuracies are those of the literature where they name it, and say nothing about other data. Weight decays are
PyTorch's, as in the papers.
"""

from __future__ import annotations

from functools import partial

from keras_resnet.errors import UsageError, listed, nearest
from keras_resnet.training.recipe import Recipe

AKAMASTER = "He et al., 2015, https://arxiv.org/abs/1512.03385; steps as github.com/akamaster/pytorch_resnet_cifar10"

# As He et al. train: the learning rate of 0.1 falls in steps.
stepped = partial(Recipe, schedule="multistep", warmup_epochs=0, nesterov=False)
cifar10 = partial(Recipe, data="tfds:cifar10", batch_size=128, epochs=200)
imagenet = partial(
    Recipe, model="resnet50", data="tfds:imagenet2012", image_size=224, augment="resized-crop-flip", warmup_epochs=5
)
# From trained weights to other images: a linear probe, then all layers at low rates.
finetuned = partial(
    Recipe,
    weights="imagenet",
    epochs=20,
    batch_size=32,
    image_size=224,
    crop_fraction=0.875,
    probe="auto",
    freeze_batchnorm=True,
    learning_rate=0.01,
    clip="norm",
    label_smoothing=0.1,
    augment="resized-crop-flip",
    crop_scale=0.25,
    source="first a linear probe, as Kumar et al., Fine-Tuning can Distort Pretrained Features, 2022, "
    "https://arxiv.org/abs/2202.10054; then this rate for all layers, as measured here: docs/log.md",
)
# What the three procedures of Wightman et al. have in common.
strikes_back = partial(
    imagenet,
    batch_size=2048,
    crop_fraction=0.95,
    optimizer="lamb",
    learning_rate=5e-3,
    loss="binary",
    target_threshold=0.2,
    automatic="randaugment",
    cutmix=1.0,
    clip="norm",  # as timm's LAMB does by default
    source="Wightman et al., ResNet strikes back, 2021, https://arxiv.org/abs/2110.00476; the threshold of labels as "
    "in timm's command for A2 (--bce-target-thresh 0.2)",
)

RECIPES = {
    "digits": Recipe(
        model="resnet8",
        data="digits",
        epochs=30,
        batch_size=64,
        warmup_epochs=3,
        weight_decay=5e-4,
        label_smoothing=0.1,
        augment="shift",
        expected="99.0 % (97.8–99.7 % over six seeds)",
        source="measured here: docs/log.md",
    ),
    "folder": Recipe(
        model="resnet20",
        epochs=30,
        batch_size=32,
        learning_rate=0.05,
        warmup_epochs=3,
        label_smoothing=0.1,
        jitter=0.4,
        expected="depends on the images",
        source="this package's default for your own images: docs/log.md",
    ),
    "finetune": finetuned(
        model="resnet50",
        expected="depends on the images",
    ),
    "finetune-small": finetuned(
        model="resnet18",
        expected="depends on the images; not run here",
    ),
    "cifar10-resnet20": stepped(
        model="resnet20",
        data="tfds:cifar10",
        epochs=200,
        batch_size=128,
        milestones=(100, 150),
        expected="91.25 % (the paper's; akamaster's PyTorch 91.73 %; not run here)",
        source=AKAMASTER,
    ),
    "cifar10-resnet56": stepped(
        model="resnet56",
        data="tfds:cifar10",
        epochs=200,
        batch_size=128,
        milestones=(100, 150),
        expected="93.03 % (the paper's; akamaster's PyTorch 93.39 %; not run here)",
        source=AKAMASTER,
    ),
    "cifar10-resnet18": cifar10(
        model="resnet18",
        weight_decay=5e-4,
        warmup_epochs=5,
        label_smoothing=0.1,
        cutout=0.5,
        ema=0.999,
        tta="flip",
        expected="about 95 % without cutout, smoothing, moving average and flips (mmpretrain 94.82 %); these aim at "
        "96 %; not run here",
        source="mmpretrain's resnet18_8xb16_cifar10; DeVries & Taylor, Cutout, 2017, https://arxiv.org/abs/1708.04552",
    ),
    "quick-reference-cifar10": Recipe(
        model="resnet18",
        data="tfds:cifar10",
        image_size=32,
        epochs=100,
        batch_size=128,
        schedule="step",
        decay_every=30,
        warmup_epochs=0,
        nesterov=False,
        weight_decay=5e-4,
        decayed="all",
        pixel_mean=(0.4914, 0.4822, 0.4465),
        pixel_std=(0.2023, 0.1994, 0.2010),
        expected="none is published for exactly this; not run here to its end",
        source="the usual example of ResNet-18 on CIFAR-10 in PyTorch, as a quick reference has it: network, "
        "augmentation and normalisation of github.com/kuangliu/pytorch-cifar, with StepLR(30). A tenth of the training "
        "images choose the epoch, and weights begin as He et al., 2015, have them: docs/training.md",
    ),
    "cifar10-wrn28-10": cifar10(
        model="wrn28_10",
        schedule="multistep",
        milestones=(60, 120, 160),
        decay_factor=0.2,
        warmup_epochs=0,
        weight_decay=5e-4,
        dropout=0.3,
        expected="96.0 % (the paper's; not run here)",
        source="Zagoruyko & Komodakis, 2016, https://arxiv.org/abs/1605.07146",
    ),
    "cifar10-fast": Recipe(
        model="wrn10_2",
        data="tfds:cifar10",
        epochs=10,
        batch_size=512,
        schedule="one-cycle",
        learning_rate=0.4,
        warmup_epochs=2,  # the rising part of the cycle
        weight_decay=5e-4,
        label_smoothing=0.2,
        tta="flip",
        expected="80.8–81.0 % here, on images that went through JPEG, where the published ResNet-20 has 81.03 %",
        source="ten epochs, one cycle and smoothing of Page, How to Train Your ResNet, 2018, and Jordan, airbench, "
        "2024, https://arxiv.org/abs/2404.00498, with a small wide network for a CPU",
    ),
    "mlperf-tiny-resnet8": Recipe(
        model="resnet8",
        data="tfds:cifar10",
        epochs=500,
        batch_size=32,
        optimizer="adam",
        learning_rate=1e-3,
        schedule="step",
        decay_every=1,
        decay_factor=0.99,
        warmup_epochs=0,
        weight_decay=0,
        expected="at least 85 % (the benchmark's target; not run here)",
        source="Banbury et al., MLPerf Tiny, 2021, https://arxiv.org/abs/2106.07597; as its reference trains, without "
        "the penalty on weights and rotations",
    ),
    "imagenet-classic": imagenet(
        epochs=90,
        batch_size=256,
        crop_fraction=0.875,
        schedule="multistep",
        milestones=(30, 60, 80),
        nesterov=False,
        expected="76.1 % top-1 (torchvision's ResNet-50; not run here)",
        source="He et al., 2015, with the warm-up and steps of Goyal et al., 2017, https://arxiv.org/abs/1706.02677: a "
        "rate of 0.1 for each 256 images of a batch",
    ),
    "imagenet-a1": strikes_back(
        epochs=600,
        weight_decay=0.01,
        magnitude=7,
        mixup=0.2,
        stochastic_depth=0.05,
        repeats=3,
        label_smoothing=0.1,
        expected="80.4 % top-1 (the paper's; not run here)",
    ),
    "imagenet-a2": strikes_back(
        epochs=300,
        weight_decay=0.02,
        magnitude=7,
        mixup=0.1,
        stochastic_depth=0.05,
        repeats=3,
        expected="79.8 % top-1 (the paper's; not run here)",
    ),
    "imagenet-a3": strikes_back(
        epochs=100,
        learning_rate=8e-3,
        weight_decay=0.02,
        train_sizes=(160,),
        magnitude=6,
        mixup=0.1,
        expected="78.1 % top-1 (the paper's; not run here)",
    ),
    "imagenet-tv2": imagenet(
        epochs=600,
        batch_size=1024,
        train_sizes=(176,),
        crop_fraction=224 / 232,
        learning_rate=0.5,
        warmup_from=0.01,
        nesterov=False,
        weight_decay=2e-5,
        label_smoothing=0.1,
        automatic="trivialaugment",
        erasing=0.1,
        mixup=0.2,
        cutmix=1.0,
        repeats=4,
        ema=0.99997,
        expected="80.86 % top-1 (torchvision's weights V2; not run here)",
        source="Vryniotis, How to Train State-Of-The-Art Models Using TorchVision's Latest Primitives, 2021, "
        "https://pytorch.org/blog/how-to-train-state-of-the-art-models-using-torchvision-latest-primitives",
    ),
}
# The recipe for each kind of source if none is named.
DEFAULTS = {"digits": "digits", "folder": "folder", "csv": "folder", "jsonl": "folder", "tfds": "cifar10-resnet20"}


def recipe(name: str) -> Recipe:
    """A recipe by name.

    Raises:
        UsageError: There is none of this name; the message gives the nearest one.
    """
    if name not in RECIPES:
        near = nearest(name, RECIPES)
        hint = f"did you mean {near!r}?" if near else f"known are {listed(RECIPES, most=100)}"
        raise UsageError(f"there is no recipe {name!r}; {hint}")
    return RECIPES[name]


def recipe_for(kind: str) -> Recipe:
    """The default recipe for a kind of data source: `digits`, `folder`, `csv`, `jsonl` or `tfds`."""
    return RECIPES[DEFAULTS[kind]]
