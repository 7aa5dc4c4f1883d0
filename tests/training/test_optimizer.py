import keras
import numpy as np
import pytest

from keras_resnet.training.optimizer import CoupledSGD, warmup_cosine


@pytest.mark.parametrize("nesterov", [False, True])
def test_weight_decay_goes_through_the_momentum_as_in_pytorch(nesterov: bool) -> None:
    rate, momentum, decay = 0.1, 0.9, 0.05
    kernel = keras.Variable(np.array([1.0, -2.0, 3.0]), name="kernel", dtype="float64")
    optimizer = CoupledSGD(rate, momentum=momentum, nesterov=nesterov, coupled_weight_decay=decay)
    weight, velocity = np.array([1.0, -2.0, 3.0]), np.zeros(3)

    for step in range(20):
        gradient = np.sin(weight + step)
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [kernel])
        # torch.optim.SGD, by its documentation
        decayed = gradient + decay * weight
        velocity = decayed if step == 0 else momentum * velocity + decayed
        weight = weight - rate * (decayed + momentum * velocity if nesterov else velocity)

    np.testing.assert_allclose(kernel.numpy(), weight, rtol=1e-5)


def test_only_kernels_decay() -> None:
    variables = [keras.Variable(np.ones(2, "float32"), name=name) for name in ("kernel", "gamma", "beta", "bias")]
    optimizer = CoupledSGD(0.1, coupled_weight_decay=0.5)

    optimizer.apply([keras.ops.zeros(2)] * 4, variables)

    assert [variable.numpy()[0] for variable in variables] == pytest.approx([0.95, 1, 1, 1])


def test_it_comes_back_from_its_config() -> None:
    optimizer = CoupledSGD(0.1, momentum=0.9, nesterov=True, coupled_weight_decay=1e-4)

    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))

    assert again.get_config() == optimizer.get_config()
    assert again.coupled_weight_decay == 1e-4


def test_the_rate_climbs_to_its_peak_and_falls_by_a_cosine_to_zero() -> None:
    schedule = warmup_cosine(0.4, steps=110, warmup_steps=10)

    assert [float(schedule(step)) for step in (0, 5, 10)] == pytest.approx([0, 0.2, 0.4])
    assert [float(schedule(step)) for step in (35, 60, 85, 110)] == pytest.approx(
        [0.4 * (1 + np.cos(np.pi * part)) / 2 for part in (0.25, 0.5, 0.75, 1)], abs=1e-6
    )


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (1, 5), (3, 3), (10, 0)])
def test_short_trainings_have_a_rate_too(steps: int, warmup: int) -> None:
    schedule = warmup_cosine(0.4, steps, warmup)

    assert all(0 <= float(schedule(step)) <= 0.4 + 1e-6 for step in range(steps + 1))
    assert max(float(schedule(step)) for step in range(steps)) > 0
