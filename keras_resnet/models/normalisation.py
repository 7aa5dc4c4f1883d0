"""Batch normalisation in training by TensorFlow's fused kernel.

Ioffe & Szegedy, "Batch Normalization", 2015. Keras 3 composes it of a dozen operations, each of which passes over
the whole feature map, in float32 whatever the precision; TensorFlow has one kernel for it (cuDNN's or oneDNN's),
into which it also takes the ReLU that follows, and one for the gradient.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_resnet.compat.layers import override


def use_fused_kernel(layer: keras.layers.BatchNormalization) -> keras.layers.BatchNormalization:
    """Let a layer train by the fused kernel, to rounding the same function.

    Inference stays Keras's own, so that a model read back from a file gives the same bits as the one that was saved.
    The layer keeps its class, and is saved and cloned as Keras's own; the copy then trains as Keras has it.

    Args:
        layer: Of a feature map, (batch, height, width, channels), with gamma and beta.

    Returns:
        The same layer.
    """
    composed = layer.call

    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if training and layer.trainable and _has_kernel(layer, inputs, mask):
            return _fused(layer, inputs)
        return composed(inputs, training=training, mask=mask)

    override(layer, "call", call)
    return layer


def _has_kernel(layer: keras.layers.BatchNormalization, inputs: Any, mask: Any) -> bool:
    return (
        keras.backend.backend() == "tensorflow"
        and mask is None
        and not layer.synchronized  # over the replicas, whose sums the kernel does not know
        and keras.backend.standardize_dtype(layer.variable_dtype) == "float32"  # as the kernel wants gamma and beta
        and keras.backend.standardize_dtype(inputs.dtype) in ("float32", "bfloat16", "float16")
    )


def _fused(layer: keras.layers.BatchNormalization, inputs: Any) -> Any:
    import tensorflow as tf

    # The kernel divides by one less than the number of values (Bessel's correction), Keras by the number.
    count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), tf.float32)
    bessel = count / tf.maximum(count - 1, 1)
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=ops.convert_to_tensor(layer.gamma),
        offset=ops.convert_to_tensor(layer.beta),
        mean=ops.convert_to_tensor(layer.moving_mean),
        variance=layer.moving_variance * bessel,
        epsilon=layer.epsilon,
        exponential_avg_factor=1 - layer.momentum,
        is_training=True,
    )
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(variance / bessel)
    return outputs
