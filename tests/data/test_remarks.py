import numpy as np

from keras_resnet.data.remarks import of_counts, of_splits

PARTS = {"train": range(90), "validation": range(10), "test": range(20)}


def test_imbalance_is_a_warning_from_ten_times_and_a_note_from_three() -> None:
    warning, note = (of_counts(np.array([many, 3]), ("common", "rare"))[0] for many in (60, 9))

    assert (warning.severity, note.severity) == ("warning", "note")
    assert warning.title == "the largest class has 20.0 times as many images as the smallest"
    assert "Always guessing 'common' is right for 95.2%" in warning.advice
    assert "--sampling balanced or --class-weights balanced" in warning.advice
    assert of_counts(np.array([8, 3]), ("a", "b")) == []


def test_options_for_one_label_an_image_are_not_advised_for_several() -> None:
    (remark,) = of_counts(np.array([60, 3]), ("a", "b"), several=True)

    assert "average precision of each class" in remark.advice
    assert "--" not in remark.advice


def test_it_is_said_which_images_choose_the_epoch_unless_the_data_are_in_three_parts_or_undivided() -> None:
    assert of_splits((), PARTS) == of_splits(PARTS, PARTS) == of_splits((), {}) == []
    (no_test,) = of_splits(("train", "validation"), PARTS)
    assert no_test.code == "no-test-images"
    assert no_test.advice.startswith(
        "The 20 validation images are the test, so that figures are of images that choose nothing. 10 of the 100 "
        "training images choose the best epoch and are not trained on. "
    )
    (no_other,) = of_splits(("train", "validation", "test"), {**PARTS, "test": ()})
    assert no_other.advice.startswith("The 10 validation images choose the best epoch, and the figures are of the same")
    (carved,) = of_splits(("train", "test"), PARTS)
    assert carved.advice.startswith("10 of the 100 training images choose the best epoch and are not trained on. ")
    (alone,) = of_splits(("train",), PARTS)
    assert alone.advice.startswith(
        "10 of the 120 training images choose the best epoch and are not trained on, and 20 more are the test. "
    )
