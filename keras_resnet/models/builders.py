"""The functions that build the networks of the table: `ResNet50(num_classes=10)`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Protocol, cast

from keras_resnet.errors import UsageError
from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.models.variants import VARIANTS, Variant
from keras_resnet.models.words import understood

if TYPE_CHECKING:
    import keras


class Builder(Protocol):
    """A function that builds one named network. It takes the arguments of `build` without `spec`."""

    spec: ResNetSpec
    __name__: str

    def __call__(self, num_classes: int = 1000, **options: Any) -> keras.Model: ...


def _builder(variant: Variant) -> Builder:
    signature = inspect.signature(build)
    parameters = list(signature.parameters.values())[1:]
    words = [parameter.name for parameter in parameters]

    def builder(*numbers: int, **options: Any) -> keras.Model:
        if len(numbers) > 1 or any(isinstance(number, bool) for number in numbers):
            received = ", ".join(map(repr, numbers))
            raise UsageError(
                f"{variant.public_name} takes the number of classes alone without its name, as in "
                f"{variant.public_name}(10, weights='imagenet'); received {received}: name them, or take "
                "keras.applications' order of arguments from keras_resnet.applications"
            )
        return build(variant.spec, *numbers, **understood(variant.public_name, options, words, words[: len(numbers)]))

    arguments = str(inspect.getdoc(build)).split("Args:\n", 1)[1].split("\n", 1)[1]  # all but `spec`
    described = {
        "__name__": variant.public_name,
        "__qualname__": variant.public_name,
        "__doc__": f"{variant.summary}\n\n{variant.spec.paper}\n\nArgs:\n{arguments}",
        "__signature__": signature.replace(parameters=parameters),
        "spec": variant.spec,
    }
    for attribute, value in described.items():
        setattr(builder, attribute, value)
    return cast(Builder, builder)


BUILDERS: dict[str, Builder] = {variant.public_name: _builder(variant) for variant in VARIANTS.values()}


def __getattr__(name: str) -> Builder:
    """Each network by its public name, as a function of this module."""
    if name not in BUILDERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return BUILDERS[name]
