import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from keras_resnet.data import duplicates
from keras_resnet.data.loading import from_arrays, list_source
from keras_resnet.data.sources.folder import list_folder
from keras_resnet.data.sources.listing import Files, Listing
from keras_resnet.data.splits.plan import PARTS
from keras_resnet.inspection.check import Report, check
from keras_resnet.inspection.findings import Subject, doubted, odd
from keras_resnet.inspection.inspection import inspect_data
from keras_resnet.inspection.label_doubts import Doubts
from keras_resnet.inspection.looks import inspect_images
from keras_resnet.tasks.classification import Classification
from tests.data.test_duplicates import scene
from tests.shared import shared_data
from tests.zoo.images import chunk, packed, png


def pile(root: Path, images: int = 12) -> Path:
    """Two classes of pictures that have nothing the matter with them."""
    for label, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True)
        for number in range(images):
            scene(100 * label + number).save(root / name / f"{number:02}.png")
    return root


def found(report: Report, code: str) -> list[list[str]]:
    """The names concerned by a finding, group by group."""
    for finding in report.findings:
        if finding.code == code:
            return [[report.names[subject.position] for subject in group] for group in finding.groups]
    return []


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


def test_a_good_pile_has_nothing_but_few_images_and_labels_that_a_simple_model_cannot_judge(tmp_path: Path) -> None:
    report = check(list_folder(pile(tmp_path)))

    assert codes(report) <= {"labels-not-checked", "few-images"}
    assert report.trainable
    assert report.verdict == "Training can begin; nothing was found that speaks against it."


def test_images_that_cannot_be_read_are_listed_by_reason(tmp_path: Path) -> None:
    pile(tmp_path)
    whole = (tmp_path / "cat" / "00.png").read_bytes()
    (tmp_path / "cat" / "empty.png").write_bytes(b"")
    (tmp_path / "cat" / "text.jpg").write_bytes(b"no image")
    (tmp_path / "dog" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "dog" / "gone.png").symlink_to(tmp_path / "nowhere")

    report = check(list_folder(tmp_path))

    assert found(report, "empty") == [["cat/empty.png"]]
    assert found(report, "not-an-image") == [["cat/text.jpg"]]
    assert found(report, "truncated") == [["dog/cut.png"]]
    assert found(report, "missing") == [["dog/gone.png"]]
    assert not report.trainable
    assert report.counts.tolist() == [12, 12]
    assert [finding.severity for finding in report.findings[:4]] == ["error"] * 4


def odd_images(folder: Path) -> None:
    picture = scene(50)
    turned = Image.Exif()
    turned[0x0112] = 6
    bright = np.asarray(picture.convert("L")).astype(np.uint16)
    glass = picture.convert("RGBA")
    glass.putpixel((3, 3), (0, 0, 0, 254))
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    picture.save(folder / "exif-rotated.jpg", exif=turned)
    Image.fromarray(bright * 257).save(folder / "16-bit.png")
    Image.fromarray(bright * 4).save(folder / "dark-16-bit.png")
    glass.save(folder / "transparent.png")
    picture.convert("RGBA").save(folder / "opaque.png")
    picture.convert("P").save(folder / "palette.png")
    picture.save(folder / "animated.webp", save_all=True, append_images=[scene(51)])
    picture.save(folder / "wrong-extension.png", "JPEG")
    picture.resize((15, 40)).save(folder / "tiny.png")
    picture.resize((81, 20)).save(folder / "extreme-aspect.png")
    picture.resize((80, 20)).save(folder / "long-enough.png")
    Image.new("RGB", (40, 40), (3, 200, 90)).save(folder / "blank.png")


@pytest.fixture(scope="module")
def odd_report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    root = pile(tmp_path_factory.mktemp("odd"), images=10)
    odd_images(root / "cat")
    return check(list_folder(root))


@pytest.mark.parametrize(
    "code",
    ["cmyk", "exif-rotated", "dark-16-bit", "transparent", "animated", "wrong-extension", "tiny",
     "extreme-aspect", "blank"],
)  # fmt: skip
def test_each_oddity_is_found_where_it_is_and_nowhere_else(odd_report: Report, code: str) -> None:
    assert [[Path(name).stem for name in group] for group in found(odd_report, code)] == [[code]]


@pytest.mark.parametrize("kind", ["gif", "png", "jpg"])
def test_a_picture_not_found_among_photographs_is_named_whatever_its_format(tmp_path: Path, kind: str) -> None:
    pile(tmp_path)
    sign = Image.new("RGB", (120, 90), (238, 238, 238))
    ImageDraw.Draw(sign).text((20, 38), "image not found", fill=(90, 90, 90))
    sign.save(tmp_path / "cat" / f"sign.{kind}")

    report = check(list_folder(tmp_path))

    assert found(report, "unlike-others") == [[f"cat/sign.{kind}"]]
    (finding,) = (one for one in report.findings if one.code == "unlike-others")
    assert finding.severity == "warning"
    assert "one colour fills 9" in finding.groups[0][0].remark
    assert "the warnings are worth a look" in report.verdict


def test_a_gif_or_palette_image_is_named_where_it_is_rare_and_only_noted_where_many_are_so(tmp_path: Path) -> None:
    pile(tmp_path)
    scene(80).convert("P").save(tmp_path / "cat" / "web.gif")

    rare = check(list_folder(tmp_path))
    for number in range(4):
        scene(90 + number).convert("P").save(tmp_path / "dog" / f"web{number}.png")
    common = check(list_folder(tmp_path))

    assert found(rare, "unlike-others") == [["cat/web.gif"]]
    assert "palette" not in codes(rare)
    assert "unlike-others" not in codes(common)
    assert len(found(common, "palette")) == 5


def test_drawings_among_drawings_are_nothing_special(tmp_path: Path) -> None:
    for label, name in enumerate(("line", "circle")):
        (tmp_path / name).mkdir()
        for number in range(12):
            drawing = Image.new("L", (28, 28))
            shape = ImageDraw.Draw(drawing)
            (shape.ellipse if label else shape.line)((4, 4, 10 + number, 12 + number // 2), fill=255)
            drawing.save(tmp_path / name / f"{number}.png")
    sketch = Image.new("L", (28, 28))
    ImageDraw.Draw(sketch).point((3, 3), fill=255)
    sketch.save(tmp_path / "line" / "point.png")

    assert "unlike-others" not in codes(check(list_folder(tmp_path)))


@pytest.mark.parametrize("name", ["folders/sign-digits", "bccd/train"])
def test_real_photographs_are_not_taken_for_signs(name: str) -> None:
    folder = shared_data(name)
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() == ".jpg")[:300]
    names = tuple(str(file) for file in files)
    listing = Listing(Files(tuple(files), names), names, np.zeros(len(files), np.int64), Classification(("a", "b")))

    assert len(files) > 200
    assert "unlike-others" not in {finding.code for finding in odd(inspect_images(listing).looks)}


def test_each_file_is_opened_once(tmp_path: Path, openings: list[str]) -> None:
    root = pile(tmp_path, images=2)
    odd_images(root / "cat")

    check(list_folder(root))

    assert len(openings) == 4 + 13


def test_a_transparent_value_of_few_bits_is_seen(tmp_path: Path) -> None:
    pile(tmp_path)
    values = np.arange(20 * 20).reshape(20, 20).astype(np.uint8) % 4
    clear = chunk(b"tRNS", b"\0\1")
    (tmp_path / "dog" / "clear.png").write_bytes(png(values.shape, 2, 0, packed(values, 2), before=clear))

    assert found(check(list_folder(tmp_path)), "transparent") == [["dog/clear.png"]]


def test_sixteen_bits_and_grey_are_found_in_both_images_that_have_them(odd_report: Report) -> None:
    both = [["cat/16-bit.png"], ["cat/dark-16-bit.png"]]

    assert found(odd_report, "16-bit") == both
    assert found(odd_report, "grey-among-colour") == both
    assert odd_report.trainable


def test_colours_of_sixteen_bits_are_known_by_the_files_own_header(tmp_path: Path) -> None:
    pile(tmp_path)
    rows = [np.arange(20 * 3, dtype=">u2").tobytes() for _ in range(20)]
    (tmp_path / "dog" / "deep.png").write_bytes(png((20, 20), 16, 2, rows))

    assert found(check(list_folder(tmp_path)), "16-bit") == [["dog/deep.png"]]


def test_colour_among_grey_is_the_minority_the_other_way_round(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(6):
            scene(number + 10 * (name == "b")).convert("L").save(tmp_path / name / f"{number}.jpg")
    scene(99).save(tmp_path / "b" / "bright.jpg")

    assert found(check(list_folder(tmp_path)), "colour-among-grey") == [["b/bright.jpg"]]


def test_copies_are_told_apart_by_where_they_are(tmp_path: Path) -> None:
    for part, label, number in [
        ("train", "cat", 0), ("train", "cat", 1), ("train", "dog", 2), ("train", "dog", 3), ("test", "cat", 4),
        ("test", "dog", 5), ("test", "dog", 6), ("train", "cat", 7),
    ]:  # fmt: skip
        (tmp_path / part / label).mkdir(parents=True, exist_ok=True)
        scene(number).save(tmp_path / part / label / f"{number}.png")
    scene(0).save(tmp_path / "train" / "cat" / "again.png")
    scene(1).save(tmp_path / "train" / "dog" / "conflict.png")
    scene(2).save(tmp_path / "test" / "dog" / "leak.png")
    scene(3).save(tmp_path / "train" / "dog" / "near.jpg", quality=60)
    scene(4).save(tmp_path / "test" / "dog" / "near-conflict.jpg", quality=60)
    scene(5).save(tmp_path / "train" / "dog" / "near-leak.jpg", quality=60)

    listing = list_folder(tmp_path)
    report = check(listing, splits=listing.given)

    assert found(report, "duplicate") == [["train/cat/0.png", "train/cat/again.png"]]
    assert found(report, "duplicate-label-conflict") == [["train/cat/1.png", "train/dog/conflict.png"]]
    assert found(report, "duplicate-across-splits") == [["test/dog/leak.png", "train/dog/2.png"]]
    assert found(report, "near-duplicate") == [["train/dog/3.png", "train/dog/near.jpg"]]
    assert found(report, "near-duplicate-label-conflict") == [["test/cat/4.png", "test/dog/near-conflict.jpg"]]
    assert found(report, "near-duplicate-across-splits") == [["test/dog/5.png", "train/dog/near-leak.jpg"]]
    assert "figures could not be trusted" in report.verdict
    severities = [finding.severity for finding in report.findings]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)
    assert severities[:2] == ["error", "error"]


def test_a_copy_that_is_in_no_split_is_no_leak(tmp_path: Path) -> None:
    pile(tmp_path)
    scene(0).save(tmp_path / "cat" / "copy.png")

    report = check(list_folder(tmp_path), splits={"train": np.array([0]), "test": np.array([5])})

    assert found(report, "duplicate") == [["cat/00.png", "cat/copy.png"]]
    assert "duplicate-across-splits" not in codes(report)


def test_the_further_pictures_of_a_phones_photo_are_no_animation(tmp_path: Path) -> None:
    pile(tmp_path)
    scene(70).save(tmp_path / "cat" / "phone.jpg", "MPO", save_all=True, append_images=[scene(71)])

    report = check(list_folder(tmp_path))

    assert report.formats == {"PNG": 24, "MPO": 1}
    assert codes(report) <= {"labels-not-checked", "few-images"}


def test_the_exact_copies_of_a_near_copy_belong_to_its_group(tmp_path: Path) -> None:
    pile(tmp_path)
    scene(0).save(tmp_path / "dog" / "copy.png")
    scene(0).save(tmp_path / "cat" / "near.jpg", quality=60)

    report = check(list_folder(tmp_path), splits={})

    assert found(report, "near-duplicate-label-conflict") == [["cat/00.png", "cat/near.jpg", "dog/copy.png"]]
    assert "duplicate-across-splits" not in codes(report)


def test_splits_that_the_source_does_not_make_are_those_of_a_training(tmp_path: Path) -> None:
    pile(tmp_path, images=20)
    for number in range(20):
        scene(number).save(tmp_path / "cat" / f"copy{number:02}.png")

    first, second = (check(list_folder(tmp_path), seed=seed) for seed in (0, 1))

    assert {name: first.split_names.count(name) for name in ("train", "validation", "test")} == {
        "train": 42, "validation": 6, "test": 12,
    }  # fmt: skip
    assert first.split_names != second.split_names
    assert 0 < len(found(first, "duplicate-across-splits")) < 20


def test_a_class_too_small_to_be_split_is_an_error_and_all_else_is_still_found(tmp_path: Path) -> None:
    pile(tmp_path)
    (tmp_path / "rare").mkdir()
    scene(0).save(tmp_path / "rare" / "one.png")

    report = check(list_folder(tmp_path))

    refused = next(finding for finding in report.findings if finding.code == "cannot-split")
    assert "too few in 'rare (1)'" in refused.advice
    assert not report.trainable
    assert found(report, "duplicate-label-conflict") == [["cat/00.png", "rare/one.png"]]
    assert set(report.split_names) == {""}


def test_given_splits_without_training_images_are_an_error(tmp_path: Path) -> None:
    listing = list_folder(pile(tmp_path))

    report = check(type(listing)(**{**vars(listing), "given": {"test": np.arange(len(listing))}}))

    assert "cannot-split" in codes(report)
    assert set(report.split_names) == {"test"}


def test_one_class_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    for number in range(12):
        scene(number).save(tmp_path / "cat" / f"{number}.png")

    report = check(list_folder(tmp_path, fewest_classes=1))

    assert "one-class" in codes(report)
    assert not report.trainable


def test_small_and_uneven_classes_are_named(tmp_path: Path) -> None:
    pile(tmp_path, images=4)
    for number in range(36):
        scene(200 + number).save(tmp_path / "cat" / f"more{number}.png")

    report = check(list_folder(tmp_path))

    advice = {finding.code: (finding.severity, finding.title, finding.advice) for finding in report.findings}
    assert advice["few-images"][0] == "warning"
    assert "'dog (4)'" in advice["few-images"][2]
    assert not any(code.startswith("classes-not") for code in advice)
    assert advice["imbalance"][:2] == ("warning", "the largest class has 10.0 times as many images as the smallest")
    assert "Always guessing 'cat' is right for 90.9%" in advice["imbalance"][2]
    assert "--sampling balanced or --class-weights balanced" in advice["imbalance"][2]


def test_a_class_that_a_part_lacks_is_named(tmp_path: Path) -> None:
    for part, label, first in [("train", "cat", 0), ("train", "dog", 30), ("test", "cat", 60)]:
        (tmp_path / part / label).mkdir(parents=True)
        for number in range(20):
            scene(first + number).save(tmp_path / part / label / f"{number}.png")

    report = check(list_folder(tmp_path))

    (missing,) = [one for one in report.findings if one.code == "classes-not-tested"]
    assert (missing.severity, missing.title) == ("warning", "classes without a test image")
    assert missing.advice.startswith("'dog': the figures say nothing of how well they are recognised")
    assert "few-images" not in codes(report)
    assert report.trainable


def test_class_names_that_are_taken_for_others_are_warned_of(tmp_path: Path) -> None:
    pile(tmp_path)
    (tmp_path / "dog").rename(tmp_path / "nan")
    (tmp_path / "cat").rename(tmp_path / "cat\u200b")

    report = check(list_folder(tmp_path))

    advice = {finding.code: (finding.severity, finding.advice) for finding in report.findings}
    assert advice["class-names-missing"][0] == advice["class-names-unseen"][0] == "warning"
    assert r"'cat\u200b'" in advice["class-names-unseen"][1]


def test_the_splits_are_those_of_a_training_also_where_the_data_give_two(tmp_path: Path) -> None:
    for part, label, first in [("train", "cat", 0), ("train", "dog", 20), ("val", "cat", 40), ("val", "dog", 50)]:
        (tmp_path / part / label).mkdir(parents=True)
        for number in range(10):
            scene(first + number).save(tmp_path / part / label / f"{number}.png")

    chosen = check(list_folder(tmp_path))
    (tmp_path / "val").rename(tmp_path / "test")
    carved = check(list_folder(tmp_path))

    assert {name: chosen.split_names.count(name) for name in PARTS} == {"train": 18, "validation": 2, "test": 20}
    assert "no-test-images" in codes(chosen)
    assert {name: carved.split_names.count(name) for name in PARTS} == {"train": 18, "validation": 2, "test": 20}
    (finding,) = (one for one in carved.findings if one.code == "no-validation-images")
    assert finding.advice.startswith("2 of the 20 training images choose the best epoch and are not trained on. ")


def test_wrong_labels_are_listed_with_what_they_look_like() -> None:
    listing = list_source("digits")
    listing.labels[0] = 7  # a 0

    report = check(listing)

    subjects = next(finding for finding in report.findings if finding.code == "suspicious-label").groups
    assert subjects[0][0].position == 0
    assert subjects[0][0].remark.startswith("looks like 0 (")


@pytest.mark.parametrize(("accuracy", "severity"), [(0.97, "warning"), (0.9, "note")])
def test_a_model_that_is_often_wrong_gives_notes_and_a_long_list_is_cut(accuracy: float, severity: str) -> None:
    many = Doubts(np.arange(120), np.zeros(120, np.int64), np.linspace(1, 0.8, 120), 5000, accuracy, sure=4000)

    finding = doubted(many, np.arange(1000, 6000), ("cat", "dog"))

    assert finding is not None
    assert finding.severity == severity
    assert finding.images == 100
    assert finding.groups[0][0] == Subject(1000, "looks like cat (over 99%)")
    assert finding.groups[99][0] == Subject(1099, "looks like cat (83%)")
    assert "Only the first 100 of 120 are listed" in finding.advice
    assert "with 97.0% where it is this sure" in finding.advice


def test_it_is_said_when_not_all_were_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MOST_COMPARED", 10)

    report = check(list_folder(pile(tmp_path)))

    advice = next(finding.advice for finding in report.findings if finding.code == "not-all-compared")
    assert advice == "Near duplicates were looked for among 10 of 24, chosen at random."


def test_a_pile_of_which_nothing_can_be_read_is_reported(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"{number}.png").write_bytes(b"")

    report = check(list_folder(tmp_path))

    assert report.to_dict()["readable"] == 0
    assert report.sizes is None
    assert codes(report) >= {"empty", "one-class"}


def test_the_report_is_complete_as_json(odd_report: Report) -> None:
    written = json.loads(json.dumps(odd_report.to_dict()))

    assert written["format"] == 1
    assert written["trainable"] is True
    assert (written["images"], written["readable"]) == (33, 33)
    assert written["sizes"] == {"widths": [15, 80, 81], "heights": [20, 80, 80], "different": 5}
    assert written["formats"] == {"PNG": 29, "JPEG": 3, "WEBP": 1}
    assert [row["name"] for row in written["classes"]] == ["cat", "dog"]
    assert sum(written["classes"][0]["splits"].values()) == 23
    palette = next(finding for finding in written["findings"] if finding["code"] == "unlike-others")
    assert palette["images"] == 1
    assert palette["groups"][0][0]["image"] == "cat/palette.png"
    assert palette["groups"][0][0]["class"] == "cat"
    assert palette["groups"][0][0]["remark"] == "PNG P, 80×80: colours from a palette"


def test_progress_counts_every_image(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []

    check(list_folder(pile(tmp_path)), progress=lambda done, total: calls.append((done, total)))

    assert calls == [(number, 24) for number in range(1, 25)]


def test_nothing_in_the_source_is_changed(tmp_path: Path) -> None:
    odd_images((pile(tmp_path)) / "cat")

    def state() -> dict[str, tuple[int, str]]:
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        return {str(f): (f.stat().st_mtime_ns, hashlib.sha256(f.read_bytes()).hexdigest()) for f in files}

    before = state()
    check(list_folder(tmp_path))

    assert state() == before


def test_a_trained_network_doubts_labels_and_finds_what_is_like_no_other_image() -> None:
    """By what it sees, whatever the pixels are: here each image is the same grey."""
    random = np.random.default_rng(0)
    labels = np.arange(200) % 2
    vectors = np.eye(2, 20)[labels] + 0.02 * random.normal(size=(200, 20))
    vectors[11] = np.eye(20)[9]  # like no other
    given = labels.copy()
    given[[4, 25]] = 1 - given[[4, 25]]
    pixels = np.full((200, 8, 8, 1), 100, np.uint8)
    pixels[:, 0, 0, 0] = np.arange(200)  # no copies
    data = from_arrays(pixels, given, ["a", "b"])
    asked = []

    def seeing(listing: Listing, positions: np.ndarray) -> np.ndarray:
        asked.append(positions.tolist())
        return vectors

    found = {one.code: one for one in inspect_data(data, seeing=seeing).findings}

    assert asked == [list(range(200))]
    doubted = {subject.position for group in found["suspicious-label"].groups for subject in group}
    assert {4, 25} <= doubted <= {4, 25, 11}
    ((stranger,),) = found["stranger"].groups
    assert stranger.position == 11
    assert stranger.remark.startswith("alike 0.")
    assert "stranger" not in {one.code for one in inspect_data(data).findings}


def test_what_a_network_takes_for_one_picture_is_found_with_copies_and_where_it_lies(tmp_path: Path) -> None:
    pile(tmp_path / "train", images=duplicates.FEWEST)
    (tmp_path / "test" / "dog").mkdir(parents=True)
    scene(200).save(tmp_path / "train" / "dog" / "taken.png")
    scene(201).save(tmp_path / "test" / "dog" / "again.png")
    scene(201).save(tmp_path / "test" / "dog" / "saved.jpg", quality=60)
    scene(202).save(tmp_path / "train" / "cat" / "other.png")
    scene(203).save(tmp_path / "train" / "dog" / "label.png")
    listing = list_folder(tmp_path)
    place = {name: position for position, name in enumerate(listing.names)}
    vectors = np.random.default_rng(0).normal(size=(len(listing), 40))
    near = 0.05 * np.random.default_rng(1).normal(size=40)
    for one, other in (("train/dog/taken.png", "test/dog/again.png"), ("train/cat/other.png", "train/dog/label.png")):
        vectors[place[other]] = vectors[place[one]] + near

    report = check(listing, seeing=lambda _, positions: vectors[positions])

    across = ["test/dog/again.png", "test/dog/saved.jpg", "train/dog/taken.png"]
    assert found(report, "look-alike-across-splits") == [across]
    assert found(report, "look-alike-label-conflict") == [["train/cat/other.png", "train/dog/label.png"]]
    assert found(report, "near-duplicate") == [across[:2]]
    assert "look-alike" not in codes(report)
    (leak,) = [one for one in report.findings if one.code == "look-alike-across-splits"]
    assert (leak.severity, leak.title) == ("warning", "nearly the same to a trained network in several splits")
    assert leak.advice.startswith("Mirrored or cropped copies, or photographs of one thing at one moment; to be sure,")
    assert not any(code.startswith("look-alike") for code in codes(check(listing)))
