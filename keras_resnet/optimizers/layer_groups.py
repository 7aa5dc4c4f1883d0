"""Where in a network a variable lies, by the names of its layers: stem, stages of blocks, head."""

from __future__ import annotations

import re
from collections.abc import Sequence

from keras_resnet.errors import UsageError, listed

_NAME = re.compile(r"(?P<stem>stem)_|stage(?P<stage>\d+)_block(?P<block>\d+)_|(?P<head>head)_")
_HEAD = 10**9  # sorts after every stage


def place(path: str) -> tuple[int, int] | None:
    """Stage and block of a variable; the stem is stage 0, the head comes last; None: another name.

    Args:
        path: `stage1_block2_conv1/kernel`.
    """
    found = _NAME.match(path)
    if found is None:
        return None
    if found["stage"]:
        return int(found["stage"]), int(found["block"])
    return (0, 0) if found["stem"] else (_HEAD, 0)


def groups(paths: Sequence[str]) -> tuple[tuple[str, ...], list[int]]:
    """The groups of layers that variables belong to: `stem`, `stage1` …, `head`, and `other` for other names.

    Returns:
        The names from input to output, and for each variable the position of its group among them.
    """
    stages = [_HEAD + 1 if (at := place(path)) is None else at[0] for path in paths]
    present = sorted(set(stages))
    named = {0: "stem", _HEAD: "head", _HEAD + 1: "other"}
    return tuple(named.get(stage, f"stage{stage}") for stage in present), [present.index(stage) for stage in stages]


def rate_multipliers(paths: Sequence[str], layer_decay: float) -> list[float]:
    """`layer_decay` to the power of the distance from the head, counted in blocks; the stem is one more.

    Args:
        paths: Of the variables that are trained.
        layer_decay: In (0, 1]; 1 leaves all rates alike, whatever the layers are called.

    Raises:
        UsageError: A layer's name does not say where it lies.
    """
    if layer_decay == 1:
        return [1.0] * len(paths)
    places = [place(path) for path in paths]
    unknown = sorted({path.split("/")[0] for path, at in zip(paths, places, strict=True) if at is None})
    if unknown:
        raise UsageError(
            "layer-wise learning rates need layers named stem_*, stageS_blockB_* and head_*, as this package's "
            f"networks have them; received {listed(unknown)}. Set layer_decay to 1"
        )
    order = sorted({at for at in places if at is not None} | {(_HEAD, 0)}, reverse=True)
    return [layer_decay ** order.index(at) for at in places if at is not None]


def is_classifier(path: str) -> bool:
    """Whether a variable is the classifier's."""
    return path.startswith("head_dense/")
