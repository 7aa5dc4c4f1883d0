"""Variables called as a network's, without the network."""

import keras
import numpy as np


def named_variables(arrays: dict[str, np.ndarray]) -> list[keras.Variable]:
    """Trainable float32 variables by paths such as `stem_conv/kernel`."""
    made = []
    for path, array in arrays.items():
        layer, name = path.split("/")
        with keras.name_scope(layer):
            made.append(keras.Variable(np.asarray(array, "float32"), name=name))
    return made
