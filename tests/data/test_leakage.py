from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageOps

import keras_resnet
from keras_resnet.data.leakage import CODE, leak, leaking, of_series
from keras_resnet.training.fit import fit
from tests.data.sources.test_grouping import pictures
from tests.data.test_duplicates import scene
from tests.shared import TINY


def copied(root: Path, originals: int = 20) -> keras_resnet.Source:
    """Each picture with its mirror image, whose name says nothing; divided at random."""
    of = {}
    for number in range(originals):
        of[f"{'ab'[number % 2]}/{number:03}.png"] = scene(number)
        of[f"{'ab'[number % 2]}/{997 - 7 * number:03}.png"] = ImageOps.mirror(scene(number))
    return replace(pictures(root, of), split="class", group_by=None, image_size=24)


def test_a_test_image_leaks_if_its_series_is_trained_on() -> None:
    splits = np.array(["train", "test", "validation", "test", "test"], dtype=object)

    assert leaking(np.array([0, 0, 1, 1, 2]), splits).tolist() == [False, True, False, False, False]
    assert leaking(np.array([3, 3, 0, 3, 3]), splits).tolist() == [False, True, False, True, True]


def test_a_few_leaking_images_are_not_worth_a_word() -> None:
    series, splits = np.arange(140), np.array(["train"] * 40 + ["test"] * 100)
    series[40:44] = 0
    assert of_series(series, splits) is None
    series[40:45] = 0
    remark = of_series(series, splits)
    assert remark is not None
    assert (remark.code, remark.severity) == (CODE, "warning")
    assert remark.title == "5 of 100 test images are of a series that is trained on, too (--group-by series)"


def test_what_a_random_split_leaks_is_counted_by_the_pixels_of_the_training(tmp_path: Path) -> None:
    data = keras_resnet.load_data(copied(tmp_path / "copies"))
    numbers = [int(Path(name).stem) for name in data.names]
    original = [number if number < 20 else (997 - number) // 7 for number in numbers]
    trained = {original[index] for index in data.train.indices}
    shared = sum(original[index] in trained for index in data.test.indices)

    remark = leak(data)

    assert remark is not None
    assert remark.title.startswith(f"{shared} of {len(data.test)} test images are of a series")
    assert "20 series were found" in remark.advice


def test_where_nothing_is_divided_at_random_nothing_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = copied(tmp_path / "copies")
    by_series = keras_resnet.Source(source.name, image_size=32, split="group", group_by="series")
    assert leak(keras_resnet.load_data(by_series)) is None
    assert leak(keras_resnet.load_data("digits", limit=60)) is None
    data = keras_resnet.load_data(source)
    monkeypatch.setattr("keras_resnet.data.leakage.MOST_LOOKED_AT", 39)
    assert leak(data) is None


def test_a_training_says_what_its_split_leaks_and_keeps_it_on_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = copied(tmp_path / "copies")
    remark = leak(keras_resnet.load_data(source))

    run = fit(TINY.but(epochs=1), source, tmp_path / "run")

    assert remark is not None
    (event,) = (one for one in run.events.rows() if one["event"] == CODE)
    assert event["text"] == str(remark)
    assert remark.title in " ".join(capsys.readouterr().err.split())
