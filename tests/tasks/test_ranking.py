import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from keras_resnet.tasks.classification import Classification
from keras_resnet.tasks.intervals import variance
from keras_resnet.tasks.ranking import Area, average_precision, mean_of, mean_share_above, roc_auc
from keras_resnet.tasks.shares import softmax


@pytest.mark.parametrize("steps", [1, 3, 1000], ids=["all equal", "many ties", "few ties"])
def test_areas_are_those_of_scikit_learn(steps: int) -> None:
    random = np.random.default_rng(steps)
    positive = random.random(200) < 0.3
    scores = np.floor((random.random(200) + positive) / 2 * steps)

    found, precision = roc_auc(scores, positive), average_precision(scores, positive)

    assert found is not None
    assert precision is not None
    assert found.value == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
    assert precision.value == pytest.approx(average_precision_score(positive, scores), abs=1e-12)
    assert found.influences.sum() == pytest.approx(0, abs=1e-9)
    assert precision.influences.sum() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("steps", [4, 1000])
def test_influences_are_the_derivatives_by_the_weights_of_images(steps: int) -> None:
    random = np.random.default_rng(0)
    positive = random.random(60) < 0.4
    scores = np.floor((random.random(60) + positive) / 2 * steps)
    nudged = np.ones(60)
    nudged[7] += 1e-6
    alike = (positive == positive[7]).sum()
    widened = {roc_auc: np.sqrt(alike / (alike - 1)), average_precision: 1.0}

    for area, score in ((roc_auc, roc_auc_score), (average_precision, average_precision_score)):
        found = area(scores, positive)
        changed = score(positive, scores, sample_weight=nudged) - score(positive, scores)
        assert found is not None
        assert found.influences[7] / 60 / widened[area] == pytest.approx(changed / 1e-6, abs=1e-5)


def test_the_variance_of_a_roc_area_is_delongs() -> None:
    random = np.random.default_rng(0)
    positive = np.arange(80) < 30
    scores = random.normal(size=80) + positive
    wins = (scores[positive][:, None] > scores[~positive]).astype(float)
    delong = wins.mean(axis=1).var(ddof=1) / 30 + wins.mean(axis=0).var(ddof=1) / 50

    found = roc_auc(scores, positive)

    assert found is not None
    assert variance(found.influences) == pytest.approx(delong)


def test_errors_against_coverage_are_those_counted_one_by_one() -> None:
    sure = np.array([0.9, 0.8, 0.7, 0.6])
    wrong = np.array([False, True, False, True])

    area = mean_share_above(sure, wrong, at=np.ones(4, bool))

    assert area.value == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)
    tied = mean_share_above(np.zeros(4), wrong, at=np.ones(4, bool))
    assert tied.value == 0.5, "images of one confidence are answered together"


def test_a_class_that_all_or_no_images_have_has_no_roc_area() -> None:
    scores = np.arange(5.0)

    assert roc_auc(scores, np.ones(5, bool)) is None
    assert roc_auc(scores, np.zeros(5, bool)) is None
    assert average_precision(scores, np.zeros(5, bool)) is None
    assert mean_of(iter([None, None])) is None
    assert mean_of(iter([None, Area(0.5, np.zeros(5), 4.0)])) == Area(0.5, pytest.approx(np.zeros(5)), 4.0)


def test_the_macro_averages_are_scikit_learns_and_leave_absent_classes_out() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 150)
    logits = random.normal(size=(150, 5)) + 2 * np.eye(5)[labels]

    found = Classification(tuple("abcde")).evaluate(logits, labels)

    shares = softmax(logits)
    precisions = [average_precision_score(labels == number, shares[:, number]) for number in range(4)]
    areas = [roc_auc_score(labels == number, shares[:, number]) for number in range(4)]
    assert found.average_precision == pytest.approx(np.mean(precisions), abs=1e-9)
    assert found.roc_auc == pytest.approx(np.mean(areas), abs=1e-9)


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (np.eye(3)[[0]], np.array([0])),
        (np.eye(3)[[1]], np.array([0])),
        (np.eye(3)[[1, 2, 0]], np.arange(3)),
        (np.zeros((6, 3)), np.arange(6) % 3),
        (np.eye(3)[[0, 0, 1, 1]], np.array([0, 0, 1, 1])),
        (1e4 * np.eye(3)[[0, 1, 2]], np.arange(3)),
    ],
    ids=["one image, right", "one image, wrong", "all wrong", "all tied", "one class absent", "very sure"],
)
def test_odd_cases_have_figures_within_their_intervals_or_none(logits: np.ndarray, labels: np.ndarray) -> None:
    found = Classification(("a", "b", "c")).evaluate(logits, labels)

    for name, value in found.figures.items():
        low, high = found.intervals.get(name, (0.0, np.inf))
        assert (
            value is None
            or (name in ("ece", "adaptive_ece") and np.isfinite([low, high]).all())
            or (low - 1e-9 <= value <= high + 1e-9)
        ), name
    assert (found.roc_auc is None) == (len(set(labels)) < 2)
