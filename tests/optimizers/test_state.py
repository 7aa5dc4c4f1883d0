import keras
import numpy as np
import pytest

from keras_resnet.errors import ModelError
from keras_resnet.optimizers.by_name import OPTIMIZERS, optimizer
from keras_resnet.optimizers.state import in_mid_update, load_optimizer_state, optimizer_state, unwrapped
from keras_resnet.schedules import schedule
from tests.optimizers.variables import apply, named_variables

SHAPES = {"stem_conv/kernel": (3, 3, 2, 4), "stem_bn/gamma": (4,), "head_dense/kernel": (4, 3), "head_dense/bias": (3,)}


def variables_like(values: list[np.ndarray]) -> list[keras.Variable]:
    return named_variables(dict(zip(SHAPES, values, strict=True)))


def batch(number: int) -> list:
    random = np.random.default_rng(number)
    return [keras.ops.convert_to_tensor(random.normal(0, 1, shape).astype("float32")) for shape in SHAPES.values()]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_an_optimizer_with_anothers_state_goes_on_to_the_same_bits(kind: str) -> None:
    first = variables_like([np.ones(shape) for shape in SHAPES.values()])
    one = optimizer(kind, 0.1, weight_decay=0.1)
    for number in range(3):
        one.apply(batch(number), first)
    one.rate_factor.assign(0.5)
    state, weights = optimizer_state(one), [np.asarray(variable) for variable in first]
    keras.Variable(0.0), optimizer(kind, 0.1)  # what is numbered through the process gets other numbers

    second = variables_like(weights)
    other = optimizer(kind, 0.1, weight_decay=0.1)
    other.build(second)
    load_optimizer_state(other, state)
    for number in range(3, 5):
        one.apply(batch(number), first)
        other.apply(batch(number), second)

    assert len(state) == len(one.variables)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_names_say_what_they_are_and_nothing_of_the_process() -> None:
    variables = variables_like([np.ones(shape) for shape in SHAPES.values()])
    scaling = keras.optimizers.LossScaleOptimizer(optimizer("sgd", schedule("constant", 0.1, 9), accumulate=2))
    scaling.build(variables)

    assert sorted(optimizer_state(scaling)) == [
        "gradient_norms",
        "head_dense_bias_momentum",
        "head_dense_kernel_momentum",
        "iterations",
        "loss_scale/dynamic_scale",
        "loss_scale/step_counter",
        "rate_factor",
        "stem_bn_gamma_momentum",
        "stem_conv_kernel_momentum",
    ]


def test_a_state_fits_an_optimizer_that_accumulates_another_number_of_batches() -> None:
    first = variables_like([np.ones(shape) for shape in SHAPES.values()])
    one = optimizer("adamw", 0.1)
    for number in range(3):
        one.apply(batch(number), first)

    second = variables_like([np.asarray(variable) for variable in first])
    halves = optimizer("adamw", 0.1, accumulate=2)
    halves.apply(batch(0), second)  # left over from before
    load_optimizer_state(halves, optimizer_state(one))
    one.apply(batch(3), first)
    for _ in range(2):
        halves.apply(batch(3), second)

    assert int(halves.iterations) == int(one.iterations) == 4
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-6)


def test_the_loss_scale_is_remembered() -> None:
    variables = variables_like([np.ones(shape) for shape in SHAPES.values()])
    one = keras.optimizers.LossScaleOptimizer(optimizer("sgd", 0.1), initial_scale=8.0)
    one.build(variables)
    apply(one, batch(0), variables)
    apply(one, [gradient * float("nan") for gradient in batch(0)], variables)

    other = keras.optimizers.LossScaleOptimizer(optimizer("sgd", 0.1), initial_scale=8.0)
    other.build(variables)
    load_optimizer_state(other, optimizer_state(one))

    assert float(other.dynamic_scale) == 4.0
    assert int(other.iterations) == 1
    assert unwrapped(other) is other.inner_optimizer


def test_in_the_middle_of_an_update_what_is_accumulated_is_kept() -> None:
    one, first = optimizer("sgd", 0.1, accumulate=2), variables_like([np.ones(shape) for shape in SHAPES.values()])
    one.apply(batch(0), first)
    assert in_mid_update(one)
    state = optimizer_state(one)
    assert (int(state["iterations"]), int(state["accumulated/batches"])) == (0, 1)

    other, second = optimizer("sgd", 0.1, accumulate=2), variables_like([np.ones(shape) for shape in SHAPES.values()])
    other.build(second)
    load_optimizer_state(other, state)
    for made, variables in ((one, first), (other, second)):
        made.apply(batch(1), variables)

    assert not in_mid_update(other)
    assert int(optimizer_state(other)["iterations"]) == 1
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    with pytest.raises(ModelError, match="accumulated/0000"):
        load_optimizer_state(optimizer_built("sgd", accumulate=1), state)


def optimizer_built(kind: str, **options: int) -> keras.optimizers.Optimizer:
    made = optimizer(kind, 0.1, **options)
    made.build(variables_like([np.ones(shape) for shape in SHAPES.values()]))
    return made


def test_a_state_of_another_optimizer_is_refused_and_nothing_changes() -> None:
    variables = variables_like([np.ones(shape) for shape in SHAPES.values()])
    one, other = optimizer("sgd", 0.1), optimizer("adamw", 0.1)
    one.build(variables)
    other.apply(batch(0), variables)

    with pytest.raises(ModelError, match="my.file does not fit, nothing was loaded: .*_velocity is not part"):
        load_optimizer_state(one, optimizer_state(other), "my.file")
    assert int(one.iterations) == 0
