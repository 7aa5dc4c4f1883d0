"""A Keras network that is walked through: what its layers give, and what it makes of other feature maps.

The graph is walked call by call, into models inside models, and nothing is built anew: no layer of the user's gets a
new place in a graph, and what a layer was given to do otherwise (16 bits, rounding, recomputation) it does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.compat.graph import graph_of, rebuilt
from keras_resnet.errors import UsageError, listed
from keras_resnet.models.fusion import as_functional

_NOT_COMPUTED = object()
"""Stands for a tensor of the part that is left out."""

Visit = Callable[["Step", Callable[[], Any]], Any]
"""Is given a step of a walk and what computes it, and returns what stands for its result."""


@dataclass(frozen=True)
class Step:
    """A layer or operation that a walk comes to.

    Args:
        number: Counted along the walk.
        path: Its name behind those of the models that it is in, divided by `/`.
        layer: The layer or operation.
    """

    number: int
    path: str
    layer: Any


@dataclass(frozen=True)
class Place:
    """Where a network has feature maps.

    Args:
        number, path: Of the step that gives them.
        shape: Height, width and channels.
    """

    number: int
    path: str
    shape: tuple[int, int, int]

    @property
    def name(self) -> str:
        """The name of the layer alone."""
        return self.path.rpartition("/")[2]


class _NotACutError(Exception):
    """The logits need more than the maps."""


class Network:
    """A classifier that is walked through.

    Args:
        model: Functional or sequential, with models inside or not: images float32 (n, height, width, channels) in,
            logits out.

    Raises:
        UsageError: It has no graph.
    """

    def __init__(self, model: keras.Model) -> None:
        self.name = model.name
        self._graph = as_functional(model, "explained by their layers")
        self._inner: dict[int, Any] = {}

    def logits(self, images: Any) -> tf.Tensor:
        """What the network makes of images, float32 (n, classes)."""
        return self.walk(images, lambda _, compute: compute())

    def places(self, image: np.ndarray) -> list[Place]:
        """All places behind the first convolution that give maps of more than one pixel, from input to output.

        Args:
            image: (height, width, channels), any that the network takes.
        """
        found: list[Place] = []
        convolved = False

        def look(step: Step, compute: Callable[[], Any]) -> Any:
            nonlocal convolved
            result = compute()
            shape = tuple(getattr(result, "shape", ()))
            if len(shape) == 4:
                convolved |= has_kernel(step.layer)
                padded = isinstance(step.layer, keras.layers.ZeroPadding2D)  # it belongs to the next convolution
                if convolved and not padded and shape[1] * shape[2] > 1:
                    found.append(Place(step.number, step.path, shape[1:]))
            return result

        self.walk(image[None], look)
        return found

    def maps(self, images: Any, places: Sequence[Place]) -> list[tf.Tensor]:
        """The feature maps at some places, each float32 (n, height, width, channels).

        Args:
            images: (n, height, width, channels).
            places: What lies behind the last of them is not computed.
        """
        found: dict[int, Any] = {}
        wanted = {one.number for one in places}
        last = max(wanted)

        def until(step: Step, compute: Callable[[], Any]) -> Any:
            if step.number > last:
                return _NOT_COMPUTED
            result = compute()
            if step.number in wanted:
                found[step.number] = tf.cast(result, tf.float32)
            return result

        self.walk(images, until)
        return [found[one.number] for one in places]

    def walk(self, images: Any, visit: Visit) -> Any:
        """Take the steps of the graph one after another, and return the logits.

        Args:
            images: What stands for the input.
            visit: Called at each step.
        """
        number = -1

        def inside(path: str) -> Callable[..., Any]:
            def compute(call: Any, *arguments: Any, **options: Any) -> Any:
                nonlocal number
                name = f"{path}{call.operation.name}"
                graph = self._graph_in(call.operation)
                if graph is not None:
                    return rebuilt(graph, keras.tree.flatten(arguments), inside(f"{name}/"))
                number += 1
                lost = any(one is _NOT_COMPUTED for one in keras.tree.flatten((arguments, options)))
                told = {key: value for key, value in options.items() if key != "training"}

                def result() -> Any:
                    if lost:
                        raise _NotACutError
                    return call.operation(*arguments, **told)

                found = visit(Step(number, name, call.operation), result)
                return [found] * len(call.outputs) if found is _NOT_COMPUTED else found

            return compute

        given = images if images is _NOT_COMPUTED else tf.cast(images, tf.float32)
        (logits,) = rebuilt(self._graph, [given], inside(""))
        return logits if logits is _NOT_COMPUTED else tf.cast(logits, tf.float32)

    def _graph_in(self, operation: Any) -> Any:
        """The graph of a model inside; None for a layer, and for a model without one, which is called as a layer is."""
        if not isinstance(operation, keras.Model):
            return None
        if id(operation) not in self._inner:
            self._inner[id(operation)] = graph_of(operation)
        return self._inner[id(operation)]


class Cut:
    """A network in two parts: images to feature maps, and feature maps to logits.

    Args:
        network: The whole.
        image: (height, width, channels), any that it takes.
        layer: Name of the layer that gives the maps, or its path, as `backbone/conv5_block3_out`. None: the last maps
            of more than one pixel that all goes through, as Grad-CAM has it.

    Attributes:
        place: Where it is cut.

    Raises:
        UsageError: It has no such layer, or cannot be cut there.
    """

    def __init__(self, network: Network, image: np.ndarray, layer: str | None = None) -> None:
        self._network = network
        places = network.places(image)
        named = [one for one in places if layer in (None, one.path, one.name)]
        if not named:
            why = f"no layer {layer!r} that gives" if layer else "no"
            raise UsageError(
                f"{network.name} has {why} feature maps of several pixels behind a convolution"
                + (f"; its last are {listed(one.path for one in places[-8:])}" if places else "")
                + ": name another layer, or take a method that needs none, as occlusion"
            )
        for place in reversed(named):
            self.place = place
            try:
                self.logits(self.maps(image[None]))
            except _NotACutError:
                continue
            return
        raise UsageError(
            f"{network.name} cannot be cut at {layer or 'any layer'}: its logits need more than the maps there, since "
            "a shortcut or a branch goes around them. Name a layer that all goes through, as the end of a block"
        )

    def maps(self, images: Any) -> tf.Tensor:
        """The feature maps of images, float32 (n, height, width, channels)."""
        (found,) = self._network.maps(images, [self.place])
        return found

    def logits(self, maps: Any) -> tf.Tensor:
        """What the network makes of feature maps, float32 (n, classes)."""

        def behind(step: Step, compute: Callable[[], Any]) -> Any:
            if step.number < self.place.number:
                return _NOT_COMPUTED
            return maps if step.number == self.place.number else compute()

        return self._network.walk(_NOT_COMPUTED, behind)


def has_kernel(layer: Any) -> bool:
    """Whether a layer is a convolution of any kind, or a dense one."""
    return any(hasattr(layer, name) for name in ("kernel", "depthwise_kernel", "pointwise_kernel"))
