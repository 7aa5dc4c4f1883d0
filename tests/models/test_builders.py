import inspect
from typing import Any

import pytest

import keras_resnet
from keras_resnet.errors import UsageError
from keras_resnet.models.resnet import build
from keras_resnet.models.words import OTHER_WORDS, SYNONYMS


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((), {"classes": 10, "num_classes": 3}, "ResNet50 received num_classes twice: '.*' says the same"),
        ((10,), {"classes": 10}, "ResNet50 received num_classes twice: 'classes' says the same"),
        ((), {"data_format": "channels_first"}, r"'data_format': networks are channels last, input_shape=\(height"),
        ((), {"pretrained": True}, "'pretrained': weights='imagenet' says it"),
        ((), {"drop_path_rate": 0.1}, "'drop_path_rate': stochastic_depth says it"),
        ((), {"inputshape": (64, 64, 3)}, "'inputshape': did you mean 'input_shape'"),
        ((), {"zzz": 1}, "'zzz': there are 'num_classes', 'input_shape'"),
        (
            (False, None),
            {},
            r"takes the number of classes alone without its name, .* False, None: name them, or take .* keras_resnet.a",
        ),
        ((True,), {}, "received True: name them, or take keras.applications' order .* keras_resnet.applications"),
        ((10, "imagenet"), {}, r"as in ResNet50\(10, weights='imagenet'\); received 10, 'imagenet'"),
    ],
)
def test_words_of_other_libraries_are_answered_by_ours(
    arguments: tuple[Any, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        keras_resnet.ResNet50(*arguments, **options)


def test_no_word_of_ours_is_called_another_librarys() -> None:
    ours = set(inspect.signature(build).parameters)

    assert not ours & set(OTHER_WORDS)
    assert not OTHER_WORDS.keys() & SYNONYMS.keys()
    said = {word for hint in OTHER_WORDS.values() for word in ours if word in hint}
    assert said >= {"num_classes", "weights", "input_shape", "pooling", "dropout", "stochastic_depth"}


def test_build_and_cost_take_a_network_by_its_name() -> None:
    small = {"num_classes": 2, "input_shape": (32, 32, 3)}

    assert keras_resnet.cost("ResNet-8", **small) == keras_resnet.cost(keras_resnet.spec("resnet8"), **small)
    assert keras_resnet.cost("resnet8", classes=3) == keras_resnet.cost("resnet8", 3) != keras_resnet.cost("resnet8", 4)
    assert (
        keras_resnet.ResNet8(classes=3).output_shape
        == keras_resnet.build("resnet8", classes=3).output_shape
        == (None, 3)
    )
    assert keras_resnet.build("resnet8", **small).count_params() == keras_resnet.ResNet8(**small).count_params()
    for call in (keras_resnet.build, keras_resnet.cost):
        with pytest.raises(UsageError, match="did you mean 'resnet50' or 'resnet101'"):
            call("resnet51")
        with pytest.raises(UsageError, match="has no argument 'num_labels': num_classes says it"):
            call("resnet8", num_labels=3)
        with pytest.raises(
            UsageError, match=r"spec and num_classes alone .* received \(8, 8, 3\) after them: name them"
        ):
            call("resnet8", 3, (8, 8, 3))
    with pytest.raises(UsageError, match="cost has no argument 'pretrained': there are 'spec', 'num_classes'"):
        keras_resnet.cost("resnet8", pretrained=True)
