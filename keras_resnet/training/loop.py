"""Train into a run folder from wherever it stands, so that it ends as if it had never stopped."""

from __future__ import annotations

import math
import time

import tensorflow as tf

from keras_resnet.augment.policies import Policy
from keras_resnet.data.balance import loss_weights
from keras_resnet.data.batches import (
    batch_images,
    data_errors,
    evaluation_batches,
    permutation,
    steps_per_epoch,
    training_batches,
)
from keras_resnet.data.images import ImageData, Split, at_size
from keras_resnet.errors import StoppedError, StorageError
from keras_resnet.runs.run import Run
from keras_resnet.training.callbacks import Epochs, StopWhenAsked
from keras_resnet.training.distribution import is_lost_worker
from keras_resnet.training.interruption import Interruption
from keras_resnet.training.phases import Stretch, next_stretch, total_epochs
from keras_resnet.training.session import Session
from keras_resnet.training.setbacks import RATE_FACTOR, TRIES, Setback, diagnosis, loss_of_a_guess
from keras_resnet.training.state import State

EVALUATION_BATCH = 256
"""Fewer where memory does not suffice."""


class Training:
    """Carries a session to the recipe's end, whatever comes in between.

    Args:
        session: The network and where it stands.
        data: What it is trained on.
        interruption: Whether it shall stop.
        policy: How its training images are augmented.
    """

    def __init__(self, session: Session, data: ImageData, interruption: Interruption, policy: Policy) -> None:
        self.session, self.data, self.interruption, self.policy = session, data, interruption, policy
        self.recipe, self.run, self.progress = session.recipe, session.run, session.progress
        self.classes = len(data.class_names)
        self.steps = steps_per_epoch(data.train, self.recipe.batch_size)
        self.batch = batch_images(data.train, self.recipe.batch_size, policy.repeats)
        self.place = session.place
        self.guess = loss_of_a_guess(self.recipe.loss, self.classes)
        self._evaluate_by(EVALUATION_BATCH)
        self.weights = loss_weights(self.recipe.class_weights, data.train.labels, self.classes)

    def run_to_end(self) -> None:
        """Train all that is left.

        Raises:
            StoppedError: It was asked to; there is a checkpoint.
            DivergedError: It went wrong again and again.
            StorageError: A checkpoint cannot be written, or memory does not suffice for the smallest batch.
        """
        self.session.open()
        self.progress.begin(self.recipe, self.data, self.run, self.session.state, self.steps, self.batch)
        while self.session.state.epoch < total_epochs(self.recipe):
            try:
                self._train(next_stretch(self.recipe, self.session.state, self.steps))
            except Setback as setback:
                self._go_back(setback)
            except (tf.errors.ResourceExhaustedError, MemoryError) as error:
                self._use_less_memory(error)
            except tf.errors.OpError as error:
                if not is_lost_worker(error):
                    raise
                raise StoppedError(
                    "another worker was lost: start all of them again by the same command, which goes on from the last "
                    f"checkpoint in {self.run.path}"
                ) from error

    def _train(self, stretch: Stretch) -> None:
        self.session.ready(head=stretch.head, size=stretch.size, steps=self.steps, batch=self.batch)
        if not stretch.steps:  # every batch was done; the end of the epoch was not
            self.end_epoch()
            return
        parts = self.session.state.parts
        images = self.data.train.images
        if stretch.size:
            images = at_size(images, (stretch.size, stretch.size))
        split = Split(images, self.data.train.indices, self.data.train.labels)

        def share(worker: tuple[int, int]) -> tf.data.Dataset:
            return training_batches(
                split,
                self.classes,
                self.recipe.batch_size,
                self.policy,
                seed=self.recipe.seed,
                first_epoch=stretch.first,
                epochs=stretch.end,
                steps=stretch.steps,
                parts=parts,
                worker=worker,
                sampling=self.recipe.sampling,
                class_weights=self.weights,
            )

        with data_errors(images, self.data.validation.images):
            self.session.trainee.model.fit(
                self.place.training_data(share, self.batch // parts),
                initial_epoch=stretch.first,
                epochs=stretch.end,
                steps_per_epoch=len(stretch.steps) * parts,
                callbacks=[Epochs(self, stretch)],
                shuffle=False,  # the order is the pipeline's
                verbose=0,
            )

    def end_epoch(self) -> None:
        """Validate, record, write a checkpoint."""
        session, state = self.session, self.session.state
        state.step = self.steps
        training_seconds, began, stop = state.seconds, time.perf_counter(), StopWhenAsked(self)
        with session.average.swapped():
            found = self._evaluate(stop)
            if not stop.stopped:
                # The last update may have ruined what its own loss did not show yet.
                if not math.isfinite(found["loss"]):
                    raise Setback(f"the validation loss became {found['loss']}", state.epoch, self.steps - 1)
                session.keep_best(found["accuracy"])
        if stop.stopped:
            self.stop()
        row = {
            "epoch": state.epoch + 1,
            "step": state.updates,
            **state.means,
            "val_loss": found["loss"],
            "val_accuracy": found["accuracy"],
            "learning_rate": session.trainee.learning_rate,
            "seconds": state.seconds + time.perf_counter() - began,
        }
        rate = self.steps * self.batch / max(training_seconds, 1e-9)
        session.record({"event": "epoch", **row, "images_per_second": rate, **session.health.observe()})
        state.rows.append(row)
        if state.epoch >= state.setback_epoch:  # an epoch before it, trained once more, proves nothing
            state.tries = 0
        state.epoch, state.step, state.sums, state.seconds = state.epoch + 1, 0, {}, 0.0
        session.save()
        if self.place.is_chief:
            self.run.record_metrics(state.rows)
        self.progress.epoch_ended(row)
        if self.shall_stop() and state.epoch < total_epochs(self.recipe):
            session.event("stopped")
            raise stopped(self.run, state)

    def _evaluate_by(self, batch: int) -> None:
        self.evaluation_batch = batch
        self.validation, self.validation_steps = self.place.evaluation_data(
            lambda worker: evaluation_batches(self.data.validation, self.classes, batch, worker=worker)
        )

    def _evaluate(self, stop: StopWhenAsked) -> dict[str, float]:
        """Loss and accuracy on the validation images, of fewer at a time where memory does not suffice."""
        while True:
            try:
                return self.session.trainee.model.evaluate(
                    self.validation, steps=self.validation_steps, return_dict=True, verbose=0, callbacks=[stop]
                )
            except (tf.errors.ResourceExhaustedError, MemoryError) as error:
                if self.evaluation_batch == 1:
                    raise StorageError("out of memory, even with 1 image at a time: lower --image-size") from error
                self.session.warn(f"out of memory: validating {self.evaluation_batch // 2} images at a time")
                self._evaluate_by(self.evaluation_batch // 2)

    def shall_stop(self) -> bool:
        """Whether any worker was asked to."""
        return self.place.anywhere(self.interruption.requested)

    def stop(self) -> None:
        """Write a checkpoint and raise StoppedError."""
        self.session.save()
        self.session.event("stopped")
        raise stopped(self.run, self.session.state)

    def _go_back(self, setback: Setback) -> None:
        session, failed = self.session, self.session.state
        if failed.tries >= TRIES:
            raise diagnosis(
                setback,
                rate=session.trainee.learning_rate,
                gradient_norms=session.trainee.gradient_norms,
                images=self._images_of(setback.epoch, setback.step),
                kept=self.run.path,
            )
        text = f"{setback.reason} in epoch {setback.epoch + 1}, batch {setback.step + 1}"
        session.event("setback", text=text, learning_rate=session.trainee.learning_rate)
        absent = [step for epoch, step in failed.left_out if epoch == setback.epoch]
        alone = len(absent) + 1 >= self.steps  # an epoch must have a batch
        session.go_back(
            failed.tries,  # further each time: the last may hold what was spoilt already and did not show yet
            rate_factor=failed.rate_factor * RATE_FACTOR,
            tries=failed.tries + 1,
            setback_epoch=max(setback.epoch, failed.setback_epoch),
            left_out=failed.left_out if alone else [*failed.left_out, [setback.epoch, setback.step]],
        )
        self.progress.note(
            f"{text}: back to epoch {session.state.epoch + 1}, batch {session.state.step + 1}, "
            f"{'' if alone else 'leaving that batch out, '}at {session.state.rate_factor:g} times the rate "
            f"(try {session.state.tries} of {TRIES})"
        )

    def _use_less_memory(self, error: Exception) -> None:
        session, least = self.session, 2 * self.place.replicas  # images
        fitting = [n for n in range(2 * session.state.parts, self.batch // least + 1) if self.batch % n == 0]
        parts = next((n for n in fitting if self.batch // n % self.place.replicas == 0), 0)
        if not parts:
            raise StorageError(
                f"out of memory, even with {self.batch // session.state.parts} images at a time: lower --image-size "
                "or --batch-size, use a smaller --model, or --recompute"
            ) from error
        session.event("out of memory", parts=parts)
        session.go_back(parts=parts)
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


def stopped(run: Run, state: State) -> StoppedError:
    """The error of a training that was asked to stop."""
    return StoppedError(
        f"stopped in epoch {state.epoch + 1} after batch {state.step}, with a checkpoint in {run.path}: the same "
        "command, without --overwrite, continues"
    )
