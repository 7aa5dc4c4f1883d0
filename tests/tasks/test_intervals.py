import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap, kurtosis
from scipy.stats import t as student
from sklearn.metrics import f1_score

from keras_resnet.errors import DataError
from keras_resnet.tasks.classification import Classification
from keras_resnet.tasks.intervals import (
    bootstrap_interval,
    bounded_interval,
    degrees_of_freedom,
    mean_interval,
    share_interval,
    variance,
    wilson_interval,
)
from keras_resnet.tasks.task import Answers
from tests.tasks.classes import classes


@pytest.mark.parametrize(("hits", "images"), [(0, 1), (1, 1), (0, 50), (50, 50), (3, 7), (404, 412)])
def test_wilsons_interval_is_scipys(hits: int, images: int) -> None:
    theirs = binomtest(hits, images).proportion_ci(method="wilson")

    assert wilson_interval(hits, images) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert share_interval(np.arange(images) < hits) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_images_that_are_copies_of_one_another_count_as_one() -> None:
    hits, groups = np.arange(50) < 40, np.arange(50)
    low, high = share_interval(hits, groups)
    alone = share_interval(hits)

    copied = share_interval(np.repeat(hits, 8), np.repeat(groups, 8))

    assert copied == pytest.approx((low, high), abs=1e-9), "eight copies of each image say no more"
    assert (low, high) == pytest.approx(alone, abs=0.01), "and groups of one image as much as images"
    assert low < alone[0], "Student's t is wider"
    assert share_interval(np.repeat(hits, 8))[0] > low + 0.05, "what would be said if they were taken for others"


def test_a_share_without_misses_is_as_sure_as_there_are_groups() -> None:
    all_right = np.ones(100, bool)

    assert share_interval(all_right, np.arange(100) // 10)[0] == pytest.approx(wilson_interval(10, 10, 2.262157)[0])
    assert share_interval(all_right, np.zeros(100, int)) == (0.0, 1.0), "one group says nothing of others"


def test_a_standard_error_by_influences_is_that_of_scipys_bootstrap() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 300)
    logits = random.normal(size=(300, 4)) + 1.5 * np.eye(4)[labels]
    task = classes(4)

    answers = Answers(task, logits, labels)

    def value(name: str, positions: np.ndarray) -> float:
        return task.metrics[name].value(answers.at(positions.astype(int))).value

    found = task.evaluate(logits, labels)
    for name in ("balanced_accuracy", "roc_auc", "average_precision", "log_loss", "aurc"):
        drawn = bootstrap(
            (np.arange(300),), lambda at, name=name: value(name, at), n_resamples=200, vectorized=False,
            method="percentile", rng=np.random.default_rng(1),
        )  # fmt: skip
        low, high = found.intervals[name]
        assert (high - low) / (2 * 1.96) == pytest.approx(drawn.standard_error, rel=0.2), name
        assert low < found.figures[name] < high


def test_the_logarithm_of_a_mean_has_students_t_with_the_freedom_that_its_tail_leaves() -> None:
    values = np.random.default_rng(0).exponential(size=200)
    mean, error = values.mean(), values.std() / np.sqrt(200)
    freedom = degrees_of_freedom(values - mean)

    low, high = mean_interval(mean, values - mean)

    assert np.sqrt(low * high) == pytest.approx(mean)
    assert np.log(high / low) / 2 == pytest.approx(student.ppf(0.975, freedom) * error / mean, rel=1e-3)
    assert 30 < freedom < 100, "of an exponential distribution 200 tell as much of the variance as 50 of a normal one"
    assert variance(values - mean) == pytest.approx(error**2)
    assert mean_interval(mean, values - mean, least=7.0) == (low, 7.0)
    assert mean_interval(1.0, np.zeros(5)) is None
    assert mean_interval(1.0, np.zeros(1)) is None


def test_degrees_of_freedom_are_satterthwaites_with_scipys_kurtosis() -> None:
    values = np.random.default_rng(0).standard_t(4, size=60)
    deviations, groups = values - values.mean(), np.arange(60) // 3
    sums = deviations.reshape(20, 3).sum(axis=1)

    alone, together = degrees_of_freedom(deviations), degrees_of_freedom(deviations, groups)

    assert alone == pytest.approx(2 / (kurtosis(values, bias=False) / 60 + 2 / 59))
    assert together == pytest.approx(min(2 / (max(kurtosis(sums, bias=False), 0) / 20 + 2 / 19), 19))
    assert degrees_of_freedom(np.random.default_rng(0).uniform(-1, 1, 50) * 0) == 49
    assert degrees_of_freedom(np.array([1.0, -1.0])) == 1


def test_a_variance_by_groups_is_that_of_their_sums() -> None:
    random = np.random.default_rng(0)
    groups = random.integers(0, 30, 200)
    deviations = random.normal(size=200)
    deviations -= deviations.mean()

    sums = np.array([deviations[groups == group].sum() for group in np.unique(groups)])

    assert variance(deviations, groups) == pytest.approx((sums**2).sum() / 200**2 * 30 / 29)


def test_a_figure_of_ones_own_gets_an_interval_by_drawing_images_or_groups() -> None:
    values = np.random.default_rng(0).normal(size=120)
    groups = np.arange(120) // 6

    def median(at: np.ndarray) -> float:
        return float(np.median(values[at]))

    low, high = bootstrap_interval(median, 120)
    wide = bootstrap_interval(lambda at: median(at // 6 * 6), 120, groups)

    theirs = bootstrap((values,), np.median, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.08)
    assert (low, high) == bootstrap_interval(median, 120), "it repeats"
    assert wide[1] - wide[0] > 1.4 * (high - low)
    assert bootstrap_interval(lambda at: 1.0, 5) is None
    assert bootstrap_interval(lambda at: None, 5) is None


def test_by_group_all_figures_are_less_sure() -> None:
    random = np.random.default_rng(0)
    groups = np.arange(400) // 20
    labels = random.integers(0, 3, 400)
    signal = 2 + 2 * random.normal(size=20)[groups]
    logits = random.normal(size=(400, 3))
    logits[np.arange(400), labels] += signal
    task = Classification(("a", "b", "c"))

    alone, together = task.evaluate(logits, labels), task.evaluate(logits, labels, groups)

    assert together.figures == alone.figures
    assert (alone.groups, together.groups) == (None, 20)
    for name, (low, high) in alone.intervals.items():
        wide = together.intervals[name]
        if name not in ("ece", "adaptive_ece"):  # whose intervals end at 0
            assert wide[1] - wide[0] > 1.15 * (high - low), name
    assert together.classes[0].intervals["f1"][0] < alone.classes[0].intervals["f1"][0]
    with pytest.raises(DataError, match="expected a group for each of 400 images"):
        task.evaluate(logits, labels, groups[:3])


def test_an_f1s_interval_is_that_of_its_bootstrap() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 300)
    logits = np.eye(2)[np.where(random.random(300) < 0.8, labels, 1 - labels)]
    row = Classification(("a", "b")).evaluate(logits, labels).classes[1]

    low, high = bootstrap_interval(lambda at: f1_score(labels[at], logits[at].argmax(1)), 300)

    assert row.intervals["f1"] == pytest.approx((low, high), abs=0.015)


def test_a_figure_that_cannot_be_surer_than_its_images_is_not() -> None:
    assert bounded_interval(0.5, np.full(10, 1e-9), units=10) == pytest.approx(wilson_interval(5, 10))
