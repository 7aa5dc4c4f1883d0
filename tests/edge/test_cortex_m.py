"""The C code on simulated microcontrollers: `make test-edge`."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import keras_resnet
from keras_resnet.models.resnet import build
from keras_resnet.models.variants import spec
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.quantize.post_training import Quantization
from tests.shared import script_module

pytest.importorskip("ai_edge_litert", reason="the extra 'edge' is not installed")

pytestmark = pytest.mark.edge
benchmark = script_module("benchmark_c")
READY = Preprocessing(Fit((16, 16), 3), (120.0,) * 3, (60.0,) * 3, tuple("abcde"))
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if missing := benchmark.missing_tools():
        pytest.skip(f"{', '.join(missing)} not installed: make edge-tools")
    path: Path = tmp_path_factory.mktemp("edge") / "network"
    model = build(spec("resnet8"), preprocessing=READY, num_classes=5, classifier_activation=None, seed=0)
    keras_resnet.export_c(model, path, calibration=IMAGES, quantization=Quantization("minmax", False, False))
    return path


@pytest.mark.parametrize("board", benchmark.BOARDS, ids=lambda board: board.machine)
def test_a_board_gives_the_outputs_of_the_reference_kernels(board: object, folder: Path) -> None:
    done = benchmark.selftest_on(board, folder)

    assert (done.returncode, done.stdout) == (0, "passed: 0 of 40 outputs differ\n"), done.stderr


def test_a_board_finds_a_changed_bias(folder: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(folder, tmp_path / "changed"))
    name, text = "const int32_t bias", (folder / "model.c").read_text()
    at = text.index("    ", text.rindex(name)) + 4  # of the classifier
    (changed / "model.c").write_text(f"{text[:at]}9{text[at:].lstrip('-')}")

    done = benchmark.selftest_on(benchmark.BOARDS[0], changed)

    assert done.returncode == 1
    assert "FAILED" in done.stdout


def test_instructions_and_sizes_are_counted(folder: Path) -> None:
    board = benchmark.BOARDS[0]
    flash, ram = benchmark.sizes_on(board, folder, "-Os")
    stated = int((folder / "model.h").read_text().split("ARENA_BYTES ")[1].split()[0])

    # 3.1 million products; each takes two instructions or more, and less than six.
    assert 6_000_000 < benchmark.instructions_on(board, folder, "-O2") < 19_000_000
    assert stated == ram
    assert 78_000 < flash < 90_000
