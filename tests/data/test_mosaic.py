from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_resnet.augment.policies import policy
from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import load_data
from keras_resnet.data.mosaic import Batch, draw, label_text, show_batch
from keras_resnet.data.sources.source import Source
from keras_resnet.errors import DataError, UsageError
from keras_resnet.tasks.classification import Classification
from keras_resnet.tasks.multi_label import MultiLabel


def test_a_label_is_its_class_and_a_mixed_one_its_classes_with_their_shares() -> None:
    task = Classification(("cat", "dog", "cow"))

    assert label_text(np.array([0, 1, 0]), task) == "dog"
    assert label_text(np.array([0.3, 0, 0.7]), task) == "cow 70%\n+ cat 30%"
    assert label_text(np.array([0.999, 0.001, 0]), task) == "cat"
    assert label_text(np.array([1.0, 0]), Classification(("a$b" * 10, "x"))) == "a$ba$ba$ba$ba$ba$ba…"


def test_labels_of_several_classes_are_all_named() -> None:
    task = MultiLabel(("cat", "dog", "cow"))

    assert label_text(np.array([1.0, 0, 1.0]), task) == "cat\n+ cow"
    assert label_text(np.array([1.0, 0, 0.4]), task) == "cat\n+ cow 40%"
    assert label_text(np.zeros(3), task) == "–"


def test_the_picture_shows_the_augmented_batch(tiny_data: ImageData, tmp_path: Path) -> None:
    plain = show_batch(tiny_data, policy("none"), tmp_path / "plain.png", count=12)
    again = show_batch(tiny_data, policy("none"), tmp_path / "again.png", count=12)
    mixed = show_batch(tiny_data, policy("shift", mixup=0.4), tmp_path / "deep" / "mixed.png", count=12)

    assert plain.read_bytes() == again.read_bytes()
    assert plain.read_bytes() != mixed.read_bytes()
    with Image.open(mixed) as picture:
        assert picture.width > 800
        assert picture.height > 300


def test_hostile_names_are_cut_and_drawn(tmp_path: Path) -> None:
    batch = Batch(np.zeros((3, 8, 8, 3), np.uint8), ("$x", "a\n+ b", "c"), "$" + "long\u202e " * 60)

    with Image.open(draw(batch, tmp_path / "batch.png")) as picture:
        corner = picture.convert("RGB").getpixel((picture.width - 2, picture.height - 2))

    assert corner == (255, 255, 255)


def test_an_image_that_can_no_longer_be_read_is_named(image_folder: Path, tmp_path: Path) -> None:
    data = load_data(Source(f"folder:{image_folder}", image_size=10), cache="none")
    for path in image_folder.rglob("*.png"):
        path.write_bytes(b"gone")

    with pytest.raises(DataError, match=r"\.png has changed since the images were read"):
        show_batch(data, policy("none"), tmp_path / "x.png")


def test_a_count_out_of_range_is_refused(tiny_data: ImageData, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="count must lie in 1–256; received 0"):
        show_batch(tiny_data, policy("none"), tmp_path / "x.png", count=0)
