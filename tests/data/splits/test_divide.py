import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from keras_resnet.data.splits.divide import divide, stratified_split, stratified_subset
from keras_resnet.data.splits.plan import SplitPlan
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


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("counts", [(500, 3), (300, 300, 300, 3, 3), (2000, 5, 4), (15, 7, 3)])
def test_a_rare_class_is_in_every_part(counts: tuple[int, ...], seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    parts = stratified_split(labels, tuple("abcde"[: len(counts)]), seed=seed)

    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    for part in parts:
        assert np.bincount(labels[part], minlength=len(counts)).min() >= 1
    assert all((np.diff(part) > 0).all() for part in parts)


def test_a_limit_leaves_a_rare_class_enough_to_be_divided() -> None:
    labels = np.repeat([0, 1], [500, 8])
    parts = divide(labels, ("a", "b"), {}, seed=0, limit=60)
    assert [np.bincount(labels[part]).tolist() for part in parts.values()] == [[40, 1], [6, 1], [11, 1]]
    fold = divide(labels, ("a", "b"), {}, seed=0, limit=60, plan=SplitPlan(fold=(1, 5)))
    assert np.bincount(labels[fold["test"]]).tolist() == [11, 1]
    given = {"train": np.r_[0:400, 500:506], "test": np.r_[400:500, 506:508]}
    parts = divide(labels, ("a", "b"), given, seed=0, limit=60)
    assert [np.bincount(labels[part]).tolist() for part in parts.values()] == [[52, 1], [6, 1], [59, 1]]


def test_a_subset_keeps_the_proportions() -> None:
    assert np.bincount(LABELS[stratified_subset(LABELS, 16, 3, seed=0)]).tolist() == [10, 5, 1]
    assert len(stratified_subset(LABELS, 1000, 3, seed=0)) == 160
    with pytest.raises(UsageError, match="a limit of 2 images"):
        stratified_subset(LABELS, 2, 3, seed=0)


def test_given_splits_are_kept() -> None:
    given = {"train": np.arange(0, 100), "validation": np.arange(100, 130), "test": np.arange(130, 160)}

    found = divide(np.arange(160) % 3, NAMES, given, seed=0)

    assert {name: part.tolist() for name, part in found.items()} == {k: v.tolist() for k, v in given.items()}


@pytest.mark.parametrize("whole", [False, True])
def test_given_validation_images_are_the_test_where_there_is_no_other(whole: bool) -> None:
    labels = np.tile([0, 1], 80)
    given = {"train": np.arange(100), "validation": np.arange(100, 160)}

    found = divide(labels, ("a", "b"), given, seed=0, whole=whole)

    assert found["test"].tolist() == list(range(100, 160))
    assert len(found["validation"]) == (0 if whole else 10), "some of the training images choose the epoch"
    assert set(found["validation"]) | set(found["train"]) == set(range(100))
    assert list(given) == ["train", "validation"]


def test_validation_images_are_taken_from_the_training_images_where_only_a_test_is_given() -> None:
    labels = np.tile([0, 1], 80)

    found = divide(labels, ("a", "b"), {"train": np.arange(100), "test": np.arange(100, 160)}, seed=0)

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


def together(parts: dict[str, np.ndarray]) -> list[int]:
    return sorted(np.concatenate(list(parts.values())).tolist())


def crossing(parts: dict[str, np.ndarray], groups: np.ndarray) -> int:
    """How many groups are on more than one side."""
    return len(np.concatenate([np.unique(groups[part]) for part in parts.values()])) - len(np.unique(groups))


def test_a_plan_for_classes_is_what_is_done_without_one() -> None:
    with_plan = divide(LABELS, NAMES, {}, seed=3, plan=SplitPlan("class"))

    assert {k: v.tolist() for k, v in with_plan.items()} == {
        k: v.tolist() for k, v in divide(LABELS, NAMES, {}, seed=3).items()
    }


def test_each_image_is_in_the_test_of_one_fold() -> None:
    folds = [divide(LABELS, NAMES, {}, seed=0, plan=SplitPlan(fold=(number, 5))) for number in range(1, 6)]

    assert sorted(np.concatenate([fold["test"] for fold in folds])) == list(range(160))
    for fold in folds:
        assert together(fold) == list(range(160))
        assert np.bincount(LABELS[fold["test"]]).tolist() == [20, 10, 2]
        assert np.bincount(LABELS[fold["validation"]]).tolist() == [10, 5, 1]


def test_folds_are_those_of_scikit_learn() -> None:
    theirs = StratifiedKFold(5, shuffle=True, random_state=3).split(LABELS, LABELS)

    for number, (_, test) in enumerate(theirs, 1):
        ours = divide(LABELS, NAMES, {}, seed=3, plan=SplitPlan(fold=(number, 5)))["test"]
        assert ours.tolist() == test.tolist()


def test_the_seed_decides_the_folds() -> None:
    first, again, other = (
        divide(LABELS, NAMES, {}, seed=seed, plan=SplitPlan(fold=(1, 4)))["test"].tolist() for seed in (1, 1, 2)
    )

    assert first == again != other


@pytest.mark.parametrize(("folds", "images"), [(2, 4), (3, 3), (10, 10)])
def test_a_class_needs_an_image_for_each_fold_and_each_side(folds: int, images: int) -> None:
    labels = np.repeat([0, 1], [50, images])
    for number in range(1, folds + 1):
        parts = divide(labels, ("a", "b"), {}, seed=0, plan=SplitPlan(fold=(number, folds)))
        assert all(labels[part].any() for part in (parts["train"], parts["test"]))

    with pytest.raises(
        DataError, match=rf"at least {images} images to be divided into {folds} folds.*'b \({images - 1}\)'"
    ):
        divide(labels[:-1], ("a", "b"), {}, seed=0, plan=SplitPlan(fold=(1, folds)))


def test_folds_are_made_of_what_the_limit_leaves() -> None:
    folds = [divide(LABELS, NAMES, {}, seed=0, limit=80, plan=SplitPlan(fold=(n, 4))) for n in range(1, 5)]

    assert len(np.unique(np.concatenate([fold["test"] for fold in folds]))) == 80
    assert all(together(fold) == together(folds[0]) for fold in folds)


@pytest.mark.parametrize("method", ["group", "time"])
def test_data_without_groups_or_times_are_told_how_to_have_them(method: str) -> None:
    with pytest.raises(DataError, match=f"needs the {method} of every image.*the columns path, label and {method}"):
        divide(LABELS, NAMES, {}, seed=0, plan=SplitPlan(method))


def test_validation_images_are_taken_from_a_given_training_part_by_group() -> None:
    labels, groups = np.arange(200) % 2, np.arange(200) // 10
    given = {"train": np.arange(160), "test": np.arange(160, 200)}

    found = divide(labels, ("a", "b"), given, seed=0, plan=SplitPlan("group"), groups=groups)

    assert found["test"].tolist() == list(range(160, 200))
    assert len(found["validation"]) in (10, 20)
    assert crossing(found, groups) == 0


def test_given_parts_that_the_plan_would_not_have_made_are_refused() -> None:
    labels, ascending = np.arange(200) % 2, np.arange(200.0)
    given = {"train": np.arange(165), "test": np.arange(165, 200)}

    with pytest.raises(DataError, match="1 groups are in more than one of the data's splits"):
        divide(labels, ("a", "b"), given, seed=0, plan=SplitPlan("group"), groups=np.arange(200) // 10)
    divide(labels, ("a", "b"), given, seed=0, plan=SplitPlan("time"), times=ascending)
    with pytest.raises(DataError, match="1 images are no later than"):
        divide(labels, ("a", "b"), given, seed=0, plan=SplitPlan("time"), times=np.maximum(ascending, 165))
    with pytest.raises(DataError, match="35 images are no later than the last image of an earlier split"):
        divide(labels, ("a", "b"), given, seed=0, plan=SplitPlan("time"), times=-ascending)
    with pytest.raises(UsageError, match="already divided into 'train', 'test', and folds would mix"):
        divide(labels, ("a", "b"), given, seed=0, plan=SplitPlan(fold=(1, 5)))


def test_given_validation_and_test_images_are_held_apart_too() -> None:
    labels, ascending = np.arange(200) % 2, np.arange(200.0)
    given = {"train": np.arange(160), "validation": np.arange(160, 175), "test": np.arange(175, 200)}

    with pytest.raises(DataError, match="1 groups are in more than one"):
        divide(labels, ("a", "b"), given, seed=0, plan=SplitPlan("group"), groups=np.arange(200) // 10)
    divide(labels, ("a", "b"), given, seed=0, plan=SplitPlan("time"), times=ascending)
    ascending[174] = 177  # of the validation
    with pytest.raises(DataError, match="3 images are no later"):
        divide(labels, ("a", "b"), given, seed=0, plan=SplitPlan("time"), times=ascending)


def test_a_class_that_given_parts_leave_without_training_images_is_named() -> None:
    labels = np.repeat([0, 1, 2], [60, 60, 20])
    given = {"train": np.arange(100), "validation": np.arange(100, 130), "test": np.arange(130, 140)}

    for parts in (given, {"train": given["train"], "test": np.arange(100, 140)}):
        with pytest.raises(DataError, match="no image of 'c' is left to train on: all are in the data's other splits"):
            divide(labels, ("a", "b", "c"), parts, seed=0)
    found = divide(np.arange(140) % 2, ("a", "b", "never"), given, seed=0)
    assert len(found["train"]) == 100, "a name that no image has is no error"


@pytest.mark.parametrize("fold", [(0, 5), (6, 5), (1, 1), (1, 2, 3), (-1, 2)])
def test_a_fold_out_of_range_is_refused(fold: tuple[int, int]) -> None:
    with pytest.raises(
        UsageError, match=rf"fold must be one of two or more folds.*received \[{', '.join(map(str, fold))}\]"
    ):
        SplitPlan(fold=fold)


def test_a_plan_is_read_from_text_and_from_lists_and_written() -> None:
    assert SplitPlan(fold="2/5").fold == (2, 5)  # type: ignore[arg-type]
    assert str(SplitPlan("group", [2, 5])) == "by group, fold 2/5"  # type: ignore[arg-type]
    assert SplitPlan("group", [2, 5]) == SplitPlan("group", (2, 5))  # type: ignore[arg-type]
    for text in ("2", "a/b", "2/", "1/-5", "²/5"):
        with pytest.raises(UsageError, match=f"counted from 1, as 2/5 for the second of five; received '{text}'"):
            SplitPlan(fold=text)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="one of 'class', 'group', 'time'; received 'patient'"):
        SplitPlan("patient")
