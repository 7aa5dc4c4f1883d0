import keras
import numpy as np
import pytest

from keras_resnet.errors import UsageError
from keras_resnet.models.resnet import build
from keras_resnet.models.variants import spec
from keras_resnet.weights.first_normalisation import by_convention, check_pixels, first_statistics
from keras_resnet.weights.pixels import CONVENTIONS
from tests.shared import shared_data


def trained_on(images: np.ndarray) -> keras.Model:
    """A network whose first normalisation has seen these images."""
    model = build(spec("oneblock"), 3, input_shape=images.shape[1:], seed=1)
    norm = model.get_layer("stem_bn")
    seen = np.asarray(keras.Model(model.input, norm.input)(images))
    norm.moving_mean.assign(seen.mean(axis=(0, 1, 2)))
    norm.moving_variance.assign(seen.var(axis=(0, 1, 2)))
    return model


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3)).astype(np.float32)


def test_the_images_of_the_training_are_seen_as_in_training(pixels: np.ndarray) -> None:
    found = first_statistics(trained_on(pixels / 127.5 - 1), pixels / 127.5 - 1)

    assert found is not None
    assert found.variance == pytest.approx(1, rel=1e-4)
    assert found.shift == pytest.approx(0, abs=1e-4)
    assert found.are_usual
    assert found.images == 16


def test_another_scale_is_measured_as_its_square(pixels: np.ndarray) -> None:
    found = first_statistics(trained_on(pixels / 255), pixels)

    assert found is not None
    assert found.variance == pytest.approx(255**2, rel=1e-3)
    assert not found.are_possible


def test_means_that_were_not_subtracted_are_measured_in_deviations(pixels: np.ndarray) -> None:
    found = first_statistics(trained_on(pixels - 127.5), pixels)

    assert found is not None
    # 127.5 is 1.7 deviations of these pixels; behind the convolution it depends on the kernel's sums.
    assert found.shift > 0.4
    assert 0.3 < found.variance < 3
    assert found.are_possible
    assert not found.are_usual


def test_a_network_that_was_not_trained_or_keeps_no_statistics_tells_nothing(pixels: np.ndarray) -> None:
    inputs = keras.Input((8, 8, 3))

    assert first_statistics(build(spec("oneblock"), 3, input_shape=(8, 8, 3)), pixels) is None
    assert first_statistics(keras.Model(inputs, keras.layers.Conv2D(4, 3)(inputs)), pixels) is None


def test_images_of_one_colour_tell_nothing(pixels: np.ndarray) -> None:
    assert first_statistics(trained_on(pixels), np.full((4, 8, 8, 3), 9.0)) is None
    assert first_statistics(trained_on(pixels), np.zeros((4, 8, 8, 3))) is None


def test_pixels_that_no_photograph_explains_are_refused_with_what_would_do(pixels: np.ndarray) -> None:
    model = trained_on(pixels / 127.5 - 1)

    with pytest.raises(UsageError, match=r"sees 2\.\d+e\+04 times the variance .* come of imagenet .* or tf \(1\.5\)"):
        check_pixels(model, pixels, "net.h5", CONVENTIONS["raw"], remedy="")
    with pytest.raises(UsageError, match=r"net\.h5 was trained on: on 16 images .*Say the right one by"):
        check_pixels(model, pixels, "net.h5", remedy="Say the right one by X")
    assert check_pixels(model, pixels / 127.5 - 1, "net.h5", CONVENTIONS["tf"], remedy="") == ""


def test_pixels_that_lie_a_deviation_off_are_remarked_on(pixels: np.ndarray) -> None:
    remark = check_pixels(trained_on(pixels - 127.5), pixels, "net.h5", CONVENTIONS["raw"], remedy="")

    assert "may not be those that net.h5 was trained on" in remark
    assert "deviations off" in remark


@pytest.mark.slow  # a ResNet-50 at 224×224
def test_on_real_photographs_caffes_weights_tell_their_scale() -> None:
    network = build(
        spec("resnet50v1"),
        input_shape=(224, 224, 3),
        weights=shared_data("../weights/resnet50v1_imagenet_caffe.h5"),
        include_top=False,
    )
    for folder, least in (("imagenet-sample", 0.8), ("bccd/val/images", 0.05)):
        files = sorted(shared_data(folder).glob("*"))[:8]
        images = np.stack([np.asarray(keras.utils.load_img(file, target_size=(224, 224))) for file in files])

        found = by_convention(network, images)

        assert {name for name, one in found.items() if one.are_possible} == {"caffe", "raw"}, folder
        assert least < found["caffe"].variance < 2.5
        assert found["caffe"].are_usual
        assert found["raw"].shift > 0.4
