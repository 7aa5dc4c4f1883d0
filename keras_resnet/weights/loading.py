"""Loading a weights file into a model: all of it or nothing, under any of the names that libraries give tensors."""

from __future__ import annotations

import logging
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from keras_resnet.errors import ModelError, UsageError, listed
from keras_resnet.layer_names import CLASSIFIER, HEAD, STEM, is_classifier, read_name
from keras_resnet.shortage import refuse_shortage
from keras_resnet.weights.files import (
    Expectations,
    Tensors,
    expectations,
    read_weights,
    refuse_mismatches,
    variables_by_path,
)
from keras_resnet.weights.hdf5 import open_hdf5
from keras_resnet.weights.keras_applications import read_official, reads_bgr
from keras_resnet.weights.naming import (
    KERAS_APPLICATIONS,
    TIMM,
    TORCHVISION,
    Naming,
    epsilon_of,
    namings_for,
    strided_conv,
    without_wrappers,
)
from keras_resnet.weights.pixels import FIRST_KERNELS, order_of_caffe

if TYPE_CHECKING:
    import keras

logger = logging.getLogger(__name__)


class OtherNetworkError(ModelError):
    """Weights that do not fit, though their names are known.

    Args:
        message: What does not fit.
        tensors: What the file holds, under its names.
        naming: The library that gave these names.
    """

    def __init__(self, message: str, tensors: Tensors, naming: Naming) -> None:
        super().__init__(message)
        self.tensors = tensors
        self.naming = naming


def load_weights(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    head: Literal["load", "reset"] = "load",
    adapt_input: bool = False,
    bgr: bool = False,
    as_trained: bool = False,
) -> None:
    """Fill a model from a file. Every tensor's name, shape and dtype must match, or nothing changes.

    Args:
        model: One that `build` made.
        path: See `build`; the naming is recognised by the names that fit best.
        head: `"reset"` leaves the classifier as it is, whatever the file holds.
        adapt_input: Fit the first convolution of RGB weights to another number of input channels.
        bgr: The file's network reads blue, green, red: turn its first kernel, so that the model reads red first. A file
            that keras.applications published is turned in any case.
        as_trained: Take the first kernel as the file has it in any case: the model reads what the file's network did.

    Raises:
        OtherNetworkError: (a ModelError) The tensors have known names and do not fit.
        ModelError: The file is missing, damaged, of another kind, holds numbers that are not finite, or does
            not fit this model; ten mismatches at most are listed.
        MissingExtraError: A PyTorch file, and PyTorch is not installed.
        UsageError: `head` or `adapt_input` with a `.weights.h5` file, whose layers have no names.
    """
    path = Path(path)
    if path.name.endswith(".weights.h5"):
        _load_keras_weights(model, path, head, adapt_input)
        return
    variables = {
        name: variable
        for name, variable in variables_by_path(model).items()
        if not name.endswith("/seed_generator_state")  # where a dropout's random numbers stand
    }
    official = read_official(path)
    held = _without_counts(official or read_weights(path))
    tensors, naming = _in_our_names(held, variables, namings_for(model), path, epsilon_of(model))
    _compare_striding(model, held, naming, path)
    if not as_trained:
        tensors = _red_first(tensors, naming, path, official, bgr, f"{STEM.layer('bn')}/gamma" in variables)
    tensors = _without_idle_biases(tensors, variables)
    if head == "reset" or f"{CLASSIFIER}/kernel" not in variables:
        left_out = sorted(name for name in tensors if is_classifier(name))
        tensors = {name: tensor for name, tensor in tensors.items() if name not in left_out}
        variables = {name: variable for name, variable in variables.items() if not is_classifier(name)}
        logger.info("%s: the classifier of the file is left out (%s)", path.name, ", ".join(left_out) or "it has none")
    if adapt_input:
        tensors = _with_adapted_input(tensors, variables, path)
    expected = expectations(variables)
    try:
        refuse_mismatches(expected, tensors, f"{path} (read as {naming.title}'s naming)")
    except ModelError as error:
        raise OtherNetworkError(f"{error}{_remedy(model, expected, tensors)}", held, naming) from None
    _refuse_broken(tensors, path)
    for name, variable in variables.items():
        variable.assign(tensors[name])
    logger.info("%s: %d tensors loaded, read as %s's naming", path.name, len(variables), naming.title)


def _load_keras_weights(model: keras.Model, path: Path, head: str, adapt_input: bool) -> None:
    if head == "reset" or adapt_input:
        raise UsageError(
            f"{path} holds no layer names, so that head='reset' and adapt_input need another kind of file: "
            "load it whole and save the model by keras_resnet.save_weights(model, 'net.safetensors')"
        )
    if not path.is_file():
        raise ModelError(f"there is no weights file {path}")
    before = model.get_weights()
    try:
        held, needed = _count_arrays(path), len(before)
        if held != needed:  # Keras itself asks for what the model has and passes over the rest
            raise ValueError(
                f"it holds {held} arrays, the model {needed}. Files of this kind do not name their layers, so that "
                "only the same network made by this package can take them: save weights of another library's network, "
                "such as keras.applications', by model.save('net.keras') or model.save('net.h5')"
            )
        model.load_weights(path)
        _refuse_broken({variable.path: variable.numpy() for variable in model.weights}, path)
    except ModelError:
        model.set_weights(before)
        raise
    except Exception as error:  # Keras and h5py raise exceptions of every kind
        model.set_weights(before)
        refuse_shortage(error, f"read {path}")
        raise ModelError(f"{path} does not fit {model.name}, nothing was loaded: {error}") from error


def _refuse_broken(tensors: Tensors, path: Path) -> None:
    broken = [name for name, tensor in tensors.items() if not np.isfinite(tensor).all()]
    if broken:
        raise ModelError(f"{path} holds numbers that are not finite, nothing was loaded: {listed(broken)}")


def _count_arrays(path: Path) -> int:
    """Weights in a file that Keras 3 wrote, without an optimizer's and without random states."""
    import h5py

    found: list[str] = []
    with open_hdf5(path, path) as file:
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return sum(not name.startswith("optimizer") and "seed_generator" not in name for name in found)


def _in_our_names(
    tensors: Tensors, variables: dict[str, keras.Variable], namings: tuple[Naming, ...], path: Path, epsilon: float
) -> tuple[Tensors, Naming]:
    """The tensors under our names, by the naming that knows most of them."""
    # Where the model has no head, that of the file must still be known for one.
    layers = list(dict.fromkeys([*(name.split("/")[0] for name in variables), CLASSIFIER]))
    known = {naming.title: len(tensors.keys() & set(naming.names(layers).values())) for naming in namings}
    naming = max(namings, key=lambda naming: known[naming.title])
    if not known[naming.title]:
        raise ModelError(
            f"{path} does not fit, nothing was loaded: no naming recognises its tensors, which are called "
            f"{listed(tensors, most=4)}; known are those of {listed(known)}"
        )
    return naming.to_ours(tensors, layers, epsilon), naming


def _without_counts(tensors: Tensors) -> Tensors:
    """What a network computes with: no counts of batches, no random states; the names without wrappers."""
    return {
        name: tensor
        for name, tensor in zip(without_wrappers(tensors), tensors.values(), strict=True)
        if not name.endswith(("num_batches_tracked", "/seed_generator_state"))
    }


def _red_first(
    tensors: Tensors, naming: Naming, path: Path, official: Tensors | None, bgr: bool, is_v1: bool
) -> Tensors:
    """The first kernel turned where it is known to read blue, green, red; where that may be, it is said."""
    first = next((name for name in FIRST_KERNELS if name in tensors), None)
    if first is not None and (bgr if official is None else reads_bgr(official)):
        logger.info("%s: the first kernel is turned from blue, green, red to red, green, blue", path.name)
        return {**tensors, first: tensors[first][:, :, ::-1]}
    if official is None and order_of_caffe(tensors) == "bgr":
        logger.warning(
            "%s: the first kernel is that of the network trained in Caffe, and is taken as it is: it reads blue, "
            "green, red, minus (103.939, 116.779, 123.68). With preprocessing= it is turned, and the network reads "
            "red, green, blue",
            path,
        )
    elif naming is KERAS_APPLICATIONS and official is None and is_v1:
        logger.warning(
            "%s is none of the files that keras.applications publishes: its first kernel is taken as it is, in the "
            "order of channels it was trained with (keras.applications' own v1 weights read blue, green, red)",
            path,
        )
    return tensors


def _without_idle_biases(tensors: Tensors, variables: dict[str, keras.Variable]) -> Tensors:
    """Biases that a normalisation subtracts again, moved into its mean: the same function, exactly.

    keras.applications' v1 networks have one in every convolution; ours have none.
    """
    if f"{HEAD.layer('bn')}/gamma" in variables:  # v2: the normalisation behind a convolution has another number
        return tensors
    kept, moved = dict(tensors), 0
    for name in tensors:
        layer, _, variable = name.partition("/")
        ours = read_name(layer)
        mean = f"{ours.sibling('bn')}/moving_mean" if ours else ""
        idle = variable == "bias" and name not in variables and f"{layer}/kernel" in variables and mean in tensors
        if idle and tensors[name].shape == tensors[mean].shape:
            kept[mean] = kept[mean] - kept.pop(name)
            moved += 1
    if moved:
        logger.info("%d biases of convolutions became part of the moving means behind them", moved)
    return kept


def _with_adapted_input(tensors: Tensors, variables: dict[str, keras.Variable], path: Path) -> Tensors:
    """Timm's rule: RGB kernels summed for one channel, repeated and scaled to the same sum for others."""
    name = next(name for name in FIRST_KERNELS if name in variables)
    kernel, channels = tensors.get(name), variables[name].shape[2]
    if kernel is None or kernel.ndim != 4 or kernel.shape[2] == channels:
        return tensors
    if kernel.shape[2] != 3:
        raise ModelError(f"adapt_input starts from RGB weights; {name} in {path} has {kernel.shape[2]} channels")
    if channels == 1:
        adapted = kernel.sum(axis=2, keepdims=True)
    else:
        adapted = np.tile(kernel, (1, 1, math.ceil(channels / 3), 1))[:, :, :channels] * np.float32(3 / channels)
    logger.info("%s: %s adapted from 3 to %d input channels", path.name, name, channels)
    return {**tensors, name: adapted.astype(kernel.dtype)}


def _compare_striding(model: keras.Model, held: Tensors, naming: Naming, path: Path) -> None:
    """The tensors of v1 and v1.5 are alike: only the naming tells in which convolution a library's networks stride."""
    strides = strided_conv(model)
    if naming is KERAS_APPLICATIONS and strides == "3x3":
        raise OtherNetworkError(
            f"{path} holds weights of keras.applications, whose ResNets stride in their 1×1 convolutions (v1); "
            f"{model.name} strides in the 3×3 and would predict wrongly: use ResNet50V1, ResNet101V1 or ResNet152V1",
            held,
            naming,
        )
    if naming in (TORCHVISION, TIMM) and strides == "1x1":
        logger.warning(
            "%s is named as torchvision's and timm's networks, which stride in their 3×3 convolutions; %s strides in "
            "the 1×1, as Caffe's did",
            path,
            model.name,
        )


def _remedy(model: keras.Model, expected: Expectations, tensors: Tensors) -> str:
    """What to do where only the first convolution or the classifier does not fit; else nothing."""
    wrong = {name for name, (shape, _) in expected.items() if name not in tensors or tensors[name].shape != shape}
    wrong |= tensors.keys() - expected.keys()
    if wrong and all(is_classifier(name) for name in wrong):
        return ". Only the classifier differs: head='reset' leaves it at its initial values"
    first = next((name for name in FIRST_KERNELS if name in wrong), None)
    if first is None or first not in expected or first not in tensors or tensors[first].ndim != 4:
        return ""
    (ours, _), theirs = expected[first], tensors[first].shape
    if len(wrong) == 1 and ours[:2] == theirs[:2] and ours[3] == theirs[3]:
        return ". Only the input channels differ: adapt_input=True fits RGB weights to another number"
    if ours[:2] == (3, 3) and theirs[:2] == (7, 7):
        return (
            ". The file's first convolution is 7×7, the model's is 3×3, which inputs of at most 64 pixels get: train "
            f"on larger ones (--image-size 65 or more), or in Python keep the 7×7 at {model.input_shape[1:3]} by "
            "build(…, stem='imagenet')"
        )
    return ""
