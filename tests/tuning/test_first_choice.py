from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keras_resnet
from keras_resnet.data.sources.source import Source
from keras_resnet.training.configuration import configure
from keras_resnet.training.recipes import RECIPES
from keras_resnet.tuning import first_choice as module
from keras_resnet.tuning.first_choice import first_choice
from keras_resnet.weights.at_hand import FOLDER
from keras_resnet.weights.saving import save_weights


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "answers", lambda url: False)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repository, file: None)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv(FOLDER, raising=False)


def photographs(root: Path, side: int = 90, counts: tuple[int, ...] = (10, 20), mode: str = "RGB") -> Source:
    random = np.random.default_rng(0)
    for label, count in zip("abc", counts, strict=False):
        (root / label).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 256, (side, side + 10, 3), dtype=np.uint8)
            Image.fromarray(pixels).convert(mode).save(root / label / f"{number}.png")
    return Source(str(root))


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of a ResNet-18, under a name that says so."""
    path = tmp_path_factory.mktemp("weights") / "resnet18.mine.safetensors"
    model = keras_resnet.ResNet18(input_shape=(65, 65, 3), num_classes=5, preprocessing=None)
    save_weights(model, path, naming="torchvision")
    return path


@pytest.fixture
def weights(resnet18: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, in the folder where weights at hand are looked for."""
    monkeypatch.setenv(FOLDER, str(resnet18.parent))
    return resnet18


def test_small_pictures_have_a_network_of_their_size(image_folder: Path) -> None:
    found = first_choice(Source(str(image_folder)), {})

    assert found.recipe == RECIPES["folder"].but(image_size=16, epochs=150, warmup_epochs=3, weight_decay=2e-3)
    assert found.origin == "chosen for 25 images"
    assert found.reasons[0] == "25 training images of 3 classes (8 to 9 a class), 12×10 pixels, colour"
    assert found.reasons[1].startswith("resnet20 from scratch: small pictures have their own networks")
    assert found.reasons[2].startswith("150 epochs at 16×16, about ")


def test_photographs_are_fine_tuned_from_weights_that_are_at_hand(tmp_path: Path, weights: Path) -> None:
    found = first_choice(photographs(tmp_path / "photos", side=170), {})

    assert found.recipe == RECIPES["finetune"].but(model="resnet18", weights=str(weights))
    assert "(7 to 14 a class), 180×170 pixels" in found.reasons[0]
    assert f"resnet18 from the weights {weights}, a linear probe, then all of it if that " in found.reasons[1]
    assert found.reasons[2].startswith("the probe at 224×224 in about 10 s, then perhaps 20 epochs, about ")
    only = first_choice(photographs(tmp_path / "more", side=170), {"probe": "only"})
    assert "its classifier alone" in only.reasons[1]
    assert only.reasons[2].startswith("every image once at 224×224, about 10 s")
    grey = first_choice(photographs(tmp_path / "grey", mode="L"), {})
    assert grey.reasons[0].endswith("grey")


def test_few_small_pictures_in_colour_are_enlarged_for_trained_weights(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    colour = photographs(tmp_path / "colour", side=40)
    assert first_choice(colour, {}).recipe == RECIPES["finetune"].but(
        model="resnet18", weights=str(weights), image_size=160, crop_fraction=0
    )
    for source in (photographs(tmp_path / "grey", side=40, mode="L"), photographs(tmp_path / "tiny", side=20)):
        assert first_choice(source, {}).recipe.weights == ""
    monkeypatch.setattr(module, "MANY", 21)
    assert first_choice(colour, {}).recipe.image_size == 48


@pytest.mark.parametrize(("aligned", "told"), [(True, True), (False, False)])
def test_pictures_whose_pixels_tell_the_classes_are_learned_from_scratch(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, aligned: bool, told: bool
) -> None:
    monkeypatch.setattr(module, "LEAST_COMPARED", 60)
    random = np.random.default_rng(0)
    shapes = np.kron(random.integers(60, 200, (3, 8, 8, 3)), np.ones((9, 9, 1)))
    for label in range(3):
        (tmp_path / "signs" / str(label)).mkdir(parents=True)
        for number in range(30):
            # The same shape in each of a class, in its place or anywhere; before noise that makes no two the same.
            moved = shapes[label] if aligned else np.roll(shapes[label], random.integers(0, 72, 2), (0, 1))
            noise = np.kron(random.normal(0, 30, (12, 12, 3)), np.ones((6, 6, 1)))
            pixels = np.clip(moved + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "signs" / str(label) / f"{number:02d}.png")
    source = Source(str(tmp_path / "signs"))
    found = first_choice(source, {})

    assert (found.recipe.weights == "") == told
    assert found.reasons[1].startswith("resnet20 from scratch: their pixels alone tell the classes") == told
    for said in ({"probe": "only"}, {"model": "resnet18"}, {"image_size": 128}):
        assert first_choice(source, said).recipe.weights == str(weights), said


def test_a_long_training_says_how_to_have_a_shorter_one(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = photographs(tmp_path / "photos")
    assert "Shorter" not in first_choice(source, {}).reasons[2]
    monkeypatch.setattr(module, "LONG", 0)
    assert (
        first_choice(source, {})
        .reasons[2]
        .endswith("on this machine's processor. Shorter: --linear-probe, the probe alone; or --budget 30min")
    )
    assert first_choice(source, {"model": "resnet8"}).reasons[2].endswith("processor. Shorter: --budget 30min")
    assert "Shorter" not in first_choice(source, {"epochs": 3}).reasons[2], "it was asked for"


def test_from_scratch_more_images_get_fewer_epochs_and_a_weaker_pull(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = photographs(tmp_path / "photos", side=20)
    monkeypatch.setattr(module, "PASSES_FROM_SCRATCH", 21 * 40 - 5)
    monkeypatch.setattr(module, "FEW", 22)
    few = first_choice(source, {}).recipe
    assert (few.epochs, few.weight_decay) == (40, 2e-3)
    monkeypatch.setattr(module, "PASSES_FROM_SCRATCH", 1)
    monkeypatch.setattr(module, "FEW", 21)
    many = first_choice(source, {}).recipe
    assert (many.epochs, many.weight_decay) == (30, 5e-4)


def test_the_more_images_the_fewer_epochs(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = photographs(tmp_path / "photos")
    monkeypatch.setattr(module, "PASSES", 21 * 9 - 5)
    assert first_choice(source, {}).recipe.epochs == 9
    monkeypatch.setattr(module, "PASSES", 1)
    assert first_choice(source, {}).recipe.epochs == 2


def test_what_is_said_is_not_chosen(tmp_path: Path, weights: Path) -> None:
    source = photographs(tmp_path / "photos")
    for said in ({"image_size": 64}, {"pixel_mean": (0.5,), "pixel_std": (0.2,)}, {"model": "resnet8"}):
        found = first_choice(source, said)
        assert found.recipe.weights == "", said
        assert "from scratch" in found.reasons[1]
    assert first_choice(source, {"model": "resnet18"}).recipe.weights == str(weights)
    assert first_choice(source, {"image_size": 128}).recipe.weights == str(weights)
    assert first_choice(source, {"model": "resnet8"}).recipe.model == "resnet8"


def test_without_weights_it_is_said_what_to_fetch_and_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = photographs(tmp_path / "photos")
    found = first_choice(source, {})

    assert found.recipe == RECIPES["folder"].but(epochs=150, warmup_epochs=3, weight_decay=2e-3)
    assert "huggingface.co does not answer" in found.reasons[1]
    assert (
        "Fetch https://huggingface.co/timm/resnet50.a1_in1k/resolve/main/model.safetensors, save it as "
        in (found.reasons[1])
    )
    assert (
        "resnet50.safetensors in a folder, and name the folder by the environment variable KERAS_RESNET_WEIGHTS"
        in (found.reasons[1])
    )

    monkeypatch.setattr(module, "answers", lambda url: True)
    fetched = first_choice(source, {}).recipe
    assert (fetched.model, fetched.weights) == ("resnet50", "timm/a1_in1k")


def test_a_configuration_takes_the_choice_and_says_so_and_a_recipe_or_weights_rule_it_out(
    tmp_path: Path, weights: Path
) -> None:
    data = str(photographs(tmp_path / "photos").location)

    found = configure(data=data, choose=first_choice, learning_rate=0.5)
    assert found.values["model"].value == "resnet18"
    assert found.values["model"].origin == "chosen for 21 images"
    assert found.recipe.learning_rate == 0.5
    assert found.values["learning_rate"].said
    assert len(found.reasons) == 3
    again = tmp_path / "again.yaml"
    again.write_text(str(found))
    assert configure(config=again).recipe == found.recipe

    assert configure(data=data, recipe="folder", choose=first_choice).reasons == ()
    named = configure(data=data, weights=str(weights), choose=first_choice)
    assert (named.reasons, named.recipe) == ((), RECIPES["finetune"].but(model="resnet18", weights=str(weights)))
    assert named.values["recipe"].value == "finetune"
    assert named.values["model"].origin == "of the weights"
    other = configure(data=data, weights=str(weights), model="resnet34")
    assert other.recipe.model == "resnet34", "to be refused when they are loaded"
    assert configure(data="digits", choose=first_choice).values["recipe"].value == "digits"


def test_sixteen_bits_of_which_few_are_used_are_mentioned(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for scale, name in ((0xFFFF, "bright"), (4095, "dark")):
        for label in "ab":
            (tmp_path / name / label).mkdir(parents=True)
            for number in range(5):
                pixels = random.integers(0, scale + 1, (30, 30), dtype=np.uint16)
                Image.fromarray(pixels).save(tmp_path / name / label / f"{number}.png")

    said = {name: first_choice(Source(str(tmp_path / name))).reasons[0] for name in ("bright", "dark")}
    assert said["bright"].endswith("30×30 pixels, grey")
    assert "nearly black as they are, see `keras-resnet check`" in said["dark"]


def test_pictures_in_series_are_mentioned_and_others_are_not(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name, length in (("series", 3), ("single", 1)):
        for label in "ab":
            (tmp_path / name / label).mkdir(parents=True)
            for number in range(24):
                if number % length == 0:
                    scene = np.kron(random.integers(0, 200, (8, 8, 3)), np.ones((4, 4, 1)))
                pixels = np.clip(scene + random.integers(0, 9, (32, 32, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / name / label / f"{number:02d}.png")

    said = {name: first_choice(Source(str(tmp_path / name))).reasons[0] for name in ("series", "single")}
    assert "are nearly the same picture: such belong on one side of the split" in said["series"]
    assert said["single"].endswith("32×32 pixels, colour")


def test_very_uneven_classes_are_drawn_equally_often_unless_something_is_said_of_it(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = photographs(tmp_path / "photos", counts=(60, 5))
    found = first_choice(source, {})
    assert (found.recipe.sampling, found.recipe.class_weights) == ("balanced", "none")
    assert found.recipe.probe == "auto"
    assert found.reasons[3].startswith(
        "the largest class has 14.0 times as many images as the smallest: every class is drawn equally often"
    )
    for said in ({"sampling": "uniform"}, {"class_weights": "effective"}):
        ruled_out = first_choice(source, said)
        assert ruled_out.recipe.sampling == "uniform"
        assert len(ruled_out.reasons) == 3
    assert first_choice(source, {"model": "resnet8"}).recipe.sampling == "balanced", "from scratch too"
    assert first_choice(photographs(tmp_path / "even", counts=(20, 5)), {}).recipe.sampling == "uniform"
