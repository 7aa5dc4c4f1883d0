import keras
import numpy as np
import pytest

from keras_resnet.errors import UsageError
from keras_resnet.evaluation.evaluate import evaluate
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


def inside(model: keras.Model) -> keras.Model:
    """A head on what a model gives, which lies in the new one as a layer."""
    inputs = keras.Input(model.input_shape[1:])
    return keras.Model(inputs, keras.layers.Dense(2)(model(keras.layers.Rescaling(1 / 127.5, -1)(inputs))))


SOME_WAY = {
    "inside": inside,
    "inside twice": lambda model: inside(inside(model)),
    "inside a sequence": lambda model: keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Rescaling(1 / 127.5, -1), model, keras.layers.Dense(2)]
    ),
    "a sequence inside": lambda model: inside(keras.Sequential([keras.Input((8, 8, 3)), model])),
    "its layers in another": lambda model: keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Rescaling(1 / 127.5, -1),
            *(model.get_layer(name) for name in ("stem_conv", "stem_bn")),
        ]
    ),
}


@pytest.mark.parametrize("way", SOME_WAY)
def test_a_network_inside_another_is_looked_into(way: str, pixels: np.ndarray) -> None:
    times = 2 if way == "inside twice" else 1
    seen = pixels
    for _ in range(times):
        seen = seen / 127.5 - 1
    network = trained_on(seen)

    found = first_statistics(SOME_WAY[way](network), pixels)

    assert found is not None
    assert found.variance == pytest.approx(1, rel=1e-3)
    assert found.shift == pytest.approx(0, abs=1e-3)
    off = first_statistics(SOME_WAY[way](network), 3 * pixels)
    assert off is not None
    assert abs(off.variance - 1) > 0.02, "another contrast is seen through all layers before"


def test_a_model_that_normalises_at_once_is_given_the_images_themselves(pixels: np.ndarray) -> None:
    inputs = keras.Input((8, 8, 3))
    norm = keras.layers.BatchNormalization()
    model = keras.Model(inputs, norm(inputs))
    norm.moving_mean.assign(pixels.mean(axis=(0, 1, 2)))
    norm.moving_variance.assign(pixels.var(axis=(0, 1, 2)))
    outer = keras.Input((8, 8, 3))

    for one in (model, keras.Model(outer, model(outer))):
        found = first_statistics(one, pixels)

        assert found is not None
        assert found.variance == pytest.approx(1, rel=1e-4)


def test_wrong_pixels_of_a_network_inside_another_are_refused_by_an_evaluation(pixels: np.ndarray) -> None:
    inputs = keras.Input((8, 8, 3))
    network = trained_on(pixels / 127.5 - 1)
    model = keras.Model(inputs, network(inputs))

    with pytest.raises(UsageError, match=r"No kind of photograph explains this, only another normalisation"):
        evaluate(model, (pixels.astype(np.uint8), np.arange(16) % 3))


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
