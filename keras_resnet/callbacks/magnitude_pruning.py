"""Weights that become zero while a network is trained, the smallest first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.allowed import COUNT, SHARE
from keras_resnet.callbacks.between_batches import BetweenBatches, check_built
from keras_resnet.callbacks.exact_checkpoint import ExactCheckpoint
from keras_resnet.callbacks.moving_average import MovingAverage, refuse_restored_weights
from keras_resnet.compat.fit import callbacks_of_this_fit
from keras_resnet.compression.sparsity import Pattern, Prunable, fits, kept_next, kept_now, prunable
from keras_resnet.errors import UsageError
from keras_resnet.optimizers.state import unwrapped
from keras_resnet.settings import Values, check_arguments
from keras_resnet.weights.files import refuse_mismatches

BATCHES = "batches"
SPARSITY = 0.8
END = 0.75


def _moment(value: float) -> float:
    if isinstance(value, bool) or not (value >= 0 and (isinstance(value, int) or value <= 1)):
        raise ValueError
    return value


def _pattern(value: str) -> Pattern:
    found = re.fullmatch(r"(\d+):(\d+)", value)
    kept, of = (int(one) for one in found.groups()) if found else (0, 0)
    if not 0 < kept < of:
        raise ValueError
    return kept, of


MOMENT = Values(
    str,
    also=(int, float),
    canonical=_moment,
    noun="a number of batches, as 500, or a share of the training, as 0.5",
)
PATTERN = Values(str, canonical=_pattern, noun="a pattern N:M, such as 2:4 for two of each four weights that are kept")
NAMES = Values(str, many=True)


class MagnitudePruning(BetweenBatches):
    """Lets a growing share of a model's weights become zero while it is trained, the smallest first.

    The share s grows to its last value s₁ between two moments, by s = s₁ − s₁ (1 − progress)³, in each layer alike: Zhu
    & Gupta, "To prune, or not to prune", 2017, https://arxiv.org/abs/1710.01878. A weight that has become zero stays
    so: after every update, in what a validation judges, and in the average of `MovingAverage`, before which this
    callback must come. What is zero as the training begins stays zero, too, so that a pruned model can be trained on
    with `sparsity=0.0`. The first and the last layer with a kernel, depthwise convolutions, biases and normalisations
    are left alone.

    A model's file has as many numbers as before, and compresses better. Only runtimes that have kernels for it are
    faster, as TensorRT for the pattern 2:4; `prune_channels` makes a network that is smaller everywhere.

    With `ExactCheckpoint`, which must come before it, it goes on to the bit, and the best weights are chosen among
    those of epochs that end with all of the zeros.

    Args:
        sparsity: The share of zeros at the end, in [0, 1]. None: 0.8, or that of the pattern.
        pattern: `"N:M"`, as `"2:4"`: at the end N of each M weights in a row along the input channels are kept (Mishra
            et al., "Accelerating Sparse Deep Neural Networks", 2021, https://arxiv.org/abs/2104.08378). Layers whose
            input channels are no multiple of M are left alone. None: any weights.
        begin: When the share begins to grow: a whole number of batches, or a share of the training, as 0.5.
        end: When it has its last value: likewise. None: 0.75; what is left of the training adapts the other weights.
        every: Batches between two times that it grows.
        layers: Names of the layers that are pruned, instead of those said above.

    Attributes:
        batches: Those of the training so far.

    Raises:
        UsageError: An argument is out of range; or, in `fit`, the order of callbacks is wrong, nothing can be pruned,
            or the length of the training is unknown and a moment is a share of it.

    Example:
        >>> import keras_resnet
        >>> digits = keras_resnet.load_data("digits")
        >>> model = keras_resnet.ResNet8(num_classes=10, input_shape=(16, 16, 1))
        >>> model.compile("sgd", "categorical_crossentropy")
        >>> pruning = keras_resnet.MagnitudePruning(0.5, every=1)
        >>> _ = model.fit(digits.train.batches(64, seed=0).take(4), callbacks=[pruning], verbose=0)
        >>> keras_resnet.sparsity(model).layers["stage1_block1_conv1"]
        0.5
    """

    @check_arguments(
        sparsity=SHARE.or_none,
        pattern=PATTERN.or_none,
        begin=MOMENT,
        end=MOMENT.or_none,
        every=COUNT,
        layers=NAMES.or_none,
    )
    def __init__(
        self,
        sparsity: float | None = None,
        *,
        pattern: str | None = None,
        begin: float = 0,
        end: float | None = None,
        every: int = 100,
        layers: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.pattern: Pattern | None = cast(Any, pattern)  # checked, and so read
        if sparsity is not None and pattern is not None:
            raise UsageError(f"the pattern says how many weights become zero: leave out sparsity={sparsity}")
        by_pattern = 1 - self.pattern[0] / self.pattern[1] if self.pattern else SPARSITY
        self.sparsity = by_pattern if sparsity is None else sparsity
        self.begin, self.end, self.every = begin, END if end is None else end, every
        self.layers = None if layers is None else tuple(layers)
        self.batches = 0
        self._span = (0, 0)
        self._pruned: keras.Model | None = None
        self._kernels: list[Prunable] = []
        self._masks: list[keras.Variable] = []
        self._average: MovingAverage | None = None
        self._apply = tf.function(self._applied, autograph=False)

    @property
    def may_be_best(self) -> bool:
        return self.batches >= self._span[1]

    def open(self) -> None:
        """Look up the kernels of the model that is being trained, and which of their weights are zero."""
        if self._pruned is self.model:
            return
        found = prunable(self.model, self.layers)
        self._kernels = [one for one in found if fits(one, self.pattern)]
        if self.pattern is not None and not self._kernels:
            kept, of = self.pattern
            raise UsageError(
                f"no layer of {self.model.name} that is pruned has input channels that are a multiple of {of}, as the "
                f"pattern {kept}:{of} needs"
            )
        self._masks = [
            keras.Variable(kept_now(one.kernel.numpy()), trainable=False, dtype="bool", name="mask")
            for one in self._kernels
        ]
        self._pruned, self.batches = self.model, 0
        self._apply = tf.function(self._applied, autograph=False)

    def tensors(self) -> dict[str, np.ndarray]:
        """All that a checkpoint must keep: eight weights of a mask are a byte."""
        self.open()
        masks = {one.path: np.packbits(mask.numpy()) for one, mask in zip(self._kernels, self._masks, strict=True)}
        return {BATCHES: np.array(self.batches, np.int64), **masks}

    def restore(self, tensors: Mapping[str, np.ndarray], source: str) -> None:
        """Take what `tensors` gave.

        Args:
            tensors: It.
            source: What to call it in an error.

        Raises:
            ModelError: It is of another model.
        """
        self.open()
        expected = {one.path: ((-(-int(np.prod(one.kernel.shape)) // 8),), "uint8") for one in self._kernels}
        refuse_mismatches({BATCHES: ((), "int64"), **expected}, tensors, source)
        self.batches = int(tensors[BATCHES])
        for one, mask in zip(self._kernels, self._masks, strict=True):
            bits = np.unpackbits(tensors[one.path], count=int(np.prod(one.kernel.shape)))
            mask.assign(bits.reshape(one.kernel.shape).astype(bool))

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        check_built(self.model)
        refuse_restored_weights("those of epochs before have fewer zeros")
        self._look_at_others()
        self.open()
        self._span = self._in_batches(self.begin, "begin"), self._in_batches(self.end, "end")
        if self._span[0] > self._span[1]:
            raise UsageError(
                f"the pruning would end before it begins: begin={self.begin} is batch {self._span[0]}, "
                f"end={self.end} batch {self._span[1]}"
            )
        self._apply()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        if self.steps is not None:
            self.batches = epoch * self.steps + self.begun

    def between_batches(self, before: int, done: int) -> None:
        last, self.batches = self.batches, self.batches + done - before
        begin, end = self._span
        if any(
            begin <= number <= end and ((number - begin) % self.every == 0 or number == end)
            for number in range(last + 1, self.batches + 1)
        ):
            self._prune()
        self._apply()

    def catch_up_with_epoch(self) -> None:
        super().catch_up_with_epoch()
        self._mask_average()  # also where a `Guard` has gone back to one of before

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._apply()  # an optimizer that averages (use_ema) has just given the model its average
        self._mask_average()

    def _prune(self) -> None:
        begin, end = self._span
        progress = min(1.0, (self.batches - begin) / (end - begin)) if end > begin else 1.0
        share = self.sparsity * (1 - (1 - progress) ** 3)
        for one, mask in zip(self._kernels, self._masks, strict=True):
            mask.assign(kept_next(one.kernel.numpy(), mask.numpy(), share, self.pattern, one.reduced))
        self._mask_average()

    def _applied(self) -> None:
        for one, mask in zip(self._kernels, self._masks, strict=True):
            one.kernel.assign(tf.where(mask.value, one.kernel.value, tf.zeros_like(one.kernel.value)))

    def _mask_average(self) -> None:
        if self._average is None:
            return
        tensors = self._average.tensors()
        for one, mask in zip(self._kernels, self._masks, strict=True):
            tensors[one.path] = np.where(mask.numpy(), tensors[one.path], np.zeros((), tensors[one.path].dtype))
        self._average.restore(tensors, "the average")

    def _in_batches(self, moment: float, name: str) -> int:
        if isinstance(moment, int):
            return moment
        if self.steps is None:
            raise UsageError(
                f"{name}={moment} is a share of the training, whose length is not known: give a number of batches, or "
                "steps_per_epoch= to fit"
            )
        return round(moment * self.steps * self.params["epochs"])

    def _look_at_others(self) -> None:
        there = list(callbacks_of_this_fit())
        self._average = next((one for one in there if isinstance(one, MovingAverage)), None)
        if self._average is not None and self in there and there.index(self._average) < there.index(self):
            raise UsageError(
                "MagnitudePruning must come before MovingAverage, which averages the weights that it leaves"
            )
        optimizer = unwrapped(self.model.optimizer)
        if getattr(optimizer, "use_ema", False) and any(isinstance(one, ExactCheckpoint) for one in there):
            raise UsageError(
                "ExactCheckpoint would save the average of an optimizer with use_ema=True, which has fewer zeros: "
                "leave use_ema out, and average by keras_resnet.callbacks.MovingAverage"
            )
