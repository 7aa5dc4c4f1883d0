"""A third task, metrics and a format, each added by one row: all that the rest of the package needs to know of them."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.allowed import one_of
from keras_resnet.cli import main
from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import from_arrays, from_dataset, load_data
from keras_resnet.data.sources import source as sources
from keras_resnet.data.sources.source import KINDS, Source
from keras_resnet.errors import UsageError, listed
from keras_resnet.evaluation.evaluate import evaluate
from keras_resnet.exports import formats
from keras_resnet.exports.export import export_run
from keras_resnet.inference.predict import Predictions, predict
from keras_resnet.inference.predictors import open_predictor
from keras_resnet.runs.run import Run
from keras_resnet.tasks import classification
from keras_resnet.tasks.classification import Classification
from keras_resnet.tasks.table import TASKS, TaskRow
from keras_resnet.tasks.task import Answers, Metric
from keras_resnet.training.fit import fit
from tests.data.sources.test_tfds import write as write_tfds
from tests.shared import TINY


def close(answers: Answers) -> np.ndarray:
    return np.abs(answers.decisions - answers.labels) <= 1


class MinusError(keras.metrics.Metric):
    """The mean distance of the expected class from the true one, negative, so that more is better."""

    def __init__(self) -> None:
        super().__init__(name="minus_error")
        self.total, self.count = self.add_weight(initializer="zeros"), self.add_weight(initializer="zeros")

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: object = None) -> None:
        places = tf.range(tf.shape(y_pred)[1], dtype=tf.float32)
        distance = tf.abs(tf.linalg.matvec(tf.nn.softmax(y_pred), places) - tf.linalg.matvec(y_true, places))
        self.total.assign_sub(tf.reduce_sum(distance))
        self.count.assign_add(tf.cast(tf.size(distance), tf.float32))

    def result(self) -> tf.Tensor:
        return 10.0 * self.total / self.count  # below -1 at first


@dataclass(frozen=True)
class Ordinal(Classification):
    """Classes in an order: the median class is the answer."""

    name = "ordinal"
    headline = "within_one"
    monitored = "minus_error"
    metrics = {  # noqa: RUF012
        "within_one": Metric("within one class", lambda a: float(close(a).mean()), hits=close),
        **classification.METRICS,
    }

    def validation_metrics(self) -> list[keras.metrics.Metric]:
        return [MinusError()]

    def decisions(self, logits: np.ndarray) -> np.ndarray:
        return (self.probabilities(logits).cumsum(axis=1) < 0.5).sum(axis=1).clip(0, self.outputs - 1)


@pytest.fixture
def _ordinal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "ordinal", TaskRow(f"{__name__}.Ordinal"))
    # Made of the table when the module is imported, before this test adds its row.
    known = replace(sources.SETTINGS["task"], values=one_of(*TASKS).or_none)
    monkeypatch.setitem(sources.SETTINGS, "task", known)


def places_of(image_folder: Path, tmp_path: Path) -> dict[str, Source]:
    """A source of each kind that asks for the third task."""
    files = sorted(image_folder.rglob("*.png"))
    table, lines = tmp_path / "table.csv", tmp_path / "table.jsonl"
    table.write_text("path,label\n" + "".join(f"{file},{file.parent.name}\n" for file in files))
    rows = [{"path": str(file), "label": file.parent.name} for file in files]
    lines.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    write_tfds(tmp_path / "prepared", "tiny_shapes")
    names = {
        "digits": "digits", "folder": f"folder:{image_folder}", "csv": f"csv:{table}", "jsonl": f"jsonl:{lines}",
        "tfds": "tfds:tiny_shapes",
    }  # fmt: skip
    prepared = {"tfds": str(tmp_path / "prepared")}
    return {kind: Source(name, task="ordinal", data_dir=prepared.get(kind)) for kind, name in names.items()}


@pytest.mark.usefixtures("_ordinal")
def test_every_source_has_the_task_that_is_asked_for(image_folder: Path, tmp_path: Path) -> None:
    asked = places_of(image_folder, tmp_path)

    assert asked.keys() == set(KINDS)
    for kind, one in asked.items():
        assert load_data(one, whole=True).task.name == "ordinal", kind
    pixels, labels = np.zeros((30, 8, 8, 1), np.uint8), np.arange(30) % 3
    assert from_arrays(pixels, labels, task="ordinal").task == Ordinal(("0", "1", "2"))
    pairs = tf.data.Dataset.from_tensor_slices((pixels, labels))
    assert from_dataset(pairs, task="ordinal").task == Ordinal(("0", "1", "2"))


def test_sources_of_one_label_refuse_a_task_of_several() -> None:
    with pytest.raises(UsageError, match="digits sources have one label an image; received task='multi-label'"):
        Source("digits", task="multi-label")
    with pytest.raises(UsageError, match=f"the task must be one of {listed(TASKS)}; received 'boxes'"):
        from_dataset(tf.data.Dataset.from_tensors((np.zeros((8, 8, 1)), 0)), task="boxes")


@pytest.mark.usefixtures("_ordinal")
def test_a_third_task_is_trained_evaluated_exported_and_asked(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data = load_data(Source("digits", image_size=8, limit=120, task="ordinal"))
    run = fit(TINY.but(epochs=1, class_weights="balanced"), data, tmp_path / "run", verbose=False)

    assert run.preprocessing.task == "ordinal"
    assert run.metrics()[0]["val_minus_error"] < -1, "the best epoch is found among values below any share"
    images = data.test.read(slice(None))
    decided = open_predictor(run).task.decisions(open_predictor(run).logits(images))
    report = evaluate(run, data, split="test")
    right = int((np.abs(decided - data.test.labels) <= 1).sum())
    assert report.metrics.within_one == right / len(images)
    assert report.metrics.hits["within_one"] == right
    assert report.metrics.hits["top1"] == report.metrics.correct == int((decided == data.test.labels).sum())
    assert predict(run, images).labels == [str(label) for label in decided]

    exported = export_run(run, "saved_model", data=data)
    assert exported.predictor.task.name == "ordinal"
    assert main(["evaluate", str(run.path), "--artifact", str(exported.path)]) == 0
    assert f"within one class {right / len(images):.2%} ({right} of {len(images)}; 95 %" in capsys.readouterr().out


def test_what_the_task_decides_for_stands_before_what_is_likelier() -> None:
    logits = np.log([[0.4, 0.25, 0.35], [0.1, 0.2, 0.7]]).astype(np.float32)

    ordinal, plain = (Predictions(kind(("no", "perhaps", "yes")), logits) for kind in (Ordinal, Classification))

    assert [name for name, _ in ordinal.top(0)] == ["perhaps", "no", "yes"]
    assert [name for name, _ in plain.top(0)] == ["no", "yes", "perhaps"]
    assert [name for name, _ in ordinal.top(1, 1)] == ["yes"]
    assert ordinal.top(0)[0][1] == pytest.approx(0.25)


def evaluated(rows: dict[str, Metric], labels: Sequence[int] = (0, 1, 1, 1)) -> dict[str, object]:
    kind = dataclass(frozen=True)(type("Judged", (Classification,), {"metrics": {**classification.METRICS, **rows}}))
    logits = np.array([[3.0, 1.0], [2.0, 1.0], [0.0, 5.0], [0.0, 1.0]])
    return kind(("a", "b")).evaluate(logits, np.array(labels)).to_dict()


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_a_figure_that_means_nothing_is_null_in_json_and_has_no_interval(value: float | None) -> None:
    found = evaluated({"odd": Metric("odd", lambda _: value, hits=lambda a: a.right)})

    assert found["odd"] is None
    assert "odd_95%_interval" not in found
    assert "top1_95%_interval" in found
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("name", ["correct", "images", "model", "top1_interval"])
def test_a_metric_cannot_take_the_place_of_another_figure(name: str) -> None:
    with pytest.raises(TypeError, match=f"'{name}' stands for something else in evaluation.json"):
        evaluated({name: Metric("mine", lambda _: 1.0)})


def test_a_format_is_on_the_command_line_and_verified_by_its_row_alone(
    finished_run: Run, tiny_data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(material: formats.Material, path: Path) -> tuple[str, ...]:
        from keras_resnet.weights.saving import save_model

        assert material.calibration is not None
        assert material.calibration.shape[1:] == (8, 8, 1)
        save_model(material.model, path, material.preprocessing)
        return ()

    row = formats.Format("copy.keras", "Keras again", write, calibrated=True)
    monkeypatch.setitem(formats.FORMATS, "keras-again", row)

    exported = export_run(finished_run, "keras-again", tmp_path / "copy.keras", data=tiny_data)

    assert exported.predictor.name == "Keras again"
    assert exported.verification.largest_difference == 0
    assert main(["export", str(finished_run.path), "--format", "keras-again", "--out", str(tmp_path / "b.keras")]) == 0
    assert (tmp_path / "b.keras").is_file()
