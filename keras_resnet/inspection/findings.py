"""What a check may find in labelled images, in plain words, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.data.remarks import Remark
from keras_resnet.images.image_file import REASONS
from keras_resnet.inspection.label_doubts import Doubts
from keras_resnet.inspection.looks import EXTREME_ASPECT, TINY, Look, Seen

SEVERITIES = ("error", "warning", "note")
BLOCKING = frozenset({*REASONS, "one-class", "cannot-split"})
"""Codes of findings with which a training does not begin."""
DOUBTED, NOT_CHECKED = "suspicious-label", "labels-not-checked"
STRANGE = ("blank", "unlike-others", "stranger")
"""Codes of findings of pictures that may show something else than their class."""
MOST_DOUBTED = 100
"""Doubted labels that are listed."""
TRUSTED = 0.95
"""A model that agrees with a smaller share of the labels is often wrong where it contradicts one."""

ODDITIES = {
    "dark-16-bit": (
        "warning",
        "16-bit grey images that use less than an eighth of the scale",
        "Training divides by the full scale and so sees nearly black images. Cameras with 10 or 12 bits write such "
        "files: stretch the values to 0–65535 first.",
    ),
    "blank": (
        "warning",
        "nothing to see",
        "All pixels are the same, or nearly: remove the images, or find out what happened to them.",
    ),
    "tiny": (
        "warning",
        f"shorter side under {TINY} pixels",
        "Make sure that they are not thumbnails saved by mistake.",
    ),
    "extreme-aspect": (
        "warning",
        f"more than {EXTREME_ASPECT} times as long as wide",
        "Training squeezes images to a square, or crops them: such strips lose their proportions or their ends.",
    ),
    "animated": (
        "warning",
        "several frames or pages",
        "Training uses the first one only; save the frame that you want as a file of its own.",
    ),
    "transparent": (
        "note",
        "transparent pixels",
        "Training puts white behind them, on which a white object vanishes: choose another colour by --background.",
    ),
    "cmyk": (
        "note",
        "saved in printing colours (CMYK)",
        "Training converts them to RGB; colours may change a little.",
    ),
    "16-bit": ("note", "16 bits a channel", "Training reduces them to 8 bits; nothing needs to be done."),
    "palette": ("note", "colours from a palette", "Training looks the colours up; nothing needs to be done."),
    "exif-rotated": (
        "note",
        "stored rotated or mirrored, with an EXIF orientation",
        "Training turns them upright. The program that later uses the model must do so, too.",
    ),
    "wrong-extension": (
        "note",
        "the content has another format than the file name says",
        "Training goes by the content, but other programs may not: rename the files.",
    ),
}
UNLIKE_OTHERS = (
    "unlike-others",
    "warning",
    "drawings or signs among photographs",
    "These few have hardly any colours, or are GIF or palette images, unlike all others. Signs as “picture not found” "
    "look so and keep the label of the photograph that they replace: look at them, and remove those that do not show "
    "their class.",
)
MOST_STRANGERS = 0.1
"""A larger share of images that are unlike photographs is a kind of its own, and nothing is said of it."""
MOST_OF_ONE_COLOUR = 0.3
"""Images are photographs if the most frequent colour fills at most this share of the median one. Measured: at most 0.05
in photographs, grey or not, 0.24 with the 216 fixed colours of a palette; 0.35 to 0.93 in digits, masks and
sketches."""
FLAT_SHARE, FLAT_BITS, ALMOST_BLANK_BITS = 0.6, 2.5, 1.0
"""A picture is no photograph if one colour fills this share and its thumbnail has fewer bits a pixel than the second,
or fewer than the third. Measured: in signs with a few lines of text 0.87 or more, and 2.1 bits or fewer; of 62,963
photographs 9 are so, birds and aeroplanes in the empty skies of CIFAR-10 and one that is blank."""
GREY_AMONG_COLOUR = (
    "grey-among-colour",
    "grey images among coloured ones",
    "If most images of a class are grey, the model learns that instead of the objects.",
)
COLOUR_AMONG_GREY = (
    "colour-among-grey",
    "coloured images among grey ones",
    "If colours do not matter here, train with one channel (--channels 1).",
)
_AGAIN = {
    "exact": ("duplicate", "the same file", ""),
    "near": ("near-duplicate", "nearly the same picture", ""),
    "alike": (
        "look-alike",
        "nearly the same to a trained network",
        "Mirrored or cropped copies, or photographs of one thing at one moment; to be sure, look at them. ",
    ),
}
"""The code, the title and what is to be said first."""
_WHERE = {
    "label-conflict": (
        {"exact": "error", "near": "warning", "alike": "warning"},
        "under different labels",
        "At most one of the labels can be right: keep the copy with the right one and remove the others.",
    ),
    "across-splits": (
        {"exact": "error", "near": "warning", "alike": "warning"},
        "in several splits",
        "What judges the model then contains what it is trained on, and figures are too good: keep all copies in one "
        "split, or keep one copy only.",
    ),
    "": (
        {"exact": "warning", "near": "note", "alike": "note"},
        "more than once",
        "Copies within a class and split count several times: remove them unless you want that.",
    ),
}


@dataclass(frozen=True)
class Subject:
    """An image that a finding is about.

    Args:
        position: Its position in the listing.
        remark: What was found in this image; may be empty.
    """

    position: int
    remark: str = ""


@dataclass(frozen=True)
class Finding:
    """Something that a check has found.

    Args:
        code: For programs; it does not change between versions.
        severity: `error`, `warning` or `note`.
        title: What was found.
        advice: What it means for a training, and what to do.
        groups: The images it is about; those of one group belong together, such as copies.
    """

    code: str
    severity: str
    title: str
    advice: str
    groups: tuple[tuple[Subject, ...], ...] = ()

    @property
    def images(self) -> int:
        """The number of images that it is about."""
        return sum(map(len, self.groups))


def unreadable(seen: Seen, *, left_out: bool) -> list[Finding]:
    """Images that cannot be read, one finding for each reason.

    Args:
        seen: What was found in the images.
        left_out: Whether a training goes on without these images.
    """
    what = "Training leaves them out" if left_out else "Training stops at them"
    severity, advice = "warning" if left_out else "error", f"{what}: repair or remove the files."
    return [
        Finding(code, severity, f"cannot be read: {reason}", advice, _singles(failures))
        for code, reason in REASONS.items()
        if (failures := [(p, error.detail) for p, error in seen.failures.items() if error.code == code])
    ]


def remarked(remarks: Iterable[Remark]) -> list[Finding]:
    """What is to be said of labels and splits."""
    return [Finding(one.code, one.severity, one.title, one.advice) for one in remarks]


def odd(looks: Mapping[int, Look]) -> list[Finding]:
    """Images that can be read but are unusual."""
    strange = {p: _unlike_photographs(look) for p, look in _strangers(looks).items()}
    found = [
        Finding(code, severity, title, advice, _singles((p, _described(looks[p])) for p in positions))
        for code, (severity, title, advice) in ODDITIES.items()
        if (
            positions := [
                position
                for position, look in looks.items()
                if code in look.oddities and not (code == "palette" and position in strange)
            ]
        )
    ]
    if strange:
        subjects = ((p, f"{_described(looks[p])}: {remark}") for p, remark in strange.items())
        found.append(Finding(*UNLIKE_OTHERS, _singles(subjects)))
    grey = [position for position, look in looks.items() if look.grey]
    few_grey = len(grey) <= len(looks) / 2
    fewer = grey if few_grey else sorted(looks.keys() - grey)
    if fewer:
        code, title, advice = GREY_AMONG_COLOUR if few_grey else COLOUR_AMONG_GREY
        found.append(Finding(code, "note", title, advice, _singles((p, "") for p in fewer)))
    return found


def repeated(kind: str, groups: Iterable[np.ndarray], labels: np.ndarray, splits: Sequence[str]) -> list[Finding]:
    """Images that occur more than once.

    Args:
        kind: `exact`, `near` or `alike`.
        groups: The positions of images that are copies of each other.
        labels: int64 (n,): of all images.
        splits: The name of each image's split; empty where it is in none.
    """
    sorted_by: dict[str, list[tuple[Subject, ...]]] = {where: [] for where in _WHERE}
    for group in groups:
        subjects = tuple(Subject(int(position)) for position in group)
        conflict = len(np.unique(labels[group], axis=0)) > 1
        leak = len({splits[position] for position in group} - {""}) > 1
        for where, holds in (("label-conflict", conflict), ("across-splits", leak), ("", not (conflict or leak))):
            if holds:
                sorted_by[where].append(subjects)
    code, again, first = _AGAIN[kind]
    return [
        Finding(
            f"{code}-{where}".rstrip("-"), severities[kind], f"{again} {title}", first + advice, tuple(sorted_by[where])
        )
        for where, (severities, title, advice) in _WHERE.items()
        if sorted_by[where]
    ]


def few_classes(counts: np.ndarray, *, fewest: int = 2) -> list[Finding]:
    """That too few classes have images.

    Args:
        counts: int64 (classes,): the readable images of each class.
        fewest: How many classes a training needs.
    """
    if (counts > 0).sum() >= fewest:
        return []
    title = "fewer than two classes" if fewest == 2 else "no class has an image"
    return [Finding("one-class", "error", title, f"A training needs at least {fewest}.")]


def _in_words(sure: float) -> str:
    """A probability; nobody is sure of a picture to 100%."""
    return f"{sure:.0%}" if sure < 0.995 else "over 99%"


def doubted(doubts: Doubts, positions: np.ndarray, class_names: Sequence[str]) -> Finding | None:
    """Labels that may be wrong, if there are any, or why they could not be checked.

    Args:
        doubts: The labels that a simple model doubts.
        positions: int64 (n,): the positions in the listing of the images that the model was asked about.
        class_names: Of the classes.
    """
    if doubts.reason:
        return not_doubted(doubts.reason)
    if not len(doubts.positions):
        return None
    advice = (
        "A simple model that was trained without these images is sure of another class. It agrees with "
        f"{doubts.accuracy:.1%} of the labels of {doubts.looked_at:,} images, and with "
        f"{1 - len(doubts.positions) / doubts.sure:.1%} where it is this sure. These images, the most doubtful first, "
        "have wrong labels or are mistakes of the model: look at them, and correct the labels that are wrong."
    )
    if len(doubts.positions) > MOST_DOUBTED:
        advice += f" Only the first {MOST_DOUBTED} of {len(doubts.positions):,} are listed."
    seen = zip(positions[doubts.positions], doubts.suggested, doubts.probability, strict=True)
    subjects = [(int(p), f"looks like {class_names[label]} ({_in_words(sure)})") for p, label, sure in seen]
    severity = "warning" if doubts.accuracy >= TRUSTED else "note"
    return Finding(DOUBTED, severity, "labels that may be wrong", advice, _singles(subjects[:MOST_DOUBTED]))


def strange(found: np.ndarray, alike: np.ndarray, usual: float, positions: np.ndarray) -> list[Finding]:
    """Images that a trained network finds like no others, if there are any.

    Args:
        found: int64 (k,), which of the images that it was shown.
        alike: float (k,), how alike they are to their neighbours.
        usual: How alike images are.
        positions: int64 (n,): the positions in the listing of the images that it was shown.
    """
    if not len(found):
        return []
    advice = (
        f"To a trained network they are far less like their neighbours than images are here ({usual:.2f}; 1 is the "
        "same): pictures of something else, placeholders as “picture not found”, or rare views. Look at them, and "
        "remove those that do not show their class."
    )
    if len(found) > MOST_DOUBTED:
        advice += f" Only the first {MOST_DOUBTED} of {len(found):,} are listed."
    subjects = [(int(positions[one]), f"alike {share:.2f}") for one, share in zip(found, alike, strict=True)]
    return [Finding("stranger", "warning", "like no other images", advice, _singles(subjects[:MOST_DOUBTED]))]


def not_doubted(reason: str) -> Finding:
    """That the labels could not be checked, and why."""
    advice = f"The labels could not be checked: {reason}."
    return Finding(NOT_CHECKED, "note", "labels that could not be checked", advice)


def counted(images: int, title: str) -> str:
    """What was found, and in how many images; some titles count by themselves.

    Args:
        images: How many; 0: of none in particular.
        title: Of the finding.

    Example:
        >>> counted(2, "stored rotated"), counted(3, "2 of 9 test images are trained on")
        ('2 images: stored rotated', '2 of 9 test images are trained on')
    """
    if not images or title[:1].isdigit():
        return f"{title[:1].upper()}{title[1:]}"
    return f"{images:,} image{'s' * (images != 1)}: {title}"


def printable(text: str) -> str:
    """A name as valid Unicode: bytes of a file name that are not UTF-8 are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def as_json(finding: Finding, describe: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """A finding, for a JSON file.

    Args:
        finding: What was found.
        describe: The name, class and split of each image, by position.
    """
    groups = [[{**describe[s.position], "remark": printable(s.remark)} for s in group] for group in finding.groups]
    texts = {name: printable(getattr(finding, name)) for name in ("code", "severity", "title", "advice")}
    return {**texts, "images": finding.images, "groups": groups}


def _strangers(looks: Mapping[int, Look]) -> dict[int, Look]:
    """The few pictures that are unlike photographs where nearly all others are photographs."""
    strange = {p: look for p, look in looks.items() if _unlike_photographs(look)}
    if not strange or len(strange) > max(1, MOST_STRANGERS * len(looks)):
        return {}
    usual = float(np.median([look.one_colour for look in looks.values()]))
    return strange if usual <= MOST_OF_ONE_COLOUR else {}


def _unlike_photographs(look: Look) -> str:
    """Why a picture is unlike a photograph; empty if it is not, or if that is told already."""
    if {"blank", "dark-16-bit"} & {*look.oddities}:
        return ""
    flat = look.one_colour >= FLAT_SHARE and look.bits < FLAT_BITS
    if flat or look.bits < ALMOST_BLANK_BITS:
        return f"one colour fills {look.one_colour:.0%}" if flat else "hardly any colours"
    return "colours from a palette" if look.header.format == "GIF" or look.header.mode in ("P", "PA") else ""


def _singles(subjects: Iterable[tuple[int, str]]) -> tuple[tuple[Subject, ...], ...]:
    return tuple((Subject(position, remark),) for position, remark in subjects)


def _described(look: Look) -> str:
    height, width = look.header.upright
    return f"{look.header.format} {look.header.mode}, {width}×{height}"
