import itertools
import math

import numpy as np
import pytest
from scipy import stats

from keras_resnet.errors import UsageError
from keras_resnet.evaluation.paired import (
    bootstrap_difference,
    holm,
    images_needed,
    mcnemar,
    paired_difference,
    paired_t_test,
    trainings_needed,
)
from tests.shared import script_module


def answers(images: int, lost: int, won: int) -> tuple[np.ndarray, np.ndarray]:
    """Two models that are right on all images but those which only the other is right on."""
    first, second = np.ones((2, images), bool)
    second[:lost], first[lost : lost + won] = False, False
    return first, second


@pytest.mark.parametrize(
    ("lost", "won", "images", "expected"),
    [
        (4, 1, 100, (-3.0, -8.0, 2.1)),  # Bonett and Price's interval by hand: -3/102 ± 1.96 √((7/102 - (3/102)²)/102)
        (0, 0, 300, (0.0, -0.92, 0.92)),
    ],
)
def test_the_interval_of_a_paired_difference(
    lost: int, won: int, images: int, expected: tuple[float, float, float]
) -> None:
    difference, interval = paired_difference(*answers(images, lost, won))

    assert (difference, *interval) == pytest.approx(expected, abs=0.1)


def test_mcnemar_is_the_sign_test_of_the_images_on_which_one_alone_is_right() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        first, second = random.random((2, 60)) < random.uniform(0.1, 0.9, (2, 1))
        lost, won = (first & ~second).sum(), (~first & second).sum()

        tail = stats.binom.cdf(min(lost, won), lost + won, 0.5)  # as statsmodels' mcnemar(exact=True) has it
        assert mcnemar(first, second) == pytest.approx(min(1.0, 2 * tail), abs=1e-12)


@pytest.mark.parametrize(
    ("lost", "won", "expected"), [(0, 0, 1.0), (1, 0, 1.0), (3, 3, 1.0), (0, 6, 2 / 64), (10, 0, 2 / 1024)]
)
def test_mcnemar_of_few_and_of_one_sided_differences(lost: int, won: int, expected: float) -> None:
    first, second = answers(10, lost, won)
    alone = np.arange(10)

    assert mcnemar(first, second) == pytest.approx(expected)
    assert mcnemar(first, second, alone) == pytest.approx(expected)
    assert mcnemar(second, first) == pytest.approx(expected)


def test_by_group_mcnemar_counts_every_way_to_turn_the_groups() -> None:
    random = np.random.default_rng(1)
    for _ in range(10):
        first, second = random.random((2, 40)) < 0.6
        groups = random.integers(0, 9, 40)
        gained = second.astype(int) - first
        sums = [gained[groups == group].sum() for group in range(9)]
        turned = np.array([np.dot(signs, sums) for signs in itertools.product((-1, 1), repeat=9)])

        assert mcnemar(first, second, groups) == pytest.approx((abs(turned) >= abs(gained.sum())).mean())


def test_ten_photographs_of_one_person_are_no_ten_proofs() -> None:
    first, second = answers(100, 0, 10)
    people = np.repeat(np.arange(10), 10)  # all ten are of one person

    assert mcnemar(first, second) < 0.01
    assert mcnemar(first, second, people) == 1.0
    assert paired_difference(first, second)[1][0] > 0
    low, high = paired_difference(first, second, people)[1]
    assert low < 0
    assert high > 20
    assert bootstrap_difference(first, second, people)[0] == 0


def test_groups_of_one_image_change_nothing_but_the_quantile() -> None:
    first, second = answers(400, 9, 20)
    alone = np.random.default_rng(0).permutation(400)

    plain, grouped = (paired_difference(first, second, groups)[1] for groups in (None, alone))

    assert grouped == pytest.approx(plain, abs=0.02)  # the variance is divided by n - 1, and the quantile is Student's
    assert np.diff(grouped) > np.diff(plain)


def test_where_no_group_differs_the_interval_is_that_of_as_many_images_as_groups() -> None:
    first, second = answers(300, 0, 0)

    low, high = paired_difference(first, second, np.arange(300) // 10)[1]

    assert high == -low == pytest.approx(100 * stats.t.ppf(0.975, 29) * math.sqrt(2 / 32) / math.sqrt(32))


def test_the_bootstrap_repeats_and_has_the_quantiles_of_resampled_images() -> None:
    first, second = answers(200, 8, 20)
    gained = second.astype(int) - first
    random = np.random.default_rng(5)
    expected = np.quantile([random.choice(gained, 200).mean() for _ in range(4000)], [0.025, 0.975]) * 100

    found = bootstrap_difference(first, second)

    assert found == bootstrap_difference(first, second, seed=0)
    assert found == pytest.approx(expected, abs=0.6)
    assert bootstrap_difference(first, second, np.arange(200)) == pytest.approx(expected, abs=0.6)
    assert bootstrap_difference(*answers(50, 0, 0)) == (0, 0)


def test_the_uncorrected_t_test_is_scipys() -> None:
    random = np.random.default_rng(2)
    first, second = random.normal(90, 1, (2, 7))
    expected = stats.ttest_rel(second, first)

    found = paired_t_test(second - first)

    assert (found.t, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_folds_share_images_and_so_are_fewer_proofs_than_seeds() -> None:
    differences = [1.0, 2.0, 0.5, 1.5, 1.0]
    plain = paired_t_test(differences)

    corrected = paired_t_test(differences, test_by_train=1 / 4)

    assert corrected.t == pytest.approx(plain.t * math.sqrt((1 / 5) / (1 / 5 + 1 / 4)))  # Nadeau and Bengio's (2003)
    assert corrected.p == pytest.approx(2 * stats.t.sf(corrected.t, 4))
    assert np.diff(corrected.interval) == pytest.approx(np.diff(plain.interval) * 1.5)


@pytest.mark.parametrize(
    ("differences", "p", "interval"),
    [
        ([0.0, 0.0, 0.0], 1.0, (0.0, 0.0)),
        ([0.5, 0.5], 0.0, (0.5, 0.5)),
        ([0.7], 1.0, (-math.inf, math.inf)),
    ],
)
def test_trainings_without_variance_and_one_alone(
    differences: list[float], p: float, interval: tuple[float, float]
) -> None:
    found = paired_t_test(differences)

    assert (found.p, found.interval) == (p, interval)


def test_a_t_test_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="received 0 and 0"):
        paired_t_test([])
    with pytest.raises(UsageError, match="received 2 and -1"):
        paired_t_test([1, 2], -1)


def test_holm_multiplies_the_smallest_by_all_and_never_falls() -> None:
    assert holm([0.04, 0.01, 0.02, 0.5]) == pytest.approx((0.08, 0.04, 0.06, 0.5))
    assert holm([0.02, 0.021]) == pytest.approx((0.04, 0.04))
    assert holm([0.6, 0.9]) == (1.0, 1.0)
    assert holm([]) == ()


@pytest.mark.parametrize(("difference", "disagreement"), [(2.0, 6.0), (-3.0, 5.0), (5.0, 20.0), (4.0, 4.0)])
def test_with_the_images_that_are_needed_mcnemar_shows_the_difference_in_four_of_five(
    difference: float, disagreement: float
) -> None:
    needed = images_needed(difference, disagreement)
    assert needed is not None
    up, down = (disagreement + difference) / 200, (disagreement - difference) / 200
    random = np.random.default_rng(0)
    won, lost, _ = random.multinomial(needed, [up, down, 1 - up - down], 10_000).T

    shown = 2 * stats.binom.cdf(np.minimum(won, lost), won + lost, 0.5) <= 0.05

    assert shown.mean() == pytest.approx(0.8, abs=0.015)
    z, power = stats.norm.ppf([0.975, 0.8])
    share, delta = disagreement / 100, difference / 100
    connor = ((z * share**0.5 + power * (share - delta**2) ** 0.5) / delta) ** 2
    assert connor < needed < 1.2 * connor + 10
    assert images_needed(0, 5) is None


def test_the_trainings_that_are_needed_show_the_difference_in_four_of_five() -> None:
    differences = np.array([0.2, 1.4, -0.3, 1.1, 0.1])
    needed = trainings_needed(differences)
    assert needed is not None
    random = np.random.default_rng(0)

    drawn = random.normal(differences.mean(), differences.std(ddof=1), (4000, needed))

    assert 5 < needed < 30
    assert np.mean(stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05) == pytest.approx(0.82, abs=0.04)
    assert trainings_needed([1.0, -1.0]) is None
    assert trainings_needed([1.0, 1.0]) == 2


def test_the_simulation_of_the_tests_finds_one_that_errs_too_often() -> None:
    check = script_module("check_paired")

    rows = list(check.of_groups(draws=200, seed=0))

    assert [row.holds for row in rows if row.what == "McNemar by group, size"] == [True] * 4
    naive = [row.share for row in rows if row.what == "McNemar of grouped images as if they were independent, size"]
    assert max(naive) > 0.15  # so the simulation can fail
