"""A plain training loop that records what `metrics.jsonl` holds; health is looked at by the package."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.data.batches import steps_per_epoch, training_batches
from keras_resnet.data.images import ImageData
from keras_resnet.layer_names import part_of
from keras_resnet.models.resnet import build
from keras_resnet.models.variants import spec
from keras_resnet.training.health import Health, images_to_look_with
from keras_resnet.training.network import preprocessing_for
from keras_resnet.training.recipe import Recipe

SMOOTHING = 0.1


def network(data: ImageData, model: str = "resnet8") -> keras.Model:
    return build(spec(model), preprocessing=preprocessing_for(Recipe(), data), classifier_activation=None, seed=0)


class Training:
    """A network that can be trained again and again: what takes longest, its tracing, is done once.

    Args:
        model: The layers that are trained now are those trained.
        data: Gives the images of each epoch's end.
    """

    def __init__(self, model: keras.Model, data: ImageData) -> None:
        self.model, self.data = model, data
        self.initial = model.get_weights()
        self.optimizer = keras.optimizers.SGD(0.0, momentum=0.9, nesterov=True)
        self.optimizer.build(model.trainable_variables)
        self.loss_of = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=SMOOTHING)
        self.health = Health(model, images_to_look_with(data.validation), batch_per_normalisation=0)
        image, classes = data.train.images.shape, len(data.class_names)
        signature = [tf.TensorSpec((None, *image), tf.uint8), tf.TensorSpec((None, classes))]
        self._update = tf.function(self._one_update, input_signature=signature, autograph=False)

    def begin_again(self) -> None:
        """Give the network the weights that it had at first, and the optimizer its own."""
        self.model.set_weights(self.initial)
        for variable in self.optimizer.variables:
            variable.assign(np.zeros(variable.shape))
        self.health.restore({}, "")

    def _one_update(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
        weights = self.model.trainable_variables
        stages = [part_of(one.path) for one in weights]
        with tf.GradientTape() as tape:
            logits = self.model(images, training=True)
            loss = self.loss_of(labels, logits)
        gradients = tape.gradient(loss, weights)
        self.optimizer.apply(gradients, weights)
        norms = {
            stage: tf.linalg.global_norm([one for one, place in zip(gradients, stages, strict=True) if place == stage])
            for stage in dict.fromkeys(stages)
        }
        accuracy = tf.reduce_mean(tf.cast(tf.argmax(logits, 1) == tf.argmax(labels, 1), tf.float32))
        return loss, accuracy, norms

    def rows(self, recipe: Recipe, data: ImageData | None = None, every: int = 2) -> list[dict[str, Any]]:
        """SGD with a cosine and the recipe's epochs, batch size, learning rate and augmentation.

        Args:
            recipe: Gives these.
            data: Other images and labels than the ones of the network, of the same classes.
            every: Updates to a row.
        """
        data = data or self.data
        batch = min(recipe.batch_size, len(data.train))
        self.health.batch_per_normalisation = batch
        steps = steps_per_epoch(data.train, batch)
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0, steps * (recipe.epochs - 1), warmup_target=recipe.learning_rate, warmup_steps=steps
        )
        batches = iter(training_batches(data.train, batch, recipe.policy, seed=0, first_epoch=0, epochs=recipe.epochs))
        images, labels = data.validation.read(slice(None)), data.validation.labels
        targets = np.eye(len(data.class_names), dtype=np.float32)[labels]
        rows: list[dict[str, Any]] = []
        figures: list[tuple[float, float]] = []
        for number in range(steps * recipe.epochs):
            self.optimizer.learning_rate = rate = float(schedule(number))
            loss, accuracy, norms = self._update(*next(batches)[:2])
            figures.append((float(loss), float(accuracy)))
            place = {"epoch": number // steps + 1, "step": number + 1, "learning_rate": rate}
            if (number + 1) % every == 0:
                mean = np.mean(figures[-every:], axis=0)
                at_end = {stage: float(norm) for stage, norm in norms.items()}
                rows.append({"event": "step", **place, "loss": mean[0], "accuracy": mean[1], "gradient_norms": at_end})
            if (number + 1) % steps == 0:
                logits = self.model.predict_on_batch(images)
                mean = np.mean(figures[-steps:], axis=0)
                validation = {
                    "val_loss": float(self.loss_of(targets, logits)),
                    "val_accuracy": float(np.mean(logits.argmax(1) == labels)),
                }
                looked = self.health.observe()
                rows.append({"event": "epoch", **place, "loss": mean[0], "accuracy": mean[1], **validation, **looked})
                if not np.isfinite(mean[0]):
                    break
        return rows
