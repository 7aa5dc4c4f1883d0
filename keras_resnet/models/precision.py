"""Mixed precision: a network that computes in 16 bits and keeps its weights in 32.

Micikevicius et al., "Mixed Precision Training", 2017. Whatever the precision, raw pixels are normalised, batch
statistics taken, and logits and what follows computed in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from keras_resnet.compat.deep_graphs import deep_recursion
from keras_resnet.errors import UsageError, listed
from keras_resnet.models.feature_info import carry_over

if TYPE_CHECKING:
    import keras

Precision = Literal["float32", "bfloat16", "float16"]
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@contextmanager
def computing_in(precision: Precision | None) -> Iterator[None]:
    """Layers made inside compute in `precision`; Keras's own policy is what it was afterwards.

    Args:
        precision: `"float32"`; `"bfloat16"` or `"float16"` with variables in float32; None changes nothing.

    Raises:
        UsageError: (a ValueError) There is no such precision.
    """
    if precision is not None and precision not in POLICIES:
        raise UsageError(f"precision must be None or one of {listed(POLICIES)}; received {precision!r}")
    import keras

    before = keras.config.dtype_policy()
    if precision is not None:
        keras.config.set_dtype_policy(POLICIES[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def float32_copy(model: keras.Model) -> keras.Model:
    """The same network with the same weights, computing in float32: to be saved and exported.

    Args:
        model: A functional model of any precision; it is not changed.

    Returns:
        A functional model that shares nothing with it.
    """
    import keras

    def in_float32(part: Any) -> Any:
        precision = {"dtype": "float32"} if isinstance(part, keras.layers.Layer) else {}  # Keras operations have none
        return type(part).from_config({**part.get_config(), **precision})

    plain = keras.Model(model.input, model.output, name=model.name)
    with computing_in("float32"), deep_recursion():
        copy = keras.models.clone_model(plain, clone_function=in_float32)
    filled = {layer.name: layer for layer in model.layers if layer.variables}
    for layer in copy.layers:  # by name: Keras may order them otherwise, and rename the inputs, which have no weights
        if layer.name in filled:
            layer.set_weights(filled[layer.name].get_weights())
    carry_over(model, copy)
    return copy
