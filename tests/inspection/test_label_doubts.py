import numpy as np
import pytest

from keras_resnet.data.loading import list_source
from keras_resnet.images.decode import decode
from keras_resnet.inspection import label_doubts as suspicion
from keras_resnet.inspection.label_doubts import doubt_labels
from keras_resnet.preprocessing import Fit


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    listing = list_source("digits")
    thumbnails = [decode(listing.contents.read(n), Fit((32, 32), 3)) for n in range(len(listing))]
    return np.stack(thumbnails), listing.labels


@pytest.mark.parametrize("seed", [0, 1])
def test_most_of_ten_wrong_labels_are_found_with_few_others(digits: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    thumbnails, right = digits
    random = np.random.default_rng(seed)
    wrong = random.choice(len(right), 10, replace=False)
    labels = right.copy()
    labels[wrong] = (right[wrong] + random.integers(1, 10, 10)) % 10

    found = doubt_labels(thumbnails, labels)

    hit = np.isin(found.positions, wrong)
    assert hit.sum() >= 8
    assert hit.mean() >= 0.8
    assert (found.suggested[hit] == right[found.positions[hit]]).all()
    assert found.accuracy == pytest.approx(0.98, abs=0.01)
    assert found.looked_at == 1797


def test_the_most_doubtful_come_first(digits: tuple[np.ndarray, np.ndarray]) -> None:
    thumbnails, labels = digits
    labels = np.concatenate([[7] * 10, labels[10:]])

    found = doubt_labels(thumbnails, labels)

    assert set(found.positions[:5].tolist()) <= {0, 1, 2, 3, 4, 5, 6, 8, 9}  # the eighth is a 7
    assert found.probability[0] == pytest.approx(found.probability.max(), abs=0.001)
    assert found.probability[0] > found.probability[-1]


def test_nothing_is_listed_of_which_the_model_is_not_sure(
    digits: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    thumbnails, right = digits
    labels = np.concatenate([(right[:40] + 1) % 10, right[40:]])
    all_found = doubt_labels(thumbnails, labels)
    monkeypatch.setattr(suspicion, "SURE", 0.97)

    found = doubt_labels(thumbnails, labels)

    assert 0 < len(found.positions) < len(all_found.positions)
    assert (found.probability >= 0.97).all()


def test_nothing_is_said_where_the_model_is_hardly_better_than_guessing() -> None:
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (200, 32, 32, 3)).astype(np.uint8)

    found = doubt_labels(noise, random.integers(0, 2, 200))

    assert "and guessing with 5" in found.reason
    assert not len(found.positions)


def test_nothing_is_said_of_classes_too_small_for_folds() -> None:
    thumbnails = np.zeros((8, 32, 32, 3), np.uint8)

    assert "two classes with 5 images" in doubt_labels(thumbnails, np.array([0] * 4 + [1] * 4)).reason
    assert "two classes with 5 images" in doubt_labels(thumbnails[:0], np.zeros(0, np.int64)).reason


def test_positions_and_labels_are_those_of_the_caller_when_classes_are_left_out(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    thumbnails, right = digits
    kept = np.flatnonzero((right != 3) | (np.arange(len(right)) < 20))  # two 3s: too few for a fold
    labels = right[kept].copy()
    wrong = int(np.flatnonzero(labels == 6)[5])
    labels[wrong] = 4

    found = doubt_labels(thumbnails[kept], labels)

    assert wrong in found.positions
    assert found.suggested[found.positions.tolist().index(wrong)] == 6
    assert found.looked_at == (labels != 3).sum()


def test_of_many_images_a_choice_is_looked_at(
    digits: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspicion, "MOST_IMAGES", 500)

    found = doubt_labels(*digits)

    assert found.looked_at == 500
    assert found.accuracy > 0.9
