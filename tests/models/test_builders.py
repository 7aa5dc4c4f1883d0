import inspect
from typing import Any

import pytest

import keras_resnet
from keras_resnet.errors import UsageError
from keras_resnet.models.builders import OTHER_WORDS
from keras_resnet.models.resnet import build


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((), {"classes": 10}, "ResNet50 has no argument 'classes': num_classes says it"),
        ((), {"input_tensor": None}, "'input_tensor': give input_shape and call the model on the tensor"),
        ((), {"pretrained": True}, "'pretrained': weights='imagenet' says it"),
        ((), {"drop_path_rate": 0.1}, "'drop_path_rate': stochastic_depth says it"),
        ((), {"inputshape": (64, 64, 3)}, "'inputshape': did you mean 'input_shape'"),
        ((), {"zzz": 1}, "'zzz': there are 'num_classes', 'input_shape'"),
        ((False, None), {}, r"takes the number of classes alone without its name, .* received False, None: name them"),
        ((True,), {}, "received True: name them"),
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
    said = {word for hint in OTHER_WORDS.values() for word in ours if word in hint}
    assert said >= {"num_classes", "weights", "input_shape", "pooling", "dropout", "stochastic_depth"}
