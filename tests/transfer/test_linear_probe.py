import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from keras_resnet.errors import DataError
from keras_resnet.tasks.table import task
from keras_resnet.transfer.linear_probe import linear_probe

NAMES = ("a", "b", "c")
TASK = task("classification", NAMES)


def blobs(images: int, width: int, apart: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of three classes, with means that differ and scales that differ from feature to feature."""
    random = np.random.default_rng(seed)
    labels = np.arange(images) % 3
    means = np.random.default_rng(99).normal(0, apart, (3, width))
    return ((means[labels] + random.normal(size=(images, width))) * np.linspace(0.1, 5, width) + 3).astype("f4"), labels


@pytest.mark.parametrize(("images", "width"), [(30, 100), (150, 8)])
def test_it_is_logistic_regression_of_the_standardised_features(images: int, width: int) -> None:
    features, labels = blobs(images, width)
    found = linear_probe(features, labels, TASK)

    standard = (features - features.mean(0)) / features.std(0)
    theirs = LogisticRegression(C=found.strength, max_iter=10_000, tol=1e-6).fit(standard, labels)
    ours = np.exp(found.logits(features).astype(float))
    np.testing.assert_allclose(
        ours / ours.sum(1, keepdims=True), theirs.predict_proba(standard), atol=0.01, err_msg=str(found.strength)
    )


def test_the_penalty_is_the_one_with_the_least_loss_on_images_held_out() -> None:
    hard, labels = blobs(90, 60, apart=0.15)
    easy, _ = blobs(90, 60, apart=2.0)
    weak, strong = linear_probe(easy, labels, TASK), linear_probe(hard, labels, TASK)

    assert strong.strength < weak.strength, "where classes overlap, the penalty counts more"
    assert weak.metrics is not None
    assert weak.metrics.figures["top1"] == 1.0
    low, high = weak.metrics.intervals["top1"]
    assert 0.95 < low < high == pytest.approx(1.0)
    again = linear_probe(easy, labels, TASK)
    np.testing.assert_array_equal(again.kernel, weak.kernel)


def test_labels_by_chance_are_not_held_for_knowledge() -> None:
    features, labels = blobs(120, 200, apart=0.0)
    found = linear_probe(features, labels, TASK)

    assert found.metrics is not None
    assert found.metrics.figures["top1"] < 0.5, "a third is right by chance"
    assert found.strength < 0.1, "the penalty counts much"


def test_views_of_an_image_are_learned_from_held_out_together_and_averaged() -> None:
    features, labels = blobs(60, 40, apart=0.4)
    other, _ = blobs(60, 40, apart=0.4, seed=1)

    once = linear_probe(features, labels, TASK)
    twice = linear_probe(np.stack([features, other], axis=1), labels, TASK)
    same = linear_probe(np.stack([features, features], axis=1), labels, TASK)

    assert twice.held_out is not None
    assert same.held_out is not None
    assert once.held_out is not None
    assert twice.held_out.shape == once.held_out.shape
    assert len(twice.labels) == 60
    assert twice.metrics.hits["top1"] > once.metrics.hits["top1"], "two views with noise of their own tell more"
    assert same.metrics.hits["top1"] < 60, "the other view of an image that is held out would give it away"


def test_images_of_one_group_are_held_out_together() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 6)
    labels = groups % 2
    features = (random.normal(size=(20, 30))[groups] + 0.01 * random.normal(size=(120, 30))).astype("f4")
    two = task("classification", ("a", "b"))

    alone, together = (linear_probe(features, labels, two, groups=given) for given in (None, groups))

    assert alone.metrics is not None
    assert together.metrics is not None
    assert alone.metrics.figures["top1"] == 1.0, "it knows each group"
    assert together.metrics.figures["top1"] < 0.8, "and nothing of the classes"


def test_classes_with_hardly_any_images_or_none_are_taken_as_they_are() -> None:
    features, labels = blobs(41, 10, apart=3.0)
    kept = np.flatnonzero((labels != 2) | (np.arange(41) == 2))  # one image of c
    found = linear_probe(features[kept], labels[kept], TASK)
    assert found.held_out is not None
    assert found.held_out[2, 2] < -1, "held out, it is unknown"
    assert found.logits(features[kept])[2, 2] > found.held_out[2, 2]

    none = np.flatnonzero(labels != 2)
    assert set(linear_probe(features[none], labels[none], TASK).logits(features).argmax(1)) == {0, 1}
    two = linear_probe(features[:2], labels[:2], TASK)
    assert two.metrics is None, "too few to hold any out"
    assert two.logits(features[:2]).argmax(1).tolist() == [0, 1]
    with pytest.raises(DataError, match="two classes or more"):
        linear_probe(features, np.zeros(41, np.int64), TASK)


def test_several_classes_an_image_are_asked_for_each_by_itself() -> None:
    features, labels = blobs(90, 12, apart=2.0)
    several = np.stack([labels == 0, labels != 1, np.ones(90)], axis=1).astype(np.int64)
    found = linear_probe(features, several, task("multi-label", NAMES))

    assert found.metrics is not None
    assert ((found.logits(features) > 0) == several).mean() > 0.99
    assert found.bias[2] > 3, "all images have the third"


def test_rare_classes_count_as_much_where_that_is_asked_for() -> None:
    features, labels = blobs(300, 4, apart=0.3)
    kept = np.flatnonzero((labels < 2) & ((labels == 0) | (np.arange(300) < 40)))
    two = task("classification", ("a", "b"))
    plain, balanced = (linear_probe(features[kept], labels[kept], two, balanced=one) for one in (False, True))

    recalled = [(one.logits(features[kept]).argmax(1) == 1)[labels[kept] == 1].mean() for one in (plain, balanced)]
    assert recalled[0] < 0.3 < recalled[1]


def test_a_network_gets_it_as_its_classifier() -> None:
    features, labels = blobs(60, 5)
    found = linear_probe(features, labels, TASK)
    network = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])

    found.assign_to(network)

    np.testing.assert_allclose(network.predict(features, verbose=0), found.logits(features), atol=1e-4)
