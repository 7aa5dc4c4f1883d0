"""Fewer channels: a network becomes a smaller one of the same layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.allowed import SEED, one_of
from keras_resnet.compat.deep_graphs import deep_recursion
from keras_resnet.errors import UsageError
from keras_resnet.models.feature_info import carry_over
from keras_resnet.models.fusion import as_functional
from keras_resnet.settings import Values, check_arguments

if TYPE_CHECKING:
    import keras

    from keras_resnet.compression.channels import ChannelGraph, Group, Member

CRITERION = one_of("l1", "l2", "taylor")
THIN = 8
"""Widths are rounded to at most this part of a layer's width."""


@check_arguments(
    share=Values(float, above=0, high=1),
    criterion=CRITERION.or_none,
    multiple=Values(int, low=1),
    least=Values(float, above=0, high=1),
    seed=SEED,
)
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
    """A smaller copy.
    """
    graph_of_model = as_functional(model)
    if graph_of_model is None:
        raise UsageError(
            f"only functional and sequential models that know their input can be pruned; received "
            f"{type(model).__name__} {model.name!r}: build a sequential one by model.build((None, height, width, "
            "channels)); write a subclassed one as keras.Model(inputs, outputs)"
        )
    from keras_resnet.compression.channels import ChannelGraph

    graph = ChannelGraph(graph_of_model)
    scores = _scores(graph, criterion, calibration, seed)
    kept = choose(graph, scores, share, residual=residual, multiple=multiple, least=least)
    pruned = without_channels(graph, kept)
    preprocessing = getattr(model, "preprocessing", None)
    if preprocessing is not None:
        pruned.preprocessing = preprocessing
    return pruned


def _scores(graph: ChannelGraph, criterion: str | None, images: np.ndarray | None, seed: int) -> np.ndarray:
    from keras_resnet.compression.importance import norms, output_changes

    criterion = criterion or ("l1" if images is None else "taylor")
    if criterion != "taylor":
        return norms(graph, int(criterion[1]))
    if images is None:
        raise UsageError("criterion='taylor' looks at images: give some, as the model takes them, by calibration=")
    return output_changes(graph, np.asarray(images), seed)


def choose(
    graph: ChannelGraph, scores: np.ndarray, share: float, *, residual: bool, multiple: int, least: float,
    normalise: bool = True, per_mac: bool = False,
) -> np.ndarray:
    groups = graph.groups(residual)
    if not groups:
        raise UsageError(f"{graph.model.name} has no channels that can be removed")
    widths = _Widths(graph, groups)
    steps = [_step(len(one.classes), multiple) for one in groups]
    floors = [max(1, int(np.ceil(least * len(one.classes)))) for one in groups]
    ranked: list[tuple[float, int]] = []
    best_first = []
    for number, group in enumerate(groups):
        own = scores[group.classes]
        best_first.append(group.classes[np.argsort(-own, kind="stable")])
        mean = own.mean() if normalise else 1.0
        if per_mac:
            full = np.array([len(g.classes) for g in groups]); one = full.copy(); one[number] -= 1
            mean = mean * (widths.macs(full) - widths.macs(one))
        ranked += [(one / mean if mean else one, number) for one in np.sort(own)[: len(own) - floors[number]]]
    order = np.array([number for _, number in sorted(ranked)], np.int64)
    sizes = np.array([len(one.classes) for one in groups])

    def counts(removed: int) -> np.ndarray:
        left = sizes - np.bincount(order[:removed], minlength=len(groups))
        rounded = [
            min(size, max(floor, int(round(one / step)) * step))
            for one, size, floor, step in zip(left.tolist(), sizes.tolist(), floors, steps, strict=True)
        ]
        return np.array(rounded)

    target = share * widths.macs(sizes)
    low, high = 0, len(order)
    if widths.macs(counts(high)) > target * 1.02:
        raise UsageError("too few")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if widths.macs(counts(middle)) > target else (low, middle)
    left = min((counts(low), counts(high)), key=lambda one: abs(widths.macs(one) - target))
    left = _nearer(left, target, widths, steps, floors, sizes)
    kept = np.ones(len(graph.classes), bool)
    for count, classes in zip(left.tolist(), best_first, strict=True):
        kept[classes[count:]] = False
    return kept[graph.classes]


def _nearer(left, target, widths, steps, floors, sizes):
    off = abs(widths.macs(left) - target)
    while off > 0.01 * widths.macs(sizes):
        tries = [left + sign * step * (np.arange(len(left)) == number) for number, step in enumerate(steps) for sign in (1, -1)]
        tries = [one for one in tries if (one >= floors).all() and (one <= sizes).all()]
        best = min(tries, key=lambda one: abs(widths.macs(one) - target))
        if abs(widths.macs(best) - target) >= off:
            break
        left, off = best, abs(widths.macs(best) - target)
    return left


class _Widths:
    """What a network costs with so many channels of each group."""

    def __init__(self, graph: ChannelGraph, groups: list[Group]) -> None:
        self._members = graph.members
        rows = {(number, side): row for row, (number, side) in enumerate(
            (number, side) for number in range(len(graph.members)) for side in ("inputs", "outputs"))}
        self._times = np.zeros((len(rows), len(groups)), np.int64)
        for column, group in enumerate(groups):
            for place, times in group.places:
                self._times[rows[place], column] = times
        sizes = np.array([len(one.classes) for one in groups])
        whole = np.array([len(ids) if (ids := getattr(graph.members[n], side)) is not None else 0 for n, side in rows])
        self._fixed = whole - self._times @ sizes

    def macs(self, counts: np.ndarray) -> int:
        widths = (self._fixed + self._times @ counts).reshape(-1, 2).tolist()
        return sum(
            member.macs(inputs if member.inputs is not None else None, outputs)
            for member, (inputs, outputs) in zip(self._members, widths, strict=True)
        )


def _step(size: int, multiple: int) -> int:
    step = multiple
    while step > max(1, size // THIN):
        step //= 2
    return step


def without_channels(graph: ChannelGraph, kept: np.ndarray) -> keras.Model:
    """kept: by number."""
    import keras

    copies: list[tuple[Any, Any]] = []

    def copy(layer: Any) -> Any:
        from keras_resnet.compat.graph import is_functional

        if is_functional(layer):
            return inner(layer)
        config = _config(layer, graph.member(layer), kept)
        try:
            made = type(layer).from_config(config)
        except Exception as error:
            if not getattr(layer, "variables", ()):
                return layer
            raise UsageError(
                f"{graph.model.name} cannot be pruned: its layer {layer.name!r} ({type(layer).__name__}) cannot be "
                f"made again from its configuration ({error})"
            ) from error
        copies.append((layer, made))
        return made

    def inner(model: Any) -> Any:
        raise NotImplementedError

    plain = keras.Model(graph.model.input, graph.model.output, name=graph.model.name)
    with deep_recursion():
        pruned = keras.models.clone_model(plain, clone_function=copy)
    for layer, made in copies:
        if getattr(layer, "variables", ()):
            _fill(layer, made, graph.member(layer), kept)
    carry_over(graph.model, pruned)
    return pruned


def _config(layer: Any, member: Member | None, kept: np.ndarray) -> dict[str, Any]:
    from keras_resnet.compat.graph import kind_of

    config: dict[str, Any] = layer.get_config()
    if member is None:
        return config
    kind = kind_of(layer)
    left = int(kept[member.outputs].sum())
    if kind == "Reshape":
        config["target_shape"] = [left if side == len(member.outputs) else side for side in config["target_shape"]]
    elif kind.startswith("ZeroPadding"):
        config["padding"] = _margins(layer, member, kept)
    elif "units" in config:
        config["units"] = left
    elif "filters" in config:
        config["filters"] = left
        if member.groups > 1:
            config["groups"] = left * member.groups // len(member.outputs)
    return config


def _margins(layer: Any, member: Member, kept: np.ndarray) -> Any:
    assert member.inputs is not None
    flat = not isinstance(layer.padding[0], tuple)
    margins = [layer.padding] if flat else list(layer.padding)
    place = next(n for n, (b, a) in enumerate(margins) if b + a + len(member.inputs) == len(member.outputs))
    before, after = margins[place]
    ids = member.outputs
    margins[place] = (int(kept[ids[:before]].sum()), int(kept[ids[len(ids) - after :]].sum()))
    return margins[0] if flat else tuple(margins)


def _fill(layer: Any, made: Any, member: Member | None, kept: np.ndarray) -> None:
    from keras_resnet.compat.graph import kind_of
    from keras_resnet.compression.channels import WEIGHTS

    axes = WEIGHTS.get(kind_of(layer)) if member is not None else None
    if axes is None:
        made.set_weights(layer.get_weights())
        return
    for name, sides in axes.items():
        variable = getattr(layer, name, None)
        if variable is None:
            continue
        value = np.asarray(variable)
        for axis, side in sides:
            ids = getattr(member, side)
            if ids is None or (side == "inputs" and member.groups > 1):
                continue
            value = np.compress(kept[ids], value, axis=axis)
        getattr(made, name).assign(value)
