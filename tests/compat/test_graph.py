import keras
import numpy as np

from keras_resnet.compat.graph import calls, compute, is_functional, kind_of
from tests.compat.contract import assert_takes, changed


def test_functional_models_are_known_from_the_others() -> None:
    inputs = keras.Input((2,))
    functional = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    kinds = [functional, keras.Sequential([keras.layers.Dense(1)]), keras.Model()]

    found = [is_functional(model) for model in kinds]

    assert found == [True, False, False], changed("Functional", "graph.is_functional", "refuse what has no graph")


def test_layers_and_operations_of_keras_are_known_by_their_kind_and_those_of_others_are_not() -> None:
    class Add(keras.layers.Add):
        pass

    x = keras.Input((2,))
    model = keras.Model(x, Add()([keras.layers.Add()([x + x, x]), keras.ops.relu(x)]))

    found = sorted(kind_of(call.operation) for call in calls(model))

    assert found == ["", "Add", "Add", "Relu"], changed(
        "keras.src.ops", "graph.kind_of", "follow channels through sums"
    )


def test_the_calls_of_a_graph_are_those_of_this_model_alone() -> None:
    inputs = keras.Input((2,))
    first, twice, norm = keras.layers.Dense(2), keras.layers.ReLU(), keras.layers.BatchNormalization()
    y = first(inputs)
    last = keras.layers.Add()
    model = keras.Model(inputs, last([twice(y), twice(norm(y, training=True) * 2.0)]))
    keras.Model(inputs, keras.layers.Dense(3)(y))  # another model with the first layer

    found = calls(model)

    message = changed("Functional._nodes_by_depth, Node", "graph.calls", "fold only what nothing else reads")
    kinds = [type(call.operation).__name__ for call in found]
    assert kinds[0] == "Dense", message
    assert sorted(kinds) == ["Add", "BatchNormalization", "Dense", "Multiply", "ReLU", "ReLU"], message
    assert kinds[-1] == "Add", message
    readers = sorted(type(call.operation).__name__ for call in found if any(one is y for one in call.inputs))
    assert readers == ["BatchNormalization", "ReLU"], message
    told = [call.operation for call in found if call.in_training]
    assert norm in told, message
    assert first not in told, message
    assert last in told, message  # since it comes later
    assert found[0].outputs[0] is y, message


def test_a_part_of_a_graph_is_computed_as_its_layers_are_told() -> None:
    inputs = keras.Input((4,))
    y = keras.layers.Dropout(0.5, seed=1)(keras.layers.Dense(4, kernel_initializer="ones")(inputs), training=False)
    function = keras.Function(inputs, y)
    x = keras.ops.ones((8, 4))

    trained, inferred = (keras.ops.convert_to_numpy(compute(function, x, training)) for training in (True, False))

    message = changed("Function._run_through_graph or operation_fn", "graph.compute", "train parts of a network")
    np.testing.assert_array_equal(inferred, 4.0, err_msg=message)
    assert set(np.unique(trained)) == {0.0, 8.0}, message
    assert_takes(
        keras.Function,
        "_run_through_graph",
        ("inputs", "operation_fn", "call_fn"),
        "graph.compute",
        "train parts of a network",
    )
