"""Shows a training: a line an epoch and, on a terminal or in a notebook, a bar with speed and time left."""

from __future__ import annotations

import atexit
import time
from typing import Any

from keras_resnet.callbacks.between_batches import LOOK_EVERY, BetweenBatches, figures_of, mean_since, running_sums
from keras_resnet.callbacks.exact_checkpoint import ExactCheckpoint, those_before
from keras_resnet.display import Display
from keras_resnet.errors import UsageError
from keras_resnet.optimizers.state import last_rate

SECONDS = 0.5
"""Between two looks at the figures."""


class Progress(BetweenBatches):
    """Shows a `fit`: a bar with figures, speed and time left, and a line an epoch.

    They are on standard error, or in the output of a notebook's cell. For the bar it reads the figures twice a second,
    and where there is neither a terminal nor a notebook not at all. Keras's own bar starts anew in every epoch;
    `verbose=0` turns it off. It must come after `ExactCheckpoint`, if there is one.

    Raises:
        UsageError: In `fit`: Keras's own bar is on, too; or the order is wrong.

    Example:
        >>> import keras_resnet
        >>> digits = keras_resnet.load_data("digits")
        >>> model = keras_resnet.ResNet8(num_classes=10, input_shape=(16, 16, 1))
        >>> model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
        >>> train = digits.train.batches(64, seed=0).take(2)
        >>> _ = model.fit(train, callbacks=[keras_resnet.callbacks.Progress()], verbose=0)
    """

    def __init__(self) -> None:
        super().__init__()
        self.display = Display()
        self.by_time = True
        self._saving: ExactCheckpoint | None = None
        self._epoch = self._epochs = 0
        self._seen: dict[str, tuple[float, float]] = {}
        self._note = ""
        self._looked = self._since = self._clock = 0.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self.params["verbose"] != 0:
            raise UsageError("Progress shows what fit itself shows with verbose=1: give fit verbose=0")
        before = those_before(self, "which knows how far the training has come", (ExactCheckpoint,))
        self._saving = next((one for one in before if isinstance(one, ExactCheckpoint)), None)
        self._epochs = (self._saving and self._saving.epochs) or self.params["epochs"]
        atexit.register(self.close)  # nobody tells a callback that fit has failed

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        self._epoch, self._seen, self._clock = epoch, {}, time.perf_counter()
        self._looked = self._since = time.monotonic()

    def between_batches(self, before: int, done: int) -> None:
        now = time.monotonic()
        if self.by_time:
            is_due = self.display.has_bar and now - self._looked >= SECONDS
        else:  # all workers look at the same time, since the figures are summed up over them
            is_due = done // LOOK_EVERY > before // LOOK_EVERY or done == self.steps
        if is_due:
            sums = running_sums(self.model)
            means, _ = mean_since(sums, {})
            images = mean_since(sums, self._seen)[1]
            shown = [f"{name} {value:.3f}" for name, value in means.items()]
            shown.append(f"rate {last_rate(self.model.optimizer):.4g}")
            if self._seen and now > self._looked:
                shown.append(f"{images / (now - self._looked):.0f} images/s")
            self._note, self._seen, self._looked = "  ".join(shown), sums, now
        if self.steps is not None:
            whole = self._epochs * self.steps
            self.display.show("training", self._epoch * self.steps + done, whole, self._note)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_end(epoch, logs)
        found = figures_of(logs)
        seconds = time.perf_counter() - self._clock
        if self._saving is not None:
            seconds = self._saving.place.figures[-1]["seconds"]
        left = seconds * (self._epochs - epoch - 1)  # by the last epoch: the first one includes compiling
        names = sorted(found, key=lambda name: not name.endswith("loss"))
        own, judged = ([name for name in names if name.startswith("val_") == which] for which in (False, True))
        shown = [f"{name} {found[name]:.4f}" for name in own if name != "learning_rate"]
        shown += [f"{'validation ' if not n else ''}{name[4:]} {found[name]:.4f}" for n, name in enumerate(judged)]
        rate = last_rate(self.model.optimizer)
        self.display.note(
            f"epoch {epoch + 1:>{len(str(self._epochs))}}/{self._epochs}  {'  '.join(shown)}  "
            f"rate {rate:.3g}  {seconds:.1f} s  {_clock(left)} left"
        )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.close()

    def close(self) -> None:
        """Remove the bar."""
        self.display.close()


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
