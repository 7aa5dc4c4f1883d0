"""The record of anyone's `model.fit`, and what it tells: a sheet of curves and warnings in plain words."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.allowed import COUNT
from keras_resnet.atomic import storage_errors
from keras_resnet.callbacks.between_batches import LOOK_EVERY, BetweenBatches, figures_of, mean_since, running_sums
from keras_resnet.callbacks.exact_checkpoint import ExactCheckpoint, those_before
from keras_resnet.callbacks.health import Health, images_to_look_with
from keras_resnet.callbacks.notes import note
from keras_resnet.callbacks.tensorboard import TensorBoardWriter, require_tensorboard
from keras_resnet.compat.fit import arguments_of_this_fit
from keras_resnet.data.images import Split
from keras_resnet.errors import UsageError
from keras_resnet.evaluation.report import report_history
from keras_resnet.explanation.history import History
from keras_resnet.optimizers.state import last_rate, unwrapped
from keras_resnet.runs.run import Run, is_run
from keras_resnet.settings import check_arguments

LOG_BYTES, CLOCKS, SEEN, HEALTH = "log_bytes", "clocks", "seen/", "health/"


class Diagnosis(BetweenBatches):
    """Records a `fit`, and says at its end what went wrong and what to do about it.

    `metrics.jsonl` in the folder gets a row every few batches and one an epoch: loss and metrics, learning rate, images
    a second, with an optimizer of this package the gradient norms of each stage, and each epoch how far normalisation
    statistics moved and which channels are dead. At the end `plots/training.png` shows all of it (with the extra
    `plots`), `evaluation/diagnosis.json` has the warnings, and they are said. The network is looked at as at inference;
    nothing of the training changes.

    It must come after `ExactCheckpoint`, with which the record goes on exactly. Without, it begins anew, or, in a `fit`
    that begins with a later epoch (`initial_epoch`), goes on behind the epochs before.

    Args:
        folder: Of the record; that of `ExactCheckpoint`, if there is one.
        images: A few of them are shown to the network after each epoch: a `Split`, or a `tf.data.Dataset` of batches
            (images, labels), as the model takes them; validation images best.
        every: Batches between two rows. To look means to wait for the device.
        tensorboard: Also write the record as TensorBoard's event files, to `tensorboard/` in the folder.
        report: Draw, and say the warnings, at the end.

    Attributes:
        symptoms: The warnings; none before the end.

    Raises:
        UsageError: `every` is less than 1, or `images` are something else; or, in `fit`, the order is wrong, or the
            folder holds a run and there is no `ExactCheckpoint`.
        MissingExtraError: `tensorboard` is wanted and TensorBoard is not installed.

    Example:
        >>> import keras_resnet
        >>> digits = keras_resnet.load_data("digits")
        >>> model = keras_resnet.ResNet8(num_classes=10, input_shape=(16, 16, 1))
        >>> model.compile(keras_resnet.optimizers.SGD(0.1), "categorical_crossentropy", metrics=["accuracy"])
        >>> diagnosis = keras_resnet.callbacks.Diagnosis("diagnosed", digits.validation)
        >>> _ = model.fit(digits.train.batches(64, seed=0).take(2), callbacks=[diagnosis], verbose=0)
        >>> [row["event"] for row in diagnosis.run.log.rows()]
        ['step', 'epoch']
    """

    @check_arguments(every=COUNT)
    def __init__(
        self,
        folder: str | os.PathLike[str],
        images: Split | tf.data.Dataset,
        *,
        every: int = LOOK_EVERY,
        tensorboard: bool = False,
        report: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(images, Split | tf.data.Dataset):
            raise UsageError(
                "the network is shown images of a Split, as images.validation, or of a tf.data.Dataset of batches; "
                f"received {type(images).__name__}: tf.data.Dataset.from_tensor_slices(arrays).batch(64) makes one"
            )
        if tensorboard:
            require_tensorboard()
        self.run, self.images, self.every = Run(Path(folder)), images, every
        self.tensorboard, self.report = tensorboard, report
        self.symptoms: list[Any] = []
        self.network: keras.Model | None = None  # whose layers are looked at; None: the model's own
        self.replicas = 1  # that do not share the statistics of batch normalisation
        self._saving: ExactCheckpoint | None = None
        self._health: Health | None = None
        self._board: TensorBoardWriter | None = None
        self._seen: dict[str, tuple[float, float]] = {}
        self._before: dict[str, np.ndarray] = {}  # of the health, from a checkpoint
        self._log_bytes: int | None = None  # from a checkpoint, until the training begins
        self._epoch = 0
        self._clock = self._seconds = self._window = 0.0  # now; of the epoch so far; since the last row

    @property
    def is_writer(self) -> bool:
        """Whether this process writes the record, as one of several does."""
        return self._saving is None or self._saving.workers.is_chief

    def tensors(self) -> dict[str, np.ndarray]:
        """All that a checkpoint must keep."""
        size = self.run.log.size() if self.is_writer else 0
        self._count_time()
        return {
            LOG_BYTES: np.array(size, np.int64),
            CLOCKS: np.array([self._seconds, self._window]),
            **{f"{SEEN}{name}": np.array(pair) for name, pair in self._seen.items()},
            **{f"{HEALTH}{name}": one for name, one in (self._health.state() if self._health else {}).items()},
        }

    def restore(self, tensors: Mapping[str, np.ndarray], source: str) -> None:
        """Take what `tensors` gave; the rows that were written after it are dropped."""
        self._log_bytes = int(tensors[LOG_BYTES])
        self._seconds, self._window = tensors[CLOCKS].tolist()
        self._seen = {name[len(SEEN) :]: tuple(one.tolist()) for name, one in tensors.items() if name.startswith(SEEN)}
        self._before = {name[len(HEALTH) :]: one for name, one in tensors.items() if name.startswith(HEALTH)}
        self._board = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        before = those_before(self, "which says where the record goes on", (ExactCheckpoint,))
        self._saving = next((one for one in before if isinstance(one, ExactCheckpoint)), None)
        if self.is_writer:
            with storage_errors(self.run.path):
                self.run.path.mkdir(parents=True, exist_ok=True)
            self.run.log.cut(self._beginning() if self._log_bytes is None else self._log_bytes)
            if self.tensorboard and self._board is None:
                self._board = TensorBoardWriter(self.run.folder("tensorboard"), self.run.log.rows())
        network = self.network or self.model
        if self._health is None or self._health.model is not network:
            self._health = Health(network, images_to_look_with(self.images))
        self._health.restore({} if self._log_bytes is None else self._before, "the checkpoint's record")
        self._log_bytes = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        self._epoch, self._clock = epoch, time.perf_counter()
        if not self.begun:
            self._seen, self._seconds, self._window = {}, 0.0, 0.0

    def between_batches(self, before: int, done: int) -> None:
        if done // self.every == before // self.every and done != self.steps:
            return
        sums = running_sums(self.model)
        means, images = mean_since(sums, self._seen)
        self._count_time()
        seconds, self._seen, self._window = self._window, sums, 0.0
        if not means:
            return
        optimizer = unwrapped(self.model.optimizer)
        row = {"event": "step", "epoch": self._epoch + 1, "step": self._updates(done), **means}
        row |= {"learning_rate": last_rate(optimizer), "images_per_second": images / max(seconds, 1e-9)}
        if self._saving is not None and self._saving.position is not None:
            row["image_size"] = max(self._saving.position.split.images.shape[:2])
        if getattr(optimizer, "gradient_groups", None):
            norms = keras.ops.convert_to_numpy(optimizer.gradient_norms).tolist()
            row["gradient_norms"] = dict(zip(optimizer.gradient_groups, norms, strict=True))
        self._record(row)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        images = self._seen.get("loss", (0.0, 0.0))[1]  # at the last batch
        trained = max(self._seconds, 1e-9)
        super().on_epoch_end(epoch, logs)
        self._count_time()
        if self._saving is not None:
            figures = dict(self._saving.place.figures[-1])
        else:
            figures = {"epoch": epoch + 1, "step": self._updates(self.done, epoch), **figures_of(logs)}
            figures |= {"learning_rate": last_rate(self.model.optimizer), "seconds": self._seconds}
        whole = {name: int(figures.pop(name)) for name in ("epoch", "step")}
        assert self._health is not None
        row = {"event": "epoch", **whole, **figures, "images_per_second": images / trained, **self._health.observe()}
        batch = self._batch_per_normalisation()
        self._record(row | ({} if batch is None else {"batch_per_normalisation": batch}))

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_test_begin(logs)
        self._count_time()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        is_end = self._saving is None or self._saving.place.finished
        if not (self.report and self.is_writer and is_end):
            return
        split = self.images if isinstance(self.images, Split) else None
        data = getattr(split, "whole", None)
        if is_run(self.run.path):
            history = History.of_run(self.run)
        else:
            history = History.of([{**row} for row in self.run.log.rows()], len(split) if split else None)
        if not history.epochs:
            return
        name = f" on {Path(data.name).name}" if data else ""
        title = f"{self.model.name}{name}, {len(history.epochs)} epoch{'s' * (len(history.epochs) > 1)}"
        self.symptoms, files = report_history(self.run, history, title, data)
        for one in self.symptoms:
            note(f"warning: {one.text}")
        count = len(self.symptoms)
        note(f"{count or 'no'} warning{'s' * (count != 1)} on the training; see {files[:2][-1]}")

    def _beginning(self) -> int:
        """Bytes of the record that are of epochs before those of this `fit`, where no checkpoint says it."""
        if self._saving is not None:
            return 0
        if is_run(self.run.path):
            raise UsageError(
                f"{self.run.path} holds a run, whose record this fit would replace: give Diagnosis another folder, or "
                "fit ExactCheckpoint with this one, too"
            )
        before = arguments_of_this_fit(self.model).get("initial_epoch", 0)
        return 0 if not before else self.run.log.size_while(lambda row: row["epoch"] <= before)

    def _updates(self, done: int, epoch: int | None = None) -> int:
        """Updates after so many batches of an epoch."""
        epoch = self._epoch if epoch is None else epoch
        position = self._saving.position if self._saving is not None else None
        if position is not None:
            return epoch * position.steps + done // position.parts
        return epoch * (self.steps or self.done) + done

    def _batch_per_normalisation(self) -> int | None:
        """Images that one batch normalisation takes its statistics over; None: unknown; 0: statistics are frozen."""
        assert self._health is not None
        if not any(layer.trainable for layer in self._health.norms):
            return 0
        position = self._saving.position if self._saving is not None else None
        return None if position is None else position.batch // position.parts // self.replicas

    def _count_time(self) -> None:
        now = time.perf_counter()
        passed, self._clock = now - self._clock, now
        self._seconds, self._window = self._seconds + passed, self._window + passed

    def _record(self, row: dict[str, Any]) -> None:
        if self.is_writer:
            self.run.log.add(row)
        if self._board is not None:
            self._board.add(row)
