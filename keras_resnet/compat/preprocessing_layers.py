"""Preprocessing layers of Keras and KerasCV as functions of a seed.

Such a layer draws random numbers from a state that every call advances: Keras's layers from a
`keras.random.SeedGenerator`, KerasCV's from a `tf.random.Generator`, `tf.random.uniform` and `tf.random.normal`. A
training that continues cannot give the layer the state that it had, and tf.data calls it from several threads, in no
fixed order. Neither package can be told which seed to use in a call. So while a layer is traced, all of these draw
from a seed that is an input of the traced function, and a layer with any other state is refused. So is one that draws
from Python's or NumPy's global generator (Keras's AugMix chooses its operations so): it draws when it is traced, one
choice for all batches, which a continued training could not repeat.
"""

from __future__ import annotations

import itertools
import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.random.seed_generator import global_seed_generator
from tensorflow.python.framework import op_def_registry
from tensorflow.python.ops.control_flow_v2_func_graphs import CondBranchFuncGraph

from keras_resnet.errors import UsageError, listed

Draw = Callable[[], tf.Tensor]
"""Gives another seed every time: int32 (2,)."""

HARMLESS = {"Assert", "Case", "If", "PartitionedCall", "ReadVariableOp", "StatefulPartitionedCall", "While"}
"""Operations that TensorFlow calls stateful although they neither draw numbers nor change anything."""

_one_at_a_time = threading.RLock()
_draws: list[Draw] = []
"""Where the layer that is being traced gets its seeds: the last one, as loops over images add their own."""


def function_of_seed(layer: keras.Layer, shape: tuple[int | None, ...]) -> Any:
    """Trace a layer so that its random numbers come from a seed, an input, and from nothing else.

    Args:
        layer: Images to images.
        shape: (batch, height, width, channels) of the images.

    Returns:
        A concrete `tf.function`, (images, seed) → what the layer gives; images float32, the seed an int32 scalar.

    Raises:
        UsageError: The layer fails on such images, has another state, draws from Python's or NumPy's global
            generator, or draws in a loop that is not over images.
    """

    def call(images: tf.Tensor) -> tf.Tensor:
        return layer(images, training=True)

    # KerasCV leaves some conditions to AutoGraph.
    converted = tf.autograph.to_graph(call)

    def seeded(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        with _drawing_from(seed):
            return converted(images)

    inputs = tf.TensorSpec(shape, tf.float32), tf.TensorSpec((), tf.int32)
    # Keras seeds its global generator by Python's when it is first asked for, which is not the layer's doing.
    global_seed_generator()
    with _one_at_a_time, ExitStack() as stack:
        for owner, name, stateless in SOURCES:
            stack.enter_context(_replaced(owner, name, stateless))
        try:
            if not layer.built:
                layer.build(shape)
            before = _states_of_global_generators()
            function = tf.function(seeded, autograph=False).get_concrete_function(*inputs)
            drawn = [name for name, state in _states_of_global_generators().items() if state != before[name]]
        except Exception as error:  # whatever a layer may raise, in the words of AutoGraph and Keras around it
            raise UsageError(_reason(error)) from error
    if drawn:
        raise UsageError(
            f"it draws from {' and '.join(drawn)} when it is traced, so that all batches would get one choice, and a "
            "continued training another; its random numbers must come from keras.random, with a "
            "keras.random.SeedGenerator as seed"
        )
    _refuse_states(function.graph)
    return function


def _states_of_global_generators() -> dict[str, Any]:
    kind, key, *rest = np.random.get_state(legacy=True)
    return {"Python's random": random.getstate(), "numpy.random": (kind, np.asarray(key).tobytes(), *rest)}


@contextmanager
def _replaced(owner: Any, name: str, stateless: Callable[..., Any]) -> Iterator[None]:
    original, thread = getattr(owner, name), threading.get_ident()

    def replacement(*args: Any, **kwargs: Any) -> Any:
        # Other threads, and what TensorFlow does around the call of the layer, draw as always.
        if threading.get_ident() != thread or not _draws:
            return original(*args, **kwargs)
        return stateless(_draws[-1], original, *args, **kwargs)

    setattr(owner, name, replacement)
    try:
        yield
    finally:
        setattr(owner, name, original)


@tf.autograph.experimental.do_not_convert
@contextmanager
def _drawing_from(seed: tf.Tensor) -> Iterator[None]:
    """In the block, all random numbers come from a seed, an int32 scalar."""
    home, numbers = tf.compat.v1.get_default_graph(), itertools.count()

    @tf.autograph.experimental.do_not_convert
    def draw() -> tf.Tensor:
        graph = tf.compat.v1.get_default_graph()
        while isinstance(graph, CondBranchFuncGraph):
            graph = graph.outer_graph
        if graph is not home:
            raise UsageError("it draws random numbers in a loop, all turns of which would get the same ones")
        return tf.stack([seed, next(numbers)])

    _draws.append(draw)
    try:
        yield
    finally:
        _draws.pop()


def _next_seed(draw: Draw, _: Any, generator: keras.random.SeedGenerator, ordered: bool = True) -> tf.Tensor:
    return tf.cast(draw(), tf.int64)


def _uniform(
    draw: Draw, _: Any, shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = tf.float32, **unused: Any
) -> tf.Tensor:
    return tf.random.stateless_uniform(shape, draw(), minval, maxval, dtype)


def _normal(
    draw: Draw, _: Any, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = tf.float32, **unused: Any
) -> tf.Tensor:
    return tf.random.stateless_normal(shape, draw(), mean, stddev, dtype)


def _of_generator(function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    return lambda draw, original, generator, *args, **kwargs: function(draw, original, *args, **kwargs)


def _map_fn(draw: Draw, original: Any, fn: Callable[[Any], Any], elems: Any, dtype: Any = None, **options: Any) -> Any:
    signature = options.pop("fn_output_signature", dtype)
    if signature is None:
        signature = tf.nest.map_structure(lambda one: one.dtype, elems)
    return original(_each_with_seed(fn), (elems, _seeds(draw, elems)), fn_output_signature=signature, **options)


def _vectorized_map(draw: Draw, original: Any, fn: Callable[[Any], Any], elems: Any, **options: Any) -> Any:
    return original(_each_with_seed(fn), (elems, _seeds(draw, elems)), **{**options, "warn": False})


def _seeds(draw: Draw, elems: Any) -> tf.Tensor:
    count = tf.shape(tf.nest.flatten(elems, expand_composites=True)[0])[0]
    return tf.random.stateless_uniform((count,), draw(), None, None, tf.int32)


def _each_with_seed(fn: Callable[[Any], Any]) -> Callable[[tuple[Any, tf.Tensor]], Any]:
    """The body of a loop, with a seed for each turn: as it is traced once, all turns would get the same numbers."""

    def one(element_and_seed: tuple[Any, tf.Tensor]) -> Any:
        element, seed = element_and_seed
        with _drawing_from(seed):
            return fn(element)

    return one


SOURCES: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (keras.random.SeedGenerator, "next", _next_seed),
    (tf.random.Generator, "uniform", _of_generator(_uniform)),
    (tf.random.Generator, "normal", _of_generator(_normal)),
    (tf.random, "uniform", _uniform),
    (tf.random, "normal", _normal),
    (tf, "map_fn", _map_fn),
    (tf, "vectorized_map", _vectorized_map),
)
"""The functions with which layers draw numbers and loop over images, and what they do while a layer is traced."""


def _reason(error: Exception) -> str:
    """The last line of an error's message, without AutoGraph's traceback before it and Keras's arguments after it."""
    text = re.sub(r"\x1b\[\d*m", "", str(error)).partition("Arguments received by")[0]
    return (text.strip().splitlines() or [type(error).__name__])[-1].strip()


def _refuse_states(graph: tf.Graph) -> None:
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(node for one in definition.library.function for node in one.node_def)]
    known = ((node.op, op_def_registry.get(node.op)) for node in nodes)
    stateful = {name for name, operation in known if operation is not None and operation.is_stateful} - HARMLESS
    if stateful:
        raise UsageError(
            f"it uses {listed(sorted(stateful))}, whose results depend on the calls before; its random numbers must "
            "come from keras.random, with a keras.random.SeedGenerator as seed"
        )
