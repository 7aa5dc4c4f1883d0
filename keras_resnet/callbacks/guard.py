"""What to do in anyone's `model.fit` when the loss is no number or jumps: go back, and on at half the rate."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_resnet.allowed import COUNT
from keras_resnet.callbacks.between_batches import LOOK_EVERY, BetweenBatches, check_built, mean_since, running_sums
from keras_resnet.callbacks.exact_checkpoint import ExactCheckpoint, those_before
from keras_resnet.callbacks.moving_average import MovingAverage
from keras_resnet.callbacks.notes import note
from keras_resnet.compat.optimizers import follows_schedule
from keras_resnet.errors import DivergedError
from keras_resnet.optimizers.state import last_rate, load_optimizer_state, optimizer_state, unwrapped
from keras_resnet.settings import Values, check_arguments
from keras_resnet.weights.files import assign, variables_by_path

ITERATIONS = "iterations"
WINDOW = 100
"""Losses that are remembered."""
LEAST = 20
"""Losses before one can be called a spike: there is no usual loss yet."""
TIMES_USUAL = 4.0
TIMES_CHANCE = 2.0
TRIES = 3
RATE_FACTOR = 0.5


def what_is_wrong(loss: float, recent: Sequence[float], guess: float) -> str | None:
    """Why a training should not continue after this loss; None if it should.

    A spike is four times the usual loss and twice that of a guess: late in a training, when the usual
    loss is near zero, one hard batch may have many times of it, and only what is far worse than
    guessing shows that the weights are ruined.

    Args:
        loss: Of some updates.
        recent: Those before, up to `WINDOW`.
        guess: The loss of one who knows nothing.
    """
    if not math.isfinite(loss):
        return f"the loss became {loss}"
    if len(recent) >= LEAST:
        usual = statistics.median(recent)
        if loss > max(TIMES_USUAL * usual, TIMES_CHANCE * guess):
            return f"the loss jumped to {loss:.3g} from a usual {usual:.3g}"
    return None


class Guard(BetweenBatches):
    """Goes back when a loss is infinite, not a number, or jumps, and on at half the learning rate.

    Weights, optimizer and average become those of the last checkpoint of `ExactCheckpoint`, at the second and third
    time those of one before, or without it those of the beginning of the epoch; the data go on where they are. The rate
    is halved where it is a number or a schedule of this package. When it has gone back three times, and no epoch went
    well since, the training ends with an error.

    It must come after `ExactCheckpoint` and `MovingAverage`.

    Args:
        every: Batches between two looks at the loss, which is their mean then. To look means to wait for the device.
        guess: The loss of one who knows nothing, as log(classes); None: that of the first look.

    Raises:
        UsageError: `every` is less than 1, or, in `fit`, the order is wrong or the model has no weights yet.
        DivergedError: In `fit`: it went back three times, and again.

    Example:
        >>> import keras_resnet
        >>> digits = keras_resnet.load_data("digits")
        >>> model = keras_resnet.ResNet8(num_classes=10, input_shape=(16, 16, 1))
        >>> model.compile(keras_resnet.optimizers.SGD(0.1), "categorical_crossentropy")
        >>> train = digits.train.batches(64, seed=0).take(2)
        >>> _ = model.fit(train, callbacks=[keras_resnet.callbacks.Guard()], verbose=0)
    """

    @check_arguments(every=COUNT, guess=Values(float, low=0).or_none)
    def __init__(self, every: int = LOOK_EVERY, guess: float | None = None) -> None:
        super().__init__()
        self.every = every
        self.tries = 0
        self.losses = np.zeros(0)
        self.guess = math.nan if guess is None else guess
        self.remedy = (
            "Lower the learning rate, lengthen the warm-up or clip gradients, and look for odd images or labels by "
            "`keras-resnet check`"
        )
        self._seen: dict[str, tuple[float, float]] = {}
        self._saving: ExactCheckpoint | None = None
        self._average: MovingAverage | None = None
        self._own: dict[str, np.ndarray] = {}
        self._went_back = False  # in this epoch
        self._epoch = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        check_built(self.model)
        before = those_before(self, "since it gives back what that one has saved", (ExactCheckpoint, MovingAverage))
        self._saving = next((one for one in before if isinstance(one, ExactCheckpoint)), None)
        self._average = next((one for one in before if isinstance(one, MovingAverage)), None)

    def tensors(self) -> dict[str, np.ndarray]:
        """All that a checkpoint must keep."""
        seen = self._seen.get("loss", (0.0, 0.0))
        return {"losses": self.losses, "others": np.array([self.tries, self.guess, *seen, self._went_back])}

    def restore(self, tensors: Mapping[str, np.ndarray], source: str) -> None:
        """Take what `tensors` gave."""
        self.losses = tensors["losses"]
        tries, self.guess, total, count, went_back = tensors["others"].tolist()
        self.tries, self._seen, self._went_back = int(tries), {"loss": (total, count)}, bool(went_back)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        self._epoch = epoch
        if not self.begun:
            self._seen, self._went_back = {}, False
        if self._saving is None:
            self.model.optimizer.build(self.model.trainable_variables)
            self._own = self._all()

    def between_batches(self, before: int, done: int) -> None:
        each = range(before + 1, done + 1)
        at_grid = any(number % self.every == 0 or number == self.steps for number in each)
        # Also before a checkpoint, so that none is of weights whose loss nobody has looked at. What is remembered does
        # not depend on when checkpoints are written.
        if not at_grid and not any(self._saving is not None and self._saving.is_saved_after(one) for one in each):
            return
        now = running_sums(self.model)
        means, _ = mean_since(now, self._seen)
        if "loss" not in means:
            return
        loss, guess = means["loss"], self.guess
        if math.isnan(guess) and math.isfinite(loss):
            guess = loss
        wrong = what_is_wrong(loss, self.losses.tolist(), guess)
        if wrong is not None:
            self._go_back(f"{wrong} in epoch {self._epoch + 1}, batch {done}")
            for metric in self.model.metrics:
                metric.reset_state()
            self._seen = {}
        elif at_grid:
            self._seen, self.guess = now, guess
            self.losses = np.append(self.losses[1 - WINDOW :], loss)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_end(epoch, logs)
        judged = (logs or {}).get("val_loss", 0.0)
        if not math.isfinite(judged):  # the last update may have spoilt the weights: its loss was computed before it
            wrong = f"the validation loss became {judged} in epoch {epoch + 1}"
            at_end = epoch + 1 >= self.params["epochs"]
            if at_end and not (self._saving and self._saving.place.best):
                raise self._diverged(wrong)
            self._go_back(wrong)
        if not self._went_back:
            self.tries = 0

    def _go_back(self, wrong: str) -> None:
        if self.tries >= TRIES:
            raise self._diverged(wrong)
        rate = last_rate(self.model.optimizer)
        # One further back each time: the newest may hold weights that were spoilt already.
        tensors = self._saving.before(self.tries) if self._saving is not None else self._own
        self.tries, self._went_back = self.tries + 1, True
        self._restore(tensors)
        text = f"{wrong}: back to the weights saved before, {self._halve()} (try {self.tries} of {TRIES})"
        note(text)
        if self._saving is not None:
            self._saving.event("setback", text=text, learning_rate=rate)

    def _diverged(self, wrong: str) -> DivergedError:
        optimizer = unwrapped(self.model.optimizer)
        norms = {}
        if hasattr(optimizer, "gradient_groups"):
            values = keras.ops.convert_to_numpy(optimizer.gradient_norms).tolist()
            norms = dict(zip(optimizer.gradient_groups, values, strict=True))
        broken = [name for name, norm in norms.items() if not math.isfinite(norm)]
        largest = max(norms, key=lambda name: norms[name], default="")
        gradients = f"; the largest gradients are in {largest} (norm {norms[largest]:.3g})" if largest else ""
        if broken:
            gradients = f"; gradients are not finite in {', '.join(broken)}"
        kept = f"; what was good before is kept in {self._saving.folder}" if self._saving else ""
        return DivergedError(
            f"training diverged: {wrong}, after going back {self.tries} times and lowering the rate, at last to "
            f"{last_rate(self.model.optimizer):.3g}{gradients}. {self.remedy}{kept}"
        )

    def _all(self) -> dict[str, np.ndarray]:
        tensors = {f"model/{name}": one.numpy() for name, one in variables_by_path(self.model).items()}
        tensors |= {f"optimizer/{name}": one for name, one in optimizer_state(self.model.optimizer).items()}
        kept = self._average.tensors() if self._average else {}
        return tensors | {f"MovingAverage/{name}": one for name, one in kept.items()}

    def _restore(self, tensors: dict[str, np.ndarray]) -> None:
        def under(prefix: str) -> dict[str, np.ndarray]:
            return {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}

        assign(variables_by_path(self.model), under("model/"), "the weights saved before")
        now = optimizer_state(self.model.optimizer)
        # The data and so the schedule go on; a rate that was halved before stays so.
        going_on = {name: now[name] for name in (ITERATIONS, "rate_factor", "learning_rate") if name in now}
        whole = {name: one for name, one in under("optimizer/").items() if not name.startswith("accumulated/")}
        load_optimizer_state(self.model.optimizer, whole | going_on, "the optimizer saved before")
        if self._average is not None:
            self._average.restore(under("MovingAverage/"), "the average saved before")

    def _halve(self) -> str:
        optimizer = unwrapped(self.model.optimizer)
        factor = getattr(optimizer, "rate_factor", None)
        if factor is not None:
            factor.assign(float(factor.numpy()) * RATE_FACTOR)
        elif follows_schedule(optimizer):
            return "at the same rate, since a schedule of Keras cannot be changed"
        else:
            optimizer.learning_rate = float(optimizer.learning_rate) * RATE_FACTOR
        return "at half the rate"
