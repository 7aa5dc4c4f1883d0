"""What `explain` returns and writes."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import keras_resnet
from keras_resnet.attribution.explain import explain
from keras_resnet.attribution.overlays import overlay, percent
from keras_resnet.errors import UsageError
from tests.attribution.striped import PREPROCESSING, striped, trained

IMAGES = np.stack([striped(0, 2, 2), striped(1, 12, 12)])


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return trained()


def test_maps_come_with_what_they_are_of(model: keras.Model) -> None:
    found = explain(model, IMAGES, ["grad-cam", "occlusion"], top=2, check=False, preprocessing=PREPROCESSING)

    assert len(found) == 2
    assert [one.top[0][0] for one in found] == ["across", "down"]
    assert [(one.class_name, one.method) for one in found[1].maps] == [
        (name, method) for name in (found[1].top[0][0], found[1].top[1][0]) for method in ("grad-cam", "occlusion")
    ]
    first = found[0].map_of("grad-cam")
    assert first.values.shape == (24, 24)
    assert first.shown().max() == 1
    assert first.agreement > 0.3
    assert found[0].map_of("occlusion").agreement is None, "with itself it says nothing"
    with pytest.raises(UsageError, match="there is no map by 'rise'"):
        found[0].map_of("rise")


def test_the_same_call_gives_the_same_numbers(model: keras.Model) -> None:
    first, second = (
        explain(model, IMAGES[:1], "grad-cam", preprocessing=PREPROCESSING, seed=5).to_dict() for _ in range(2)
    )

    assert first == second
    assert first["seed"] == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": "acros"}, "knows no class 'acros'.* did you mean 'across'"),
        ({"classes": [3]}, "knows no class 3: it has 3, by name or by number from 0"),
        ({"classes": []}, "must name one or more"),
        ({"method": "gradcam"}, "received 'gradcam'; did you mean 'grad-cam'"),
        ({"method": []}, "by which method"),
        ({"names": ["one"]}, "names must be one for each of 2 images; received 1"),
        ({"top": 0}, "top must be"),
        ({"layer": "third"}, "no layer 'third'"),
    ],
)
def test_what_is_not_there_is_refused(options: dict[str, object], message: str, model: keras.Model) -> None:
    with pytest.raises(UsageError, match=message):
        explain(model, IMAGES, preprocessing=PREPROCESSING, **{"check": False, **options})


def test_several_labels_are_explained_each_by_itself(model: keras.Model) -> None:
    logits = keras.Model(model.input, model.get_layer("logits").output)
    several = keras_resnet.Preprocessing(
        PREPROCESSING.fit, PREPROCESSING.mean, PREPROCESSING.std, PREPROCESSING.class_names, "multi-label"
    )

    found = explain(logits, IMAGES[:1], "grad-cam", top=3, check=False, preprocessing=several)

    assert found[0].maps[0].class_name == "across"
    assert len(found[0].maps) == 3
    assert found[0].maps[0].probability > 0.5


def test_a_folder_of_pictures_and_numbers_is_written(model: keras.Model, tmp_path: Path) -> None:
    found = explain(model, IMAGES, preprocessing=PREPROCESSING, names=["a/cat$x.png", "b/cat$x.png"])

    files = found.write(tmp_path / "out")

    assert [file.name for file in files] == ["explanations.json", "cat$x.png", "cat$x-2.png"]
    assert all(Image.open(file).width > 600 for file in files[1:])
    written = json.loads(files[0].read_text())
    row = written["images"][0]["maps"][0]
    assert (written["layer"], row["method"], row["class"]) == ("pooled", "grad-cam", "across")
    assert row["faithfulness"]["deletion_area"] == pytest.approx(found[0].maps[0].faithfulness.deletion_area)
    assert row["faithfulness"]["verdict"] == "faithful"
    assert len(row["faithfulness"]["insertion"]) == 11


def test_an_overlay_keeps_the_image_below_and_brightens_where_the_map_is_high() -> None:
    image = np.stack([np.full((4, 4, 3), 60), np.full((4, 4, 3), 200)]).astype(np.uint8)
    shares = np.zeros((4, 4))
    shares[1, 1] = 1

    dark, bright = (overlay(one, shares) for one in image)

    assert dark.shape == (4, 4, 3)
    assert (bright > dark).all()
    assert dark[1, 1].mean() > dark[0, 0].mean() + 0.1


def test_small_shares_are_not_called_nothing() -> None:
    assert [percent(one) for one in (0.0, 1e-5, 0.0004, 0.123)] == ["0.0%", "<0.1%", "<0.1%", "12.3%"]
