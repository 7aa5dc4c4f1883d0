import math
from pathlib import Path

import numpy as np
import pytest

from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import load_data
from keras_resnet.data.sources.source import Source
from keras_resnet.errors import DataError, UsageError
from keras_resnet.runs.run import Run
from keras_resnet.training.recipe import Recipe
from keras_resnet.tuning.rate_finder import RateCurve, find_learning_rate, valley
from keras_resnet.tuning.trial import TrialSteps
from tests.shared import TINY


class Bowl:
    """One weight of a parabola under gradient descent: too small rates do little, rates beyond 2 explode."""

    def __init__(self, recipe: Recipe, data: ImageData) -> None:
        self.weight, self.rate = 1.0, 0.0
        self.rates: list[float] = []

    def set_rate(self, rate: float) -> None:
        self.rate = rate

    def step(self) -> float:
        loss = 1 + self.weight**2 / 2
        self.weight -= self.rate * self.weight
        self.rates.append(self.rate)
        return loss


class Broken(Bowl):
    def step(self) -> float:
        return super().step() if self.rate < 0.01 else math.nan


def test_rates_rise_by_a_constant_factor_and_the_suggestion_lies_where_the_loss_falls(tiny_data: ImageData) -> None:
    curve = find_learning_rate(TINY, tiny_data, steps=100, start=Bowl)

    assert curve.rates[0] == pytest.approx(1e-6)
    assert curve.rates[99] == pytest.approx(10)
    np.testing.assert_allclose(np.diff(np.log(curve.rates)), np.log(1e7) / 99)
    assert curve.suggestion is not None
    assert 0.003 < curve.suggestion < 0.5, "the fall is from about 0.01, where updates begin to add up"
    assert curve.suggestion < curve.lowest


def test_the_test_stops_where_the_loss_explodes_and_leaves_out_what_is_no_number(tiny_data: ImageData) -> None:
    wide = find_learning_rate(TINY, tiny_data, steps=100, highest=1e4, start=Bowl)
    broken = find_learning_rate(TINY, tiny_data, steps=100, start=Broken)

    assert wide.losses[-1] > 4 * min(wide.losses)
    assert len(wide.rates) < 100 == wide.steps
    assert max(broken.rates) < 0.01
    assert np.isfinite(broken.losses).all()


def test_the_first_losses_are_averaged_without_a_bias_to_zero(tiny_data: ImageData) -> None:
    assert find_learning_rate(TINY, tiny_data, steps=50, highest=1e-5, start=Bowl).losses == pytest.approx(
        [1.5] * 50, rel=1e-3
    )


def test_few_images_make_fewer_steps(tiny_data: ImageData) -> None:
    assert len(tiny_data.train) // TINY.batch_size == 6
    assert find_learning_rate(TINY, tiny_data, start=Bowl).steps == 30
    assert find_learning_rate(TINY.but(batch_size=16), tiny_data, start=Bowl).steps == 65
    assert find_learning_rate(TINY.but(batch_size=4), tiny_data, start=Bowl).steps == 100


def test_the_valley_is_the_longest_fall_whatever_interrupts_it() -> None:
    rising, falling = [5.0, 5.1, 5.2, 5.3], [5.0, 4.8, 4.9, 4.6, 4.4, 4.5, 4.2, 4.0, 3.9, 3.8]

    place = valley([*rising, *falling, 7.0, 6.0])

    assert place == 7  # half-way through a fall from 3 to 13
    assert valley([1.0, 2.0, 3.0]) == 0


def test_a_loss_that_never_falls_suggests_nothing() -> None:
    rates = tuple(np.geomspace(1e-6, 10, 40))

    assert RateCurve(rates, tuple(np.linspace(2.3, 2.4, 40)), 40).suggestion is None
    assert RateCurve((), (), 40).suggestion is None
    assert RateCurve(rates, tuple(np.linspace(2.4, 2.3, 40)), 40).suggestion is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lowest": 0.0}, "lowest must be greater than 0"),
        ({"highest": 1e-9}, "less than highest"),
        ({"steps": 1}, "steps"),
    ],
)
def test_an_argument_out_of_range_is_named(changes: dict[str, float], message: str, tiny_data: ImageData) -> None:
    with pytest.raises(UsageError, match=message):
        find_learning_rate(TINY, tiny_data, **changes)  # type: ignore[arg-type]


def test_on_a_network_the_same_seed_gives_the_same_curve_and_no_run_is_touched(
    tiny_data: ImageData, finished_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in finished_run.path.rglob("*")}

    one, again = (find_learning_rate(TINY, tiny_data, steps=12, highest=1.0) for _ in range(2))

    assert one == again
    assert one != find_learning_rate(TINY.but(seed=1), tiny_data, steps=12, highest=1.0)
    assert {path: path.stat().st_mtime_ns for path in finished_run.path.rglob("*")} == before
    assert not list(tmp_path.iterdir())


def test_a_source_by_name_is_split_by_the_recipes_seed(tiny_data: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Source] = []

    def load(source: Source) -> ImageData:
        loaded.append(source)
        return tiny_data

    monkeypatch.setattr("keras_resnet.tuning.rate_finder.load_data", load)
    find_learning_rate(Recipe(seed=5), "digits", start=Bowl)
    find_learning_rate(Recipe(seed=5), Source("digits", seed=2), start=Bowl)

    assert [source.seed for source in loaded] == [5, 2]


def test_a_step_on_trial_is_computed_in_the_parts_and_at_the_largest_size_of_the_training(tiny_data: ImageData) -> None:
    from keras_resnet.tuning.trial import TrialSteps

    trial = TrialSteps(TINY.but(accumulate=4, train_sizes=(8, 10), epochs=2), tiny_data)
    seen: list[tuple[int, ...]] = []
    train = trial.model.train_on_batch

    def spy(images: np.ndarray, *rest: object, **options: object) -> object:
        seen.append(tuple(images.shape[:2]))
        return train(images, *rest, **options)

    trial.model.train_on_batch = spy
    trial.step()

    assert seen == [(TINY.batch_size // 4, 10)] * 4
    assert int(trial.model.optimizer.iterations.numpy()) == 1, "one update"
    assert trial.evaluate() > 0


def test_the_loss_of_a_step_in_parts_is_that_of_the_whole_batch(tiny_data: ImageData) -> None:
    from keras_resnet.tuning.trial import TrialSteps

    frozen = TINY.but(freeze_batchnorm=True, augment="none")
    whole, parts = TrialSteps(frozen, tiny_data), TrialSteps(frozen.but(accumulate=2), tiny_data)

    assert parts.step() == pytest.approx(whole.step(), rel=1e-5)
    assert parts.step() == pytest.approx(whole.step(), rel=1e-4), "one update came between"


def test_the_network_takes_the_rates(tiny_data: ImageData) -> None:
    from keras_resnet.tuning.trial import TrialSteps

    def moved(rate: float) -> float:
        trial = TrialSteps(TINY, tiny_data)
        before = trial.model.get_layer("stem_conv").kernel.numpy()
        trial.set_rate(rate)
        trial.step()
        return float(np.abs(trial.model.get_layer("stem_conv").kernel.numpy() - before).max())

    assert moved(1e-3) == pytest.approx(10 * moved(1e-4), rel=1e-3)


def test_an_image_that_can_no_longer_be_read_is_named(image_folder: Path) -> None:
    data = load_data(Source(f"folder:{image_folder}", image_size=8), cache="none")
    trial = TrialSteps(TINY.but(batch_size=8), data)
    for path in image_folder.rglob("*.png"):
        path.write_bytes(b"gone")

    with pytest.raises(DataError, match=r"\.png has changed since the images were read"):
        [trial.step() for _ in range(20)]  # some batches were read ahead
