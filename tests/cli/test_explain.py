"""`keras-resnet explain` as a user types it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_resnet.cli import main
from keras_resnet.runs.run import Run


@pytest.fixture
def digit(tmp_path: Path) -> Path:
    path = tmp_path / "digit.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8)).astype(np.uint8)).save(path)
    return path


def test_a_run_explains_an_image_and_says_where_and_what(
    finished_run: Run, digit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "explain",
        str(finished_run.path),
        str(digit),
        str(tmp_path / "none.png"),
        "--out",
        str(tmp_path / "out"),
    ]
    command += ["--class", "3", "--class", "5", "--filters", "--activations", "--data", "digits", "--limit", "30"]
    command += ["--channels", "2", "--method", "grad-cam"]

    assert main(command) == 3, "one image is not there, and the other is explained all the same"

    shown = capsys.readouterr()
    assert "none.png" in shown.err
    assert f"{digit}: the model says " in shown.out
    assert shown.out.count("  3, Grad-CAM: ") == shown.out.count("  5, Grad-CAM: ") == 1
    names = ["explanations.json", "digit.png", "filters.png", "digit-activations.png", "exciting_images.png"]
    assert [line.rpartition("/")[2] for line in shown.out.splitlines() if line.startswith("wrote ")] == names
    assert {file.name for file in (tmp_path / "out").iterdir()} == set(names)
    written = json.loads((tmp_path / "out" / "explanations.json").read_text())
    assert [one["class"] for one in written["images"][0]["maps"]] == ["3", "5"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "explain what? Name images"),
        (["x.png", "--channels", "1"], "go with --data"),
        (["--filters", "--activations"], "--activations are of images"),
    ],
)
def test_what_does_not_go_together_is_refused(
    options: list[str], message: str, finished_run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(finished_run.path), *options]) == 2

    assert message in capsys.readouterr().err
