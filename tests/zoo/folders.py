"""Odd folders of images, each with the classes it holds or a part of the message it is refused with."""

import os
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.zoo.images import RGB, jpeg, png_of

Build = Callable[[Path], Path | None]

PNG = png_of(RGB, 2)
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


@dataclass(frozen=True)
class Folder:
    """One odd folder.

    Args:
        name: What is odd about it.
        build: Makes it in an empty folder; returns it where it is not that folder itself.
        classes: Class names in the order of their labels, with the number of images, as they are listed.
        refused: A part of the message with which listing it is refused; None if it is listed.
        unread: A part of the message with which reading it is refused; None if it is read, or was not listed.
        splits: The number of images in each split the folder itself separates.
        notes: A part of what the user is told; None for nothing.
        whole: Read as for an evaluation, so that no class is too small.
    """

    name: str
    build: Build
    classes: dict[str, int] | None = None
    refused: str | None = None
    unread: str | None = None
    splits: dict[str, int] | None = None
    notes: str | None = None
    whole: bool = False


def images(root: Path, *places: str, content: bytes = PNG) -> None:
    for place in places:
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def several(root: Path, *classes: str, count: int = 4, suffix: str = ".png") -> None:
    images(root, *(f"{name}/{number}{suffix}" for name in classes for number in range(count)))


def of(*classes: str, count: int = 4, suffix: str = ".png") -> Build:
    """Classes of a few images each."""
    return lambda root: several(root, *classes, count=count, suffix=suffix)


def pets(*places: str, content: bytes = PNG) -> Build:
    """Four cats, four dogs and more files."""

    def build(root: Path) -> None:
        several(root, "cat", "dog")
        images(root, *places, content=content)

    return build


def linked(place: str, target: str, *places: str) -> Build:
    """Four cats, four dogs, and a link at `place` to a target relative to the data folder."""

    def build(root: Path) -> Path:
        data = root / "data"
        several(data, "cat", "dog")
        images(data, *places)
        link = data / place
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(data / target)
        return data

    return build


def linked_classes(root: Path) -> Path:
    several(root / "store", "a", "b")
    (root / "data").mkdir()
    for name, target in (("cat", "a"), ("dog", "b")):
        (root / "data" / name).symlink_to(root / "store" / target)
    return root / "data"


def linked_root(root: Path) -> Path:
    several(root / "store", "cat", "dog")
    (root / "data").symlink_to(root / "store")
    return root / "data"


def pipe(root: Path) -> None:
    several(root, "cat", "dog")
    os.mkfifo(root / "cat" / "pipe.png")


def pipe_as_root(root: Path) -> Path:
    os.mkfifo(root / "pipe")
    return root / "pipe"


def empty_class(root: Path) -> None:
    several(root, "cat", "dog")
    (root / "bird").mkdir()


def read_only(root: Path) -> None:
    several(root, "cat", "dog")
    for folder in (root / "cat", root / "dog", root):
        folder.chmod(0o555)


def unreadable(root: Path) -> None:
    several(root, "cat", "dog")
    (root / "cat").chmod(0)


def unreadable_root(root: Path) -> Path:
    several(root / "data", "cat", "dog")
    (root / "data").chmod(0)
    return root / "data"


def split(*places: str) -> Build:
    """Four images at each place, such as train/cat."""
    return of(*places)


def mixed_case(root: Path) -> None:
    for number, suffix in enumerate((".PNG", ".Png", ".pNG", ".png")):
        images(root, f"cat/{number}{suffix}", f"dog/{number}{suffix}")


def wrong_suffixes(root: Path) -> None:
    several(root, "cat", suffix=".jpg")
    images(root, *(f"dog/{number}.png" for number in range(4)), content=jpeg(RGB))


PETS = {"cat": 4, "dog": 4}
TWO_PASSED_OVER = "2 files without an extension of images were left out"
TWO_LOOSE = "2 images that lie in no class folder were left out"
ONE_PASSED_OVER = "1 files without an extension of images were left out"
LONG = "n" * 255
TOO_FEW = "every class needs at least"

FOLDERS = (
    Folder("two classes", of("cat", "dog"), PETS),
    Folder("images at any depth", pets("cat/a/b/c/d/e/f/x.png"), {"cat": 5, "dog": 4}),
    Folder("classes that are links", linked_classes, PETS),
    Folder("a data folder that is a link", linked_root, PETS),
    Folder("an image that is a link", linked("cat/x.png", "dog/0.png"), {"cat": 5, "dog": 4}),
    Folder("a folder of images that is a link", linked("cat/more", "../extra", "../extra/x.png"), {"cat": 5, "dog": 4}),
    Folder(
        "an image that is a broken link",
        linked("cat/x.png", "nowhere"),
        {"cat": 5, "dog": 4},
        unread="cat/x.png: No such file",
    ),
    Folder("a class that is a broken link", linked("bird", "nowhere"), PETS),
    Folder(
        "an image that is a link to itself",
        linked("cat/x.png", "cat/x.png"),
        {"cat": 5, "dog": 4},
        unread="cat/x.png: Too many levels of symbolic links",
    ),
    Folder(
        "an image that is a link to a folder", linked("cat/x.png", "../extra", "../extra/y.png"), {"cat": 5, "dog": 4}
    ),
    Folder("a class linked into itself", linked("cat/again", "cat"), PETS),
    Folder("the data folder linked into a class", linked("cat/up", "."), PETS),
    Folder("the folder above linked into a class", linked("cat/up", ".."), PETS),
    Folder("a class linked into another", linked("cat/twin", "dog"), {"cat": 8, "dog": 4}),
    Folder("hidden files and folders", pets(".git/x.png", "cat/.x.png", "cat/.cache/x.png", ".x.png"), PETS),
    Folder(
        "what file managers leave",
        pets("cat/Thumbs.db", "cat/.DS_Store", "dog/desktop.ini", ".DS_Store"),
        PETS,
        notes=TWO_PASSED_OVER,
    ),
    Folder("what a Mac packs beside the data", pets("__MACOSX/cat/._0.png", "__MACOSX/._cat"), PETS),
    Folder("what a Mac packs into a class", pets("cat/__MACOSX/._0.png"), PETS),
    Folder(
        "what a Mac packs beside the splits",
        split("train/cat", "train/dog", "test/cat", "test/dog", "__MACOSX/x"),
        {"cat": 8, "dog": 8},
        splits={"train": 8, "test": 8},
    ),
    Folder(
        "thumbnails that a network drive keeps", pets("cat/@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg", "@eaDir/x.png"), PETS
    ),
    Folder("suffixes in any case", mixed_case, PETS),
    Folder("suffixes of another format", wrong_suffixes, PETS),
    Folder(
        "two suffixes",
        pets("cat/x.jpg.png", "cat/x.png.bak", "cat/x.png~"),
        {"cat": 5, "dog": 4},
        notes=TWO_PASSED_OVER,
    ),
    Folder(
        "pictures of formats that are not read",
        pets("cat/1.HEIC", "cat/2.heic", "dog/3.svg"),
        PETS,
        notes="3 files without an extension of images were left out, among them pictures in formats that are "
        "not read here (2 .heic, 1 .svg): convert them to JPEG or PNG",
    ),
    Folder("an image without a suffix", pets("cat/x"), PETS, notes=ONE_PASSED_OVER),
    Folder("an image that is all suffix", pets("cat/.png"), PETS),
    Folder("a suffix with a space behind it", pets("cat/x.png "), PETS, notes=ONE_PASSED_OVER),
    Folder("suffixes .jpe and .jfif", pets("cat/x.jpe", "cat/x.jfif"), {"cat": 6, "dog": 4}),
    Folder(
        "a class of .jfif only",
        lambda root: (several(root, "cat"), several(root, "dog", suffix=".jfif"))[0],
        {"cat": 4, "dog": 4},
    ),
    Folder("a class that is called like an image", of("cat.png", "dog.png"), {"cat.png": 4, "dog.png": 4}),
    Folder("a folder in a class that is called like an image", pets("cat/x.png/y.png"), {"cat": 5, "dog": 4}),
    Folder("images of one name but for case", pets("cat/A.png", "cat/a.png"), {"cat": 6, "dog": 4}),
    Folder("classes of one name but for case", of("Cat", "cat"), {"Cat": 4, "cat": 4}),
    Folder("classes of one name but for a space behind it", of("cat", "cat "), {"cat": 4, "cat ": 4}),
    Folder(
        "classes that are written alike, é whole and é put together",
        of(COMPOSED, DECOMPOSED, "dog"),
        refused="look the same",
    ),
    Folder("a class in é put together", of(DECOMPOSED, "dog"), {DECOMPOSED: 4, "dog": 4}),
    Folder("classes in emoji and right to left", of("🐈", "كلب"), {"كلب": 4, "🐈": 4}),
    Folder("classes with newlines, quotes and tabs", of("a\nb", "c'd\"e", "f\tg"), {"a\nb": 4, "c'd\"e": 4, "f\tg": 4}),
    Folder(
        "classes that look like options and paths",
        of("-rf", "--help", "~", "$HOME", "a\\b", "%s", "{0}"),
        dict.fromkeys(("$HOME", "%s", "--help", "-rf", "a\\b", "{0}", "~"), 4),
    ),
    Folder("classes that begin with dots", of("cat", "dog", "...", "..cat"), PETS),
    Folder("classes with spaces", of(" cat", "big dog "), {" cat": 4, "big dog ": 4}),
    Folder("classes with names of 255 bytes", of(LONG, "犬" * 85), {LONG: 4, "犬" * 85: 4}),
    Folder("an image with a name of 255 bytes", pets(f"cat/{'x' * 251}.png"), {"cat": 5, "dog": 4}),
    Folder(
        "a class whose name is no UTF-8",
        of("cat", "caf\udce9"),
        refused=r"'caf\udce9' has a name that cannot be written",
    ),
    Folder("an image whose name is no UTF-8", pets("cat/caf\udce9.png"), {"cat": 5, "dog": 4}),
    Folder(
        "a damaged image whose name is no UTF-8",
        pets("cat/caf\udce9.png", content=b"GIF89a"),
        {"cat": 5, "dog": 4},
        unread="cat/caf\udce9.png: it begins like an image",
    ),
    Folder("classes that are numbers, in the order of text", of("1", "2", "10"), {"1": 4, "10": 4, "2": 4}),
    Folder("an empty folder", lambda root: None, refused="it holds no images; expected one sub-folder"),
    Folder("a missing folder", lambda root: root / "gone", refused="there is no folder"),
    Folder("a file", lambda root: (images(root, "x.png"), root / "x.png")[1], refused="is a file; expected a folder"),
    Folder("a pipe", pipe_as_root, refused="is a file; expected a folder"),
    Folder("a folder with a name too long", lambda root: root / ("n" * 300), refused="File name too long"),
    Folder(
        "a table only", lambda root: images(root, "labels.csv", content=b"name,label\n"), refused="it holds no images"
    ),
    Folder(
        "images without classes",
        lambda root: images(root, "a.png", "b.JPG"),
        refused="it holds 2 images but no sub-folders",
    ),
    Folder("images beside the classes, passed over", pets("x.png", "y.png"), PETS, notes=TWO_LOOSE),
    Folder("one class only", of("cat"), refused="there is only one class, 'cat'"),
    Folder("one class only, for an evaluation", of("cat"), {"cat": 4}, whole=True),
    Folder("an empty class", empty_class, refused="the class folder 'bird' holds no image"),
    Folder(
        "empty classes only",
        lambda root: [(root / name).mkdir() for name in ("a", "b")] and None,
        refused="the class folder 'a' holds no image",
    ),
    Folder(
        "a class of one image",
        lambda root: (several(root, "cat"), images(root, "dog/x.png"))[0],
        {"cat": 4, "dog": 1},
        unread="too few in 'dog (1)'",
    ),
    Folder(
        "images of no bytes",
        pets("cat/x.png", "dog/y.png", content=b""),
        {"cat": 5, "dog": 5},
        unread="cannot read 2 of 10 images: cat/x.png: the file is empty; dog/y.png: the file is empty",
    ),
    Folder(
        "more damaged images than are named",
        pets(*(f"cat/x{n}.png" for n in range(7)), content=b"text"),
        {"cat": 11, "dog": 4},
        unread="and 2 more",
    ),
    Folder(
        "a pipe in a class", pipe, {"cat": 5, "dog": 4}, unread="cat/pipe.png: a folder, pipe or device, not a file"
    ),
    Folder(
        "a thousand classes of one image",
        lambda root: several(root, *(f"{n:04}" for n in range(1000)), count=1),
        {f"{n:04}": 1 for n in range(1000)},
        unread=TOO_FEW,
    ),
    Folder(
        "a thousand classes of one image, for an evaluation",
        lambda root: several(root, *(f"{n:04}" for n in range(1000)), count=1),
        {f"{n:04}": 1 for n in range(1000)},
        whole=True,
    ),
    Folder("a folder that is read only", read_only, PETS),
    Folder(
        "splits in any case",
        split("TRAIN/cat", "TRAIN/dog", "Val/cat", "Val/dog", "tEsT/cat", "tEsT/dog"),
        {"cat": 12, "dog": 12},
        splits={"train": 8, "validation": 8, "test": 8},
    ),
    Folder(
        "splits by other names",
        split("training/cat", "training/dog", "valid/cat", "valid/dog", "testing/dog"),
        {"cat": 8, "dog": 12},
        splits={"train": 8, "validation": 8, "test": 4},
    ),
    Folder(
        "two folders of one split",
        split("train/cat", "Training/dog", "test/cat", "test/dog"),
        {"cat": 8, "dog": 8},
        splits={"train": 8, "test": 8},
    ),
    Folder("a training part alone", split("train/cat", "train/dog"), PETS, splits={"train": 8}),
    Folder(
        "splits with files beside them",
        lambda root: (
            several(root, "train/cat", "train/dog", "test/cat", "test/dog"),
            images(root, "labels.csv", "train/x.png"),
        )[0],
        {"cat": 8, "dog": 8},
        splits={"train": 8, "test": 8},
        notes="1 images that lie in no class folder were left out",
    ),
    Folder(
        "splits beside a class",
        split("train/cat", "val/cat", "cat"),
        refused="and also 'cat': move the ones",
    ),
    Folder(
        "a class of the validation that is not trained",
        split("train/cat", "train/dog", "val/bird", "val/cat", "test/cat"),
        {"bird": 4, "cat": 12, "dog": 4},
        unread="no image of 'bird' is left to train on: all are in the data's other splits",
        splits={"train": 8, "validation": 8, "test": 4},
    ),
    Folder(
        "a class that is written otherwise in each split",
        split(f"train/{COMPOSED}", "train/dog", f"val/{DECOMPOSED}", "val/dog"),
        refused="look the same",
    ),
    Folder(
        "a class of the training that is not tested",
        split("train/cat", "train/dog", "val/cat", "test/cat"),
        {"cat": 12, "dog": 4},
        splits={"train": 8, "validation": 4, "test": 4},
    ),
    Folder(
        "an evaluation's folder of a test part and no training",
        split("test/cat", "test/dog"),
        refused="there is only one class, 'test'",
    ),
    Folder(
        "validation and test without training, taken for classes",
        split("val/cat", "val/dog", "test/cat", "test/dog"),
        {"test": 8, "val": 8},
    ),
    Folder("splits without classes", split("train", "val"), refused="it holds 8 images but no sub-folders"),
)

# Root may read everything, so these say nothing there.
SHUT = (
    Folder("a class that may not be read", unreadable, refused="cat: Permission denied"),
    Folder("a folder that may not be read", unreadable_root, refused="data: Permission denied"),
)
