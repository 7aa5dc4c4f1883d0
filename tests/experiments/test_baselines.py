import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from keras_resnet.cli import main
from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import from_arrays, load_data
from keras_resnet.data.sources.source import Source
from keras_resnet.errors import DataError, UsageError
from keras_resnet.evaluation.evaluate import evaluate
from keras_resnet.experiments.baselines import BASELINES, baselines
from keras_resnet.experiments.costs import Costs
from keras_resnet.models.counting import cost
from keras_resnet.runs.run import Run
from keras_resnet.tasks.intervals import wilson_interval
from tests.shared import ONE_BLOCK, TINY_SOURCE, TRAINED

FAST = ("majority", "random", "hog-svm")
MEASURED = Costs(1000, 0.5, 0.1, 2000)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs are measured elsewhere: tests/experiments/test_costs.py."""
    monkeypatch.setattr("keras_resnet.experiments.baselines.costs", lambda run, images: MEASURED)


def test_the_simplest_know_only_how_often_classes_come() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 1, 1], 100)
    data = from_arrays(random.integers(0, 256, (400, 8, 8, 1)).astype(np.uint8), labels, ["cat", "dog"])

    majority, drawn = baselines(data, ["majority", "random"], seed=3).rows

    assert (majority.correct, majority.images) == ((data.test.labels == 1).sum(), len(data.test))
    assert majority.accuracy == 0.75
    assert majority.interval == wilson_interval(majority.correct, majority.images)
    assert 0.4 < drawn.accuracy < 0.8, "0.25² + 0.75² in the mean"
    assert [row.parameters for row in (majority, drawn)] == [1, 2]
    assert baselines(data, ["random"], seed=3).rows[0].correct == drawn.correct


def test_the_regression_is_scikit_learns_with_the_penalty_that_validation_images_choose(tiny_data: ImageData) -> None:
    def flat(name: str) -> np.ndarray:
        split = tiny_data.splits[name]
        return split.read(slice(None)).reshape(len(split), -1) / np.float32(255)

    (found,) = baselines(tiny_data, ["logistic"]).rows

    scaler = StandardScaler().fit(flat("train"))
    rights = {}
    for setting in BASELINES["logistic"].candidates(0):
        model = LogisticRegression(C=float(setting.removeprefix("C = ")), max_iter=1000, tol=1e-5)
        model.fit(scaler.transform(flat("train")), tiny_data.train.labels)
        rights[setting] = tuple(
            int((model.predict(scaler.transform(flat(name))) == tiny_data.splits[name].labels).sum())
            for name in ("validation", "test")
        )
    assert found.setting == max(rights, key=lambda setting: rights[setting][0])
    assert abs(found.correct - rights[found.setting][1]) <= 1
    assert found.parameters == 65 * 10
    assert found.seconds > 0


def test_large_images_are_averaged_before_their_pixels_are_compared() -> None:
    image = np.zeros((1, 96, 48, 3), np.uint8)
    image[:, :3, :3] = 90

    described = BASELINES["logistic"].describe(image)

    assert described.shape == (1, 32 * 16 * 3)
    np.testing.assert_allclose(described[0, :4], [90 / 255] * 3 + [0], atol=1e-6)


@pytest.mark.usefixtures("measured")
def test_a_run_is_a_row_on_the_same_split(finished_run: Run, tiny_data: ImageData, tmp_path: Path) -> None:
    found = baselines(tiny_data, FAST, run=finished_run, verbose=False)

    by_name = {row.name: row for row in found.rows}
    assert by_name.keys() == {*FAST, "run"}
    assert [row.accuracy for row in found.rows] == sorted((row.accuracy for row in found.rows), reverse=True)
    assert found.folder == finished_run.folder("evaluation")
    own, expected = by_name["run"], evaluate(finished_run, tiny_data).metrics
    assert (own.correct, own.images) == (expected.correct, expected.images)
    assert own.parameters == cost(ONE_BLOCK, 10, input_shape=(8, 8, 1)).parameters
    assert own.title == "oneblock (tiny)"
    assert own.seconds == pytest.approx(sum(row["seconds"] for row in finished_run.metrics()), rel=0.01)
    assert own.costs == MEASURED
    assert by_name["hog-svm"].accuracy > 0.8 > by_name["majority"].accuracy
    assert baselines(names=["majority"], run=finished_run).fingerprint == tiny_data.fingerprint
    with pytest.raises(UsageError, match="another split than digits"):
        baselines(replace(TINY_SOURCE, seed=1), ["majority"], run=finished_run)

    files = found.write(tmp_path)
    written = json.loads((tmp_path / "baselines.json").read_text())
    assert [row["accuracy"] for row in written["rows"]] == [row.accuracy for row in found.rows]
    assert [path.name for path in files] == ["baselines.json", "baselines.png"]


def test_many_training_images_are_not_all_taken(tiny_data: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras_resnet.experiments.baselines.MOST_TRAINING", 50)

    assert baselines(tiny_data, ["hog-svm"]).trained_on == 50


def test_what_cannot_be_compared_is_refused(tiny_data: ImageData) -> None:
    with pytest.raises(UsageError, match="there is no baseline 'vgg'; there are majority, random"):
        baselines(tiny_data, ["vgg"])
    with pytest.raises(UsageError, match="need data, or a run"):
        baselines()
    labels = np.eye(3, dtype=np.uint8)[np.arange(60) % 3]
    labels[::7, 0] = 1
    several = from_arrays(np.full((60, 8, 8, 1), 9, np.uint8), labels, list("abc"), task="multi-label")
    with pytest.raises(DataError, match="one class each"):
        baselines(several)
    with pytest.raises(DataError, match="no images for 'train', 'validation'"):
        baselines(load_data(Source("digits", image_size=8, limit=60), whole=True))


@pytest.mark.usefixtures("measured")
def test_networks_are_trained_by_the_recipe_of_the_run_and_become_rows(
    finished_run: Run, tiny_data: ImageData, tmp_path: Path
) -> None:
    names = ["majority", "lenet5", ONE_BLOCK.name]

    found = baselines(tiny_data, names, run=finished_run, epochs=2, out=tmp_path, verbose=False)

    rows = {row.name: row for row in found.rows}
    assert rows.keys() == {*names, "run"}
    run, expected = Run.at(tmp_path / ONE_BLOCK.name, finished=True), TRAINED.but(epochs=2).settings
    assert {**run.config["recipe"]} == {
        name: list(one) if isinstance(one, tuple) else one for name, one in expected.items()
    }
    assert rows[ONE_BLOCK.name].parameters == rows["run"].parameters
    assert rows[ONE_BLOCK.name].correct == evaluate(run, tiny_data).metrics.correct
    assert (rows["lenet5"].title, rows["lenet5"].parameters, rows["lenet5"].costs) == ("LeNet-5", 61_706, MEASURED)
    assert rows["majority"].costs is None
    assert [path.name for path in found.write()] == ["baselines.json", "baselines.png"]
    written = {row["name"]: row for row in json.loads((tmp_path / "baselines.json").read_text())["rows"]}
    assert written["lenet5"]["costs"]["macs"] == 1000


@pytest.mark.usefixtures("measured")
def test_the_command_takes_the_splits_of_train(
    finished_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = ["digits", "--image-size", "8", "--limit", "300"]
    out = ["--out", str(tmp_path), "--methods", "majority, hog-svm"]

    assert main(["baselines", *source, "--run", str(finished_run.path), *out]) == 0
    shown = capsys.readouterr().out
    assert "digits: 60 test images" in shown
    assert "│ HOG + linear SVM" in shown
    assert "│ oneblock (tiny)" in shown
    assert "1,000 │" in shown
    assert f"wrote {tmp_path / 'baselines.png'}" in shown

    assert main(["baselines", "--run", str(finished_run.path), *out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fingerprint"] == finished_run.fingerprint
    assert main(["baselines", *source, "--seed", "1", "--run", str(finished_run.path), *out]) == 2
    assert "other images or another split" in capsys.readouterr().err
    assert main(["baselines"]) == 2
    assert main(["baselines", *source, "--out", str(finished_run.path)]) == 2
