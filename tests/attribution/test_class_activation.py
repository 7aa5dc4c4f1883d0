"""Class activation maps against their definitions, computed in other ways."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.attribution.class_activation import ablation_cam, grad_cam, grad_cam_plus_plus, score_of
from keras_resnet.attribution.integrated_gradients import integrated_gradients
from keras_resnet.attribution.network import Cut, Network
from keras_resnet.inference.activation import logits_model
from keras_resnet.tasks.table import task
from tests.attribution.striped import NAMES, striped, trained

SCORE = score_of(task("classification", NAMES))
IMAGE = striped(0, 2, 10).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return logits_model(trained())


@pytest.fixture(scope="module")
def cut(model: keras.Model) -> Cut:
    return Cut(Network(model), IMAGE)


def make_gradcam_heatmap(
    img_array: np.ndarray, model: keras.Model, last_conv_layer_name: str, pred_index: int
) -> np.ndarray:
    """The function of https://keras.io/examples/vision/grad_cam/, whose model ends before its softmax."""
    grad_model = keras.models.Model(model.inputs, [model.get_layer(last_conv_layer_name).output, model.output])
    with tf.GradientTape() as tape:
        last_conv_layer_output, preds = grad_model(img_array)
        class_channel = preds[:, pred_index]
    grads = tape.gradient(class_channel, last_conv_layer_output)
    pooled_grads = tf.reduce_mean(grads, axis=(0, 1, 2))
    last_conv_layer_output = last_conv_layer_output[0]
    heatmap = last_conv_layer_output @ pooled_grads[..., tf.newaxis]
    heatmap = tf.squeeze(heatmap)
    heatmap = tf.maximum(heatmap, 0) / tf.math.reduce_max(heatmap)
    return heatmap.numpy()


def test_grad_cam_is_that_of_kerass_guide(model: keras.Model) -> None:
    cut = Cut(Network(model), IMAGE, "second")

    maps = grad_cam(cut, IMAGE, [0, 2], SCORE)

    assert maps.shape == (2, 12, 12)
    for one, number in zip(maps, (0, 2), strict=True):
        theirs = make_gradcam_heatmap(IMAGE[None], model, "second", number)
        np.testing.assert_allclose(one / one.max(), theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "layer", "options"),
    [
        ("MobileNet", "conv_pw_11_relu", {"alpha": 0.25}),
        pytest.param("ResNet50V2", "conv4_block5_out", {}, marks=pytest.mark.slow),
        pytest.param("DenseNet121", "conv4_block24_concat", {}, marks=pytest.mark.slow),
    ],
)
def test_grad_cam_of_keras_applications_is_that_of_kerass_guide(
    name: str, layer: str, options: dict[str, float]
) -> None:
    made = getattr(keras.applications, name)
    foreign = made(weights=None, input_shape=(64, 64, 3), classes=3, classifier_activation=None, **options)
    image = np.random.default_rng(0).uniform(-1, 1, (64, 64, 3)).astype(np.float32)

    maps = grad_cam(Cut(Network(foreign), image, layer), image, [0, 2], SCORE)

    assert maps.shape == (2, 4, 4)
    for one, number in zip(maps, (0, 2), strict=True):
        theirs = make_gradcam_heatmap(image[None], foreign, layer, number)
        assert ((theirs > 0.01) & (theirs < 0.99)).any(), "the map is not the same everywhere"
        np.testing.assert_allclose(one / one.max(), theirs, atol=1e-4)


def test_with_a_mean_and_a_dense_layer_behind_the_maps_grad_cam_is_cam(model: keras.Model, cut: Cut) -> None:
    """Zhou et al. 2016: there, a channel's weight is that of the dense layer."""
    maps, kernel = cut.maps(IMAGE[None]).numpy()[0], model.get_layer("logits").kernel.numpy()

    (found,) = grad_cam(cut, IMAGE, [1], SCORE)

    expected = np.maximum(maps @ kernel[:, 1], 0)
    np.testing.assert_allclose(found * maps.shape[0] * maps.shape[1], expected, atol=1e-4)


def test_ablation_cam_weighs_a_channel_by_what_the_score_loses_without_it(model: keras.Model, cut: Cut) -> None:
    maps, kernel = cut.maps(IMAGE[None]).numpy()[0], model.get_layer("logits").kernel.numpy()

    found = ablation_cam(cut, IMAGE, [0, 1], SCORE)

    for one, number in zip(found, (0, 1), strict=True):
        losses = maps.mean(axis=(0, 1)) * kernel[:, number]
        np.testing.assert_allclose(one, np.maximum(maps @ losses, 0), rtol=1e-3, atol=1e-3)


def test_grad_cam_plus_plus_is_the_papers_sum_over_pixels(model: keras.Model, cut: Cut) -> None:
    maps, kernel = cut.maps(IMAGE[None]).numpy()[0].astype(np.float64), model.get_layer("logits").kernel.numpy()
    pixels = maps.shape[0] * maps.shape[1]
    weights = np.zeros(maps.shape[-1])
    for channel, of_class in enumerate(kernel[:, 0].astype(np.float64) / pixels):  # the gradient, the same everywhere
        for _ in range(pixels):
            alpha = of_class**2 / (2 * of_class**2 + maps[..., channel].sum() * of_class**3)
            weights[channel] += alpha * max(of_class, 0)

    (found,) = grad_cam_plus_plus(cut, IMAGE, [0], SCORE)

    np.testing.assert_allclose(found, np.maximum(maps @ weights, 0), rtol=1e-3, atol=1e-4)


def test_integrated_gradients_add_up_to_the_difference_of_the_scores(model: keras.Model) -> None:
    grey = np.full(3, 128.0)

    found = integrated_gradients(Network(model), IMAGE, [0, 1], SCORE, grey)

    differences = (model(IMAGE[None]) - model(np.broadcast_to(grey, (1, 24, 24, 3)).astype(np.float32))).numpy()[0, :2]
    assert (np.abs(differences) > 1).all()
    np.testing.assert_allclose(found.sum(axis=(1, 2, 3)), differences, rtol=0.02)
    assert (found[:, IMAGE == 128] == 0).all(), "what is as nothing adds nothing"


def test_of_two_classes_the_difference_is_explained_and_of_several_labels_each_logit() -> None:
    logits, classes = np.array([[0.0, 3.0], [0.0, 3.0]]), np.array([0, 1])

    np.testing.assert_array_equal(score_of(task("classification", ("no", "yes")))(logits, classes), [-3, 3])
    np.testing.assert_array_equal(score_of(task("multi-label", ("cat", "dog")))(logits, classes), [0, 3])
