from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_resnet.data.loading import load_data
from keras_resnet.data.sources.source import Source
from keras_resnet.errors import DataError
from tests.shared import shared_data


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared data set of 12×12 images whose every pixel is the example's number."""
    folder = tmp_path_factory.mktemp("tfds")
    for name in ("tiny_shapes", "other_things"):
        write(folder, name)
    return folder


def write(folder: Path, name: str, label: int | None = None, held: str = "test") -> None:
    def examples(count: int, first: int) -> tf.data.Dataset:
        numbers = np.arange(first, first + count, dtype=np.uint8)
        images = np.broadcast_to(numbers[:, None, None, None], (count, 12, 12, 3))
        labels = np.arange(count) % 3 if label is None else np.full(count, label)
        return tf.data.Dataset.from_tensor_slices({"image": images, "label": labels})

    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(12, 12, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=["circle", "square", "star"]),
        }
    )
    tfds.dataset_builders.store_as_tfds_dataset(
        name,
        version="1.2.0",
        features=features,
        split_datasets={"train": examples(30, 0), held: examples(9, 100)},
        data_dir=folder,
        disable_shuffling=True,
    )


@pytest.mark.parametrize("below", ["", "tiny_shapes", "tiny_shapes/1.2.0"])
def test_a_prepared_folder_is_read_from_any_of_its_levels(prepared: Path, below: str) -> None:
    data = load_data(Source("tfds:tiny_shapes", data_dir=str(prepared / below)))

    assert data.class_names == ("circle", "square", "star")
    assert [len(split) for split in data.splits.values()] == [27, 3, 9]
    assert data.test.read(slice(None))[:, 5, 5, 1].tolist() == list(range(100, 109))
    assert data.test.labels.tolist() == [0, 1, 2] * 3
    train = data.train.read(slice(None))[:, 0, 0, 0]
    np.testing.assert_array_equal(train % 3, data.train.labels)


def test_a_limit_and_a_size_are_kept(prepared: Path) -> None:
    data = load_data(Source("tfds:tiny_shapes", data_dir=str(prepared), limit=9, image_size=6, channels=1))

    assert [len(split) for split in data.splits.values()] == [6, 3, 9]
    assert data.train.images.shape == (6, 6, 1)
    assert data.names[0].startswith("train/")


def test_a_validation_split_is_the_test_where_there_is_no_other(tmp_path: Path) -> None:
    write(tmp_path, "two_parts", held="validation")

    data = load_data(Source("tfds:two_parts", data_dir=str(tmp_path)))

    assert [len(split) for split in data.splits.values()] == [27, 3, 9]
    assert data.notes[0].startswith("the data have no test images: The 9 validation images are the test")
    whole = load_data(Source("tfds:two_parts", data_dir=str(tmp_path)), whole=True)
    assert (whole.reported, len(whole.test)) == ("test", 9)


def test_a_name_that_begins_alike_is_taken_with_a_note(prepared: Path) -> None:
    data = load_data(Source("tfds:tiny", data_dir=str(prepared)))

    assert data.notes[0] == "read the prepared data set 'tiny_shapes', the only one whose name begins with 'tiny'"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar10", "holds 'other_things', 'tiny_shapes', and 'cifar10' is none of them"),
        ("tiny_shapes:9.9.9", "prepared in versions '1.2.0', not 9.9.9"),
    ],
)
def test_another_data_set_is_never_taken_silently(prepared: Path, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_data(Source(f"tfds:{name}", data_dir=str(prepared)))


def test_a_folder_with_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no prepared data set"):
        load_data(Source("tfds:cifar10", data_dir=str(tmp_path)))
    with pytest.raises(DataError, match="there is no folder"):
        load_data(Source("tfds:cifar10", data_dir=str(tmp_path / "nowhere")))


def test_examples_without_a_label_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "unlabelled", label=-1)

    with pytest.raises(DataError, match="30 examples of the split 'train' have no label"):
        load_data(Source("tfds:unlabelled", data_dir=str(tmp_path)))


def test_a_name_nobody_knows_gets_the_nearest() -> None:
    with pytest.raises(DataError, match="no data set 'cifar11'; did you mean .*'cifar10'"):
        load_data("tfds:cifar11")


@pytest.mark.slow  # looks through sixty thousand examples
def test_real_cifar_images_are_read() -> None:
    data = load_data(Source("tfds:cifar10", data_dir=str(shared_data("tfds")), limit=200))

    assert data.class_names[:3] == ("airplane", "automobile", "bird")
    assert [len(split) for split in data.splits.values()] == [180, 20, 200]
    assert data.train.images.shape == (32, 32, 3)


def test_a_folder_of_another_data_set_is_not_taken_for_the_one_named(prepared: Path) -> None:
    with pytest.raises(DataError, match="holds 'tiny_shapes', not 'cifar10'"):
        load_data(Source("tfds:cifar10", data_dir=str(prepared / "tiny_shapes" / "1.2.0")))


def test_a_prepared_folder_with_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    write(tmp_path, "torn_things")
    next((tmp_path / "torn_things" / "1.2.0").glob("*train*")).unlink()

    with pytest.raises(DataError, match="cannot be read"):
        load_data(Source("tfds:torn_things", data_dir=str(tmp_path)))
