from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_resnet.errors import DataError, MissingExtraError
from keras_resnet.tasks.classification import Classification
from keras_resnet.tasks.task import Metrics

TASK = Classification(("a", "b", "c"))
# Predicted: a a b c; true: a b b b
LOGITS = np.array([[3.0, 1.0, 0.0], [2.0, 1.0, 0.0], [0.0, 5.0, 0.0], [0.0, 1.0, 2.0]])
LABELS = np.array([0, 1, 1, 1])


def test_figures_are_those_counted_by_hand() -> None:
    found = TASK.evaluate(LOGITS, LABELS)

    assert (found.correct, found.images, found.top1) == (2, 4, 0.5)
    assert found.confusion.tolist() == [[1, 0, 0], [1, 1, 1], [0, 0, 0]]
    a, b, c = found.classes
    assert (a.precision, a.recall, a.f1, a.images) == (0.5, 1.0, pytest.approx(2 / 3), 1)
    assert (b.precision, b.recall, b.f1, b.images) == (1.0, pytest.approx(1 / 3), 0.5, 3)
    assert (c.precision, c.recall, c.f1, c.images) == (0, 0, 0, 0)
    shares = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    assert found.log_loss == pytest.approx(-np.log(shares[np.arange(4), LABELS]).mean())
    assert found.top5 is None
    assert [TASK.members(LABELS, number).tolist() for number in range(3)] == [[0], [1, 2, 3], []]


def test_balanced_accuracy_is_the_mean_recall_of_the_classes_that_have_images() -> None:
    assert TASK.evaluate(LOGITS, LABELS).balanced_accuracy == pytest.approx((1 + 1 / 3) / 2)
    assert list(TASK.metrics)[:2] == ["top1", "balanced_accuracy"]


def test_classes_of_which_no_image_is_recognised_are_named_and_rare_ones_hidden_by_top_1_too() -> None:
    labels, two = np.array([0] * 60 + [1] * 3), Classification(("a", "b"))
    common = np.tile([1.0, 0.0], (63, 1))

    few_wrong, missed, hidden = two.evaluate(common, labels).remarks
    # One of the three is recognised, and so none is missed altogether.
    common[-1, 1] = 2
    _, still_hidden = two.evaluate(common, labels).remarks

    assert missed == "No image of these classes was recognised, recall 0 (images): 'b (3)'."
    assert hidden.startswith("Balanced accuracy, the mean recall of the classes, is 50.00% and top-1 95.24%")
    assert "--sampling balanced or --class-weights balanced" in hidden
    assert "is 66.67% and top-1 96.83%" in still_hidden
    assert few_wrong.startswith("Only 3 of 63 images are answered wrong. Log loss and calibration errors may be")
    (all_right,) = two.evaluate(np.eye(2)[labels], labels).remarks
    assert all_right.startswith("Only 0 of 63 images")


def test_it_is_said_where_groups_are_too_few_for_their_intervals_and_not_where_they_are_many() -> None:
    labels = np.arange(120) % 2
    logits, two = np.eye(2)[np.where(np.arange(120) < 20, 1 - labels, labels)], Classification(("a", "b"))

    (few,) = two.evaluate(logits, labels, np.arange(120) // 6).remarks

    assert few.startswith("There are only 20 groups of images: other groups may differ more than these do")
    assert two.evaluate(logits, labels, np.arange(120) // 4).remarks == ()
    assert two.evaluate(logits, labels).remarks == ()
    assert two.evaluate(logits, labels, np.zeros(120, int)).remarks[0].startswith("There is only 1 group of images")


def test_images_are_counted_in_whole_numbers_also_where_none_is_recognised() -> None:
    found = TASK.evaluate(np.eye(3)[[1, 2, 0]], np.arange(3))

    assert [type(row.images) for row in found.classes] == [int] * 3


def test_the_interval_is_wilsons() -> None:
    n, p, z = 4, 0.5, 1.959964
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))

    assert TASK.evaluate(LOGITS, LABELS).top1_interval == pytest.approx((centre - half, centre + half), abs=1e-6)


def test_top_five_counts_the_first_five() -> None:
    logits = -np.tile(np.arange(7.0), (7, 1))

    assert Classification(tuple("abcdefg")).evaluate(logits, np.arange(7)).top5 == pytest.approx(5 / 7)


def test_agreement_is_the_share_of_equal_choices() -> None:
    assert TASK.agreement(LOGITS, LOGITS[[0, 1, 2, 2]]) == 0.75


@pytest.mark.parametrize(
    ("logits", "labels"),
    [(LOGITS[:3], LABELS), (LOGITS[:, :2], LABELS), (LOGITS[:0], LABELS[:0]), (LOGITS * np.nan, LABELS)],
)
def test_what_cannot_be_compared_is_refused(logits: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(DataError):
        TASK.evaluate(logits, labels)


def confusion_picture(confusion: np.ndarray, names: tuple[str, ...], path: Path) -> None:
    metrics = Metrics(int(confusion.sum()), int(confusion.trace()), {}, {}, {}, (), confusion)
    Classification(names).draw(metrics, "title", path)


def colours(path: Path) -> int:
    with Image.open(path) as image:
        assert min(image.size) > 300
        return len(image.convert("RGB").getcolors(1 << 24))


@pytest.mark.parametrize("classes", [2, 10, 60])
def test_the_confusion_matrix_is_drawn_for_few_and_many_classes(classes: int, tmp_path: Path) -> None:
    confusion = np.eye(classes, dtype=int) * 5
    names = tuple(f"class with $a long name$ {n}" for n in range(classes))

    confusion_picture(confusion, names, tmp_path / "c.png")

    assert colours(tmp_path / "c.png") > 20


def test_the_same_figures_give_the_same_file(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        confusion_picture(np.eye(3, dtype=int), ("a", "b", "c"), tmp_path / name)

    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)

    with pytest.raises(MissingExtraError, match=r"pip install 'keras-resnet-kit\[plots\]'"):
        confusion_picture(np.eye(2, dtype=int), ("a", "b"), tmp_path / "c.png")


def test_a_class_without_images_is_named_and_left_out_of_the_means() -> None:
    labels = np.array([0, 0, 2])
    found = TASK.evaluate(np.eye(3)[labels], labels)

    _, remark = found.remarks
    assert remark.startswith(
        f"There was no image of '{TASK.class_names[1]}': these figures say nothing of how well it is"
    )
    assert found.balanced_accuracy == 1.0
