"""Which images a person should look at: whatever has doubted them, each once, the most doubtful first."""

from dataclasses import replace
from typing import Any

import pytest

from keras_resnet.failures.failures import Suspect
from keras_resnet.inspection.inspection import WrittenFinding
from keras_resnet.reporting.contents import Contents, read_contents
from keras_resnet.reporting.doubts import doubts
from keras_resnet.reporting.words import next_steps
from keras_resnet.runs.run import Run


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
    assert (found.by_failures, found.by_check, found.by_model) == (True, True, 2)


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
