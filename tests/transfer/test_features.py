from pathlib import Path

import keras
import numpy as np
import pytest

from keras_resnet.data.images import ImageData, Split
from keras_resnet.errors import UsageError
from keras_resnet.runs.run import Run
from keras_resnet.transfer.features import image_features, pooled
from keras_resnet.weights.files import DIGEST, read_tensors, tensor_digest
from keras_resnet.weights.saving import write_tensors


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_RESNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.fixture(scope="module")
def network(finished_run: Run) -> keras.Model:
    return keras.models.load_model(finished_run.model)


def first(split: Split, count: int) -> Split:
    return Split(split.images, split.indices[:count], split.labels[:count], split.task)


def test_features_are_what_the_classifier_reads(network: keras.Model, tiny_data: ImageData) -> None:
    split = first(tiny_data.train, 40)  # more than a batch, and no whole number of them
    found = image_features(network, split)

    kernel, bias = (one.numpy() for one in network.layers[-1].weights)
    logits = network.predict(split.read(slice(None)).astype("float32"), verbose=0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found @ kernel + bias, logits, atol=1e-4)
    mirrored = image_features(network, split, mirrored=True)
    turned = split.read(slice(None))[:, :, ::-1].astype("float32")
    np.testing.assert_allclose(mirrored, pooled(network).predict(turned, verbose=0), atol=1e-5)


def test_images_one_after_the_other_have_the_features_of_a_split(network: keras.Model, tiny_data: ImageData) -> None:
    split, seen = first(tiny_data.train, 40), []
    one_by_one = image_features(network, iter(split.read(slice(None))), progress=lambda *far: seen.append(far))

    np.testing.assert_array_equal(one_by_one, image_features(network, split, cached=False))
    assert seen == [(32, 0), (40, 0)]
    assert image_features(network, []).shape == (0, 16)


def test_they_are_kept_by_image_and_by_weights(network: keras.Model, tiny_data: ImageData, cache: Path) -> None:
    few, more = first(tiny_data.train, 6), first(tiny_data.train, 9)
    image_features(network, few)
    (file,) = cache.iterdir()
    tensors, _ = read_tensors(file)
    assert tensors["features"].shape == (6, 16)
    marked = {**tensors, "features": tensors["features"] + 100}
    write_tensors(marked, file, {DIGEST: tensor_digest(marked)})

    again = image_features(network, more)
    assert (again[:6] > 99).all(), "these were not computed again"
    assert (again[6:] < 99).all()
    assert read_tensors(file)[0]["features"].shape == (9, 16)
    assert (image_features(network, more, cached=False) < 99).all()

    other = keras.models.clone_model(network)
    assert (image_features(other, few) < 99).all()
    assert len(list(cache.iterdir())) == 2, "other weights have a file of their own"


def test_what_was_computed_before_an_interruption_is_kept(
    network: keras.Model, tiny_data: ImageData, cache: Path
) -> None:
    def interrupt(done: int, total: int) -> None:
        assert total == 40
        if done > 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        image_features(network, first(tiny_data.train, 40), progress=interrupt)

    (file,) = cache.iterdir()
    assert len(read_tensors(file)[0]["digests"]) == 32


@pytest.mark.parametrize("content", [b"", b"no safetensors at all", None])
def test_a_damaged_file_is_computed_again(
    content: bytes | None, network: keras.Model, tiny_data: ImageData, cache: Path
) -> None:
    split = first(tiny_data.train, 5)
    expected = image_features(network, split)
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]) if content is None else content)

    np.testing.assert_array_equal(image_features(network, split), expected)
    assert file.read_bytes() == whole


def test_where_nothing_can_be_kept_they_are_computed_all_the_same(
    network: keras.Model, tiny_data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("a file where a folder should be")
    monkeypatch.setenv("KERAS_RESNET_CACHE", str(tmp_path / "taken"))

    assert image_features(network, first(tiny_data.train, 3)).shape == (3, 16)


def test_a_network_without_a_classifier_is_refused(network: keras.Model) -> None:
    with pytest.raises(UsageError, match=r"has no classifier \(a Dense layer\)"):
        pooled(keras.Model(network.input, network.layers[-2].output))
