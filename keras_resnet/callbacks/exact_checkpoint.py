"""Checkpoints of anyone's `model.fit`, from which a training goes on to the same bits."""

from __future__ import annotations

import inspect
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from weakref import WeakValueDictionary

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.allowed import COUNT
from keras_resnet.callbacks.between_batches import BetweenBatches, check_built, figures_of, metrics_by_name
from keras_resnet.callbacks.checkpoint import CheckpointStore
from keras_resnet.callbacks.moving_average import MovingAverage, refuse_restored_weights
from keras_resnet.callbacks.notes import note
from keras_resnet.callbacks.place import Place
from keras_resnet.callbacks.run_folder import BUILT_ANEW, RunFolder, is_finite, without_number
from keras_resnet.callbacks.signals import StopRequests
from keras_resnet.compat.fit import (
    arguments_of_this_fit,
    begin_at,
    build_for,
    callbacks_of_this_fit,
    is_lower_better,
)
from keras_resnet.compat.optimizers import follows_schedule
from keras_resnet.data.batches import Position, displacing, position_of
from keras_resnet.data.class_names import class_names_of
from keras_resnet.errors import ModelError, UsageError, listed
from keras_resnet.optimizers.state import last_rate, load_optimizer_state, optimizer_state, unwrapped
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.runs.run import Run, locked
from keras_resnet.settings import Values, check_arguments
from keras_resnet.weights.files import Tensors, assign, variables_by_path

MODE = Values(str, choices=("auto", "min", "max"))
STOPPED = 75
"""The exit code of a process that was asked to stop and has saved: `EX_TEMPFAIL` of sysexits.h."""


@runtime_checkable
class Kept(Protocol):
    """A callback that `ExactCheckpoint` keeps without being told: those of this package that have a state."""

    def tensors(self) -> dict[str, np.ndarray]:
        """All that a checkpoint must keep."""
        ...

    def restore(self, tensors: Mapping[str, np.ndarray], source: str) -> None:
        """Take what `tensors` gave; `on_train_begin` comes after it, and must leave it."""
        ...


class Folder(Protocol):
    """The run folder of a training, as `RunFolder`."""

    run: Run

    def finish(self, model: keras.Model, place: Place, monitored: str | None) -> None:
        """Save the model, with the weights that it has, and mark the run as finished.

        Args:
            model: The one that was trained.
            place: The end of its training.
            monitored: What chose the weights; None: they are the last.
        """
        ...


class Workers(Protocol):
    """The processes of a training, as `Distribution`."""

    @property
    def is_chief(self) -> bool:
        """Whether this is the one that writes."""
        ...

    def anywhere(self, flag: bool) -> bool:
        """Whether the flag is set in any of them. All ask at the same step."""
        ...


class Requests(Protocol):
    """Whether a training was asked to stop."""

    requested: bool


class _Alone:
    """The only process of a training."""

    is_chief = True

    def anywhere(self, flag: bool) -> bool:
        return flag


_TRAINING: WeakValueDictionary[tuple[int, Path], ExactCheckpoint] = WeakValueDictionary()
"""By thread and folder: whose `fit` took the folder's lock. One that ends by an error tells no callback, and would keep
the lock for as long as Python keeps the callback, as a notebook does with the traceback of its last error."""


class ExactCheckpoint(keras.callbacks.Callback):
    """Saves a `model.fit`, so that the same script, started again, goes on and ends with the same bits.

    Kept are weights, statistics, the seeds of layers, the optimizer, metrics in mid-epoch, the other callbacks of this
    package in the same `fit`, and those named in `states`. SIGTERM, SIGHUP and the first Ctrl-C save and end the
    process with exit code 75. A killed script goes on from its last checkpoint. If the training is finished, `fit`
    trains nothing and the model gets the weights of the end.

    It must be the first in the list of callbacks. With data of `Split.batches`, training goes on in mid-epoch; with
    others from the end of an epoch, to the same bits if the order of their batches does not depend on epochs before.

    A training of several calls of `fit`, as of the classifier first and then of all layers, names the same folder in
    each of them, and its last epoch in `epochs`; the calls count epochs on (`initial_epoch`). Each begins with a new
    optimizer. Those that are done train nothing when the script is started again.

    Args:
        folder: For the checkpoints; made if it is missing.
        data: The training data, as `fit` gets them; None: those that it gets. Those of `Split.batches`, also behind
            `map` and `prefetch`, go on in mid-epoch; of others the class names are taken where they have some, as those
            of `keras.utils.image_dataset_from_directory`.
        steps: Save after so many batches; 0: not by their number. Only with `data` of `Split.batches`.
        minutes: Save after so many minutes; 0: not by time. Only with data of `Split.batches`. Every epoch's end is
            saved in any case.
        keep: So many checkpoints are kept, at least 1.
        monitor: What `fit` reports of an epoch, as `val_accuracy`, whose best value tells the best weights. Of equal
            values the later one is taken. Epochs without a validation (`validation_freq`) are passed over. None: the
            last weights are the best.
        restore_best: Give the model the best weights at the end.
        states: Callbacks that have a state of their own, as `EarlyStopping` and `ReduceLROnPlateau`; they come after
            this one in the list of callbacks, too.
        epochs: At the end of which epoch the training is finished; None: of that which `fit` ends with.
        preprocessing: How images become what the model takes, where the data pipeline does it and not the model, so
            that the model of the run takes images; None: the model takes pixels as they are, 0–255.
        mode: Which values of `monitor` are the better ones: `max`, `min`, or `auto`: as Keras knows it of its metrics;
            of others the higher ones, but of losses and errors.

    Raises:
        UsageError: A setting is out of range; or, in `fit`, the order of callbacks is wrong, the folder holds another
            training, or another process trains into it.
        ModelError: In `fit`: all checkpoints are damaged, or are those of another model.

    Example:
        >>> import keras_resnet
        >>> digits = keras_resnet.load_data("digits")
        >>> train = digits.train.batches(256, augment="shift", seed=0)
        >>> model = keras_resnet.ResNet8(num_classes=10, input_shape=(16, 16, 1))
        >>> model.compile(keras_resnet.optimizers.SGD(0.1), "categorical_crossentropy")
        >>> saving = keras_resnet.callbacks.ExactCheckpoint("mine", data=train, steps=500)
        >>> _ = model.fit(train, epochs=1, callbacks=[saving], verbose=0)
    """

    @check_arguments(
        steps=Values(int, low=0), minutes=Values(float, low=0), keep=COUNT, epochs=COUNT.or_none, mode=MODE
    )
    def __init__(
        self,
        folder: str | os.PathLike[str],
        data: Any = None,
        *,
        steps: int = 0,
        minutes: float = 10.0,
        keep: int = 3,
        monitor: str | None = None,
        restore_best: bool = True,
        states: Sequence[keras.callbacks.Callback] = (),
        epochs: int | None = None,
        preprocessing: Preprocessing | None = None,
        mode: str = "auto",
    ) -> None:
        super().__init__()
        self.folder, self.monitor, self.restore_best = Path(folder), monitor, restore_best
        self.data = self._told = data  # `data`: also where only `fit` was told
        self.steps, self.minutes, self.states, self.epochs = steps, minutes, tuple(states), epochs
        self.preprocessing, self.mode = preprocessing, mode
        self.position: Position | None = position_of(data) if data is not None else None
        if steps and self.position is None:
            raise UsageError(
                "steps= saves in mid-epoch, which needs data=, a data set of Split.batches(…, seed=…): with other data "
                "a training goes on from the end of an epoch"
            )
        self.store = CheckpointStore(self.folder / "checkpoints", keep)
        self.place = Place()
        self.workers: Workers = _Alone()
        self.metrics_before: list[np.ndarray] = []  # of an epoch that another process began, in the order of variables
        self.initial: dict[str, float] | None = None  # what `fit` would report of the weights that it begins with
        # Of the value that it begins with, what an epoch needs at least to take the place of those before it; None: the
        # best value so far.
        self.takes_latest: Callable[[float], float] | None = None
        self.until: int | None = None  # the epoch until which the optimizer serves; None: that which `fit` ends with
        self._given: tuple[Folder, Requests, Callable[[Place], None]] | None = None
        self._average: MovingAverage | None = None
        self._others: list[BetweenBatches] = []
        self._kept: list[Any] = []
        self._waiting: Tensors = {}
        self._until_end = ExitStack()
        self._cut_short = self._was_finished = False
        self._rate: np.ndarray | None = None  # of an epoch that another process began, until its next batch
        self._unreported = ""  # why `monitor` tells nothing
        self._saved: tuple[int, int] | None = None  # epoch and step of the last checkpoint
        self._saved_time = self._clock = 0.0

    def within(self, folder: Folder, requests: Requests, stop: Callable[[Place], None], workers: Workers) -> None:
        """Serve a training that sees to its run folder, its lock, signals and processes itself.

        Args:
            folder: Its run folder.
            requests: Whether it was asked to stop.
            stop: Called once the checkpoint for that is written; it raises an error.
            workers: Its processes, each of which calls `fit`.
        """
        self._given, self.workers = (folder, requests, stop), workers

    # What Keras calls.

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._check_order()
        self._check_data()
        self.release()  # of a fit that ended by an error
        if self._given is None:
            here = (threading.get_ident(), self.folder.resolve())
            if here in _TRAINING:
                _TRAINING[here].release()
            self._until_end.enter_context(locked(self.folder))
            _TRAINING[here] = self
            images = getattr(self.position.split, "whole", None) if self.position is not None else None
            names = class_names_of(self.data)
            self.run: Folder = RunFolder(self.folder, self.model, images, self._last_epoch, names, self.preprocessing)
            self._requests: Requests = self._hear()
        else:
            self.run, self._requests, _ = self._given
        self._build()
        self._check_monitor()
        self.workers.anywhere(True)  # wait until the last checkpoint is written
        found = self.store.load(self._warn)
        self.place, self._waiting = (found.state, found.tensors) if found else (Place(), {})
        is_of_this_optimizer = found is not None and self.place.until == self._until
        if found:
            self._restore(found.tensors)
        if self.place.finished:
            note(f"the training in {self.folder} is finished: nothing is trained")
        self._was_finished = self.place.finished
        is_done = self.place.finished or self.place.ended >= self.params["epochs"]
        begin_at(self.model, self.params["epochs"] if is_done else max(self.place.epoch, self.place.ended))
        if is_done or not is_of_this_optimizer:  # callbacks of a `fit` before have nothing to say to those of this one
            self._waiting = {}
        self._saved = (self.place.epoch, self.place.step) if is_of_this_optimizer else None
        self._saved_time = time.monotonic()
        if found and self.workers.is_chief:
            self.run.run.events.mend()
            if not is_done:
                self.event("continued")

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        begin_at(self.model, None)
        self.place.until = self._until
        for one in self._others:
            one.begun = self.place.step * self._parts
        if self._waiting:  # other callbacks and the metrics are at their beginning only now
            self._restore_rest(self._waiting)
            self._waiting = {}
        if self.initial is not None and epoch == 0 and not self.place.step and not self.place.best:
            self.place.first_value = self.initial.get(self.monitor or "")
            self._keep_best(self.initial, self.initial)
        if not self.place.step and self._saved != (epoch, 0):
            self._save()  # the end of the epoch before: callbacks that come after this one have done theirs
        self._check_reported()
        self._clock = time.perf_counter()
        self._stop_if_asked()
        self._begun = self.place.step * self._parts
        if self.position is not None:
            self.position.set(epoch, self.place.step)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._rate is not None:
            unwrapped(self.model.optimizer).learning_rate = self._rate
            self._rate = None
        done, steps = self._begun + batch, self.params["steps"]
        if self._begun and done + self.model.steps_per_execution >= steps:
            # An epoch that was begun by another process is shorter, which Keras would take for a lack of data.
            self.model.stop_training = self._cut_short = True
        if not batch or done % self._parts:
            return
        asked = self.workers.anywhere(self._requests.requested)
        if self.position is None:
            if asked:  # nothing of this epoch can be kept, however long it goes on
                self._stop()
            return
        if asked or self.workers.anywhere(self._is_due(done // self._parts)):
            for one in self._others:
                one.catch_up(done)
            self._count_time()
            self.place.step = done // self._parts
            self._save()
        if asked:
            self._stop()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._go_on()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._go_on()
        for one in self._others:
            one.catch_up_with_epoch()
        figures = figures_of(logs)
        losses_first = sorted(figures, key=lambda name: (name.startswith("val_"), not name.endswith("loss")))
        found = {name: figures[name] for name in losses_first}
        self._count_time()
        self.place.epoch, self.place.step = epoch + 1, 0
        figures = {"step": self.updates, **found, "learning_rate": last_rate(self.model.optimizer)}
        figures["seconds"], self.place.seconds = self.place.seconds, 0.0
        self.place.rows.append({name: float(value).hex() for name, value in figures.items()})
        if self.workers.is_chief:
            self.run.run.record_metrics(self.place.figures)
        if self.monitor is not None:
            self._keep_best(found, logs or {})

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        begin_at(self.model, None)  # where no epoch was left
        if not self.place.finished:
            goes_further = self.params["epochs"] > self.place.ended
            self.place.ended = max(self.place.ended, self.params["epochs"])
            self.place.finished = self.place.ended >= self._last_epoch
            if goes_further:
                for one in self.states:
                    one.on_train_end(logs)  # it may change the weights: what is saved is what it leaves
                self._save()
        self._check_reported()
        is_new = self.workers.is_chief and self.run.run.status != "finished"
        if self.place.finished and (is_new or self._was_finished):
            # Only now: an optimizer that averages (use_ema) has just given the model its average.
            self._take_final_weights()
        if self.place.finished and is_new and is_finite(self.model):
            # Also where a kill fell between the last checkpoint and this.
            self.run.finish(self.model, self.place, self.monitor if self.restore_best and self.place.best else None)
        self.release()

    # What it is made of.

    def release(self) -> None:
        """Give up the folder and the signals, if they are held."""
        self._until_end.close()

    @property
    def logs(self) -> list[dict[str, float]]:
        """What `fit` has reported of each epoch, those of earlier processes included."""
        own = {"epoch", "step", "learning_rate", "seconds"}
        return [{name: value for name, value in row.items() if name not in own} for row in self.place.figures]

    @property
    def updates(self) -> int:
        """Updates of the weights so far."""
        batches = self.position.steps if self.position is not None else self.params["steps"] or 0
        return self.place.epoch * batches + self.place.step

    def is_saved_after(self, done: int) -> bool:
        """Whether a checkpoint is written after so many batches of the epoch, in every run of this training."""
        return bool(self.steps) and done % (self.steps * self._parts) == 0

    def before(self, back: int = 0) -> Tensors:
        """What one of the last checkpoints holds.

        Args:
            back: How many newer ones to pass over; if there are fewer with this optimizer, the oldest of them.

        Raises:
            ModelError: All are damaged.
        """
        for number in range(back, -1, -1):
            found = self.store.load(self._warn, back=number)
            if found and (found.state.until == self._until or not number):
                return found.tensors
        return {}

    def event(self, kind: str, **details: object) -> None:
        """Add a line to the run's `events.jsonl`.

        Args:
            kind: What has happened.
            **details: More of it, as JSON has it.
        """
        if self.workers.is_chief:
            where = {"epoch": self.place.epoch + 1, "step": self.place.step, "updates": self.updates}
            self.run.run.record_event(kind, where, **details)

    def _warn(self, text: str) -> None:
        note(text)
        self.event("note", text=text)

    @property
    def _parts(self) -> int:
        return self.position.parts if self.position is not None else 1

    @property
    def _last_epoch(self) -> int:
        return int(self.epochs or self.params["epochs"])

    @property
    def _until(self) -> int:
        return int(self.until or self.params["epochs"])

    def _hear(self) -> StopRequests:
        requests = StopRequests(self.model)
        requests.open()
        self._until_end.callback(requests.close)
        return requests

    def _count_time(self) -> None:
        now = time.perf_counter()
        self.place.seconds, self._clock = self.place.seconds + now - self._clock, now

    def _save(self) -> None:
        if not is_finite(self.model):
            self._warn("the weights are no numbers any more: they are not saved, and the checkpoint before stays")
            return
        self.place.states, self.place.parts = [_attributes(one) for one in self.states], self._parts
        tensors = self._tensors()
        if self.workers.is_chief:
            self.store.save(tensors, self.place)
        self._saved, self._saved_time = (self.place.epoch, self.place.step), time.monotonic()

    def _tensors(self) -> dict[str, np.ndarray]:
        tensors = {f"model/{name}": one.numpy() for name, one in variables_by_path(self.model).items()}
        tensors |= {f"optimizer/{name}": one for name, one in optimizer_state(self.model.optimizer).items()}
        for one in self._kept:
            tensors |= {f"{type(one).__name__}/{name}": array for name, array in one.tensors().items()}
        if self.place.step:
            tensors |= {f"metrics/{name}": one.numpy() for name, one in self._metric_variables().items()}
        for number, one in enumerate(self.states):
            tensors |= {f"states/{number}/{name}": array for name, array in _arrays(one).items()}
        return tensors

    def _metric_variables(self) -> dict[str, keras.Variable]:
        variables = [one for metric in self.model.metrics for one in metric.variables]
        return {str(number): one for number, one in enumerate(variables)}

    def _restore(self, tensors: Tensors) -> None:
        called = f"the checkpoint in {self.folder}"
        own, weights = variables_by_path(self.model), _under(tensors, "model/")
        if own.keys() != weights.keys() and sorted(map(without_number, own)) == sorted(map(without_number, weights)):
            changed = next(name for name in own if name not in weights)
            raise ModelError(f"{called} knows {changed} by another number: {BUILT_ANEW}")
        assign(own, weights, called)
        if self.place.until == self._until:
            if len(self.states) != len(self.place.states):
                raise UsageError(
                    f"{called} has the state of {len(self.place.states)} callbacks, and states= names "
                    f"{len(self.states)}: name the same as before"
                )
            load_optimizer_state(self.model.optimizer, _under(tensors, "optimizer/"), called)
        there = {type(one).__name__: one for one in self._kept}
        before = {name.split("/")[0] for name in tensors} - {"model", "optimizer", "metrics", "states"}
        if self.place.until != self._until:  # a `fit` that comes after may have others
            there = {name: one for name, one in there.items() if name in before}
        elif there.keys() != before:
            raise UsageError(
                f"{called} is of a fit with {listed(sorted(before)) or 'no others'} among its callbacks, and this one "
                f"has {listed(sorted(there)) or 'none'}: give fit the same callbacks as before"
            )
        for name, one in there.items():
            one.restore(_under(tensors, f"{name}/"), called)

    def _restore_rest(self, tensors: Tensors) -> None:
        for number, one in enumerate(self.states):
            _set_attributes(one, self.place.states[number], _under(tensors, f"states/{number}/"))
        if self.place.step:
            variables, sums = self._metric_variables(), _under(tensors, "metrics/")
            assign(variables, sums, f"the checkpoint in {self.folder}")
            # A LearningRateScheduler, told once more that the epoch begins, would change what it has changed already.
            is_number = not follows_schedule(unwrapped(self.model.optimizer))
            self._rate = tensors.get("optimizer/learning_rate") if is_number else None
            self.metrics_before = [sums[name] for name in variables]

    def _take_final_weights(self) -> None:
        tensors = self.store.read_best(self.place) if self.restore_best and self.place.best else None
        if tensors is None and self._average:
            tensors = self._average.weights()
        if tensors is not None:
            named = variables_by_path(self.model)
            assign({name: named[name] for name in tensors if name in named}, tensors, f"the weights in {self.folder}")
        if self._average:
            self._average.forget()

    def _keep_best(self, found: Mapping[str, float], reported: Mapping[str, Any]) -> None:
        assert self.monitor is not None
        if self.monitor not in found:
            if self.monitor in reported:
                why = "is several numbers, of which none is the best: metrics as F1Score give one with average='macro'"
            elif _is_judged(self.monitor) and not any(map(_is_judged, found)):
                return  # there was no validation, by validation_freq
            else:
                why = f"is not among what fit reports: {listed(found, most=20)}"
            self._unreported = f"monitor={self.monitor!r} {why}"
            return
        if not all(one.may_be_best for one in self._others):
            return
        value = found[self.monitor]
        best = self.place.best_value
        if self.takes_latest:
            best = None if self.place.first_value is None else self.takes_latest(self.place.first_value)
        lower = self._is_lower_better(self.monitor.removeprefix("val_"))
        if not math.isfinite(found.get("val_loss", 0.0)) or not is_finite(self.model):
            return  # whatever else it has of weights that are no numbers
        if math.isfinite(value) and (best is None or (value <= best if lower else value >= best)):
            self.place.best_value, self.place.best_epoch = value, self.place.epoch
            weights = {name: one.numpy() for name, one in variables_by_path(self.model).items()}
            weights |= self._average.weights() if self._average else {}
            if not self.workers.is_chief:
                return
            self.place.best, self.place.best_digest = self.store.save_best(weights, self.place.epoch)

    def _is_lower_better(self, name: str) -> bool:
        if self.mode != "auto":
            return self.mode == "min"
        for own, metric in metrics_by_name(self.model).items():
            if name == own or name.endswith(f"_{own}"):  # of one of several outputs
                known = is_lower_better(metric)
                if known is not None:
                    return known
        return any(part in name for part in ("loss", "error"))

    def _is_due(self, step: int) -> bool:
        late = self.minutes and time.monotonic() - self._saved_time >= 60 * self.minutes
        return self._saved != (self.place.epoch, step) and bool((self.steps and step % self.steps == 0) or late)

    def _stop_if_asked(self) -> None:
        if self.workers.anywhere(self._requests.requested):
            self._stop()

    def _stop(self) -> None:
        self.event("stopped")
        self.release()
        for one in self._others:
            one.close()
        if self._given is not None:
            self._given[2](self.place)
        note(f"stopped in epoch {self.place.epoch + 1} after batch {self.place.step}, with a checkpoint in "
             f"{self.folder}: the same script continues")  # fmt: skip
        raise SystemExit(STOPPED)

    def _go_on(self) -> None:
        if self._cut_short:
            self.model.stop_training = self._cut_short = False

    def _check_order(self) -> None:
        there = [one for one in callbacks_of_this_fit() if not isinstance(one, keras.callbacks.History)]
        if there and there[0] is not self:
            raise UsageError(
                f"ExactCheckpoint must be the first of the callbacks, before {type(there[0]).__name__}: it saves what "
                "the others have done when the next batch begins"
            )
        for kind, remedy in REPLACED.items():
            if any(isinstance(one, kind) for one in there):
                raise UsageError(f"{kind.__name__} and ExactCheckpoint would undo each other: {remedy}")
        missing = [type(one).__name__ for one in self.states if there and one not in there]
        if missing:
            raise UsageError(f"states= names {listed(missing)}, which fit was not given: name it in callbacks=, too")
        forgotten = [type(one).__name__ for one in there if _begins_anew(one) and one not in self.states]
        if forgotten:
            raise UsageError(f"{listed(forgotten)} would begin anew when the training goes on: name it in states=, too")
        if self.monitor is not None and self.restore_best:
            refuse_restored_weights(f"those with the best {self.monitor} are the ones that are saved")
        self._average = next((one for one in there if isinstance(one, MovingAverage)), None)
        self._kept = [one for one in there if isinstance(one, Kept)]
        self._others = [one for one in there if isinstance(one, BetweenBatches)]
        kinds = [type(one).__name__ for one in self._kept]
        if len(set(kinds)) < len(kinds):
            raise UsageError(f"there are two of one kind among the callbacks, {listed(kinds)}: a checkpoint keeps one")

    def _check_data(self) -> None:
        """Refuse what could not go on exactly."""
        given = arguments_of_this_fit(self.model).get("x")
        if self._told is None:
            self.data = given if isinstance(given, tf.data.Dataset) else None
            self.position = position_of(self.data)
        if self.position is None:
            return
        if isinstance(self.data, tf.data.Dataset) and isinstance(given, tf.data.Dataset):
            if position_of(given) is not self.position:
                raise UsageError("data= is another data set than the one that fit gets: give both the same")
            if kind := displacing(given):
                raise UsageError(
                    f"data of Split.batches go on behind map and prefetch alone, and there is a {kind.lower()}: leave "
                    "it out (they are shuffled, and begin anew in every epoch, by themselves)"
                )
        steps, own, together = self.params["steps"], self.position.steps, self.model.steps_per_execution
        if steps != own * self.position.parts:
            raise UsageError(
                f"fit makes {steps} steps an epoch of data that have {own * self.position.parts}: leave out "
                "steps_per_epoch, or a training could not go on in mid-epoch"
            )
        if steps % together:
            fitting = max(number for number in range(1, together) if steps % number == 0)
            raise UsageError(
                f"an epoch of {steps} steps is no multiple of steps_per_execution={together}, so that a training could "
                f"not go on in mid-epoch: compile with steps_per_execution={fitting}"
            )

    def _build(self) -> None:
        """Make the variables that `fit` else makes with the first batch."""
        is_known = self.position is not None and not isinstance(self.data, Position)
        if is_known or (isinstance(self.data, tf.data.Dataset) and not self.model.built):
            build_for(self.model, self.data)
        check_built(self.model)
        self.model.optimizer.build(self.model.trainable_variables)

    def _check_reported(self) -> None:
        """Refuse a wrong `monitor`, once the epoch that told so is saved."""
        if self._unreported:
            text, self._unreported = self._unreported, ""
            raise UsageError(text)

    def _check_monitor(self) -> None:
        """Refuse, before an epoch is trained, what `fit` will not report."""
        told = arguments_of_this_fit(self.model)
        if self.monitor is None:
            return
        if _is_judged(self.monitor) and "validation_data" in told and told["validation_data"] is None:
            raise UsageError(
                f"monitor={self.monitor!r} is of a validation, and fit has none: give it validation_data=, or monitor "
                f"the training, as {self.monitor.removeprefix('val_')!r}"
            )


def those_before(
    callback: keras.callbacks.Callback, why: str, kinds: tuple[type[keras.callbacks.Callback], ...]
) -> Sequence[keras.callbacks.Callback]:
    """The callbacks of this `fit` before one.

    Args:
        callback: That `fit` is calling.
        why: It must come after some, in words.
        kinds: Of those.

    Raises:
        UsageError: One of them comes after it.
    """
    there = callbacks_of_this_fit()
    place = there.index(callback) if callback in there else len(there)
    late = [one for one in there[place:] if isinstance(one, kinds)]
    if late:
        raise UsageError(f"{type(callback).__name__} must come after {type(late[0]).__name__}, {why}")
    return there[:place]


REPLACED = {
    keras.callbacks.BackupAndRestore: "ExactCheckpoint does what it does; leave it out",
    keras.callbacks.SwapEMAWeights: "keras_resnet.callbacks.MovingAverage averages weights and goes on exactly",
}
"""Callbacks of Keras that cannot be in one `fit` with `ExactCheckpoint`, and what to do instead."""


def _begins_anew(callback: keras.callbacks.Callback) -> bool:
    """Whether one of Keras's callbacks has a state that decides something, and that it forgets with its process."""
    if isinstance(callback, keras.callbacks.ModelCheckpoint):
        return bool(callback.save_best_only)
    return isinstance(callback, keras.callbacks.EarlyStopping | keras.callbacks.ReduceLROnPlateau)


def _is_judged(name: str) -> bool:
    return name.startswith("val_")


def _under(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}


def _own(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """The attributes that a callback's training may have changed: not what its script gave it."""
    given = {*inspect.signature(type(callback)).parameters, "_model", "_params", "params"}
    return {name: value for name, value in vars(callback).items() if name not in given}


def _attributes(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """A callback's numbers and words, as JSON has them; floats in hexadecimal, which loses nothing."""
    found: dict[str, Any] = {}
    for name, value in _own(callback).items():
        if isinstance(value, bool | int | str | None):
            found[name] = value
        elif isinstance(value, float | np.floating):
            found[name] = {"float": float(value).hex()}
        elif isinstance(value, np.integer):
            found[name] = int(value)
    return found


def _arrays(callback: keras.callbacks.Callback) -> dict[str, np.ndarray]:
    """A callback's arrays and lists of arrays, as the best weights of `EarlyStopping`."""
    found: dict[str, np.ndarray] = {}
    for name, value in _own(callback).items():
        if isinstance(value, np.ndarray):
            found[name] = value
        elif isinstance(value, list) and value and all(isinstance(one, np.ndarray) for one in value):
            found |= {f"{name}/{number:06d}": one for number, one in enumerate(value)}
    return found


def _set_attributes(callback: keras.callbacks.Callback, attributes: dict[str, Any], arrays: Tensors) -> None:
    for name, value in attributes.items():
        setattr(callback, name, float.fromhex(value["float"]) if isinstance(value, dict) else value)
    lists = sorted(name for name in arrays if "/" in name)
    for name in dict.fromkeys(one.split("/")[0] for one in lists):
        setattr(callback, name, [arrays[one] for one in lists if one.startswith(f"{name}/")])
    for name in arrays.keys() - set(lists):
        setattr(callback, name, arrays[name])
