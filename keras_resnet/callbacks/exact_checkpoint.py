"""Checkpoints of anyone's `model.fit`, from which a training goes on to the same bits."""

from __future__ import annotations

import inspect
import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

import keras
import numpy as np

from keras_resnet.allowed import COUNT
from keras_resnet.callbacks.checkpoint import CheckpointStore
from keras_resnet.callbacks.moving_average import MovingAverage
from keras_resnet.callbacks.notes import note
from keras_resnet.callbacks.run_folder import RunFolder, is_finite
from keras_resnet.callbacks.signals import StopRequests
from keras_resnet.callbacks.state import BEST, NUMBER
from keras_resnet.compat.fit import begin_at, build_for, callbacks_of_this_fit
from keras_resnet.data.batches import Position, position_of
from keras_resnet.errors import ModelError, UsageError, listed
from keras_resnet.json_files import check_json
from keras_resnet.optimizers.state import load_optimizer_state, optimizer_state
from keras_resnet.runs.run import locked
from keras_resnet.settings import Values, check_arguments
from keras_resnet.weights.files import Tensors, assign, variables_by_path

STOPPED = 75
"""The exit code of a process that was asked to stop and has saved: `EX_TEMPFAIL` of sysexits.h."""


def _hexadecimal(text: str) -> str:
    float.fromhex(text)
    return text


HEXADECIMAL = Annotated[str, Values(str, canonical=_hexadecimal, noun="a number in hexadecimal, as 0x1.8p+1")]


@runtime_checkable
class Kept(Protocol):
    """A callback that `ExactCheckpoint` keeps without being told: those of this package that have a state."""

    def tensors(self) -> dict[str, np.ndarray]:
        """All that a checkpoint must keep."""
        ...

    def restore(self, tensors: Mapping[str, np.ndarray], source: str) -> None:
        """Take what `tensors` gave; `on_train_begin` comes after it, and must leave it."""
        ...


@dataclass
class Place:
    """How far a `fit` has come: all of it that is not in a variable.

    Args:
        epoch: Epochs that are complete.
        step: Batches of the next one that are done.
        finished: Whether the training is at its end.
        best_value: The best monitored value so far; None before the first.
        best_epoch: Of that value, counted from 1; 0: none.
        best: Name of the file with the weights that reached it.
        best_digest: Its SHA-256.
        logs: What `fit` reported of each epoch, as hexadecimal floats, which JSON keeps exactly.
        states: Of the callbacks that are kept, in the user's order: their attributes.
    """

    epoch: NUMBER = 0
    step: NUMBER = 0
    finished: bool = False
    best_value: float | None = None
    best_epoch: NUMBER = 0
    best: Annotated[str, BEST] = ""
    best_digest: str = ""
    logs: list[dict[str, HEXADECIMAL]] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, value: Any, called: str) -> Place:
        """Read what `to_json` gave.

        Args:
            value: As JSON has it.
            called: What messages call it.

        Raises:
            ModelError: It is another's, or of another version.
        """
        if isinstance(value, dict) and value.keys() != vars(cls()).keys():
            raise ModelError(f"{called} was not written by ExactCheckpoint of this version")
        check_json(value, cls, called)
        return cls(**value)


class ExactCheckpoint(keras.callbacks.Callback):
    """Saves a `model.fit`, so that the same script, started again, goes on and ends with the same bits.

    Kept are weights, statistics, the seeds of layers, the optimizer, metrics in mid-epoch, a `MovingAverage` of the
    same `fit`, and the callbacks named in `states`. SIGTERM, SIGHUP and the first Ctrl-C save and end the process with
    exit code 75. A killed script goes on from its last checkpoint. If the training is finished, `fit` trains nothing
    and the model gets the weights of the end.

    It must be the first in the list of callbacks. With data of `Split.batches`, training goes on in mid-epoch; with
    others from the end of an epoch, to the same bits if the order of their batches does not depend on epochs before.

    Args:
        folder: For the checkpoints; made if it is missing.
        data: The training data, as `fit` gets them, if they are of `Split.batches`; None: others.
        steps: Save after so many updates; 0: not by their number. Only with `data`.
        minutes: Save after so many minutes; 0: not by time. Only with `data`. Every epoch's end is saved in any case.
        keep: So many checkpoints are kept, at least 1.
        monitor: What `fit` reports of an epoch, as `val_accuracy`, whose best value tells the best weights; the higher
            the better, but for losses and errors. Of equal values the later one is taken. None: the last weights are
            the best.
        restore_best: Give the model the best weights at the end.
        states: Callbacks that have a state of their own, as `EarlyStopping` and `ReduceLROnPlateau`; they come after
            this one in the list of callbacks, too.

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

    @check_arguments(steps=Values(int, low=0), minutes=Values(float, low=0), keep=COUNT)
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
    ) -> None:
        super().__init__()
        self.folder, self.data, self.monitor, self.restore_best = Path(folder), data, monitor, restore_best
        self.steps, self.minutes, self.states = steps, minutes, tuple(states)
        self._position: Position | None = position_of(data) if data is not None else None
        if steps and self._position is None:
            raise UsageError(
                "steps= saves in mid-epoch, which needs data=, a data set of Split.batches(…, seed=…): with other data "
                "a training goes on from the end of an epoch"
            )
        self.store = CheckpointStore(self.folder / "checkpoints", keep, kind=Place)
        self.place = Place()
        self._average: MovingAverage | None = None
        self._kept: list[Any] = []
        self._waiting: Tensors = {}
        self._until_end = ExitStack()
        self._cut_short = False
        self.begun = self._done = 0  # batches of this epoch, of other processes and in all
        self._saved: tuple[int, int] | None = None  # epoch and step of the last checkpoint
        self._saved_time = 0.0

    # What Keras calls.

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._check_order()
        self._check_length()
        self._until_end.close()  # of a fit that ended by an error
        self._until_end.enter_context(locked(self.folder))
        images = getattr(self._position.split, "whole", None) if self._position is not None else None
        self.run = RunFolder(self.folder, self.model, images, self.params["epochs"])
        self.model.optimizer.build(self.model.trainable_variables)
        if self._position is not None:
            build_for(self.model, self.data)
        found = self.store.load(note)
        self.place, self._waiting = (found.state, found.tensors) if found else (Place(), {})
        if found:
            self._restore(found.tensors)
        if self.place.finished:
            note(f"the training in {self.folder} is finished: nothing is trained")
            self._take_final_weights()
        begin_at(self.model, self.params["epochs"] if self.place.finished else self.place.epoch)
        self._requests = StopRequests(self.model)
        self._requests.open()
        self._until_end.callback(self._requests.close)
        self._saved, self._saved_time = (self.place.epoch, self.place.step) if found else None, time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        begin_at(self.model, None)
        if self._waiting:  # other callbacks and the metrics are at their beginning only now
            self._restore_rest(self._waiting)
            self._waiting = {}
        elif self._saved != (epoch, 0):
            self._save()  # the end of the epoch before: callbacks that come after this one have done theirs
        self.begun = self._done = self.place.step
        self._stop_if_asked()
        if self._position is not None:
            self._position.set(epoch, self.place.step)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._position is None or not self._done or self._saved == (self.place.epoch, self._done):
            return
        self.place.step = self._done
        if self._is_due() or self._requests.requested:
            self._save()
        self._stop_if_asked()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._done = self.begun + batch + 1
        if self.begun and self._done >= self.params["steps"]:
            # An epoch that was begun by another process is shorter, which Keras would take for a lack of data.
            self.model.stop_training = self._cut_short = True

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._go_on()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._go_on()
        found = {name: float(value) for name, value in (logs or {}).items()}
        self.place.epoch, self.place.step = epoch + 1, 0
        self.place.logs.append({name: value.hex() for name, value in found.items()})
        self.run.record(self.logs)
        if self.monitor is not None:
            self._keep_best(found)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if not self.place.finished:
            self.place.finished = True
            for one in self.states:
                one.on_train_end(logs)  # it may change the weights: what is saved is what it leaves
            self._save()
        if self.run.run.status != "finished":  # also where a kill fell between the last checkpoint and this
            self._take_final_weights()
            chosen = self.restore_best and self.place.best
            self.run.finish(
                self.model,
                self.place.best_epoch if chosen else self.place.epoch,
                self.monitor if chosen else None,
                self.place.best_value if chosen else None,
            )
        self._until_end.close()

    # What it is made of.

    @property
    def logs(self) -> list[dict[str, float]]:
        """What `fit` has reported of each epoch, those of earlier processes included."""
        return [{name: float.fromhex(value) for name, value in row.items()} for row in self.place.logs]

    def newest(self) -> Tensors:
        """What the newest checkpoint holds.

        Raises:
            ModelError: All are damaged.
        """
        found = self.store.load(note)
        return found.tensors if found else {}

    def _save(self) -> None:
        if not is_finite(self.model):
            note("the weights are no numbers any more: they are not saved, and the checkpoint before stays")
            return
        self.place.states = [_attributes(one) for one in self.states]
        self.store.save(self._tensors(), self.place)
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
        assign(variables_by_path(self.model), _under(tensors, "model/"), called)
        load_optimizer_state(self.model.optimizer, _under(tensors, "optimizer/"), called)
        there = {type(one).__name__: one for one in self._kept}
        before = {name.split("/")[0] for name in tensors} - {"model", "optimizer", "metrics", "states"}
        if there.keys() != before:
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
            assign(self._metric_variables(), _under(tensors, "metrics/"), f"the checkpoint in {self.folder}")

    def _take_final_weights(self) -> None:
        tensors = self.store.read_best(self.place) if self.restore_best and self.place.best else None
        if tensors is None and self._average:
            tensors = self._average.weights()
        if tensors is not None:
            named = variables_by_path(self.model)
            assign({name: named[name] for name in tensors if name in named}, tensors, f"the weights in {self.folder}")
        if self._average:
            self._average.forget()

    def _keep_best(self, found: Mapping[str, float]) -> None:
        assert self.monitor is not None
        if self.monitor not in found:
            raise UsageError(f"monitor={self.monitor!r} is not among what fit reports: {listed(found, most=20)}")
        value = found[self.monitor]
        best = self.place.best_value
        lower = any(part in self.monitor for part in ("loss", "error"))
        if math.isfinite(value) and (best is None or (value <= best if lower else value >= best)):
            self.place.best_value, self.place.best_epoch = value, self.place.epoch
            weights = {name: one.numpy() for name, one in variables_by_path(self.model).items()}
            weights |= self._average.weights() if self._average else {}
            self.place.best, self.place.best_digest = self.store.save_best(weights, self.place.epoch)

    def _is_due(self) -> bool:
        steps = self._done - (self._saved[1] if self._saved else 0)
        late = self.minutes and time.monotonic() - self._saved_time >= 60 * self.minutes
        return bool((self.steps and steps >= self.steps) or late)

    def _stop_if_asked(self) -> None:
        if self._requests.requested:
            self._until_end.close()
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
        missing = [type(one).__name__ for one in self.states if there and one not in there]
        if missing:
            raise UsageError(f"states= names {listed(missing)}, which fit was not given: name it in callbacks=, too")
        kept = (keras.callbacks.EarlyStopping, keras.callbacks.ReduceLROnPlateau)
        forgotten = [type(one).__name__ for one in there if isinstance(one, kept) and one not in self.states]
        if forgotten:
            raise UsageError(f"{listed(forgotten)} would begin anew when the training goes on: name it in states=, too")
        self._average = next((one for one in there if isinstance(one, MovingAverage)), None)
        self._kept = [one for one in there if isinstance(one, Kept)]

    def _check_length(self) -> None:
        if self._position is None:
            return
        steps = self.params["steps"]
        if steps != len(self.data):
            raise UsageError(
                f"fit makes {steps} steps an epoch of data that have {len(self.data)}: leave out steps_per_epoch, or a "
                "training could not go on in mid-epoch"
            )


def those_before(callback: keras.callbacks.Callback, why: str) -> Sequence[keras.callbacks.Callback]:
    """The callbacks of this `fit` before one, among which must be those that save.

    Args:
        callback: That `fit` is calling.
        why: It must come after them, in words.

    Raises:
        UsageError: `ExactCheckpoint` or `MovingAverage` comes after it.
    """
    there = callbacks_of_this_fit()
    place = there.index(callback) if callback in there else len(there)
    late = [one for one in there[place:] if isinstance(one, ExactCheckpoint | MovingAverage)]
    if late:
        raise UsageError(f"{type(callback).__name__} must come after {type(late[0]).__name__}, {why}")
    return there[:place]


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
