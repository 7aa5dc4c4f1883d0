from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.class_names import class_names_of, in_order, remarks_on_names
from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import from_dataset


def told(*names: str) -> dict[str, str]:
    return {remark.code: remark.advice for remark in remarks_on_names(names)}


@pytest.mark.parametrize("name", ["nan", "NaN", "None", "null", "NA", "N/A", "<NA>", " nan", "-", "?"])
def test_names_that_mean_a_missing_value_are_told(name: str) -> None:
    assert repr(name) in told("cat", name)["class-names-missing"]


@pytest.mark.parametrize(
    ("names", "shown", "difference"),
    [
        (("Red", "red"), "'Red', 'red'", "capital letters"),
        (("red", "red\u200b"), r"'red', 'red\u200b'", "characters that nobody sees"),
        (("red", "re\u00add"), r"'red', 're\xadd'", "characters that nobody sees"),
        (("❤", "❤\ufe0f"), "'❤'", "characters that nobody sees"),
        (("hot dog", "hotdog"), "'hot dog', 'hotdog'", "blanks"),
        (("red", "red\xa0"), r"'red', 'red\xa0'", "blanks"),
        (("caf\xe9", "cafe\u0301"), r"'caf\xe9', 'cafe\u0301'", "the code points of the same characters"),
        (("red", "r\u0435d"), r"'red', 'r\u0435d'", "letters of another alphabet"),
        (("Red ", "red\u200b"), r"'Red ', 'red\u200b'", "characters that nobody sees and blanks and capital letters"),
        (("1", "1.0"), "'1', '1.0'", "the way one number is written"),
        (("07", "7"), "'07', '7'", "the way one number is written"),
    ],
)
def test_names_that_are_nearly_the_same_are_told_with_their_difference(
    names: tuple[str, ...], shown: str, difference: str
) -> None:
    advice = told("blue", *names)["class-names-alike"]

    assert advice.startswith(shown)
    assert f"(they differ by {difference})" in advice


@pytest.mark.parametrize("name", ["red\u200b", " red", "red  car", "red\u3000car", "\u202egnp.exe", "a\x1b[31m"])
def test_a_name_with_what_nobody_sees_is_told_and_shown_escaped(name: str) -> None:
    advice = told("blue", name)["class-names-unseen"]

    assert advice.isprintable()
    assert advice.startswith(repr(name))


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (("1.0", "2.0", "10.0"), "of their values"),
        (("1.0", "10.0", "2.0"), "of their names as texts"),
        (("1", "10", "2"), "of their names as texts"),
        (("1", "2", "10"), "of their values"),
        (("2", "1"), "in which the data have them"),
        (("1.0", "2.0"), "of their values"),
    ],
)
def test_the_order_of_names_that_are_numbers_is_told(names: tuple[str, ...], order: str) -> None:
    assert told(*names)["class-names-numbers"].startswith(f"The classes are in the order {order}: '{names[0]}'")


@pytest.mark.parametrize(
    "names",
    [
        ("cat", "dog"),
        tuple(map(str, range(12))),
        ("3", "7"),
        ("A", "B", "a", "b"),
        ("👩\u200d🚀", "❤\ufe0f"),
        ("1", "two"),
        ("größer", "kleiner"),
        ("می\u200cخواهم", "سگ"),
    ],
)
def test_nothing_is_said_of_names_that_are_clear(names: tuple[str, ...]) -> None:
    assert remarks_on_names(names) == []


def test_many_names_are_told_of_in_one_remark() -> None:
    names = [name for number in range(40) for name in (f"Class{number}", f"class{number}")]

    (remark,) = remarks_on_names(names)

    assert remark.advice.count("capital letters") == 5
    assert "and 35 more" in remark.advice


def test_numbers_are_ordered_by_value_and_all_else_as_text() -> None:
    assert in_order({"10.0", "2.0", "1.0"}) == ["1.0", "2.0", "10.0"]
    assert in_order({"10", "9", "-1", "0"}) == ["-1", "0", "9", "10"]
    assert in_order({"1e1", "2", "b"}) == ["1e1", "2", "b"]
    assert in_order({"9007199254740993", "9007199254740992"}) == ["9007199254740992", "9007199254740993"]


@pytest.mark.parametrize("mode", ["int", "categorical", "binary"])
def test_the_names_of_a_directory_of_images_outlast_what_is_made_of_it(image_folder: Path, mode: str) -> None:
    names = ("blue", "green", "red")[: 2 if mode == "binary" else 3]
    options: dict[str, Any] = {"label_mode": mode, "class_names": list(names), "verbose": False}
    photos = keras.utils.image_dataset_from_directory(image_folder, image_size=(8, 8), batch_size=5, **options)

    derived = photos.cache().shuffle(3, seed=0).map(lambda images, labels: (images, labels)).prefetch(1)
    data = from_dataset(derived)

    assert not hasattr(derived, "class_names")
    assert class_names_of(derived) == names
    assert data.class_names == names
    assert {split: len(part) for split, part in data.splits.items() if split == "train"}["train"] > 12
    blue = data.train.labels == 0
    assert (data.train.read(slice(None)).mean(axis=(1, 2)).argmax(axis=1)[blue] == 2).all()


def test_whatever_has_class_names_says_them(tiny_data: ImageData) -> None:
    nameless = tf.data.Dataset.range(3)
    one, other = tf.data.Dataset.range(3), tf.data.Dataset.range(3)
    one.class_names, other.class_names = ["a", "b"], ["b", "a"]
    digits = tiny_data.class_names

    assert class_names_of(tiny_data) == class_names_of(tiny_data.train) == digits
    assert class_names_of(tiny_data.train.batches(16, seed=0, labels="int").take(1)) == digits
    assert class_names_of(tiny_data.validation.batches(16).map(lambda images, labels: labels)) == digits
    assert class_names_of(one.concatenate(nameless)) == ("a", "b")
    assert class_names_of(one.concatenate(other)) is None
    for nothing in (nameless, np.zeros(3), None, "photos", {"class_names": ["a"]}):
        assert class_names_of(nothing) is None
