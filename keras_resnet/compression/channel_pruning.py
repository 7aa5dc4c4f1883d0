"""A network becomes a smaller one: which channels it keeps, so that it needs a share of its multiply-accumulates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.allowed import COUNT, SEED, one_of
from keras_resnet.errors import UsageError
from keras_resnet.models.fusion import as_functional
from keras_resnet.settings import Values, check_arguments

if TYPE_CHECKING:
    import keras

    from keras_resnet.compression.channels import ChannelGraph, Group

CRITERION = one_of("l1", "l2", "taylor")
PART = Values(float, above=0, high=1)
COARSE = 8
"""A layer's width is rounded to no more than this part of it, so that thin layers have steps, too."""
CLOSE = 0.01
"""By how much of the whole the multiply-accumulates may miss the share that was asked for, if widths allow."""


@check_arguments(share=PART, criterion=CRITERION.or_none, multiple=COUNT, least=PART, seed=SEED)
def prune_channels(
    model: keras.Model,
    share: float = 0.5,
    *,
    calibration: np.ndarray | None = None,
    criterion: str | None = None,
    residual: bool = True,
    multiple: int = 8,
    least: float = 0.1,
    seed: int = 0,
) -> keras.Model:
    """A copy of a model with fewer channels, which needs a share of its multiply-accumulates.

    It must be trained on for some epochs. What is removed is gone as if its filters, and their normalisations, were
    zero. Channels that hang together, as those of a residual stream, are removed together: Fang et al., "DepGraph",
    CVPR 2023, https://arxiv.org/abs/2301.12900. Those that matter least go first, in whichever layer they are.

    Any functional model of Keras's convolutions, normalisations, sums, products, pooling and padding can be pruned. The
    channels of images and outputs stay, and those that another kind of layer reads or gives, as the attention of
    ECA-Net. Grouped convolutions lose whole groups.

    Args:
        model: A functional or sequential model that knows the size of its images; it is not changed.
        share: Of the multiply-accumulates of convolutions and fully connected layers, in (0, 1], that is kept. It is
            met within 0.02 unless the network is so thin that no widths give it.
        calibration: Images as the model takes them, (n, height, width, channels), some hundreds. Without labels.
        criterion: What is least. `l1`, `l2`: the norm of the filters, with their normalisation folded in, relative to
            its mean in the layers where a channel is (Li et al., 2016, https://arxiv.org/abs/1608.08710). `taylor`: how
            much the outputs of the calibration images change to first order, for each multiply-accumulate that is
            saved. None: `taylor` where there are images, else `l2`.
        residual: Whether channels of sums, as of a residual stream, may be removed, too, and not only those inside of
            blocks. That reaches smaller shares.
        multiple: Widths are rounded to multiples of it, as kernels of CPUs and GPUs like them; 1: they are not. In
            layers of less than 64 channels to 4, 2 or 1.
        least: The share of channels that every layer keeps, in (0, 1].
        seed: Of `taylor`.

    Returns:
        A functional model of layers of the same kinds and names, with the same inputs and outputs, and with its
        preprocessing.

    Raises:
        UsageError: (a ValueError) The model has no graph or no channels that can be removed, or so few that the share
            cannot be reached.

    Example:
        >>> import keras_resnet
        >>> model = keras_resnet.ResNet8(num_classes=10, input_shape=(16, 16, 1))
        >>> smaller = keras_resnet.prune_channels(model, 0.5)
        >>> smaller.output_shape, smaller.count_params() < 0.6 * model.count_params()
        ((None, 10), True)
    """
    whole = as_functional(model, "pruned")
    from keras_resnet.compression.channels import ChannelGraph  # which imports Keras
    from keras_resnet.compression.removal import without_channels

    graph = ChannelGraph(whole)
    criterion = criterion or ("l2" if calibration is None else "taylor")
    images = None if calibration is None else _checked(calibration, whole)
    groups = graph.groups(residual)
    worth = channel_worth(graph, groups, criterion, images, seed)
    pruned = without_channels(graph, kept_channels(graph, groups, worth, share, multiple, least))
    preprocessing = getattr(model, "preprocessing", None)
    if preprocessing is not None:
        pruned.preprocessing = preprocessing
    return pruned


def _checked(images: np.ndarray, model: keras.Model) -> np.ndarray:
    """Images that the model takes."""
    shape, images = tuple(model.inputs[0].shape[1:]), np.asarray(images)
    if len(model.inputs) != 1 or images.shape[1:] != shape or not len(images):
        raise UsageError(
            f"calibration must be images as {model.name} takes them, (n, {', '.join(map(str, shape))}); received an "
            f"array of shape {images.shape}"
        )
    return images


def channel_worth(
    graph: ChannelGraph, groups: Sequence[Group], criterion: str, images: np.ndarray | None, seed: int
) -> np.ndarray:
    """What channels are ranked by, those of all groups together.

    Args:
        graph: The network's channels.
        groups: Those that may be removed.
        criterion, images, seed: See `prune_channels`.

    Returns:
        By the channel's number.
    """
    from keras_resnet.compression.importance import filter_norms, output_changes

    if criterion != "taylor":
        worth = filter_norms(graph, {"l1": 1, "l2": 2}[criterion])
        for group in groups:
            worth[group.classes] /= worth[group.classes].mean() or 1.0
        return worth
    if images is None:
        raise UsageError("criterion='taylor' looks at images: give some, as the model takes them, by calibration=")
    worth = output_changes(graph, images, seed)
    widths = _Widths(graph, groups)
    for number, group in enumerate(groups):
        one_less = widths.sizes - (np.arange(len(groups)) == number)
        worth[group.classes] /= max(1, widths.macs(widths.sizes) - widths.macs(one_less))
    return worth


def kept_channels(
    graph: ChannelGraph, groups: Sequence[Group], worth: np.ndarray, share: float, multiple: int, least: float
) -> np.ndarray:
    """Which channels are kept.

    Args:
        graph: The network's channels.
        groups: Those that may be removed.
        worth: By the channel's number: the least of them go first.
        share, multiple, least: See `prune_channels`.

    Returns:
        By the channel's number.

    Raises:
        UsageError: None can be removed, or not enough of them.
    """
    if not groups:
        raise UsageError(
            f"{graph.model.name} has no channels that can be removed: they all belong to its images, its outputs, "
            "layers that are not known, or to sums, which residual=True prunes, too"
        )
    widths = _Widths(graph, groups, multiple, least)
    target, whole = share * widths.macs(widths.sizes), widths.macs(widths.sizes)
    lowest = widths.macs(widths.floors) / whole
    if share < lowest - CLOSE:
        raise UsageError(
            f"{graph.model.name} cannot be pruned to {share:.0%} of its multiply-accumulates: {lowest:.1%} are left "
            f"where every layer keeps {least:.0%} of its channels. Ask for more, lower least=, or prune sums, too, by "
            "residual=True"
        )
    best_first = [one.classes[np.argsort(-worth[one.classes], kind="stable")] for one in groups]
    removable = [(worth[one], number) for number, ids in enumerate(best_first) for one in ids[widths.floors[number] :]]
    order = np.array([number for _, number in sorted(removable)], np.int64)

    def after(removed: int) -> np.ndarray:
        return widths.rounded(widths.sizes - np.bincount(order[:removed], minlength=len(groups)))

    enough, too_few = len(order), 0
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        enough, too_few = (enough, middle) if widths.macs(after(middle)) > target else (middle, too_few)
    nearest = min(after(enough), after(too_few), key=lambda one: abs(widths.macs(one) - target))
    removed = np.zeros(len(graph.classes), bool)
    for count, ids in zip(widths.nearer(nearest, target, CLOSE * whole).tolist(), best_first, strict=True):
        removed[ids[count:]] = True
    return ~removed[graph.classes]


@dataclass
class _Widths:
    """How many channels of each group there may be, and what a network with so many of each costs."""

    graph: ChannelGraph
    groups: Sequence[Group]
    multiple: int = 1
    least: float = 1.0

    def __post_init__(self) -> None:
        members = self.graph.members
        self.sizes = np.array([len(one.classes) for one in self.groups])
        self.floors = np.array([max(1, math.ceil(self.least * one)) for one in self.sizes.tolist()])
        self.steps = np.array([self._step(one) for one in self.sizes.tolist()])
        self._times = np.zeros((2 * len(members), len(self.groups)), np.int64)
        for column, group in enumerate(self.groups):
            for (number, side), times in group.places:
                self._times[2 * number + (side == "outputs"), column] = times
        whole = [len(ids) if ids is not None else 0 for one in members for ids in (one.inputs, one.outputs)]
        self._fixed = np.array(whole) - self._times @ self.sizes

    def macs(self, counts: np.ndarray) -> int:
        """Multiply-accumulates of an image where each group has so many channels."""
        widths = (self._fixed + self._times @ counts).reshape(-1, 2).tolist()
        return sum(one.macs(*width) for one, width in zip(self.graph.members, widths, strict=True))

    def rounded(self, counts: np.ndarray) -> np.ndarray:
        """The numbers nearest to these that are multiples, as far as floors and sizes allow."""
        found: np.ndarray = np.clip(
            np.round(counts / self.steps).astype(np.int64) * self.steps, self.floors, self.sizes
        )
        return found

    def nearer(self, counts: np.ndarray, target: float, close: float) -> np.ndarray:
        """Numbers that cost what they should, one step of one group at a time: a step of the ranking may be coarse."""
        one_step = np.diag(self.steps)
        while abs(self.macs(counts) - target) > close:
            tries = np.clip(counts + np.concatenate([one_step, -one_step]), self.floors, self.sizes)
            best = min(tries, key=lambda one: abs(self.macs(one) - target))
            if abs(self.macs(best) - target) >= abs(self.macs(counts) - target):
                break
            counts = best
        return counts

    def _step(self, size: int) -> int:
        step = self.multiple
        while step > max(1, size // COARSE):
            step //= 2
        return step
