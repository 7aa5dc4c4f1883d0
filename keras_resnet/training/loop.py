"""The training of a recipe: one `model.fit` a phase, with the callbacks that anyone's `fit` may have.

A training that was stopped or killed ends with the same bits as one that never was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import tensorflow as tf

from keras_resnet.atomic import write_with
from keras_resnet.augment.policies import Policy
from keras_resnet.callbacks.between_batches import BetweenBatches
from keras_resnet.callbacks.checkpoint import CheckpointStore
from keras_resnet.callbacks.diagnosis import Diagnosis
from keras_resnet.callbacks.exact_checkpoint import ExactCheckpoint, Requests
from keras_resnet.callbacks.guard import Guard
from keras_resnet.callbacks.magnitude_pruning import MagnitudePruning
from keras_resnet.callbacks.moving_average import MovingAverage
from keras_resnet.callbacks.notes import note
from keras_resnet.callbacks.place import Place
from keras_resnet.callbacks.progress import Progress
from keras_resnet.callbacks.run_folder import few, kept_epoch
from keras_resnet.data.balance import loss_weights
from keras_resnet.data.batches import (
    Position,
    batch_images,
    data_errors,
    evaluation_batches,
    repeated_batches,
    steps_per_epoch,
    training_batches,
)
from keras_resnet.data.images import ImageData, Split
from keras_resnet.data.stores import at_size
from keras_resnet.display import Display
from keras_resnet.errors import StoppedError, StorageError, UsageError
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.runs.contents import KeptEpoch
from keras_resnet.runs.run import Run
from keras_resnet.shortage import shortage
from keras_resnet.tasks.intervals import wilson_interval
from keras_resnet.training.behind_frozen import FILE as FROZEN
from keras_resnet.training.behind_frozen import cut, feature_maps, fits_into_memory, keep_weights, stays_the_same
from keras_resnet.training.distribution import is_lost_worker
from keras_resnet.training.network import CompiledNetwork
from keras_resnet.training.phases import Phase, phase_at, total_epochs
from keras_resnet.training.probe import FEWEST, in_words, mistakes, probe
from keras_resnet.training.start import FILE as START
from keras_resnet.transfer.linear_probe import LinearProbe
from keras_resnet.weights.files import assign, variables_by_path
from keras_resnet.weights.saving import save_model

MOST_EVALUATED = 256
"""Images that are evaluated at once; no more than are trained on at once, so that the memory suffices."""

FEWEST_TO_CHOOSE = 100
"""Of fewer validation images, the best epoch is best by chance: the last one is kept, whose learning rate is lowest."""


@dataclass(frozen=True)
class Saving:
    """When checkpoints are written, besides at the end of every epoch, and how many are kept.

    Args:
        steps: After so many updates; 0: not by their number.
        minutes: After so many minutes; 0: not by time.
        keep: At least 1.

    Raises:
        UsageError: A number is out of range.
    """

    steps: int = 0
    minutes: float = 10.0
    keep: int = 3

    def __post_init__(self) -> None:
        if self.steps < 0 or not self.minutes >= 0 or self.keep < 1:
            raise UsageError(
                "checkpoints are written every so many steps or minutes (at least 0), and at least 1 is kept; "
                f"received {self.steps}, {self.minutes} and {self.keep}"
            )


AT_FIRST = {"epoch": 1, "step": 0, "updates": 0}
"""Where events lie that come before the first batch of a process."""


class RecipeRun:
    """The run folder of a recipe's training.

    Args:
        run: The folder.
        compiled: The network.
        preprocessing: Put into the file of the finished model.
        data: What it is trained on.
    """

    def __init__(self, run: Run, compiled: CompiledNetwork, preprocessing: Preprocessing, data: ImageData) -> None:
        self.run, self.compiled, self.preprocessing, self.data = run, compiled, preprocessing, data

    def finish(self, model: keras.Model, place: Place, monitored: str | None) -> None:
        """Save the model, keep a few images, and mark the run as finished.

        Args:
            model: With the best weights.
            place: The end of its training.
            monitored: What chose the weights; None: nothing was ever measured.
        """
        self.run.keep_images(few(self.data.train))
        # Without what serves training alone: mixed precision, statistics shared by replicas, any size.
        network = self.compiled.finished(self.preprocessing)
        variables = variables_by_path(self.compiled.whole) | variables_by_path(model)
        weights = {name: one.numpy() for name, one in variables.items()}
        assign(variables_by_path(network), weights, "the best weights")
        write_with(self.run.model, lambda temporary: save_model(network, temporary, self.preprocessing))
        metric = None if monitored is None else monitored.removeprefix("val_")
        kept = kept_epoch(place, metric, len(self.data.validation))
        self.run.finish(kept)
        for name in (FROZEN, START):
            (self.run.path / name).unlink(missing_ok=True)
        if kept:
            note(self._kept_in_words(kept, place))

    def _kept_in_words(self, kept: KeptEpoch, place: Place) -> str:
        name, value, images = kept["metric"].replace("_", " "), f"{place.best_value:.4f}", kept["images"]
        if kept["metric"] == "accuracy":
            low, high = wilson_interval(round((place.best_value or 0.0) * images), images)
            value += f" (95 % interval {low:.2f} to {high:.2f})"
        on = f"on the {images} {kept['split']} images"
        few = f"too few to choose one. Its {name} on them: {value}"
        if not kept["epoch"]:
            return f"kept the linear probe: no epoch was as good {on} as it is, whose {name} is {value}"
        if images >= FEWEST_TO_CHOOSE:
            which = f"the last with the highest {name} {on}, {value}"
        elif place.first_value is None:
            which = f"the last: {images} {kept['split']} images are {few}"
        else:
            which = (
                f"the last: {images} {kept['split']} images do not show it to be worse than the linear probe, and are "
                f"{few}"
            )
        return f"kept the weights of epoch {kept['epoch']} of {place.epoch}, {which}"


class TrainingLoop:
    """Trains by a recipe to its end, from the last checkpoint if there is one.

    Args:
        folder: The network, its data and where it is saved.
        policy: How training images are augmented.
        requests: Whether it shall stop.
        display: Shows it.
        saving: When checkpoints are written.
        tensorboard: Also write event files for TensorBoard.
    """

    def __init__(
        self,
        folder: RecipeRun,
        policy: Policy,
        requests: Requests,
        display: Display,
        saving: Saving,
        *,
        tensorboard: bool = False,
    ) -> None:
        self.folder, self.policy, self.requests, self.saving = folder, policy, requests, saving
        self.compiled, self.data, self.run = folder.compiled, folder.data, folder.run
        self.recipe, self.place, self.task = self.compiled.recipe, self.compiled.place, folder.data.task
        self.steps = steps_per_epoch(self.data.train, self.recipe.batch_size)
        self.batch = batch_images(self.data.train, self.recipe.batch_size, policy.repeats)
        self.parts = self.recipe.accumulate
        self.weights = loss_weights(self.recipe.class_weights, self.data.train)
        self.display, self.progress = display, Progress()
        self.progress.display = display
        # Workers look at the metrics together, or never.
        self.progress.by_time = self.place.worker[1] == 1
        self.diagnosis = Diagnosis(self.run.path, self.data.validation, tensorboard=tensorboard, report=False)
        self.diagnosis.network = self.compiled.network
        self.diagnosis.replicas = 1 if self.recipe.sync_batchnorm else self.place.replicas

    def run_to_end(self) -> None:
        """Train the epochs that are left.

        Raises:
            StoppedError: It was asked to; there is a checkpoint.
            DivergedError: It went wrong again and again.
            StorageError: A checkpoint cannot be written, or memory does not suffice for the smallest batch.
        """
        place = self._newest()
        self._say(place)
        if (
            self.recipe.probe != "none"
            and CheckpointStore(self.run.checkpoints).is_empty
            and self._is_enough(self._probe(alone=self.recipe.probe == "only"))
        ):
            self.folder.finish(self.compiled.network, Place(finished=True), None)
            return
        self._compute_frozen()
        while True:
            lack: Exception | None = None
            try:
                place = self._fit(place)
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
                place = self._newest()
                self._use_less_memory(lack, place)
            elif place.finished:
                return

    def _compute_frozen(self) -> None:
        """Put what the frozen part makes of the images in their place, if that is the same in every epoch."""
        begun = not CheckpointStore(self.run.checkpoints).is_empty
        if self.place.replicas > 1 or not stays_the_same(self.recipe, self.policy):
            return
        front, behind = cut(self.compiled.network, self.recipe.frozen)
        parts = {name: self.data.splits[name] for name in ("train", "validation")}
        was_kept = (self.run.path / FROZEN).exists()
        if not (was_kept if begun else fits_into_memory(front, sum(map(len, parts.values())))):
            return
        keep_weights(front, self.run.path, is_new=not begun)
        with data_errors(*(part.images for part in parts.values())):
            for name, part in parts.items():
                parts[name] = feature_maps(
                    front, part, lambda done, total: self.display.show("computing what is frozen", done, total)
                )
                self.display.close()
        note(f"what {self.recipe.frozen} makes of the images is computed once: no augmentation changes them")
        self.data = replace(self.data, splits={**self.data.splits, **parts})
        self.compiled.train_behind_frozen(behind)  # what looks at the whole network goes on doing so

    def _fit(self, place: Place) -> Place:
        """One call of `fit`: to the end of a phase.

        Returns:
            Where the training stands then.
        """
        phase = phase_at(self.recipe, place.epoch)
        if self.compiled.compile(head=phase.head, parts=self.parts, size=phase.size, steps=self.steps):
            self.place.prepare(self.compiled.model)
        batches, data = self._batches(phase, place)
        saving = ExactCheckpoint(
            self.run.path,
            data,
            steps=self.saving.steps,
            minutes=self.saving.minutes,
            keep=self.saving.keep,
            monitor=f"val_{self.task.monitored}",
            epochs=total_epochs(self.recipe),
        )
        saving.until = self.recipe.head_epochs if phase.head else total_epochs(self.recipe)
        if len(self.data.validation) < FEWEST_TO_CHOOSE:
            saving.takes_latest = self._least
        saving.within(self.folder, self.requests, self._stop, self.place)
        guard = Guard(guess=self.task.loss_of_a_guess(self.recipe.loss))
        guard.remedy = self._remedy()
        sparse = self.recipe.sparsity or self.recipe.sparsity_pattern
        pruning = [MagnitudePruning(self.recipe.sparsity or None, pattern=self.recipe.sparsity_pattern or None)]
        average = [*(pruning if sparse else []), *([MovingAverage(self.recipe.ema)] if self.recipe.ema else [])]
        evaluated = min(MOST_EVALUATED, self.batch // self.parts)
        validation, validation_steps = self.place.evaluation_data(
            lambda worker: evaluation_batches(self.data.validation, evaluated, worker=worker)
        )
        with data_errors(self.data.train.images, self.data.validation.images):
            if self.recipe.probe != "none" and not (place.epoch or place.step or place.best):
                # The probe is a result, too: where no epoch is better, it is kept.
                figures = self.compiled.model.evaluate(validation, steps=validation_steps, verbose=0, return_dict=True)
                saving.initial = {f"val_{name}": value for name, value in figures.items()}
            self.compiled.model.fit(
                batches,
                epochs=phase.end,
                steps_per_epoch=self.steps * self.parts if self.place.replicas > 1 else None,
                validation_data=validation,
                validation_steps=validation_steps,
                callbacks=[saving, Replicas(self.compiled, saving), *average, guard, self.diagnosis, self.progress],
                shuffle=False,  # the pipeline shuffles
                verbose=0,
            )
        return saving.place

    def _least(self, value: float) -> float:
        """What an epoch must reach on few validation images beside the value of the linear probe.

        50 images gave a probe 76 % that has 73.7 % of 2,000 others, and an epoch 66 % that has 76.1 %: docs/log.md. So
        only what lies below the probe's interval counts as worse.
        """
        images = len(self.data.validation)
        return wilson_interval(round(value * images), images)[0] if self.task.monitored == "accuracy" else value

    def _batches(self, phase: Phase, place: Place) -> tuple[Any, Any]:
        """The training data for `fit`, and for `ExactCheckpoint`."""
        train = self.data.train
        if phase.size:
            train = replace(train, images=at_size(train.images, (phase.size, phase.size)))
        options: dict[str, Any] = {
            "seed": self.recipe.seed,
            "parts": self.parts,
            "sampling": self.recipe.sampling,
            "class_weights": self.weights,
        }
        if self.place.replicas == 1:
            batches = repeated_batches(train, self.recipe.batch_size, self.policy, **options)
            return batches, batches
        share = self._share(train, phase, place, options)
        position = Position(train, self.steps, self.batch, self.parts)
        return self.place.training_data(share, self.batch // self.parts), position

    def _share(
        self, train: Split, phase: Phase, place: Place, options: dict[str, Any]
    ) -> Callable[[tuple[int, int]], tf.data.Dataset]:
        def share(worker: tuple[int, int]) -> tf.data.Dataset:
            return training_batches(
                train,
                self.recipe.batch_size,
                self.policy,
                first_epoch=place.epoch,
                first_step=place.step,
                epochs=phase.end,
                worker=worker,
                **options,
            )

        return share

    def _is_enough(self, found: LinearProbe) -> bool:
        """Whether nothing is trained beyond the probe, which then is the classifier."""
        if self.recipe.probe != "auto":
            return self.recipe.probe == "only"
        with data_errors(self.data.train.images, self.data.validation.images):
            wrong = mistakes(found, self.compiled, self.data, self.display)
        if wrong is None or wrong >= FEWEST:
            return False
        text = (
            f"kept the linear probe: it tells {wrong} of {len(self.data.validation)} validation images wrong, and "
            f"fewer than {FEWEST} could not show that a further training is better. --probe first trains further all "
            "the same"
        )
        note(text)
        if self.place.is_chief:
            self.run.record_event("note", AT_FIRST, text=text)
        if len(self.data.test):
            self._probe(alone=True)
        return True

    def _probe(self, alone: bool) -> LinearProbe:
        with data_errors(self.data.train.images, self.data.validation.images):
            found = probe(self.compiled, self.data, self.display, alone)
        note(in_words(found))
        if self.place.is_chief:
            self.run.record_event(
                "linear probe", AT_FIRST, text=in_words(found), images=len(found.labels), strength=found.strength
            )
        return found

    def _newest(self) -> Place:
        def damaged(text: str) -> None:
            note(text)
            if self.place.is_chief:
                self.run.record_event("note", AT_FIRST, text=text)

        if self.place.is_chief:
            self.run.events.mend()
        found = CheckpointStore(self.run.checkpoints).load(damaged)
        if found:
            self.parts = max(self.parts, found.state.parts)
        return found.state if found else Place()

    def _stop(self, place: Place) -> None:
        raise StoppedError(
            f"stopped in epoch {place.epoch + 1} after batch {place.step}, with a checkpoint in {self.run.path}: the "
            "same command, without --overwrite, continues"
        )

    def _use_less_memory(self, error: Exception, place: Place) -> None:
        least, before = 2 * self.place.replicas, self.parts  # images in a part
        fitting = [n for n in range(2 * before, self.batch // least + 1) if self.batch % n == 0]
        parts = next((n for n in fitting if self.batch // n % self.place.replicas == 0), 0)
        if not parts:
            raise StorageError(
                f"out of memory, even with {self.batch // before} images at a time: lower --image-size "
                "or --batch-size, use a smaller --model, or --recompute"
            ) from error
        self.parts = parts
        where = {"epoch": place.epoch + 1, "step": place.step, "updates": place.epoch * self.steps + place.step}
        if self.place.is_chief:
            self.run.record_event("out of memory", where, parts=parts)
        note(
            f"out of memory: from now on each batch of {self.batch} images is computed in {parts} parts of "
            f"{self.batch // parts}, "
            "which gives the same updates but for batch normalisation, whose statistics are of each part"
        )

    def _remedy(self) -> str:
        first = self.run.first_statistics
        if first is not None and not first.are_usual:  # no rate makes up for wrong pixels
            return (
                "The pixels are probably normalised otherwise than those that the initial weights were trained on "
                f"({first}): say the weights' own normalisation by --weights-preprocessing, and begin anew by "
                "--overwrite"
            )
        return (
            "Lower --learning-rate, lengthen --warmup-epochs or set --clip norm, and begin anew by --overwrite; look "
            "for odd images or labels by `keras-resnet check`"
        )

    def _say(self, place: Place) -> None:
        for text in self.data.notes:
            note(f"note: {text}")
        height, width, channels = self.data.train.images.shape
        only = self.recipe.probe == "only"
        counts = ", ".join(f"{len(split)} {name}" for name, split in self.data.splits.items())
        note(
            f"{self.run.network} on {self.data.name}: {len(self.data.class_names)} classes, {counts} images "
            f"of {height}×{width}×{channels}"
        )
        where = f" batch {place.step} of epoch {place.epoch + 1}" if place.step else f" epoch {place.epoch}"
        going_on = f", continuing after{where}" if place.epoch or place.step else ""
        if only:
            note(f"a linear probe of {self.recipe.weights} into {self.run.path}")
            return
        begun = place.epoch or place.step
        first = "a linear probe, and perhaps " if self.recipe.probe == "auto" and not begun else ""
        note(f"{first}{total_epochs(self.recipe)} epochs of {self.steps} steps into {self.run.path}{going_on}")


class Replicas(BetweenBatches):
    """Keeps what replicas of a network share, and what Keras does not know of batches in parts.

    Args:
        compiled: The network.
        saving: What restores its metrics.
    """

    def __init__(self, compiled: CompiledNetwork, saving: ExactCheckpoint) -> None:
        super().__init__()
        self.compiled, self.saving = compiled, saving
        self._gather: Callable[[Sequence[Any] | None], None] = lambda _: None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.compiled.place.part_random_streams(self.compiled.model)  # a checkpoint holds the first replica's
        self._gather = self.compiled.place.metrics_gatherer(self.compiled.model)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        if self.begun:
            self._gather(self.saving.metrics_before)

    def between_batches(self, before: int, done: int) -> None:
        if done % self.compiled.parts == 0:
            self.compiled.end_batch()
            self.compiled.average_statistics()
            self._gather(None)
