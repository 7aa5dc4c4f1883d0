"""The command of a report resolves to the settings of its run."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from keras_resnet.cli.main import parser
from keras_resnet.cli.options import configuration_of
from keras_resnet.data.sources.source import Source
from keras_resnet.reporting.reproduce import command
from keras_resnet.training.configuration import configure
from keras_resnet.training.recipe import Recipe


def config_of(recipe: Recipe, source: Source) -> dict[str, Any]:
    """As a run's config.json has it."""
    return json.loads(json.dumps({"recipe": {**vars(recipe)} | {"data": None}, "data": source.settings}))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "settings",
    [
        {"data": "digits"},
        {"data": "digits", "epochs": 7, "seed": 3, "learning_rate": 0.02, "nesterov": False},
        {"data": "digits", "optimizer": "adamw", "epochs": 4, "label_smoothing": 0.0},
        {"data": "folder:/photos", "image_size": 48, "split": "group", "group_by": "series", "fold": (2, 5)},
        {"data": "folder:/a b/'x'", "recipe": "folder", "limit": 100, "crop_fraction": 0.875, "clip": "norm"},
        {"data": "tfds:cifar10", "recipe": "cifar10-resnet20", "model": "resnet32"},
    ],
)
def test_the_command_resolves_to_the_same_recipe_and_source(settings: dict[str, Any]) -> None:
    wanted = configure(**settings)
    recorded = config_of(wanted.recipe, wanted.source)
    recorded["recipe"].pop("data")

    words = shlex.split(command(recorded))

    assert words[:2] == ["keras-resnet", "train"]
    reached = configuration_of(parser(["train"]).parse_args(words[1:]), look=False)
    mine, others = ({k: v for k, v in vars(one.recipe).items() if k not in ("data", "source", "expected")} for one in
                    (wanted, reached))  # fmt: skip
    assert others == mine
    assert reached.source == wanted.source


def test_what_is_at_its_usual_value_is_not_said() -> None:
    wanted = configure(data="digits", epochs=5)
    recorded = config_of(wanted.recipe, wanted.source)
    recorded["recipe"].pop("data")

    assert command(recorded) == "keras-resnet train digits --recipe digits --epochs 5"


@pytest.mark.parametrize(
    "config",
    [
        {"recipe": {"model": "mine", "epochs": 3, "tta": "none"}, "data": {"arrays": "", "name": "data of a script"}},
        {"recipe": {"epochs": -3}, "data": {"name": "digits"}},
        {"recipe": {"unknown": 1}, "data": {"name": "digits"}},
    ],
)
def test_where_no_command_does_there_is_none(config: dict[str, Any], tmp_path: Path) -> None:
    assert command(config) == ""
