import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import from_arrays
from keras_resnet.data.sources.source import Source
from keras_resnet.errors import DataError, UsageError
from keras_resnet.evaluation.comparison import compare
from keras_resnet.evaluation.evaluate import evaluate, load_run_data
from keras_resnet.evaluation.report import report_run, report_training
from keras_resnet.exports.export import export_run
from keras_resnet.images.decode import decode
from keras_resnet.inference.predictor import Predictor
from keras_resnet.inference.predictors import open_predictor
from keras_resnet.models.resnet import build
from keras_resnet.models.variants import spec
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.runs.run import Run
from keras_resnet.training.fit import fit
from keras_resnet.training.loop import TrainingLoop
from keras_resnet.weights.saving import save_model
from tests.shared import TINY


def test_a_run_is_measured_on_its_own_test_images(finished_run: Run, tiny_data: ImageData) -> None:
    found = evaluate(finished_run)

    assert found.metrics.images == len(tiny_data.test) == 60
    logits = open_predictor(finished_run).logits(tiny_data.test.read(slice(None)))
    assert found.metrics.correct == (logits.argmax(1) == tiny_data.test.labels).sum()
    np.testing.assert_array_equal(found.logits, logits)


def test_a_split_itself_is_evaluated_whatever_data_set_it_is_of(finished_run: Run, tiny_data: ImageData) -> None:
    by_name = evaluate(finished_run, tiny_data, split="validation")

    found = evaluate(finished_run, tiny_data.validation)
    alone = evaluate(finished_run, replace(tiny_data.validation))

    np.testing.assert_array_equal(found.logits, by_name.logits)
    np.testing.assert_array_equal(alone.logits, by_name.logits)
    assert (found.data_name, found.remarks) == (by_name.data_name, by_name.remarks)
    assert alone.data_name == "a split"


def test_a_split_can_be_chosen(finished_run: Run, tiny_data: ImageData) -> None:
    assert evaluate(finished_run, split="validation").metrics.images == len(tiny_data.validation)
    assert evaluate(finished_run, split="all").metrics.images == 300
    with pytest.raises(UsageError, match="split must be"):
        evaluate(finished_run, split="tests")


def test_another_source_is_brought_to_the_models_size_and_used_whole(finished_run: Run) -> None:
    found = evaluate(finished_run.model, Source("digits", image_size=99, limit=50))

    assert found.metrics.images == 50


def test_a_source_is_read_as_the_model_takes_images(image_folder: Path) -> None:
    seen: list[np.ndarray] = []

    class Blue(Predictor):
        def logits(self, images: np.ndarray) -> np.ndarray:
            seen.append(images)
            return np.eye(3, dtype=np.float32)[np.full(len(images), 2)]

        def one(self, image: np.ndarray) -> Callable[[], object]:
            raise NotImplementedError

    taken = Fit((8, 6), 1, "bicubic", 0.9)
    model = Blue("blue", Preprocessing(taken, (0.0,), (1.0,), ("red", "green", "blue")), None)

    found = evaluate(model, Source(f"folder:{image_folder}", image_size=99, resize="bilinear"))

    assert found.metrics.top1 == 12 / 36
    first = decode(image_folder / "blue" / "00.png", taken)
    np.testing.assert_array_equal(seen[0][0], first)


def test_a_bare_model_needs_its_data_named(finished_run: Run) -> None:
    with pytest.raises(UsageError, match="a bare model does not know its data"):
        evaluate(finished_run.model)


def test_labels_the_model_does_not_know_are_refused(finished_run: Run, image_folder: Path) -> None:
    with pytest.raises(DataError, match=r"do not fit the model: it knows 10 classes.*'blue'"):
        evaluate(finished_run, f"folder:{image_folder}")


def test_images_of_another_shape_are_refused(finished_run: Run) -> None:
    data = from_arrays(np.full((40, 9, 9, 1), 9, np.uint8), np.arange(40) % 2, ["0", "1"])

    with pytest.raises(DataError, match=r"takes images of \(8, 8, 1\), the data are of \(9, 9, 1\)"):
        evaluate(finished_run, data)


def test_data_that_changed_since_the_training_are_refused(image_folder: Path, tmp_path: Path) -> None:
    source = Source(f"folder:{image_folder}", image_size=8)
    run = fit(TINY.but(epochs=1, batch_size=8), source, tmp_path / "run", verbose=False)
    assert load_run_data(run).fingerprint == run.fingerprint
    (image_folder / "red" / "00.png").unlink()

    with pytest.raises(DataError, match="have changed since it was trained"):
        evaluate(run)

    image_folder.rename(tmp_path / "moved")
    with pytest.raises(
        DataError, match=r"there is no folder .*/run was trained on\. .* where the images are by --data"
    ):
        evaluate(run)
    all_of_them = evaluate(run, f"folder:{tmp_path / 'moved'}")
    assert all_of_them.data_name == "moved", "all its images, and no test split"
    assert all_of_them.metrics.images == 35


ARRAYS = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1)).astype(np.uint8), np.arange(60) % 2


@pytest.fixture(scope="module")
def on_arrays(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(TINY.but(epochs=1), ARRAYS, tmp_path_factory.mktemp("arrays") / "run", verbose=False)


def test_a_run_on_arrays_needs_them_again(on_arrays: Run) -> None:
    data = from_arrays(*ARRAYS)

    assert evaluate(on_arrays, data).metrics.images == len(data.test)
    with pytest.raises(UsageError, match="trained on arrays or on its script's own data: pass the data set again"):
        evaluate(on_arrays)


def test_a_report_writes_figures_and_pictures(finished_run: Run, tiny_data: ImageData, tmp_path: Path) -> None:
    run = Run(shutil.copytree(finished_run.path, tmp_path / "run"))

    report = report_run(run, tiny_data)

    assert [file.relative_to(run.path).as_posix() for file in report.files] == [
        "evaluation/evaluation.json",
        "evaluation/predictions.csv",
        "evaluation/confusion_matrix.png",
        "evaluation/reliability.png",
        "evaluation/coverage.png",
        "evaluation/slices.json",
        "evaluation/diagnosis.json",
        "plots/training.png",
        "plots/learning_curves.png",
    ]
    diagnosis = json.loads(report.files[6].read_text())
    assert diagnosis["epochs"] == len(run.metrics()) == 12
    assert diagnosis["symptoms"] == [asdict(one) for one in report.symptoms]
    written = json.loads(report.files[0].read_text())
    assert written["correct"] == report.evaluation.metrics.correct
    assert np.sum(written["confusion"]) == written["images"] == 60
    assert len(written["classes"]) == 10
    metrics = report.evaluation.metrics
    low, high = written["log_loss_95%_interval"]
    assert low < metrics.log_loss < high
    assert sum(row["answers"] for row in written["reliability"]) == 60
    first = written["accuracy_at_coverage"][0]
    assert (first["coverage"], first["accuracy"]) == (1.0, metrics.top1)
    pair = written["most_confused"][0]
    classes = report.evaluation.predictor.task.class_names
    true, said = classes.index(pair["label"]), classes.index(pair["prediction"])
    off_diagonal = np.array(written["confusion"]) * (1 - np.eye(10, dtype=int))
    assert written["confusion"][true][said] == pair["images"] == off_diagonal.max()
    assert pair["share"] == pytest.approx(written["confusion_shares"][true][said], abs=1e-6)
    assert written["classes"][0]["recall_95%_interval"][0] <= written["classes"][0]["recall"]


def test_intervals_are_by_the_groups_that_the_data_name(image_folder: Path, tmp_path: Path) -> None:
    """Also where the images are not divided by them."""
    files = sorted(image_folder.rglob("*.png"))
    rows = [f"{file},{file.parent.name},{int(file.stem) // 4}" for file in files]
    (tmp_path / "table.csv").write_text("\n".join(["path,label,group", *rows]))
    model = build(spec("oneblock"), 3, input_shape=(8, 8, 3), seed=1)
    chosen = Preprocessing(Fit((8, 8), 3), (0.0,) * 3, (1.0,) * 3, ("blue", "green", "red"))

    found = evaluate(model, f"csv:{tmp_path / 'table.csv'}", preprocessing=chosen)
    alone = evaluate(model, f"folder:{image_folder}", preprocessing=chosen)
    own = evaluate(model, f"folder:{image_folder}", preprocessing=chosen, groups=np.arange(36) // 18)

    assert (found.metrics.images, found.metrics.groups, alone.metrics.groups, own.metrics.groups) == (36, 3, None, 2)
    assert found.metrics.top1 == alone.metrics.top1
    wide, narrow = found.metrics.top1_interval, alone.metrics.top1_interval
    assert wide[1] - wide[0] > 1.5 * (narrow[1] - narrow[0]), "three groups say little"


def test_formats_are_compared_with_the_first_one(finished_run: Run, tiny_data: ImageData) -> None:
    model = open_predictor(finished_run)

    rows = compare([model, model], tiny_data.test)

    assert [row.agreement for row in rows] == [1, 1]
    assert rows[0].correct == evaluate(finished_run).metrics.correct
    assert all(row.latency_ms > 0 for row in rows)
    assert rows[0].cells()[0] == "Keras"


def test_what_looks_ill_in_a_training_is_reported_before_its_end_too(finished_run: Run, tmp_path: Path) -> None:
    shutil.copytree(finished_run.path, tmp_path / "run")
    run = Run(tmp_path / "run")
    table = (run.path / "metrics.csv").read_text().splitlines()
    head = table[0].split(",")
    worse = dict(zip(head, table[-1].split(","), strict=True)) | {"val_accuracy": "0.5", "accuracy": "0.99"}
    rows = [",".join((worse | {"epoch": str(n)})[name] for name in head) for n in range(1, 7)]
    (run.path / "metrics.csv").write_text("\n".join([table[0], *rows]) + "\n")
    (run.path / "metrics.jsonl").unlink(missing_ok=True)

    symptoms, files = report_training(run)

    assert "overfitting" in [one.code for one in symptoms]
    assert [file.name for file in files] == ["diagnosis.json", "training.png", "learning_curves.png"]


def test_a_model_that_gets_other_pixels_than_in_its_training_is_neither_evaluated_nor_exported(
    finished_run: Run, tiny_data: ImageData, tmp_path: Path
) -> None:
    """Its normalisation says that it was trained on pixels of 0–1, and the model gives it 0–255."""
    shutil.copytree(finished_run.path, tmp_path / "run")
    run, model = Run(tmp_path / "run"), keras.models.load_model(finished_run.model)
    norm = model.get_layer("stem_bn")
    norm.moving_mean.assign(norm.moving_mean / 255)
    norm.moving_variance.assign(norm.moving_variance / 255**2)
    save_model(model, run.model, finished_run.preprocessing)
    refusal = r"the pixels are not those that .*model\.keras was trained on: on 32 images .*e\+04 times the variance"

    with pytest.raises(UsageError, match=refusal):
        evaluate(run, tiny_data)
    with pytest.raises(UsageError, match=refusal):
        export_run(run, "saved_model", tmp_path / "exported", data=tiny_data)

    assert not (tmp_path / "exported").exists()


def test_a_keras_model_is_evaluated_on_whatever_holds_its_images(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3)).astype(np.uint8)
    model = build(spec("oneblock"), 3, input_shape=(8, 8, 3), seed=1)
    answers = np.asarray(model(images.astype(np.float32))).argmax(axis=1)
    labels = np.where(np.arange(30) < 21, answers, np.arange(30) % 3)
    right = int((labels == answers).sum())
    for label in ("x", "y", "z"):
        (tmp_path / "photos" / label).mkdir(parents=True)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        keras.utils.save_img(tmp_path / "photos" / "xyz"[label] / f"{number:02}.png", image, scale=False)

    found = [
        evaluate(model, (images, labels)),
        evaluate(model, (images, labels[:, None])),
        evaluate(model, tf.data.Dataset.from_tensor_slices((images, labels)).batch(7)),
        evaluate(model, from_arrays(images, labels, whole=True)),
        evaluate(model, tmp_path / "photos"),
    ]

    assert [one.metrics.images for one in found] == [30] * 5
    assert 21 <= right < 30
    assert [one.metrics.correct for one in found] == [right] * 5
    assert found[-1].predictor.task.class_names == ("x", "y", "z")


def test_labels_of_arrays_number_the_classes_of_the_model_whatever_it_calls_them() -> None:
    """A network of 1000 outputs has ImageNet's names, and arrays of a few classes had other ones, 0, 1 …"""
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)
    model = build(spec("oneblock"), 1000, input_shape=(8, 8, 3), seed=1)
    labels = np.array([0, 105, 7, 105, 0, 3])

    found = evaluate(model, (images, labels))
    batches = evaluate(model, tf.data.Dataset.from_tensor_slices((images, labels)).batch(4))

    assert found.predictor.task.class_names[0] == "tench"
    assert found.labels.tolist() == batches.labels.tolist() == labels.tolist()
    with pytest.raises(DataError, match="count from 0 and must lie in 0–999 for 1000 classes; .*: subtract 1"):
        evaluate(model, (images, np.array([1, 1000, 2, 3, 4, 5])))


def test_what_holds_no_images_is_refused_by_its_kind(finished_run: Run) -> None:
    with pytest.raises(UsageError, match=r"a pair of arrays, \(images, labels\); received int"):
        evaluate(finished_run, 3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="received dict"):
        fit(TINY, {"x": 1})  # type: ignore[arg-type]


def test_a_training_takes_arrays_and_a_dataset(on_arrays: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrainingLoop, "run_to_end", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))

    with pytest.raises(KeyboardInterrupt):
        fit(TINY, tf.data.Dataset.from_tensor_slices(ARRAYS), tmp_path / "run", verbose=False)

    assert on_arrays.fingerprint == Run(tmp_path / "run").fingerprint == from_arrays(*ARRAYS).fingerprint


def test_an_evaluation_writes_every_prediction(finished_run: Run, tiny_data: ImageData, tmp_path: Path) -> None:
    evaluation = evaluate(finished_run, tiny_data)
    files = evaluation.write(tmp_path)

    assert tmp_path / "predictions.csv" in files
    with open(tmp_path / "predictions.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [tiny_data.names[index] for index in tiny_data.test.indices]
    assert [int(row["label"]) for row in rows] == tiny_data.test.labels.tolist()
    right = sum(row["label"] == row["prediction"] for row in rows)
    assert right == evaluation.metrics.hits["top1"]
    shares = np.array([[float(row[name]) for name in tiny_data.class_names] for row in rows])
    np.testing.assert_allclose(shares, evaluation.predictor.task.probabilities(evaluation.logits), atol=1e-6)


def test_of_very_many_classes_two_probabilities_are_written(
    finished_run: Run, tiny_data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keras_resnet.evaluation.evaluate.MOST_COLUMNS", 9)
    evaluation = evaluate(finished_run, tiny_data)
    evaluation.write(tmp_path)

    rows = list(csv.reader(io.StringIO((tmp_path / "predictions.csv").read_text())))
    assert rows[0] == ["path", "label", "prediction", "probability of the label", "probability of the prediction"]
    shares = evaluation.predictor.task.probabilities(evaluation.logits)
    assert float(rows[1][3]) == pytest.approx(shares[0, tiny_data.test.labels[0]], abs=1e-6)
    assert float(rows[1][4]) == pytest.approx(shares[0].max(), abs=1e-6)
