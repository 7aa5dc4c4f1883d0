import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from scipy.stats import fisher_exact

import keras_resnet
from keras_resnet.data.images import ImageData
from keras_resnet.evaluation.evaluate import Evaluation, evaluate
from keras_resnet.evaluation.slices import Slice, slices, write_slices
from keras_resnet.runs.run import Run
from keras_resnet.tasks.classification import Classification
from tests.data.sources.test_grouping import photographs

TASK = Classification(("left", "right"))


def evaluated(labels: np.ndarray, right: np.ndarray, **more: Any) -> Evaluation:
    """An evaluation of a model that is right on some images."""
    decided = np.where(right, labels, 1 - labels)
    logits = np.eye(2, dtype=np.float32)[decided]
    predictor = cast(Any, SimpleNamespace(task=TASK, name="made up"))
    return Evaluation(TASK.evaluate(logits, labels), logits, labels, predictor, "images", **more)


def by_name(found: tuple[Slice, ...]) -> dict[str, Slice]:
    return {f"{one.attribute} {one.value}": one for one in found}


def test_a_class_on_which_a_model_fails_is_found_with_fishers_p_and_holms_correction() -> None:
    labels = np.repeat([0, 1], 40)
    right = np.ones(80, bool)
    right[[0, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49]] = False
    found = slices(evaluated(labels, right))
    rows = by_name(found)
    assert set(rows) == {"class left", "class right"}
    worse = rows["class right"]
    assert (worse.images, worse.right, worse.others, worse.right_others) == (40, 30, 40, 39)
    p = fisher_exact([[30, 10], [39, 1]], alternative="less").pvalue
    assert worse.p == pytest.approx(p)
    assert worse.corrected == pytest.approx(2 * p)
    assert worse.fails
    assert not rows["class left"].fails
    assert found[0] is worse
    assert str(worse).startswith(
        "class right: 75.0% of 40 images are right (95 % interval 59.8% to 85.8%), 97.5% of the 40"
    )


def test_a_model_that_is_wrong_by_chance_fails_on_no_slice_more_often_than_promised() -> None:
    random, alarms = np.random.default_rng(0), 0
    for _ in range(200):
        labels = random.integers(0, 2, 100)
        groups = random.integers(0, 5, 100)
        found = slices(evaluated(labels, random.random(100) < 0.8, groups=groups))
        assert len(found) > 5
        alarms += any(one.fails for one in found)
    assert alarms <= 15  # 5 % of 200, and a little more by chance


def test_slices_with_few_images_or_all_of_them_are_left_out() -> None:
    labels = np.array([0] * 9 + [1] * 60)
    assert not slices(evaluated(labels, np.ones(69, bool)))
    assert not slices(evaluated(np.zeros(30, np.int64), np.ones(30, bool), groups=np.zeros(30, np.int64)))


def test_dark_images_and_those_of_a_camera_are_compared_with_the_others(tmp_path: Path) -> None:
    data = keras_resnet.load_data(str(photographs(tmp_path)), image_size=8, whole=True)
    test = data.test
    names = tuple(data.names[index] for index in test.indices)
    of_a = np.array([int(Path(name).stem) < 4 for name in names])
    labels = np.asarray(test.labels)
    evaluation = evaluated(labels, ~of_a | (np.arange(len(labels)) % 4 == 0), names=names, split=test)
    few = by_name(slices(evaluation, data))
    assert "camera A" not in few  # eight images
    more = replace(
        evaluation,
        labels=np.tile(labels, 3),
        logits=np.tile(evaluation.logits, (3, 1)),
        names=names * 3,
        split=None,
    )
    found = by_name(slices(more, data))
    assert (found["camera A"].images, found["camera B"].images) == (24, 48)
    assert found["camera A"].fails
    assert not found["camera B"].fails
    assert found["time (lowest quarter)"].fails  # the same camera's
    assert "size (lowest quarter)" not in found  # all are of one size
    assert "class left" in found
    for image in tmp_path.rglob("*.jpg"):
        image.unlink()
    assert {one.attribute for one in slices(more, data)} == {"class"}  # files that have gone say nothing
    assert "folder left" not in found  # the same images


def test_brightness_and_sharpness_are_those_of_what_the_network_sees() -> None:
    random = np.random.default_rng(0)
    images = np.full((80, 8, 8, 3), 100, np.uint8) + random.integers(0, 10, (80, 8, 8, 3)).astype(np.uint8)
    images[:20] //= 4
    images[60:, ::2] = 250
    data = keras_resnet.from_arrays(images, np.arange(80) % 2)
    test = replace(data.test, indices=np.arange(80), labels=np.arange(80) % 2)
    right = np.arange(80) >= 20
    found = by_name(slices(evaluated(np.arange(80) % 2, right, split=test)))
    dark, bright = found["brightness (lowest quarter)"], found["brightness (highest quarter)"]
    assert (dark.images, dark.right, dark.others, dark.right_others) == (20, 0, 60, 60)
    assert dark.fails
    assert not bright.fails
    assert found["sharpness (highest quarter)"].right == 20


@pytest.mark.usefixtures("undrawn")
def test_a_report_has_them(finished_run: Run, tiny_data: ImageData, tmp_path: Path) -> None:
    evaluation = evaluate(finished_run, tiny_data)
    found = slices(evaluation, tiny_data)
    assert {one.attribute for one in found} == {"brightness", "sharpness"}  # six images a class, and no files
    path = write_slices(found, tmp_path)
    assert [row["p"] for row in json.loads(path.read_text())] == [one.p for one in found]
