"""Two logical CPU devices stand for two GPUs; two processes on the loopback address for two machines."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.errors import UsageError
from keras_resnet.training.distribution import (
    Distribution,
    distribution,
    is_lost_worker,
    synchronise_batch_norm,
    worker_of,
)
from tests.training.tiny_distributed import (
    BATCH,
    EPOCHS,
    STEPS,
    STOPPED,
    Steps,
    evaluation_data,
    images,
    network,
    shown,
    train,
    training_data,
)


@pytest.fixture(scope="module")
def two() -> Distribution:
    place = distribution("mirrored")
    assert place.replicas == 2
    return place


@pytest.fixture(scope="module")
def alone() -> tuple[keras.Model, Steps]:
    place = distribution("none")
    model = network(place, synchronised=False)
    place.prepare(model)
    return model, train(place, model)


@pytest.fixture(scope="module")
def together(two: Distribution) -> tuple[keras.Model, Steps, list[np.ndarray]]:
    """A whole training, and its variables after the second epoch."""
    model, arrays = network(two), []

    def keep(epoch: int, logs: dict[str, float]) -> None:
        if epoch == 1:
            arrays.extend(variable.numpy() for variable in (*model.variables, *model.optimizer.variables))

    two.prepare(model)
    return model, train(two, model, 0, EPOCHS, keras.callbacks.LambdaCallback(on_epoch_end=keep)), arrays


def replicas(variable: keras.Variable) -> list[np.ndarray]:
    return [value.numpy() for value in variable.value.values]


def test_every_global_batch_is_divided_among_the_replicas(two: Distribution) -> None:
    one = distribution("none")

    whole = shown(one, training_data(one), STEPS * EPOCHS)
    parts = shown(two, training_data(two), STEPS * EPOCHS)

    assert [[len(part) for part in step] for step in parts] == [[BATCH // 2] * 2] * STEPS * EPOCHS
    assert [[first + second] for first, second in parts] == whole


@pytest.mark.parametrize(("count", "batch_size"), [(21, 4), (21, 1), (16, 8), (2, 8)])
def test_every_image_is_evaluated_once(two: Distribution, count: int, batch_size: int) -> None:
    seen = shown(two, *evaluation_data(two, images(count), batch_size))

    assert all(part for step in seen for part in step)
    assert sorted(number for step in seen for part in step for number in part) == list(range(count))


def test_a_single_image_is_evaluated_by_every_replica(two: Distribution) -> None:
    assert shown(two, *evaluation_data(two, images(1), 8)) == [[[0], [0]]]


@pytest.mark.slow  # the losses of a run over two devices are compared in test_fit_over_devices
def test_with_synchronised_batch_norm_two_devices_train_as_one(
    alone: tuple[keras.Model, Steps], together: tuple[keras.Model, Steps, list[np.ndarray]]
) -> None:
    (model, steps), (mirrored, mirrored_steps, _) = alone, together

    assert mirrored_steps.iterations == steps.iterations == list(range(1, STEPS * EPOCHS + 1))
    np.testing.assert_allclose(mirrored_steps.losses, steps.losses, atol=1e-5)
    for mine, theirs in zip(mirrored_steps.epochs, steps.epochs, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)
    for mine, theirs in zip(mirrored.variables, model.variables, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), atol=1e-4)


@pytest.mark.slow  # of the training above
def test_all_replicas_stay_the_same(together: tuple[keras.Model, Steps, list[np.ndarray]]) -> None:
    model, _, _ = together

    for variable in (*model.variables, *model.optimizer.variables):
        first, second = replicas(variable)
        np.testing.assert_array_equal(first, second)


@pytest.mark.slow  # so are those of a run over two devices
def test_gradients_are_accumulated_as_on_one_device(two: Distribution) -> None:
    models, losses = [], []
    for place in (distribution("none"), two):
        model = network(place, accumulate=2)
        place.prepare(model)
        losses.append(train(place, model, 0, 1).losses)
        models.append(model)

    np.testing.assert_allclose(*losses, atol=1e-5)
    for mine, theirs in zip(*(model.optimizer.variables for model in models), strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), atol=1e-5)
        np.testing.assert_array_equal(*replicas(theirs))


def test_preparing_twice_changes_nothing(two: Distribution) -> None:
    model = network(two, dropout=0.5)
    [state] = [variable for variable in model.variables if variable.name == "seed_generator_state"]
    two.prepare(model)
    kind, apply, parted = type(model.optimizer), model.optimizer.apply, replicas(state)
    two.prepare(model)

    assert type(model.optimizer) is kind
    assert model.optimizer.apply is apply
    np.testing.assert_array_equal(replicas(state), parted)


def test_without_it_each_replica_normalises_by_its_own_images_until_the_statistics_are_averaged(
    two: Distribution, alone: tuple[keras.Model, Steps]
) -> None:
    model = network(two, synchronised=False)
    two.prepare(model)

    steps = train(two, model, 0, 1)
    mean = model.get_layer("stem_bn").moving_mean
    first, second = replicas(mean)
    two.statistics_averager(model)()

    assert np.abs(np.subtract(steps.losses, alone[1].losses[:STEPS])).max() > 1e-4
    assert np.abs(first - second).max() > 1e-4
    for averaged in replicas(mean):
        np.testing.assert_allclose(averaged, (first + second) / 2, rtol=1e-6)


@pytest.mark.slow  # a run over two devices goes on in test_fit_over_devices
def test_a_training_goes_on_bit_identical_from_arrays(
    two: Distribution, together: tuple[keras.Model, Steps, list[np.ndarray]]
) -> None:
    whole, whole_steps, arrays = together
    model = network(two)
    for variable, array in zip((*model.variables, *model.optimizer.variables), arrays, strict=True):
        variable.assign(array)
    two.prepare(model)

    steps = train(two, model, 2, EPOCHS)

    assert steps.losses == whole_steps.losses[2 * STEPS :]
    for mine, theirs in zip(model.variables, whole.variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


def test_every_replica_drops_out_at_other_places_and_the_first_as_alone(two: Distribution) -> None:
    model = network(two, dropout=0.5)
    [state] = [variable for variable in model.variables if variable.name == "seed_generator_state"]
    drawn = state.numpy()
    two.prepare(model)
    dropout = next(layer for layer in model.layers if isinstance(layer, keras.layers.Dropout))

    np.testing.assert_array_equal(state.numpy(), drawn)
    masks = two.strategy.run(tf.function(lambda: dropout(tf.ones((1, 64)), training=True))).values

    assert (masks[0].numpy() != masks[1].numpy()).any()


def test_one_device_is_left_as_it_was() -> None:
    place = distribution("none")

    assert (place.replicas, place.worker, place.is_chief) == (1, (0, 1), True)
    assert isinstance(training_data(place), tf.data.Dataset)
    assert place.anywhere(True)
    assert not place.anywhere(False)


def test_batch_norm_is_saved_unsynchronised_when_turned_back() -> None:
    model = network(distribution("none"))
    assert model.get_layer("stem_bn").get_config()["synchronized"]

    synchronise_batch_norm(model, False)

    assert not model.get_layer("stem_bn").get_config()["synchronized"]


def test_a_batch_must_be_a_multiple_of_the_replicas(two: Distribution) -> None:
    with pytest.raises(UsageError, match="a batch of 15 .* 2 replicas.*multiple of 2"):
        two.training_data(lambda worker: tf.data.Dataset.range(15), 15)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="'none', 'mirrored', 'multiworker'; received 'horovod'"):
        distribution("horovod")


def test_workers_that_meet_too_late_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    tf.constant(1.0)  # TensorFlow is in use
    config = {"cluster": {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))

    with pytest.raises(UsageError, match="before TensorFlow is used"):
        distribution("multiworker")


def test_tf_config_says_who_works() -> None:
    config = {"cluster": {"worker": ["a:1", "b:1", "c:1"]}, "task": {"type": "worker", "index": 2}}

    assert worker_of(json.dumps(config)) == (2, 3)


@pytest.mark.parametrize(
    "tf_config",
    [
        "",
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "evaluator", "index": 0}}',
    ],
)
def test_another_tf_config_is_refused_with_an_example(tf_config: str) -> None:
    with pytest.raises(UsageError, match=r'TF_CONFIG.*"index": 0\}\}; received'):
        worker_of(tf_config)


def test_only_what_aborts_the_common_work_is_a_lost_worker() -> None:
    assert is_lost_worker(tf.errors.UnavailableError(None, None, "Connection reset by peer"))
    assert is_lost_worker(tf.errors.CancelledError(None, None, "Collective ops is aborted by: ..."))
    assert not is_lost_worker(tf.errors.InvalidArgumentError(None, None, "Incompatible shapes"))
    assert not is_lost_worker(ConnectionError("Collective ops is aborted by: ..."))


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.mark.slow  # two processes that each import TensorFlow, which can join a cluster only before its first use
def test_two_workers_train_as_one_device_and_one_notices_when_the_other_dies(
    alone: tuple[keras.Model, Steps], tmp_path: Path
) -> None:
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    processes = []
    for index in range(2):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        command = [sys.executable, "-m", "tests.training.tiny_distributed", str(tmp_path)]
        environment = {**os.environ, "TF_CONFIG": config, "CUDA_VISIBLE_DEVICES": "-1"}
        processes.append(subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[2]))
    try:
        codes = [process.wait(300) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    chief, other = (json.loads((tmp_path / f"{index}.json").read_text()) for index in range(2))
    one = distribution("none")

    assert codes == [STOPPED, -9]
    both = [
        [mine + theirs for mine, theirs in zip(*step, strict=True)]
        for step in zip(chief["seen"], other["seen"], strict=True)
    ]
    assert both == shown(one, training_data(one), STEPS * EPOCHS)
    evaluated = [number for report in (chief, other) for [part] in report["evaluated"] for number in part]
    assert sorted(evaluated) == list(range(21))
    assert chief["asked"] == other["asked"] == [True, False]
    np.testing.assert_allclose(chief["losses"], alone[1].losses, atol=1e-5)
    for mine, theirs in zip(chief["epochs"], alone[1].epochs, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)
    for name in ("losses", "epochs", "weights"):
        assert chief[name] == other[name]
