from pathlib import Path

import numpy as np
from PIL import Image

from keras_resnet.data.loading import list_source
from keras_resnet.inspection.check import Report, check
from keras_resnet.inspection.kinship import told
from tests.data.sources.test_grouping import photographs
from tests.data.test_duplicates import scene


def titles(report: Report) -> dict[str, str]:
    return {finding.code: finding.title for finding in report.findings}


def test_what_tells_the_class_is_counted_without_the_image_itself() -> None:
    labels = np.array([0, 0, 1, 1, 1])
    assert told(np.array(list("aabbb")), labels) == 1
    assert told(np.array(list("abcde")), labels) == 0
    assert told(np.array(list("aaaaa")), labels) == 0  # a tie tells nothing
    assert told(np.array(list("aaaaaa")), np.array([0, 0, 1, 1, 1, 1])) == 4 / 6
    assert told(np.array(list("aaaba")), np.array([0, 0, 0, 1, 1])) == 0.6


def test_series_on_both_sides_of_a_split_are_named(tmp_path: Path) -> None:
    listing = list_source(str(photographs(tmp_path)))
    person = np.array([int(Path(name).stem) for name in listing.names])
    right = np.array([name.startswith("right") for name in listing.names])
    apart = {"train": np.flatnonzero(person < 9), "test": np.flatnonzero(person >= 9)}
    mixed = {"train": np.flatnonzero((person < 9) | ~right), "test": np.flatnonzero((person >= 9) & right)}
    assert "series-across-splits" not in titles(check(listing, splits=apart))
    report = check(listing, splits=mixed)
    assert titles(report)["series-across-splits"].startswith(
        "3 of 3 test images are of a series that is trained on, too"
    )
    (finding,) = (one for one in report.findings if one.code == "series-across-splits")
    assert [[report.names[one.position] for one in group] for group in finding.groups] == [
        [f"left/{number:02}.jpg", f"right/{number:02}.jpg"] for number in (9, 10, 11)
    ]


def test_a_size_that_tells_the_class_is_warned_of_and_one_that_does_not_is_not(tmp_path: Path) -> None:
    for form, root in (
        (lambda label, _: 40 + 8 * label, tmp_path / "told"),
        (lambda _, place: 40 + 8 * (place % 2), tmp_path / "not"),
    ):
        for label in range(2):
            (root / f"class{label}").mkdir(parents=True)
            for place in range(20):
                side = form(label, place)
                scene(100 * label + place).resize((side, side), Image.Resampling.BILINEAR).save(
                    root / f"class{label}" / f"{place}.png"
                )
    assert titles(check(list_source(str(tmp_path / "told"))))["class-by-circumstance"] == (
        "the size alone tells the class of 100% of the images"
    )
    assert "class-by-circumstance" not in titles(check(list_source(str(tmp_path / "not"))))
