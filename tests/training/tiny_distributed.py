"""A tiny training that may be distributed, shared by the tests here and the processes they start."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.augment.policies import policy
from keras_resnet.data.batches import evaluation_batches, training_batches
from keras_resnet.data.images import Split
from keras_resnet.data.stores import ArrayImages
from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.optimizers.by_name import optimizer as optimizer_named
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.training.distribution import Distribution, distribution, is_lost_worker, synchronise_batch_norm
from tests.tasks.classes import classes

NET = ResNetSpec("tiny", "basic", (1,), (8,), stem="cifar", stem_width=8)
CLASSES, BATCH, STEPS, EPOCHS = 4, 16, 3, 4
STOPPED = 75


def images(count: int) -> Split:
    """Noise whose first pixel says the image's number."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)
    pixels[:, 0, 0, 0] = np.arange(count)
    return Split(ArrayImages(pixels), np.arange(count), np.arange(count) % CLASSES, classes(CLASSES))


TRAINING, VALIDATION = images(BATCH * STEPS), images(21)


class Steps(keras.callbacks.Callback):
    """What every step and epoch reported."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []
        self.iterations: list[int] = []
        self.epochs: list[dict[str, float]] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.losses.append(float((logs or {})["loss"]))
        self.iterations.append(int(self.model.optimizer.iterations.numpy()))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.epochs.append({name: float(value) for name, value in (logs or {}).items()})


def network(
    place: Distribution, *, synchronised: bool = True, dropout: float = 0.0, accumulate: int | None = None
) -> keras.Model:
    """A compiled model whose optimizer clips and decays."""
    with place.scope():
        model = build(
            NET,
            CLASSES,
            preprocessing=Preprocessing(Fit((8, 8), 1), (127.0,), (74.0,), tuple("abcd")),
            classifier_activation=None,
            dropout=dropout,
            seed=0,
        )
        optimizer = optimizer_named(
            "sgd", 0.05, momentum=0.9, weight_decay=1e-3, clip="norm", clip_at=0.5, accumulate=accumulate or 1
        )
        optimizer.build(model.trainable_variables)
        model.compile(
            optimizer,
            keras.losses.CategoricalCrossentropy(from_logits=True),
            metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
            jit_compile=False,
        )
    if synchronised:
        synchronise_batch_norm(model)
    return model


def training_data(place: Distribution, first_epoch: int = 0, epochs: int = EPOCHS) -> object:
    return place.training_data(
        lambda worker: training_batches(
            TRAINING, BATCH, policy("none"), seed=1, first_epoch=first_epoch, epochs=epochs, worker=worker
        ),
        BATCH,
    )


def evaluation_data(place: Distribution, split: Split = VALIDATION, batch_size: int = 4) -> tuple[object, int]:
    return place.evaluation_data(lambda worker: evaluation_batches(split, batch_size, worker=worker))


def train(
    place: Distribution, model: keras.Model, first_epoch: int = 0, epochs: int = EPOCHS, *callbacks: object
) -> Steps:
    steps = Steps()
    validation, validation_steps = evaluation_data(place)
    model.fit(
        training_data(place, first_epoch, epochs),
        initial_epoch=first_epoch,
        epochs=epochs,
        steps_per_epoch=STEPS,
        validation_data=validation,
        validation_steps=validation_steps,
        callbacks=[steps, *callbacks],
        shuffle=False,
        verbose=0,
    )
    return steps


def shown(place: Distribution, data: object, steps: int) -> list[list[list[int]]]:
    """The numbers of the images that each replica of this process gets in each step."""
    iterator = iter(data)  # type: ignore[call-overload]
    return [
        [part[:, 0, 0, 0].numpy().tolist() for part in place.strategy.experimental_local_results(next(iterator)[0])]
        for _ in range(steps)
    ]


class DieInTheMiddle(keras.callbacks.Callback):
    """The second worker dies at once, as by a power cut."""

    def __init__(self, place: Distribution) -> None:
        super().__init__()
        self.place = place

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if not self.place.is_chief:
            os.kill(os.getpid(), signal.SIGKILL)


def main(out: Path) -> int:
    """One worker: it trains, writes what it saw, and trains on until the other one dies."""
    place = distribution("multiworker")
    seen = shown(place, training_data(place), STEPS * EPOCHS)
    evaluated = shown(place, *evaluation_data(place))
    asked = [place.anywhere(place.worker[0] == number) for number in (1, 2)]
    model = network(place)
    place.prepare(model)
    steps = train(place, model)
    report = {
        "worker": place.worker,
        "seen": seen,
        "evaluated": evaluated,
        "asked": asked,
        "losses": steps.losses,
        "epochs": steps.epochs,
        "weights": [variable.numpy().tolist() for variable in model.trainable_variables],
    }
    (out / f"{place.worker[0]}.json").write_text(json.dumps(report))
    try:
        train(place, model, EPOCHS, EPOCHS + 100, DieInTheMiddle(place))
    except tf.errors.OpError as error:
        return STOPPED if is_lost_worker(error) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
