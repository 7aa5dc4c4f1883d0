import time

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold, TimeSeriesSplit

from keras_resnet.data.splits.divide import divide
from keras_resnet.data.splits.partition import share_groups
from keras_resnet.data.splits.plan import SplitPlan
from keras_resnet.errors import DataError
from tests.data.splits.test_divide import NAMES, crossing, together


def patients(count: int, classes: int, images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and groups, where the classes are far from evenly spread over the groups."""
    random = np.random.default_rng(seed)
    groups = random.integers(count, size=images)
    chances = random.dirichlet(np.full(classes, 0.5), count).cumsum(1)
    return (random.random((images, 1)) > chances[groups]).sum(1), groups


def test_no_group_is_on_two_sides_and_the_classes_keep_their_proportions() -> None:
    labels, groups = patients(60, 4, 6000)

    found = divide(labels, tuple("abcd"), {}, seed=0, plan=SplitPlan("group"), groups=groups)

    assert together(found) == list(range(6000))
    assert crossing(found, groups) == 0
    assert all(part.tolist() == sorted(part) for part in found.values())
    for part, share in (("train", 0.7), ("validation", 0.1), ("test", 0.2)):
        assert np.bincount(labels[found[part]]) / np.bincount(labels) == pytest.approx(np.full(4, share), abs=0.03)


def test_each_group_is_in_the_test_of_one_fold() -> None:
    labels, groups = patients(40, 3, 2000)

    folds = [
        divide(labels, tuple("abc"), {}, seed=0, plan=SplitPlan("group", (n, 5)), groups=groups) for n in range(1, 6)
    ]

    assert sorted(np.concatenate([fold["test"] for fold in folds])) == list(range(2000))
    assert all(together(fold) == list(range(2000)) for fold in folds)
    assert all(crossing(fold, groups) == 0 for fold in folds)


def test_folds_of_groups_are_on_average_as_even_as_those_of_scikit_learn() -> None:
    def unevenness(labels: np.ndarray, fold_of: np.ndarray) -> float:
        found = [np.bincount(labels[fold_of == fold], minlength=4) / np.bincount(labels) for fold in range(5)]
        return float(np.abs(np.array(found) - 0.2).mean())

    ours, theirs = [], []
    for seed in range(20):
        labels, groups = patients(60, 4, 2000, seed)
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(labels, labels, groups)
        fold_of = np.empty(2000, int)
        for fold, (_, test) in enumerate(folds):
            fold_of[test] = fold
        theirs.append(unevenness(labels, fold_of))
        ours.append(unevenness(labels, share_groups(labels, groups, [0.2] * 5, seed)))

    assert np.mean(ours) <= np.mean(theirs)


@pytest.mark.parametrize("seed", range(5))
def test_three_groups_are_enough_whatever_their_sizes(seed: int) -> None:
    groups = np.repeat([7, 3, 5], [40, 6, 30])
    labels = np.arange(76) % 2

    found = divide(labels, ("a", "b"), {}, seed=seed, plan=SplitPlan("group"), groups=groups)

    assert [len(part) for part in found.values()] == [40, 6, 30]
    thirds = divide(labels[:60], ("a", "b"), {}, seed=seed, plan=SplitPlan("group"), groups=np.repeat([1, 2, 3], 20))
    assert [len(part) for part in thirds.values()] == [20, 20, 20]


def test_a_class_of_one_group_trains() -> None:
    groups = np.concatenate([np.arange(60) // 3, np.full(5, 99)])
    labels = np.concatenate([np.arange(60) % 2, np.full(5, 2)])

    found = divide(labels, NAMES, {}, seed=0, plan=SplitPlan("group"), groups=groups)

    assert set(range(60, 65)) <= set(found["train"].tolist())
    number = next(n for n in range(1, 4) if 60 in _group_test(labels, groups, n))
    with pytest.raises(DataError, match="no image of 'c' is left to train on: all are in groups of this test fold"):
        divide(labels, NAMES, {}, seed=0, plan=SplitPlan("group", (number, 3)), groups=groups)


def _group_test(labels: np.ndarray, groups: np.ndarray, number: int) -> list[int]:
    return np.flatnonzero(share_groups(labels, groups, [1 / 3] * 3, 0) == number - 1).tolist()


def test_a_class_of_one_group_trains_even_if_the_group_is_wanted_elsewhere() -> None:
    # The second group holds all of c, and x, of which there is no other image for validation and test but the third's.
    contents = ["xyyzz", "xc", "x", "w", "w", "w"]
    labels = np.array(["cwxyz".index(name) for name in "".join(contents)])
    groups = np.repeat(np.arange(6), list(map(len, contents)))

    found = divide(labels, tuple("cwxyz"), {}, seed=0, plan=SplitPlan("group"), groups=groups)

    assert {5, 6} <= set(found["train"].tolist())


def test_groups_that_cannot_be_shared_out_are_refused() -> None:
    def by_group(labels: list[int], groups: list[int], **options: tuple[int, int]) -> None:
        divide(np.array(labels), ("a", "b"), {}, seed=0, plan=SplitPlan("group", **options), groups=np.array(groups))

    with pytest.raises(DataError, match="1 groups cannot be put into 3 parts"):
        by_group([0, 1] * 10, [0] * 20)
    with pytest.raises(DataError, match="too many classes are in one group only"):
        by_group([0, 1] * 10, [0, 1] * 10)
    with pytest.raises(DataError, match="3 groups cannot be put into 4 parts"):
        by_group([0, 1] * 12, [0, 1, 2] * 8, fold=(1, 4))
    with pytest.raises(DataError, match="too many classes are in one group only"):
        divide(np.arange(4), tuple("abcd"), {}, seed=0, plan=SplitPlan("group"), groups=np.arange(4))


def test_sharing_out_as_many_groups_as_imagenet_has_images_takes_seconds() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(1000, size=200_000)

    began = time.perf_counter()
    parts = share_groups(labels, np.arange(200_000), (0.7, 0.1, 0.2), seed=0)

    assert time.perf_counter() - began < 20  # scikit-learn's way takes many minutes
    assert np.bincount(parts).tolist() == pytest.approx([140_000, 20_000, 40_000], abs=300)


def test_the_earliest_images_train_and_the_latest_test() -> None:
    times = np.random.default_rng(0).permutation(100).astype(float)
    labels = np.arange(100) % 2

    found = divide(labels, ("a", "b"), {}, seed=0, plan=SplitPlan("time"), times=times)

    assert [sorted(times[part].astype(int)) for part in found.values()] == [
        list(range(70)),
        list(range(70, 80)),
        list(range(80, 100)),
    ]
    assert all(part.tolist() == sorted(part) for part in found.values())


def test_images_of_one_moment_stay_together() -> None:
    times = np.repeat([1.0, 2.0, 3.0, 4.0], [60, 14, 4, 22])  # wanted are cuts at 70 and 80

    found = divide(np.arange(100) % 2, ("a", "b"), {}, seed=0, plan=SplitPlan("time"), times=times)

    assert [np.unique(times[part]).tolist() for part in found.values()] == [[1, 2], [3], [4]]


def test_three_days_are_three_parts_however_full_each_is() -> None:
    for sizes in ([98, 1, 1], [1, 1, 98], [1, 98, 1]):
        times = np.repeat([1.0, 2.0, 3.0], sizes)
        found = divide(np.zeros(100, int), ("a",), {}, seed=0, plan=SplitPlan("time"), times=times)
        assert [len(part) for part in found.values()] == sizes

    with pytest.raises(DataError, match="images of 2 different times cannot be divided into 3 parts"):
        divide(np.zeros(9, int), ("a",), {}, seed=0, plan=SplitPlan("time"), times=np.repeat([1.0, 2.0], [4, 5]))


def test_folds_in_time_follow_one_another_as_those_of_scikit_learn() -> None:
    times = np.arange(60.0)
    labels = np.arange(60) % 2

    for number, (before, test) in enumerate(TimeSeriesSplit(5).split(times), 1):
        found = divide(labels, ("a", "b"), {}, seed=0, plan=SplitPlan("time", (number, 5)), times=times)
        assert found["test"].tolist() == test.tolist()
        assert sorted([*found["train"], *found["validation"]]) == before.tolist()
        assert found["train"].max() < found["validation"].min()
        assert len(found["validation"]) == pytest.approx(len(before) / 8, abs=1)


def test_the_fewest_moments_that_make_folds_in_time() -> None:
    def first_fold(moments: int) -> list[int]:
        times, labels = np.arange(moments) * 1.0, np.zeros(moments, int)
        found = divide(labels, ("a",), {}, seed=0, plan=SplitPlan("time", (1, 3)), times=times)
        return [len(part) for part in found.values()]

    assert first_fold(5) == [1, 1, 1]
    with pytest.raises(DataError, match="4 different times cannot be divided into 5 parts"):
        first_fold(4)


def test_a_class_that_came_up_after_the_training_images_is_named() -> None:
    with pytest.raises(DataError, match="no image of 'b' is left to train on: all were taken later"):
        divide(np.repeat([0, 1], [75, 25]), ("a", "b"), {}, seed=0, plan=SplitPlan("time"), times=np.arange(100.0))
