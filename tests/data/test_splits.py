import numpy as np
import pytest

from keras_resnet.data.splits import divide, stratified_split, stratified_subset
from keras_resnet.errors import DataError, UsageError

LABELS = np.repeat([0, 1, 2], [100, 50, 10])
NAMES = ("a", "b", "c")


def test_a_split_holds_every_image_once_and_every_class_in_proportion() -> None:
    train, validation, test = stratified_split(LABELS, NAMES, seed=0)

    assert sorted(np.concatenate([train, validation, test])) == list(range(160))
    assert np.bincount(LABELS[test]).tolist() == [20, 10, 2]
    assert np.bincount(LABELS[validation]).tolist() == [10, 5, 1]


def test_the_seed_decides_the_split() -> None:
    first, again, other = (stratified_split(LABELS, NAMES, seed=seed)[2].tolist() for seed in (1, 1, 2))

    assert first == again != other


def test_a_class_with_too_few_images_is_named() -> None:
    with pytest.raises(DataError, match=r"at least 3 images.*'c \(2\)'"):
        stratified_split(np.repeat([0, 1, 2], [5, 5, 2]), NAMES, seed=0)


def test_three_images_a_class_are_enough() -> None:
    labels = np.repeat(np.arange(10), 3)

    for part in stratified_split(labels, tuple("abcdefghij"), seed=0):
        assert np.bincount(labels[part], minlength=10).tolist() == [1] * 10


def test_a_subset_keeps_the_proportions() -> None:
    assert np.bincount(LABELS[stratified_subset(LABELS, 16, 3, seed=0)]).tolist() == [10, 5, 1]
    assert len(stratified_subset(LABELS, 1000, 3, seed=0)) == 160
    with pytest.raises(UsageError, match="a limit of 2 images"):
        stratified_subset(LABELS, 2, 3, seed=0)


def test_given_splits_are_kept() -> None:
    given = {"train": np.arange(0, 100), "validation": np.arange(100, 130), "test": np.arange(130, 160)}

    found = divide(LABELS, NAMES, given, seed=0)

    assert {name: part.tolist() for name, part in found.items()} == {k: v.tolist() for k, v in given.items()}


def test_a_given_validation_part_is_the_test_when_there_is_no_other() -> None:
    labels = np.tile([0, 1], 80)

    found = divide(labels, ("a", "b"), {"train": np.arange(100), "validation": np.arange(100, 160)}, seed=0)

    assert found["test"].tolist() == list(range(100, 160))
    assert len(found["validation"]) == 10
    assert set(found["validation"]) | set(found["train"]) == set(range(100))


def test_a_training_part_alone_is_split_in_three() -> None:
    found = divide(np.tile([0, 1], 80), ("a", "b"), {"train": np.arange(160)}, seed=0)

    assert [len(found[name]) for name in ("train", "validation", "test")] == [112, 16, 32]


def test_a_limit_holds_for_each_given_split() -> None:
    labels = np.tile([0, 1], 80)
    given = {"train": np.arange(100), "test": np.arange(100, 160)}

    found = divide(labels, ("a", "b"), given, seed=0, limit=20)

    assert [len(found[name]) for name in ("train", "validation", "test")] == [18, 2, 20]


def test_data_that_are_wanted_whole_are_all_for_the_test() -> None:
    found = divide(np.array([0, 1]), ("a", "b"), {}, seed=0, whole=True)

    assert [part.tolist() for part in found.values()] == [[], [], [0, 1]]


@pytest.mark.parametrize(
    ("counts", "most", "expected"),
    [
        ((20, 1), 10, [9, 1]),
        ((2, 1), 2, [1, 1]),
        ((2,) * 10, 19, None),
        ((1, 1, 1), 3, [1, 1, 1]),
        ((500, 3, 1), 5, [3, 1, 1]),
    ],
)
def test_a_subset_is_as_large_as_asked_and_holds_every_class(
    counts: tuple[int, ...], most: int, expected: list[int] | None
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)

    found = np.bincount(labels[stratified_subset(labels, most, len(counts), seed=0)], minlength=len(counts))

    assert found.sum() == most
    assert found.min() >= 1
    assert expected is None or found.tolist() == expected
