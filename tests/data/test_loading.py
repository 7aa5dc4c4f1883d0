from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from keras_resnet.data import cache
from keras_resnet.data.loading import from_arrays, load_data, merge
from keras_resnet.data.sources.source import Source
from keras_resnet.data.stores import EncodedImages
from keras_resnet.errors import DataError, UsageError
from keras_resnet.tasks.classification import Classification
from tests.shared import shared_data


def test_the_digits_are_those_of_scikit_learn_on_the_scale_of_pixels() -> None:
    data = load_data(Source("digits", image_size=8))
    original = load_digits()
    everything = merge(data)

    assert {name: len(split) for name, split in data.splits.items()} == {"train": 1258, "validation": 180, "test": 359}
    np.testing.assert_array_equal(everything.labels, original.target)
    pixels = everything.read(slice(None))[..., 0]
    np.testing.assert_allclose(pixels / 255, original.images / 16, atol=0.002)


def test_a_folder_gives_its_images_with_their_labels(image_folder: Path) -> None:
    data = load_data(Source(f"folder:{image_folder}", image_size=10))

    assert data.class_names == ("blue", "green", "red")
    assert [len(split) for split in data.splits.values()] == [25, 4, 7]
    channel = {"blue": 2, "green": 1, "red": 0}
    for split in data.splits.values():
        brightest = split.read(slice(None)).mean(axis=(1, 2)).argmax(axis=1)
        assert [channel[data.class_names[label]] for label in split.labels] == brightest.tolist()


def test_a_named_source_takes_its_settings_beside_it(image_folder: Path) -> None:
    data = load_data(f"folder:{image_folder}", image_size=8, limit=24, seed=3)

    assert data.source == Source(f"folder:{image_folder}", image_size=8, limit=24, seed=3)
    assert data.train.images.shape == (8, 8, 3)
    with pytest.raises(UsageError, match="no setting 'imagesize'; did you mean 'image_size'"):
        load_data("digits", imagesize=8)
    with pytest.raises(UsageError, match="a Source has its settings already: say 'image_size' there"):
        load_data(Source("digits"), image_size=8)


def test_the_same_seed_gives_the_same_split_and_fingerprint(image_folder: Path) -> None:
    one, same, other = (load_data(Source(f"folder:{image_folder}", seed=seed)) for seed in (1, 1, 2))

    assert one.fingerprint == same.fingerprint != other.fingerprint
    np.testing.assert_array_equal(one.test.indices, same.test.indices)


def test_the_fingerprint_sees_one_changed_byte_one_more_file_and_a_moved_file(image_folder: Path) -> None:
    source = Source(f"folder:{image_folder}")
    before = load_data(source).fingerprint
    seen = {before}

    Image.new("RGB", (12, 10)).save(image_folder / "red" / "00.png")
    seen.add(load_data(source).fingerprint)
    Image.new("RGB", (12, 10)).save(image_folder / "red" / "zz.png")
    seen.add(load_data(source).fingerprint)
    (image_folder / "red" / "zz.png").rename(image_folder / "blue" / "zz.png")
    seen.add(load_data(source).fingerprint)

    assert len(seen) == 4


def test_unreadable_images_are_named_and_left_as_they_are(image_folder: Path) -> None:
    (image_folder / "red" / "03.png").write_bytes(b"broken")
    (image_folder / "blue" / "07.png").write_bytes(b"")

    with pytest.raises(DataError) as caught:
        load_data(f"folder:{image_folder}")

    message = str(caught.value)
    assert "cannot read 2 of 36 images" in message
    assert "red/03.png: not an image" in message
    assert "blue/07.png: the file is empty" in message
    assert (image_folder / "red" / "03.png").read_bytes() == b"broken"


def test_images_that_do_not_fit_into_memory_are_read_batch_by_batch(
    image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(f"folder:{image_folder}", image_size=10)
    in_memory = load_data(source)
    monkeypatch.setattr(cache, "memory_for_images", lambda: 1000)

    on_disk = load_data(source)

    assert isinstance(on_disk.train.images, EncodedImages)
    assert on_disk.train.images.pixels is None
    assert on_disk.fingerprint == in_memory.fingerprint
    np.testing.assert_array_equal(on_disk.test.read(np.array([5, 0])), in_memory.test.read(np.array([5, 0])))


@pytest.mark.parametrize("kept", ["memory", "none"])
def test_each_file_is_opened_once_for_its_header_and_its_pixels(kept: str, tmp_path: Path, openings: list[str]) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8))
    suffixes = ("png", "jpg", "gif", "webp", "tif", "bmp")
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for suffix in suffixes:
            picture.save(tmp_path / label / f"image.{suffix}")

    data = load_data(Source(f"folder:{tmp_path}", image_size=8), cache=kept)

    assert sorted(openings) == sorted(["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"] * 2)
    assert data.train.images.sizes.tolist() == [[20, 30]] * 12


def test_a_limit_reads_no_more_images_than_it_keeps(image_folder: Path) -> None:
    for path in (image_folder / "red").iterdir():
        path.write_bytes(b"broken")
    counts: list[int] = []

    with pytest.raises(DataError, match="cannot read 3 of 9 images"):
        load_data(Source(f"folder:{image_folder}", limit=9), lambda done, total: counts.append(total))

    assert set(counts) == {9}


def test_progress_counts_to_the_end(image_folder: Path) -> None:
    seen: list[tuple[int, int]] = []

    load_data(f"folder:{image_folder}", lambda done, total: seen.append((done, total)))

    assert seen == [(n, 36) for n in range(1, 37)]


def test_one_class_is_enough_to_evaluate_on(tmp_path: Path) -> None:
    (tmp_path / "red").mkdir()
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red" / "1.png")

    data = load_data(f"folder:{tmp_path}", whole=True)

    assert [len(split) for split in data.splits.values()] == [0, 0, 1]


def test_arrays_become_a_data_set() -> None:
    images = np.arange(40 * 6 * 5, dtype=np.uint8).reshape(40, 6, 5)

    data = from_arrays(images, np.arange(40) % 2, ["even", "odd"])

    assert data.train.images.shape == (6, 5, 1)
    assert data.class_names == ("even", "odd")
    np.testing.assert_array_equal(merge(data).read(slice(None))[..., 0], images)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((4, 4)), [0, 1], "must be an array"),
        (np.full((6, 4, 4, 3), 9), [0, 1], "6 whole numbers"),
        (np.full((6, 4, 4, 3), 9), [0.5, 1, 0, 1, 0, 1], "whole numbers"),
        (np.full((6, 4, 4, 3), 300), [0, 1] * 3, "pixels must lie in 0–255"),
        (np.full((6, 4, 4, 3), np.nan), [0, 1] * 3, "finite"),
        (np.full((6, 4, 4, 3), 0.5), [0, 1] * 3, "multiply them by 255"),
        (np.full((6, 4, 4, 3), 9), [0, -1] * 3, "labels count from 0; received -1 to 0: renumber them"),
        (np.full((6, 4, 4, 3), 9), [0] * 6, "there is only one class"),
        (
            np.full((6, 4, 4, 3), 9),
            [0, 2**40] * 3,
            "received 0 to 1099511627776: renumber them",
        ),
        (np.full((6, 4, 4, 3), 9), [1, 2] * 3, "labels count from 0; received 1 to 2: subtract 1"),
        (np.full((6, 3, 8, 9), 9), [0, 1] * 3, r"looks like channels first: give numpy.moveaxis\(images, 1, -1\)"),
        (np.full((6, 1, 28, 28), 9), [0, 1] * 3, "looks like channels first"),
        (np.full((6, 0, 4, 3), 9.0), [0, 1] * 3, "none of them 0"),
        (np.full((6, 4, 4, 0), 9, np.uint8), [0, 1] * 3, "none of them 0"),
        (np.full((6, 4, 4, 3), 9j), [0, 1] * 3, "finite numbers; received complex"),
    ],
)
def test_arrays_that_are_no_data_set_are_refused(images: np.ndarray, labels: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_arrays(images, np.array(labels))


def test_a_few_images_to_evaluate_on_may_have_any_classes_of_the_model() -> None:
    assert len(from_arrays(np.full((2, 4, 4, 3), 9, np.uint8), np.array([1, 2]), whole=True).test) == 2
    data = from_arrays(np.full((5, 4, 4, 3), 9, np.uint8), np.array([3, 7, 7, 9, 0]), whole=True)

    assert len(data.class_names) == 10
    assert data.test.labels.tolist() == [3, 7, 7, 9, 0]


def test_class_names_may_be_an_array_and_must_differ() -> None:
    images, labels = np.full((40, 4, 4, 3), 9, np.uint8), np.arange(40) % 2

    assert from_arrays(images, labels, np.array(["even", "odd"])).class_names == ("even", "odd")
    with pytest.raises(DataError, match="class_names must differ; received 'a', 'a'"):
        from_arrays(images, labels, ["a", "a"])
    with pytest.raises(UsageError, match="seed must be a whole number .* at most 2147483647; received -1"):
        from_arrays(images, labels, seed=-1)


def test_labels_are_counted_in_the_models_order_and_unknown_ones_refused(image_folder: Path) -> None:
    data = load_data(f"folder:{image_folder}")

    moved = data.relabelled(Classification(("red", "violet", "green", "blue")))

    assert np.bincount(moved.test.labels, minlength=4).tolist()[1] == 0
    np.testing.assert_array_equal(moved.test.labels, np.array([3, 2, 0])[data.test.labels])
    with pytest.raises(DataError, match="'blue' is not among them"):
        data.relabelled(Classification(("red", "green")))


def test_real_photographs_are_read() -> None:
    folder = shared_data("folders/sign-digits")

    data = load_data(Source(f"folder:{folder}", limit=100))

    assert data.class_names == tuple("0123456789")
    assert data.train.images.shape == (64, 64, 3)
    assert 100 < merge(data).read(slice(None)).mean() < 200


def test_classes_that_a_part_lacks_or_that_are_small_are_noted_for_a_training_only(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (26, 6, 6), np.uint8)
    for number, image in enumerate(pixels):
        part, label = ("train", "ab"[number % 2]) if number < 20 else ("test", "a")
        (tmp_path / part / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / part / label / f"{number}.png")

    notes = load_data(f"folder:{tmp_path}", image_size=6).notes
    assert [note for note in notes if note.startswith("classes without a test image: 'b': ")]
    (few,) = [note for note in notes if note.startswith("classes with fewer than 20 images: ")]
    assert "'a (16)', 'b (10)'" in few
    arrays = from_arrays(pixels, np.arange(26) % 2)
    assert [note.partition(":")[0] for note in arrays.notes] == ["classes with fewer than 20 images"]
    assert from_arrays(pixels, np.arange(26) % 2, whole=True).notes == ()
