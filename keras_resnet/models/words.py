"""What other libraries call arguments of ours: taken where it means the same, else answered by what says it here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from keras_resnet.errors import UsageError, listed, nearest

P = ParamSpec("P")
R = TypeVar("R")

SYNONYMS = {"classes": "num_classes", "num_classes": "classes"}
"""Words of keras.applications and ours that mean the same, whatever the function: each is taken for the other."""

OTHER_WORDS = {
    "num_labels": "num_classes says it",
    "pretrained": "weights='imagenet' says it",
    "in_chans": "input_shape=(height, width, channels) says it",
    "input_size": "input_shape=(height, width, channels) says it",
    "data_format": (
        "networks are channels last, input_shape=(height, width, channels); move the axis of images that are channels "
        "first by numpy.moveaxis(images, 1, -1)"
    ),
    "global_pool": "pooling says it, together with include_top=False",
    "drop_rate": "dropout says it",
    "drop_path_rate": "stochastic_depth says it",
    "drop_connect_rate": "stochastic_depth says it",
    "activation": "classifier_activation says it",
}
"""Words of KerasHub, timm and torchvision."""


def understood(
    function: str, received: Mapping[str, Any], words: Sequence[str], said: Sequence[str] = ()
) -> dict[str, Any]:
    """Arguments by the words that a function has for them.

    Args:
        function: Its name.
        received: Arguments by name.
        words: Those it has.
        said: Those of them that were given without their names.

    Raises:
        UsageError: It has no such argument, with what was meant; or two words say the same.
    """
    found: dict[str, Any] = {}
    for word, value in received.items():
        ours = word if word in words else SYNONYMS.get(word, word)
        if ours not in words:
            known, near = OTHER_WORDS.get(word, ""), nearest(word, words)
            hint = known if any(one in known for one in words) else ""
            hint = hint or (f"did you mean {near!r}?" if near else f"there are {listed(words, 30)}")
            raise UsageError(f"{function} has no argument {word!r}: {hint}")
        if ours in found or (ours != word and ours in said):
            raise UsageError(f"{function} received {ours} twice: {word!r} says the same")
        found[ours] = value
    return found


def answering_other_words(function: Callable[P, R]) -> Callable[P, R]:
    """A function that takes other libraries' words that mean the same, and answers those that do not by its own.

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
        named: Any = understood(function.__name__, options, words, unnamed[: len(arguments)])
        return function(*arguments, **named)

    return answering
