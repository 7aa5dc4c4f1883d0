from pathlib import Path

import numpy as np
import pytest

from keras_resnet.data.loading import from_arrays, load_data
from keras_resnet.data.sources.source import Source
from keras_resnet.errors import UsageError
from keras_resnet.inspection.inspection import inspect_data
from tests.inspection.test_check import found


def test_a_source_may_be_named_loaded_or_a_path_and_is_read_as_a_training_would(image_folder: Path) -> None:
    (image_folder / "red" / "copy.png").write_bytes((image_folder / "blue" / "00.png").read_bytes())

    by_path = inspect_data(image_folder)

    assert found(by_path, "duplicate-label-conflict") == [["blue/00.png", "red/copy.png"]]
    assert by_path.source == f"folder:{image_folder}"
    for other in (str(image_folder), Source(str(image_folder)), load_data(Source(str(image_folder), image_size=8))):
        assert inspect_data(other).to_dict() == by_path.to_dict()


def test_arrays_are_looked_at_as_files_are() -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 24, 20, 3), dtype=np.uint8)
    labels = np.arange(60) % 3
    images[31] = images[9]  # of the classes 1 and 0
    images[50] = 7

    report = inspect_data((images, labels))

    assert found(report, "duplicate-label-conflict") == [["000009", "000031"]]
    assert found(report, "blank") == [["000050"]]
    assert report.counts.tolist() == [20, 20, 20]
    data = from_arrays(images, labels, ("a", "b", "c"), name="mine")
    loaded = inspect_data(data)
    assert (loaded.name, loaded.class_names) == ("mine", ("a", "b", "c"))
    assert loaded.splits_of(0) == {name: int((split.labels == 0).sum()) for name, split in data.splits.items()}
    assert [one.code for one in loaded.findings] == [one.code for one in report.findings]


def test_arrays_of_several_labels_or_of_grey_are_looked_at_and_of_five_channels_refused() -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16), dtype=np.uint8)
    several = from_arrays(images, np.arange(80).reshape(40, 2) % 3 % 2, ("a", "b"), task="multi-label")

    report = inspect_data(several)

    assert report.counts.sum() == sum(split.labels.sum() for split in several.splits.values())
    with pytest.raises(UsageError, match="images of 1 or 3 channels can be looked at; those of arrays have 5"):
        inspect_data((np.zeros((20, 8, 8, 5), np.uint8), np.arange(20) % 2))


def test_nothing_is_written_into_the_images(image_folder: Path) -> None:
    report = inspect_data(image_folder)

    with pytest.raises(UsageError, match="lies in the data"):
        report.write_page(image_folder / "red" / "page.html")
    with pytest.raises(UsageError, match="lies in the data"):
        report.write(image_folder)
    assert not list(image_folder.rglob("*.html")) + list(image_folder.rglob("*.json"))
