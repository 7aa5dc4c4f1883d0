from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

from keras_resnet.allowed import SCHEDULE
from keras_resnet.errors import UsageError
from keras_resnet.schedules import _SHAPES, Cosine, Schedule, schedule
from tests.golden import optimizer_cases as cases


def rates(made: keras.optimizers.schedules.LearningRateSchedule, steps: int) -> list[float]:
    return [float(made(step)) for step in range(steps)]


@pytest.mark.parametrize("case", cases.SCHEDULES)
def test_every_update_has_the_rate_that_pytorch_gives_it(case: str) -> None:
    made = schedule(peak=cases.SCHEDULE_PEAK, steps=cases.SCHEDULE_STEPS, **cases.SCHEDULES[case])

    expected = load_file(cases.FILE)[f"schedule/{case}"]

    np.testing.assert_allclose(rates(made, cases.SCHEDULE_STEPS), expected, rtol=2e-6)


def test_steps_count_from_the_beginning_of_the_training_and_not_from_the_end_of_the_warmup() -> None:
    made = schedule("step", 1.0, 40, every=15, factor=0.5, warmup_steps=10)

    assert rates(made, 40) == pytest.approx([step / 10 for step in range(10)] + [1.0] * 5 + [0.5] * 15 + [0.25] * 10)


def test_a_warmup_leads_to_where_the_schedule_begins() -> None:
    made = schedule("one-cycle", 1.0, 50, initial_division=10, warmup_steps=10, warmup_from=0.5)

    assert [float(made(step)) for step in (0, 5, 10)] == pytest.approx([0.05, 0.075, 0.1])
    assert max(rates(made, 50)) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(("kind", "power"), [("cosine", 2.0), ("one-cycle", 2.0)])
def test_rates_are_exact_at_the_end_of_a_million_steps(kind: str, power: float) -> None:
    steps = 10**6
    made = schedule(kind, 0.4, steps, climb=0, initial_division=1, final_division=1e12)

    last = steps if kind == "cosine" else steps - 1
    for before in (1, 10, 1000):
        exact = 0.4 * np.sin(np.pi / 2 * before / last) ** power + (4e-13 if kind == "one-cycle" else 0)
        assert float(made(last - before)) == pytest.approx(exact, rel=1e-6)


def test_a_warmup_of_many_steps_never_stands_still() -> None:
    made = schedule("constant", 1.0, 10**6, warmup_steps=10**5)

    assert float(made(99_999)) == pytest.approx(0.99999, rel=1e-7)
    assert float(made(99_999)) < float(made(100_000)) == 1.0


def test_after_the_end_the_last_rate_stays() -> None:
    for options in cases.SCHEDULES.values():
        made = schedule(peak=0.3, steps=60, **options)

        assert float(made(60)) == float(made(600)) <= float(made(59)) + 1e-9


@pytest.mark.parametrize("kind", ["constant", "cosine", "one-cycle"])
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (1, 5), (2, 0), (3, 3), (10, 0), (4, 1)])
def test_short_trainings_have_a_rate_too(kind: str, steps: int, warmup: int) -> None:
    found = rates(schedule(kind, 0.4, steps, warmup_steps=warmup), steps + 1)

    assert np.isfinite(found).all()
    assert 0 < max(found) <= 0.4 + 1e-6


@pytest.mark.parametrize("case", cases.SCHEDULES)
def test_a_schedule_comes_back_from_its_config(case: str) -> None:
    made = schedule(peak=0.3, steps=60, **cases.SCHEDULES[case])

    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(made))

    assert again.get_config() == made.get_config()
    assert rates(again, 60) == rates(made, 60)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "cosin"}, "one of 'constant', 'step', 'multistep', 'cosine', 'one-cycle'; received 'cosin'"),
        ({"peak": 0.0}, "learning rate must be positive; received 0.0"),
        ({"steps": 0}, "at least one step; received 0"),
        ({"warmup_steps": -1}, "warmup_steps must be at least 0; received -1"),
        ({"warmup_from": 2.0}, "warmup_from must lie in 0–1; received 2.0"),
        ({"kind": "step"}, "every must be a whole number of at least 1; received 0"),
        ({"kind": "multistep", "milestones": (0,)}, "milestones must be positive; received [0]"),
        ({"floor": 0.2}, "floor must lie between 0 and the peak 0.1; received 0.2"),
        ({"kind": "one-cycle", "anneal": "cos"}, "anneal must be one of 'cosine', 'linear'; received cos"),
    ],
)
def test_what_makes_no_schedule_is_refused(wrong: dict, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        schedule(**{"kind": "cosine", "peak": 0.1, "steps": 10, **wrong})

    assert message in str(refusal.value)


def test_every_word_for_a_schedule_has_one() -> None:
    assert _SHAPES.keys() == set(SCHEDULE.choices)


EPOCHS = {
    "constant": ({}, {}),
    "step": ({"every": 3}, {"every": 12}),
    "multistep": ({"milestones": [2.5, 7]}, {"milestones": [10, 28]}),
    "cosine": ({"floor": 0.01}, {"floor": 0.01}),
    "one-cycle": ({"climb": 0.5}, {"climb": 0.5}),
}


@pytest.mark.parametrize("kind", SCHEDULE.choices)
def test_lengths_in_epochs_are_those_in_updates(kind: str) -> None:
    shape, _ = _SHAPES[kind]
    in_epochs, in_updates = EPOCHS[kind]

    made = shape(0.3, epochs=10, warmup=1.5, steps_per_epoch=4, **in_epochs)

    assert rates(made, 41) == rates(shape(0.3, 40, warmup_steps=6, **in_updates), 41)
    assert rates(shape.from_config(made.get_config()), 41) == rates(made, 41)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "is told how long the training is: by epochs= and steps_per_epoch="),
        ({"epochs": 5}, "is told how long the training is"),
        ({"epochs": 5, "steps_per_epoch": 10, "steps": 50}, "is told how long the training is"),
        ({"steps": 50, "warmup": 2}, "warmup= in epochs, warmup_steps= in updates"),
        ({"epochs": 5, "steps_per_epoch": 10, "warmup_steps": 2}, "warmup= in epochs, warmup_steps= in updates"),
        ({"epochs": 0, "steps_per_epoch": 10}, "epochs must be positive; received 0"),
        ({"epochs": 5, "steps_per_epoch": 0}, "steps_per_epoch must be at least 1; received 0"),
    ],
)
def test_a_length_that_is_not_clear_is_refused(given: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Cosine(0.1, **given)  # type: ignore[arg-type]


def test_a_users_own_schedule_may_reckon_in_whole_numbers() -> None:
    """Which TensorFlow divides in float64."""

    class Falling(Schedule):
        def after_warmup(self, step: Any) -> Any:
            return self.peak * (1 - step / self.steps)

    made = Falling(1.0, steps=10, warmup_steps=2)

    assert [float(made(step)) for step in (0, 1, 2, 5, 10)] == pytest.approx([0.0, 0.4, 0.8, 0.5, 0.0])


def test_a_schedule_draws_itself(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra 'plots' is not installed")
    made = Cosine(0.1, epochs=10, warmup=2, steps_per_epoch=300)

    figure = made.plot(tmp_path / "rate.png")

    (line,) = figure.axes[0].lines
    steps, drawn = line.get_data()
    assert (steps[0], steps[-1], len(steps)) == (0, 2999, 500)
    assert drawn.max() == pytest.approx(0.1, rel=1e-3)
    assert drawn[::20].tolist() == [float(made(int(step))) for step in steps[::20]]
    assert (tmp_path / "rate.png").read_bytes().startswith(b"\x89PNG")
