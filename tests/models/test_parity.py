"""The same logits as PyTorch's networks with the same weights: every family, stride and padding rule."""

from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec
from tests.golden.cases import CASES, CLASSES, FILE, SIDES

TENSORS = load_file(FILE)
QUICK = (
    "basic", "bottleneck_stride8", "hugging_face_v1", "rs", "eca", "blur_bottleneck", "resnext", "cifar_identity",
    "wrn", "preact_bottleneck_stride8",
)  # fmt: skip
"""Between them, every field and option of the cases."""


def test_every_field_and_option_is_compared_in_the_default_suite() -> None:
    def said(names: Iterable[str]) -> set[tuple[str, object]]:
        free = {"widths", "stem_width", "se_ratio"}
        pairs = (pair for name in names for pair in (*CASES[name].row.items(), *CASES[name].options.items()))
        return {pair for pair in pairs if pair[0] not in free}

    assert said(CASES) - said(QUICK) == {("output_stride", 16)}


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_logits_are_those_of_pytorch_by_kerass_layers_alone(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    prefix = f"{case.weights_of or name}/"
    weights = {key.removeprefix(prefix): tensor for key, tensor in TENSORS.items() if key.startswith(prefix)}
    save_file({key: tensor.astype(np.float32) for key, tensor in weights.items()}, tmp_path / "net.safetensors")

    # A blurred network of any size needs an operation that is no layer.
    for built in SIDES if case.row.get("antialias") else (None,):
        model = build(
            ResNetSpec("golden", **case.row),
            CLASSES,
            input_shape=(built, built, 3),
            classifier_activation=None,
            weights=tmp_path / "net.safetensors",
            **case.options,
        )

        # Keras reads other operations back from a `.keras` file only.
        assert {type(one).__module__.split(".")[0] for one in model.operations} == {"keras"}
        assert [one.name for one in model.operations if not isinstance(one, keras.layers.Layer)] == []
        for side in (built,) if built else SIDES:
            logits = model(TENSORS[f"images/{side}"].astype(np.float32) / 127.5 - 1).numpy()
            expected = TENSORS[f"logits/{name}/{side}"]
            assert np.abs(expected).max() > 0.5, "logits near zero would prove nothing"
            assert np.abs(logits - expected).max() < 1e-4


def test_the_golden_file_is_small() -> None:
    assert FILE.stat().st_size < 1_000_000
