"""A row of the table of networks becomes a function that builds it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Protocol, cast

from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec

if TYPE_CHECKING:
    import keras


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
