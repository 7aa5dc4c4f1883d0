from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.metrics import average_precision_score, f1_score

from keras_resnet.errors import DataError, UsageError, listed
from keras_resnet.tasks.multi_label import MultiLabel
from keras_resnet.tasks.table import TASKS, task

TASK = MultiLabel(("a", "b", "c"))
LABELS = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 0]], np.uint8)
LOGITS = np.array([[2.0, -1.0, -0.5], [0.5, 3.0, -2.0], [-1.0, -2.0, -3.0], [1.0, 0.5, -1.0]])


def test_a_task_is_made_by_its_name() -> None:
    assert task("multi-label", ["a", "b", "c"]) == TASK
    with pytest.raises(UsageError, match=f"must be one of {listed(TASKS)}; received 'boxes'"):
        task("boxes", ["a"])


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_its_own_name_and_a_headline_among_its_metrics(name: str) -> None:
    made = task(name, ["a", "b"])

    assert (made.name, made.class_names) == (name, ("a", "b"))
    assert made.headline in made.metrics


def test_figures_are_those_of_scikit_learn_and_counted_by_hand() -> None:
    found = TASK.evaluate(LOGITS, LABELS)

    precisions = [average_precision_score(LABELS[:, n], LOGITS[:, n]) for n in range(3)]
    assert found.average_precision == pytest.approx(np.mean(precisions))
    assert [row.average_precision for row in found.classes] == pytest.approx(precisions)
    assert (found.images, found.correct, found.exact_match) == (4, 2, 0.5)
    decided = LOGITS > 0
    assert found.f1_micro == pytest.approx(f1_score(LABELS, decided, average="micro"))
    assert found.f1_macro == pytest.approx(f1_score(LABELS, decided, average="macro", zero_division=0))
    likelihood = np.where(LABELS, 1 / (1 + np.exp(-LOGITS)), 1 / (1 + np.exp(LOGITS)))
    assert found.log_loss == pytest.approx(-np.log(likelihood).mean())
    a, _, c = found.classes
    assert (a.name, a.precision, a.recall, a.images) == ("a", pytest.approx(2 / 3), 1.0, 2)
    assert (c.precision, c.recall, c.f1, c.images) == (0, 0, 0, 1)
    assert found.confusion is None
    assert found.to_dict()["exact_match_95%_interval"] == list(found.exact_match_interval)


def test_a_class_that_no_image_has_is_left_out_of_the_mean() -> None:
    labels = LABELS * [1, 1, 0]

    found = TASK.evaluate(LOGITS, labels)

    assert found.classes[2].average_precision is None
    assert found.average_precision == pytest.approx(np.mean([row.average_precision for row in found.classes[:2]]))
    assert TASK.evaluate(LOGITS, labels * 0).average_precision is None


def test_the_loss_is_that_of_keras_on_logits() -> None:
    ours = TASK.loss("cross-entropy", 0.2)(LABELS.astype(np.float32), LOGITS.astype(np.float32))
    theirs = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2)(LABELS, LOGITS)

    assert float(ours) == pytest.approx(float(theirs), rel=1e-6)
    assert TASK.loss_of_a_guess("cross-entropy") == pytest.approx(np.log(2))
    zero = TASK.loss("binary")(LABELS.astype(np.float32), np.zeros_like(LOGITS, np.float32))
    assert float(zero) == pytest.approx(TASK.loss_of_a_guess("binary"))
    with pytest.raises(UsageError, match="label_smoothing must be"):
        TASK.loss("binary", 1.5)


def test_the_metrics_in_training_are_means_over_images_and_near_the_exact_precision() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (400, 3)).astype(np.float32)
    logits = (labels + random.normal(0, 1, labels.shape) - 0.5).astype(np.float32)
    accuracy, (precision,) = TASK.accuracy(), TASK.validation_metrics()

    for metric in (accuracy, precision):
        metric.update_state(labels, logits)

    assert float(accuracy.result()) == pytest.approx(((logits > 0) == labels).mean())
    assert float(accuracy.count) == 400
    assert float(precision.result()) == pytest.approx(TASK.evaluate(logits, labels).average_precision, abs=0.01)
    assert precision.name == TASK.monitored


def test_targets_are_the_labels_of_the_positions() -> None:
    assert TASK.targets(LABELS, tf.constant([3, 0])).numpy().tolist() == [[1, 1, 0], [1, 0, 1]]


def test_labels_become_those_of_a_task_with_more_classes() -> None:
    assert TASK.renumbered(LABELS[:1], ("c", "x", "b", "a")).tolist() == [[1, 0, 0, 1]]
    assert TASK.names_of(LABELS[3]) == ("a", "b")
    assert TASK.images_of_classes(LABELS).tolist() == [2, 2, 1]
    assert [TASK.members(LABELS, number).tolist() for number in range(3)] == [[0, 3], [1, 3], [0]]


def test_several_views_have_the_logits_of_their_mean_probability() -> None:
    mean = TASK.mean_logits([LOGITS, -LOGITS])

    assert mean == pytest.approx(np.zeros_like(LOGITS), abs=1e-6)
    assert np.isfinite(TASK.mean_logits([LOGITS * 1e4] * 2)).all()


def test_agreement_is_the_shared_part_of_what_both_decide_for() -> None:
    other = LOGITS.copy()
    other[0, 2], other[1, 0] = 1.0, -1.0  # {a} and {a, c}; {a, b} and {b}; both none; both {a, b}

    assert TASK.agreement(LOGITS, other) == pytest.approx((1 / 2 + 1 / 2 + 1 + 1) / 4)


@pytest.mark.parametrize("labels", [np.zeros((4, 2), int), np.full((4, 3), 2), np.zeros(4, int), np.zeros((3, 3), int)])
def test_labels_of_another_form_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(DataError, match="labels must be 0 or 1 for each of 4 images and 3 classes"):
        TASK.checked(labels, 4)


def test_the_picture_shows_each_class(tmp_path: Path) -> None:
    TASK.draw(TASK.evaluate(LOGITS, LABELS), "title", tmp_path / TASK.picture_name)

    with Image.open(tmp_path / "average_precision.png") as image:
        assert len(image.convert("RGB").getcolors(1 << 24)) > 20
