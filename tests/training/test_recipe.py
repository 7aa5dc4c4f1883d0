from typing import Any

import pytest

from keras_resnet.errors import UsageError
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


def test_a_changed_recipe_keeps_the_rest_and_none_changes_nothing() -> None:
    changed = recipe("digits").but(epochs=3, batch_size=None)

    assert changed.epochs == 3
    assert changed.batch_size == recipe("digits").batch_size


def test_an_unknown_field_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="did you mean 'learning_rate'"):
        Recipe().but(learning_rat=0.1)


def test_a_model_may_be_spelled_as_its_builder() -> None:
    assert Recipe(model="ResNet-56").model == "resnet56"


def test_every_kind_of_source_has_a_recipe() -> None:
    assert {recipe_for(kind) for kind in ("digits", "folder", "tfds")} == set(RECIPES.values())
    with pytest.raises(UsageError, match="no recipe 'imagenet'"):
        recipe("imagenet")
