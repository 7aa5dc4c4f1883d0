"""A training in two sentences."""

from typing import Any

import pytest

from keras_resnet.explanation.diagnosis import Symptom, diagnose
from keras_resnet.explanation.history import History
from keras_resnet.explanation.summary import best_epoch, headline, verdict
from tests.explanation.test_diagnosis import LOSSES, rows

RISING = [0.1, 0.5, 0.9, 0.8, 0.9, 0.7]


def trained(kept: Any = None, **figures: Any) -> History:
    return History.of(rows(losses=LOSSES[: len(RISING)], val_accuracy=RISING, **figures), kept=kept)


def kept(epoch: int, value: float | None, metric: str = "accuracy") -> dict[str, Any]:
    return {"epoch": epoch, "metric": metric, "value": value, "split": "validation", "images": 500}


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (kept(5, 0.9), "Best validation accuracy 90.0 % in epoch 5 of 6, whose weights are kept."),
        (
            kept(6, 0.7),
            "The weights of epoch 6 of 6 are kept, with a validation accuracy of 70.0 %; the best was 90.0 % in "
            "epoch 5, and 500 images are too few to choose by.",
        ),
        (kept(0, 0.95), "The linear probe is kept: its validation accuracy of 95.0 % is not exceeded by an epoch."),
        (kept(3, 0.5, "macro_f1"), "Best validation macro f1 0.500 in epoch 3 of 6, whose weights are kept."),
        (None, "Best validation accuracy 90.0 % in epoch 5 of 6."),
    ],
)
def test_the_headline_says_how_good_it_became_and_which_weights_are_kept(choice: Any, words: str) -> None:
    assert headline(trained(choice)) == words


def test_a_training_that_measured_nothing_or_nothing_yet_has_a_headline_too() -> None:
    assert headline(History((), ())) == "Trained for 0 epochs; no validation accuracy was recorded."
    assert headline(History((), (), kept=kept(0, 0.5))).startswith("The linear probe is kept")  # type: ignore[arg-type]


def test_of_equal_epochs_the_last_is_the_best_and_what_is_no_number_is_none() -> None:
    assert best_epoch(trained()) == (5, 0.9)
    assert best_epoch(History.of(rows(val_accuracy=None))) is None


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({}, "It does not overfit, and it learnt: the training loss fell from 2.3 to 0.5."),
        ({"losses": LOSSES[:3]}, "Whether it over- or underfits cannot be seen in fewer than 5 epochs."),
        ({"accuracy": 0.99, "val_accuracy": 0.6}, "It overfits: it is much better on its training images than on"),
        ({"losses": [2.3] * 10, "accuracy": 0.1, "val_accuracy": 0.1}, "It underfits: it has not even learnt its"),
        ({"losses": LOSSES[:6], "val_loss": None}, "It went wrong: the validation loss became infinite or not a"),
    ],
)
def test_the_verdict_says_whether_it_over_or_underfits(figures: dict[str, Any], words: str) -> None:
    history = History.of(rows(**figures), 500)

    assert verdict(history, diagnose(history)).startswith(words)


def test_labels_that_do_not_belong_to_their_images_are_the_verdict() -> None:
    assert verdict(trained(), [Symptom("wrong-labels", "…")]).endswith("look at the labels.")
