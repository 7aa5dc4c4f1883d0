"""Several runs on one page."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.cli.main import main
from keras_resnet.errors import UsageError
from keras_resnet.reporting.comparison import write_comparison
from keras_resnet.runs.run import Run
from keras_resnet.weights.saving import save_model
from tests.reporting.pages import Page, check_page

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(scope="module")
def runs(finished_run: Run, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A run, and a copy whose weights are worse and whose record says another rate."""
    root = tmp_path_factory.mktemp("two")
    paths = [root / "plain", root / "shaken <i>"]
    for path in paths:
        shutil.copytree(finished_run.path, path, ignore=shutil.ignore_patterns("checkpoints", "evaluation", ".lock"))
    shaken = Run(paths[1])
    model = keras.saving.load_model(shaken.model)
    random = np.random.default_rng(0)
    dense = next(one for one in reversed(model.layers) if isinstance(one, keras.layers.Dense))
    kernel = dense.kernel.numpy()
    dense.kernel.assign(kernel + random.normal(scale=kernel.std(), size=kernel.shape))
    save_model(model, shaken.model, shaken.preprocessing)
    config = json.loads((shaken.path / "config.json").read_text())
    config["recipe"]["learning_rate"] = 0.123
    (shaken.path / "config.json").write_text(json.dumps(config))
    return paths


def test_the_command_puts_figures_curves_settings_and_images_beside_one_another(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *map(str, runs), "--report", str(tmp_path / "both.html")]) == 0
    shown = capsys.readouterr()
    found = keras_resnet.compare(*runs)[0]

    page = Page(tmp_path / "both.html")

    check_page(page)
    assert not page.named("i")
    assert "both.html" in shown.err
    assert "has no evaluation: evaluating it" in " ".join(shown.err.split())
    assert f"shaken <i> against plain: {found.text}." in page.text
    figures = [json.loads((run / "evaluation" / "evaluation.json").read_text()) for run in runs]
    assert [one["correct"] for one in figures] == [round(one[0] * found.images) for one in found.accuracies]
    for one in figures:
        assert f"{one['top1']:.2%} ({one['top1_95%_interval'][0]:.2%} to" in page.section("Figures")
    settings = page.section("Settings that differ")
    assert "learning_rate" in settings
    assert "0.123" in settings
    assert "warmup_epochs" not in settings
    images = page.section("Images on which they differ")
    assert found.differing
    assert images.count("<img") == min(24, len(found.differing))
    first = images.partition("<li>")[2].partition("</li>")[0]
    one = found.differing[0]
    assert f"it is <strong>{one.label}</strong>" in first
    assert f"plain: {one.first} {'✓' if one.first == one.label else '✗'}" in first
    assert "Validation accuracy by epoch: plain from" in page.text


def test_one_comparison_for_each_model_is_asked_for(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="received 0 for 2 models"):
        write_comparison((), runs, tmp_path / "both.html")
