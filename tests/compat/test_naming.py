import keras

from keras_resnet.compat.naming import numbered_from_the_beginning
from tests.compat.contract import changed


def test_layers_are_numbered_from_the_beginning_and_afterwards_as_before() -> None:
    keras.layers.ReLU()
    before = int(keras.layers.ReLU().name.removeprefix("re_lu_"))

    with numbered_from_the_beginning():
        inside = [keras.layers.ReLU().name for _ in range(2)]
    after = keras.layers.ReLU().name

    assert (inside, after) == (["re_lu", "re_lu_1"], f"re_lu_{before + 1}"), changed(
        "global_state's object_name_uids",
        "naming.numbered_from_the_beginning",
        "give a network's variables the same names in every process",
    )
