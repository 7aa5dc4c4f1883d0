"""A model that computes in training what its file of integers will compute.

Normalisations are folded with the statistics that they have; kernels are rounded to 8 bits for each output channel; and
activations are rounded wherever TFLite's kernels requantise: the input, behind each convolution or dense layer with its
ReLU, behind sums, products and means. What only chooses among numbers or moves them, such as a maximum or a border,
keeps the numbers of what it is given. Jacob et al., 2017; Krishnamoorthi, "Quantizing deep convolutional networks for
efficient inference", 2018.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.compat.deep_graphs import deep_recursion
from keras_resnet.errors import UsageError
from keras_resnet.models.feature_info import carry_over
from keras_resnet.models.fusion import as_functional, folded_copy, is_relu
from keras_resnet.models.precision import float32_copy

if TYPE_CHECKING:
    import keras

ROUNDED = {
    "Conv1D": "RoundedConv1D",
    "Conv2D": "RoundedConv2D",
    "DepthwiseConv2D": "RoundedDepthwiseConv2D",
    "Dense": "RoundedDense",
}
"""Layers with a kernel, and what takes their place."""
SAME_NUMBERS = (
    *("ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "Identity"),
    *("Cropping1D", "Cropping2D", "ExpandDims", "Flatten", "GetItem", "Permute", "RepeatVector", "Reshape", "Squeeze"),
    *("GlobalMaxPooling1D", "GlobalMaxPooling2D", "MaxPooling1D", "MaxPooling2D", "Softmax", "SpatialDropout1D"),
    *("SpatialDropout2D", "Take", "Transpose", "UpSampling2D", "ZeroPadding1D", "ZeroPadding2D"),
)
"""Layers and operations that TFLite computes in the numbers of what they are given."""
MEANS = ("AveragePooling1D", "AveragePooling2D")
"""What they give is rounded to the numbers of what they are given."""
FUSES = (*ROUNDED.values(), "Add", "Subtract", "Multiply", "BatchNormalization")
"""What computes a ReLU behind it in one go, before it rounds."""
REWRITTEN = {
    "SeparableConv2D": "_separable",
    "BatchNormalization": "_normalisation",
    "Rescaling": "_rescaling",
    "Normalization": "_rescaling",
}
"""Others that become those, and by what of `_Rewriting`."""
SIGMOID = (0.0, 255 / 256)
"""TFLite's range for what a sigmoid gives."""
PIXELS = (0.0, 255.0)
IMAGES = 256
"""Of calibration images: as many are looked at."""
BATCH = 16


def quantization_aware(
    model: keras.Model, images: np.ndarray, *, learning: str = "averaged", bits: int = 8
) -> keras.Model:
    """A copy of a model that is trained on for integers.

    Args:
        model: Functional or sequential; it is not changed.
        images: As the model takes them, (n, height, width, channels), at least one. Pixels of 0-255, uint8 or floats,
            get their exact range.
        learning: As `ActivationRange` has it.
        bits: Of a weight, 2 to 8. Files hold 8.

    Returns:
        A functional model of the same inputs and outputs with weights of its own. It is compiled and trained as any.

    Raises:
        UsageError: The model has no graph, nothing that becomes integers, or a layer that cannot.
    """
    if not len(images):
        raise UsageError("ranges of activations are found on images, and there are none: give some of the training")
    flat = flattened(as_functional(model, "trained for integers"))
    if any(getattr(layer, "compute_dtype", "float32") in ("float16", "bfloat16") for layer in flat.layers):
        flat = float32_copy(flat)
    folded, _ = folded_copy(flat)
    aware = _Rewriting(folded, learning, bits).result(_input_range(images))
    _calibrate(aware, images)
    carry_over(folded, aware)
    preprocessing = getattr(model, "preprocessing", None)
    if preprocessing is not None:
        aware.preprocessing = preprocessing
    return aware


def is_quantization_aware(model: Any) -> bool:
    """Whether a model brings the ranges of its activations."""
    return any(type(layer).__name__ == "ActivationRange" for layer in getattr(model, "layers", ()))


def deployed(model: keras.Model, *, rounds: bool = True) -> keras.Model:
    """What is converted of a model that `quantization_aware` made: stock layers, whose kernels are rounded already.

    Args:
        model: It.
        rounds: Whether activations are rounded, by what TensorFlow's converter knows; else they are floats.

    Returns:
        A copy.
    """
    import keras

    from keras_resnet.compat.graph import rebuilt

    made: dict[int, Any] = {}
    stock = {name: kind for kind, name in ROUNDED.items()}

    def compute(call: Any, *arguments: Any, **options: Any) -> Any:
        layer, kind, x = call.operation, type(call.operation).__name__, arguments[0]
        if kind in stock:
            made.setdefault(id(layer), _stock(layer, getattr(keras.layers, stock[kind])))
        elif kind == "ChannelRescaling":
            made.setdefault(id(layer), keras.layers.DepthwiseConv2D(1, data_format="channels_last", name=layer.name))
        elif kind == "ActivationRange" and not rounds:
            return x, x
        elif kind == "ActivationRange":
            made.setdefault(id(layer), type(layer).from_config(layer.get_config()))
            return made[id(layer)](x)
        else:
            return layer(*arguments, **options)
        y = made[id(layer)](x)
        return y, y  # nothing reads the unit

    with deep_recursion():
        given = keras.Input(batch_shape=model.inputs[0].shape, dtype=model.inputs[0].dtype)
        found = keras.Model(given, rebuilt(model, [given], compute), name=model.name)
    for layer in model.layers:
        copy, kind = made.get(id(layer)), type(layer).__name__
        if copy is None:
            continue
        if kind in stock:
            copy.set_weights(layer.get_weights())
            copy.kernel.assign(layer.rounded)
        elif kind == "ChannelRescaling":
            copy.set_weights([np.reshape(layer.scale, (1, 1, -1, 1)), np.asarray(layer.offset)])
        else:
            copy.set_weights(layer.get_weights())
    return found


def _stock(layer: Any, kind: Any) -> Any:
    return kind.from_config({name: value for name, value in layer.get_config().items() if name != "bits"})


def flattened(model: keras.Model) -> keras.Model:
    """A functional model without models inside: theirs are its layers. The layers are shared.

    Args:
        model: Functional.

    Raises:
        UsageError: Layers inside and outside have the same name.
    """
    import keras

    from keras_resnet.compat.graph import graph_of, rebuilt

    def compute(call: Any, *arguments: Any, **options: Any) -> Any:
        inner = graph_of(call.operation) if isinstance(call.operation, keras.Model) else None
        if inner is None:
            return call.operation(*arguments, **options)
        results = rebuilt(inner, keras.tree.flatten(arguments[0]), compute)
        return results[0] if len(results) == 1 else results

    if not any(isinstance(layer, keras.Model) for layer in model.layers):
        return model
    with deep_recursion():
        try:
            return keras.Model(model.inputs, rebuilt(model, model.inputs, compute), name=model.name)
        except ValueError as error:
            raise UsageError(
                f"{model.name} has a model inside, and layers inside and outside of it have the same name: {error}"
            ) from None


class _Rewriting:
    """The copy of one model.

    Args:
        model: Functional, without models inside, folded.
        learning, bits: As `quantization_aware`.
    """

    def __init__(self, model: keras.Model, learning: str, bits: int) -> None:
        from keras_resnet.compat.graph import calls, sole_readers
        from keras_resnet.models import fake_quantization

        self.layers: Any = fake_quantization
        self.model, self.learning, self.bits = model, learning, bits
        self.readers = sole_readers(model)
        self.made: dict[tuple[int, str], Any] = {}
        self.ranges: dict[int, tuple[Any, Any, Any]] = {}  # by the id of a tensor: its range, its steps, itself
        self.pending: dict[int, tuple[Any, Mapping[str, Any]]] = {}  # rounded behind the ReLU that comes next
        self.names = {call.operation.name for call in calls(model)}

    def result(self, ends: tuple[float, float]) -> keras.Model:
        """The copy.

        Args:
            ends: Of what goes in.
        """
        import keras

        from keras_resnet.compat.graph import rebuilt

        (given,) = self.model.inputs
        fresh = keras.Input(batch_shape=given.shape, dtype=given.dtype, name=given.name)
        with deep_recursion():
            self.pixels, self.ends = self._ranged(fresh, given.name, ends=ends), ends
            outputs = rebuilt(self.model, [self.pixels], self._compute)
            aware = keras.Model(fresh, outputs[0] if len(outputs) == 1 else outputs, name=self.model.name)
        if not any(type(layer).__name__ in ROUNDED.values() for layer in aware.layers):
            raise UsageError(f"{self.model.name} has no convolution or dense layer that becomes integers")
        return aware

    def _compute(self, call: Any, *arguments: Any, **options: Any) -> Any:
        """What stands for a call: its operation or what takes its place, and the range behind it."""
        import keras

        from keras_resnet.compat.graph import kind_of

        operation, kind = call.operation, kind_of(call.operation)
        if kind in ROUNDED:
            return self._rounded(call, operation, arguments[0])
        if kind in REWRITTEN:
            return getattr(self, REWRITTEN[kind])(call, arguments[0])
        if isinstance(operation, keras.layers.Activation):
            return self._activated(call, operation.activation, operation.name, arguments[0])
        if kind in ("Sigmoid", "Silu"):
            activation = getattr(keras.activations, kind.lower())
            return self._activated(call, activation, self._name(operation.name), arguments[0])
        if getattr(operation, "trainable_variables", ()):
            known = ", ".join((*ROUNDED, *REWRITTEN))
            raise UsageError(
                f"{self.model.name} has the layer {operation.name} ({type(operation).__name__}), which cannot be "
                f"trained for integers: layers with weights may be {known}"
            )
        result = self._copied(operation, lambda: _again(operation), (), *arguments, **options)
        if kind in SAME_NUMBERS or kind.startswith("Random"):
            return self._like(result, arguments[0])
        if kind in MEANS and id(arguments[0]) in self.ranges:
            layer, _, _ = self.ranges[id(arguments[0])]
            return self._known(layer, *layer(result, is_mean=True))
        given = keras.tree.flatten(list(arguments))
        return self._behind(call, result, kind, self._unit(operation, given))

    def _unit(self, operation: Any, given: Sequence[Any]) -> Mapping[str, Any]:
        """What the results of a sum or product are whole numbers of, as a range is told it; empty: it is not known."""
        kind, steps = type(operation).__name__, [self.ranges[id(one)][1] for one in given if id(one) in self.ranges]
        if len(given) == 1 and id(given[0]) in self.pending:
            return self.pending[id(given[0])][1]
        if kind == "GlobalAveragePooling2D" and steps and None not in given[0].shape[1:]:
            return {"unit": steps[0], "share": 1 / math.prod(given[0].shape[1:3])}
        if kind == "Multiply" and len(steps) == len(given) == 2:
            return {"unit": steps}
        return {}

    def _rounded(self, call: Any, layer: Any, x: Any, suffix: str = "") -> Any:
        """A layer with a rounded kernel, what it computes rounded.

        Args:
            call: What it stands for, or ends with.
            layer: A stock layer, whose weights it gets.
            x: What goes in.
            suffix: Of the layer's name where the call goes on behind it.
        """
        import keras

        if getattr(layer, "data_format", "channels_last") != "channels_last":
            raise UsageError(
                f"{self.model.name}: {layer.name} has its channels first; files of integers have them last"
            )
        activation = layer.activation or keras.activations.linear
        plain = (keras.activations.linear, keras.activations.relu, keras.activations.relu6)
        kind = getattr(self.layers, ROUNDED[type(layer).__name__])
        own = activation if activation in plain else keras.activations.linear

        def make() -> Any:
            return kind.from_config({**layer.get_config(), "activation": own, "bits": self.bits})

        y, unit = self._copied((call.operation, suffix), make, layer.get_weights(), x, self._step(x))
        if suffix or own is not activation:
            y = self._ranged(y, layer.name, {"unit": unit})
            return y if suffix else self._activated(call, activation, self._name(f"{layer.name}_activation"), y)
        return self._behind(call, y, kind.__name__, {"unit": unit})

    def _separable(self, call: Any, x: Any) -> Any:
        """A depthwise and a 1×1 convolution; TFLite rounds between them."""
        import keras

        layer = call.operation
        shared = {name: layer.get_config()[name] for name in ("strides", "padding", "data_format", "dilation_rate")}
        depthwise = keras.layers.DepthwiseConv2D(
            layer.kernel_size,
            depth_multiplier=layer.depth_multiplier,
            use_bias=False,
            name=f"{layer.name}_depthwise",
            **shared,
        )
        pointwise = keras.layers.Conv2D(
            layer.filters,
            1,
            use_bias=layer.use_bias,
            activation=layer.activation,
            data_format=layer.data_format,
            name=layer.name,
        )
        pointwise(depthwise(x))
        first, *rest = layer.get_weights()
        depthwise.set_weights([first])
        pointwise.set_weights(rest)
        return self._rounded(call, pointwise, self._rounded(call, depthwise, x, "depthwise"))

    def _normalisation(self, call: Any, x: Any) -> Any:
        """One that could not be folded: a depthwise convolution of 1×1, which has a scale for each channel."""
        import keras

        norm = call.operation
        if len(x.shape) != 4 or norm.axis not in (-1, 3):
            raise UsageError(
                f"{self.model.name} has the normalisation {norm.name}, which can be folded into no layer before it and "
                "is not over the last axis of a feature map: it cannot be trained for integers"
            )
        mean, variance = (one.numpy().astype(np.float64) for one in (norm.moving_mean, norm.moving_variance))
        factor = (norm.gamma.numpy() if norm.scale else 1.0) / np.sqrt(variance + norm.epsilon)
        layer = keras.layers.DepthwiseConv2D(1, data_format="channels_last", name=norm.name)
        layer(x)
        layer.set_weights([factor.reshape(1, 1, -1, 1), (norm.beta.numpy() if norm.center else 0.0) - mean * factor])
        return self._rounded(call, layer, x)

    def _rescaling(self, call: Any, x: Any) -> Any:
        """What normalises pixels, without constants of 8 bits."""
        layer, channels = call.operation, x.shape[-1]
        if type(layer).__name__ == "Normalization":
            factor = 1 / np.maximum(np.sqrt(np.asarray(layer.variance, np.float64)), 1e-7).ravel()
            added = -np.asarray(layer.mean, np.float64).ravel() * factor
        else:
            factor, added = (np.asarray(one, np.float64).ravel() for one in (layer.scale, layer.offset))
        if len(x.shape) != 4 or {factor.size, added.size} - {1, channels}:
            return self._behind(call, self._copied(layer, lambda: _again(layer), (), x), type(layer).__name__)
        factor, added = (np.broadcast_to(one, channels) for one in (factor, added))

        def make() -> Any:
            return self.layers.ChannelRescaling(factor.tolist(), added.tolist(), dtype="float32", name=layer.name)

        y, unit = self._copied(layer, make, (), x, self._step(x))
        if x is not self.pixels:
            return self._behind(call, y, "ChannelRescaling", {"unit": unit})
        # Every value of a pixel may come, whatever those that are looked at have.
        reached = np.stack([factor * end + added for end in self.ends])
        ends = min(0.0, float(reached.min())), max(0.0, float(reached.max()))
        return self._ranged(y, layer.name, {"unit": unit}, ends=ends)

    def _activated(self, call: Any, activation: Callable[..., Any], name: str, x: Any) -> Any:
        """An activation that is no part of the layer before it."""
        import keras

        known = keras.activations
        if activation is known.linear:
            return x
        if activation is known.softmax:  # of shares nothing is computed any more
            return keras.layers.Activation("softmax", name=name)(x)
        if activation is known.sigmoid:
            return self._ranged(keras.layers.Activation("sigmoid", name=name)(x), name, ends=SIGMOID)
        if activation is known.silu:
            gate = keras.layers.Activation("sigmoid", name=self._name(f"{name}_gate"))(x)
            gated, given = keras.layers.Multiply(name=name), [x, self._ranged(gate, f"{name}_gate", ends=SIGMOID)]
            return self._behind(call, gated(given), "Multiply", self._unit(gated, given))
        layer = keras.layers.Activation(activation, name=name)
        return self._behind(call, layer(x), "Activation", self._unit(layer, [x]))

    def _behind(self, call: Any, result: Any, kind: str, unit: Mapping[str, Any] | None = None) -> Any:
        """The result, rounded where TFLite rounds: not before a ReLU that is computed with it."""
        reader = self.readers.get(id(call.outputs[0]))
        if kind in FUSES and reader is not None and _is_fused_relu(reader.operation):
            self.pending[id(result)] = result, unit or {}
            return result
        return self._ranged(result, call.operation.name, unit)

    def _ranged(
        self,
        x: Any,
        name: str,
        unit: Mapping[str, Any] | None = None,
        *,
        ends: tuple[float, float] | None = None,
    ) -> Any:
        """A tensor with a range behind it.

        Args:
            x: The tensor.
            name: Of the layer that gives it.
            unit: What the range is told of it.
            ends: That the range keeps; None: it finds them.
        """
        name = self._name(f"{name}_range")
        if ends is None:
            layer = self.layers.ActivationRange(self.learning, name=name)
        else:
            layer = self.layers.ActivationRange("fixed", low=ends[0], high=ends[1], name=name)
        return self._known(layer, *layer(x, **(unit or {})))

    def _known(self, layer: Any, x: Any, step: Any) -> Any:
        """Remember of a tensor which range has rounded it, and to what steps."""
        self.ranges[id(x)] = layer, step, x
        return x

    def _like(self, x: Any, given: Any) -> Any:
        """Remember that a tensor has the numbers of another."""
        if id(given) in self.ranges:
            layer, step, _ = self.ranges[id(given)]
            self._known(layer, x, step)
        return x

    def _step(self, x: Any) -> Any:
        if id(x) not in self.ranges:
            raise UsageError(
                f"{self.model.name} has a layer with weights behind a softmax, which cannot be trained for integers"
            )
        return self.ranges[id(x)][1]

    def _copied(
        self, original: Any, make: Callable[[], Any], weights: Sequence[np.ndarray], *arguments: Any, **options: Any
    ) -> Any:
        """What the one layer that stands for another gives, which is made when it is first called."""
        operation, part = original if isinstance(original, tuple) else (original, "")
        key = id(operation), part
        fresh = key not in self.made
        if fresh:
            self.made[key] = make()
        result = self.made[key](*arguments, **options)
        if fresh and len(weights):
            self.made[key].set_weights(weights)
        return result

    def _name(self, wanted: str) -> str:
        """A name that no layer has."""
        names = (wanted, *(f"{wanted}_{number}" for number in range(1, len(self.names) + 2)))
        name = next(one for one in names if one not in self.names)
        self.names.add(name)
        return name


def _again(operation: Any) -> Any:
    """A copy of an operation without weights, or itself where it can stand in two graphs alone."""
    try:
        return type(operation).from_config(operation.get_config())
    except Exception:  # of the user's classes, and of functions in a Lambda layer
        return operation


def _is_fused_relu(operation: Any) -> bool:
    """Whether TFLite computes it with what is before it."""
    import keras

    if isinstance(operation, keras.layers.Activation) and operation.activation is keras.activations.relu6:
        return True
    is_clipped = isinstance(operation, keras.layers.ReLU) and operation.max_value == 6
    return is_relu(operation) or (is_clipped and not operation.negative_slope and not operation.threshold)


def _input_range(images: np.ndarray) -> tuple[float, float]:
    """Of pixels, all that there can be; else what is seen."""
    low, high = float(images.min()), float(images.max())
    if images.dtype == np.uint8 or (low >= 0 and high > 1 and high <= 255):
        return PIXELS
    return min(low, 0.0), max(high, 0.0, low + 1e-8)


def _calibrate(aware: keras.Model, images: np.ndarray) -> None:
    """Give the ranges their first ends: the mean over batches of the least and the largest value, nothing rounded."""
    import keras

    from keras_resnet.compat.graph import rebuilt

    watched: dict[Any, Any] = {}

    def compute(call: Any, *arguments: Any, **options: Any) -> Any:
        results = call.operation(*arguments, **options)
        if getattr(call.operation, "learning", "fixed") == "fixed":
            return results
        if not options.get("is_mean"):
            watched[call.operation] = arguments[0]
        return arguments[0], results[1]

    with deep_recursion():
        rebuilt(aware, aware.inputs, compute)
        ends = [end(x) for x in watched.values() for end in (keras.ops.min, keras.ops.max)]
        watching = keras.Model(aware.inputs[0], ends)
    batches = (images[start : min(start + BATCH, IMAGES)] for start in range(0, min(len(images), IMAGES), BATCH))
    seen = [[float(one) for one in watching(batch.astype(np.float32), training=False)] for batch in batches]
    for layer, (low, high) in zip(watched, np.mean(seen, axis=0).reshape(-1, 2).tolist(), strict=True):
        layer.set_ends(low, high)
