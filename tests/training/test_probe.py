from pathlib import Path

import keras
import numpy as np
import pytest

from keras_resnet.callbacks.checkpoint import CheckpointStore
from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import from_arrays
from keras_resnet.errors import UsageError
from keras_resnet.evaluation.report import report_run
from keras_resnet.runs.run import Run
from keras_resnet.training.fit import fit
from keras_resnet.training.loop import Saving
from keras_resnet.training.recipe import Recipe
from keras_resnet.transfer.features import image_features
from keras_resnet.transfer.linear_probe import linear_probe
from tests.shared import TINY


class Killed(Exception):
    """Stands for a kill."""


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_RESNET_CACHE", str(tmp_path_factory.getbasetemp() / "features of tests"))


@pytest.fixture
def recipe(finished_run: Run) -> Recipe:
    return TINY.but(weights=str(finished_run.model), probe="only", epochs=1)


@pytest.mark.usefixtures("undrawn")
def test_alone_it_is_a_run_whose_model_has_it_as_its_classifier(
    recipe: Recipe, finished_run: Run, tiny_data: ImageData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fit(recipe, tiny_data, tmp_path / "run")

    before, after = keras.models.load_model(finished_run.model), keras.models.load_model(run.model)
    for old, new in zip(before.weights[:-2], after.weights[:-2], strict=True):
        np.testing.assert_array_equal(new, old)
    parts = (tiny_data.train, tiny_data.validation)  # there are others for the test
    features = np.concatenate([image_features(before, part) for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    expected = linear_probe(features, labels, tiny_data.task)
    np.testing.assert_array_equal(after.layers[-1].kernel, expected.kernel)
    assert run.status == "finished"
    assert run.kept is None
    assert CheckpointStore(run.checkpoints).is_empty
    (event,) = [one for one in run.events.rows() if one["event"] == "linear probe"]
    assert event["images"] == len(labels)
    assert event["strength"] == expected.strength
    assert f"on {len(labels)} images, each held out in turn (" in event["text"]
    assert event["text"] in capsys.readouterr().err.replace("\n", "")
    report = report_run(run, tiny_data)
    assert report.evaluation.metrics.figures["top1"] > 0.5


def test_without_test_images_validation_images_stay_for_the_report(
    recipe: Recipe, tiny_data: ImageData, tmp_path: Path
) -> None:
    none = tiny_data.splits["test"]
    empty = type(none)(none.images, none.indices[:0], none.labels[:0], none.task)
    data = type(tiny_data)(
        "no test", tiny_data.task, {**tiny_data.splits, "test": empty}, tiny_data.fingerprint, tiny_data.names
    )
    run = fit(recipe, data, tmp_path / "run", verbose=False)

    (event,) = [one for one in run.events.rows() if one["event"] == "linear probe"]
    assert event["images"] == len(data.train)


def test_a_training_begins_with_it_and_goes_on_after_a_kill(
    recipe: Recipe, tiny_data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_it = recipe.but(probe="first", learning_rate=1e-4)
    whole = fit(after_it, tiny_data, tmp_path / "whole", verbose=False)
    first = whole.metrics()[0]
    assert first["val_accuracy"] > 0.5, "an epoch at such a rate has not made this"

    save = CheckpointStore.save

    def killed(self: CheckpointStore, *arguments: object) -> None:
        save(self, *arguments)  # type: ignore[arg-type]
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "save", killed)
        with pytest.raises(Killed):
            fit(after_it, tiny_data, tmp_path / "run", verbose=False, saving=Saving(steps=2))
    monkeypatch.setattr("keras_resnet.training.loop.probe", lambda *_: pytest.fail("it is in the checkpoint"))
    run = fit(after_it, tiny_data, tmp_path / "run", verbose=False, saving=Saving(steps=2))

    ends = [keras.models.load_model(one.model).get_weights() for one in (run, whole)]
    for one, other in zip(*ends, strict=True):
        np.testing.assert_array_equal(one, other)


def test_where_no_epoch_is_better_the_probe_is_kept_and_that_is_said(
    recipe: Recipe, tiny_data: ImageData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, len(tiny_data.names))
    spoiled = type(tiny_data.train)(
        tiny_data.train.images, tiny_data.train.indices, labels[tiny_data.train.indices], tiny_data.task
    )
    data = type(tiny_data)(
        "spoiled", tiny_data.task, {**tiny_data.splits, "train": spoiled}, tiny_data.fingerprint, tiny_data.names
    )
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        # The probe is of the right labels, what follows of wrong ones.
        right = linear_probe(
            image_features(keras.models.load_model(recipe.weights), tiny_data.train), tiny_data.train.labels, data.task
        )
        patch.setattr("keras_resnet.training.probe.linear_probe", lambda *_, **__: right)
        run = fit(recipe.but(probe="first", learning_rate=0.3), data, tmp_path / "run")

    assert run.kept is not None
    assert run.kept["epoch"] == 0
    assert "kept the linear probe: no epoch was as good on the" in capsys.readouterr().err.replace("\n", " ")
    kernel = keras.models.load_model(run.model).layers[-1].kernel
    np.testing.assert_array_equal(kernel, right.kernel)


@pytest.mark.parametrize(("wrong", "is_kept"), [(4, True), (5, False)])
def test_where_it_leaves_too_few_mistakes_to_tell_more_by_nothing_else_is_trained(
    recipe: Recipe, tiny_data: ImageData, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: int, is_kept: bool
) -> None:
    network = keras.models.load_model(recipe.weights)
    right = linear_probe(image_features(network, tiny_data.train), tiny_data.train.labels, tiny_data.task)
    validation = tiny_data.validation
    labels = right.logits(image_features(network, validation)).argmax(axis=1)
    labels[:wrong] = (labels[:wrong] + 1) % 10
    judged = type(validation)(validation.images, validation.indices, labels, validation.task)
    data = type(tiny_data)(
        "judged", tiny_data.task, {**tiny_data.splits, "validation": judged}, tiny_data.fingerprint, tiny_data.names
    )

    run = fit(recipe.but(probe="auto", learning_rate=1e-6), data, tmp_path / "run")

    said = capsys.readouterr().err.replace("\n", " ")
    text = f"kept the linear probe: it tells 4 of {len(validation)} validation images wrong, and fewer than 5 could not"
    assert (text in said) == is_kept
    assert len(run.metrics()) == (0 if is_kept else 1)
    images = [one["images"] for one in run.events.rows() if one["event"] == "linear probe"]
    both = len(data.train) + len(validation)
    assert images == ([len(data.train), both] if is_kept else [len(data.train)]), "validation images serve, too, then"


def test_it_needs_trained_weights() -> None:
    with pytest.raises(UsageError, match=r"probe=only makes a classifier of what trained weights see"):
        Recipe(probe="only")


def test_images_of_a_group_are_held_out_together(recipe: Recipe, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1)).astype(np.uint8)
    data = from_arrays(pixels, np.arange(60) % 2, ["a", "b"])
    seen = []

    def noted(features: np.ndarray, labels: np.ndarray, task: object, **options: object) -> object:
        seen.append(options["groups"])
        return linear_probe(features, labels, task)  # type: ignore[arg-type]

    groups = np.arange(60) // 3
    grouped = type(data)(**{**vars(data), "groups": groups})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras_resnet.training.probe.linear_probe", noted)
        fit(recipe, grouped, tmp_path / "run", verbose=False)

    order = np.concatenate([data.train.indices, data.validation.indices])
    np.testing.assert_array_equal(seen[0], groups[order])
