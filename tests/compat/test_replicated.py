import inspect

import keras
import numpy as np
import pytest

from keras_resnet.compat.replicated import ReplicatedUpdates, build_metrics, sum_gradients_first
from tests.compat.contract import assert_takes, changed

# That the copies stay the same, and what is clipped and accumulated, tests/training/test_distribution.py holds.
USER = "replicated.ReplicatedUpdates"
PURPOSE = "let each replica update its own copy"
BEFORE_THE_FIRST_BATCH = "make the variables of loss and metrics before the first batch"
STEPS = (
    "_all_reduce_sum_gradients",
    "_backend_update_step",
    "_backend_increment_gradient_accumulators",
    "_apply_weight_decay",
)


@pytest.mark.parametrize("name", STEPS)
def test_each_step_is_one_of_keras_that_takes_the_same(name: str) -> None:
    ours = tuple(inspect.signature(getattr(ReplicatedUpdates, name)).parameters)[1:]

    assert_takes(keras.optimizers.Optimizer, name, ours, USER, PURPOSE)


def test_the_replicas_meet_in_these_steps_of_keras_and_in_no_others() -> None:
    meeting = set()
    for kind in keras.optimizers.Optimizer.__mro__:
        for name, function in vars(kind).items():
            names = set(function.__code__.co_names) if inspect.isfunction(function) else set()
            if names & {"maybe_merge_call", "all_reduce"}:
                meeting.add(name)

    assert meeting == set(STEPS), changed("TFOptimizer", USER, PURPOSE)


def test_an_optimizer_keeps_what_it_overrides_itself() -> None:
    class Silent(keras.optimizers.SGD):
        def _apply_weight_decay(self, variables: list) -> None:
            """Nothing decays."""

    made = Silent(0.1)
    sum_gradients_first(made)

    order = [kind.__name__ for kind in type(made).__mro__]
    assert order.index("SGD") < order.index("ReplicatedUpdates") < order.index("Optimizer")
    assert type(made)._apply_weight_decay is Silent._apply_weight_decay


@pytest.mark.parametrize("name", ["_symbolic_build", "_maybe_symbolic_build"])
def test_the_steps_before_the_first_batch_take_what_they_took(name: str) -> None:
    assert_takes(keras.Model, name, ("iterator", "data_batch"), "replicated.build_metrics", BEFORE_THE_FIRST_BATCH)


def test_the_variables_of_loss_and_metrics_are_made_of_shapes_and_fit_makes_no_others() -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    model.compile("sgd", "mse", metrics=["mae"], jit_compile=False)
    assert [metric.name for metric in model.metrics] == ["loss", "compile_metrics"]

    build_metrics(model)

    made = [variable for metric in model.metrics for variable in metric.variables]
    message = changed("Trainer._symbolic_build", "replicated.build_metrics", BEFORE_THE_FIRST_BATCH)
    assert len(made) == 4, message  # total and count of the loss and of the error
    model.fit(np.ones((2, 4)), np.ones((2, 2)), verbose=0)
    after = [variable for metric in model.metrics for variable in metric.variables]
    assert [id(variable) for variable in after] == [id(variable) for variable in made], message
