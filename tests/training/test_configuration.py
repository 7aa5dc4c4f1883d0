import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from keras_resnet.allowed import OPTIMIZER
from keras_resnet.data.sources.source import Source
from keras_resnet.errors import UsageError
from keras_resnet.runs.run import Run
from keras_resnet.training.configuration import (
    KNOWN,
    SOURCE_SETTINGS,
    USUAL,
    configure,
    read_recipe,
    recipe_of,
    source_for,
)
from keras_resnet.training.recipe import Recipe
from keras_resnet.training.recipes import RECIPES, recipe


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_what_is_nearer_to_the_user_counts_for_more_and_says_where_it_is_from(tmp_path: Path) -> None:
    file = write(
        tmp_path / "mine.yaml", "# mine", "recipe: cifar10-resnet18", "batch_size: 32", "mixup: 0.2", "limit: 900"
    )

    found = configure(config=file, said_by="command line", mixup=0.4, nesterov=False)

    origins = {name: (one.value, one.origin) for name, one in found.values.items()}
    assert origins["recipe"] == ("cifar10-resnet18", f"file {file}:2")
    assert origins["data"] == ("tfds:cifar10", "recipe cifar10-resnet18")
    assert origins["momentum"] == (0.9, "default")
    assert origins["label_smoothing"] == (0.1, "recipe cifar10-resnet18")
    assert origins["batch_size"] == (32, f"file {file}:3")
    assert origins["mixup"] == (0.4, "command line")
    assert origins["nesterov"] == (False, "command line")
    assert found.recipe == recipe("cifar10-resnet18").but(batch_size=32, mixup=0.4, nesterov=False)
    assert found.source == Source("tfds:cifar10", limit=900)
    assert [name for name in KNOWN if found.is_said(name)] == ["recipe", "limit", "batch_size", "nesterov", "mixup"]


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_printed_gives_the_same_training_again(name: str, tmp_path: Path) -> None:
    found = configure(
        recipe=name, data="digits", epochs=7, seed=3, fold="2/5", num_classes=10, budget="10min", background="#a0b"
    )
    again = configure(config=write(tmp_path / "printed.yaml", str(found)))

    assert again.recipe == found.recipe
    assert again.source == found.source
    assert {key: again[key] for key in KNOWN} == {key: found[key] for key in KNOWN}


def test_strange_paths_survive_printing(tmp_path: Path) -> None:
    data = f"folder:{tmp_path}/caf\udce9: # 'x' \n y"

    again = configure(config=write(tmp_path / "printed.yaml", str(configure(data=data))))

    assert again["data"] == data


def test_without_a_recipe_the_kind_of_the_data_chooses_one(image_folder: Path) -> None:
    assert configure(data=str(image_folder)).values["recipe"].origin == "default for folder"
    assert configure(data="digits").recipe == recipe("digits")
    assert configure(data="tfds:mnist").recipe.milestones == (100, 150)


def test_other_epochs_stretch_what_lower_layers_count_in_epochs(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.yaml", "milestones: [20, 50]")

    assert configure(recipe="cifar10-resnet20", epochs=20).recipe.milestones == (10, 15)
    assert configure(recipe="cifar10-resnet20", config=file, epochs=20).recipe.milestones == (2, 5)
    assert configure(recipe="cifar10-resnet20", epochs=20, milestones=(4, 19)).recipe.milestones == (4, 19)
    stretched = configure(recipe="cifar10-resnet20", epochs=20).values["milestones"]
    assert stretched.origin == "recipe cifar10-resnet20, in 20 epochs"


def test_another_optimizer_brings_its_usual_rate_and_decay_unless_they_are_said(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.yaml", "optimizer: lamb", "weight_decay: 0.01")

    adamw, lamb = configure(data="digits", optimizer="adamw"), configure(data="digits", config=file)

    assert (adamw.recipe.learning_rate, adamw.recipe.weight_decay) == (1e-3, 0.05)
    assert "learning_rate: 0.001" in str(adamw)
    assert adamw.values["learning_rate"].origin == "usual for adamw"
    assert (lamb.recipe.learning_rate, lamb.recipe.weight_decay, lamb.recipe.clip) == (5e-3, 0.01, "norm")
    assert configure(data="digits", optimizer="adamw", learning_rate=0.1).recipe.learning_rate == 0.1
    assert configure(recipe="folder", optimizer="lion").recipe.learning_rate == 3e-4, "0.05 was for sgd"


def test_a_recipes_own_rate_stays_where_its_optimizer_or_one_like_it_does() -> None:
    assert configure(recipe="imagenet-a3").recipe == recipe("imagenet-a3")
    assert configure(recipe="imagenet-a3", optimizer="lamb").recipe.learning_rate == 8e-3
    assert configure(recipe="folder", optimizer="sgdw").recipe.learning_rate == 0.05
    assert configure(recipe="imagenet-a3", optimizer="sgd").recipe.learning_rate == 0.1


def test_every_optimizer_has_usual_settings_that_a_recipe_takes() -> None:
    assert USUAL.keys() == set(OPTIMIZER.choices)
    for name, settings in USUAL.items():
        assert Recipe(optimizer=name, **settings).learning_rate == settings["learning_rate"]


def test_the_recipes_size_and_seed_are_the_sources(tmp_path: Path) -> None:
    found = configure(data="digits", image_size=24, crop_fraction=0.9, seed=5).source

    assert found == Source("digits", image_size=24, crop_fraction=0.9, seed=5)
    assert configure(recipe="imagenet-classic", data="digits").source.image_size == 224


def test_a_source_takes_the_recipes_size_and_crop_where_it_says_nothing() -> None:
    sized = recipe("imagenet-classic")

    assert source_for(sized, Source("digits")) == Source("digits", image_size=224, crop_fraction=0.875)
    own = Source("digits", image_size=64, crop_fraction=1.0)
    assert source_for(sized, own) == own
    assert source_for(recipe("digits"), Source("digits")) == Source("digits")
    assert source_for(sized.but(seed=3), "tfds:mnist", limit=9) == Source(
        "tfds:mnist", image_size=224, crop_fraction=0.875, seed=3, limit=9
    )


def test_a_source_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    really = Source.__post_init__

    def counted(source: Source) -> None:
        made.append(source.name)
        really(source)

    monkeypatch.setattr(Source, "__post_init__", counted)

    found = configure(data="digits", image_size=24, fold="1/3")

    assert found.source is found.source
    assert made == ["digits"]


def test_a_recipe_can_be_read_from_a_file(tmp_path: Path) -> None:
    file = write(
        tmp_path / "mine.yaml", "data: digits", "recipe: folder", "learning_rate: 1e-3", "milestones: [3, 1.5e1]"
    )

    assert read_recipe(file) == recipe("folder").but(data="digits", learning_rate=0.001, milestones=(3, 15))
    assert read_recipe(write(tmp_path / "empty.yaml", "# nothing")) == Recipe()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: 3\n\nepochs: 4", "x.yaml:3: epochs is set twice, first in line 1"),
        ("learning_rat: 3", "x.yaml:1: there is no setting 'learning_rat'; did you mean 'learning_rate'?"),
        ("model: resnet8\nepochs: many", "x.yaml:2: epochs must be a whole number of at least 1; received 'many'"),
        ("epochs: true", "x.yaml:1: epochs must be a whole number of at least 1; received True"),
        ("epochs: {a: [b]}", "x.yaml:1: epochs must be a whole number of at least 1; received a nested mapping"),
        ("nesterov: 1", "x.yaml:1: nesterov must be true or false; received 1"),
        ("weights: null", "x.yaml:1: weights must be text; received None"),
        ("channels: 4", "x.yaml:1: channels must be 1 or 3; received 4"),
        ("recipe: foo", "x.yaml:1: there is no recipe 'foo'; known are 'digits', 'folder'"),
        ("recipe: imagenet-b1", "x.yaml:1: there is no recipe 'imagenet-b1'; did you mean 'imagenet-a1'?"),
        ("lr: 0.1", "x.yaml:1: there is no setting 'lr'; did you mean 'learning_rate'?"),
        ("model: resnet9", "x.yaml:1: there is no network called 'resnet9': did you mean 'resnet8' or 'resnet20'?"),
        ("budget: 10", "x.yaml:1: budget must be a time such as 90s, 10min, 2h or 1h30min; received 10"),
        ("fold: 5/2", "x.yaml:1: fold must be one of two or more folds, counted from 1, as 2/5 for the second of five"),
        ("resize: nearest", "x.yaml:1: resize must be one of 'bilinear', 'bicubic'; received 'nearest'"),
        ("budget: '10'", "x.yaml:1: budget must be a time such as 90s, 10min, 2h or 1h30min; received '10'"),
        ("- a", "must hold lines such as `epochs: 30`; received a sequence"),
        ("a: [b", "x.yaml:1 is not YAML: expected ',' or ']'"),
        ("epochs: !!python/object:os.system 3", "x.yaml:1: could not determine a constructor"),
        ("seed: 2024-13-45", "x.yaml:1: month must be in 1..12"),
        ("<<: {epochs: 1}", "x.yaml:1: there is no setting '<<'"),
        ("? [a]\n: b", "x.yaml:1: there is no setting '?'"),
        ("[" * 3000, "nested too deeply"),
        ("a: \x00", "is not YAML"),
        ("milestones: [30, 10]", "milestones must be increasing"),
        ("expected: &a [*a]", "x.yaml:1: expected must be text; received a nested sequence"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        configure(config=write(tmp_path / "x.yaml", text))

    assert message in str(raised.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"model: \xff")

    for name, message in (
        ("none.yaml", "No such file"),
        ("x.yaml", "not UTF-8"),
        (".", "it is a folder, not a regular file"),
    ):
        with pytest.raises(UsageError, match=message):
            configure(config=tmp_path / name)


def test_an_argument_that_is_no_setting_is_named() -> None:
    with pytest.raises(UsageError, match="no setting 'epoch'; did you mean 'epochs'"):
        configure(data="digits", epoch=3)


def test_data_that_nobody_named_are_asked_for() -> None:
    with pytest.raises(UsageError, match="Name a SOURCE, or a recipe that names its data"):
        configure(recipe="folder").source  # noqa: B018


def test_the_settings_of_a_source_are_its_fields_with_their_defaults() -> None:
    own = {one.name: one.default for one in fields(Source)}

    assert {name: one.default for name, one in SOURCE_SETTINGS.items()} == {name: own[name] for name in SOURCE_SETTINGS}
    assert own.keys() - SOURCE_SETTINGS.keys() == {"name", "image_size", "crop_fraction", "seed"}, "a recipe's"


def test_a_pipe_is_not_waited_for_and_a_file_without_end_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    (tmp_path / "large.yaml").write_text("#" * (2**20 + 1))

    for name, message in (("pipe", "a named pipe"), ("zero", "a device"), ("large", "more than the 1,048,576 bytes")):
        with pytest.raises(UsageError, match=f"cannot read the settings .*{name}.yaml: it .*{message}"):
            configure(config=tmp_path / f"{name}.yaml")


def test_a_recipe_of_another_version_is_named(tmp_path: Path) -> None:
    settings = Recipe(epochs=9).settings
    run, _ = Run.start(tmp_path / "run", {"recipe": settings, "data": {"name": "digits"}})
    other, _ = Run.start(tmp_path / "other", {"recipe": {**settings, "momenta": 3}, "data": {"name": "digits"}})

    assert recipe_of(run) == Recipe(epochs=9)
    with pytest.raises(UsageError, match="the recipe in .*other is another version's .*momenta"):
        recipe_of(other)


@pytest.mark.parametrize("said", [{"qat": "empty"}, {"prune": "empty", "keep": 0.5}])
def test_a_folder_without_a_run_that_is_to_be_trained_on_is_named(said: dict[str, Any]) -> None:
    found = configure(**said, said_by="command line")

    with pytest.raises(UsageError, match=r"empty is no run folder.*name a SOURCE beside it"):
        _ = found.source
    with pytest.raises(UsageError, match="what is to be trained on"):
        _ = configure(said_by="command line").source
