"""Layers that train by other kernels than Keras's own: the same functions up to rounding.

Inference stays Keras's own, so that a model read back from a file gives the same bits as the one that was saved. The
layers keep their classes, and are saved and cloned as Keras's own; the copies then train as Keras has it.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_resnet.compat.layers import called_in_training, override


def use_fused_kernel(layer: keras.layers.BatchNormalization) -> keras.layers.BatchNormalization:
    """Let a batch normalisation train by TensorFlow's fused kernel.

    Ioffe & Szegedy, "Batch Normalization", 2015. Keras 3 composes it of a dozen operations, each of which passes over
    the whole feature map, in float32 whatever the precision. TensorFlow has one kernel for it (cuDNN's or oneDNN's),
    into which it also takes the ReLU that follows, and one for the gradient.

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


def use_matrix_product(layer: keras.layers.Conv2D) -> keras.layers.Conv2D:
    """Let a 1×1 convolution train by the matrix products that it is.

    Every position of a feature map is multiplied by the same matrix of channels. On CPUs TensorFlow's convolution takes
    up to four times as long for it as its matrix product, forward and in both gradients, most where maps are small
    (docs/log.md). GPU kernels see to it themselves, in the layout that their neighbours have.

    Args:
        layer: Any convolution, channels last; it is left as it is unless it is 1×1 with stride 1 and without groups.

    Returns:
        The same layer.
    """
    if layer.kernel_size != (1, 1) or layer.strides != (1, 1) or layer.groups != 1:
        return layer
    convolution = layer.convolution_op

    def convolution_op(inputs: Any, kernel: Any) -> Any:
        if not called_in_training() or not _is_faster(inputs):
            return convolution(inputs, kernel)
        product = ops.matmul(ops.reshape(inputs, (-1, inputs.shape[-1])), ops.reshape(kernel, kernel.shape[2:]))
        return ops.reshape(product, (-1, *inputs.shape[1:-1], layer.filters))

    override(layer, "convolution_op", convolution_op)
    return layer


def _is_faster(inputs: Any) -> bool:
    if keras.backend.backend() != "tensorflow" or None in inputs.shape[1:]:
        return False
    import tensorflow as tf

    return keras.backend.standardize_dtype(inputs.dtype) in ("float32", "bfloat16") and not (
        tf.config.list_logical_devices("GPU")
    )
