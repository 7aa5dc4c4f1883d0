"""Which images of a run a person should look at: doubted labels, and pictures that may show something else.

Three have looked: `failures` by confident learning, or else the evaluation's own answers in the same way, and `check`,
which judges training images, too, by a simple model that goes by edges and colours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from keras_resnet.inspection.confident_learning import contradicted
from keras_resnet.inspection.findings import DOUBTED, NOT_CHECKED, STRANGE
from keras_resnet.inspection.inspection import WrittenFinding, WrittenSubject
from keras_resnet.reporting.contents import Contents
from keras_resnet.spreadsheet import csv_cell

SURE = 0.5
"""The least probability of another class by which an evaluation's answer doubts a label."""


@dataclass(frozen=True)
class Doubt:
    """An image to look at.

    Args:
        image: Its name, as the cells of tables have it.
        label: That it was given.
        suggested: The class that the model gives it; empty: the model doubts nothing.
        probability: The model's, of that class, in [0, 1].
        remark: What else was found in it.
    """

    image: str
    label: str
    suggested: str = ""
    probability: float | None = None
    remark: str = ""


@dataclass(frozen=True)
class Doubts:
    """The images to look at.

    Args:
        labels: Whose labels may be wrong: first those that the model and `check` doubt, then the model's, then
            `check`'s.
        pictures: That may show something else.
        by_failures: Whether `failures` was asked; else the model judged the evaluated images alone.
        by_check: Whether `check` has judged the labels of all images.
        by_model: How many labels the model doubts.
        is_trusted: Whether the simple model of `check` is seldom wrong itself.
    """

    labels: tuple[Doubt, ...]
    pictures: tuple[Doubt, ...]
    by_failures: bool
    by_check: bool
    by_model: int
    is_trusted: bool


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
    looks = {csv_cell(one["image"]): one for one in _subjects(checked.get(DOUBTED))}
    both = [replace(one, remark=_seen(looks[one.image])) for one in labels if one.image in looks]
    doubted = {one.image for one in labels}
    return Doubts(
        (
            *both,
            *(one for one in labels if one.image not in looks),
            *(Doubt(image, one["class"], remark=_seen(one)) for image, one in looks.items() if image not in doubted),
        ),
        tuple(_once([*pictures, *_strange(checked)])),
        suspects is not None,
        contents.findings is not None and NOT_CHECKED not in checked,
        len(labels),
        DOUBTED in checked and checked[DOUBTED]["severity"] == "warning",
    )


def _of_answers(contents: Contents) -> Iterator[Doubt]:
    """The labels that the evaluation's answers contradict, the most contradicted first."""
    found = contents.evaluation
    if found is None or found.task.several or found.probabilities is None or (found.labels < 0).any():
        return
    if found.metrics.correct < found.metrics.images / 2:
        return  # most doubts would be its own mistakes
    doubted = contradicted(found.probabilities, found.labels, least=SURE)
    names = found.task.class_names
    for place, number, probability in zip(
        doubted.positions.tolist(), doubted.suggested.tolist(), doubted.probability.tolist(), strict=True
    ):
        yield Doubt(found.answers[place].image, names[found.labels[place]], names[number], probability)


def _strange(checked: dict[str, WrittenFinding]) -> Iterator[Doubt]:
    for code in STRANGE:
        for one in _subjects(checked.get(code)):
            remark = ": ".join(filter(None, (checked[code]["title"], one["remark"])))
            yield Doubt(csv_cell(one["image"]), one["class"], remark=remark)


def _once(found: list[Doubt]) -> Iterator[Doubt]:
    """Each image once, with all that was said of it."""
    of_image: dict[str, Doubt] = {}
    for one in found:
        before = of_image.get(one.image)
        of_image[one.image] = one if before is None else replace(before, remark=f"{before.remark}; {one.remark}")
    yield from of_image.values()


def _seen(one: WrittenSubject) -> str:
    return f"to a simple model it {one['remark']}"


def _subjects(finding: WrittenFinding | None) -> Iterator[WrittenSubject]:
    for group in finding["groups"] if finding else ():
        yield from group
