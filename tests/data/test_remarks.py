import numpy as np

from keras_resnet.data.remarks import of_counts, of_few, of_parts, of_splits

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


def test_few_images_are_a_warning_below_ten_and_a_note_below_twenty_with_folds_that_they_allow() -> None:
    (warning,), (note,) = (of_few(np.array([many, 40]), ("rare", "common")) for many in (4, 19))

    assert (warning.severity, note.severity) == ("warning", "note")
    assert warning.title == "classes with fewer than 20 images"
    assert warning.advice.startswith("'rare (4)': too few to train a network from scratch")
    assert "--fold 1/4 to --fold 4/4" in warning.advice
    assert "--fold 1/5 to --fold 5/5" in note.advice
    assert of_few(np.array([20, 40]), ("rare", "common")) == []


def test_classes_that_a_part_lacks_are_named_with_what_it_means() -> None:
    parts = {"train": np.array([9, 9, 0]), "validation": np.array([3, 0, 1]), "test": np.array([0, 2, 1])}
    trained, validated, tested = of_parts(parts, ("a", "b", "c"))

    assert [one.severity for one in (trained, validated, tested)] == ["warning", "note", "warning"]
    assert str(trained).startswith("classes without a training image: 'c': the model has an output for each and never ")
    assert str(validated).startswith("classes without a validation image: 'b': ")
    assert str(tested).startswith("classes without a test image: 'a': the figures say nothing of how well they are ")
    assert "three images, by group three groups" in tested.advice
    whole = {"train": np.zeros(3, int), "validation": np.zeros(3, int), "test": np.array([0, 2, 1])}
    assert of_parts(whole, ("a", "b", "c")) == [], "nothing is trained"
    assert of_parts({"train": np.ones(3, int), "validation": np.ones(3, int), "test": np.zeros(3, int)}, "abc") == []
