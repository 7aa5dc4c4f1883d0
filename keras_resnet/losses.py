"""Losses of logits, computed in float32 whatever the precision of the network."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_resnet.allowed import LABEL_SMOOTHING, LOSS, THRESHOLD
from keras_resnet.errors import UsageError
from keras_resnet.settings import check_arguments

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_resnet")
class BinaryCrossEntropy(keras.losses.Loss):
    """Binary cross-entropy of each class by itself, as in "ResNet strikes back" (Wightman et al., 2021).

    It is `timm.loss.BinaryCrossEntropy`: smoothed labels are `label × (1 - smoothing) + smoothing / classes`, also if
    images are mixed.

    Args:
        label_smoothing: In [0, 1).
        threshold: Labels above it become 1 and others 0, after smoothing; None: they stay as they are.
        sum_classes: Whether to add up the losses of the classes instead of averaging them.
        smooth_towards: The value towards which labels are smoothed, in [0, 1]; None: 1 / number of classes, as for
            images that have one class each.
        name: Of the loss.
        dtype: In which it is computed.
        **options: Those of every Keras loss.

    Raises:
        UsageError: `label_smoothing` or `threshold` is out of range.

    Example:
        >>> import keras_resnet, numpy as np
        >>> loss = keras_resnet.losses.BinaryCrossEntropy(label_smoothing=0.1)
        >>> round(float(loss(np.float32([[1, 0, 0]]), np.float32([[2, -1, -3]]))), 4)
        0.2518
        >>> model = keras_resnet.ResNet8(num_classes=3, input_shape=(16, 16, 3), classifier_activation=None)
        >>> model.compile("sgd", loss)
    """

    @check_arguments(label_smoothing=LABEL_SMOOTHING, threshold=THRESHOLD.or_none)
    def __init__(
        self,
        label_smoothing: float = 0.0,
        threshold: float | None = None,
        sum_classes: bool = False,
        smooth_towards: float | None = None,
        name: str = "binary_cross_entropy",
        dtype: str = "float32",
        **options: Any,
    ) -> None:
        super().__init__(name=name, dtype=dtype, **options)
        self.label_smoothing, self.threshold, self.sum_classes = label_smoothing, threshold, sum_classes
        self.smooth_towards = smooth_towards

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The loss of each image.

        Args:
            y_true: Labels, one-hot, mixed or several of them, (images, classes).
            y_pred: Logits, (images, classes).
        """
        smoothing, towards = self.label_smoothing, self.smooth_towards
        added = smoothing / y_pred.shape[-1] if towards is None else smoothing * towards
        labels = y_true * (1 - smoothing) + added
        if self.threshold is not None:
            labels = ops.cast(labels > self.threshold, y_pred.dtype)
        losses = -labels * ops.log_sigmoid(y_pred) - (1 - labels) * ops.log_sigmoid(-y_pred)
        return ops.sum(losses, axis=-1) if self.sum_classes else ops.mean(losses, axis=-1)

    def get_config(self) -> dict[str, Any]:
        names = ("label_smoothing", "threshold", "sum_classes", "smooth_towards")
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), "dtype": self.dtype, **own}


@check_arguments(kind=LOSS, label_smoothing=LABEL_SMOOTHING, threshold=THRESHOLD.or_none)
def loss(
    kind: str, label_smoothing: float = 0.0, *, threshold: float | None = None, sum_classes: bool = False
) -> keras.losses.Loss:
    """The loss of logits for one-hot or mixed labels, averaged over the images of a batch.

    The losses of images are multiplied by the images' weights; their sum is divided by the number of images, not by the
    sum of the weights.

    Args:
        kind: `cross-entropy` of a softmax, or `binary`: see `BinaryCrossEntropy`.
        label_smoothing: In [0, 1).
        threshold, sum_classes: See `BinaryCrossEntropy`; only for `binary`.

    Raises:
        UsageError: A setting is out of range.

    Example:
        >>> from keras_resnet.losses import loss
        >>> type(loss("cross-entropy", 0.1)).__name__, type(loss("binary", threshold=0.2)).__name__
        ('CategoricalCrossentropy', 'BinaryCrossEntropy')
    """
    if kind == "binary":
        return BinaryCrossEntropy(label_smoothing, threshold, sum_classes)
    if threshold is not None or sum_classes:
        raise UsageError("threshold and sum_classes are for the binary loss; received them for 'cross-entropy'")
    return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing, dtype="float32")
