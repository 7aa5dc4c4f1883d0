from pathlib import Path

import pytest

import keras_resnet
from keras_resnet.cli import main
from keras_resnet.evaluation.evaluate import evaluate
from keras_resnet.evaluation.split_comparison import compare_splits
from keras_resnet.training.fit import fit
from tests.images.test_capture import photograph
from tests.shared import TINY


@pytest.fixture(scope="module")
def by_two_cameras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 160 photographs of two classes, half of them of each camera, minutes apart."""
    root = tmp_path_factory.mktemp("cameras") / "photos"
    for number in range(160):
        label, camera = "ab"[number % 2], "AB"[number // 80]
        (root / label).mkdir(parents=True, exist_ok=True)
        moment = f"2024:05:{1 + number // 24:02} {number % 24:02}:00:00"
        (root / label / f"{number:03}.jpg").write_bytes(photograph(moment, "", camera))
    return root


def test_several_cameras_are_named_until_one_was_held_out_and_then_both_figures_stand_side_by_side(
    by_two_cameras: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], undrawn: None
) -> None:
    recipe, name = TINY.but(epochs=1), str(by_two_cameras)
    at_random = fit(recipe, keras_resnet.Source(name, image_size=8), tmp_path / "random", verbose=False)

    assert main(["evaluate", str(at_random.path)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Warning: The test images are of several cameras that were trained on, too: " in shown
    assert "--split group --group-by camera, which holds one out" in shown

    source = keras_resnet.Source(name, image_size=8, split="group", group_by="camera")
    by_camera = fit(recipe, source, tmp_path / "camera", verbose=False)
    evaluate(by_camera).write(by_camera.path / "evaluation")
    (expected,) = compare_splits(at_random, by_camera)
    assert (expected.second.division, expected.second.images) == ("by camera", 80)

    assert main(["evaluate", str(at_random.path)]) == 0
    shown = capsys.readouterr().out
    assert f"{expected.second.correct} of 80" in shown
    assert expected.text in shown
    assert "several cameras that were trained on" not in shown


def test_what_the_training_found_of_series_is_said_again_by_the_evaluation(
    by_two_cameras: Path, tmp_path: Path, undrawn: None
) -> None:
    run = fit(
        TINY.but(epochs=1), keras_resnet.Source(str(by_two_cameras), image_size=8), tmp_path / "run", verbose=False
    )
    where = {"epoch": 1, "step": 0, "updates": 0}
    run.record_event("series-across-splits", where, text="9 of 32 test images are of a series")
    run.record_event("another", where, text="something else")

    first, second = keras_resnet.report_run(run).notes

    assert first == "9 of 32 test images are of a series"
    assert second.startswith("The test images are of several cameras")
