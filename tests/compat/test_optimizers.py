from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_resnet.compat.optimizers import HookedAdafactor, HookedOptimizer, batch_counter, gradient_accumulators
from keras_resnet.errors import UsageError
from keras_resnet.optimizers.by_name import OPTIMIZERS, optimizer
from keras_resnet.optimizers.state import optimizer_state
from keras_resnet.optimizers.update_rules import Lamb, Momentum
from tests.compat.contract import assert_takes, changed
from tests.optimizers.variables import named_variables

ON_TENSORFLOW = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow alone calls this")


class Descent(HookedOptimizer):
    """Gradient descent that notes in which order its steps are called."""

    def __init__(self, learning_rate: Any = 1.0, **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.seen: list[str] = []

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        self.seen.append(f"rule {self.position(variable)}")
        self.assign_sub(variable, learning_rate * gradient)

    def before_rule(self, gradients: Any, variables: Any) -> list[Any]:
        self.seen.append(f"gradients {[self.position(variable) for variable in variables]}")
        return super().before_rule(gradients, variables)

    def decays(self, variable: Any) -> bool:
        self.seen.append("decay")
        return super().decays(variable)

    def rate_after(self, updates: Any) -> Any:
        self.seen.append(f"rate {int(updates)}")
        return super().rate_after(updates)


def two_variables() -> list[keras.Variable]:
    return named_variables({"a/kernel": np.ones((2, 2)), "b/kernel": np.ones((2, 2))})


def gradients(value: float = 1.0) -> list[Any]:
    return [keras.ops.full((2, 2), value), keras.ops.full((2, 2), 2 * value)]


@pytest.mark.parametrize(
    ("name", "parameters", "purpose"),
    [
        ("_get_variable_index", ("variable",), "find a variable's place"),
        ("_get_current_learning_rate", (), "decide the rate of an update"),
        ("_use_weight_decay", ("variable",), "decide which variables decay"),
        ("_apply_weight_decay", ("variables",), "leave the decay to the rule"),
        ("_backend_update_step", ("grads", "trainable_variables", "learning_rate"), "change gradients before the rule"),
    ],
)
def test_the_steps_of_an_update_take_what_they_took(name: str, parameters: tuple[str, ...], purpose: str) -> None:
    assert_takes(keras.optimizers.Optimizer, name, parameters, "optimizers.HookedOptimizer", purpose)


@ON_TENSORFLOW
def test_on_tensorflow_gradients_are_summed_over_replicas_in_a_step_of_their_own() -> None:
    purpose = "change gradients after they are summed over the replicas"

    assert_takes(
        keras.optimizers.Optimizer,
        "_all_reduce_sum_gradients",
        ("grads_and_vars",),
        "optimizers.HookedOptimizer",
        purpose,
    )


@ON_TENSORFLOW  # JAX traces updates
def test_keras_takes_the_steps_in_the_order_that_the_hooks_rely_on() -> None:
    made = Descent(weight_decay=0.5)

    made.apply(gradients(), two_variables())

    # Keras shrinks each weight by the rate, then asks for the rate of the rule.
    expected = ["decay", "rate 0", "decay", "rate 0", "rate 0", "gradients [0, 1]", "rule 0", "rule 1"]
    assert made.seen == expected, changed("Optimizer.apply", "optimizers.HookedOptimizer", "be asked in this order")


@ON_TENSORFLOW
def test_accumulated_gradients_reach_the_hook_once_an_update_as_their_mean() -> None:
    made, variables = Descent(gradient_accumulation_steps=2), two_variables()

    made.apply(gradients(1.0), variables)
    made.apply(gradients(3.0), variables)

    message = changed("Optimizer._backend_apply_gradients", "optimizers.HookedOptimizer", "see whole updates only")
    assert made.seen.count("gradients [0, 1]") == 1, message
    np.testing.assert_allclose(np.asarray(variables[0]), -1.0, err_msg=message)  # 1 - (1 + 3) / 2
    np.testing.assert_allclose(np.asarray(variables[1]), -3.0, err_msg=message)


def test_a_position_is_that_among_the_variables_it_was_built_for_whatever_stands_for_them() -> None:
    made, variables = Descent(), two_variables()
    made.build(variables)

    found = [made.position(variable) for variable in variables]

    message = changed("Optimizer._get_variable_index", "optimizers.HookedOptimizer", "find a variable's place")
    assert found == [0, 1], message
    if keras.backend.backend() == "tensorflow":
        assert [made.position(variable.value) for variable in variables] == [0, 1], message


def test_the_rate_is_what_the_optimizer_was_given() -> None:
    halving = keras.optimizers.schedules.PiecewiseConstantDecay([1], [1.0, 0.5])
    message = changed("Optimizer._learning_rate", "optimizers.HookedOptimizer", "compute the rate of any update")

    assert float(keras.ops.convert_to_numpy(Descent(0.25).rate_after(7))) == 0.25, message
    assert [float(Descent(halving).rate_after(updates)) for updates in (1, 2)] == [1.0, 0.5], message
    assert float(Descent(halving).learning_rate) == 1.0, message


def test_rules_that_see_to_the_decay_themselves_are_not_shrunk() -> None:
    shrunk, kept = two_variables(), two_variables()
    Frugal = type("Frugal", (Descent,), {"shrinks_weights": False})

    Descent(0.5, weight_decay=0.5).apply(gradients(0.0), shrunk)
    Frugal(0.5, weight_decay=0.5).apply(gradients(0.0), kept)

    message = changed("Optimizer._apply_weight_decay", "optimizers.HookedOptimizer", "leave the decay to the rule")
    assert np.asarray(shrunk[0])[0, 0] == 0.75, message
    assert np.asarray(kept[0])[0, 0] == 1.0, message


def test_batches_are_counted_apart_from_updates_and_their_gradients_summed() -> None:
    made, variables = Descent(gradient_accumulation_steps=3), two_variables()
    assert gradient_accumulators(Descent()) == []

    made.apply(gradients(1.0), variables)
    made.apply(gradients(2.0), variables)

    counter = changed("Optimizer._iterations", "optimizers.batch_counter", "know how many batches are accumulated")
    assert int(keras.ops.convert_to_numpy(batch_counter(made))) == 2, counter
    assert int(keras.ops.convert_to_numpy(made.iterations)) == 0, counter
    sums = [np.asarray(sum_)[0, 0] for sum_ in gradient_accumulators(made)]
    user = "optimizers.gradient_accumulators"
    message = changed("Optimizer._accumulated_gradients", user, "drop a part of an update")
    assert sums == [3.0, 6.0], message


def test_adafactor_remembers_mean_squares_by_row_and_by_column() -> None:
    [kernel] = named_variables({"a/kernel": np.ones((3, 3, 4, 5))})
    made = HookedAdafactor(0.1)
    made.build([kernel])

    shapes = [tuple(square.shape) for square in made.mean_squares(kernel)]

    assert shapes == [(3, 3, 4), (3, 3, 5)], changed(
        "Adafactor._r and _c", "optimizers.HookedAdafactor", "write the rule again without dividing nought by nought"
    )


def trained(made: keras.optimizers.Optimizer, path: Path) -> keras.Model:
    """A tiny model after an update, saved."""
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3, name="head_dense")(inputs))
    model.compile(made, keras.losses.MeanSquaredError(), run_eagerly=True)
    model.train_on_batch(np.ones((2, 4)), np.ones((2, 3)))
    model.save(path)
    return model


@pytest.mark.parametrize("rule", [*(word for word in OPTIMIZERS if word != "adafactor"), Momentum, Lamb])
def test_a_state_in_an_h5_file_is_there_when_keras_has_read_it_and_after_it_was_saved_again(
    rule: str | type[Momentum], tmp_path: Path
) -> None:
    model = trained(optimizer(rule, 0.1) if isinstance(rule, str) else rule(0.1), tmp_path / "one.h5")

    once = keras.models.load_model(tmp_path / "one.h5")
    once.save(tmp_path / "two.h5")
    again = keras.models.load_model(tmp_path / "two.h5")

    assert int(once.optimizer.iterations) == 1
    again.optimizer.build(again.trainable_variables)
    expected, found = optimizer_state(model.optimizer), optimizer_state(again.optimizer)
    assert expected.keys() == found.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_a_state_that_waits_is_set_once_where_keras_builds_inside_a_traced_function(tmp_path: Path) -> None:
    model = trained(optimizer("sgd", 0.1), tmp_path / "one.h5")
    again = keras.models.load_model(tmp_path / "one.h5")
    again.jit_compile = False

    for each in (model, again):
        for _ in range(2):
            each.train_on_batch(np.ones((2, 4)), np.ones((2, 3)))

    for mine, theirs in zip(model.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_allclose(theirs, mine, atol=1e-6, err_msg=mine.path)


def test_a_state_of_another_network_is_refused_when_it_is_set(tmp_path: Path) -> None:
    waiting, built = optimizer("sgd", 0.1), trained(optimizer("sgd", 0.1), tmp_path / "one.h5").optimizer
    state = [np.asarray(one) for one in built.variables]
    waiting.set_weights(state)

    with pytest.raises(UsageError, match="the state is of another optimizer or network: sgd remembers 6 arrays"):
        waiting.build([keras.Variable(np.zeros((2, 2)), name="kernel"), keras.Variable(np.zeros(2), name="bias")])
    with pytest.raises(UsageError, match="received 5, of shapes"):
        built.set_weights(state[:-1])
