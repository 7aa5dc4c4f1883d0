import collections
import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_resnet.data.images import ImageData
from keras_resnet.errors import UsageError
from keras_resnet.runs.run import Run
from keras_resnet.training.fit import configuration
from keras_resnet.training.recipe import Recipe
from keras_resnet.training.recipes import recipe
from keras_resnet.tuning import choice as choice_module
from keras_resnet.tuning.choice import (
    Timing,
    budget_record,
    choose,
    choose_recipe,
    ladder,
    least_epochs,
    measured,
    run_within,
)
from tests.shared import TINY, TINY_SOURCE

STEPS, VALIDATION, TEST = 6, 30, 60


class Machine:
    """A clock, and a timer that takes as long as it says."""

    def __init__(self, steps: Mapping[str, float], image: float = 0.0, start: float = 10.0) -> None:
        self.steps, self.image, self.start, self.now = steps, image, start, 100.0
        self.timed: list[str] = []

    def clock(self) -> float:
        return self.now

    def timer(self, recipe: Recipe, data: ImageData) -> Timing:
        self.timed.append(recipe.model)
        self.now += self.start
        return Timing(self.start, self.steps[recipe.model], self.image)

    @property
    def tools(self) -> dict[str, Callable[..., object]]:
        return {"timer": self.timer, "clock": self.clock}


def test_the_data_are_what_these_tests_count_with(tiny_data: ImageData) -> None:
    assert len(tiny_data.train) // TINY.batch_size == STEPS
    assert (len(tiny_data.validation), len(tiny_data.test)) == (VALIDATION, TEST)


def test_the_largest_network_with_enough_epochs_is_chosen(tiny_data: ImageData) -> None:
    machine = Machine({"resnet8": 0.01, "resnet20": 0.1, "resnet56": 1.0})

    found = choose(100, TINY, tiny_data, models=["resnet56", "resnet8", "resnet20"], **machine.tools)  # type: ignore[arg-type]

    # 30 s of timing leave 70, of which 63 are planned with: 10 to start again, and 0.8 s an epoch.
    assert machine.timed == ["resnet8", "resnet20", "resnet56"]
    assert found.model == "resnet20"
    assert found.epochs == 66
    assert [(one.model, one.epochs) for one in found.table] == [("resnet8", 203), ("resnet20", 66), ("resnet56", 8)]
    assert found.least == 30


def test_what_cannot_get_enough_epochs_is_not_even_timed(tiny_data: ImageData) -> None:
    machine = Machine({"resnet8": 0.4, "resnet20": 0.4})

    found = choose(200, TINY, tiny_data, models=["resnet8", "resnet20", "resnet18"], **machine.tools)  # type: ignore[arg-type]

    assert machine.timed == ["resnet8", "resnet20"]
    assert found.model == "resnet20"
    assert found.table[2].timing is None
    assert found.table[2].epochs == 0
    assert found.table[2].epoch > 200 / 30


def test_evaluation_counts_and_so_does_what_timing_took(tiny_data: ImageData) -> None:
    quick, thorough = Machine({"resnet8": 0.1}), Machine({"resnet8": 0.1}, image=0.02)
    slow_to_start = Machine({"resnet8": 0.1}, start=20)

    def epochs(machine: Machine) -> int:
        return choose(60, TINY, tiny_data, models=["resnet8"], **machine.tools).epochs  # type: ignore[arg-type]

    assert epochs(quick) == int((0.9 * 50 - 10) / 0.8)
    assert epochs(thorough) == int((0.9 * 50 - 10 - TEST * 0.02) / (0.8 + VALIDATION * 0.02))
    assert epochs(slow_to_start) == int((0.9 * 40 - 20) / 0.8)


def test_no_network_is_trained_for_ever(tiny_data: ImageData) -> None:
    machine = Machine({"resnet8": 0.01})

    assert choose(9e4, TINY, tiny_data, models=["resnet8"], **machine.tools).epochs == 90  # type: ignore[arg-type]
    longer = TINY.but(epochs=300)
    assert choose(9e4, longer, tiny_data, models=["resnet8"], **machine.tools).epochs == 300  # type: ignore[arg-type]


def test_epochs_that_are_said_choose_the_network_only(tiny_data: ImageData) -> None:
    machine = Machine({"resnet8": 0.01, "resnet20": 0.1})

    found = choose(50, TINY, tiny_data, models=["resnet8", "resnet20"], epochs=12, **machine.tools)  # type: ignore[arg-type]

    assert (found.model, found.epochs) == ("resnet20", 12)
    shorter = choose(40, TINY, tiny_data, models=["resnet8", "resnet20"], epochs=12, **machine.tools)  # type: ignore[arg-type]
    assert (shorter.model, shorter.epochs) == ("resnet8", 12)


def test_too_few_epochs_are_better_than_none_but_none_are_refused(tiny_data: ImageData) -> None:
    machine = Machine({"resnet8": 1.0, "resnet20": 9.0})

    found = choose(60, TINY, tiny_data, models=["resnet8", "resnet20"], **machine.tools)  # type: ignore[arg-type]
    assert (found.model, found.epochs) == ("resnet8", 5)
    assert found.epochs < found.least
    message = r"even resnet8 takes about 6.2 s an epoch here, after 10 s to start. Allow 0min28s"
    with pytest.raises(UsageError, match=message):
        choose(20, TINY, tiny_data, models=["resnet8"], **machine.tools)  # type: ignore[arg-type]
    assert choose(28.1, TINY, tiny_data, models=["resnet8"], **machine.tools).epochs == 1  # type: ignore[arg-type]


def test_epochs_of_the_classifier_alone_are_counted(tiny_data: ImageData) -> None:
    machine = Machine({"resnet8": 0.1})
    plain = choose(60, TINY, tiny_data, models=["resnet8"], **machine.tools)  # type: ignore[arg-type]
    with_head = choose(60, TINY.but(head_epochs=3), tiny_data, models=["resnet8"], **machine.tools)  # type: ignore[arg-type]

    assert with_head.epochs == plain.epochs - 3


def test_the_ladder_fits_the_images_and_the_weights() -> None:
    assert ladder(Recipe(), (32, 32, 3)) == ["resnet8", "resnet20", "resnet56", "wrn16_4", "resnet18"]
    assert ladder(Recipe(model="resnet34"), (224, 224, 3)) == ["resnet8", "resnet18", "resnet50", "resnet34"]
    assert "resnet18" not in ladder(Recipe(), (6, 6, 1))
    assert ladder(recipe("finetune-small"), (224, 224, 3)) == ["resnet18", "resnet50"], "ResNet-8 has no such weights"
    assert ladder(Recipe(weights="mine.safetensors"), (32, 32, 3)) == ["resnet20"]


def test_small_sets_get_more_epochs() -> None:
    assert least_epochs(1_437) == 30
    assert least_epochs(45_000) == 15


def test_a_network_is_timed_by_real_steps(tiny_data: ImageData) -> None:
    found = measured(TINY, tiny_data)

    assert found.start > found.step > 0
    assert found.image > 0


def test_a_network_whose_timing_would_use_up_the_time_is_not_timed(tiny_data: ImageData) -> None:
    machine = Machine({"resnet8": 0.01, "resnet20": 0.01}, start=12.0)

    found = choose(40, TINY, tiny_data, models=["resnet8", "resnet20"], **machine.tools)  # type: ignore[arg-type]

    # 28 s are left after ResNet-8; timing and starting ResNet-20 would take 24, its epochs 8.
    assert machine.timed == ["resnet8"]
    assert (found.model, found.epochs) == ("resnet8", 50)


def test_only_the_unfinished_run_of_the_same_command_is_found(tmp_path: Path) -> None:
    asked = Recipe(milestones=(3, 4), train_sizes=(8, 16))
    config = {
        "recipe": asked.but(model="resnet8", epochs=7).settings,
        "budget": budget_record("10min", asked, ["model", "epochs"]),
        "data": {"name": "digits"},
        "num_classes": None,
    }
    run, _ = Run.start(tmp_path / "run", json.loads(json.dumps(config)))
    folders = [tmp_path / "nothing", tmp_path / "run"]

    found = run_within(config, folders)

    assert found is not None
    assert Recipe(**found.config["recipe"]).model == "resnet8"
    others = {
        "budget": [
            budget_record("11min", asked, ["model", "epochs"]),
            budget_record("10min", asked, ["epochs"]),
            budget_record("10min", asked.but(dropout=0.1), ["model", "epochs"]),
        ],
        "data": [{"name": "folder:x"}],
        "num_classes": [3],
    }
    for key, values in others.items():
        for value in values:
            assert run_within({**config, key: value}, folders) is None
    run.finish()
    assert run_within(config, folders) is None


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """In place of real steps: a machine that needs 0.01 s for a step of any network."""
    machine = Machine(collections.defaultdict(lambda: 0.01), start=0.5)
    choose_on = functools.partial(choice_module.choose, **machine.tools)  # type: ignore[arg-type]
    monkeypatch.setattr(choice_module, "choose", choose_on)
    return machine


def test_a_recipe_is_chosen_with_all_that_it_counts_in_epochs(tiny_data: ImageData, quick: Machine) -> None:
    asked = TINY.but(epochs=30, warmup_epochs=3)

    found = choose_recipe(tiny_data, "60s", asked, model="ResNet-8")

    assert quick.timed == ["resnet8"]
    assert (found.model, found.epochs) == ("resnet8", 90)
    assert found.recipe == asked.but(model="resnet8", epochs=90)
    assert found.recipe.warmup_epochs == 9
    assert str(found).splitlines()[0].startswith("network  MACs  step  epoch")
    assert str(found).splitlines()[1] == f"resnet8  0.8 M  10 ms  0.3 s  {found.table[0].epochs}  chosen"
    assert str(found).splitlines()[-1] == "chosen: resnet8, 90 epochs"
    by_number = choose_recipe(tiny_data, 60, asked, epochs=40)
    assert (by_number.epochs, by_number.recipe.warmup_epochs) == (40, 4)
    assert by_number.model == by_number.table[-1].model, "all are quick enough, and the largest is taken"


def test_the_usual_recipe_for_the_data_is_taken_where_none_is_named(
    tiny_data: ImageData, image_folder: Path, quick: Machine
) -> None:
    assert choose_recipe(tiny_data, "60s", model="resnet8").recipe == recipe("digits").but(epochs=90)
    assert choose_recipe(image_folder, "60s", epochs=3).recipe.label_smoothing == recipe("folder").label_smoothing
    arrays = (np.zeros((40, 8, 8), np.uint8), np.arange(40) % 2)
    assert choose_recipe(arrays, "60s", epochs=3).recipe.batch_size == recipe("folder").batch_size


def test_a_script_that_is_started_again_goes_on_with_its_choice(
    tiny_data: ImageData, quick: Machine, tmp_path: Path
) -> None:
    first = choose_recipe(tiny_data, "60s", TINY, model="resnet8", out=tmp_path / "run")
    run, _ = Run.start(tmp_path / "run", configuration(first.recipe, tiny_data.source or tiny_data))
    quick.timed.clear()

    again = choose_recipe(tiny_data, "60s", TINY, model="resnet8", out=tmp_path / "run")

    assert again.recipe == first.recipe
    assert str(again) == "begun with: resnet8, 90 epochs"
    assert choose_recipe(TINY_SOURCE, "9s", TINY, out=tmp_path / "run").recipe == first.recipe
    assert quick.timed == []
    with pytest.raises(UsageError, match="unfinished run of another configuration"):
        choose_recipe(tiny_data, "60s", TINY.but(dropout=0.2), out=tmp_path / "run")
    run.finish()
    with pytest.raises(UsageError, match="finished run"):
        choose_recipe(tiny_data, "60s", TINY, model="resnet8", out=tmp_path / "run")
    assert quick.timed == []


@pytest.mark.parametrize(
    ("budget", "settings", "message"),
    [
        ("60s", {"model": "resnet8", "epochs": 3}, "both are said: leave one of them out"),
        ("soon", {}, "budget must be a time such as 90s, 10min, 2h or 1h30min; received 'soon'"),
        (float("nan"), {}, "budget must be a time such as .*, or a number of seconds; received nan"),
        (0.1, {"model": "resnet8"}, "the budget is too short: even resnet8 takes"),
        ("60s", {"epochs": 0}, "epochs must be a whole number of at least 1; received 0"),
    ],
)
def test_a_budget_that_leaves_nothing_to_choose_is_refused(
    budget: str | float, settings: dict[str, Any], message: str, tiny_data: ImageData, quick: Machine
) -> None:
    with pytest.raises(UsageError, match=message):
        choose_recipe(tiny_data, budget, TINY, **settings)
