import numpy as np
import pytest

from keras_resnet.data.images import ImageData
from keras_resnet.errors import DataError, UsageError
from keras_resnet.evaluation.conformal import conformal_threshold, judge_sets
from keras_resnet.evaluation.evaluate import evaluate
from keras_resnet.runs.run import Run
from keras_resnet.tasks.multi_label import MultiLabel
from keras_resnet.tasks.shares import softmax
from keras_resnet.tasks.task import Answers
from tests.tasks.classes import classes


def answers(random: np.random.Generator, images: int) -> Answers:
    labels = random.integers(0, 5, images)
    return Answers(classes(5), random.normal(size=(images, 5)) + 2 * np.eye(5)[labels], labels)


def test_sets_hold_the_true_class_as_often_as_is_asked_over_many_draws() -> None:
    random = np.random.default_rng(0)

    held = [judge_sets(answers(random, 49), answers(random, 100), 0.8).achieved for _ in range(300)]

    assert np.mean(held) == pytest.approx(0.8, abs=0.01), "41 of 50, which is 0.8 to 0.82"


def test_the_threshold_is_the_probability_that_enough_images_reach() -> None:
    shares = softmax(np.random.default_rng(0).normal(size=(19, 3)))
    labels = np.arange(19) % 3

    threshold = conformal_threshold(shares, labels, 0.9)

    own = np.sort(shares[np.arange(19), labels])
    assert threshold == own[1], "18 of 20, with the next image"
    assert conformal_threshold(shares, labels, 0.95) == own[0]
    with pytest.raises(
        DataError, match="19 validation images are too few .* 0.96 of all cases: at least 24 are needed"
    ):
        conformal_threshold(shares, labels, 0.96)
    with pytest.raises(UsageError, match="between 0 and 1, as 0.9; received 90"):
        conformal_threshold(shares, labels, 90)


def test_an_evaluation_takes_the_threshold_from_the_validation_images(finished_run: Run, tiny_data: ImageData) -> None:
    found = evaluate(finished_run, tiny_data, coverage=0.9)
    validation = evaluate(finished_run, tiny_data, split="validation")

    sets, task = found.sets, found.predictor.task
    assert sets is not None
    assert sets.threshold == conformal_threshold(
        task.probabilities(validation.logits.astype(float)), validation.labels, 0.9
    )
    inside = task.probabilities(found.logits.astype(float)) >= sets.threshold
    assert sets.achieved == inside[np.arange(60), found.labels].mean()
    assert sets.mean_size == inside.sum(axis=1).mean()
    assert sum(sets.sizes) == 60
    assert sets.interval[0] < sets.achieved < sets.interval[1]


def test_images_that_are_judged_cannot_also_give_the_threshold(finished_run: Run, tiny_data: ImageData) -> None:
    for split in ("all", "validation"):
        with pytest.raises(UsageError, match="from the validation images, which the split"):
            evaluate(finished_run, tiny_data, split=split, coverage=0.9)
    with pytest.raises(UsageError, match="has no validation images"):
        evaluate(finished_run, (tiny_data.test.read(slice(None)), tiny_data.test.labels), coverage=0.9)
    some = Answers(MultiLabel(("a", "b")), np.zeros((9, 2)), np.zeros((9, 2), np.uint8))
    with pytest.raises(UsageError, match="images that have one class each"):
        judge_sets(some, some, 0.5)
