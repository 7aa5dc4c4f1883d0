"""What Keras's `fit` does before the first batch."""

from __future__ import annotations

import keras


def build_metrics(model: keras.Model) -> None:
    """Make the variables of a compiled model's loss and metrics now, and keep `fit` from doing it.

    Under a strategy of several replicas, `fit` makes them of a first batch averaged over the replicas, for which
    `tf.distribute.MultiWorkerMirroredStrategy` has no way.

    Args:
        model: Of one input and one output, compiled; call this in the scope of its strategy.
    """
    image, target = (
        keras.KerasTensor((1, *tensor.shape[1:]), tensor.dtype) for tensor in (model.inputs[0], model.outputs[0])
    )
    model._symbolic_build(data_batch=(image, target))
    model._maybe_symbolic_build = lambda **_: None
