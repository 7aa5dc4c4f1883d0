"""`keras.applications.resnet`: the networks of 2015, which read blue, green, red minus their means."""

from __future__ import annotations

from typing import Any

from keras_resnet.applications import imagenet_utils
from keras_resnet.applications.drop_in import drop_in
from keras_resnet.applications.imagenet_utils import decode_predictions as decode_predictions

ResNet50 = drop_in("ResNet50", "resnet50v1")
ResNet101 = drop_in("ResNet101", "resnet101v1")
ResNet152 = drop_in("ResNet152", "resnet152v1")


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Pixels as these networks read them: blue, green, red, minus (103.939, 116.779, 123.68).

    Args: as `imagenet_utils.preprocess_input`.
    """
    return imagenet_utils.preprocess_input(x, data_format, "caffe")
