"""How an optimizer works where every replica of a model has variables of its own that must stay the same.

Keras, under a `tf.distribute` strategy, lets an optimizer clip and accumulate each replica's gradients before it
sums them, so that neither is what it is on one device. Here they are summed before anything else.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras.src.optimizers.base_optimizer import BaseOptimizer


class ReplicatedUpdates(keras.optimizers.Optimizer):
    """How an optimizer updates the copies of a variable when every replica has the same gradient: each its own.

    Keras would let the replicas meet for every variable, for which there is no way inside a condition, and so none
    for accumulated gradients.
    """

    def _all_reduce_sum_gradients(self, pairs: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        return pairs

    def _backend_update_step(self, grads: list[Any], trainable_variables: list[Any], learning_rate: Any) -> None:
        pairs = self._all_reduce_sum_gradients(list(zip(grads, trainable_variables, strict=True)))
        for gradient, variable in pairs:
            self.update_step(gradient, variable, learning_rate)

    _backend_increment_gradient_accumulators = BaseOptimizer._backend_increment_gradient_accumulators
    _apply_weight_decay = BaseOptimizer._apply_weight_decay


def sum_gradients_first(optimizer: keras.optimizers.Optimizer) -> None:
    """Let an optimizer see the gradients of the global batch in all that it does with them, as on one device.

    Args:
        optimizer: Built; it may scale the loss for another one. It is changed in place.
    """
    innermost = optimizer
    while hasattr(innermost, "inner_optimizer"):  # that of a scaled loss
        innermost = innermost.inner_optimizer
    kind = type(innermost)
    if issubclass(kind, ReplicatedUpdates):
        return
    # Among the bases just before Keras's own, so that what the optimizer itself overrides stays in force.
    innermost.__class__ = type(kind.__name__, (kind, ReplicatedUpdates), {})
    apply = optimizer.apply

    def apply_summed(gradients: list[Any], variables: list[Any] | None = None) -> None:
        context = tf.distribute.get_replica_context()
        present = [gradient for gradient in gradients if gradient is not None]
        summed = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, present))
        apply([None if gradient is None else next(summed) for gradient in gradients], variables)

    optimizer.apply = apply_summed
