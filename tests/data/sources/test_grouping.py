from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from sklearn.metrics import adjusted_rand_score

import keras_resnet
from keras_resnet.data.duplicates import near_groups
from keras_resnet.data.loading import divided, list_source
from keras_resnet.data.sources.grouping import PAUSE, Photographs, by_series
from keras_resnet.data.sources.listing import Files, Listing
from keras_resnet.errors import DataError, UsageError
from keras_resnet.images.capture import Capture
from keras_resnet.tasks.classification import Classification
from tests.data.test_duplicates import scene
from tests.images.test_capture import photograph
from tests.shared import shared_data


def series_of(names: Sequence[str], captures: Sequence[Capture] | None = None) -> list[list[str]]:
    """Names of the images of each series that has several."""
    labels = np.zeros(len(names), np.int64)
    listing = Listing(Files(tuple(map(Path, names)), tuple(names)), tuple(names), labels, Classification(("a",)))
    groups = by_series(Photographs(listing, dict(enumerate(captures or ())))).groups
    members = [[names[place] for place in np.flatnonzero(groups == group)] for group in range(groups.max() + 1)]
    return [one for one in members if len(one) > 1]


def test_a_series_ends_where_the_camera_pauses_or_is_another() -> None:
    times = [0.0, PAUSE, 2 * PAUSE, 3 * PAUSE + 1, 3 * PAUSE + 2]
    captures = [Capture(time, "A") for time in times] + [Capture(PAUSE, "B")]
    names = [f"cat/IMG_{number}.jpg" for number in (3, 1, 2, 5, 4, 6)]
    assert series_of(names, captures) == [names[:3], names[3:5]]


def test_frames_of_a_clip_go_together_and_photographs_numbered_by_a_camera_do_not() -> None:
    clips = [f"cat/street{clip}_{frame:04}.png" for clip in "abcde" for frame in range(3)]
    assert series_of(clips) == [clips[start : start + 3] for start in range(0, 15, 3)]
    assert series_of([f"cat/IMG_{number}.JPG" for number in range(20)]) == []
    assert series_of([f"cat/{number:04}.png" for number in range(20)]) == []
    assert series_of([f"cat/cat_{number:04}.png" for number in range(20)]) == []


def test_copies_and_changed_ones_go_with_their_original() -> None:
    names = [
        "cat/1.png",
        "cat/1 (1).png",
        "cat/1_flip.png",
        "cat/1_aug_2.png",
        "cat/2.png",
        "dog/1.png",
        "dog/1-Copy.png",
    ]
    assert series_of(names) == [names[:4], names[5:]]
    assert series_of(["cat/3_aug1.png", "cat/3_aug2.png", "cat/4_aug1.png"]) == [["cat/3_aug1.png", "cat/3_aug2.png"]]


def photographs(root: Path) -> Path:
    """Two classes, twelve people with a series each, the first four of another camera."""
    for person in range(12):
        for label in ("left", "right"):
            (root / label).mkdir(parents=True, exist_ok=True)
            second = person % 6 * 2 + (label == "right")
            content = photograph(f"2024:05:{1 + person:02} 10:00:{second:02}", "", "A" if person < 4 else "B")
            (root / label / f"{person:02}.jpg").write_bytes(content)
    return root


def pictures(root: Path, of: Mapping[str, Image.Image]) -> keras_resnet.Source:
    """Image files whose names and headers say nothing, to be grouped by series."""
    for name, image in of.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        image.convert("RGB").save(root / name)
    return keras_resnet.Source(str(root), split="group", group_by="series", image_size=8)


def shown_together(source: keras_resnet.Source) -> list[list[str]]:
    """Names of the images of each series that has several."""
    listing = list_source(source)
    assert listing.groups is not None
    members = [np.flatnonzero(listing.groups == group) for group in np.unique(listing.groups)]
    return [[listing.names[place] for place in one] for one in members if len(one) > 1]


def test_near_duplicates_are_of_one_series_whatever_their_names(tmp_path: Path) -> None:
    originals = [scene(number) for number in range(12)]
    of = {f"{'ab'[number % 2]}/{number:02}x.png": image for number, image in enumerate(originals)}
    of["a/q.jpg"] = originals[0]
    of["b/r.png"] = ImageOps.mirror(originals[0])  # under another label, too
    of["b/s.png"] = ImageEnhance.Brightness(originals[3]).enhance(1.2).filter(ImageFilter.GaussianBlur(1))
    of["a/t.png"] = originals[4].crop((2, 0, 80, 79)).resize((70, 70))
    source = pictures(tmp_path / "copies", of)

    assert shown_together(source) == [
        ["a/00x.png", "a/q.jpg", "b/r.png"],
        ["a/04x.png", "a/t.png"],
        ["b/03x.png", "b/s.png"],
    ]
    notes = list_source(source).notes
    assert notes == ("16 images are of 12 series, the largest of 3",)
    data = keras_resnet.load_data(source)
    assert notes[0] in data.notes
    parts = {data.names[index]: name for name, split in data.splits.items() for index in split.indices}
    assert all(len({parts[name] for name in one}) == 1 for one in shown_together(source))
    assert keras_resnet.load_data(source).fingerprint == data.fingerprint


def film(first: Image.Image, frames: int, step: int = 1) -> list[Image.Image]:
    """A camera that goes along a picture."""
    return [first.crop((step * frame, 0, step * frame + 60, 60)) for frame in range(frames)]


def test_frames_of_a_film_hang_together_though_its_ends_differ(tmp_path: Path) -> None:
    of = {f"a/{number:02}x.png": scene(number) for number in range(30)}
    of |= {f"b/{'zyxwvutsrqponmlkjihg'[number]}.png": one for number, one in enumerate(film(scene(40), 20))}
    source = pictures(tmp_path / "film", of)
    seen = Photographs(list_source(replace(source, split="class", group_by=None)))

    assert shown_together(source) == [sorted(name for name in of if name.startswith("b/"))]
    without_between = np.array([*range(30), 30, 49])
    assert near_groups(seen.thumbnails(without_between)) == []


def test_a_chain_of_most_images_is_no_series(tmp_path: Path) -> None:
    of = {f"a/{number:02}x.png": scene(number) for number in range(10)}
    frames = film(scene(40), 20)
    of |= {f"b/clip{number // 4}_{number % 4}.png": one for number, one in enumerate(frames)}
    of["a/copy.png"] = scene(3)
    source = pictures(tmp_path / "scene", of)

    assert shown_together(source) == [
        ["a/03x.png", "a/copy.png"],
        *([f"b/clip{number}_{frame}.png" for frame in range(4)] for number in range(5)),
    ], "what is no part of the chain is joined as ever, and in the chain names count"
    assert (
        list_source(source)
        .notes[1]
        .startswith("20 of 31 images hang together as near duplicates of one another, as where all show one scene")
    )


def test_that_no_series_are_found_is_said(tmp_path: Path) -> None:
    source = pictures(tmp_path / "none", {f"{'ab'[number % 2]}/{number:02}.png": scene(number) for number in range(8)})

    assert list_source(source).notes == ("no series were found, so that a split by series is one at random",)


def test_of_too_many_images_a_choice_is_looked_at_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keras_resnet.data.duplicates.MOST_COMPARED", 6)
    source = pictures(
        tmp_path / "many", {f"{'ab'[number % 2]}/{number:02}.png": scene(number // 2) for number in range(8)}
    )

    assert 2 <= len(shown_together(source)) <= 3
    assert list_source(source).notes[1] == "near duplicates were looked for among 6 of 8 images, chosen at random"


@pytest.mark.parametrize("way", ["series", "camera", "folder"])
def test_a_split_by_group_keeps_apart_what_it_is_told_to(tmp_path: Path, way: str) -> None:
    root = photographs(tmp_path / "hands")
    source = keras_resnet.Source(str(root), split="group", group_by=way)
    listing = list_source(source)
    person = np.array([int(Path(name).stem) for name in listing.names])
    assert listing.groups is not None
    if way == "folder":
        assert len(np.unique(listing.groups)) == 2
        with pytest.raises(DataError, match="class"):
            divided(source, listing)
        return
    expected = person if way == "series" else person < 4
    assert adjusted_rand_score(expected, listing.groups) == 1
    parts = divided(source, listing)
    sides = {name: set(expected[part].tolist()) for name, part in parts.items()}
    assert not sides["train"] & sides["test"]
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(24))


def test_of_two_cameras_one_is_the_test_and_that_is_said(tmp_path: Path) -> None:
    data = keras_resnet.load_data(str(photographs(tmp_path)), split="group", group_by="camera", image_size=8)
    assert {Path(data.names[index]).stem for index in data.test.indices} == {f"{person:02}" for person in range(4)}
    assert min(len(data.train), len(data.validation)) > 0
    assert "there are two groups: one is the test, and images of the other choose the best epoch" in data.notes


def test_a_split_by_time_goes_by_the_files_where_no_table_has_times(tmp_path: Path) -> None:
    root = photographs(tmp_path)
    data = keras_resnet.load_data(str(root), split="time", image_size=8)
    latest = {
        split: max(int(Path(data.names[index]).stem) for index in data.splits[split].indices) for split in data.splits
    }
    first = min(int(Path(data.names[index]).stem) for index in data.test.indices)
    assert latest["train"] < first <= latest["test"] == 11
    (root / "left" / "new.jpg").write_bytes(photograph())
    with pytest.raises(DataError, match="1 of 25 files do not say when they were taken, first left/new.jpg"):
        keras_resnet.load_data(str(root), split="time", image_size=8)


def test_a_column_of_a_table_is_taken_before_what_files_say(tmp_path: Path) -> None:
    photographs(tmp_path / "hands")
    for form, row, head in (
        ("csv", "hands/{label}/{person:02}.jpg,{label},{person},{half}\n", "path,label,group,camera\n"),
        (
            "jsonl",
            '{{"path": "hands/{label}/{person:02}.jpg", "label": "{label}", "group": {person}, "camera": {half}}}\n',
            "",
        ),
    ):
        rows = [
            row.format(label=label, person=person, half=person // 6)
            for person in range(12)
            for label in ("left", "right")
        ]
        (tmp_path / f"table.{form}").write_text(head + "".join(rows))
        table = str(tmp_path / f"table.{form}")
        by_column = list_source(keras_resnet.Source(table, split="group", group_by="camera"))
        assert by_column.groups is not None
        assert by_column.groups.tolist() == [0] * 12 + [1] * 12
        assert by_column.notes == (f"the columns 'group' of table.{form} are not used",)
        by_person = list_source(keras_resnet.Source(table, split="group"))
        assert by_person.groups is not None
        assert len(np.unique(by_person.groups)) == 12
        by_files = list_source(keras_resnet.Source(table, split="group", group_by="series"))
        assert by_files.groups is not None
        assert len(np.unique(by_files.groups)) == 12


def test_what_cannot_be_grouped_by_is_refused_with_what_can(tmp_path: Path) -> None:
    root = str(photographs(tmp_path))
    with pytest.raises(UsageError, match="give split=group, too"):
        keras_resnet.Source(root, group_by="series")
    with pytest.raises(
        DataError, match="no column 'person'; without one, images are grouped by 'series', 'camera', 'folder'"
    ):
        list_source(keras_resnet.Source(root, split="group", group_by="person"))
    with pytest.raises(UsageError, match="for folders and tables; received it with 'digits'"):
        keras_resnet.Source("digits", split="group", group_by="camera")
    for image in Path(root).rglob("*.jpg"):
        image.write_bytes(photograph())
    with pytest.raises(DataError, match="all 24 images are of one camera"):
        list_source(keras_resnet.Source(root, split="group", group_by="camera"))


def test_hand_signs_are_grouped_nearly_as_by_the_person_who_looked_at_them() -> None:
    root = shared_data("folders")
    known = list_source(f"csv:{root / 'sign-digits-groups.csv'}")
    found = list_source(keras_resnet.Source(str(root / "sign-digits"), split="group", group_by="series"))
    place = {name.split("/", 1)[1]: number for number, name in enumerate(known.names)}
    assert known.groups is not None
    assert found.groups is not None
    assert adjusted_rand_score(known.groups[[place[name] for name in found.names]], found.groups) > 0.9
