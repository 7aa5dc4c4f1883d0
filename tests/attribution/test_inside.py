"""What is drawn of the inside of a network."""

from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from keras_resnet.attribution.inside import (
    excitations,
    first_kernel,
    selective_channels,
    show_activations,
    show_exciting_images,
    show_filters,
    stages_of,
)
from keras_resnet.attribution.methods import Subject
from keras_resnet.attribution.network import Network
from keras_resnet.data.images import ImageData, Split
from keras_resnet.data.loading import from_arrays
from keras_resnet.errors import DataError, UsageError
from keras_resnet.inference.predictors import KerasPredictor
from keras_resnet.models.resnet import build
from keras_resnet.models.variants import spec
from tests.attribution.striped import PREPROCESSING, striped, trained

PLACES = [(0, 0), (8, 16), (16, 8)]


@pytest.fixture(scope="module")
def model() -> KerasPredictor:
    return KerasPredictor(trained(), PREPROCESSING)


@pytest.fixture(scope="module")
def images() -> Split:
    labels = np.arange(30) % 3
    pixels = np.stack([striped(label, *PLACES[label], seed) for seed, label in enumerate(labels)])
    data: ImageData = from_arrays(pixels, labels, class_names=list(PREPROCESSING.class_names))
    return data.train


def test_filters_are_those_of_the_first_convolution_also_of_a_model_inside(
    model: KerasPredictor, tmp_path: Path
) -> None:
    inputs = keras.Input((24, 24, 3))
    inner = trained()
    outer = KerasPredictor(keras.Model(inputs, inner(inputs)), PREPROCESSING)

    np.testing.assert_array_equal(first_kernel(outer), inner.get_layer("first").kernel)
    path = show_filters(outer, tmp_path / "filters.png")

    assert Image.open(path).height > 50


def test_stages_are_called_as_the_networks_or_by_the_size_of_their_maps(model: KerasPredictor) -> None:
    ours = build(spec("oneblock"), 3, input_shape=(24, 24, 3), classifier_activation=None)
    image = np.zeros((24, 24, 3))

    assert list(stages_of(Network(ours).places(image))) == ["stem", "stage1"]
    found = stages_of(Network(model.model).places(image))
    assert {name: place.name for name, place in found.items()} == {
        "24×24": "first",
        "12×12": "second",
        "6×6": "pooled",
    }


def test_activations_of_all_stages_are_drawn(model: KerasPredictor, tmp_path: Path) -> None:
    path = show_activations(model, striped(0, 3, 3), tmp_path / "activations.png")

    assert Image.open(path).width > 1000


def test_an_image_excites_a_channel_where_its_map_is_largest(model: KerasPredictor, images: Split) -> None:
    subject = Subject(model, "second")

    values, where = excitations(subject, images)

    maps = subject.cut.maps(images.read(slice(0, 5))).numpy()
    np.testing.assert_allclose(values[:5], maps.max(axis=(1, 2)), rtol=1e-5)
    row, column = divmod(int(where[3, 2]), 12)
    assert maps[3, row, column, 2] == pytest.approx(values[3, 2])
    # The logits are told apart by these channels, so that some channel is excited by one kind of stripes alone.
    best = np.argsort(-values, axis=0)[:5]
    kinds = images.labels[best]
    assert ((kinds == kinds[0]).all(axis=0) & (values.max(axis=0) > 0)).any()


def test_the_most_selective_channels_are_those_that_one_image_stands_out_in() -> None:
    values = np.random.default_rng(0).uniform(0, 1, (50, 4))
    values[7, 2] = 30
    values[:, 3] = 5

    assert selective_channels(values, 1) == [2]
    assert 3 not in selective_channels(values), "nothing stands out where all are equal"


def test_exciting_images_are_drawn_and_wrong_channels_and_sizes_refused(
    model: KerasPredictor, images: Split, tmp_path: Path
) -> None:
    path = show_exciting_images(model, images, tmp_path / "exciting.png", channels=[0, 3], count=4)

    assert Image.open(path).width > 500
    with pytest.raises(UsageError, match=r"channels of pooled must be numbers in 0–15; received \[16\]"):
        show_exciting_images(model, images, path, channels=[16])
    small = from_arrays(np.zeros((6, 8, 8, 3), np.uint8), np.arange(6) % 2)
    with pytest.raises(DataError, match=r"the model takes images of \(24, 24, 3\)"):
        show_exciting_images(model, small.train, path)
