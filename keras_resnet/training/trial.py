"""A network set up as its recipe trains it, one update at a time and without a run: to try rates, or to time them."""

from __future__ import annotations

import itertools

from keras_resnet.data.balance import loss_weights
from keras_resnet.data.images import ImageData
from keras_resnet.data.pipeline import evaluation_batches, training_batches
from keras_resnet.training.compiling import Trainee, preprocessing_of
from keras_resnet.training.distribution import distribution
from keras_resnet.training.fit import preprocessing_for
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
        # One rate, which `set_rate` scales.
        constant = recipe.but(schedule="constant", warmup_epochs=0.0, head_epochs=0, train_sizes=())
        self._trainee = Trainee(constant, preprocessing_of(recipe, preprocessing_for(data)), distribution("none"))
        self._trainee.compile(head=False, parts=1, size=0, steps=1)
        self.model = self._trainee.model
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
                class_weights=loss_weights(recipe.class_weights, data.train.labels, classes),
            )
        )
        self._evaluation = itertools.cycle(evaluation_batches(data.validation, classes, EVALUATION_BATCH))

    def set_rate(self, rate: float) -> None:
        """The learning rate of the following steps."""
        self._trainee.scale_rate(rate / self.recipe.learning_rate)

    def step(self) -> float:
        """One update on the next batch; the loss before it."""
        self.model.reset_metrics()
        return float(self.model.train_on_batch(*next(self._batches), return_dict=True)["loss"])

    def evaluate(self) -> int:
        """Evaluate the next validation images; how many they were."""
        images, labels = next(self._evaluation)
        self.model.test_on_batch(images, labels)
        return len(images)
