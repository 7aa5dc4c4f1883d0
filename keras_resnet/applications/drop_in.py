"""How a function of `keras.applications` is made of a network of this package.

The network is Keras's in every number: its biases, its constants of normalisation, its initial values, the order of its
weights. So weights go from one to the other, whichever way. Layers have this package's names, by which the rest of the
package finds its way in a network.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from keras_resnet.errors import ModelError, UsageError
from keras_resnet.layer_names import HEAD
from keras_resnet.models.assembly import check_classes, classifier, features
from keras_resnet.models.feature_info import FeatureInfo
from keras_resnet.models.inputs import Shape, model_on, refuse_channels_first, shape_of
from keras_resnet.models.layers import KerasLayers
from keras_resnet.models.resnet import POOLINGS, check_input
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.models.variants import VARIANTS
from keras_resnet.models.words import answering_other_words
from keras_resnet.weights.loading import OtherNetworkError, load_weights
from keras_resnet.weights.naming import KERAS_APPLICATIONS
from keras_resnet.weights.pretrained import fetch

if TYPE_CHECKING:
    import keras

Activation = Any
"""Keras's name of one, a function, or None."""

ARGUMENTS = """
Args:
    include_top: Whether it ends in the classifier.
    weights: `"imagenet"`, None for random initial weights, or a file: one that `keras.applications` or a model of it
        wrote, or any that `keras_resnet.build` takes. The first kernel is taken as it is: the network reads what the
        file's did.
    input_tensor: A tensor of Keras's functional API that it reads instead of an input of its own.
    input_shape: Height, width, channels, channels last; height and width at least 32 or None. Default: (224, 224, 3);
        without the top (None, None, 3).
    pooling: Without the top: None, `"avg"` or `"max"` over all positions.
    classes: Outputs of the classifier; 1,000 for `weights="imagenet"`.
    classifier_activation: A Keras activation or None for logits; with weights `"softmax"` or None.
    name: The Keras model's name.

Returns:
    A `keras.Model` from (batch, height, width, channels), prepared by `preprocess_input` of the same module.

Raises:
    UsageError: (a ValueError) An argument is out of range, or Keras is set to channels first.
    ModelError: (a ValueError) The weights cannot be had or do not fit.
"""


class DropIn(Protocol):
    """A function of `keras.applications`."""

    __name__: str

    def __call__(
        self,
        include_top: bool = True,
        weights: Literal["imagenet"] | str | os.PathLike[str] | None = "imagenet",
        input_tensor: keras.KerasTensor | None = None,
        input_shape: Shape | None = None,
        pooling: Literal["avg", "max"] | None = None,
        classes: int = 1000,
        classifier_activation: Activation = "softmax",
        name: str = ...,
    ) -> keras.Model: ...


@dataclass(frozen=True)
class _Layers(KerasLayers):
    """Keras's own constants, and a classifier of one layer, so that the layer before the last gives its input."""

    activation: Activation = None

    def norm(self, x: Any, *, last: bool = False, name: str) -> Any:
        import keras

        from keras_resnet.models.kernels import use_fused_kernel

        layer = keras.layers.BatchNormalization(axis=-1, epsilon=KERAS_APPLICATIONS.epsilon, name=name)
        return use_fused_kernel(layer)(x)

    def dense(self, x: Any, units: int, *, name: str) -> Any:
        import keras

        initializer = self.kernel_initializer(name)
        layer = keras.layers.Dense(
            units, activation=self.activation, kernel_initializer=initializer, dtype="float32", name=name
        )
        return layer(x)

    def kernel_initializer(self, name: str) -> Any:
        import keras

        return keras.initializers.GlorotUniform(self.seed_for(name))


def drop_in(called: str, row: str) -> DropIn:
    """A function that `keras.applications` has, for one of our networks.

    Args:
        called: Its name there.
        row: The network's in the table.
    """
    published = VARIANTS[row].spec
    spec = replace(published, stem="imagenet", bias="all" if published.bias == "none" else published.bias)

    def builder(
        include_top: bool = True,
        weights: Literal["imagenet"] | str | os.PathLike[str] | None = "imagenet",
        input_tensor: keras.KerasTensor | None = None,
        input_shape: Shape | None = None,
        pooling: Literal["avg", "max"] | None = None,
        classes: int = 1000,
        classifier_activation: Activation = "softmax",
        name: str = called.lower(),
    ) -> keras.Model:
        if not isinstance(include_top, bool):
            raise UsageError(
                f"{called} begins with include_top, as in keras.applications, True or False; received {include_top!r}. "
                f"For a number of classes write {called}(weights=None, classes=10)"
            )
        if pooling is not None and pooling not in POOLINGS:
            raise UsageError(f"pooling must be None, 'avg' or 'max'; received {pooling!r}")
        shape = _shape(spec, include_top, weights, input_tensor, input_shape)
        if include_top:
            _check_top(weights, classes, classifier_activation)
        path = _file(row, weights, include_top)
        refuse_channels_first()
        make = _Layers(bias=spec.bias, padding=spec.padding, activation=classifier_activation)

        def network(x: Any) -> tuple[Any, FeatureInfo]:
            x, info = features(x, spec, "imagenet", make)
            if include_top:
                x = classifier(x, classes, 0.0, make)
            elif pooling is not None:
                x = make.global_pool(x, pooling, name=HEAD.layer("pool"))
            return x, info

        def fill(model: keras.Model) -> None:
            assert path is not None
            try:
                load_weights(model, path, as_trained=True)
            except OtherNetworkError as error:
                raise ModelError(
                    f"{error}. keras_resnet.{VARIANTS[row].public_name} has head and adapt_input"
                ) from None

        return model_on(input_tensor, shape, network, name, None if path is None else fill)

    builder.__name__ = builder.__qualname__ = called
    builder.__module__ = __package__  # where it is found by its name, as by pickle
    builder.__doc__ = f"`keras.applications.{called}`: {VARIANTS[row].summary}\n{ARGUMENTS}"
    return cast(DropIn, answering_other_words(builder))


def _shape(
    spec: ResNetSpec, include_top: bool, weights: object, tensor: keras.KerasTensor | None, shape: Shape | None
) -> Shape:
    if shape is not None:
        check_input(spec, shape)
    if tensor is not None:
        shape = shape_of(tensor, shape)
        check_input(spec, shape)
    shape = shape or ((spec.input_size, spec.input_size, 3) if include_top else (None, None, 3))
    if weights == "imagenet" and shape[2] != 3:
        raise UsageError(f"the weights 'imagenet' read 3 channels; received input of shape {shape}: give weights=None")
    return shape


def _check_top(weights: object, classes: int, activation: Activation) -> None:
    check_classes(classes)
    if weights == "imagenet" and classes != 1000:
        raise UsageError(
            f"the weights 'imagenet' are for classes=1000; received classes={classes}. For a classifier of your own "
            "give include_top=False, pooling='avg', and put keras.layers.Dense behind it"
        )
    if weights is not None and activation is not None:
        import keras

        known = keras.activations.get(activation)
        if known not in (keras.activations.softmax, keras.activations.linear):
            raise UsageError(
                "with weights, classifier_activation is 'softmax' or None, as they were trained; received "
                f"{activation!r}"
            )


def _file(row: str, weights: object, include_top: bool) -> Path | None:
    if weights is None:
        return None
    if weights == "imagenet":
        return fetch(row, "keras", include_top=include_top)
    if not isinstance(weights, str | os.PathLike) or not Path(weights).is_file():
        raise UsageError(f"weights must be None, 'imagenet' or the path of a file that exists; received {weights!r}")
    return Path(weights)
