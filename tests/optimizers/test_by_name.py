import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from keras_resnet.errors import UsageError
from keras_resnet.losses import loss
from keras_resnet.optimizers.by_name import _RULES, OPTIMIZERS, optimizer
from keras_resnet.schedules import schedule
from keras_resnet.training.recipe import SETTINGS, Recipe
from tests.golden import optimizer_cases as cases
from tests.optimizers.variables import named_variables

RATE = {"kind": "cosine", "peak": cases.PEAK, "steps": cases.STEPS}
WARMED = {**RATE, "warmup_steps": cases.WARMUP, "warmup_from": cases.WARMUP_FROM}


@pytest.mark.parametrize("case", cases.CASES)
def test_twenty_steps_lead_where_pytorch_and_timm_go(case: str) -> None:
    golden = load_file(cases.FILE)
    variables = named_variables({path: cases.initial(path) for path in cases.VARIABLES})
    settings = {"weight_decay": cases.DECAY, "layer_decay": cases.LAYER_DECAY, **cases.CASES[case]}
    made = optimizer(schedule=schedule(**WARMED), **settings)
    made.build(variables)
    update = tf.function(lambda gradients: made.apply(gradients, variables), autograph=False)

    for step in range(cases.STEPS):
        gradients = [cases.gradient(v.numpy(), step).astype("float32") for v in variables]
        update([keras.ops.convert_to_tensor(gradient) for gradient in gradients])
        for variable in variables:
            expected = golden[f"{case}/{variable.path}"][step]
            np.testing.assert_allclose(variable.numpy(), expected, atol=1e-5, rtol=0, err_msg=f"{variable.path} {step}")
        norm = np.linalg.norm(np.asarray(made.gradient_norms))
        assert norm == pytest.approx(golden[f"{case}/norms"][step], rel=2e-5)


def test_a_network_learns_step_by_step_as_in_pytorch() -> None:
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(cases.CHANNELS, 3, padding="same", use_bias=False, name="stem_conv")(inputs)
    x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name="stem_bn")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    model = keras.Model(inputs, keras.layers.Dense(cases.CLASSES, name="head_dense")(x))
    for variable in model.trainable_variables:
        if variable.path in cases.network_weights():
            variable.assign(cases.network_weights()[variable.path])
    made = optimizer("sgd", schedule(**WARMED), nesterov=True, weight_decay=cases.DECAY)
    model.compile(made, loss("cross-entropy", cases.SMOOTHING), jit_compile=False)

    losses = []
    for step in range(cases.STEPS):
        images, labels = cases.network_batch(step)
        losses.append(float(model.train_on_batch(images, labels)))

    np.testing.assert_allclose(losses, load_file(cases.FILE)["network/losses"], atol=1e-5)
    assert made.gradient_groups == ("stem", "head")


def test_every_optimizer_is_a_recipes_too() -> None:
    assert list(OPTIMIZERS) == list(SETTINGS["optimizer"].values.choices)
    assert _RULES.keys() == OPTIMIZERS.keys()
    assert Recipe(optimizer="muon").optimizer == "muon"


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_every_optimizer_decays_kernels_only_and_comes_back_from_its_config(kind: str) -> None:
    variables = named_variables({f"stem_a/{name}": np.ones((2, 2)) for name in ("kernel", "gamma", "beta", "bias")})
    made = optimizer(kind, 0.1, weight_decay=0.5, layer_decay=0.9, accumulate=2, clip="value", clip_at=3.0)

    for _ in range(2):
        made.apply([keras.ops.zeros((2, 2))] * 4, variables)

    after = [float(variable.numpy()[0, 0]) for variable in variables]
    # LAMB's trust ratio leaves of the decay its direction alone.
    assert after[0] == pytest.approx(1 - 0.1 * 0.9 * (1.0 if kind == "lamb" else 0.5), abs=1e-6)
    assert after[1:] == [1.0, 1.0, 1.0]
    again = keras.optimizers.deserialize(keras.optimizers.serialize(made))
    assert type(again) is type(made)
    assert again.get_config() == made.get_config()
    assert again.name == kind


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_dead_inputs_and_outputs_leave_the_other_weights_finite(kind: str) -> None:
    variables = named_variables({"stem_conv/kernel": np.full((3, 3, 4, 4), 0.5)})
    gradient = np.random.default_rng(0).normal(0, 1, (3, 3, 4, 4)).astype("float32")
    gradient[:, :, 1], gradient[..., 2] = 0, 0
    made = optimizer(kind, 0.01)

    for _ in range(3):
        made.apply([keras.ops.convert_to_tensor(gradient)], variables)

    after = variables[0].numpy()
    assert np.isfinite(after).all()
    np.testing.assert_array_equal(after[0, 0, 1, [0, 1, 3]], np.float32(0.5))
    assert (after[0, 0, 0, [0, 1, 3]] != 0.5).all()


def test_adafactor_steps_as_keras_does() -> None:
    random = np.random.default_rng(1)
    start, gradients = random.normal(0, 1, (3, 3, 4, 5)), random.normal(0, 1, (20, 3, 3, 4, 5)).astype("float32")
    (ours,), (theirs,) = (named_variables({"stem_conv/kernel": start}) for _ in range(2))
    made, reference = optimizer("adafactor", 0.05), keras.optimizers.Adafactor(0.05)

    for gradient in gradients:
        made.apply([keras.ops.convert_to_tensor(gradient)], [ours])
        reference.apply([keras.ops.convert_to_tensor(gradient)], [theirs])

    assert np.abs(theirs.numpy() - start).max() > 0.05
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "addamw"}, "there is no optimizer 'addamw'; did you mean 'adamw'?"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0; received -1.0"),
        ({"layer_decay": 0.0}, "layer_decay must be more than 0 and at most 1; received 0.0"),
        ({"momentum": 1.0}, "momentum must be at least 0 and less than 1; received 1.0"),
        ({"clip": "agc"}, "clip must be one of 'none', 'norm', 'value', 'adaptive'; received 'agc'"),
        ({"clip": "norm"}, "clip='norm' needs a positive clip_at; received 0.0"),
        ({"clip_at": 1.0}, "clip_at=1.0 needs to be told what to clip by: 'norm', 'value', 'adaptive'"),
        ({"accumulate": 0}, "accumulate must be a whole number of at least 1; received 0"),
        ({"beta_1": 0.5}, "the optimizer 'sgd' has no option 'beta_1'; it has 'momentum', 'nesterov'"),
    ],
)
def test_what_makes_no_optimizer_is_refused(wrong: dict, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        optimizer(**{"kind": "sgd", "schedule": 0.1, **wrong})

    assert message in str(refusal.value)
