import json
from pathlib import Path
from typing import Any

import pytest

from keras_resnet.errors import UsageError
from keras_resnet.training.configuration import configure
from keras_resnet.training.recipe import Recipe
from keras_resnet.training.recipes import RECIPES, recipe, recipe_for


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "resnet9"),
        ("epochs", 0),
        ("epochs", 1.5),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("warmup_epochs", -1),
        ("momentum", 1.0),
        ("weight_decay", -1e-4),
        ("label_smoothing", 1.0),
        ("dropout", -0.1),
        ("augment", "flop"),
        ("repeats", 1000),
        ("sampling", "fair"),
        ("class_weights", "heavy"),
        ("seed", -1),
        ("seed", 2**31),
    ],
)
def test_a_field_out_of_range_is_named(field: str, value: Any) -> None:
    with pytest.raises(UsageError, match="network" if field == "model" else field):
        Recipe(**{field: value})


def test_pixels_of_weights_that_are_not_given_are_refused() -> None:
    with pytest.raises(UsageError, match="weights_preprocessing says .* there are none: give weights, too; .*'caffe'"):
        Recipe(weights_preprocessing="caffe")

    assert Recipe(weights="x.h5", weights_preprocessing="caffe").without_weights() == Recipe()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixel_mean": [0.5]}, r"go together, with as many numbers; received \[0.5\] and \[\]"),
        ({"pixel_mean": [0.5, 0.5], "pixel_std": [0.2]}, "go together"),
        ({"pixel_mean": [123.7], "pixel_std": [58.4]}, r"pixel_mean must be .* white, 1: one, or.*received \[123.7\]"),
        ({"pixel_mean": [0.5], "pixel_std": [0]}, r"pixel_std must be .* greater than 0; received \[0\]"),
    ],
)
def test_a_normalisation_is_of_two_lists_on_a_scale_from_black_to_white(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Recipe(**changes)


def test_a_changed_recipe_keeps_the_rest_and_none_changes_nothing() -> None:
    changed = recipe("digits").but(epochs=3, batch_size=None)

    assert changed.epochs == 3
    assert changed.batch_size == recipe("digits").batch_size


def test_an_unknown_field_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="did you mean 'learning_rate'"):
        Recipe().but(learning_rat=0.1)


def test_a_model_may_be_spelled_as_its_builder() -> None:
    assert Recipe(model="ResNet-56").model == "resnet56"


def test_every_kind_of_source_has_a_recipe_and_no_recipe_has_another_name() -> None:
    assert {kind: recipe_for(kind).model for kind in ("digits", "folder", "csv", "jsonl", "tfds")} == {
        "digits": "resnet8",
        "folder": "resnet20",
        "csv": "resnet20",
        "jsonl": "resnet20",
        "tfds": "resnet20",
    }
    with pytest.raises(UsageError, match="no recipe 'foo'; known are 'digits'"):
        recipe("foo")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_what_to_expect_where_it_is_from_and_can_be_made_shorter(name: str) -> None:
    found = recipe(name)

    assert found.expected
    assert found.source
    assert found.policy.repeats == found.repeats
    assert found.lasting(3).epochs == 3
    assert found.lasting(3).lasting(found.epochs).milestones == pytest.approx(found.milestones, rel=1e-5)


def test_the_literatures_figures_are_the_recipes() -> None:
    he, wide, a1 = recipe("cifar10-resnet56"), recipe("cifar10-wrn28-10"), recipe("imagenet-a1")

    assert (he.batch_size, he.learning_rate, he.momentum, he.weight_decay) == (128, 0.1, 0.9, 1e-4)
    assert (he.milestones, he.decay_factor, he.nesterov) == ((100, 150), 0.1, False)
    assert (wide.milestones, wide.decay_factor, wide.dropout, wide.nesterov) == ((60, 120, 160), 0.2, 0.3, True)
    assert (a1.optimizer, a1.learning_rate, a1.weight_decay, a1.loss) == ("lamb", 5e-3, 0.01, "binary")
    assert (a1.batch_size, a1.epochs, a1.magnitude, a1.mixup, a1.cutmix) == (2048, 600, 7, 0.2, 1.0)
    assert [recipe(f"imagenet-a{number}").target_threshold for number in (1, 2, 3)] == [0.2] * 3
    assert recipe("imagenet-a3").train_sizes == (160,)
    assert recipe("imagenet-classic").milestones == (30, 60, 80)
    assert recipe("imagenet-tv2").learning_rate == 0.5
    assert recipe("cifar10-fast").label_smoothing == 0.2


def test_a_recipe_that_lasts_longer_stretches_what_it_counts_in_epochs() -> None:
    found = Recipe(
        epochs=90, schedule="multistep", milestones=(30, 60, 80), warmup_epochs=5, decay_every=30, head_epochs=2
    ).lasting(9)

    assert (found.epochs, found.milestones, found.warmup_epochs, found.decay_every) == (9, (3, 6, 8), 0.5, 3)
    assert found.head_epochs == 2, "these come before the others"


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 20},
        {"epochs": 45, "warmup_epochs": 2.0},
        {"epochs": 45, "milestones": (10, 40)},
        {"epochs": 270, "decay_every": 7.0, "batch_size": 64},
        {"epochs": 90},
        {"epochs": 20, "schedule": "cosine"},
        {"epochs": 7, "schedule": "step"},
        {"epochs": 3, "schedule": "one-cycle", "head_epochs": 4},
    ],
)
def test_epochs_change_a_recipe_in_python_as_they_do_by_an_option_or_a_file(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    own = recipe("imagenet-classic")
    file = tmp_path / "mine.yaml"
    file.write_text("\n".join(f"{name}: {list(v) if isinstance(v, tuple) else v}" for name, v in changes.items()))

    changed = own.but(**changes)

    assert changed == configure(recipe="imagenet-classic", **changes).recipe
    assert changed == configure(recipe="imagenet-classic", config=file).recipe
    assert all(getattr(changed, name) == value for name, value in changes.items()), "what is given is taken"
    factor = changes["epochs"] / own.epochs
    for name in {"warmup_epochs", "decay_every"} - changes.keys():
        assert getattr(changed, name) == pytest.approx(getattr(own, name) * factor, rel=1e-5)
    if "milestones" not in changes:
        assert changed.milestones == pytest.approx([one * factor for one in own.milestones], rel=1e-5)


def test_as_many_epochs_as_before_change_nothing() -> None:
    odd = Recipe(epochs=90, warmup_epochs=3.3333333333)

    assert odd.but(epochs=90) == odd
    assert configure(recipe="digits", epochs=30).recipe == recipe("digits")


def test_the_settings_survive_json_and_make_the_recipe_again() -> None:
    found = recipe("imagenet-a3").but(milestones=(30, 60))

    assert json.loads(json.dumps(found.settings)) == found.settings
    assert Recipe(**found.settings) == found.but(data="", expected="", source="")


def test_milestones_that_are_never_reached_are_refused() -> None:
    with pytest.raises(UsageError, match=r"or the rate never falls; received \[100.0, 150.0\] in 5 epochs"):
        recipe("cifar10-resnet20").but(epochs=5, milestones=(100, 150))


def test_steps_that_are_never_reached_are_refused_and_shorter_trainings_move_them_along() -> None:
    with pytest.raises(UsageError, match="decay_every must be less than the epochs.*received 30 in 30 epochs: set it"):
        Recipe(schedule="step")

    stepping = Recipe(schedule="step", epochs=90)
    assert [stepping.lasting(epochs).decay_every for epochs in (1, 7, 9)] == [0.333333, 2.33333, 3]
    with pytest.raises(UsageError, match=r"`--epochs`, or `Recipe.but\(epochs=…\)` in Python, adapts what"):
        stepping.but(epochs=9, decay_every=30)


def test_every_size_of_training_images_needs_an_epoch() -> None:
    assert Recipe(train_sizes=(8, 16, 24), epochs=2, head_epochs=1).train_sizes == (8, 16, 24)
    with pytest.raises(UsageError, match=r"train_sizes must not be more than.*received \[8, 16, 24\] in 2 epochs"):
        Recipe(train_sizes=(8, 16, 24), epochs=2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accumulate": 3}, "accumulate must divide the batch size; received 3 parts of 64"),
        ({"schedule": "multistep"}, "milestones must name the epochs"),
        ({"milestones": (3, 2)}, r"milestones must be increasing; received \[3.0, 2.0\]"),
        ({"milestones": 3}, "milestones must be a list, each a number greater than 0; received 3"),
        ({"milestones": (1, "x")}, r"milestones must be a list.*received \[1, 'x'\]"),
        ({"learning_rate": 10**400}, "learning_rate must be a number greater than 0; received 1000"),
        ({"epochs": 10**5000}, "epochs must be a whole number of at least 1; received one too long to print"),
        ({"jit": 1}, "jit must be true or false; received 1"),
        ({"crop_fraction": 1.5}, "crop_fraction must be a number of at least 0 and at most 1; received 1.5"),
        ({"batch_size": True}, "batch_size must be a whole number of at least 1; received True"),
        ({"tta": "flop"}, "tta must be one of 'none', 'flip', 'ten-crop'; received 'flop'"),
    ],
)
def test_settings_that_do_not_fit_say_what_was_expected(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Recipe(**changes)
