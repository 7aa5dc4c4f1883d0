"""The table of networks. One row is the whole declaration and is itself the public builder."""

from __future__ import annotations

import difflib
import fnmatch
import inspect
import math
from typing import Any, Protocol, cast

import keras

from keras_resnet.errors import UsageError, listed
from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec

HE_2015 = 'He et al., "Deep Residual Learning for Image Recognition", 2015, https://arxiv.org/abs/1512.03385'
BANBURY_2021 = 'Banbury et al., "MLPerf Tiny Benchmark", 2021, https://arxiv.org/abs/2106.07597'


class Builder(Protocol):
    """A function that builds one named network; its arguments are those of `build` but the first."""

    spec: ResNetSpec
    __name__: str

    def __call__(self, num_classes: int = 1000, **options: Any) -> keras.Model: ...


VARIANTS: dict[str, Builder] = {}


def variant(public_name: str, summary: str, **row: Any) -> Builder:
    """Declare a network: register its spec and return its builder, a function named `public_name`."""
    spec = ResNetSpec(name=public_name.lower(), **row)

    def builder(num_classes: int = 1000, **options: Any) -> keras.Model:
        return build(spec, num_classes, **options)

    signature = inspect.signature(build)
    parameters = list(signature.parameters.values())[1:]
    arguments = str(inspect.getdoc(build)).split("Args:\n", 1)[1].split("\n", 1)[1]  # all but `spec`
    described = {
        "__name__": public_name,
        "__qualname__": public_name,
        "__doc__": f"{summary}\n\n{spec.paper}\n\nArgs:\n{arguments}",
        "__signature__": signature.replace(parameters=parameters),
        "spec": spec,
    }
    for attribute, value in described.items():
        setattr(builder, attribute, value)
    VARIANTS[spec.name] = cast(Builder, builder)
    return VARIANTS[spec.name]


def _imagenet(depth: int, block: str, depths: tuple[int, ...], expansion: int) -> Builder:
    widths = tuple(width * expansion for width in (64, 128, 256, 512))
    summary = f"ResNet-{depth} of {block} blocks; bottlenecks stride in the 3×3 convolution (v1.5)."
    return variant(f"ResNet{depth}", summary, block=block, depths=depths, widths=widths, paper=HE_2015)


def _cifar(depth: int, *, shortcut: str = "identity_pad", paper: str = HE_2015) -> Builder:
    blocks = (depth - 2) // 6
    return variant(
        f"ResNet{depth}",
        f"ResNet-{depth} for 32×32 images: three stages of {blocks} basic block{'s' * (blocks > 1)}, "
        f"16, 32 and 64 channels, {shortcut} shortcuts.",
        block="basic",
        depths=(blocks,) * 3,
        widths=(16, 32, 64),
        stem="cifar",
        stem_width=16,
        shortcut=shortcut,
        input_size=32,
        paper=paper,
    )


ResNet18 = _imagenet(18, "basic", (2, 2, 2, 2), 1)
ResNet34 = _imagenet(34, "basic", (3, 4, 6, 3), 1)
ResNet50 = _imagenet(50, "bottleneck", (3, 4, 6, 3), 4)
ResNet101 = _imagenet(101, "bottleneck", (3, 4, 23, 3), 4)
ResNet152 = _imagenet(152, "bottleneck", (3, 8, 36, 3), 4)

# He et al. pad the shortcuts of their CIFAR networks (option A); MLPerf Tiny's ResNet-8 projects.
ResNet8 = _cifar(8, shortcut="projection", paper=BANBURY_2021)
ResNet20 = _cifar(20)
ResNet32 = _cifar(32)
ResNet44 = _cifar(44)
ResNet56 = _cifar(56)
ResNet110 = _cifar(110)


def list_models(pattern: str = "*") -> list[str]:
    """Names of the networks that match a shell pattern, in the order of the table."""
    return [name for name in VARIANTS if fnmatch.fnmatch(name, pattern.lower())]


def spec(name: str) -> ResNetSpec:
    """The spec of a named network.

    Raises:
        UsageError: (a ValueError) No network has this name; the message gives the nearest one.
    """
    key = name.lower().replace("-", "").replace("_", "")
    if key not in VARIANTS:
        near = difflib.get_close_matches(key, VARIANTS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(f"there is no network called {name!r}: {hint}known are {listed(VARIANTS, most=40)}")
    return VARIANTS[key].spec


def trainable_parameters(model: keras.Model) -> int:
    """How many numbers training changes: all weights but batch normalisation's moving statistics."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)
