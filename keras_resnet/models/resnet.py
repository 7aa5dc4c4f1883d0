"""From a spec to a functional Keras model."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from keras_resnet.errors import ModelError, UsageError, listed
from keras_resnet.layer_names import HEAD
from keras_resnet.models.assembly import check_classes, check_output_stride, classifier, features
from keras_resnet.models.feature_info import FeatureInfo
from keras_resnet.models.inputs import model_on, refuse_channels_first, shape_of
from keras_resnet.models.layers import KerasLayers
from keras_resnet.models.precision import Precision, computing_in
from keras_resnet.models.recognition import networks_of
from keras_resnet.models.spec import ResNetSpec, Shortcut, Stem
from keras_resnet.models.variants import VARIANTS, as_spec, true_name
from keras_resnet.models.words import answering_other_words
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.weights.files import check_there
from keras_resnet.weights.loading import OtherNetworkError, load_weights
from keras_resnet.weights.pixels import CONVENTIONS, Pixels, pixels_of
from keras_resnet.weights.pretrained import fetch, is_name

if TYPE_CHECKING:  # Keras and TensorFlow are imported when first a network is built
    import keras

Pooling = Literal["avg", "max"]
POOLINGS = ("avg", "max")


class _Unsaid(int):
    """A number that stands where none was given, so that it is known from the same number given."""


CLASSES = _Unsaid(1000)


@answering_other_words
def build(
    spec: ResNetSpec | str,
    num_classes: int = CLASSES,
    *,
    input_shape: tuple[int | None, int | None, int] | None = None,
    input_tensor: keras.KerasTensor | None = None,
    weights: str | os.PathLike[str] | None = None,
    head: Literal["load", "reset"] = "load",
    adapt_input: bool = False,
    include_top: bool = True,
    pooling: Pooling | None = None,
    classifier_activation: str | None = "softmax",
    stem: Stem | Literal["auto"] | None = None,
    shortcut: Shortcut | None = None,
    output_stride: Literal[8, 16, 32] | None = None,
    dropout: float = 0.0,
    stochastic_depth: float = 0.0,
    preprocessing: Preprocessing | Literal["weights"] | None = None,
    weights_preprocessing: str = "",
    precision: Precision | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> keras.Model:
    """Assemble a residual network as a functional Keras model.

    Args:
        spec: Which network: its name, `"resnet50"`, or what `keras_resnet.spec` makes of it.
        num_classes: Outputs of the classifier, at least 1; `classes` says the same. Where a `Preprocessing` is given
            it follows from that, and another number is refused.
        input_shape: Height, width, channels (channels last). Height and width may be None and at
            least the network's total stride. Default: the published size, RGB.
        input_tensor: A tensor of Keras's functional API, (batch, height, width, channels), that the network reads
            instead of an input of its own: an input, or what layers of yours make of one. Those layers are part of
            the model then.
        weights: None for random initial weights; a name: `"imagenet"`, `"timm/<tag>"`, `"keras"` (see
            `keras_resnet.list_weights`); or a file: `.safetensors`, `.weights.h5`, `.keras`, a
            PyTorch `.pth`, `.pt`, `.th` or `.bin`, or a Keras 2 `.h5`. Every tensor's name, shape and
            dtype must match, in this package's naming or that of torchvision, timm, Hugging Face
            transformers, akamaster's CIFAR networks, keras.applications or MLPerf Tiny.
        head: `"reset"` leaves the classifier at its initial values, whatever the weights hold.
        adapt_input: Fit the first convolution of RGB weights to another number of input channels:
            summed for 1, repeated and scaled for others.
        include_top: False leaves out the classifier: the output is the last stage's feature map,
            float (batch, height / stride, width / stride, channels), or what `pooling` makes of it.
        pooling: Without the top: None, `"avg"` or `"max"` over all positions.
        classifier_activation: `"softmax"` as in `keras.applications`, another Keras activation, or
            None for logits.
        stem: Overrides the spec's: `"imagenet"`, `"cifar"`, `"deep"`, `"deep_strided"` or `"auto"`
            (by input size).
        shortcut: Overrides the spec's: `"projection"`, `"plain_projection"`, `"avgpool_projection"`
            `"identity_pad"`, or `"none"`: a plain network.
        output_stride: 8, 16 or 32: by how much the last feature map is at most smaller than the input;
            strides beyond become dilations. None strides wherever the spec does.
        dropout: Rate in [0, 1) before the classifier; in wide residual networks between the
            convolutions of each block.
        stochastic_depth: Chance in [0, 1) that the last block's branch is left out of a training
            sample; in the blocks before, linearly less.
        preprocessing: If given, the model takes raw RGB pixels (0–255, any dtype that casts to float)
            and normalises them itself; `num_classes` follows from it, and `input_shape` where no input is given.
            `"weights"`: as the `weights` were trained, leaving `num_classes` and `input_shape`. The first kernel of
            weights that read blue, green, red, as Caffe's do, is turned then.
        weights_preprocessing: What pixels a file of weights needs, where the file cannot tell or tells it wrongly:
            `"caffe"`, `"imagenet"` (torchvision's), `"tf"` (-1 … 1), `"raw"` (0 … 255), or a file that says it: a model
            that this package wrote, a run's folder, a `preprocessing.json`. Together with `preprocessing`.
        precision: What the network computes in: `"float32"`, or `"bfloat16"` or `"float16"` with variables,
            normalisation, and logits in float32, for training; save what `float32_copy` makes of it. None
            takes Keras's own policy.
        seed: Makes the initial weights repeat.
        name: The Keras model's name, which weights and run files record; default: the spec's, or of a spec that was
            changed what tells it from the table's network, as `resnet20_attention_se`.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        UsageError: (a ValueError) An argument is out of range or the input is too small.
        ModelError: (a ValueError) The weights cannot be had or do not fit.
    """
    spec = as_spec(spec)
    spec = replace(spec, stem=stem or spec.stem, shortcut=shortcut or spec.shortcut)
    if spec.shortcut == "none" and stochastic_depth:
        raise UsageError("stochastic_depth leaves a block's branch out, and without shortcuts nothing else goes on")
    pixels = _pixels(spec, weights, preprocessing, weights_preprocessing)
    if isinstance(preprocessing, Preprocessing):
        num_classes = _classes_of(preprocessing, num_classes)
    if input_tensor is not None:
        input_shape = shape_of(input_tensor, input_shape)
    elif isinstance(preprocessing, Preprocessing):
        input_shape = input_shape or preprocessing.input_shape
    input_shape = input_shape or (spec.input_size, spec.input_size, 3)
    stem_word = check_input(spec, input_shape)
    _check(pooling, head, adapt_input, weights, {"dropout": dropout, "stochastic_depth": stochastic_depth})
    if include_top:
        check_classes(num_classes)
        if num_classes == 1 and classifier_activation == "softmax":
            raise UsageError(
                "a softmax of one output is 1 whatever the image shows: for one yes-or-no question give "
                "classifier_activation='sigmoid', or None for the logit; for two classes num_classes=2"
            )
    check_output_stride(output_stride)
    path = None if weights is None else _weights_file(spec, weights, include_top)
    import keras  # seconds: not before the arguments are known to be good

    refuse_channels_first()
    make = KerasLayers(seed, spec.bias, spec.padding)

    def network(x: Any) -> tuple[Any, FeatureInfo]:
        if isinstance(preprocessing, Preprocessing):
            x = _normalise(x, preprocessing.mean, preprocessing.std)
        elif pixels is not None:
            x = _normalise(x, *pixels.for_channels(input_shape[2]))
        x, info = features(
            x, spec, stem_word, make, output_stride=output_stride, stochastic_depth=stochastic_depth, dropout=dropout
        )
        if include_top:
            x = classifier(x, num_classes, dropout if spec.dropout_at == "head" else 0.0, make)
            if classifier_activation:
                x = keras.layers.Activation(classifier_activation, dtype="float32", name=HEAD.layer("activation"))(x)
        elif pooling is not None:
            x = make.global_pool(x, pooling, name=HEAD.layer("pool"))
        return x, info

    def fill(model: keras.Model) -> None:
        assert path is not None
        try:
            load_weights(model, path, head=head, adapt_input=adapt_input, bgr=pixels is not None and pixels.bgr)
        except OtherNetworkError as error:
            raise ModelError(f"{error}{_other_network(spec, error)}") from None

    with computing_in(precision):  # the model too, by whose precision Keras scales the loss
        model = model_on(input_tensor, input_shape, network, name or true_name(spec), None if path is None else fill)
    if isinstance(preprocessing, Preprocessing) and include_top:
        model.preprocessing = preprocessing  # for prediction, evaluation and export of the model in memory
    return model


def _classes_of(preprocessing: Preprocessing, num_classes: int) -> int:
    """How many the preprocessing names. Raises: UsageError: Another number was given."""
    named = len(preprocessing.class_names)
    if not isinstance(num_classes, _Unsaid):
        check_classes(num_classes)
        if num_classes != named:
            raise UsageError(
                f"num_classes={num_classes} does not fit the preprocessing, which names {named} classes "
                f"({listed(preprocessing.class_names, most=3)}): leave num_classes out, or give a Preprocessing with "
                "as many class_names, as by dataclasses.replace(preprocessing, class_names=…)"
            )
    return named


def _weights_file(spec: ResNetSpec, weights: str | os.PathLike[str], include_top: bool) -> str | os.PathLike[str]:
    """The file that is meant, fetched if it has a name. Raises: UsageError, ModelError, if it cannot be had."""
    if not is_name(weights):
        check_there(weights)
        return weights
    _refuse_changed(spec, str(weights))
    return fetch(spec.name, str(weights), include_top=include_top)


def _other_network(spec: ResNetSpec, error: OtherNetworkError) -> str:
    """What a file that does not fit holds, if a network of the table has these tensors and it is another one."""
    names = networks_of(error.tensors, error.naming)
    if not names or spec.name in names:
        return ""
    return f". These are weights of {' or '.join(names)} ({error.naming.title}'s naming); you build {spec.name}"


def check_input(spec: ResNetSpec, input_shape: tuple[int | None, int | None, int]) -> Stem:
    """Refuse an input the network cannot take, and say which stem it gets."""
    triple = isinstance(input_shape, tuple | list) and len(input_shape) == 3
    if not triple or not isinstance(input_shape[2], int) or input_shape[2] < 1:
        raise UsageError(
            "input_shape must be (height, width, channels), channels last and at least 1, "
            f"height and width whole numbers or None; received {input_shape}"
        )
    height, width, channels = input_shape
    if height in (1, 3) and channels > 4 and (width is None or width > 4):
        raise UsageError(
            f"input_shape must be (height, width, channels), channels last; received {input_shape}, which looks like "
            f"channels first: give {(width, channels, height)}, and move the axis of your images by "
            "numpy.moveaxis(images, 1, -1)"
        )
    stem = spec.resolve_stem(height, width)
    smallest = spec.smallest_side(stem)
    if any(side is not None and side < smallest for side in (height, width)):
        remedy = " or a network with fewer stages" if stem == "cifar" else " or use stem='cifar'"
        raise UsageError(
            f"input_shape={input_shape} is too small for {spec.name} with the {stem} stem, which divides the "
            f"resolution by {smallest}: give images of at least {smallest}×{smallest} pixels{remedy}"
        )
    return stem


def _check(pooling: str | None, head: str, adapt_input: bool, weights: object, rates: dict[str, float]) -> None:
    if pooling is not None and pooling not in POOLINGS:
        raise UsageError(f"pooling must be None or one of {listed(POOLINGS)}; received {pooling!r}")
    if head not in ("load", "reset"):
        raise UsageError(f"head must be 'load' or 'reset'; received {head!r}")
    if weights is None and (head == "reset" or adapt_input):
        raise UsageError("head='reset' and adapt_input say how weights are loaded: give weights, too")
    for field, rate in rates.items():
        if not 0 <= rate < 1:
            raise UsageError(f"{field} must be at least 0 and less than 1; received {rate}")


def _refuse_changed(spec: ResNetSpec, weights: str) -> None:
    """Named weights are for a network as the table has it. Changed in these fields, it would load them and be wrong."""
    row = VARIANTS[spec.name].spec if spec.name in VARIANTS else spec
    for field in ("shortcut", "strided_conv", "strided_block", "antialias", "padding"):
        if getattr(spec, field) != getattr(row, field):
            raise UsageError(
                f"the weights {weights!r} are for {spec.name} with {field}={getattr(row, field)!r}; received "
                f"{field}={getattr(spec, field)!r}, with which they would predict wrongly"
            )


def _pixels(
    spec: ResNetSpec,
    weights: str | os.PathLike[str] | None,
    preprocessing: Preprocessing | str | None,
    said: str,
) -> Pixels | None:
    """What the weights read, where the network is to normalise; None: it is not, or that is not known."""
    if said and (weights is None or preprocessing is None):
        raise UsageError(
            "weights_preprocessing says what pixels weights need, for a network that normalises them itself: give "
            f"weights and preprocessing, too; received weights={weights!r}, preprocessing={preprocessing!r}"
        )
    if preprocessing is None or (weights is None and isinstance(preprocessing, Preprocessing)):
        return None
    if not isinstance(preprocessing, Preprocessing) and (preprocessing != "weights" or weights is None):
        raise UsageError(
            "preprocessing must be a Preprocessing, None, or 'weights' together with weights; received "
            f"preprocessing={preprocessing!r} and weights={weights!r}"
        )
    assert weights is not None
    found = pixels_of(spec.name, weights, said)
    if found is None and preprocessing == "weights":
        raise UsageError(
            f"{weights} does not say what pixels it needs: give weights_preprocessing, one of {listed(CONVENTIONS)} or "
            "a file that says it"
        )
    return found


def _normalise(x: keras.KerasTensor, mean: tuple[float, ...], std: tuple[float, ...]) -> keras.KerasTensor:
    if x.shape[-1] != len(mean):
        raise UsageError(
            f"the preprocessing is for {len(mean)} channels; the input has {x.shape[-1]}: normalise the images "
            "yourself and leave preprocessing out"
        )
    import keras

    # Not Keras's Normalization, whose numbers Keras's own export to ONNX makes inputs of the file.
    scale, offset = [1 / value for value in std], [-one / value for one, value in zip(mean, std, strict=True)]
    return keras.layers.Rescaling(scale, offset, dtype="float32", name="normalization")(x)
