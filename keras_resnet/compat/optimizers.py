"""Keras's optimizers, with public names for the steps inside an update.

Of an optimizer Keras documents `build`, `update_step` and `get_config`. What this package changes lies between them:
the rate of an update, what is done to its gradients before the rule sees them, and which weights decay.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import keras
import numpy as np

from keras_resnet.errors import UsageError, listed

Tensor = Any


class HookedOptimizer(keras.optimizers.Optimizer):
    """A Keras optimizer in which subclasses can override the steps inside an update.

    Derive an update rule from it, or put it before one of Keras's rules among the bases. As in Keras, a rule is
    `update_step(gradient, variable, learning_rate)`, which changes one variable by a gradient of the same shape. What
    it remembers is made in `add_state`.

    To an optimizer that is not built, a state can be given all the same: it waits for `build`. Keras's reader of `.h5`
    files needs that. It builds an optimizer for no variables, and gives it the state before it knows any.

    Attributes:
        shrinks_weights: Whether Keras takes `rate × weight_decay` of each weight that decays, before the rule is
            applied. False where the rule, or a subclass, sees to the decay itself.
    """

    shrinks_weights: ClassVar[bool] = True
    _waiting: Sequence[np.ndarray] = ()

    @property
    def variables(self) -> list[keras.Variable]:
        """All that the optimizer remembers, and what waits for `build`, so that it is saved again."""
        known = super().variables
        late = enumerate(self._waiting[len(known) :])
        return known + [keras.Variable(one, trainable=False, dtype=str(one.dtype), name=f"late_{n}") for n, one in late]

    def build(self, variables: list[keras.Variable]) -> None:
        if self.built or not variables:
            return
        super().build(variables)
        self.add_state(variables)
        if self._waiting:
            state, self._waiting = self._waiting, ()
            with _at_once():
                self.set_weights(state)

    def add_state(self, variables: list[keras.Variable]) -> None:
        """Make what a rule remembers of the variables that the optimizer is built for, once, in `build`."""

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all variables, in their order; before `build`, those that there are, and the others as soon as they are.

        Raises:
            UsageError: Their number or a shape is not that of the variables; nothing was set.
        """
        arrays = [np.asarray(one) for one in weights]
        known = super().variables
        given, own = [one.shape for one in arrays], [tuple(one.shape) for one in known]
        if given[: len(own)] != own or (self.built and len(given) != len(own)):
            raise UsageError(
                f"the state is of another optimizer or network: {self.name} remembers {len(own)} arrays, of shapes "
                f"{listed(own)}; received {len(given)}, of shapes {listed(given)}"
            )
        for variable, one in zip(known, arrays, strict=False):
            variable.assign(one)
        if not self.built:
            self._waiting = arrays

    def position(self, variable: Any) -> int:
        """The place of a variable among those that the optimizer was built for.

        Updates receive the backend's variables, which have other names and identities than Keras's.
        """
        return self._get_variable_index(variable)

    def rate_after(self, updates: Any) -> Tensor:
        """The rate of the update that comes after so many others.

        Keras gives a schedule the number of batches, also of those whose gradients are only accumulated.

        Args:
            updates: A whole number, scalar.

        Returns:
            A scalar.
        """
        rate = self._learning_rate
        return rate(updates) if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule) else rate

    def decays(self, variable: Any) -> bool:
        """Whether weight decay applies to a variable."""
        return super()._use_weight_decay(variable)

    def before_rule(self, gradients: Sequence[Tensor], variables: Sequence[Any]) -> list[Tensor]:
        """What the rule is given for the gradients of an update.

        Args:
            gradients: As they act: unscaled, averaged over accumulated batches, summed over replicas; in the shapes
                of the variables.
            variables: Theirs, in the same order; some of those that the optimizer was built for.

        Returns:
            As many gradients of the same shapes.
        """
        return list(gradients)

    def _get_current_learning_rate(self) -> Tensor:
        return self.rate_after(self.iterations)

    def _use_weight_decay(self, variable: Any) -> bool:
        return self.decays(variable)

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        if self.shrinks_weights:
            super()._apply_weight_decay(variables)

    def _all_reduce_sum_gradients(self, grads_and_vars: list[tuple[Tensor, Any]]) -> list[tuple[Tensor, Any]]:
        # TensorFlow alone calls this: before it, a gradient is that of one replica's part of the batch.
        gradients, variables = zip(*super()._all_reduce_sum_gradients(grads_and_vars), strict=True)
        return list(zip(self.before_rule(gradients, variables), variables, strict=True))

    def _backend_update_step(self, grads: list[Tensor], trainable_variables: list[Any], learning_rate: Tensor) -> None:
        if keras.backend.backend() != "tensorflow":
            grads = self.before_rule(grads, trainable_variables)
        super()._backend_update_step(grads, trainable_variables, learning_rate)


def _at_once() -> AbstractContextManager[Any]:
    """Where variables are set now, and not at each call of the function that is being traced: Keras builds in one."""
    if keras.backend.backend() != "tensorflow":
        return nullcontext()
    import tensorflow as tf

    return tf.init_scope()


class HookedAdafactor(HookedOptimizer, keras.optimizers.Adafactor):
    """Keras's Adafactor, with public names for what it remembers."""

    def mean_squares(self, variable: Any) -> tuple[keras.Variable, keras.Variable]:
        """Mean squares of the gradients of a kernel of two axes or more: by row and by column.

        Returns:
            Shaped as the kernel without its last axis, and without its last but one.
        """
        index = self.position(variable)
        return self._r[index], self._c[index]


def batch_counter(optimizer: keras.optimizers.Optimizer) -> keras.Variable:
    """Counts the batches that an optimizer has seen; its public `iterations` counts updates and cannot be assigned."""
    return optimizer._iterations


def gradient_accumulators(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """Sums of the gradients that no update has used yet, one a variable; none where nothing is accumulated."""
    return getattr(optimizer, "_accumulated_gradients", [])


def follows_schedule(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether a schedule gives the learning rate, which then cannot be assigned; its public name gives a number."""
    return isinstance(optimizer._learning_rate, keras.optimizers.schedules.LearningRateSchedule)
