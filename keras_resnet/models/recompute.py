"""Activation checkpointing: in the backward pass, blocks are computed again instead of having been kept.

Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016. Between the passes only the tensors
between segments of the network are held; what a segment computed inside is dropped and computed again when its
gradient is due, for about one more forward pass of time.
"""

from __future__ import annotations

import itertools
from typing import Any

import keras

from keras_resnet.compat.deep_graphs import deep_recursion
from keras_resnet.compat.graph import compute
from keras_resnet.compat.layers import override
from keras_resnet.errors import UsageError
from keras_resnet.models.feature_info import carry_over, feature_info


def recompute_activations(model: keras.Model, blocks: int = 1) -> keras.Model:
    """A model to train in place of `model`: the same function in less memory.

    Compile and train what is returned. It has the layers and the variables of `model`, the very same
    objects in the same order, so that either can be saved, evaluated and resumed for the other; losses, gradients,
    moving statistics and random draws are those of `model`.

    Args:
        model: One that `keras_resnet.build` made, with its top or without.
        blocks: Residual blocks in a segment, at least 1. More of them keep fewer tensors between segments and
            need more memory while a segment's gradient is computed.

    Returns:
        A functional `keras.Model` of the same inputs and outputs. Keras saves and clones it as an ordinary one.

    Raises:
        UsageError: (a ValueError) The model has no residual blocks, or `blocks` is out of range.
    """
    if isinstance(blocks, bool) or not isinstance(blocks, int) or blocks < 1:
        raise UsageError(f"blocks must be a whole number of at least 1; received {blocks!r}")
    with deep_recursion():
        cuts = _cuts(model, blocks)
        lean = keras.Model(model.input, model.output, name=model.name)
        lean.dtype_policy = model.dtype_policy  # by which Keras decides whether to scale the loss
        segments: list[Segment] = [RecomputedSegment(*ends) for ends in itertools.pairwise([model.inputs[0], *cuts])]
        carry_over(model, lean)
        # The head computes little, and its softmax hands its logits to the loss.
        _train_through(lean, [*segments, Segment(cuts[-1], model.outputs[0])])
        return lean


def _train_through(model: keras.Model, segments: list[Segment]) -> None:
    """Give a model a training pass of its own."""
    whole = model.call

    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not training:
            return whole(inputs, training=training, mask=mask)
        x = keras.ops.cast(keras.tree.flatten(inputs)[0], model.inputs[0].dtype)
        for segment in segments:
            x = segment(x, training=True)
        return x

    override(model, "call", call)


class Segment(keras.layers.Layer):
    """A part of a functional model between two of its tensors, of which the second depends on the first alone.

    Not a model of its own, for which Keras would enter all layers a second time in the graph.
    """

    def __init__(self, start: Any, end: Any) -> None:
        super().__init__(dtype="float32", autocast=False)  # its layers have policies of their own
        self.function = keras.Function(start, end)
        self.parts = [part for part in self.function.operations if isinstance(part, keras.layers.Layer)]
        self.built = True

    def call(self, x: Any, training: bool | None = None) -> Any:
        """As the layers would be called one by one."""
        return compute(self.function, x, training)


class RecomputedSegment(Segment):
    """A segment in training that keeps nothing of what it computes inside.

    It is run as a pure function, twice: what batch normalisations and random generators would remember is
    written once, after the first time, and the second time begins where the first did.
    """

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Output of the segment; its gradient computes it again."""
        state = self.non_trainable_variables
        # Whole numbers, the random generators' states, have no gradient: TensorFlow wants no such arguments. (The
        # masks they give are kept, a byte an activation: TensorFlow merges the two draws.)
        floats = [variable for variable in (*self.trainable_variables, *state) if "float" in variable.dtype]
        wholes = [(variable, variable.value * 1) for variable in state if "float" not in variable.dtype]

        def pure(x: Any, *values: Any) -> tuple[Any, ...]:
            with keras.StatelessScope([*zip(floats, values, strict=True), *wholes]) as scope:
                y = super(RecomputedSegment, self).call(x, training)
            return y, *(keras.ops.stop_gradient(scope.get_current_value(variable)) for variable in state)

        y, *new = keras.remat(pure)(x, *(variable.value for variable in floats))
        for variable, value in zip(state, new, strict=True):
            variable.assign(value)
        return y


def _cuts(model: keras.Model, blocks: int) -> list[Any]:
    """The tensors behind the stem, behind every so many residual blocks, and behind the last."""
    stem, *ends = [model.get_layer(one.output).output for one in feature_info(model).sections]
    return [stem, *ends[blocks - 1 : -1 : blocks], ends[-1]]
