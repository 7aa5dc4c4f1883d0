"""What a network costs: parameters, multiply-accumulates and depth, counted without building it.

`Counter` has the methods of `Layers`: a tensor is its shape, and a layer adds to sums. So the code that assembles a
network counts it too, in milliseconds and without TensorFlow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from keras_resnet.errors import UsageError
from keras_resnet.layer_names import read_name
from keras_resnet.models.assembly import check_classes, check_output_stride, classifier, features
from keras_resnet.models.layers import Layers, has_bias
from keras_resnet.models.spec import Bias, Padding, ResNetSpec
from keras_resnet.models.variants import as_spec
from keras_resnet.models.words import answering_other_words


@dataclass(frozen=True)
class Cost:
    """What one image costs a network.

    Args:
        parameters: Trainable numbers.
        statistics: Moving means and variances of the batch normalisations, which are not trained.
        macs: Multiply-accumulates of convolutions, fully connected layers and normalisations (one for
            each value). Activations, pooling and additions are left out. The literature's tables
            mean this by "FLOPs", mostly.
        normalisation_macs: How many of them are the normalisations', which are gone where those are
            folded into the convolutions.
        depth: Convolutions and fully connected layers on the way through the branches; shortcuts and
            attention are left out. The number in the names of the classical networks; wide residual
            networks are called by two more, since they count their three projections and not the
            classifier.
        input_shape: Height, width, channels of the image.
    """

    parameters: int
    statistics: int
    macs: int
    normalisation_macs: int
    depth: int
    input_shape: tuple[int, int, int]

    @property
    def folded_macs(self) -> int:
        """Multiply-accumulates once the normalisations are folded into the convolutions."""
        return self.macs - self.normalisation_macs

    @property
    def flops(self) -> int:
        """Floating-point operations: a multiplication and an addition for each multiply-accumulate."""
        return 2 * self.macs


@answering_other_words
def cost(
    spec: ResNetSpec | str,
    num_classes: int = 1000,
    *,
    input_shape: tuple[int, int, int] | None = None,
    include_top: bool = True,
    output_stride: int | None = None,
) -> Cost:
    """Count a network.

    Args:
        spec: Which network, or its name.
        num_classes: Outputs of the classifier.
        input_shape: Height, width, channels. Default: the published size, RGB.
        include_top: Whether the classifier counts.
        output_stride: As in `build`.

    Returns:
        Parameters, multiply-accumulates and depth.

    Raises:
        UsageError: (a ValueError) A side of the input is unknown or not positive, or there is no such network.
    """
    spec = as_spec(spec)
    shape = input_shape or (spec.input_size, spec.input_size, 3)
    counter = count(spec, num_classes, shape, include_top=include_top, output_stride=output_stride)
    sizes = {path: math.prod(size) for path, size in counter.weights.items()}
    statistics = sum(size for path, size in sizes.items() if "/moving_" in path)
    return Cost(
        sum(sizes.values()) - statistics,
        statistics,
        counter.macs + counter.normalisation_macs,
        counter.normalisation_macs,
        counter.depth,
        shape,
    )


def count(
    spec: ResNetSpec,
    num_classes: int,
    input_shape: tuple[int, int, int],
    *,
    include_top: bool = True,
    output_stride: int | None = None,
) -> Counter:
    """Assemble a network from shapes alone.

    Args:
        spec: Which network.
        num_classes: Outputs of the classifier.
        input_shape: Height, width, channels of an image.
        include_top: Whether the classifier counts.
        output_stride: As in `build`.

    Returns:
        The counter, with its sums.

    Raises:
        UsageError: A side of the input is unknown or not positive, or `build` would refuse the rest.
    """
    if len(input_shape) != 3 or any(not isinstance(side, int) or side < 1 for side in input_shape):
        raise UsageError(
            f"input_shape must be three positive whole numbers to count operations; received {input_shape}"
        )
    if include_top:
        check_classes(num_classes)
    check_output_stride(output_stride)
    counter = Counter(spec.bias, spec.padding)
    stem, image = spec.resolve_stem(*input_shape[:2]), Shape((None, *input_shape))
    x, _ = features(image, spec, stem, counter, output_stride=output_stride)
    if include_top:
        classifier(x, num_classes, 0.0, counter)
    return counter


@dataclass(frozen=True)
class Shape:
    """A tensor of which only the shape is known: batch, height, width, channels, or batch and channels."""

    shape: tuple[int | None, ...]

    def resized(self, size: int, stride: int, margins: int) -> tuple[int, int]:
        """Height and width after a layer that moves a window over them.

        Args:
            size: Side of the window in pixels.
            stride: Pixels from one window to the next.
            margins: Pixels that padding adds to each side's length.
        """
        height, width = (int(side or 0) for side in self.shape[1:3])
        return (height + margins - size) // stride + 1, (width + margins - size) // stride + 1


class Counter(Layers[Shape]):
    """Counts layers instead of building them.

    Args:
        bias: Which convolutions have one; see `ResNetSpec.bias`.
        padding: Of strided convolutions; see `ResNetSpec.padding`.

    Attributes:
        weights: Shapes of all variables by path, as the built model has them.
        macs: Multiply-accumulates of convolutions, attention and fully connected layers.
        normalisation_macs: Those of normalisations.
        depth: As in `Cost`.
    """

    def __init__(self, bias: Bias = "none", padding: Padding = "symmetric") -> None:
        self.bias = bias
        self.padding = padding
        self.weights: dict[str, tuple[int, ...]] = {}
        self.macs = self.normalisation_macs = self.depth = 0

    def conv(
        self,
        x: Shape,
        filters: int,
        size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        normalised: bool = True,
        name: str,
    ) -> Shape:
        channels = int(x.shape[-1] or 0)
        if self.padding == "same":
            height, width = (-(-int(side or 0) // stride) for side in x.shape[1:3])
        else:
            reach = dilation * (size - 1) + 1
            height, width = x.resized(reach, stride, 2 * dilation * (size // 2))
        kernel = (size, size, channels // groups, filters)
        self._weigh(name, kernel=kernel, **({"bias": (filters,)} if has_bias(self.bias, normalised) else {}))
        self.macs += math.prod(kernel) * height * width
        layer = read_name(name)
        self.depth += not (layer and layer.in_shortcut)
        return Shape((None, height, width, filters))

    def norm(self, x: Shape, *, last: bool = False, name: str) -> Shape:
        size = (int(x.shape[-1] or 0),)
        self._weigh(name, gamma=size, beta=size, moving_mean=size, moving_variance=size)
        self.normalisation_macs += math.prod(int(side or 1) for side in x.shape)
        return x

    def relu(self, x: Shape, *, name: str) -> Shape:
        return x

    def add(self, branch: Shape, shortcut: Shape, *, name: str) -> Shape:
        if branch != shortcut:
            raise ValueError(f"{name}: a branch of shape {branch.shape} cannot be added to {shortcut.shape}")
        return branch

    def max_pool(self, x: Shape, size: int, *, stride: int, name: str) -> Shape:
        return Shape((None, *x.resized(size, stride, 2 * (size // 2)), x.shape[-1]))

    def average_pool(self, x: Shape, *, stride: int, name: str) -> Shape:
        return Shape((None, *(math.ceil(int(side or 0) / stride) for side in x.shape[1:3]), x.shape[-1]))

    def blur(self, x: Shape, *, stride: int, name: str) -> Shape:
        return Shape((None, *x.resized(3, stride, 2), x.shape[-1]))

    def pad_channels(self, x: Shape, before: int, after: int, *, name: str) -> Shape:
        return Shape((*x.shape[:-1], int(x.shape[-1] or 0) + before + after))

    def squeeze_excite(self, x: Shape, squeezed: int, *, name: str) -> Shape:
        channels = int(x.shape[-1] or 0)
        self.macs += 2 * channels * squeezed
        self._weigh(f"{name}_reduce", kernel=(1, 1, channels, squeezed), bias=(squeezed,))
        self._weigh(f"{name}_expand", kernel=(1, 1, squeezed, channels), bias=(channels,))
        return x

    def channel_attention(self, x: Shape, size: int, *, name: str) -> Shape:
        self.macs += size * int(x.shape[-1] or 0)
        self._weigh(f"{name}_conv", kernel=(size, 1, 1))
        return x

    def drop_path(self, x: Shape, rate: float, *, name: str) -> Shape:
        return x

    def dropout(self, x: Shape, rate: float, *, name: str) -> Shape:
        return x

    def global_pool(self, x: Shape, kind: str, *, name: str) -> Shape:
        return Shape((None, x.shape[-1]))

    def dense(self, x: Shape, units: int, *, name: str) -> Shape:
        channels = int(x.shape[-1] or 0)
        self.macs += channels * units
        self._weigh(name, kernel=(channels, units), bias=(units,))
        self.depth += 1
        return Shape((None, units))

    def _weigh(self, layer: str, **shapes: tuple[int, ...]) -> None:
        self.weights |= {f"{layer}/{variable}": shape for variable, shape in shapes.items()}
