"""What other libraries call arguments of ours, and what says them here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import ParamSpec, TypeVar

from keras_resnet.errors import UsageError, listed, nearest

P = ParamSpec("P")
R = TypeVar("R")

OTHER_WORDS = {
    "classes": "num_classes says it",
    "num_labels": "num_classes says it",
    "pretrained": "weights='imagenet' says it",
    "input_tensor": "give input_shape and call the model on the tensor: model(tensor)",
    "in_chans": "input_shape=(height, width, channels) says it",
    "input_size": "input_shape=(height, width, channels) says it",
    "global_pool": "pooling says it, together with include_top=False",
    "drop_rate": "dropout says it",
    "drop_path_rate": "stochastic_depth says it",
    "drop_connect_rate": "stochastic_depth says it",
    "activation": "classifier_activation says it",
}
"""Words of keras.applications, KerasHub, timm and torchvision."""


def refuse_other_words(function: str, received: Iterable[str], words: Sequence[str]) -> None:
    """Refuse arguments that a function has not, and say which was meant.

    Args:
        function: Its name.
        received: Names of arguments.
        words: Those it has.

    Raises:
        UsageError: One of them it has not.
    """
    for word in received:
        if word not in words:
            known, near = OTHER_WORDS.get(word, ""), nearest(word, words)
            hint = known if any(one in known for one in words) else ""
            hint = hint or (f"did you mean {near!r}?" if near else f"there are {listed(words, 30)}")
            raise UsageError(f"{function} has no argument {word!r}: {hint}")


def answering_other_words(function: Callable[P, R]) -> Callable[P, R]:
    """A function that answers arguments that it has not by those it has.

    Args:
        function: Any.
    """
    parameters = inspect.signature(function).parameters.values()
    words = [one.name for one in parameters]
    unnamed = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]

    @wraps(function)
    def answering(*arguments: P.args, **options: P.kwargs) -> R:
        if len(arguments) > len(unnamed):
            raise UsageError(
                f"{function.__name__} takes {' and '.join(unnamed)} alone without their names; received "
                f"{', '.join(map(repr, arguments[len(unnamed) :]))} after them: name them"
            )
        refuse_other_words(function.__name__, options, words)
        return function(*arguments, **options)

    return answering
