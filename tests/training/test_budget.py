import json
from pathlib import Path

import pytest

from keras_resnet.errors import UsageError
from keras_resnet.runs.run import Run
from keras_resnet.training.budget import budget_record, recipe_of, run_within
from keras_resnet.training.recipe import Recipe


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


def test_a_recipe_of_another_version_is_named(tmp_path: Path) -> None:
    settings = Recipe(epochs=9).settings
    run, _ = Run.start(tmp_path / "run", {"recipe": settings})
    other, _ = Run.start(tmp_path / "other", {"recipe": {**settings, "momenta": 3}})

    assert recipe_of(run) == Recipe(epochs=9)
    with pytest.raises(UsageError, match="the recipe in .*other is another version's .*momenta"):
        recipe_of(other)
