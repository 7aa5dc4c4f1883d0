import keras
import numpy as np
import pytest

from keras_resnet.callbacks import health
from keras_resnet.callbacks.health import Health, Statistics, distance, images_to_look_with
from keras_resnet.data.images import ImageData
from keras_resnet.errors import ModelError
from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.models.variants import spec

FAMILIES = {
    "basic": ResNetSpec("net", "basic", (1, 1), (8, 16), stem_width=8),
    "bottleneck": ResNetSpec("net", "bottleneck", (1, 1), (16, 32), stem="deep", stem_width=8),
    "preact": ResNetSpec("net", "preact_basic", (1, 1), (8, 16), stem_width=8),
    "se": ResNetSpec("net", "basic", (1, 1), (8, 16), stem_width=8, attention="se"),
}


def network(family: str = "basic", **options: object) -> keras.Model:
    return build(FAMILIES[family], 3, input_shape=(16, 16, 3), classifier_activation=None, seed=0, **options)


def images(count: int = 6) -> np.ndarray:
    return np.random.default_rng(0).normal(1, 2, (count, 16, 16, 3)).astype(np.float32)


def looking_at(model: keras.Model, pictures: np.ndarray | None = None) -> Health:
    return Health(model, images() if pictures is None else pictures)


def test_the_distance_of_two_statistics_is_in_units_of_the_references_deviation() -> None:
    reference = Statistics(np.array([0.0, 1.0, 5.0]), np.array([1.0, 2.0, 10.0]))
    other = Statistics(np.array([0.5, 1.0, 8.0]), np.array([1.0, 3.0, 14.0]))

    assert distance(reference, other) == pytest.approx([0.5, 0.5, 0.5])


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_seen_stage_by_stage(family: str) -> None:
    model = network(family)
    looking = looking_at(model)
    looking.observe()

    found = looking.observe()

    norms = {layer.name.split("_")[0] for layer in model.layers if "_bn" in layer.name}
    relus = {layer.name.split("_")[0] for layer in model.layers if isinstance(layer, keras.layers.ReLU)}
    assert {"stage1", "stage2"} <= norms
    assert found["batchnorm_drift"].keys() == found["batchnorm_gap"].keys() == norms
    assert found["dead_units"].keys() == relus
    assert set(found["batchnorm_drift"].values()) == {0.0}
    assert all(gap > 0 for gap in found["batchnorm_gap"].values())
    assert found["images_looked_at"] == 6


def test_drift_is_the_mean_distance_over_the_channels_of_a_stage() -> None:
    model = network()
    looking = looking_at(model)

    assert looking.observe()["batchnorm_drift"] == {}
    bn = model.get_layer("stem_bn")  # 8 channels, mean 0, variance 1
    bn.moving_mean.assign(np.eye(8)[0] * 3.0)
    drift = looking.observe()["batchnorm_drift"]

    assert drift["stem"] == pytest.approx(3 / 8, rel=1e-4)
    assert drift["stage1"] == drift["stage2"] == 0


def test_the_gap_is_to_what_the_layer_receives() -> None:
    model = network()
    conv = model.get_layer("stem_conv")
    received = np.asarray(conv(images()), np.float64)
    mean, deviation = received.mean((0, 1, 2)), np.sqrt(received.var((0, 1, 2)) + 1e-5)

    gap = looking_at(model).observe()["batchnorm_gap"]["stem"]
    expected = np.hypot(mean, deviation - np.sqrt(1 + 1e-5)).mean() / np.sqrt(1 + 1e-5)
    assert gap == pytest.approx(expected, rel=1e-4)

    bn = model.get_layer("stem_bn")
    bn.moving_mean.assign(mean)
    bn.moving_variance.assign(received.var((0, 1, 2)))
    assert looking_at(model).observe()["batchnorm_gap"]["stem"] < 1e-4


def test_what_the_first_layer_receives_is_what_normalisation_makes_of_the_pixels() -> None:
    model = network()
    found = looking_at(model).observe()

    given = np.asarray(keras.Model(model.inputs, model.get_layer("stem_conv").input)(images()), np.float64)
    assert found["input_mean"] == pytest.approx(given.mean(), rel=1e-4)
    assert found["input_deviation"] == pytest.approx(given.std(), rel=1e-4)


def test_units_are_dead_that_no_image_wakes() -> None:
    model = network()
    model.get_layer("stage2_block1_bn1").beta.assign([-1e3] * 5 + [1e3] * 11)

    found = looking_at(model).observe()["dead_units"]

    # relu1 and out have 16 channels each; the sums that `out` sees are not touched.
    assert found["stage2"] == pytest.approx(5 / 32)
    assert found["stage1"] == 0


def test_figures_that_are_no_numbers_stay_that_and_do_not_look_alive() -> None:
    model = network()
    model.get_layer("stem_bn").gamma.assign(np.full(8, np.nan))

    found = looking_at(model).observe()

    assert np.isnan(found["dead_units"]["stem"])
    assert np.isnan(found["batchnorm_gap"]["stage1"])


def test_looking_changes_nothing_in_the_network() -> None:
    model = network(dropout=0.5, stochastic_depth=0.5)
    model(images(), training=True)  # so that seeds and statistics are no initial ones
    before = [np.array(one) for one in model.variables]
    assert any("seed" in one.name for one in model.variables)

    looking_at(model).observe()

    for one, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(one, value, err_msg=one.path)


def test_the_same_network_gives_the_same_figures_bit_by_bit() -> None:
    model = network()

    assert looking_at(model).observe() == looking_at(model).observe()


def test_parts_that_fit_the_memory_give_the_figures_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    whole = looking_at(model).observe()
    monkeypatch.setattr(health, "PIXELS_AT_ONCE", 2 * 16 * 16)

    parts = looking_at(model).observe()

    assert parts["dead_units"] == whole["dead_units"]
    assert parts["batchnorm_gap"] == pytest.approx(whole["batchnorm_gap"], rel=1e-5)


def test_after_a_resume_the_next_figures_are_those_of_one_that_never_stopped() -> None:
    model = network()
    whole = looking_at(model)
    assert whole.state() == {}
    whole.observe()
    saved = {name: value.copy() for name, value in whole.state().items()}
    model(images(), training=True)

    resumed = looking_at(model)
    resumed.restore(saved, "the checkpoint")

    assert resumed.observe() == whole.observe()
    assert all(value.dtype == np.float64 for value in saved.values())


def test_the_state_of_before_the_first_look_is_restored_too() -> None:
    looking = looking_at(network())
    looking.observe()

    looking.restore({}, "the checkpoint")

    assert looking.observe()["batchnorm_drift"] == {}


def test_the_state_of_another_network_is_refused() -> None:
    saved = looking_at(network("preact"))
    saved.observe()

    with pytest.raises(
        ModelError, match="the checkpoint does not fit: its normalisation statistics are those of anoth"
    ):
        looking_at(network()).restore(saved.state(), "the checkpoint")


def test_mixed_precision_is_looked_at_too() -> None:
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = network()
    finally:
        keras.mixed_precision.set_global_policy("float32")

    found = looking_at(model).observe()

    assert found["batchnorm_gap"] == pytest.approx(looking_at(network()).observe()["batchnorm_gap"], rel=0.02)


def test_the_images_come_from_all_over_a_split(tiny_data: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    split = tiny_data.train
    np.testing.assert_array_equal(images_to_look_with(tiny_data.validation), tiny_data.validation.read(slice(None)))
    monkeypatch.setattr(health, "MOST_IMAGES", 3)

    chosen = images_to_look_with(split)

    middle = round((len(split) - 1) / 2)
    np.testing.assert_array_equal(chosen, split.read(np.array([0, middle, len(split) - 1])))


def test_the_names_of_published_networks_are_understood() -> None:
    model = build(spec("resnet8"), 10, seed=0)

    found = Health(model, np.zeros((2, 32, 32, 3), np.uint8)).observe()

    assert list(found["batchnorm_gap"]) == ["stem", "stage1", "stage2", "stage3"]
