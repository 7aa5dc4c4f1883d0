import keras
import numpy as np
import pytest

from keras_resnet.errors import UsageError
from keras_resnet.layer_names import section_of
from keras_resnet.models.resnet import build
from keras_resnet.models.variants import spec
from keras_resnet.optimizers.by_name import optimizer
from keras_resnet.optimizers.layerwise import groups, rate_multipliers
from keras_resnet.schedules import schedule
from tests.optimizers.variables import apply, named_variables

PATHS = ("stem_conv/kernel", "stage1_block1_conv1/kernel", "stage2_block1_bn1/gamma", "head_dense/kernel")


def ones() -> list[keras.Variable]:
    return named_variables({path: np.ones((2, 2)) for path in PATHS})


def gradients(*values: float) -> list:
    return [keras.ops.full((2, 2), value) for value in values]


def firsts(variables: list[keras.Variable]) -> list[float]:
    return [float(np.asarray(variable).ravel()[0]) for variable in variables]


def test_rates_fall_block_by_block_from_the_head_to_the_stem() -> None:
    variables = ones()

    optimizer("sgd", 1.0, momentum=0.0, layer_decay=0.5).apply(gradients(1, 1, 1, 1), variables)

    assert firsts(variables) == pytest.approx([1 - 1 / 8, 1 - 1 / 4, 1 - 1 / 2, 0])


def test_rates_by_layer_need_names_that_say_where_a_layer_lies() -> None:
    variables = named_variables({"conv2d_7/kernel": np.ones((2, 2)), "head_dense/kernel": np.ones((2, 2))})

    with pytest.raises(UsageError, match=r"stem_\*, stageS_blockB_\* and head_\*.*received 'conv2d_7'"):
        optimizer("sgd", 0.1, layer_decay=0.9).build(variables)
    alike = optimizer("sgd", 0.1, momentum=0.0)
    alike.apply(gradients(1, 2), variables)
    assert firsts(variables) == pytest.approx([0.9, 0.8])
    assert alike.gradient_groups == ("head", "other")


def test_all_rates_are_multiplied_by_the_rate_factor() -> None:
    variables = ones()
    made = optimizer("sgdw", schedule("constant", 0.5, 10), momentum=0.0, weight_decay=0.5)
    made.rate_factor.assign(0.1)

    made.apply(gradients(1, 1, 1, 1), variables)

    assert float(made.learning_rate) == pytest.approx(0.05)
    assert firsts(variables) == pytest.approx([0.925, 0.925, 0.95, 0.925])


def test_gradients_norms_are_those_before_clipping_by_groups_of_layers() -> None:
    variables = ones()
    made = optimizer("sgd", 1.0, momentum=0.0, clip="norm", clip_at=1.0)

    made.apply(gradients(1, 2, 3, float("inf")), variables)

    assert made.gradient_groups == ("stem", "stage1", "stage2", "head")
    np.testing.assert_allclose(np.asarray(made.gradient_norms), [2, 4, 6, np.inf])


def test_adaptive_clipping_spares_the_classifier() -> None:
    variables = ones()

    optimizer("sgd", 1.0, momentum=0.0, clip="adaptive", clip_at=0.1).apply(gradients(5, 0.01, 5, 5), variables)

    assert firsts(variables) == pytest.approx([0.9, 0.99, 0.9, -4])


@pytest.mark.parametrize("clip", [("none", 0.0), ("norm", 2.0), ("value", 0.5), ("adaptive", 0.2)])
@pytest.mark.parametrize("kind", ["sgd", "adamw", "lamb", "adam"])
def test_accumulated_batches_update_as_one_batch_of_their_mean(kind: str, clip: tuple) -> None:
    random = np.random.default_rng(0)
    batches = random.normal(0, 2, (6, 4, 2, 2)).astype("float32")
    settings = {"weight_decay": 0.1, "layer_decay": 0.8, "clip": clip[0], "clip_at": clip[1]}
    rate = schedule("cosine", 0.1, 2, warmup_steps=1, warmup_from=0.5)
    whole, parts = ones(), ones()
    once = optimizer(kind, rate, **settings)
    thrice = optimizer(kind, rate, accumulate=3, **settings)

    for update in range(2):
        mean = batches[3 * update : 3 * update + 3].mean(axis=0)
        once.apply([keras.ops.convert_to_tensor(gradient) for gradient in mean], whole)
        for batch in batches[3 * update : 3 * update + 3]:
            thrice.apply([keras.ops.convert_to_tensor(gradient) for gradient in batch], parts)
        for a, b in zip(whole, parts, strict=True):
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-6)
        np.testing.assert_allclose(np.asarray(once.gradient_norms), np.asarray(thrice.gradient_norms), rtol=1e-6)

    assert int(thrice.iterations) == int(once.iterations) == 2


def test_nothing_but_the_accumulators_changes_between_updates() -> None:
    variables = ones()
    made = optimizer("lamb", 0.1, weight_decay=0.1, accumulate=3)

    for _ in range(2):
        made.apply(gradients(1, 2, 3, 4), variables)

    assert firsts(variables) == [1, 1, 1, 1]
    assert not np.asarray(made.gradient_norms).any()
    assert not any(np.asarray(momentum).any() for momentum in made.momentums)


def test_scaled_losses_give_unscaled_norms_and_an_infinite_gradient_leaves_the_weights_alone() -> None:
    variables, plain = ones(), ones()
    inner = optimizer("sgd", 0.5, clip="norm", clip_at=3.0, weight_decay=0.1)
    scaling = keras.optimizers.LossScaleOptimizer(inner, initial_scale=1024.0)
    scaling.build(variables)

    apply(scaling, gradients(*(1024.0 * value for value in (1, 2, 3, 4))), variables)
    optimizer("sgd", 0.5, clip="norm", clip_at=3.0, weight_decay=0.1).apply(gradients(1, 2, 3, 4), plain)

    np.testing.assert_allclose(np.asarray(inner.gradient_norms), [2, 4, 6, 8], rtol=1e-6)
    assert firsts(variables) == pytest.approx(firsts(plain))
    apply(scaling, gradients(1, float("inf"), 1, 1), variables)
    assert firsts(variables) == pytest.approx(firsts(plain))
    assert int(inner.iterations) == 1
    assert float(scaling.dynamic_scale) == 512.0


def test_the_gradients_of_a_compiled_mixed_precision_network_are_measured() -> None:
    policy = keras.DTypePolicy("mixed_float16")
    inputs = keras.Input((4,))
    model = keras.Model(
        inputs, keras.layers.Dense(2, "linear", kernel_initializer="ones", dtype=policy, name="head_dense")(inputs)
    )
    made = optimizer("sgd", 0.1)
    model.compile(keras.optimizers.LossScaleOptimizer(made, initial_scale=64.0), "mse", jit_compile=False)

    model.fit(np.ones((4, 4)), np.ones((4, 2)), batch_size=4, verbose=0)

    # Outputs are 4, labels 1: the loss falls by 3 for each of ten weights and biases.
    np.testing.assert_allclose(np.asarray(made.gradient_norms), [3 * np.sqrt(10)], rtol=1e-3)


def test_frozen_layers_do_not_change_the_others_rates() -> None:
    paths = ("stage1_block1_conv1/kernel", "stage1_block2_conv1/kernel")
    variables = named_variables({path: np.ones((2, 2)) for path in paths})

    optimizer("sgd", 1.0, momentum=0.0, layer_decay=0.5).apply(gradients(1, 1), variables)

    assert firsts(variables) == pytest.approx([0.75, 0.5])


@pytest.mark.parametrize("name", ["resnet20", "resnet50", "seresnet50"])
def test_every_layer_of_our_networks_lies_somewhere(name: str) -> None:
    narrow = spec(name, width_multiplier=0.125)
    paths = [v.path for v in build(narrow, num_classes=10, input_shape=(32, 32, 3)).trainable_variables]

    assert all(section_of(path) for path in paths)
    assert groups(paths)[0] in (
        ("stem", "stage1", "stage2", "stage3", "head"),
        ("stem", "stage1", "stage2", "stage3", "stage4", "head"),
    )
    # The stem's rate: as many powers as there are blocks, and one.
    blocks = len({section_of(path) for path in paths}) - 2
    assert min(rate_multipliers(paths, 0.9)) == pytest.approx(0.9 ** (blocks + 1))
    assert blocks == {"resnet20": 9, "resnet50": 16, "seresnet50": 16}[name]


def test_blocks_are_counted_as_numbers_and_not_as_letters() -> None:
    paths = [f"stage1_block{number}_conv1/kernel" for number in (10, 9, 2)]

    assert rate_multipliers(paths, 0.5) == [0.5, 0.25, 0.125]
