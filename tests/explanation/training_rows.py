"""A plain training loop that records what `metrics.jsonl` holds; health is looked at by the package."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.callbacks.health import Health, images_to_look_with
from keras_resnet.data.batches import steps_per_epoch, training_batches
from keras_resnet.data.images import ImageData
from keras_resnet.layer_names import part_of
from keras_resnet.models.resnet import build
from keras_resnet.models.variants import spec
from keras_resnet.training.network import preprocessing_for
from keras_resnet.training.recipe import Recipe

SMOOTHING = 0.1


def network(data: ImageData, model: str = "resnet8") -> keras.Model:
    return build(spec(model), preprocessing=preprocessing_for(Recipe(), data), classifier_activation=None, seed=0)


def train(model: keras.Model, recipe: Recipe, data: ImageData, every: int = 2) -> list[dict[str, Any]]:
    """SGD with a cosine and the recipe's epochs, batch size, learning rate and augmentation."""
    classes = len(data.class_names)
    batch = min(recipe.batch_size, len(data.train))
    steps = steps_per_epoch(data.train, batch)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps * (recipe.epochs - 1), warmup_target=recipe.learning_rate, warmup_steps=steps
    )
    optimizer = keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True)
    optimizer.build(model.trainable_variables)
    loss_of = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=SMOOTHING)
    stages = [part_of(one.path) for one in model.trainable_variables]

    @tf.function
    def update(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = loss_of(labels, logits)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        norms = {
            stage: tf.linalg.global_norm([one for one, place in zip(gradients, stages, strict=True) if place == stage])
            for stage in dict.fromkeys(stages)
        }
        accuracy = tf.reduce_mean(tf.cast(tf.argmax(logits, 1) == tf.argmax(labels, 1), tf.float32))
        return loss, accuracy, norms

    health = Health(model, images_to_look_with(data.validation))
    batches = iter(training_batches(data.train, batch, recipe.policy, seed=0, first_epoch=0, epochs=recipe.epochs))
    images, labels = data.validation.read(slice(None)), np.eye(classes, dtype=np.float32)[data.validation.labels]
    rows: list[dict[str, Any]] = []
    figures: list[tuple[float, float]] = []
    for number in range(steps * recipe.epochs):
        loss, accuracy, norms = update(*next(batches)[:2])
        figures.append((float(loss), float(accuracy)))
        place = {"epoch": number // steps + 1, "step": number + 1, "learning_rate": float(optimizer.learning_rate)}
        if (number + 1) % every == 0:
            mean = np.mean(figures[-every:], axis=0)
            at_end = {stage: float(norm) for stage, norm in norms.items()}
            rows.append({"event": "step", **place, "loss": mean[0], "accuracy": mean[1], "gradient_norms": at_end})
        if (number + 1) % steps == 0:
            logits = model.predict_on_batch(images)
            mean = np.mean(figures[-steps:], axis=0)
            validation = {
                "val_loss": float(loss_of(labels, logits)),
                "val_accuracy": float(np.mean(logits.argmax(1) == data.validation.labels)),
            }
            rows.append(
                {
                    "event": "epoch",
                    **place,
                    "loss": mean[0],
                    "accuracy": mean[1],
                    **validation,
                    **health.observe(),
                    "batch_per_normalisation": batch,
                }
            )
            if not np.isfinite(mean[0]):
                break
    return rows
