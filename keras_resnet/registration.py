"""Lets Keras read our optimizers, schedules, losses and layers back from its files, once this package is imported.

Keras reads only classes that are registered with it, and to import a class registers it. `import keras_resnet` imports
neither Keras nor TensorFlow. So stand-ins are registered when Keras is imported, and the class when it is first needed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from keras_resnet.allowed import OPTIMIZER

PACKAGE = "keras_resnet"
HOMES = {
    **dict.fromkeys(("Constant", "MultiStep", "Step", "Cosine", "OneCycle"), "schedules"),
    "BinaryCrossEntropy": "losses",
    **dict.fromkeys(("Momentum", "DecayingMomentum", "Adam", "Lamb", "Adafactor"), "optimizers.update_rules"),
    **dict.fromkeys(OPTIMIZER.choices, "optimizers.by_name"),
    **dict.fromkeys(
        (
            "ActivationRange",
            "ChannelRescaling",
            "RoundedConv1D",
            "RoundedConv2D",
            "RoundedDense",
            "RoundedDepthwiseConv2D",
        ),
        "models.fake_quantization",
    ),
}
"""For each name that a class is registered under, the module whose import does it."""


def register_with_keras() -> None:
    """Register the stand-ins now if Keras is imported, else as soon as it is."""
    if "keras" in sys.modules:
        _register()
    elif not any(isinstance(finder, _WhenKerasIsImported) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WhenKerasIsImported())


class _WhenKerasIsImported(MetaPathFinder):
    is_asked = False

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "keras" or self.is_asked:
            return None
        self.is_asked = True  # by what it asks itself
        try:
            found = find_spec(name)
        finally:
            self.is_asked = False
        if found is not None and found.loader is not None:
            execute = found.loader.exec_module

            def and_register(module: ModuleType) -> None:
                # Not before: whoever asks whether Keras is there, and does not import it, gets here, too.
                if self in sys.meta_path:
                    sys.meta_path.remove(self)
                execute(module)
                _register()

            found.loader.exec_module = and_register  # type: ignore[method-assign]
        return found


def _register() -> None:
    import keras

    registered = keras.saving.get_custom_objects()
    for name, home in HOMES.items():
        registered.setdefault(f"{PACKAGE}>{name}", _stand_in(name, f"{PACKAGE}.{home}"))


def _stand_in(name: str, module: str) -> type:
    class StandIn:
        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            import keras

            import_module(module)  # which registers the class instead
            return keras.saving.get_custom_objects()[f"{PACKAGE}>{name}"].from_config(config)

    StandIn.__name__ = name
    return StandIn
