"""Every setting of a recipe reaches the training."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.callbacks.checkpoint import CheckpointStore
from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import from_arrays
from keras_resnet.errors import ModelError, UsageError
from keras_resnet.models.resnet import build
from keras_resnet.models.variants import spec
from keras_resnet.optimizers.state import last_rate
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.runs.run import Run
from keras_resnet.training.distribution import distribution
from keras_resnet.training.fit import fit
from keras_resnet.training.network import CompiledNetwork, network_for, preprocessing_for
from keras_resnet.training.recipe import Recipe
from keras_resnet.weights.files import variables_by_path
from keras_resnet.weights.saving import save_weights
from tests.shared import ONE_BLOCK, TINY
from tests.tasks.classes import classes
from tests.training.test_resume import without_times

PREPROCESSING = Preprocessing(Fit((8, 8), 1), (127.0,), (74.0,), tuple("abc"))


def compiled(*, parts: int = 1, head: bool = False, steps: int = 10, **settings: object) -> CompiledNetwork:
    recipe = Recipe(model=ONE_BLOCK.name, epochs=4, **settings)  # type: ignore[arg-type]
    made = CompiledNetwork(recipe, PREPROCESSING, classes(3), distribution("none"))
    made.compile(head=head, parts=parts, size=0, steps=steps)
    return made


def rates(made: CompiledNetwork, updates: list[int]) -> list[float]:
    found = []
    for update in updates:
        made.optimizer.iterations.assign(update)
        found.append(float(made.optimizer.learning_rate))
    return found


@pytest.mark.parametrize(
    ("settings", "updates", "expected"),
    [
        ({"schedule": "constant", "warmup_epochs": 0}, [0, 39], [0.1, 0.1]),
        ({"schedule": "cosine", "warmup_epochs": 1}, [0, 5, 10, 25, 40], [0, 0.05, 0.1, 0.05, 0]),
        ({"schedule": "cosine", "warmup_epochs": 1, "warmup_from": 0.5, "final_rate": 0.1}, [0, 40], [0.05, 0.01]),
        (
            {"schedule": "multistep", "milestones": (1, 2.5), "warmup_epochs": 0, "decay_factor": 0.2},
            [9, 10, 24, 25],
            [0.1, 0.02, 0.02, 0.004],
        ),
        ({"schedule": "step", "decay_every": 1.5, "warmup_epochs": 0}, [14, 15, 30], [0.1, 0.01, 0.001]),
        ({"schedule": "one-cycle", "warmup_epochs": 1}, [0, 9, 39], [0.004, 0.1, 4e-7]),
        ({"schedule": "one-cycle", "warmup_epochs": 1, "warmup_from": 0.5}, [0, 9, 39], [0.05, 0.1, 5e-6]),
    ],
)
def test_epochs_become_updates_of_the_schedule(
    settings: dict[str, object], updates: list[int], expected: list[float]
) -> None:
    assert rates(compiled(**settings), updates) == pytest.approx(expected, abs=1e-7)


def test_the_optimizer_is_the_recipes() -> None:
    made = compiled(
        optimizer="adamw",
        weight_decay=0.03,
        decayed="all",
        layer_decay=0.7,
        clip="adaptive",
        clip_at=0.02,
        batch_size=64,
        parts=4,
    ).optimizer

    assert made.word == "adamw"
    assert (made.decayed, compiled().optimizer.decayed) == ("all", "kernels")
    assert (made.weight_decay, made.layer_decay, made.clip, made.clip_at) == (0.03, 0.7, "adaptive", 0.02)
    assert made.gradient_accumulation_steps == 4
    assert (compiled(momentum=0.8, nesterov=False).optimizer.momentum, compiled().optimizer.nesterov) == (0.8, True)


@pytest.mark.parametrize(("clip", "bound"), [("none", 0.0), ("norm", 1.0), ("value", 0.5), ("adaptive", 0.01)])
def test_gradients_are_clipped_where_it_is_usual_unless_something_else_is_said(clip: str, bound: float) -> None:
    assert compiled(clip=clip).optimizer.clip_at == bound


def test_labels_are_thresholded_in_the_binary_loss_alone() -> None:
    binary, plain = (compiled(loss=kind, target_threshold=0.2).model.loss for kind in ("binary", "cross-entropy"))
    logits = np.array([[2.0, 0, -1]])

    mixed, firm = np.array([[0.7, 0.3, 0.0]]), np.array([[1.0, 1.0, 0.0]])
    assert float(binary(mixed, logits)) == pytest.approx(float(binary(firm, logits)))
    assert float(plain(mixed, logits)) != pytest.approx(float(plain(firm, logits)))


def test_the_loss_is_the_recipes() -> None:
    plain, smoothed, binary = (
        compiled(**settings).model.loss for settings in ({}, {"label_smoothing": 0.2}, {"loss": "binary"})
    )
    labels, logits = np.array([[1.0, 0, 0]]), np.array([[2.0, 0, -1]])

    expected = np.log(np.exp([2.0, 0, -1]).sum()) - 2
    assert float(plain(labels, logits)) == pytest.approx(expected, abs=1e-6)
    assert float(smoothed(labels, logits)) == pytest.approx(expected + 0.2 * (2 - 1 / 3), abs=1e-6)
    sigmoid = 1 / (1 + np.exp([-2.0, 0, 1]))
    assert float(binary(labels, logits)) == pytest.approx(-np.log([sigmoid[0], 1 - sigmoid[1], 1 - sigmoid[2]]).mean())


def test_the_rate_that_is_told_is_that_of_the_last_update() -> None:
    made = compiled(schedule="step", decay_every=1, warmup_epochs=0, steps=2)

    told = []
    for _ in range(4):
        made.model.train_on_batch(np.zeros((4, 8, 8, 1), np.uint8), np.eye(3, dtype=np.float32)[[0, 1, 2, 0]])
        told.append(last_rate(made.model.optimizer))

    assert told == pytest.approx([0.1, 0.1, 0.01, 0.01])
    assert float(made.optimizer.learning_rate) == pytest.approx(0.001)


def test_only_the_classifier_learns_in_the_first_phase_and_normalisation_stands_still() -> None:
    made = compiled(head=True)

    assert [variable.path for variable in made.network.trainable_variables] == ["head_dense/kernel", "head_dense/bias"]
    assert made.optimizer.word == "adam"
    assert last_rate(made.model.optimizer) == pytest.approx(1e-3)
    before = {path: one.numpy() for path, one in variables_by_path(made.network).items()}
    made.model.train_on_batch(np.zeros((4, 8, 8, 1), np.uint8), np.eye(3, dtype=np.float32)[[0, 1, 2, 0]])
    changed = [path for path, one in variables_by_path(made.network).items() if (one.numpy() != before[path]).any()]
    assert changed == ["head_dense/kernel", "head_dense/bias"] or changed == ["head_dense/bias"]


def test_frozen_normalisation_keeps_weights_and_statistics_and_the_rest_learns() -> None:
    made = compiled(freeze_batchnorm=True)

    names = {variable.name for variable in made.network.trainable_variables}
    assert names == {"kernel", "bias"}
    assert compiled().network.trainable_variables[1].name in ("bias", "gamma")


@pytest.mark.parametrize(("precision", "dtype"), [("bfloat16", "bfloat16"), ("float16", "float16")])
def test_it_computes_in_the_recipes_precision_and_the_finished_network_in_float32(precision: str, dtype: str) -> None:
    made = compiled(precision=precision)

    assert made.network.get_layer("stage1_block1_conv1").compute_dtype == dtype
    assert made.network.output.dtype == "float32"
    assert {variable.dtype for variable in made.network.trainable_variables} == {"float32"}
    assert (made.model.optimizer is made.optimizer) == (precision == "bfloat16"), "float16 scales the loss"
    finished = network_for(made.recipe, PREPROCESSING)
    assert finished.get_layer("stage1_block1_conv1").compute_dtype == "float32"
    assert variables_by_path(finished).keys() == variables_by_path(made.network).keys()


def test_a_batch_of_which_one_part_overflows_makes_no_update_and_the_next_one_does() -> None:
    made = compiled(precision="float16", batch_size=8, parts=2, schedule="constant", warmup_epochs=0)
    images, labels = np.zeros((4, 8, 8, 1), np.uint8), np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    kernel = made.network.get_layer("head_dense").bias
    scale = made.model.optimizer.dynamic_scale
    before = kernel.numpy()

    scale.assign(np.float32(2.0**120))  # every gradient overflows
    made.model.train_on_batch(images, labels)
    scale.assign(1.0)
    made.model.train_on_batch(images, labels)
    made.end_batch()
    np.testing.assert_array_equal(kernel.numpy(), before)
    assert int(made.optimizer.iterations) == 0

    for _ in range(2):
        made.model.train_on_batch(images, labels)
    made.end_batch()
    assert (kernel.numpy() != before).any()
    assert int(made.optimizer.iterations) == 1


ONE_EPOCH = TINY.but(epochs=1, dropout=0.3)


@pytest.fixture(scope="module")
def plain(tiny_data: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(ONE_EPOCH, tiny_data, tmp_path_factory.mktemp("plain") / "run", verbose=False)


def test_a_network_recomputes_where_the_recipe_says_so() -> None:
    made = compiled(recompute=True)

    made.model.train_on_batch(np.zeros((4, 8, 8, 1), np.uint8), np.eye(3, dtype=np.float32)[[0, 1, 2, 0]])

    assert made.model is not made.network
    assert made.model.variables[0] is made.network.variables[0]
    usual = compiled()
    assert usual.model is usual.network


@pytest.mark.slow  # as test_recompute shows of every family
def test_recomputation_trains_the_same_network_bit_by_bit(plain: Run, tiny_data: ImageData, tmp_path: Path) -> None:
    recomputed = fit(ONE_EPOCH.but(recompute=True), tiny_data, tmp_path / "recomputed", verbose=False)

    a, b = (CheckpointStore(run.checkpoints).load(pytest.fail) for run in (plain, recomputed))
    assert a is not None
    assert b is not None
    for name, tensor in a.tensors.items():
        if name.startswith(("model/", "optimizer/")):
            np.testing.assert_allclose(b.tensors[name], tensor, rtol=1e-5, atol=1e-6, err_msg=name)
    assert [row["step"] for row in recomputed.metrics()] == [row["step"] for row in plain.metrics()]


@pytest.mark.parametrize("precision", ["float16", pytest.param("bfloat16", marks=pytest.mark.slow)])
def test_the_model_of_a_run_in_mixed_precision_with_synchronised_normalisation_is_a_plain_one(
    precision: str, tiny_data: ImageData, tmp_path: Path
) -> None:
    recipe = TINY.but(epochs=1, precision=precision, accumulate=2, sync_batchnorm=True)
    assert compiled(sync_batchnorm=True).network.get_layer("stem_bn").synchronized

    run = fit(recipe, tiny_data, tmp_path / "run", verbose=False)

    model = keras.models.load_model(run.model)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert not model.get_layer("stem_bn").synchronized
    assert np.isfinite(run.metrics()[0]["loss"])


def test_the_average_is_what_is_judged_and_saved(plain: Run, tiny_data: ImageData, tmp_path: Path) -> None:
    averaged = fit(ONE_EPOCH.but(ema=0.5), tiny_data, tmp_path / "averaged", verbose=False)

    a, b = (CheckpointStore(run.checkpoints).load(pytest.fail) for run in (plain, averaged))
    assert a is not None
    assert b is not None
    np.testing.assert_array_equal(a.tensors["model/head_dense/kernel"], b.tensors["model/head_dense/kernel"])
    best = CheckpointStore(averaged.checkpoints).read_best(b.state)
    for name in ("head_dense/kernel", "stem_bn/moving_mean"):
        np.testing.assert_array_equal(best[name], b.tensors[f"MovingAverage/{name}"])
        assert (best[name] != b.tensors[f"model/{name}"]).any()
    assert averaged.metrics()[0]["val_loss"] != plain.metrics()[0]["val_loss"]
    assert averaged.metrics()[0]["loss"] == plain.metrics()[0]["loss"]


def test_the_average_follows_the_formula() -> None:
    from keras_resnet.optimizers.averaging import MovingAverage

    model = compiled().network
    average, kernel = MovingAverage(model, 0.9), model.get_layer("head_dense").kernel
    expected = kernel.numpy()
    for update in range(1, 30):
        kernel.assign(kernel.value + 1.0)
        average.update(update)
        decay = min(0.9, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * kernel.numpy()
    own = kernel.numpy()

    with average.swapped():
        np.testing.assert_allclose(kernel.numpy(), expected, rtol=1e-5)
    np.testing.assert_array_equal(kernel.numpy(), own)


def test_fine_tuning_begins_with_the_weights_and_a_new_classifier(
    plain: Run, tiny_data: ImageData, tmp_path: Path
) -> None:
    trained = keras.models.load_model(plain.model)
    save_weights(trained, tmp_path / "mine.safetensors")
    weights = str(tmp_path / "mine.safetensors")
    recipe = TINY.but(epochs=1, head_epochs=1, weights=weights, freeze_batchnorm=True)

    network = network_for(recipe, plain.preprocessing)
    np.testing.assert_array_equal(network.get_layer("stem_conv").kernel, trained.get_layer("stem_conv").kernel)
    assert (network.get_layer("head_dense").kernel.numpy() != trained.get_layer("head_dense").kernel.numpy()).any()
    run = fit(recipe, tiny_data, tmp_path / "run", verbose=False)

    tuned = keras.models.load_model(run.model)
    np.testing.assert_array_equal(tuned.get_layer("stem_bn").moving_mean, trained.get_layer("stem_bn").moving_mean)
    assert len(run.metrics()) == 2
    assert run.metrics()[0]["learning_rate"] == pytest.approx(1e-3)


def test_frozen_parts_keep_their_weights_and_statistics_and_the_others_learn(
    plain: Run, tiny_data: ImageData, tmp_path: Path
) -> None:
    recipe = TINY.but(epochs=1, weights=str(plain.model), frozen="stem")
    run = fit(recipe, tiny_data, tmp_path / "run", verbose=False)

    trained, tuned = (variables_by_path(keras.models.load_model(one.model)) for one in (plain, run))
    same = {name for name, one in tuned.items() if (one.numpy() == trained[name].numpy()).all()}
    assert {name for name in tuned if name.startswith("stem")} == {name for name in same if name.startswith("stem")}
    assert "stem_bn/moving_mean" in same
    assert not {name for name in same if name.startswith("stage")}


@pytest.mark.parametrize(
    ("frozen", "weights", "message"),
    [
        ("stage2", "w", "frozen must be one of 'stem', 'stage1' for oneblock; received 'stage2'"),
        ("head", "w", "frozen must be one of"),
        ("stem", "", "which are random here: give trained ones by weights"),
    ],
)
def test_parts_that_cannot_be_frozen_are_refused_before_anything_is_written(
    frozen: str, weights: str, message: str, tiny_data: ImageData, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        fit(TINY.but(frozen=frozen, weights=weights), tiny_data, tmp_path / "run", verbose=False)
    assert not (tmp_path / "run").exists()


def test_a_finished_runs_model_brings_the_normalisation_it_was_trained_with(finished_run: Run, tmp_path: Path) -> None:
    grey = from_arrays(np.arange(40 * 64).reshape(40, 8, 8) % 250, np.arange(40) % 2, ("a", "b"))
    recipe, own = TINY.but(weights=str(finished_run.model)), preprocessing_for(TINY, grey)

    found = preprocessing_for(recipe, grey)

    trained = finished_run.preprocessing
    assert (found.mean, found.std) == (trained.mean, trained.std) != (own.mean, own.std)
    assert found.class_names == ("a", "b")
    coloured = from_arrays(np.arange(40 * 192).reshape(40, 8, 8, 3) % 250, np.arange(40) % 2, ("a", "b"))
    for_colours = preprocessing_for(recipe, coloured)
    assert (for_colours.mean, for_colours.std) == (trained.mean * 3, trained.std * 3), "the kernel is repeated, too"


def test_weights_that_are_not_there_are_refused_before_anything_is_written(
    tiny_data: ImageData, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="there is no weights file"):
        fit(TINY.but(weights="nowhere.safetensors"), tiny_data, tmp_path / "run", verbose=False)

    assert not (tmp_path / "run").exists()


@pytest.mark.slow  # XLA compiles for seconds
def test_the_same_recipe_compiled_by_xla_trains_too(tiny_data: ImageData, tmp_path: Path) -> None:
    run = fit(TINY.but(epochs=1, jit=True), tiny_data, tmp_path / "run", verbose=False)

    assert without_times(run.metrics()[0])["step"] == 6
    assert tf.config.optimizer.get_jit() in ("", False), "for this training only"


def test_pixels_are_normalised_as_the_recipe_says() -> None:
    grey, coloured = (from_arrays(np.arange(40 * 64 * n).reshape(40, 8, 8, n) % 250, np.arange(40) % 2) for n in (1, 3))
    one = TINY.but(pixel_mean=[0.5], pixel_std=[0.25])
    three = TINY.but(pixel_mean=(0.2, 0.4, 0.6), pixel_std=(0.1, 0.2, 0.4))

    assert preprocessing_for(one, grey).mean == (127.5,)
    assert preprocessing_for(one, coloured).std == (63.75,) * 3
    found = preprocessing_for(three, coloured)
    assert (found.mean, found.std) == ((51.0, 102.0, 153.0), (25.5, 51.0, 102.0))
    own = preprocessing_for(TINY, coloured)
    assert (own.mean, own.std) == ((123.0,) * 3, (71.0,) * 3), "without, the images' own"
    with pytest.raises(UsageError, match="have 3 numbers, and the images 1 channel: give one for each channel, or one"):
        preprocessing_for(three, grey)


def test_a_normalisation_that_is_not_the_weights_is_refused_and_theirs_may_be_repeated(
    finished_run: Run, tiny_data: ImageData
) -> None:
    trained = finished_run.preprocessing
    recipe = TINY.but(weights=str(finished_run.model))
    mean, std = ([round(value / 255, 5) for value in values] for values in (trained.mean, trained.std))

    assert preprocessing_for(recipe.but(pixel_mean=mean, pixel_std=std), tiny_data).mean == trained.mean
    with pytest.raises(UsageError, match="needs .*, and pixel_mean and pixel_std say something else: leave them out"):
        preprocessing_for(recipe.but(pixel_mean=mean, pixel_std=[std[0] + 0.001]), tiny_data)


def saved_without_a_word(path: Path, images: np.ndarray) -> Path:
    """Weights of a network whose first normalisation has seen pixels of -1 … 1; the file does not say so."""
    network = build(spec(TINY.model), 10, input_shape=images.shape[1:], seed=3)
    norm = network.get_layer("stem_bn")
    seen = np.asarray(keras.Model(network.input, norm.input)(images / 127.5 - 1))
    norm.moving_mean.assign(seen.mean(axis=(0, 1, 2)))
    norm.moving_variance.assign(seen.var(axis=(0, 1, 2)))
    save_weights(network, path)
    return path


def test_weights_that_do_not_say_what_pixels_they_need_are_asked_about_with_what_the_images_rule_out(
    tiny_data: ImageData, tmp_path: Path
) -> None:
    weights = saved_without_a_word(tmp_path / "net.safetensors", tiny_data.train.read(slice(None)))

    with pytest.raises(UsageError) as caught:
        fit(TINY.but(weights=str(weights)), tiny_data, tmp_path / "run", verbose=False)

    message = str(caught.value)
    assert "does not say what pixels it needs. On 32 of your images, the variance" in message
    offered = message.partition("Say it by --weights-preprocessing: ")[2]
    assert "imagenet (" in offered
    assert "tf (" in offered
    assert "caffe (" not in offered
    assert "raw (" not in offered
    assert not (tmp_path / "run").exists()


def test_a_wrong_word_for_the_pixels_is_refused_with_what_was_measured(tiny_data: ImageData, tmp_path: Path) -> None:
    weights = saved_without_a_word(tmp_path / "net.safetensors", tiny_data.train.read(slice(None)))

    with pytest.raises(UsageError, match=r"sees 1\.\d+e\+04 times the variance.*raw \(.*\): as you say"):
        fit(TINY.but(weights=str(weights), weights_preprocessing="raw"), tiny_data, tmp_path / "run", verbose=False)

    assert not (tmp_path / "run").exists()


def test_what_the_weights_get_is_said_and_recorded(
    tiny_data: ImageData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = saved_without_a_word(tmp_path / "net.safetensors", tiny_data.train.read(slice(None)))
    recipe = TINY.but(weights=str(weights), weights_preprocessing="tf", epochs=1)

    run = fit(recipe, tiny_data, tmp_path / "run")

    said = f"{weights} gets tf (pixels minus (127.5, 127.5, 127.5), divided by (127.5, 127.5, 127.5)): as you say"
    assert said in " ".join(capsys.readouterr().err.split())
    assert [event["text"] for event in run.events.rows() if event["event"] == "weights"] == [said]
    assert run.first_statistics is not None
    assert run.first_statistics.are_usual
    assert run.first_statistics.images == 32
    assert (run.preprocessing.mean, run.preprocessing.std) == ((127.5,), (127.5,))
    assert run.config["recipe"]["weights_preprocessing"] == "tf"
