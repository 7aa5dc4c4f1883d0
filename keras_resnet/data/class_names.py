"""The names of classes: their order, and which of them are taken for others, or for nothing at all."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from keras_resnet.compat.datasets import inputs_of
from keras_resnet.data.remarks import Remark
from keras_resnet.errors import listed

MOST_GROUPS = 5
"""Groups of names that look the same of which a remark tells."""
MISSING = frozenset(
    {"nan", "-nan", "none", "null", "nil", "na", "n/a", "n.a.", "#n/a", "#na", "#n/a n/a", "<na>", "nat", "undefined",
     "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan", "-", "--", "?"}
)  # fmt: skip
"""What programs that read tables take for an empty cell, or write for one."""
_NUMBER = re.compile(r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})(e[+-]?[0-9]{1,3})?", re.IGNORECASE)
_JOINERS = "\u200c\u200d"
_LATIN = str.maketrans(
    "асеорхуіјѕһԁԛԝАВЕКМНОРСТУХІЈЅοναΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aceopxyijshdqwABEKMHOPCTYXIJSovaABEZHIKMNOPTYX",
)
"""Letters of Cyrillic and Greek, in this order, that are drawn as letters of Latin."""


def class_names_of(data: Any) -> tuple[str, ...] | None:
    """The class names that data carry, in the order of the labels.

    Args:
        data: An `ImageData` or a split of one; a `tf.data.Dataset` of `Split.batches` or
            `keras.utils.image_dataset_from_directory`, or one that was made of it by `map`, `prefetch` and so on; or
            anything else.

    Returns:
        None: it carries none, or a data set is made of several with other names.
    """
    own = getattr(data, "class_names", None) or getattr(getattr(data, "task", None), "class_names", None)
    if isinstance(own, list | tuple) and own:
        return tuple(map(str, own))
    if not hasattr(data, "element_spec"):
        return None
    found = {names for one in inputs_of(data) if (names := class_names_of(one)) is not None}
    return found.pop() if len(found) == 1 else None


def number(name: str) -> Decimal | None:
    """The number that a name is, as `10`, `-1.5` or `1e3`; None if it is none."""
    return Decimal(name) if _NUMBER.fullmatch(name) else None


def in_order(names: Iterable[str]) -> list[str]:
    """Names in the order of classes: sorted as texts; by value if all are numbers."""
    names = sorted(names)
    values = {name: number(name) for name in names}
    return names if None in values.values() else sorted(names, key=lambda name: values[name] or Decimal(0))


def remarks_on_names(names: Sequence[str]) -> list[Remark]:
    """What a user should know of the names of classes, whatever source they are from.

    Args:
        names: In the order of the classes, all different.
    """
    found = []
    if missing := [name for name in names if name.strip().lower() in MISSING]:
        advice = (
            f"{listed(missing)}: programs that read tables take this for an empty cell, and write it for one. If it "
            "stands for images without a label, leave these out; else give the class another name."
        )
        found.append(Remark("class-names-missing", "warning", "class names that mean a missing value", advice))
    groups = list(_alike(names))
    if groups:
        told = "; ".join(
            f"{', '.join(map(ascii if exactly else repr, group))} (they differ by {how})"
            for group, how, exactly in groups[:MOST_GROUPS]
        )
        more = f"; and {len(groups) - MOST_GROUPS} more" if len(groups) > MOST_GROUPS else ""
        advice = f"{told}{more}. Each is a class of its own: if they mean the same, give them one name."
        found.append(Remark("class-names-alike", "warning", "class names that are nearly the same", advice))
    told_of = {name for group, _, _ in groups for name in group}
    if unseen := [name for name in names if name not in told_of and _has_unseen(name)]:
        advice = f"{listed(unseen)}: whoever types such a name leaves them out. Give the classes names without them."
        found.append(Remark("class-names-unseen", "warning", "class names with characters that nobody sees", advice))
    return found + _on_numbers(names)


def _on_numbers(names: Sequence[str]) -> list[Remark]:
    """In which order names that are numbers are, unless they are what anybody expects."""
    values = [number(name) for name in names]
    known = [value for value in values if value is not None]
    if len(known) < max(2, len(values)):
        return []
    by_value, as_texts = known == sorted(known), list(names) == sorted(names)
    whole = all(name.lstrip("+-").isdecimal() for name in names)
    counted = list(names) == [str(place) for place in range(len(names))]
    if counted or (whole and by_value and as_texts):
        return []
    order = "of their values" if by_value else "of their names as texts" if as_texts else "in which the data have them"
    advice = f"The classes are in the order {order}: {listed(names)}."
    if not by_value:
        advice += " Names of one length, as '01', '02' and '10', have the same order as texts and as numbers."
    if not whole:
        advice += " Each is only a name: '1' would be another class than '1.0', and no quantity is predicted."
    return [Remark("class-names-numbers", "note", "class names that are numbers", advice)]


Step = Callable[[str], str]
_STEPS: dict[str, Step] = {
    "the code points of the same characters": lambda name: unicodedata.normalize("NFKC", name),
    "letters of another alphabet": lambda name: name.translate(_LATIN),
    "characters that nobody sees": lambda name: "".join(one for one in name if not _is_unseen(one)),
    "blanks": lambda name: "".join(name.split()),
    "capital letters": str.lower,
}
"""What may differ between names that look the same, and what removes the difference. The first two cannot be shown."""
_HIDDEN = tuple(_STEPS)[:2]


def _alike(names: Sequence[str]) -> Iterator[tuple[list[str], str, bool]]:
    """Groups of names that look the same, by what they differ, and whether only their code points show it."""
    told: set[tuple[str, ...]] = set()
    for group in _grouped(names, _bare):
        differences = [kind for kind in _STEPS if len({_bare(name, without=kind) for name in group}) > 1]
        # Letters are classes of their own, as handwritten ones are.
        if differences == ["capital letters"] and all(len(name) == 1 for name in group):
            continue
        told.add(tuple(group))
        yield group, " and ".join(differences), any(kind in _HIDDEN for kind in differences)
    for group in _grouped([name for name in names if number(name) is not None], number):
        if tuple(group) not in told:
            yield group, "the way one number is written", False


def _grouped(names: Sequence[str], key: Callable[[str], object]) -> list[list[str]]:
    groups: dict[object, list[str]] = {}
    for name in names:
        groups.setdefault(key(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _bare(name: str, without: str = "") -> str:
    """What is seen of a name, whatever its capitals and blanks; one of the steps may be left out."""
    for kind, step in _STEPS.items():
        if kind != without:
            name = step(name)
    return name


def _is_unseen(character: str) -> bool:
    """Whether a character has no width, or only chooses how its neighbours are drawn."""
    code = ord(character)
    selects = 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
    fills = code in (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0)
    control = unicodedata.category(character) in ("Cf", "Cc", "Cs") and not character.isspace()
    return selects or fills or control


def _has_unseen(name: str) -> bool:
    """Whether a name by itself has what nobody sees: blanks at its ends, odd or repeated ones, characters of no width.

    Joiners and selectors belong to the writing of several scripts and of emoji.
    """
    if name != name.strip() or "  " in name:
        return True
    return any(
        (one.isspace() and one != " ") or (_is_unseen(one) and one not in _JOINERS and not 0xFE00 <= ord(one) <= 0xFE0F)
        for one in name
    )
