import numpy as np
import pytest
import tensorflow as tf
from sklearn.utils.class_weight import compute_class_weight

from keras_resnet.data.balance import balanced_order, class_weights, effective_number_weights
from keras_resnet.data.images import Split
from keras_resnet.data.stores import ArrayImages
from keras_resnet.errors import DataError, UsageError
from keras_resnet.tasks.multi_label import MultiLabel
from tests.tasks.classes import classes

LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [70, 25, 5]))


def labelled(labels: np.ndarray, count: int) -> Split:
    return Split(
        ArrayImages(np.zeros((len(labels), 1, 1, 1), np.uint8)), np.arange(len(labels)), labels, classes(count)
    )


def order(seed: int = 0, epoch: int = 0, labels: np.ndarray = LABELS, num_classes: int = 3) -> np.ndarray:
    return balanced_order(labelled(labels, num_classes), seed, tf.constant(epoch, tf.int64)).numpy()


def orders(epochs: int) -> list[np.ndarray]:
    dataset = tf.data.Dataset.range(epochs).map(lambda epoch: balanced_order(labelled(LABELS, 3), 0, epoch))
    return list(dataset.as_numpy_iterator())


def test_weights_are_those_of_scikit_learn() -> None:
    found = class_weights(labelled(LABELS, 3))

    assert found.dtype == np.float32
    assert found == pytest.approx(compute_class_weight("balanced", classes=np.arange(3), y=LABELS))
    assert found[LABELS].mean() == pytest.approx(1)


def test_effective_numbers_go_from_equal_weights_to_balanced_ones() -> None:
    found = effective_number_weights(labelled(LABELS, 3), 0.9)

    expected = (1 - 0.9) / (1 - 0.9 ** np.array([70, 25, 5]))
    assert found / found[0] == pytest.approx(expected / expected[0])
    assert found[LABELS].mean() == pytest.approx(1)
    assert effective_number_weights(labelled(LABELS, 3), 0.0) == pytest.approx([1, 1, 1])
    assert effective_number_weights(labelled(LABELS, 3), 1 - 1e-12) == pytest.approx(class_weights(labelled(LABELS, 3)))


@pytest.mark.parametrize("beta", [-0.1, 1.0, float("nan")])
def test_a_beta_out_of_range_is_refused(beta: float) -> None:
    with pytest.raises(UsageError, match=rf"beta must lie in \[0, 1\); received {beta}"):
        effective_number_weights(labelled(LABELS, 3), beta)


def test_classes_without_images_are_refused_by_all() -> None:
    for call in (
        lambda labels: class_weights(labelled(labels, 4)),
        lambda labels: effective_number_weights(labelled(labels, 4), 0.9),
        lambda labels: order(labels=labels, num_classes=4),
    ):
        with pytest.raises(DataError, match="'1', '3' have none"):
            call(np.array([0, 2, 2]))
        with pytest.raises(DataError, match=r"must lie in 0–3 for 4 classes; received 0 to 4: there are 5"):
            call(np.arange(5))


@pytest.mark.parametrize("epoch", range(4))
def test_in_an_epoch_each_class_comes_equally_often_and_each_image_of_it_too(epoch: int) -> None:
    found = order(epoch=epoch)

    assert len(found) == 100
    assert sorted(np.bincount(LABELS[found])) == [33, 33, 34]
    shown = np.bincount(found, minlength=100)
    for label in range(3):
        times = shown[label == LABELS]
        assert times.max() - times.min() <= 1
    assert shown[LABELS == 2].min() >= 6  # 33 or 34 of 5 images


def test_the_classes_take_turns_with_the_image_left_over() -> None:
    largest = [int(np.bincount(LABELS[found]).argmax()) for found in orders(300)]

    assert np.bincount(largest).tolist() == pytest.approx([100, 100, 100], abs=30)


def test_over_many_epochs_all_images_of_a_class_come_equally_often() -> None:
    shown = sum(np.bincount(found, minlength=100) for found in orders(300))

    for label, images in enumerate((70, 25, 5)):
        expected = 300 * 100 / 3 / images
        assert shown[label == LABELS] == pytest.approx(np.full(images, expected), rel=0.25)


def test_the_order_is_mixed_and_decided_by_seed_and_epoch_alone() -> None:
    first = order(3, 5)

    assert first.tolist() == order(3, 5).tolist()
    others = {tuple(found) for found in (first, order(4, 5), order(3, 6), order(5, 3))}
    assert len(others) == 4
    halves = np.bincount(LABELS[first[:50]], minlength=3)
    assert halves == pytest.approx([17, 17, 17], abs=8)
    assert (np.diff(LABELS[first]) == 0).mean() == pytest.approx(1 / 3, abs=0.15)


def test_a_data_pipeline_gives_the_same_order() -> None:
    dataset = tf.data.Dataset.range(2, 5).map(lambda epoch: balanced_order(labelled(LABELS, 3), 1, epoch))

    assert dataset.element_spec == tf.TensorSpec((100,), tf.int64)
    assert [found.tolist() for found in dataset.as_numpy_iterator()] == [
        order(1, epoch).tolist() for epoch in (2, 3, 4)
    ]


def test_balanced_classes_stay_so_and_every_image_comes_once() -> None:
    labels = np.arange(60) % 4

    assert sorted(order(labels=labels, num_classes=4)) == list(range(60))


def test_more_classes_than_images_of_a_turn_come_by_turns() -> None:
    labels = np.array([0, 0, 0, 1, 2])

    counts = [np.bincount(labels[order(epoch=epoch, labels=labels)], minlength=3).tolist() for epoch in range(20)]

    assert {tuple(sorted(found)) for found in counts} == {(1, 2, 2)}
    assert {found.index(1) for found in counts} == {0, 1, 2}


def test_images_of_several_classes_cannot_be_balanced() -> None:
    labels = np.eye(3, dtype=np.uint8)
    several = Split(ArrayImages(np.zeros((3, 1, 1, 1), np.uint8)), np.arange(3), labels, MultiLabel(("a", "b", "c")))

    with pytest.raises(DataError, match="balanced where each image has one; these are for multi-label"):
        class_weights(several)
