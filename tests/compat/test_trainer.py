import keras
import numpy as np
import pytest

from keras_resnet.compat.trainer import build_metrics
from tests.compat.contract import assert_takes, changed

PURPOSE = "make the variables of loss and metrics before the first batch"


@pytest.mark.parametrize("name", ["_symbolic_build", "_maybe_symbolic_build"])
def test_the_steps_before_the_first_batch_take_what_they_took(name: str) -> None:
    assert_takes(keras.Model, name, ("iterator", "data_batch"), "trainer.build_metrics", PURPOSE)


def test_the_variables_of_loss_and_metrics_are_made_of_shapes_and_fit_makes_no_others() -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    model.compile("sgd", "mse", metrics=["mae"], jit_compile=False)
    assert [metric.name for metric in model.metrics] == ["loss", "compile_metrics"]

    build_metrics(model)

    made = [variable for metric in model.metrics for variable in metric.variables]
    message = changed("Trainer._symbolic_build", "trainer.build_metrics", PURPOSE)
    assert len(made) == 4, message  # total and count of the loss and of the error
    model.fit(np.ones((2, 4)), np.ones((2, 2)), verbose=0)
    after = [variable for metric in model.metrics for variable in metric.variables]
    assert [id(variable) for variable in after] == [id(variable) for variable in made], message
