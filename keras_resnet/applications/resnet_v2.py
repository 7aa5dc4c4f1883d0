"""`keras.applications.resnet_v2`: the pre-activation networks of 2016, which read red, green, blue from -1 to 1."""

from __future__ import annotations

from typing import Any

from keras_resnet.applications import imagenet_utils
from keras_resnet.applications.drop_in import drop_in
from keras_resnet.applications.imagenet_utils import decode_predictions as decode_predictions

ResNet50V2 = drop_in("ResNet50V2", "resnet50v2")
ResNet101V2 = drop_in("ResNet101V2", "resnet101v2")
ResNet152V2 = drop_in("ResNet152V2", "resnet152v2")


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Pixels as these networks read them: pixel / 127.5 - 1.

    Args: as `imagenet_utils.preprocess_input`.
    """
    return imagenet_utils.preprocess_input(x, data_format, "tf")
