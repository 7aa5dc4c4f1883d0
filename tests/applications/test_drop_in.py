"""What Keras's own tests ask of its applications, asked of ours; and whether both are one network."""

import hashlib
import inspect
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras.src.applications import resnet as of_keras  # the parts of its networks are not public

import keras_resnet
from keras_resnet import applications
from keras_resnet.applications.drop_in import DropIn, drop_in
from keras_resnet.errors import ModelError, UsageError
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.models.variants import VARIANTS, Variant
from keras_resnet.weights import keras_applications
from tests.shared import shared_data

NAMES = ("ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2")
TINY = ResNetSpec("tinyv1", "bottleneck", (1, 1), (16, 32), stem_width=64, strided_conv="1x1", input_size=64)
X = np.random.default_rng(0).uniform(-1, 1, (2, 33, 33, 3)).astype("float32")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> DropIn:
    """A function as `ResNet50` is, for a network of two blocks."""
    monkeypatch.setitem(VARIANTS, TINY.name, Variant("TinyV1", "For tests.", TINY))
    return drop_in("Tiny", TINY.name)


def lively(model: keras.Model) -> keras.Model:
    """Random weights, biases and statistics too, scaled so that the signal stays of a size."""
    random = np.random.default_rng(1)
    model.set_weights(
        [
            random.normal(0, (2 / weight[..., 0].size) ** 0.5, weight.shape)
            if weight.ndim > 1
            else random.uniform(0.2, 0.6, weight.shape)
            for weight in model.get_weights()
        ]
    )
    return model


@pytest.fixture(scope="module")
def theirs() -> Iterator[keras.Model]:
    yield lively(keras.applications.ResNet50(weights=None, input_shape=(33, 33, 3)))
    keras.backend.clear_session()


@pytest.fixture(scope="module")
def expected(theirs: keras.Model) -> np.ndarray:
    return np.asarray(theirs(X))


@pytest.mark.parametrize("name", NAMES)
def test_arguments_have_kerass_names_order_and_defaults(name: str) -> None:
    ours, theirs = (inspect.signature(getattr(module, name)) for module in (applications, keras.applications))

    for one, two in zip(ours.parameters.values(), theirs.parameters.values(), strict=True):
        assert (one.name, one.kind, one.default) == (two.name, two.kind, two.default)


@pytest.mark.parametrize("module", ["resnet", "resnet50", "resnet_v2", "imagenet_utils"])
def test_each_module_has_kerass_names(module: str) -> None:
    theirs = {name for name in vars(getattr(keras.applications, module)) if not name.startswith("_")}

    assert theirs <= set(vars(getattr(applications, module)))
    assert module in dir(applications)
    assert set(NAMES) <= set(dir(applications))
    assert pickle.loads(pickle.dumps(applications.ResNet50)) is applications.resnet50.ResNet50


def test_the_network_is_kerass_weight_for_weight(theirs: keras.Model, expected: np.ndarray, tmp_path: Path) -> None:
    ours = applications.ResNet50(True, None, None, (33, 33, 3))

    assert [weight.shape for weight in ours.weights] == [weight.shape for weight in theirs.weights]
    assert ours.name == theirs.name == "resnet50"
    assert [type(layer).__name__ for layer in ours.layers if layer.weights] == [
        type(layer).__name__ for layer in theirs.layers if layer.weights
    ]
    for one, two in zip(ours.layers, theirs.layers, strict=True):
        if isinstance(two, keras.layers.BatchNormalization):
            assert (one.momentum, one.epsilon) == (two.momentum, two.epsilon)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(X), expected, atol=1e-6)

    ours.save_weights(tmp_path / "ours.weights.h5")
    theirs.set_weights([np.zeros_like(weight) for weight in theirs.get_weights()])
    theirs.load_weights(tmp_path / "ours.weights.h5")
    np.testing.assert_array_equal(theirs(X), expected)


@pytest.mark.slow  # the weights of such a network of Keras are also read by test_keras_applications
@pytest.mark.usefixtures("alone")
def test_the_pre_activation_network_is_kerass_weight_for_weight() -> None:
    theirs = lively(keras.applications.ResNet50V2(weights=None, input_shape=(33, 33, 3), classes=7))

    ours = applications.ResNet50V2(weights=None, input_shape=(33, 33, 3), classes=7)

    ours.set_weights(theirs.get_weights())
    assert np.ptp(theirs(X), axis=1).max() > 0.01
    np.testing.assert_allclose(ours(X), theirs(X), atol=1e-6)


def of_two_blocks(x: keras.KerasTensor) -> keras.KerasTensor:
    """The blocks of `TINY`, as Keras builds them."""
    x = of_keras.stack_residual_blocks_v1(x, 4, 1, stride1=1, name="conv2")
    return of_keras.stack_residual_blocks_v1(x, 8, 1, name="conv3")


@pytest.mark.parametrize("file", ["theirs.keras", "theirs.weights.h5"])
def test_files_of_keras_fill_the_network_also_on_a_tensor(file: str, tiny: DropIn, tmp_path: Path) -> None:
    options = {"weights": None, "input_shape": (33, 33, 3), "classes": 7, "weights_name": "resnet50"}
    theirs = lively(of_keras.ResNet(of_two_blocks, preact=False, use_bias=True, **options))
    (theirs.save_weights if file.endswith(".weights.h5") else theirs.save)(tmp_path / file)
    image = keras.Input((33, 33, 3))
    turned = keras.layers.Conv2D(3, 1, use_bias=False)
    tensor = turned(image) if file.endswith("keras") else image

    ours = tiny(weights=tmp_path / file, input_tensor=tensor, classes=7)

    if tensor is not image:
        turned.kernel.assign(np.eye(3)[np.newaxis, np.newaxis])
    assert ours.inputs[0] is image
    np.testing.assert_allclose(ours(X), theirs(X), atol=1e-6)


def test_a_published_file_is_read_in_its_own_order_of_channels(
    theirs: keras.Model, expected: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "published.h5"
    theirs.save(path)
    row = keras_applications.FILES["resnet50v1"]
    known = replace(row[0], md5=hashlib.md5(path.read_bytes()).hexdigest())
    monkeypatch.setitem(keras_applications.FILES, "resnet50v1", (known, row[1]))
    # Keras builds the network that it fills from the file; here it is filled already.
    monkeypatch.setattr(keras.applications, "ResNet50", lambda weights, include_top: theirs)
    monkeypatch.setattr("keras_resnet.weights.pretrained._from_keras", lambda url: path)

    ours = applications.ResNet50(input_shape=(33, 33, 3), classifier_activation=None)

    logits = np.asarray(ours(X))
    np.testing.assert_allclose(keras.ops.softmax(logits), expected, atol=1e-6)
    assert np.abs(logits - ours(X[..., ::-1])).max() > 1e-2 * np.abs(logits).max(), "the order counts"


def test_it_is_filled_from_files_of_its_own_bit_for_bit(tiny: DropIn, tmp_path: Path) -> None:
    model = lively(tiny(weights=None, classes=3))
    model.save_weights(tmp_path / "net.weights.h5")
    keras_resnet.save_weights(model, tmp_path / "net.safetensors")

    for file in ("net.weights.h5", "net.safetensors"):
        again = tiny(weights=tmp_path / file, classes=3)
        for one, two in zip(model.get_weights(), again.get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.slow  # the same with random weights above
@pytest.mark.usefixtures("alone")
def test_trained_weights_classify_photographs_as_with_keras() -> None:
    path = shared_data("../weights/resnet50v1_imagenet_caffe.h5")
    photos = sorted(shared_data("imagenet-sample").glob("*.JPEG"))[:40:10]
    images = [keras.utils.load_img(photo, target_size=(224, 224), interpolation="bilinear") for photo in photos]
    pixels = np.stack([keras.utils.img_to_array(image) for image in images])
    ours, theirs = (module.ResNet50(weights=str(path)) for module in (applications, keras.applications))
    prepared = applications.resnet50.preprocess_input(pixels)

    found = ours.predict(prepared, verbose=0)

    np.testing.assert_allclose(found, theirs.predict(prepared, verbose=0), atol=1e-5)
    decoded = applications.resnet50.decode_predictions(found, top=1)
    assert [row[0][1] for row in decoded] == [photo.stem.split("_", 1)[1] for photo in photos]


@pytest.mark.parametrize("channels", [1, 4])
def test_without_the_top_images_may_have_any_size_and_channels(tiny: DropIn, channels: int) -> None:
    assert tiny(weights=None, include_top=False).input_shape == (None, None, None, 3)

    model = tiny(weights=None, include_top=False, input_shape=(None, None, channels))

    assert model.output_shape == (None, None, None, 32)
    assert model(np.zeros((1, 40, 24, channels))).shape == (1, 5, 3, 32)


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_pooling_gives_a_row_of_features(tiny: DropIn, pooling: Any) -> None:
    model = tiny(weights=None, include_top=False, pooling=pooling)

    assert model.output_shape == (None, 32)
    whole = keras.Model(model.input, model.layers[-2].output)(X)
    np.testing.assert_allclose(model(X), (np.mean if pooling == "avg" else np.max)(whole, axis=(1, 2)), atol=1e-6)


def test_a_custom_size_and_a_custom_tensor_are_taken(tiny: DropIn) -> None:
    assert tiny(weights=None, include_top=False, input_shape=(123, 123, 3)).output_shape == (None, 16, 16, 32)
    tensor = keras.layers.Conv2D(3, 2, strides=2)(keras.Input((200, 200, 4), name="custom"))

    model = tiny(weights=None, include_top=False, input_tensor=tensor, name="mine")

    assert (model.name, model.input_shape, model.output_shape) == ("mine", (None, 200, 200, 4), (None, 13, 13, 32))


def test_the_last_layer_is_the_classifier_with_its_activation(tiny: DropIn) -> None:
    model = tiny(weights=None)

    assert model.output_shape == (None, 1000)
    assert model.layers[-1].activation is keras.activations.softmax
    assert model.layers[-2].output.shape == (None, 32)
    assert tiny(weights=None, classifier_activation=None).layers[-1].activation is keras.activations.linear
    assert (
        tiny(weights=None, classifier_activation=keras.activations.gelu).layers[-1].activation is keras.activations.gelu
    )


def test_it_is_serialised_and_read_back_by_keras(tiny: DropIn) -> None:
    model = tiny(weights=None, classes=3, input_shape=(33, 33, 3))

    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))

    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(X), model(X))


def test_the_rest_of_the_package_works_on_it(tiny: DropIn) -> None:
    model = lively(tiny(weights=None, classes=3, input_shape=(33, 33, 3)))

    assert keras_resnet.freeze(model, "stage1")[:2] == ["stem_conv", "stem_bn"]
    assert keras_resnet.feature_extractor(model)(X)["C3"].shape == (2, 5, 5, 32)
    np.testing.assert_allclose(keras_resnet.fuse_batchnorm(model)(X), model(X), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (
            (10,),
            {},
            r"begins with include_top, .* received 10. For a number of classes write Tiny\(weights=None, classes",
        ),
        ((), {"classes": 10}, "the weights 'imagenet' are for classes=1000; received classes=10. .* include_top=False"),
        ((), {"weights": "nowhere.h5"}, "None, 'imagenet' or the path of a file that exists; received 'nowhere.h5'"),
        ((), {"weights": "timm/a1_in1k"}, "received 'timm/a1_in1k'"),
        ((), {"classifier_activation": "sigmoid"}, "classifier_activation is 'softmax' or None, .* received 'sigmoid'"),
        ((), {"input_shape": (64, 64, 4)}, r"'imagenet' read 3 channels; received input of shape \(64, 64, 4\)"),
        ((True, None), {"input_shape": (3, 64, 64)}, r"looks like channels first: give \(64, 64, 3\)"),
        ((True, None), {"input_shape": (7, 7, 3)}, "too small"),
        ((True, None), {"input_tensor": X}, "input_tensor must be a tensor of Keras's functional API"),
        ((True, None), {"input_tensor": (64, 64, 3), "input_shape": (32, 32, 3)}, "leave input_shape out"),
        ((True, None), {"pooling": "mean"}, "pooling must be None, 'avg' or 'max'; received 'mean'"),
        ((True, None), {"classes": 0}, "a whole number of at least 1; received 0"),
        (
            (True, None),
            {"data_format": "channels_first"},
            "Tiny has no argument 'data_format': networks are channels last",
        ),
        ((True, None), {"clases": 3}, "Tiny has no argument 'clases': did you mean 'classes'"),
    ],
)
def test_what_it_cannot_take_is_refused_with_the_remedy(
    tiny: DropIn, arguments: tuple[Any, ...], options: dict[str, Any], message: str
) -> None:
    if isinstance(options.get("input_tensor"), tuple):
        options = {**options, "input_tensor": keras.Input(options["input_tensor"])}

    with pytest.raises(UsageError, match=message):
        tiny(*arguments, **options)


def test_our_word_for_classes_is_taken_too(tiny: DropIn) -> None:
    assert tiny(weights=None, num_classes=3).output_shape == (None, 3)  # type: ignore[call-arg]


def test_keras_set_to_channels_first_is_refused(tiny: DropIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")

    with pytest.raises(UsageError, match="Keras is set to channels_first"):
        tiny(weights=None)


def test_weights_of_another_network_and_those_that_cannot_be_fetched_are_told(
    tiny: DropIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keras_resnet.save_weights(tiny(weights=None, classes=3), tmp_path / "net.safetensors")
    with pytest.raises(
        ModelError, match=r"Only the classifier differs: .*keras_resnet.TinyV1 has head and adapt_input"
    ):
        tiny(weights=tmp_path / "net.safetensors", classes=4)

    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("keras_resnet.weights.pretrained.answers", lambda url: True)
    monkeypatch.setattr(keras.utils, "get_file", offline)
    with pytest.raises(
        ModelError, match=r"no route to host\). Fetch https://.*resnet50_weights.*_notop.h5 .* weights='PA"
    ):
        applications.ResNet50(include_top=False)
