import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from keras_resnet.data.mosaic import Batch
from keras_resnet.data.sources.folder import list_folder
from keras_resnet.inspection.check import check
from keras_resnet.inspection.findings import few_classes
from keras_resnet.inspection.gallery import PER_CLASS
from keras_resnet.inspection.page import MOST_OPEN, page
from tests.data.test_duplicates import scene
from tests.inspection.test_check import pile

NASTY = "<script>alert(1)</script>&\"'.png"


class Seen(HTMLParser):
    """What a browser would take the page for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def opened(tag: dict[str, str | None]) -> Image.Image:
    """The picture of an `<img>`."""
    return Image.open(io.BytesIO(base64.b64decode(str(tag["src"]).partition(",")[2])))


def seen(root: Path) -> Seen:
    listing = list_folder(root)
    return Seen(page(check(listing, name=root.name)))


def test_the_page_needs_no_network_and_runs_no_script(tmp_path: Path) -> None:
    pile(tmp_path)
    scene(0).save(tmp_path / "cat" / "copy.png")

    shown = seen(tmp_path)

    policies = [tag["content"] for tag in shown.named("meta") if "http-equiv" in tag]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert not shown.named("script")
    assert not shown.named("link")
    assert all(str(tag["src"]).startswith("data:image/jpeg;base64,") for tag in shown.named("img"))


def test_an_image_that_several_findings_show_is_decoded_once_for_the_page(tmp_path: Path, openings: list[str]) -> None:
    pile(tmp_path, images=2)
    odd = Image.new("RGBA", (300, 20), (9, 9, 9, 0))  # transparent, blank, long, and a copy
    odd.save(tmp_path / "cat" / "odd.png")
    odd.save(tmp_path / "dog" / "odd.png")
    listing = list_folder(tmp_path)
    report = check(listing)
    openings.clear()

    text = page(report)

    shown = {subject.position for finding in report.findings for group in finding.groups for subject in group}
    shown |= {position for one in report.gallery for position in one.positions}
    assert len(openings) == len(shown) == 6
    assert text.count("data:image/jpeg;base64,") > len(shown)


def test_names_are_shown_as_they_are_and_never_run(tmp_path: Path) -> None:
    pile(tmp_path)
    folder = tmp_path / "\"><img src=x onerror='alert(1)'>"
    folder.mkdir()
    # a file name may hold no slash
    (folder / NASTY.replace("/", "")).write_bytes(b"")
    scene(0).save(folder / "copy.png")

    shown = seen(tmp_path)

    assert not shown.named("script")
    assert all("onerror" not in tag for tag in shown.named("img"))
    assert "<script>alert(1)<script>&\"'.png" in shown.text
    assert "\"><img src=x onerror='alert(1)'>" in shown.text


def test_a_file_name_that_is_no_unicode_is_written_as_escapes(tmp_path: Path) -> None:
    pile(tmp_path)
    (tmp_path / "cat" / "caf\udce9.png").write_bytes(b"")
    listing = replace(list_folder(tmp_path), notes=("passed over: n\udce9",))

    text = page(check(listing))

    assert "cat/caf\\udce9.png" in text
    assert "passed over: n\\udce9" in text
    text.encode("utf-8")


def test_pictures_are_small_in_proportion_and_upright(tmp_path: Path) -> None:
    pile(tmp_path)
    turned = Image.Exif()
    turned[0x0112] = 6
    scene(9).resize((200, 100)).save(tmp_path / "cat" / "turned.jpg", exif=turned)

    sizes = [opened(tag).size for tag in seen(tmp_path).named("img")]

    assert (48, 96) in sizes
    assert all(max(size) == 96 for size in sizes)


def test_many_images_are_cut_and_the_rest_is_counted(tmp_path: Path) -> None:
    pile(tmp_path, images=30)
    for number in range(30):
        (tmp_path / "cat" / f"empty{number:02}.png").write_bytes(b"")
    for number in range(11):
        scene(0).save(tmp_path / "cat" / f"copy{number:02}.png")

    listing = list_folder(tmp_path)
    shown = Seen(page(check(listing, splits={})))

    assert "24 of 30 images are shown; all are in check.json" in shown.text
    assert "8 of 12 images are shown; all are in check.json" in shown.text
    assert "empty23.png" in shown.text
    assert "empty24.png" not in shown.text
    assert len(shown.named("img")) == 8 + 2 * PER_CLASS


def test_of_copies_on_both_sides_of_a_split_both_sides_are_shown(tmp_path: Path) -> None:
    pile(tmp_path, images=12)
    for number in range(12):
        scene(0).save(tmp_path / "cat" / f"copy{number:02}.png")
    listing = list_folder(tmp_path)
    tested = listing.names.index("cat/copy11.png")
    train = np.array([place for place in range(len(listing.names)) if place != tested])

    text = Seen(page(check(listing, splits={"train": train, "test": np.array([tested])}))).text

    found = text.partition("the same file in several splits")[2].partition("images are shown; all are in check.json")[0]
    assert "cat/copy11.png" in found
    assert found.count("· train") == 7


def test_the_verdict_comes_first_and_findings_follow_by_severity(tmp_path: Path) -> None:
    pile(tmp_path)
    (tmp_path / "cat" / "empty.png").write_bytes(b"")
    Image.new("RGB", (40, 40)).save(tmp_path / "cat" / "blank.png")

    shown = seen(tmp_path)

    kinds = [str(tag["class"]).split()[-1] for tag in shown.named("section")]
    assert kinds == sorted(kinds, key=["bad", "warn", "note"].index)
    assert {"bad", "warn"} <= set(kinds)
    text = re.sub(r"\s+", " ", shown.text)
    assert text.index("Training cannot begin") < text.index("the file is empty") < text.index("nothing to see")
    assert "26 images of 2 classes, 25 readable" in text


def test_bars_are_as_long_as_classes_are_large(tmp_path: Path) -> None:
    pile(tmp_path, images=4)
    for number in range(4):
        scene(200 + number).save(tmp_path / "dog" / f"more{number}.png")

    bars = [tag["style"] for tag in seen(tmp_path).named("div") if tag.get("class") == "bar"]

    assert bars == ["width: 100.0%", "width: 50.0%"]


def test_pictures_of_each_class_are_shown_and_those_of_many_classes_are_folded(tmp_path: Path) -> None:
    for number in range(MOST_OPEN + 2):
        (tmp_path / f"class{number:02}").mkdir()
        for copy in range(2):
            Image.new("L", (9, 9), 10 * number + copy).save(tmp_path / f"class{number:02}" / f"{copy}.png")

    shown = seen(tmp_path)

    folds = shown.named("details")
    assert len(folds) == MOST_OPEN + 2
    assert [("open" in one) for one in folds] == [True] * MOST_OPEN + [False] * 2
    assert shown.text.count("most typical") >= MOST_OPEN + 2
    headings = [int(name[1]) for name, _ in shown.tags if name in ("h1", "h2", "h3")]
    assert headings[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))


def test_what_the_network_will_get_is_shown_pixel_by_pixel_with_its_labels(tmp_path: Path) -> None:
    pile(tmp_path, images=2)
    report = check(list_folder(tmp_path))
    pixels = np.arange(2 * 8 * 8, dtype=np.uint8).reshape(2, 8, 8, 1)

    shown = Seen(page(report, Batch(pixels, ("<b>cat", "cat 70%\n+ dog 30%"), "pets")))

    pictures = [tag for tag in shown.named("img") if str(tag["src"]).startswith("data:image/png")]
    assert [tag["alt"] for tag in pictures] == ["<b>cat", "cat 70%\n+ dog 30%"]
    assert np.array_equal(np.asarray(opened(pictures[1])), pixels[1, :, :, 0])
    assert "2 images of the first training batch, 8 × 8 pixels" in shown.text
    able, unable = (replace(report, findings=one) for one in ((), tuple(few_classes(np.array([3])))))
    assert "Not drawn here" in Seen(page(able)).text
    assert "No training can begin with these images" in Seen(page(unable)).text


def test_tables_say_what_they_are_and_which_cells_are_headings(tmp_path: Path) -> None:
    shown = seen(pile(tmp_path, images=2))

    assert len(shown.named("caption")) == len(shown.named("table")) == 2
    assert {tag.get("scope") for tag in shown.named("th")} == {"col", "row"}
