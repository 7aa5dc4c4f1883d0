import keras
import numpy as np

from keras_resnet.compat.graph import compute, is_functional, readers, times_called
from tests.compat.contract import assert_takes, changed


def test_functional_models_are_known_from_the_others() -> None:
    inputs = keras.Input((2,))
    functional = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    kinds = [functional, keras.Sequential([keras.layers.Dense(1)]), keras.Model()]

    found = [is_functional(model) for model in kinds]

    assert found == [True, False, False], changed("Functional", "graph.is_functional", "refuse what has no graph")


def test_readers_are_counted_for_layers_and_operations_once_for_each_reading() -> None:
    inputs = keras.Input((2,))
    first, twice = keras.layers.Dense(2), keras.layers.ReLU()
    y = first(inputs)
    last = keras.layers.Add()
    last([twice(y), twice(y * 2.0)])

    names = sorted(type(reader).__name__ for reader in readers(first))

    message = changed("Operation._outbound_nodes", "graph.readers", "fold only what nothing else reads")
    assert names == ["Multiply", "ReLU"], message
    assert readers(twice) == [last, last], message
    assert readers(last) == [], message
    counts = [times_called(layer) for layer in (first, twice, last)]
    assert counts == [1, 2, 1], changed("Operation._inbound_nodes", "graph.times_called", "leave shared layers alone")


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
