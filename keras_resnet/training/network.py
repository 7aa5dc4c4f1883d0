"""A network built and compiled as its recipe says: frozen layers, optimizer, loss, metrics."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import keras
import numpy as np

from keras_resnet.compression.distillation import Distillation
from keras_resnet.data.batches import pixel_statistics
from keras_resnet.data.images import ImageData
from keras_resnet.errors import UsageError, listed
from keras_resnet.layer_names import is_classifier
from keras_resnet.models.features import freeze
from keras_resnet.models.precision import Precision
from keras_resnet.models.recompute import recompute_activations
from keras_resnet.models.resnet import build, check_input
from keras_resnet.models.variants import spec
from keras_resnet.optimizers.by_name import optimizer
from keras_resnet.optimizers.layerwise import USUAL_BOUNDS, Layerwise
from keras_resnet.optimizers.state import forget_partial_update
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.schedules import USUAL_DIVISION, schedule
from keras_resnet.tasks.task import Task
from keras_resnet.training.distribution import Distribution, synchronise_batch_norm
from keras_resnet.training.recipe import Recipe
from keras_resnet.training.start import Start
from keras_resnet.weights.first_normalisation import (
    HIGH,
    IMAGES,
    LOW,
    FirstStatistics,
    by_convention,
    check_pixels,
    first_statistics,
)
from keras_resnet.weights.pixels import CONVENTIONS, pixels_of

SAME = 0.01
"""Numbers of two normalisations that are the same differ by at most so much of 255: they are rounded."""


def network_for(
    recipe: Recipe, preprocessing: Preprocessing, *, any_size: bool = False, precision: Precision = "float32"
) -> keras.Model:
    """The network of a recipe: raw pixels in, logits out.

    Args:
        recipe: Names network, weights and regularisation.
        preprocessing: Of the data.
        any_size: Take images of any size; its weights are those of the network of one size.
        precision: What it computes in; its weights are the same.
    """
    own = spec(recipe.model)
    shape = preprocessing.input_shape
    return build(
        replace(own, stem=check_input(own, shape)),  # the stem that the real size asks for
        preprocessing=preprocessing,
        input_shape=(None, None, shape[2]) if any_size else None,
        weights=recipe.weights or None,
        weights_preprocessing=recipe.weights_preprocessing,
        head="reset" if recipe.weights else "load",
        adapt_input=bool(recipe.weights) and shape[2] != 3,
        classifier_activation=None,
        dropout=recipe.dropout,
        stochastic_depth=recipe.stochastic_depth,
        precision=precision,
        seed=recipe.seed,
    )


class CompiledNetwork:
    """A network that can be compiled for each phase of its recipe.

    Args:
        recipe: The training's.
        preprocessing: Of the data.
        task: What is asked of the network; gives loss and metrics.
        place: Where its replicas are.
        start: The trained network that it goes on with; None: one from its initial weights.
        teacher: Whose outputs are learned, too: raw pixels in, logits out.

    Attributes:
        network: Whose weights are trained.
        model: What `fit` is called on; it has the same variables.
        whole: What is saved at the end: the network with what is frozen before it.
        parts: Micro-batches to an update.
    """

    def __init__(
        self,
        recipe: Recipe,
        preprocessing: Preprocessing,
        task: Task,
        place: Distribution,
        *,
        start: Start | None = None,
        teacher: keras.Model | None = None,
    ) -> None:
        self.recipe, self.task, self.place, self.start = recipe, task, place, start
        precision = cast(Precision, recipe.precision)
        with place.scope():
            self.network = (
                network_for(recipe, preprocessing, any_size=bool(recipe.train_sizes), precision=precision)
                if start is None
                else start.network()
            )
            self.model = recompute_activations(self.network) if recipe.recompute else self.network
            if teacher is not None:
                self.model = Distillation(
                    self.model, teacher, temperature=recipe.temperature, weight=recipe.teacher_weight,
                    multi_label=task.several,
                )  # fmt: skip
        self.whole, self._frozen = self.network, recipe.frozen
        synchronise_batch_norm(self.network, recipe.sync_batchnorm)
        self.average_statistics = place.statistics_averager(self.network)
        self.parts = 1
        self._compiled: tuple[bool, int] | None = None
        self._size = 0

    def finished(self, preprocessing: Preprocessing) -> keras.Model:
        """The network as it is saved: without what serves training alone, its weights not yet set.

        Args:
            preprocessing: Of the data.
        """
        if self.start is not None:
            return self.start.network()
        # Its initial weights are not loaded: they would be replaced at once.
        return network_for(self.recipe.without_weights(), preprocessing)

    def train_behind_frozen(self, network: keras.Model) -> None:
        """Train a part of the network alone, which shares its layers.

        Args:
            network: What lies behind the frozen part.
        """
        self.network = self.model = network
        self._frozen = ""

    def compile(self, *, head: bool, parts: int, size: int, steps: int) -> bool:
        """Compile the model for a phase. A change of the trained layers or of the parts makes a new optimizer.

        Args:
            head: Whether only the classifier learns.
            parts: Micro-batches to an update.
            size: Side of the training images; 0: as evaluation has them.
            steps: Updates in an epoch.

        Returns:
            Whether the optimizer is new; its replicas must be prepared then.
        """
        if self._compiled == (head, parts):
            if size != self._size:
                # Else TensorFlow makes one function for all sizes, which rounds otherwise than one for this size.
                self.model.make_train_function(force=True)
                self._size = size
            return False
        self._compiled, self._size, self.parts = (head, parts), size, parts
        freeze_for(self.network, head=head, batchnorm=self.recipe.freeze_batchnorm, until=self._frozen)
        with self.place.scope():
            self.accuracy = self.task.accuracy()
            self.optimizer = _head_optimizer(self.recipe, parts) if head else _optimizer(self.recipe, steps, parts)
            self.optimizer.build(self.network.trainable_variables)
            self.model.compile(
                self.optimizer,
                _loss(self.recipe, self.task),
                metrics=[self.accuracy, *self.task.validation_metrics()],
                jit_compile=self.recipe.jit,
            )
            self.model.optimizer.build(self.network.trainable_variables)  # Keras wraps it where it scales the loss
        return True

    def end_batch(self) -> None:
        """After the last part of a batch."""
        if self.model.optimizer is not self.optimizer:  # the loss is scaled
            forget_partial_update(self.model.optimizer)

    def scale_rate(self, factor: float) -> None:
        """Multiply the recipe's rates by a factor from now on."""
        self.optimizer.rate_factor.assign(factor)


def freeze_for(network: keras.Model, *, head: bool, batchnorm: bool, until: str = "") -> None:
    """Decide which layers learn: all, all behind a part, all but batch normalisation, or the classifier alone.

    Args:
        network: Its layers' `trainable` is set.
        head: Only the classifier learns.
        batchnorm: Batch normalisation does not learn: it uses the statistics that it has.
        until: The last part that does not learn, `stem`, `stage1` and so on; empty: none.
    """
    freeze(network, until or None)
    for layer in network.layers:
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        # A normalisation that does not learn uses the statistics it has.
        layer.trainable = is_classifier(layer.name) if head else layer.trainable and not (batchnorm and is_norm)


def check_frozen(recipe: Recipe) -> None:
    """Refuse a part that the network does not have, or a network of which nothing would learn but the classifier.

    Raises:
        UsageError: It has no such part; the message names those it has.
    """
    parts = ["stem", *(f"stage{number}" for number in range(1, len(spec(recipe.model).depths) + 1))]
    if recipe.frozen and recipe.frozen not in parts:
        known = listed(parts, most=20)
        raise UsageError(f"frozen must be one of {known} for {recipe.model}; received {recipe.frozen!r}")
    if recipe.frozen and not recipe.weights:
        raise UsageError(
            "frozen keeps initial weights, which are random here: give trained ones by weights (--weights)"
        )


def _optimizer(recipe: Recipe, steps: int, parts: int) -> Layerwise:
    cycle = recipe.schedule == "one-cycle"  # it begins with a warm-up of its own
    rates = schedule(
        recipe.schedule,
        recipe.learning_rate,
        recipe.epochs * steps,
        warmup_steps=0 if cycle else round(recipe.warmup_epochs * steps),
        warmup_from=recipe.warmup_from,
        climb=min(recipe.warmup_epochs / recipe.epochs, 1.0),
        initial_division=1 / recipe.warmup_from if recipe.warmup_from else USUAL_DIVISION,
        milestones=[max(1, round(epoch * steps)) for epoch in recipe.milestones],
        every=max(1, round(recipe.decay_every * steps)),
        factor=recipe.decay_factor,
        floor=recipe.final_rate * recipe.learning_rate,
    )
    return optimizer(
        recipe.optimizer,
        rates,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov and recipe.momentum > 0,
        weight_decay=recipe.weight_decay,
        decayed=recipe.decayed,
        layer_decay=recipe.layer_decay,
        clip=recipe.clip,
        clip_at=(recipe.clip != "none" and recipe.clip_at) or USUAL_BOUNDS[recipe.clip],
        accumulate=parts,
    )


def _loss(recipe: Recipe, task: Task) -> keras.losses.Loss:
    threshold = recipe.target_threshold if recipe.loss == "binary" else 0.0
    return task.loss(recipe.loss, recipe.label_smoothing, threshold=threshold or None)


def _head_optimizer(recipe: Recipe, parts: int) -> Layerwise:
    return optimizer("adam", schedule("constant", recipe.head_rate, 1), accumulate=parts)


def preprocessing_for(recipe: Recipe, data: ImageData) -> Preprocessing:
    """How images are prepared for a training: as its initial weights need them.

    Without initial weights they are normalised as the recipe says, or else by the training images' own mean and
    standard deviation.

    Raises:
        UsageError: What pixels the weights need is not known (the message says which may), or is not what the recipe
            says; or the recipe says it for another number of channels.
    """
    height, width, channels = data.train.images.shape
    said = _said_normalisation(recipe, channels)
    if recipe.weights:
        pixels = pixels_of(recipe.model, recipe.weights, recipe.weights_preprocessing)
        if pixels is None:
            raise _unknown_pixels(recipe, data)
        mean, std = pixels.for_channels(channels)
        if said and not np.allclose(said, (mean, std), rtol=0, atol=SAME):
            raise UsageError(
                f"{recipe.weights} needs {pixels.title}, and pixel_mean and pixel_std say something else: leave them "
                "out with initial weights (what a recipe says, by --pixel-mean '' --pixel-std '', or () in Python). "
                "What pixels a file needs is said by weights_preprocessing"
            )
    elif said:
        mean, std = said
    else:
        own_mean, own_std = pixel_statistics(data.train)
        mean, std = (own_mean,) * channels, (own_std,) * channels
    fit = data.fit or Fit((height, width), channels)
    return Preprocessing(fit, mean, std, data.class_names, data.task.name)


def _said_normalisation(recipe: Recipe, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """The recipe's mean and std on the 0–255 scale; None: it has none."""
    if not recipe.pixel_mean:
        return None
    if len(recipe.pixel_mean) not in (1, channels):
        raise UsageError(
            f"pixel_mean and pixel_std have {len(recipe.pixel_mean)} numbers, and the images {channels} "
            f"channel{'s' * (channels != 1)}: give one for each channel, or one for all"
        )
    turns = channels // len(recipe.pixel_mean)
    mean, std = (tuple(255 * value for value in values) * turns for values in (recipe.pixel_mean, recipe.pixel_std))
    return mean, std


def look_at_weights(recipe: Recipe, data: ImageData, network: keras.Model) -> tuple[list[str], FirstStatistics | None]:
    """Look at the initial weights before the first update.

    Args:
        recipe: Names them.
        data: Whose training images are looked at.
        network: With these weights.

    Returns:
        What is to be said: the pixels that they get, and any doubt; and what their first normalisation sees. Of random
        weights there is nothing to be said.

    Raises:
        UsageError: The pixels are certainly not those the weights were trained on.
    """
    if not recipe.weights:
        return [], None
    pixels = pixels_of(recipe.model, recipe.weights, recipe.weights_preprocessing)
    assert pixels is not None
    remedy = "Say the right one by --weights-preprocessing (in a Recipe weights_preprocessing)"
    images = _some_images(data)
    doubt = check_pixels(network, images, recipe.weights, pixels, remedy=remedy)
    said = [f"{recipe.weights} gets {pixels.title}: {pixels.known_by}", *([doubt] if doubt else [])]
    return said, first_statistics(network, images)


def _some_images(data: ImageData) -> np.ndarray:
    """Training images as the network takes them, evenly spaced over the split."""
    return data.train.read(np.unique(np.linspace(0, len(data.train) - 1, IMAGES).astype(np.int64)))


def _unknown_pixels(recipe: Recipe, data: ImageData) -> UsageError:
    """The question what pixels weights need, without the answers that the images rule out."""
    own, shape = spec(recipe.model), data.train.images.shape
    network = build(
        replace(own, stem=check_input(own, shape)),
        data.task.outputs,
        input_shape=shape,
        weights=recipe.weights,
        head="reset",
        adapt_input=shape[2] != 3,
    )
    images = _some_images(data)
    seen = by_convention(network, images)
    possible = [name for name, one in seen.items() if LOW <= one.variance <= HIGH] or list(CONVENTIONS)
    measured = ", ".join(f"{name} {one.variance:.2g}" for name, one in seen.items())
    found = (
        f" On {len(images)} of your images, the variance behind its first convolution over that in its training (1: "
        f"alike) is {measured}."
        if seen
        else ""
    )
    return UsageError(
        f"{recipe.weights} does not say what pixels it needs.{found} Say it by --weights-preprocessing: "
        + ", ".join(CONVENTIONS[name].title for name in possible)
        + "; or a model file or preprocessing.json that says it"
    )
