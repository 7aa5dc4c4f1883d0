"""Training a model that has a copy in every replica of a `tf.distribute` strategy: as on one device.

Keras clips and accumulates each replica's gradients before it sums them, so neither is what it is on one device. Here
they are summed before anything else.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras.src.optimizers.base_optimizer import BaseOptimizer


class ReplicatedUpdates(keras.optimizers.Optimizer):
    """How an optimizer updates variables of which every replica has a copy, and the same gradient: each its own.

    In Keras the replicas meet for every variable. They cannot meet inside a condition, so gradients could not be
    accumulated.
    """

    def _all_reduce_sum_gradients(self, grads_and_vars: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        return grads_and_vars

    def _backend_update_step(self, grads: list[Any], trainable_variables: list[Any], learning_rate: Any) -> None:
        pairs = self._all_reduce_sum_gradients(list(zip(grads, trainable_variables, strict=True)))
        for gradient, variable in pairs:
            self.update_step(gradient, variable, learning_rate)

    # As Keras has them for one device.
    _backend_increment_gradient_accumulators = BaseOptimizer._backend_increment_gradient_accumulators
    _apply_weight_decay = BaseOptimizer._apply_weight_decay


def sum_gradients_first(optimizer: keras.optimizers.Optimizer) -> None:
    """Give an optimizer the gradients of the global batch in all that it does with them, as on one device.

    Args:
        optimizer: Built; it may scale the loss for another one inside it. It is changed in place, once.
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


def build_metrics(model: keras.Model) -> None:
    """Make the variables of a compiled model's loss and metrics now, and keep `fit` from doing it.

    `fit` would make them of a first batch averaged over the replicas, for which
    `tf.distribute.MultiWorkerMirroredStrategy` has no way.

    Args:
        model: Of one input and one output, compiled; call this in the scope of its strategy.
    """
    image, target = (
        keras.KerasTensor((1, *tensor.shape[1:]), tensor.dtype) for tensor in (model.inputs[0], model.outputs[0])
    )
    model._symbolic_build(data_batch=(image, target))
    model._maybe_symbolic_build = lambda **_: None
