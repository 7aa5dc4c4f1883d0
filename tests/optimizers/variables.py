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


def apply(optimizer: keras.optimizers.Optimizer, gradients: list, variables: list[keras.Variable]) -> None:
    """`optimizer.apply` as training calls it; Keras's loss scaling works on JAX without side effects only."""
    if keras.backend.backend() != "jax":
        optimizer.apply(gradients, variables)
        return
    memory = optimizer.variables
    weights, remembered = optimizer.stateless_apply([v.value for v in memory], gradients, [v.value for v in variables])
    for variable, value in zip([*variables, *memory], [*weights, *remembered], strict=True):
        variable.assign(value)
