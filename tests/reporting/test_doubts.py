"""Which images a person should look at: whatever has doubted them, each once, the most doubtful first."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keras_resnet.evaluation.written import read_evaluation
from keras_resnet.failures.failures import Suspect
from keras_resnet.inspection.inspection import WrittenFinding
from keras_resnet.reporting.contents import Contents, read_contents
from keras_resnet.reporting.doubts import doubts
from keras_resnet.reporting.words import next_steps
from keras_resnet.runs.run import Run
from tests.evaluation.test_written import evaluation


@pytest.fixture(scope="module")
def contents(finished_run: Run) -> Contents:
    return read_contents(finished_run)


def finding(code: str, *images: str, severity: str = "warning", title: str = "a title") -> WrittenFinding:
    groups: Any = [
        [{"image": one, "class": "cat", "split": "train", "remark": "looks like dog (93%)"}] for one in images
    ]
    return {
        "code": code, "severity": severity, "title": title, "advice": "", "images": len(images), "groups": groups
    }  # fmt: skip


def suspect(path: str, suggested: str = "dog", reason: str = "another label is likelier") -> Suspect:
    return Suspect(0, path, "cat", suggested, 0.9 if suggested else None, reason)


def test_what_both_doubt_comes_first_and_no_image_twice(contents: Contents) -> None:
    found = doubts(
        replace(
            contents,
            suspects=(suspect("a.png"), suspect("=b.png")),
            findings=(finding("suspicious-label", "=b.png", "c.png"),),
        )
    )

    assert [one.image for one in found.labels] == ["'=b.png", "a.png", "c.png"]
    assert [one.suggested for one in found.labels] == ["dog", "dog", ""]
    assert [one.remark for one in found.labels] == [
        "to a simple model it looks like dog (93%)", "", "to a simple model it looks like dog (93%)"
    ]  # fmt: skip
    assert (found.by_failures, found.by_check, found.by_model, found.by_simple, found.by_copies) == (
        True,
        True,
        2,
        1,
        0,
    )


def test_of_copies_those_with_the_rarer_label_are_doubted(contents: Contents) -> None:
    conflict, even = finding("near-duplicate-label-conflict"), finding("duplicate-label-conflict")
    for found, labels in ((conflict, ("cat", "dog", "cat")), (even, ("cat", "dog"))):
        found["groups"] = [
            [{"image": f"{place}-{len(labels)}.png", "class": one, "split": "train", "remark": ""}
             for place, one in enumerate(labels)]
        ]  # fmt: skip

    found = doubts(replace(contents, suspects=(suspect("0-2.png"),), findings=(conflict, even)))

    assert [(one.image, one.label, one.split) for one in found.labels] == [
        ("0-2.png", "cat", "train"), ("1-2.png", "dog", "train"), ("1-3.png", "dog", "train")
    ]  # fmt: skip
    assert found.labels[2].remark == "nearly the same picture is labelled cat: 0-3.png"
    assert (found.by_model, found.by_copies, found.to_look_at) == (1, 2, 3)


@pytest.mark.parametrize(("severity", "doubted"), [("warning", 1), ("note", 0)])
def test_a_wrong_answer_is_a_doubt_where_a_trusted_simple_model_has_another(
    contents: Contents, severity: str, doubted: int, tmp_path: Path
) -> None:
    evaluation("classification", ("cat", "dog")).write(tmp_path)
    judged = read_evaluation(tmp_path, ("cat", "dog"))
    wrong, right = (next(one for one in judged.answers if one.is_right == is_right) for is_right in (False, True))
    names = [one.image.removeprefix("'") for one in (right, wrong)]  # as they were, before a table
    simple = finding("suspicious-label", *names, severity=severity)

    found = doubts(replace(contents, evaluation=judged, suspects=(), findings=(simple,)))

    assert (found.by_model, found.by_simple) == (doubted, 2 - doubted)
    first = found.labels[0]
    if doubted:
        assert (first.image, first.suggested, first.split) == (wrong.image, wrong.prediction, "test")
        assert wrong.image.startswith("'=")
        assert first.remark == "to a simple model it looks like dog (93%)"
    else:
        assert (first.image, first.suggested) == (right.image, "")


@pytest.mark.parametrize(("severity", "is_trusted"), [("note", False), ("warning", True)])
def test_whether_the_simple_model_is_often_wrong_is_told(contents: Contents, severity: str, is_trusted: bool) -> None:
    found = finding("suspicious-label", "b.png", "c.png", severity=severity)

    said = doubts(replace(contents, suspects=(suspect("a.png"), suspect("b.png")), findings=(found,)))

    assert [one.image for one in said.labels] == ["b.png", "a.png", "c.png"]
    assert said.is_trusted == is_trusted


def test_pictures_of_something_else_are_told_once_with_all_that_was_said(contents: Contents) -> None:
    found = doubts(
        replace(
            contents,
            suspects=(suspect("sign.gif", "", "nearly uniform"), suspect("a.png")),
            findings=(
                finding("stranger", "sign.gif", "far.png", title="like no other images"),
                finding("exif-rotated", "turned.png"),
            ),
        )
    )

    assert [(one.image, one.label, one.remark) for one in found.pictures] == [
        ("sign.gif", "cat", "nearly uniform; like no other images: looks like dog (93%)"),
        ("far.png", "cat", "like no other images: looks like dog (93%)"),
    ]
    assert [one.image for one in found.labels] == ["a.png"]


@pytest.mark.parametrize(
    ("suspects", "codes", "command"),
    [
        ((), ("suspicious-label",), ""),
        ((suspect("a.png"),), (), "keras-resnet failures {run} --apply {run}/failures/labels-to-check.csv"),
    ],
)
def test_the_next_step_offers_the_list_only_of_labels_that_are_on_it(
    contents: Contents, suspects: tuple[Suspect, ...], codes: tuple[str, ...], command: str
) -> None:
    changed = replace(contents, suspects=suspects, findings=tuple(finding(one, "c.png") for one in codes))

    steps = [one for one in next_steps(changed, doubts(changed), []) if "may be wrong" in one.text]

    assert "the 1 label that may be wrong" in steps[0].text
    assert steps[0].command == command.format(run=contents.run.path)


def test_labels_that_could_not_be_checked_count_as_unchecked(contents: Contents) -> None:
    assert not doubts(replace(contents, findings=None)).by_check
    assert not doubts(replace(contents, findings=(finding("labels-not-checked"),))).by_check
    assert doubts(replace(contents, findings=())).by_check
