"""The names of a network's layers, written and read.

A network is a stem, residual blocks in stages, and a head. A layer is called by where it stands and what it does there:
`stem_conv`, `stage2_block1_conv1`, `stage2_block1_shortcut_bn`, `head_dense`. The names are a contract: files of
weights, checkpoints and optimizers' states hold arrays under them, and a network that is read back from a file is
understood by them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from string import digits
from typing import Final

_HEAD = 10**9  # sorts after every stage
_NAME = re.compile(r"(?:(?P<end>stem|head)|stage(?P<stage>[1-9]\d*)_block(?P<block>[1-9]\d*))_(?P<role>[^/]+)")

OTHER: Final = "other"
"""Stands for the part of a layer that has another kind of name."""


@dataclass(frozen=True, order=True)
class Section:
    """The stem, one residual block, or the head; sections are ordered from input to output.

    Args:
        stage: Counted from 1; 0 for the stem; for the head greater than every stage.
        block: In its stage, counted from 1; 0 for stem and head.
    """

    stage: int
    block: int

    def __str__(self) -> str:
        return f"{self.part}_block{self.block}" if self.block else self.part

    @property
    def part(self) -> str:
        """`stem`, `stage1` …, `head`."""
        return {0: "stem", _HEAD: "head"}.get(self.stage, f"stage{self.stage}")

    def layer(self, role: str) -> str:
        """The name of the layer that does this here.

        Args:
            role: `conv1`, `shortcut_bn`, `dense`.
        """
        return f"{self}_{role}"


STEM: Final = Section(0, 0)
HEAD: Final = Section(_HEAD, 0)
CLASSIFIER: Final = HEAD.layer("dense")


@dataclass(frozen=True)
class LayerName:
    """A layer's name, taken apart.

    Args:
        section: Where the layer stands.
        role: What it does there: `conv1`, `shortcut_bn`, `dense`.
    """

    section: Section
    role: str

    def __str__(self) -> str:
        return self.section.layer(self.role)

    @property
    def kind(self) -> str:
        """The last word of the role, without its number: `conv`, `bn`, `dense`."""
        return self.role.rstrip(digits).rpartition("_")[2]

    @property
    def number(self) -> int | None:
        """Counts the layers of a kind in their section, in the order in which they act; None where there is one."""
        number = self.role.removeprefix(self.role.rstrip(digits))
        return int(number) if number else None

    @property
    def in_shortcut(self) -> bool:
        """Whether it stands on a block's shortcut."""
        return self.role.startswith("shortcut_")

    def sibling(self, kind: str) -> LayerName:
        """The layer of another kind in the same place: `bn1` of `conv1`, `shortcut_bn` of `shortcut_conv`."""
        place = self.role.rstrip(digits).removesuffix(self.kind)
        return LayerName(self.section, f"{place}{kind}{self.number or ''}")


def read_name(name: str) -> LayerName | None:
    """Take a name apart.

    Args:
        name: A layer's, or the path of one of its variables: `stage1_block2_conv1/kernel`.

    Returns:
        None for another kind of name.
    """
    found = _NAME.fullmatch(name.partition("/")[0])
    if found is None:
        return None
    if found["end"]:
        return LayerName(STEM if found["end"] == "stem" else HEAD, found["role"])
    return LayerName(Section(int(found["stage"]), int(found["block"])), found["role"])


def section_of(name: str) -> Section | None:
    """Where a layer, or a variable by its path, stands; None: another kind of name."""
    found = read_name(name)
    return found.section if found else None


def part_of(name: str) -> str:
    """Where a layer, or a variable by its path, stands: `stem`, `stage1` …, `head`, or `OTHER`."""
    section = section_of(name)
    return section.part if section else OTHER


def is_classifier(name: str) -> bool:
    """Whether a layer, or a variable by its path, is the classifier."""
    return name.partition("/")[0] == CLASSIFIER
