import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from keras_resnet.tasks.calibration import BINS, mean_log_loss, reliability
from keras_resnet.tasks.classification import Classification
from keras_resnet.tasks.confidence import accuracy_at_coverage
from keras_resnet.tasks.intervals import mean_interval, wilson_interval
from keras_resnet.tasks.multi_label import MultiLabel
from keras_resnet.tasks.task import Answers


def said_and_true(images: int, seed: int = 0, power: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    said = random.random(images)
    return said, random.random(images) < said**power


@pytest.mark.parametrize(("adaptive", "strategy"), [(False, "uniform"), (True, "quantile")])
def test_bins_are_those_of_scikit_learn(adaptive: bool, strategy: str) -> None:
    said, true = said_and_true(500)

    found = reliability(said, true, adaptive=adaptive)
    observed, predicted = calibration_curve(true, said, n_bins=BINS, strategy=strategy)

    np.testing.assert_allclose(found.observed, observed)
    np.testing.assert_allclose(found.predicted, predicted)
    assert found.error == pytest.approx((np.abs(observed - predicted) * found.answers).sum() / 500)
    assert not adaptive or np.ptp(found.answers) <= 1


def test_the_interval_of_a_perfect_model_reaches_down_to_0_and_that_of_another_does_not() -> None:
    perfect = reliability(*said_and_true(400)).estimate()
    wrong = reliability(*said_and_true(400, power=3.0)).estimate()

    assert perfect.interval is not None
    assert wrong.interval is not None
    assert perfect.interval[0] < 0.002 < perfect.value, "chance alone keeps bins from 0"
    true_error = 0.25  # the mean of p - p³ over p in (0, 1)
    assert wrong.interval[0] < true_error < wrong.interval[1]
    assert wrong.interval[0] > 0.15
    assert perfect == reliability(*said_and_true(400)).estimate(), "it repeats"


@pytest.mark.parametrize("adaptive", [False, True])
def test_where_no_answer_is_wrong_the_error_may_be_as_large_as_the_share_of_wrong_ones_that_was_missed(
    adaptive: bool,
) -> None:
    said, none = np.full(400, 0.9999), np.ones(400, bool)
    unseen = 1 - wilson_interval(400, 400)[0]

    found = reliability(said, none, adaptive=adaptive).estimate()

    assert found.interval is not None
    assert found.interval[1] == pytest.approx(unseen - 0.0001)
    grouped = reliability(said, none, adaptive=adaptive).estimate(np.arange(400) // 20)
    assert grouped.interval is not None
    assert grouped.interval[1] > 10 * unseen, "twenty groups tell less than 400 images"


def test_a_log_loss_without_wrong_answers_may_be_what_the_missed_ones_would_cost() -> None:
    losses = np.random.default_rng(0).exponential(1e-4, size=400)
    right, wrong = np.zeros(400, bool), np.arange(400) < 40

    found, usual = mean_log_loss(losses, right), mean_log_loss(losses + 3 * wrong, wrong)

    assert found.interval is not None
    assert found.interval[1] == pytest.approx(np.log(2) * wilson_interval(0, 400)[1])
    assert found.interval[0] == pytest.approx(losses.mean(), rel=0.15)
    assert usual.interval == mean_interval(usual.value, losses + 3 * wrong - usual.value), (
        "forty wrong ones tell enough"
    )


def test_an_interval_by_group_is_wider() -> None:
    random = np.random.default_rng(0)
    groups = np.arange(600) // 20
    said = random.random(600)
    true = random.random(600) < (said**3 + random.normal(scale=0.2, size=30)[groups])
    found = reliability(said, true)

    alone, together = found.estimate().interval, found.estimate(groups).interval

    assert alone is not None
    assert together is not None
    assert together[1] - together[0] > 1.2 * (alone[1] - alone[0])
    assert found.estimate(np.zeros(600, int)).interval is None


def test_one_image_has_an_error_and_no_interval() -> None:
    found = reliability(np.array([0.75]), np.array([True])).estimate()

    assert found == (pytest.approx(0.25), None)


def test_of_several_labels_every_yes_and_no_counts() -> None:
    logits = np.array([[0.0, 2.0], [0.0, -2.0]])
    labels = np.array([[1, 1], [0, 0]], np.uint8)
    yes = 1 / (1 + np.exp(-2.0))

    found = MultiLabel(("a", "b")).evaluate(logits, labels)

    assert found.ece == pytest.approx((0 + 2 * (1 - yes)) / 4)


def test_the_surest_answers_are_counted_and_those_of_one_confidence_together() -> None:
    logits = np.log([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.7, 0.3]])
    answers = Answers(Classification(("a", "b")), logits, np.array([0, 1, 0, 0]))

    whole, half, most = accuracy_at_coverage(answers, (1.0, 0.5, 0.75))

    assert (whole.coverage, whole.accuracy) == (1.0, 0.75)
    assert (half.coverage, half.accuracy, half.confidence) == (0.5, 0.5, pytest.approx(0.8))
    assert most.coverage == 1.0
    assert half.interval == pytest.approx((0.0945, 0.9055), abs=1e-3)
