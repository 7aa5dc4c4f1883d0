"""Single training steps without a run folder: to try learning rates, or to time them."""

from __future__ import annotations

import itertools
from dataclasses import replace

from keras_resnet.data.balance import loss_weights
from keras_resnet.data.batches import data_errors, evaluation_batches, training_batches
from keras_resnet.data.images import ImageData
from keras_resnet.data.stores import at_size
from keras_resnet.training.distribution import distribution
from keras_resnet.training.network import CompiledNetwork, preprocessing_for
from keras_resnet.training.recipe import Recipe

EVALUATION_BATCH = 256
UNENDING = 2**31


class TrialSteps:
    """Takes single training steps by a recipe, at rates one chooses.

    Args:
        recipe: How it is trained; its schedule and the epochs of the classifier alone are left out, and
            of several sizes of training images the largest is taken.
        data: What on.
    """

    def __init__(self, recipe: Recipe, data: ImageData) -> None:
        self.recipe, self.data = recipe, data
        # One rate, which `set_rate` scales.
        size = max(recipe.train_sizes, default=0)
        sizes = (size,) if size else ()
        constant = recipe.but(schedule="constant", warmup_epochs=0.0, head_epochs=0, train_sizes=sizes)
        self._compiled = CompiledNetwork(constant, preprocessing_for(recipe, data), data.task, distribution("none"))
        self._compiled.compile(head=False, parts=recipe.accumulate, size=size, steps=1)
        self.model = self._compiled.model
        train = data.train
        if size:
            train = replace(train, images=at_size(train.images, (size, size)))
        self._batches = iter(
            training_batches(
                train,
                recipe.batch_size,
                recipe.policy,
                seed=recipe.seed,
                epochs=UNENDING,
                parts=recipe.accumulate,
                sampling=recipe.sampling,
                class_weights=loss_weights(recipe.class_weights, data.train),
            )
        )
        self._evaluation = itertools.cycle(evaluation_batches(data.validation, EVALUATION_BATCH))

    def set_rate(self, rate: float) -> None:
        """The learning rate of the following steps."""
        self._compiled.scale_rate(rate / self.recipe.learning_rate)

    def step(self) -> float:
        """One update on the next batch, in as many parts as the recipe has; the loss before it."""
        losses = []
        for _ in range(self.recipe.accumulate):
            self.model.reset_metrics()
            with data_errors(self.data.train.images):
                batch = next(self._batches)
            losses.append(float(self.model.train_on_batch(*batch, return_dict=True)["loss"]))
        self._compiled.end_batch()
        return sum(losses) / len(losses)

    def evaluate(self) -> int:
        """Evaluate the next validation images; how many they were."""
        with data_errors(self.data.validation.images):
            images, labels = next(self._evaluation)
        self.model.test_on_batch(images, labels)
        return len(images)
