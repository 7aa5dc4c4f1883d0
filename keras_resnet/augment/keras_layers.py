"""Preprocessing layers of Keras and KerasCV, or custom ones, as steps of an augmentation."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from keras_resnet.augment.randomness import SampleRandom
from keras_resnet.compat.preprocessing_layers import function_of_seed
from keras_resnet.errors import UsageError

MIX_LABELS = ("MixUp", "CutMix", "FourierMix", "Mosaic")
CHANGE_THE_SCALE = ("Rescaling", "Normalization")


@dataclass(frozen=True)
class LayerStep:
    """A preprocessing layer as a step whose results depend on seed, epoch and batch alone.

    The layer's random numbers come from the training's seed, the epoch and the first image of the batch; the layer's
    own seed is ignored. So a training that continues, from any step, sees the same images. Unlike the steps of this
    package, a layer changes its results with the number of workers that share a batch.

    Args:
        layer: Takes and gives images on the 0–255 scale. Its results are rounded and clipped to uint8.
        place: The number of the step in its policy. Layers at different places draw different numbers.

    Raises:
        UsageError: The layer cannot fit: it is a whole model, mixes images without their labels, or gives values on
            another scale.
    """

    layer: keras.Layer
    place: int
    _traced: dict[tuple[int | None, ...], Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        name = type(self.layer).__name__
        if isinstance(self.layer, keras.Model):
            raise UsageError(f"layers must be preprocessing layers; received the model {name}: give its layers instead")
        if name in MIX_LABELS:
            raise UsageError(
                f"the layer {name} would mix images without their labels: use mixup and cutmix of the policy instead"
            )
        if name in CHANGE_THE_SCALE:
            raise UsageError(f"layers must keep images on the 0–255 scale (the network normalises); received {name}")
        value_range = getattr(self.layer, "value_range", None) or (0, 255)
        if tuple(value_range) != (0, 255):
            raise UsageError(f"the layer {name} must have value_range=(0, 255); received {tuple(value_range)}")

    @tf.autograph.experimental.do_not_convert
    def __call__(self, images: tf.Tensor, random: SampleRandom) -> tf.Tensor:
        """Args and Returns: as `Policy`."""
        # Many layers draw the numbers of the whole batch at once, so there is one seed for all images.
        seed = tf.bitcast(random.within(f"layer {self.place}").bits("seed")[0], tf.int32)
        with tf.init_scope():
            function = self.traced(tuple(images.shape))
        changed = tf.ensure_shape(function(tf.cast(images, tf.float32), seed), images.shape)
        if changed.dtype.is_floating:
            changed = tf.round(changed)
        return tf.cast(tf.clip_by_value(changed, 0, 255), tf.uint8)

    def traced(self, shape: tuple[int | None, ...]) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        """The layer as a function of images and a seed: see `function_of_seed`.

        Args:
            shape: (batch, height, width, channels) of the images.

        Raises:
            UsageError: The layer fails on such images, changes their shape, or has a state besides its seed.
        """
        if shape not in self._traced:
            name = type(self.layer).__name__
            try:
                function = function_of_seed(self.layer, shape)
            except UsageError as error:
                raise UsageError(f"the layer {name} cannot be a step of an augmentation: {error}") from error
            found = getattr(function.structured_outputs, "shape", None)
            if found is None or not found.is_compatible_with(shape):
                raise UsageError(
                    f"the layer {name} changes the shape of images: it makes {found} of {shape}. A step must keep it"
                )
            self._traced[shape] = function
        return self._traced[shape]


def described(layers: Sequence[keras.Layer]) -> dict[str, Any]:
    """The configuration of layers, for a run's configuration: everything that changes the images.

    Left out are names, which Keras numbers anew in each process, and seeds, which are ignored.

    Args:
        layers: The layers.

    Returns:
        By the number of each layer, from 1, what `keras.saving.serialize_keras_object` gives.

    Raises:
        UsageError: A layer does not say how it is configured.
    """
    found = {}
    for number, layer in enumerate(layers, start=1):
        try:
            value = keras.saving.serialize_keras_object(layer)
            json.dumps(value)
        except (NotImplementedError, TypeError, ValueError) as error:
            raise UsageError(
                f"the layer {type(layer).__name__} cannot be recorded in the run: its get_config must return plain "
                f"values and Keras objects ({error})"
            ) from error
        found[str(number)] = _without_names(value)
    return found


def _without_names(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_without_names(one) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _without_names(one) for key, one in value.items() if key != "build_config"}
    if isinstance(kept.get("config"), dict) and "DTypePolicy" not in str(kept.get("class_name")):
        kept["config"] = {key: one for key, one in kept["config"].items() if key not in ("name", "seed")}
    return kept
