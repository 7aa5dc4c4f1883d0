"""A network set up as its recipe trains it, one update at a time and without a run: to try rates, or to time them."""

from __future__ import annotations

import itertools

import keras

from keras_resnet.data.images import ImageData
from keras_resnet.data.pipeline import evaluation_batches, training_batches
from keras_resnet.models.lookup import spec
from keras_resnet.models.resnet import build
from keras_resnet.training.fit import preprocessing_for, weights_of_classes
from keras_resnet.training.optimizer import CoupledSGD
from keras_resnet.training.recipe import Recipe

EVALUATION_BATCH = 256
UNENDING = 2**31


class Trial:
    """Takes single training steps by a recipe, at rates one chooses.

    Args:
        recipe: How it is trained; its schedule and the epochs of the classifier alone are left out.
        data: What on.
    """

    def __init__(self, recipe: Recipe, data: ImageData) -> None:
        self.recipe, self.data = recipe, data
        self.model = build(
            spec(recipe.model),
            preprocessing=preprocessing_for(data),
            classifier_activation=None,
            dropout=recipe.dropout,
            seed=recipe.seed,
        )
        self.optimizer = CoupledSGD(
            recipe.learning_rate,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov and recipe.momentum > 0,
            coupled_weight_decay=recipe.weight_decay,
        )
        self.optimizer.build(self.model.trainable_variables)
        self.model.compile(
            self.optimizer,
            keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing),
            jit_compile=recipe.jit,
        )
        classes = len(data.class_names)
        self._batches = iter(
            training_batches(
                data.train,
                classes,
                recipe.batch_size,
                recipe.policy,
                seed=recipe.seed,
                epochs=UNENDING,
                sampling=recipe.sampling,
                class_weights=weights_of_classes(recipe, data),
            )
        )
        self._evaluation = itertools.cycle(evaluation_batches(data.validation, classes, EVALUATION_BATCH))

    def set_rate(self, rate: float) -> None:
        """The learning rate of the following steps."""
        self.optimizer.learning_rate.assign(rate)

    def step(self) -> float:
        """One update on the next batch; the loss before it."""
        self.model.reset_metrics()
        return float(self.model.train_on_batch(*next(self._batches), return_dict=True)["loss"])

    def evaluate(self) -> int:
        """Evaluate the next validation images; how many they were."""
        images, labels = next(self._evaluation)
        self.model.test_on_batch(images, labels)
        return len(images)
