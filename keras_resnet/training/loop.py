"""The training loop: one `model.fit` a phase, a checkpoint an epoch, and what to do when something goes wrong.

A training that was stopped, killed or set back ends with the same bits as one that never was.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from keras_resnet.augment.policies import Policy
from keras_resnet.callbacks.interruption import Interruption
from keras_resnet.callbacks.setbacks import RATE_FACTOR, TRIES, WINDOW, Setback, diagnosis, what_is_wrong
from keras_resnet.callbacks.state import State
from keras_resnet.data.balance import loss_weights
from keras_resnet.data.batches import (
    batch_images,
    data_errors,
    evaluation_batches,
    permutation,
    steps_per_epoch,
    training_batches,
)
from keras_resnet.data.images import ImageData
from keras_resnet.data.stores import at_size
from keras_resnet.errors import StoppedError, StorageError
from keras_resnet.runs.run import Run
from keras_resnet.shortage import shortage
from keras_resnet.training.checkpointer import Checkpointer
from keras_resnet.training.distribution import is_lost_worker
from keras_resnet.training.phases import Phase, next_phase, total_epochs

EVALUATION_BATCH = 256
"""Images; halved while memory runs out."""
LOG_EVERY = 10
"""Updates between two rows of `metrics.jsonl`."""


class TrainingLoop:
    """Trains by a recipe to its end, from the last checkpoint if there is one.

    Args:
        checkpointer: The network and where it stands.
        data: What it is trained on.
        interruption: Whether it shall stop.
        policy: How its training images are augmented.
    """

    def __init__(self, checkpointer: Checkpointer, data: ImageData, interruption: Interruption, policy: Policy) -> None:
        self.checkpointer, self.data, self.interruption, self.policy = checkpointer, data, interruption, policy
        self.recipe, self.run, self.progress = checkpointer.recipe, checkpointer.run, checkpointer.progress
        self.steps = steps_per_epoch(data.train, self.recipe.batch_size)
        self.batch = batch_images(data.train, self.recipe.batch_size, policy.repeats)
        self.place = checkpointer.place
        self.task = data.task
        self.guess = self.task.loss_of_a_guess(self.recipe.loss)
        self._evaluate_by(EVALUATION_BATCH)
        self.weights = loss_weights(self.recipe.class_weights, data.train)

    def run_to_end(self) -> None:
        """Train the epochs that are left.

        Raises:
            StoppedError: It was asked to; there is a checkpoint.
            DivergedError: It went wrong again and again.
            StorageError: A checkpoint cannot be written, or memory does not suffice for the smallest batch.
        """
        self.checkpointer.open()
        self.progress.begin(self.recipe, self.data, self.run, self.checkpointer.state, self.steps, self.batch)
        while self.checkpointer.state.epoch < total_epochs(self.recipe):
            lack: Exception | None = None
            try:
                self._train(next_phase(self.recipe, self.checkpointer.state, self.steps))
            except Setback as setback:
                self._go_back(setback)
            except Exception as error:
                if shortage(error) == "memory":
                    lack = error.with_traceback(None)  # which would keep what fills the memory
                elif is_lost_worker(error):
                    raise StoppedError(
                        "another worker was lost: start all of them again by the same command, which goes on from the "
                        f"last checkpoint in {self.run.path}"
                    ) from error
                else:
                    raise
            if lack:
                self._use_less_memory(lack)

    def _train(self, phase: Phase) -> None:
        self.checkpointer.ready(head=phase.head, size=phase.size, steps=self.steps, batch=self.batch)
        if not phase.steps:  # it was stopped between the last batch and the end of the epoch
            self.end_epoch()
            return
        parts = self.checkpointer.state.parts
        images = self.data.train.images
        if phase.size:
            images = at_size(images, (phase.size, phase.size))
        split = replace(self.data.train, images=images)

        def share(worker: tuple[int, int]) -> tf.data.Dataset:
            return training_batches(
                split,
                self.recipe.batch_size,
                self.policy,
                seed=self.recipe.seed,
                first_epoch=phase.first,
                epochs=phase.end,
                steps=phase.steps,
                parts=parts,
                worker=worker,
                sampling=self.recipe.sampling,
                class_weights=self.weights,
            )

        with data_errors(images, self.data.validation.images):
            self.checkpointer.compiled.model.fit(
                self.place.training_data(share, self.batch // parts),
                initial_epoch=phase.first,
                epochs=phase.end,
                steps_per_epoch=len(phase.steps) * parts,
                callbacks=[PhaseCallback(self, phase)],
                shuffle=False,  # the pipeline shuffles
                verbose=0,
            )

    def end_epoch(self) -> None:
        """Validate, record, write a checkpoint."""
        checkpointer, state = self.checkpointer, self.checkpointer.state
        state.step = self.steps
        training_seconds, began, stop = state.seconds, time.perf_counter(), StopWhenAsked(self)
        with checkpointer.average.swapped():
            found = self._evaluate(stop)
            if not stop.stopped:
                # The last update may have spoilt the weights: its loss was computed before it.
                if not math.isfinite(found["loss"]):
                    raise Setback(f"the validation loss became {found['loss']}", state.epoch, self.steps - 1)
                checkpointer.keep_best(found[self.task.monitored])
        if stop.stopped:
            self.stop()
        row = {
            "epoch": state.epoch + 1,
            "step": state.updates,
            **state.means,
            "val_loss": found["loss"],
            **{f"val_{name}": value for name, value in found.items() if name != "loss"},
            "learning_rate": checkpointer.compiled.learning_rate,
            "seconds": state.seconds + time.perf_counter() - began,
        }
        rate = self.steps * self.batch / max(training_seconds, 1e-9)
        checkpointer.record({"event": "epoch", **row, "images_per_second": rate, **checkpointer.health.observe()})
        state.rows.append(row)
        if state.epoch >= state.setback_epoch:  # the epoch that went wrong is done
            state.tries = 0
        state.epoch, state.step, state.sums, state.seconds = state.epoch + 1, 0, {}, 0.0
        checkpointer.save()
        if self.place.is_chief:
            self.run.record_metrics(state.rows)
        self.progress.epoch_ended(row)
        if self.shall_stop() and state.epoch < total_epochs(self.recipe):
            checkpointer.event("stopped")
            raise stopped(self.run, state)

    def _evaluate_by(self, batch: int) -> None:
        self.evaluation_batch = batch
        self.validation, self.validation_steps = self.place.evaluation_data(
            lambda worker: evaluation_batches(self.data.validation, batch, worker=worker)
        )

    def _evaluate(self, stop: StopWhenAsked) -> dict[str, float]:
        """Loss and metrics on the validation images, in smaller batches if memory runs out."""
        while True:
            try:
                return self.checkpointer.compiled.model.evaluate(
                    self.validation, steps=self.validation_steps, return_dict=True, verbose=0, callbacks=[stop]
                )
            except Exception as error:
                if shortage(error) != "memory":
                    raise
                if self.evaluation_batch == 1:
                    raise StorageError("out of memory, even with 1 image at a time: lower --image-size") from error
                self.checkpointer.warn(f"out of memory: validating {self.evaluation_batch // 2} images at a time")
                self._evaluate_by(self.evaluation_batch // 2)

    def shall_stop(self) -> bool:
        """Whether any worker was asked to."""
        return self.place.anywhere(self.interruption.requested)

    def stop(self) -> None:
        """Write a checkpoint and raise StoppedError."""
        self.checkpointer.save()
        self.checkpointer.event("stopped")
        raise stopped(self.run, self.checkpointer.state)

    def _go_back(self, setback: Setback) -> None:
        checkpointer, failed = self.checkpointer, self.checkpointer.state
        if failed.tries >= TRIES:
            raise diagnosis(
                setback,
                rate=checkpointer.compiled.learning_rate,
                gradient_norms=checkpointer.compiled.gradient_norms,
                images=self._images_of(setback.epoch, setback.step),
                first=self.run.first_statistics,
                kept=self.run.path,
            )
        text = f"{setback.reason} in epoch {setback.epoch + 1}, batch {setback.step + 1}"
        checkpointer.event("setback", text=text, learning_rate=checkpointer.compiled.learning_rate)
        absent = [step for epoch, step in failed.left_out if epoch == setback.epoch]
        alone = len(absent) + 1 >= self.steps  # an epoch must keep one batch
        checkpointer.go_back(
            failed.tries,  # one further back each time: the newest checkpoint may hold spoilt weights
            rate_factor=failed.rate_factor * RATE_FACTOR,
            tries=failed.tries + 1,
            setback_epoch=max(setback.epoch, failed.setback_epoch),
            left_out=failed.left_out if alone else [*failed.left_out, [setback.epoch, setback.step]],
        )
        self.progress.note(
            f"{text}: back to epoch {checkpointer.state.epoch + 1}, batch {checkpointer.state.step + 1}, "
            f"{'' if alone else 'leaving that batch out, '}at {checkpointer.state.rate_factor:g} times the rate "
            f"(try {checkpointer.state.tries} of {TRIES})"
        )

    def _use_less_memory(self, error: Exception) -> None:
        checkpointer, least = self.checkpointer, 2 * self.place.replicas  # images in a part
        before = checkpointer.state.parts
        fitting = [n for n in range(2 * before, self.batch // least + 1) if self.batch % n == 0]
        parts = next((n for n in fitting if self.batch // n % self.place.replicas == 0), 0)
        if not parts:
            raise StorageError(
                f"out of memory, even with {self.batch // before} images at a time: lower --image-size "
                "or --batch-size, use a smaller --model, or --recompute"
            ) from error
        checkpointer.event("out of memory", parts=parts)
        checkpointer.go_back(parts=parts)
        self.progress.note(
            f"out of memory: from now on each batch of {self.batch} images is computed in {parts} parts of "
            f"{self.batch // parts}, "
            "which gives the same updates but for batch normalisation, whose statistics are of each part"
        )

    def _images_of(self, epoch: int, step: int) -> list[str]:
        if self.recipe.sampling != "uniform":
            return []
        size = self.batch // self.recipe.repeats
        order = permutation(len(self.data.train), self.recipe.seed, tf.constant(epoch, tf.int64)).numpy()
        return [self.data.names[self.data.train.indices[place]] for place in order[step * size : (step + 1) * size]]


class PhaseCallback(keras.callbacks.Callback):
    """What Keras calls after every micro-batch of a phase: counts, checks, records, saves."""

    def __init__(self, training: TrainingLoop, phase: Phase) -> None:
        super().__init__()
        self.training, self.phase, self.checkpointer = training, phase, training.checkpointer
        self._steps: Iterator[int] = iter(())
        self._clock = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._steps = iter(self.phase.steps)
        self._clock = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        checkpointer, state = self.checkpointer, self.checkpointer.state
        if (batch + 1) % state.parts:
            return
        checkpointer.compiled.end_batch()
        step, loss = next(self._steps), self._count(state)
        wrong = what_is_wrong(loss, state.losses, self.training.guess)
        if wrong:
            raise Setback(wrong, state.epoch, step)
        state.step, state.updates = step + 1, state.updates + 1
        state.losses = [*state.losses[1 - WINDOW :], loss]
        checkpointer.compiled.average_statistics()
        checkpointer.average.update(state.updates)
        if state.updates % LOG_EVERY == 0:
            self._log(state)
        self.training.progress.updated(state, checkpointer.compiled.learning_rate)
        if self.training.shall_stop():
            self.training.stop()
        if checkpointer.place.anywhere(checkpointer.is_due()):
            checkpointer.save()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.training.end_epoch()

    def _count(self, state: State) -> float:
        """Take the last update's sums out of the metrics and return its loss.

        Keras would go on adding in float32. Sums of each update, added in float64, do not depend on when a training
        was stopped.
        """
        loss, images, right, _ = (float(variable.numpy()) for variable in self.checkpointer.compiled.sums)
        self.model.reset_metrics()
        clock = time.perf_counter()
        seconds, self._clock = clock - self._clock, clock
        added = {"loss": loss, "images": images, "right": right}
        state.sums = {name: state.sums.get(name, 0.0) + value for name, value in added.items()}
        added |= {"seconds": seconds}
        state.window = {name: state.window.get(name, 0.0) + value for name, value in added.items()}
        state.seconds += seconds
        return loss / images

    def _log(self, state: State) -> None:
        window, state.window = state.window, {}
        self.checkpointer.record(
            {
                "event": "step",
                "epoch": state.epoch + 1,
                "step": state.updates,
                "loss": window["loss"] / window["images"],
                "accuracy": window["right"] / window["images"],
                "learning_rate": self.checkpointer.compiled.learning_rate,
                "images_per_second": window["images"] / window["seconds"],
                "image_size": self.phase.size or max(self.training.data.train.images.shape[:2]),
                "gradient_norms": self.checkpointer.compiled.gradient_norms,
            }
        )


class StopWhenAsked(keras.callbacks.Callback):
    """Ends an evaluation early."""

    def __init__(self, training: TrainingLoop) -> None:
        super().__init__()
        self.training = training
        self.stopped = False

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.training.shall_stop():
            self.model.stop_evaluating = self.stopped = True


def stopped(run: Run, state: State) -> StoppedError:
    """The error of a training that was asked to stop."""
    return StoppedError(
        f"stopped in epoch {state.epoch + 1} after batch {state.step}, with a checkpoint in {run.path}: the same "
        "command, without --overwrite, continues"
    )
