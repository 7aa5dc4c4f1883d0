"""1×1 convolutions in training as the matrix products that they are.

Every position of a feature map is multiplied by the same matrix of channels. On CPUs TensorFlow's convolution
takes up to four times as long for it as its matrix product, forward and in both gradients, most where maps are small
(docs/log.md). GPU kernels see to it themselves, in the layout that their neighbours have.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_resnet.compat.layers import called_in_training, override


def use_matrix_product(layer: keras.layers.Conv2D) -> keras.layers.Conv2D:
    """Let a 1×1 convolution train by matrix products, to rounding the same function.

    Inference stays Keras's own, and so does what is saved: see `normalisation.use_fused_kernel`.

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
