import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from keras_resnet.inspection.confident_learning import contradicted


def test_a_label_is_contradicted_by_a_class_of_which_the_model_is_as_sure_as_usually() -> None:
    said = np.array([[0.9, 0.1], [0.7, 0.3], [0.3, 0.7], [0.1, 0.9], [0.15, 0.85], [0.4, 0.6]])
    labels = np.array([0, 0, 1, 1, 0, 0])  # usual: (0.9 + 0.7 + 0.15 + 0.4) / 4 = 0.54, and (0.7 + 0.9) / 2 = 0.8

    found = contradicted(said, labels)

    assert found.positions.tolist() == [4]
    assert found.suggested.tolist() == [1]
    assert found.probability.tolist() == [0.85]
    assert found.sure == 4  # not of the third, 0.7 < 0.8, nor of the last
    assert not len(contradicted(said, labels, least=0.86).positions)


def test_the_most_contradicted_comes_first_and_a_class_without_images_is_never_suggested() -> None:
    said = np.array([[0.8, 0.2, 0.0], [0.2, 0.8, 0.0], [0.3, 0.7, 0.0], [0.1, 0.9, 0.0], [0.0, 0.0, 1.0]])

    found = contradicted(said, np.array([0, 1, 0, 0, 1]))

    assert found.positions.tolist() == [3, 2]
    assert found.suggested.tolist() == [1, 1]


@pytest.mark.parametrize("seed", [0, 1])
def test_three_hundredths_of_flipped_labels_come_first(seed: int) -> None:
    images, true = load_digits(return_X_y=True)
    random = np.random.default_rng(seed)
    flipped = random.choice(len(true), round(0.03 * len(true)), replace=False)
    labels = true.copy()
    labels[flipped] = (true[flipped] + random.integers(1, 10, len(flipped))) % 10
    with threadpool_limits(1):
        said = cross_val_predict(LogisticRegression(), images / 16, labels, cv=3, method="predict_proba")

    found = contradicted(said, labels)

    first = found.positions[: len(flipped)]
    # A random order has 3 % in each: to find 4 of 54 would be luck.
    assert np.isin(first, flipped).mean() > 0.7, "precision of the first places"
    assert np.isin(flipped, found.positions).mean() > 0.6, "recall of the list"
    right = np.isin(found.positions, flipped)
    suggested = found.suggested[right]
    assert (suggested == true[found.positions[right]]).mean() > 0.9
