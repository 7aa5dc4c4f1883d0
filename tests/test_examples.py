"""The examples in docstrings, run as a reader would run them."""

import doctest
import importlib
from pathlib import Path

import pytest

import keras_resnet
from keras_resnet.models.resnet import build
from tests.shared import ONE_BLOCK

PACKAGE = Path(keras_resnet.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join(("keras_resnet", *path.relative_to(PACKAGE).with_suffix("").parts))
    for path in PACKAGE.rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8")
)


def test_whatever_keras_takes_of_ours_shows_how_it_is_used() -> None:
    ours = [
        keras_resnet.Augmentation,
        keras_resnet.losses.BinaryCrossEntropy,
        *(getattr(room, name) for room in (keras_resnet.callbacks, keras_resnet.optimizers) for name in room.__all__),
        *(one for one in vars(keras_resnet.schedules).values() if getattr(one, "after_warmup", None)),
    ]

    assert len(ours) > 20
    assert [one.__name__ for one in ours if ">>>" not in one.__doc__] == []


SLOW = ("keras_resnet.callbacks.diagnosis", "keras_resnet.callbacks.export")  # trained, and drawn or converted


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in WITH_EXAMPLES]
)
def test_examples_give_what_they_say(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # Any network does: this one is traced in half the time.
    if name.split(".")[1] in ("callbacks", "compression", "exports", "optimizers"):
        monkeypatch.setattr(keras_resnet, "ResNet8", lambda **options: build(ONE_BLOCK, **options))
    module = importlib.import_module(name)
    if name.endswith("optimizers.by_name"):  # made by a loop, so that doctest does not find them by itself
        module.__dict__["__test__"] = {one.__name__: one.__doc__ for one in module.OPTIMIZERS.values()}

    failed, tried = doctest.testmod(module, optionflags=doctest.ELLIPSIS)

    assert tried > 0
    assert failed == 0
