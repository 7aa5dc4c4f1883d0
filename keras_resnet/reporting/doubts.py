"""Which images of a run a person should look at: doubted labels, and pictures that may show something else.

Three have looked: `failures` by confident learning, or else the evaluation's own answers in the same way; and `check`,
by a simple model that goes by edges and colours, which judges training images, too, and by copies with another label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeGuard

from keras_resnet.evaluation.written import WrittenEvaluation
from keras_resnet.inspection.confident_learning import contradicted
from keras_resnet.inspection.findings import DOUBTED, NOT_CHECKED, STRANGE
from keras_resnet.inspection.inspection import WrittenFinding, WrittenSubject
from keras_resnet.reporting.contents import Contents
from keras_resnet.spreadsheet import csv_cell

SURE = 0.5
"""The least probability of another class by which an evaluation's answer doubts a label."""
CONFLICTS = ("duplicate-label-conflict", "near-duplicate-label-conflict")
"""Findings of copies, of which at most one label is right."""


@dataclass(frozen=True)
class Doubt:
    """An image to look at.

    Args:
        image: Its name, as the cells of tables have it.
        label: That it was given.
        suggested: The class that the model gives it; empty: the model doubts nothing.
        probability: The model's, of that class, in [0, 1].
        remark: What else was found in it.
        split: That it is in; empty: not known.
    """

    image: str
    label: str
    suggested: str = ""
    probability: float | None = None
    remark: str = ""
    split: str = ""


@dataclass(frozen=True)
class Doubts:
    """The images to look at.

    Args:
        labels: Whose labels may be wrong: first what several doubt; then what the model doubts, copies, and what the
            simple model doubts.
        pictures: That may show something else.
        by_failures: Whether `failures` was asked; else the model judged the evaluated images alone.
        by_check: Whether `check` has judged the labels of all images.
        by_model: How many labels the model doubts. Of images that something else doubts, a wrong answer is enough.
        by_copies: How many others have a copy with another label.
        by_simple: How many others the simple model of `check` doubts.
        is_trusted: Whether the simple model of `check` is seldom wrong itself.
    """

    labels: tuple[Doubt, ...]
    pictures: tuple[Doubt, ...]
    by_failures: bool
    by_check: bool
    by_model: int
    by_copies: int
    by_simple: int
    is_trusted: bool

    @property
    def answered_otherwise(self) -> frozenset[str]:
        """The images with a doubted label of which the model says another class."""
        return frozenset(one.image for one in self.labels if one.suggested)

    @property
    def to_look_at(self) -> int:
        """How many labels a person should look at: of a simple model that is often wrong itself nobody asks that."""
        return self.by_model + self.by_copies + self.by_simple * self.is_trusted


def doubts(contents: Contents) -> Doubts:
    """Collect what was found in a run's images.

    Args:
        contents: Of the run.
    """
    suspects = contents.suspects
    if suspects is None:
        labels, pictures = list(_of_answers(contents)), list[Doubt]()
    else:
        every = [
            Doubt(csv_cell(one.path), one.label, one.suggested, one.probability, "" if one.suggested else one.reason)
            for one in suspects
        ]
        labels, pictures = [one for one in every if one.suggested], [one for one in every if not one.suggested]
    findings = contents.findings or ()
    checked = {one["code"]: one for one in findings}
    copies = [one for code in CONFLICTS for one in _conflicting(checked.get(code))]
    simple = [_doubt(one, f"to a simple model it {one['remark']}") for one in _subjects(checked.get(DOUBTED))]
    if contents.evaluation is not None and contents.evaluation.task.several:
        copies = []
    is_trusted = DOUBTED in checked and checked[DOUBTED]["severity"] == "warning"
    others = {one.image for one in (*copies, *(simple if is_trusted else []))}
    labels += _answered_otherwise(contents, others - {one.image for one in labels})
    by_model, with_copies = (len({one.image for one in some}) for some in (labels, [*labels, *copies]))
    every = [*labels, *_once(copies), *simple]
    times = Counter(one.image for one in every)
    found = sorted(_once(every), key=lambda one: -times[one.image])
    return Doubts(
        tuple(found),
        tuple(_once([*pictures, *_strange(checked)])),
        suspects is not None,
        contents.findings is not None and NOT_CHECKED not in checked,
        by_model,
        with_copies - by_model,
        len(found) - with_copies,
        is_trusted,
    )


def _of_answers(contents: Contents) -> Iterator[Doubt]:
    """The labels that the evaluation's answers contradict, the most contradicted first."""
    found = contents.evaluation
    if not _can_doubt(found) or found.probabilities is None or (found.labels < 0).any():
        return
    doubted = contradicted(found.probabilities, found.labels, least=SURE)
    names = found.task.class_names
    for place, number, probability in zip(
        doubted.positions.tolist(), doubted.suggested.tolist(), doubted.probability.tolist(), strict=True
    ):
        label, suggested = names[found.labels[place]], names[number]
        yield Doubt(found.answers[place].image, label, suggested, probability, split=contents.judged)


def _can_doubt(found: WrittenEvaluation | None) -> TypeGuard[WrittenEvaluation]:
    """Whether most of what a model says against a label is more than its own mistakes."""
    return found is not None and not found.task.several and 2 * found.metrics.correct >= found.metrics.images


def _answered_otherwise(contents: Contents, images: set[str]) -> list[Doubt]:
    """What the evaluation answers of images whose label something else doubts, where it is another class."""
    found = contents.evaluation
    if not _can_doubt(found):
        return []
    return [
        Doubt(one.image, one.label, one.prediction, one.probability_of_prediction, split=contents.judged)
        for one in sorted(found.answers, key=lambda one: -one.probability_of_prediction)
        if one.image in images and one.label and not one.is_right
    ]


def _conflicting(finding: WrittenFinding | None) -> Iterator[Doubt]:
    """Of copies with several labels those of a rarer label; where none is rarer, all."""
    for group in finding["groups"] if finding else ():
        counts = Counter(one["class"] for one in group)
        rarer = [one for one in group if counts[one["class"]] < max(counts.values())] or group
        for one in rarer:
            other = next((each for each in group if each["class"] != one["class"]), None)
            if other is not None:
                yield _doubt(one, f"nearly the same picture is labelled {other['class']}: {other['image']}")


def _strange(checked: dict[str, WrittenFinding]) -> Iterator[Doubt]:
    for code in STRANGE:
        for one in _subjects(checked.get(code)):
            yield _doubt(one, ": ".join(filter(None, (checked[code]["title"], one["remark"]))))


def _once(found: list[Doubt]) -> Iterator[Doubt]:
    """Each image once, with all that was said of it."""
    of_image: dict[str, Doubt] = {}
    for one in found:
        before = of_image.get(one.image)
        if before is not None:
            remark = "; ".join(filter(None, (before.remark, one.remark)))
            one = replace(before, remark=remark, split=before.split or one.split)
        of_image[one.image] = one
    yield from of_image.values()


def _doubt(one: WrittenSubject, remark: str) -> Doubt:
    return Doubt(csv_cell(one["image"]), one["class"], remark=remark, split=one["split"])


def _subjects(finding: WrittenFinding | None) -> Iterator[WrittenSubject]:
    for group in finding["groups"] if finding else ():
        yield from group
