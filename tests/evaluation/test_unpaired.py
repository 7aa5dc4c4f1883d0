import math

import numpy as np
import pytest
from scipy import stats

from keras_resnet.errors import UsageError
from keras_resnet.evaluation.unpaired import UncertainMean, independent_difference, mean_accuracy
from tests.shared import script_module

FIRST, SECOND = [0.97, 0.98, 0.96, 0.99], [0.90, 0.84, 0.88, 0.93, 0.85]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        # Newcombe's table II, method 10.
        ((48, 80, 56, 70), (0.0524, 0.3339)),
        ((3, 10, 9, 10), (0.1705, 0.8090)),
        ((2, 7, 6, 7), (0.0582, 0.8062)),
        ((0, 29, 5, 56), (-0.0381, 0.1926)),
        ((0, 10, 10, 10), (0.6075, 1.0)),
        ((0, 20, 0, 10), (-0.1611, 0.2775)),
    ],
)
def test_the_interval_is_that_of_newcombes_method_10(
    counts: tuple[int, int, int, int], expected: tuple[float, float]
) -> None:
    difference, interval = independent_difference(*counts)

    assert difference == pytest.approx(100 * (counts[2] / counts[3] - counts[0] / counts[1]))
    assert interval == pytest.approx([100 * bound for bound in expected], abs=0.006)


def test_the_interval_holds_the_true_difference_as_often_as_it_says() -> None:
    rows = list(script_module("check_paired").of_splits(draws=300, seed=0))

    assert len(rows) == 16
    assert all(row.holds for row in rows)
    assert min(row.share for row in rows) < 0.98, "an interval that always holds it says nothing"


def test_the_interval_of_grouped_images_holds_it_where_that_of_images_does_not() -> None:
    rows = list(script_module("check_paired").of_grouped_splits(draws=200, seed=0))

    by_group, naive = rows[::2], rows[1::2]
    assert all(row.holds for row in by_group)
    assert max(row.share for row in naive) < 0.92


def test_of_intervals_that_are_given_the_limits_are_combined() -> None:
    difference, (low, high) = independent_difference(9, 10, 5, 10, intervals=((0.8, 0.93), (0.1, 0.9)))

    assert difference == pytest.approx(-40)
    assert low == pytest.approx(100 * (-0.4 - math.hypot(0.5 - 0.1, 0.93 - 0.9)))
    assert high == pytest.approx(100 * (-0.4 + math.hypot(0.9 - 0.5, 0.9 - 0.8)))


def test_of_seeds_on_images_of_one_group_nothing_is_known_of_others() -> None:
    low, high = mean_accuracy([0.9, 0.9], images=0, groups=1).interval

    assert low < 0 < 1 < high
    many = mean_accuracy([0.9, 0.9], images=40, groups=10)
    assert many.error == mean_accuracy([0.9, 0.9], images=40).error
    assert np.ptp(many.interval) > np.ptp(mean_accuracy([0.9, 0.9], images=40).interval), "Student's, of ten groups"


def test_two_means_are_compared_as_scipy_does_by_welchs_test() -> None:
    found = mean_accuracy(SECOND).less(mean_accuracy(FIRST))

    expected = stats.ttest_ind(SECOND, FIRST, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert found.mean == pytest.approx(np.mean(SECOND) - np.mean(FIRST))
    assert found.mean / found.error == pytest.approx(expected.statistic)
    assert found.freedom == pytest.approx(expected.df)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.interval == pytest.approx((interval.low, interval.high))


def test_one_mean_has_students_interval() -> None:
    expected = stats.ttest_1samp(SECOND, 0.0).confidence_interval(0.95)

    assert mean_accuracy(SECOND).interval == pytest.approx((expected.low, expected.high))


def test_folds_have_the_variance_of_nadeau_and_bengio_on_each_side() -> None:
    found = mean_accuracy(SECOND, test_by_train=0.25).less(mean_accuracy(FIRST, test_by_train=1 / 3))

    variances = (1 / 5 + 0.25) * np.var(SECOND, ddof=1), (1 / 4 + 1 / 3) * np.var(FIRST, ddof=1)
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / 4 + variances[1] ** 2 / 3)
    assert found.error == pytest.approx(math.sqrt(sum(variances)))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(found.mean) / math.sqrt(sum(variances)), freedom))


def test_seeds_on_one_split_are_no_surer_than_its_test_images() -> None:
    found = mean_accuracy([1.0, 1.0, 1.0], images=36)

    share = 38 / 40
    assert found.error == pytest.approx(math.sqrt(share * (1 - share) / 40))
    assert mean_accuracy(SECOND, images=100).error > mean_accuracy(SECOND).error


def test_means_without_any_spread_differ_or_do_not() -> None:
    alike, other = mean_accuracy([0.9, 0.9], test_by_train=0.5), mean_accuracy([0.8, 0.8], test_by_train=0.5)

    assert other.less(alike).p == 0
    assert alike.less(alike) == UncertainMean(0.0, alike.parts * 2)
    assert alike.less(alike).p == 1
    assert alike.less(other).interval == pytest.approx((0.1, 0.1))


@pytest.mark.parametrize(
    ("accuracies", "test_by_train", "images"), [([0.9], 0.0, None), ([0.9, 0.8], -0.1, None), ([0.9, 0.8], 0.0, 0)]
)
def test_numbers_that_say_nothing_of_a_mean_are_refused(
    accuracies: list[float], test_by_train: float, images: int | None
) -> None:
    with pytest.raises(UsageError, match="accuracies of two trainings or more"):
        mean_accuracy(accuracies, test_by_train=test_by_train, images=images)


def test_where_the_split_makes_no_difference_folds_rarely_show_one() -> None:
    rows = list(script_module("check_paired").of_two_sets_of_folds(draws=300, seed=0))

    assert len(rows) == 2
    assert all(row.holds for row in rows)
