"""Where in a network a variable lies, by the names of its layers: stem, stages of blocks, head."""

from __future__ import annotations

from collections.abc import Sequence

from keras_resnet.errors import UsageError, listed
from keras_resnet.layer_names import HEAD, OTHER, part_of, section_of


def groups(paths: Sequence[str]) -> tuple[tuple[str, ...], list[int]]:
    """The groups of layers that variables belong to: `stem`, `stage1` …, `head`, and `other` for other names.

    Returns:
        The names from input to output, and for each variable the position of its group among them.
    """
    parts = [part_of(path) for path in paths]
    sections = sorted({section for path in paths if (section := section_of(path))})
    present = list(dict.fromkeys(section.part for section in sections))
    present += [OTHER] if OTHER in parts else []
    return tuple(present), [present.index(part) for part in parts]


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
    sections = [section_of(path) for path in paths]
    unknown = sorted({path.split("/")[0] for path, at in zip(paths, sections, strict=True) if at is None})
    if unknown:
        raise UsageError(
            "layer-wise learning rates need layers named stem_*, stageS_blockB_* and head_*, as this package's "
            f"networks have them; received {listed(unknown)}. Set layer_decay to 1"
        )
    order = sorted({at for at in sections if at is not None} | {HEAD}, reverse=True)
    return [layer_decay ** order.index(at) for at in sections if at is not None]
