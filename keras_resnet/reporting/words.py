"""A run in plain words: what the model is good for, whether the figure is to be trusted, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from keras_resnet.data.leakage import CODE as OF_SERIES
from keras_resnet.data.sources.source import PATHS
from keras_resnet.evaluation.slices import Slice
from keras_resnet.evaluation.split_comparison import AT_RANDOM, SplitComparison
from keras_resnet.evaluation.written import WrittenEvaluation
from keras_resnet.inspection.findings import counted
from keras_resnet.inspection.inspection import WrittenFinding, WrittenSubject
from keras_resnet.reporting.contents import Contents
from keras_resnet.reporting.doubts import Doubts
from keras_resnet.tasks.task import FEW_WRONG, ClassMetrics, Task
from keras_resnet.visible import visible

LONGEST = 40
"""Letters of a name in a sentence."""
MOST_NAMED = 10
MOST_MISSED = 2
"""Classes that are named as those on which a model misses most."""
UNSURE = 0.05
"""An interval that reaches further to a side says little."""
FEW_IMAGES = 20
"""Of a class in the test, below which its own figure says little."""
COPIES = "duplicate-across-splits"
LEAKING_COPIES = {
    COPIES: "the same file as one",
    "near-duplicate-across-splits": "nearly the same picture as one",
    "look-alike-across-splits": "to a trained network nearly the same as one",
}
LEAKS = (OF_SERIES, *LEAKING_COPIES)
"""Findings that make a test easier than new images will."""
MISLEADING = ("class-by-circumstance", "duplicate-label-conflict", "near-duplicate-label-conflict")

MEANINGS = {
    "top1": "the share of images that get the right class",
    "balanced_accuracy": "the same for each class, then the mean: rare classes count as much as common ones",
    "top5": "the share of images whose class is among the five likeliest",
    "roc_auc": "how well probabilities put images of a class before others: 1 is perfect, 0.5 is guessing",
    "average_precision": "how clean the list of a class's images is, the likeliest first: 1 is perfect",
    "f1_macro": "precision and recall in one number for each class, then the mean: 1 is perfect",
    "f1_micro": "precision and recall in one number, of all decisions together: 1 is perfect",
    "exact_match": "the share of images of which every class is answered right",
    "log_loss": "how far probabilities are from the truth: 0 is perfect, and being sure and wrong costs most",
    "ece": "how far probabilities are from how often they come true: 0 is perfect",
    "adaptive_ece": "the same, measured in groups of equally many answers",
    "aurc": "the share of wrong answers if only the surest are given, over all shares: 0 is perfect",
}
"""One line for each figure of an evaluation."""


@dataclass(frozen=True)
class Said:
    """A sentence of the summary.

    Args:
        kind: `good`, `warn`, `bad` or `note`.
        text: The sentence.
        command: What does it, or tells more; empty: nothing.
    """

    kind: str
    text: str
    command: str = ""


def short(name: str, longest: int = LONGEST) -> str:
    """A name as it stands in a sentence: visible, in one line, and not too long."""
    shown = " ".join(visible(name).split())
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def percent(share: float) -> str:
    """A share as people read it."""
    return f"{share:.1%}"


def between(interval: Sequence[float]) -> str:
    """An interval of shares."""
    return f"{interval[0]:.1%} to {interval[1]:.1%}"


def named(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """Names in a sentence, the first of many."""
    shown = ", ".join(map(short, names[:most]))
    return shown + (f" and {len(names) - most:,} more" if len(names) > most else "")


def decides(names: Sequence[str], task: Task | None) -> str:
    """What a model says of an image."""
    if task is not None and task.several:
        return f"It says of each of {len(names):,} classes whether an image shows it: {named(names)}."
    return f"It tells {len(names):,} classes apart: {named(names)}."


def result(found: WrittenEvaluation, split: str) -> str:
    """How good a model is, against guessing."""
    metrics, task = found.metrics, found.task
    unseen = "that it had never seen" if split == "test" else "that it was not trained on"
    count = f"{metrics.images:,} {split} image{'s' * (metrics.images != 1)} {unseen}"
    if task.several:
        text = f"Of {count} it got all classes right on {metrics.correct:,}. "
        title = task.metrics[task.headline].title
        text += f"Its {title} is {task.shown(metrics, task.headline)}"
        interval = metrics.intervals.get(task.headline)
        text += f" (95 % interval {' to '.join(map(task.metrics[task.headline].text, interval))})." if interval else "."
        shares = [row.images / metrics.images for row in metrics.classes]
        return f"{text} A model that guesses would have {percent(float(np.mean(shares)))}, the mean share of a class."
    share = metrics.correct / metrics.images
    text = f"Of {count} it got {metrics.correct:,} right: {percent(share)}"
    interval = metrics.intervals.get(task.headline)
    text += f" (95 % interval {between(interval)})." if interval else "."
    largest = max(metrics.classes, key=lambda row: row.images)
    guess = percent(largest.images / metrics.images)
    return f"{text} Always saying “{short(largest.name)}” would be right on {guess}."


def expected(others: Sequence[SplitComparison], task: Task | None = None) -> str:
    """What to expect of new images instead, where another split of the same images gave less; empty: nothing did.

    Args:
        others: The same images, divided otherwise.
        task: Of several labels, it is said what the figure counts.
    """
    lower = _lower(others)
    if lower is None:
        return ""
    figure, of = lower.second, "all classes right on " if task is not None and task.several else ""
    text = f"Divided {figure.division}, the same images gave {of}{percent(figure.accuracy)}"
    if not lower.is_shown:
        return f"{text}, in too few groups to tell how far that may be off: of new ones expect less than the above."
    return f"{text} ({between(figure.interval)}): expect that of new ones."


def strengths(found: WrittenEvaluation) -> Iterator[str]:
    """Which classes a model does best and worst, what it says too often, and what it confuses most."""
    seen = [row for row in found.metrics.classes if row.images]
    wrong = found.metrics.wrong
    if 0 < wrong < FEW_WRONG and not found.task.several:
        many = "images" if wrong > 1 else "image"
        yield f"It is wrong on {wrong:,} {many}: too few to tell on which classes it does worst."
        return
    if len(seen) > 1 and all(row.f1 == seen[0].f1 for row in seen):
        yield "It does equally well on all classes."
    elif len(seen) > 1:
        best = max(seen, key=lambda row: (row.f1, row.images))
        perfect = [row.name for row in seen if row.f1 == 1]
        right, times_said = _hits(best), _times_said(found)
        of_said = f", and is right {right:,} of {times_said[best.name]:,} times it says so"
        text = f"It does best on “{short(best.name)}” (it finds {right:,} of {best.images:,}{of_said})."
        if len(perfect) > 1:
            text = f"It makes no mistake with {len(perfect):,} of {len(seen):,} classes ({named(perfect)})."
        missed = [row for row in sorted(seen, key=lambda row: (row.recall, -row.images)) if row.recall < 1]
        told = " and ".join(_of_class(row) for row in [row for row in missed if row is not best][:MOST_MISSED])
        yield f"{text} It misses most on {told}." if told else text
        often = max(seen, key=lambda row: times_said[row.name] - row.images)
        if times_said[often.name] - often.images > 1:
            times = f"{times_said[often.name]:,} times, where {often.images:,} images show it"
            yield f"It says “{short(often.name)}” too often: {times}."
    for pair in found.metrics.confused[:1]:
        images = next(row.images for row in seen if row.name == pair.label)
        yield (
            f"What it confuses most: {pair.images:,} of {images:,} images of {short(pair.label)} it takes for "
            f"{short(pair.prediction)}."
        )


def blamed(found: WrittenEvaluation, doubted: Doubts) -> str:
    """How many of the mistakes may be those of labels; empty: none."""
    wrong = [one for one in found.answers if not one.is_right]
    count = sum(one.image in doubted.answered_otherwise for one in wrong)
    if not count:
        return ""
    its = f"its {len(wrong):,} wrong answers" if len(wrong) > 1 else "its wrong answers"
    if count == len(wrong):
        text = {1: "Its only wrong answer is", 2: "Both of its wrong answers are"}.get(count, f"All of {its} are")
    else:
        text = f"{count:,} of {its} {'are' if count > 1 else 'is'}"
    return f"{text} about {'images' if count > 1 else 'an image'} whose label is in doubt: look whose mistake it is."


def _of_class(row: ClassMetrics) -> str:
    return f"“{short(row.name)}” (it finds {_hits(row):,} of {row.images:,})"


def _hits(row: ClassMetrics) -> int:
    return round(row.recall * row.images)


def _times_said(found: WrittenEvaluation) -> dict[str, int]:
    """How often a model says each class."""
    confusion = found.metrics.confusion
    if confusion is not None:
        return dict(zip(found.task.class_names, confusion.sum(axis=0).tolist(), strict=True))
    # Where a class is never right, its precision does not tell.
    rows = found.metrics.classes
    return {row.name: round(_hits(row) / row.precision) if row.precision > 0 else 0 for row in rows}


def trust(contents: Contents, split: str, division: str) -> Iterator[Said]:
    """Whether a figure is to be trusted, and why.

    Args:
        contents: Of the run.
        split: What the figures are of.
        division: How the images were divided, in words; empty: not known.
    """
    found = contents.evaluation
    if found is None:
        return
    leaks = _leaks(contents)
    if division:
        yield Said("note", f"The images were divided {division}.")
    if split == "test" and leaks and not contents.by_script:
        if all(one["code"] != COPIES for one in leaks):
            yield Said("note", "No test image was itself trained on.")
    elif split == "test" and contents.by_script:
        yield Said("good", "The test images took no part in the training, unless the script has looked at them.")
    elif split == "test":
        yield Said("good", "The test images took no part in the training, and did not choose the epoch that was kept.")
    else:
        yield Said(
            "warn",
            "There are no test images: these validation images also chose the epoch that was kept, so the figures are "
            "a little too good.",
        )
    notes = _told_of_series(contents)
    for one in leaks:
        yield Said("warn", _of_series(one, contents) if one["code"] == OF_SERIES else _of_copies(one, found, split))
    if not leaks:
        for note in notes:
            yield Said("warn", note)
    if contents.findings is not None and not leaks and not notes:
        yield Said("good", "No copies and no series of photographs were found that are both trained on and tested.")
    for one in contents.findings or ():
        if one["code"] in MISLEADING:
            yield Said("warn", told(one))
    if contents.findings is None and not notes:
        name = str(dict(contents.config["data"]).get("name"))
        yield Said(
            "note",
            "Whether copies or photographs of one series are both trained on and tested was not looked for.",
            f"keras-resnet report {shlex.quote(str(contents.run.path))}" if _is_at_hand(name) else "",
        )
    for other in contents.others:
        figure = other.second
        # A lower figure of a stricter split warns of a random one; a higher figure warns of nothing.
        kind = "warn" if other.is_seen and other.difference < 0 else "note" if other.is_seen else "good"
        yield Said(
            kind,
            f"Divided {figure.division}, a training ({short(figure.name)}) got {figure.correct:,} of {figure.images:,} "
            f"right: {percent(figure.accuracy)} ({between(figure.interval)}). {other.text[0].upper()}{other.text[1:]}.",
        )
    yield _size(found, split, is_easy=easier(contents))


def _is_at_hand(name: str) -> bool:
    """Whether a command can read a source: not what only a script has."""
    return name.partition(":")[0] in (*PATHS, "tfds", "digits")


def _of_series(finding: WrittenFinding, contents: Contents) -> str:
    title = finding["title"].partition(" (--")[0]
    both = _leaking_groups(finding, contents.judged)
    if both:
        tested, trained = (
            next(short(image["image"]) for image in both[0] if image["split"] == name)
            for name in (contents.judged, "train")
        )
        title += f", as {tested} is of that of {trained}"
    text = f"{title}. Photographs of one series, as of one person, one burst or one film, look alike"
    if not _of_division(contents.others, "by series"):
        return f"{text}: the test may be easier than new photographs. A split by series tells by how much."
    lower = _lower(contents.others)
    return f"{text}: the test was easier than new photographs." if lower else f"{text}. Here it makes no difference."


def _of_copies(finding: WrittenFinding, found: WrittenEvaluation, split: str) -> str:
    groups = _leaking_groups(finding, split)
    count, of = sum(image["split"] == split for group in groups for image in group), found.metrics.images
    are = f"{split} images {'are' if count > 1 else 'is'}"
    return (
        f"{count:,} of {of:,} {are} {LEAKING_COPIES[finding['code']]} that is trained on. That makes figures too good: "
        "keep all copies in one split, or one of them only."
    )


def _of_division(others: Sequence[SplitComparison], division: str) -> bool:
    return any(one.second.division.startswith(division) for one in others)


def _lower(others: Sequence[SplitComparison]) -> SplitComparison | None:
    """That with the figure to count on: the lowest of stricter splits that is lower; None: there is none."""
    lower = [one for one in others if one.is_seen and one.difference < 0 and AT_RANDOM in one.first.division]
    return min(lower, key=lambda one: one.second.accuracy, default=None)


def easier(contents: Contents) -> bool:
    """Whether a test is easier than new images will be, as far as is known.

    Where a split by series shows no difference, series leak nothing.
    """
    copies = [one for one in _leaks(contents) if one["code"] != OF_SERIES]
    if _lower(contents.others) is not None or copies:
        return True
    of_series = len(_leaks(contents)) > len(copies) or bool(_told_of_series(contents))
    return of_series and not _of_division(contents.others, "by series")


def _leaks(contents: Contents) -> list[WrittenFinding]:
    """What was found on both sides: trained on, and in the figures."""
    return [one for one in contents.findings or () if one["code"] in LEAKS and _leaking_groups(one, contents.judged)]


def _leaking_groups(finding: WrittenFinding, split: str) -> list[list[WrittenSubject]]:
    """Those with images that are trained on and images of a split."""
    return [group for group in finding["groups"] if {"train", split} <= {image["split"] for image in group}]


def _told_of_series(contents: Contents) -> list[str]:
    """What the training said of series."""
    return [note for note in contents.notes if "series that is trained on" in note]


def _size(found: WrittenEvaluation, split: str, is_easy: bool) -> Said:
    metrics = found.metrics
    low, high = metrics.intervals.get(found.task.headline, (0.0, 1.0))
    many, are = ("s", "are") if metrics.images != 1 else ("", "is")
    known = f"{metrics.images:,} {split} image{many} {are}"
    # Of several labels no figure counts images.
    one = "" if found.task.several else f"; one image more or less is {float(f'{100 / metrics.images:.2g}'):g} points"
    few = sum(row.images < FEW_IMAGES for row in metrics.classes)
    of_classes = f" {few:,} of the classes {'have' if few > 1 else 'has'} fewer than {FEW_IMAGES} of these images:"
    of_classes = f"{of_classes} their own figures say little." if few else ""
    if (high - low) / 2 > UNSURE:
        text = f"{known} few: the true figure may lie anywhere in the interval{one}.{of_classes}"
        return Said("warn", f"{text} More {split} images, or folds, tell it better.")
    points = f"{100 * (high - low) / 2:.1f} points"
    if is_easy:
        text = "The interval counts only the luck of which images were drawn, not what speaks against the figure here"
        return Said("note", f"{text}{one}.{of_classes}")
    return Said("good", f"{known} enough to know the figure to about {points}{one}.{of_classes}")


def told(finding: WrittenFinding) -> str:
    """What was found in the images, and what to do about it."""
    return f"{counted(finding['images'], finding['title'])}. {finding['advice']}"


def in_short(said: Sequence[Said], others: Sequence[SplitComparison] = (), several: bool = False) -> tuple[str, str]:
    """Whether to trust a figure in a few words, and of what kind they are.

    Args:
        said: What `trust` says.
        others: The same images, divided otherwise.
        several: Whether an image may have several labels.
    """
    lower = _lower(others)
    if lower is not None:
        figure, of = lower.second, "all classes right on " if several else ""
        if not lower.is_shown:
            return "warn", f"With care: divided {figure.division}, it was {of}{percent(figure.accuracy)}."
        return "warn", f"With care: count on {of}{percent(figure.accuracy)}, the figure of the split {figure.division}."
    if any(one.kind == "warn" for one in said):
        return "warn", "With care: read below what speaks against it."
    if any(one.command or "not looked for" in one.text for one in said):
        return "note", "Probably, for images that are taken as these were; not all was looked at."
    return "good", "Yes, for images that are taken as these were."


def next_steps(contents: Contents, doubted: Doubts, failing: Sequence[Slice], again: str = "") -> Iterator[Said]:
    """What to do next, the most useful first.

    Args:
        contents: Of the run.
        doubted: The images to look at.
        failing: On what images the model fails more often.
        again: The command that trains it once more; empty: there is none.
    """
    run, found = shlex.quote(str(contents.run.path)), contents.evaluation
    if doubted.to_look_at:
        count = f"{doubted.to_look_at:,} label{'s' * (doubted.to_look_at != 1)}"
        text = f"Look at the {count} that may be wrong, correct those that are, and train once more."
        listed = shlex.quote(str(contents.run.path / "failures" / "labels-to-check.csv"))
        command = f"keras-resnet failures {run}"
        if not doubted.by_model:
            command = ""
        elif contents.suspects is not None:
            text, command = f"{text} The list of them, filled in, is applied by:", f"{command} --apply {listed}"
        yield Said("warn", text, command)
    for symptom in contents.symptoms:
        yield Said("warn", symptom.text)
    source = dict(contents.config["data"])
    leaks = bool(_leaks(contents))
    is_known = _of_division(contents.others, "by series")
    is_random = source.get("split") == "class" and not source.get("split_file")
    has_series = str(source.get("name")).partition(":")[0] in PATHS  # of others none are known
    if leaks and not is_known and is_random and has_series and again:
        text = "Train once more with whole series on one side, and compare the figures."
        beside_it = shlex.quote(f"{contents.run.path}-by-series")  # where the figures are found to compare
        yield Said("warn", text, f"{again} --split group --group-by series --out {beside_it}")
    for one in failing[:2]:
        yield Said("note", f"Add images like these: {short(one.attribute)} {short(one.value)}, where it fails more.")
    if (
        found is not None
        and (ece := found.metrics.intervals.get("ece"))
        and ece[0] > 0
        and not contents.run.is_calibrated
    ):
        yield Said(
            "note",
            "Before you use its probabilities, calibrate it, so that 80% means right 8 times in 10.",
            f"keras-resnet calibrate {run}",
        )
    if found is not None and contents.robustness is None:
        yield Said(
            "note",
            "Find out how it does on blurred, dark or noisy images.",
            f"keras-resnet evaluate {run} --corruptions",
        )
    if contents.is_finished and contents.class_names and not contents.exports:
        yield Said("note", "Take it to a device.", f"keras-resnet export {run} --format tflite-int8")
