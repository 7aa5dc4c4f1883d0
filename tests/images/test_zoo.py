import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from keras_resnet.data.loading import load_data
from keras_resnet.data.sources.folder import list_folder
from keras_resnet.data.sources.source import Source
from keras_resnet.errors import DataError
from keras_resnet.images import decode as decoder
from keras_resnet.images.decode import decode, decode_box
from keras_resnet.images.image_file import REASONS, ImageError, read_header
from keras_resnet.preprocessing import Fit
from tests.zoo.folders import FOLDERS, SHUT, Folder
from tests.zoo.images import RGB, ZOO, Specimen, jpeg, png, png_of, smooth

FILE_SYSTEM = {"missing", "not-a-file", "unreadable"}

each_specimen = pytest.mark.parametrize("specimen", ZOO, ids=lambda specimen: specimen.name.replace(" ", "-"))
by_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")


def check(specimen: Specimen, source: Path | bytes) -> None:
    if isinstance(specimen.expected, str):
        with pytest.raises(ImageError) as caught:
            decode(source, Fit((4, 4), 3))
        assert caught.value.code == specimen.expected, caught.value
        return
    found = decode(source, Fit(specimen.expected.shape[:2], 3))
    expected = specimen.expected if specimen.expected.ndim == 3 else specimen.expected[..., None]
    difference = np.abs(found.astype(int) - expected.astype(int))[: specimen.rows]
    assert difference.max() <= specimen.tolerance, np.argwhere(difference > specimen.tolerance)[0]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::PIL.Image.DecompressionBombWarning")
@each_specimen
def test_an_odd_image_gives_the_pixels_it_was_made_of_or_its_reason(specimen: Specimen, tmp_path: Path) -> None:
    check(specimen, specimen.content)
    path = tmp_path / f"image{specimen.suffix}"
    path.write_bytes(specimen.content)
    check(specimen, path)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::PIL.Image.DecompressionBombWarning")
@each_specimen
def test_a_header_gives_the_size_a_person_sees(specimen: Specimen) -> None:
    try:
        found: tuple[int, int] | str = read_header(specimen.content).upright
    except ImageError as error:
        found = error.code

    if isinstance(specimen.expected, str):
        assert isinstance(found, tuple) or found == specimen.expected  # a header may be whole where the pixels are not
    else:
        assert found == specimen.expected.shape[:2]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("channels", [1, 3])
def test_images_that_are_flattened_in_bands_are_those_flattened_whole(
    channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, specimens = Fit((7, 5), channels), [one for one in ZOO if not isinstance(one.expected, str)]
    whole = [decode(specimen.content, fit) for specimen in specimens]
    monkeypatch.setattr(decoder, "BAND", 1)

    for specimen, expected in zip(specimens, whole, strict=True):
        np.testing.assert_array_equal(decode(specimen.content, fit), expected, specimen.name)


def test_the_zoo_is_large_and_shows_every_reason() -> None:
    codes = {specimen.expected for specimen in ZOO if isinstance(specimen.expected, str)}

    assert len(ZOO) >= 60
    assert len({specimen.name for specimen in ZOO}) == len(ZOO)
    assert codes | FILE_SYSTEM == REASONS.keys()


def test_a_missing_file_is_told_from_a_folder_and_a_pipe_that_nobody_writes_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "circle.jpg").symlink_to(tmp_path / "circle.jpg")
    reasons = {
        "pipe.jpg": "not-a-file", "folder.jpg": "not-a-file", "gone.jpg": "missing", "broken.jpg": "missing",
        "circle.jpg": "unreadable", "x" * 300: "unreadable",
    }  # fmt: skip
    found = {}
    for name in reasons:
        with pytest.raises(ImageError) as caught:
            decode(tmp_path / name, Fit((4, 4), 3))
        found[name] = caught.value.code

    assert found == reasons


@by_root
def test_a_file_that_may_not_be_read_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(png_of(RGB, 2))
    path.chmod(0)

    with pytest.raises(ImageError, match="Permission denied") as caught:
        decode(path, Fit((4, 4), 3))
    assert caught.value.code == "unreadable"


def test_a_lack_of_memory_is_no_damage_to_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(decoder, "flattened", refuse)
    with pytest.raises(ImageError, match="more pixels or bytes than are allowed"):
        decode(png_of(RGB, 2), Fit((4, 4), 3))


def test_cielab_becomes_grey_too() -> None:
    content = next(specimen.content for specimen in ZOO if specimen.name == "TIFF CIELAB")

    assert decode(content, Fit((1, 3), 1)).ravel().tolist() == pytest.approx([255, 0, 76], abs=4)


def run_alone(code: str) -> float:
    """Run in a process of its own; how many MiB its peak memory grew after the `before = peak()` in the code."""
    if not Path("/proc/self/status").exists():
        pytest.skip("the system does not tell a process its peak memory")
    # Not by `getrusage`, which begins with the memory of the process that started this one.
    head = (
        "import re\n"
        r"peak = lambda: int(re.search(r'VmHWM:\s+(\d+)', open('/proc/self/status').read())[1]) / 1024"
        "\n"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"{head}{code}\nprint(peak() - before)"],
        check=True, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    return float(result.stdout)


def test_the_whole_zoo_takes_little_memory_and_time() -> None:
    start = time.perf_counter()
    grown = run_alone(
        "from tests.zoo.images import ZOO\n"
        "from keras_resnet.images.decode import decode\nfrom keras_resnet.preprocessing import Fit\n"
        "from keras_resnet.images.image_file import ImageError\n"
        "before = peak()\n"
        "for specimen in ZOO:\n"
        "    try: decode(specimen.content, Fit((64, 64), 3))\n"
        "    except ImageError: pass"
    )

    assert grown < 200  # one image of the header that says least, 12000×12000 of RGB, would take 576
    assert time.perf_counter() - start < 60


def test_threads_together_take_no_more_memory_than_the_budget() -> None:
    grown = run_alone(
        "import zlib\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from keras_resnet.images import image_file\n"
        "from keras_resnet.images.decode import decode\nfrom keras_resnet.preprocessing import Fit\n"
        "from tests.zoo.images import chunk, png\n"
        "side = 3000\n"
        "clear = chunk(b'PLTE', bytes(6)) + chunk(b'tRNS', b'\\0')\n"
        "content = png((side, side), 8, 3, [bytes(side)] * side, before=clear)\n"
        "decode(png((2, 2), 8, 0, [bytes(2)] * 2), Fit((8, 8), 3))\n"
        "image_file.DECODING.total = 8 * side**2 + len(content)\n"
        "before = peak()\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    for found in pool.map(lambda _: decode(content, Fit((8, 8), 3)), range(8)): assert (found == 255).all()"
    )

    assert grown < 120  # 8 bytes for each of the 9 million pixels; eight at once take 450


@pytest.mark.parametrize("size", [(1, 65_535), (65_535, 1)])
def test_a_long_thin_image_is_cropped_without_being_resized_whole(size: tuple[int, int]) -> None:
    grown = run_alone(
        "from tests.zoo.images import png\n"
        "from keras_resnet.images.decode import decode\nfrom keras_resnet.preprocessing import Fit\n"
        f"content = png({size}, 8, 0, [bytes([9]) * {size[1]}] * {size[0]})\n"
        "before = peak()\n"
        "assert (decode(content, Fit((224, 224), 3, crop_fraction=0.875)) == 9).all()"
    )

    assert grown < 200  # resized whole it would be 16,776,960×256 pixels, 17 GB


def test_the_centre_of_a_long_thin_image_is_what_resizing_it_whole_would_show() -> None:
    row = np.arange(0, 3000, dtype=np.uint32) * 251 // 3000
    content = png((1, 3000), 8, 0, [row.astype(np.uint8).tobytes()])

    found = decode(content, Fit((8, 8), 1, crop_fraction=1.0))[..., 0]

    assert (found == found[0]).all()  # one row, repeated
    assert set(found[0].tolist()) <= {124, 125}  # the middle pixel and its neighbours: 1499 * 251 // 3000


def test_a_part_of_an_image_with_uneven_sides_is_decoded_small() -> None:
    picture = np.repeat(np.repeat(smooth(16, 10), 100, axis=0), 100, axis=1)[:, :901]
    content = jpeg(picture)

    found = decode_box(content, read_header(content), (0, 0, 1600, 901), Fit((16, 9), 3))

    assert np.abs(found.astype(int) - smooth(16, 9)).max() <= 4


def run_folder(folder: Folder, tmp_path: Path) -> None:
    """List and read a folder and compare with what is expected of it."""
    root = folder.build(tmp_path) or tmp_path
    if folder.refused is not None:
        for attempt in (lambda: list_folder(root), lambda: load_data(Source(f"folder:{root}", image_size=8))):
            with pytest.raises(DataError) as caught:
                attempt()
            assert folder.refused in str(caught.value)
        return

    listing = list_folder(root, fewest_classes=1 if folder.whole else 2)
    counts = np.bincount(listing.labels, minlength=len(listing.class_names)).tolist()
    assert dict(zip(listing.class_names, counts, strict=True)) == folder.classes
    assert list(listing.class_names) == list(folder.classes or {})
    assert {name: len(positions) for name, positions in listing.given.items()} == (folder.splits or {})
    assert [folder.notes] == list(listing.notes) if folder.notes else not listing.notes
    source = Source(f"folder:{root}", image_size=8)
    if folder.unread is not None:
        with pytest.raises(DataError) as caught:
            load_data(source, whole=folder.whole)
        assert folder.unread in str(caught.value)
    else:
        data = load_data(source, whole=folder.whole)
        assert sum(len(part) for part in data.splits.values()) == len(listing)
        assert data.class_names == listing.class_names


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name.replace(" ", "-"))
def test_an_odd_folder_gives_its_classes_or_says_what_is_wrong(folder: Folder, tmp_path: Path) -> None:
    run_folder(folder, tmp_path)


@by_root
@pytest.mark.parametrize("folder", SHUT, ids=lambda folder: folder.name.replace(" ", "-"))
def test_a_folder_that_may_not_be_read_is_named(folder: Folder, tmp_path: Path) -> None:
    try:
        run_folder(folder, tmp_path)
    finally:
        for path in (tmp_path / "cat", tmp_path / "data"):
            if path.exists():
                path.chmod(0o755)


def test_there_are_many_odd_folders() -> None:
    assert len({folder.name for folder in FOLDERS}) == len(FOLDERS) >= 40


def test_a_folder_named_like_the_home_of_nobody_is_only_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "~nobody-of-that-name").mkdir()
    monkeypatch.chdir(tmp_path)

    with pytest.raises(DataError, match="it holds no images"):
        list_folder("~nobody-of-that-name")
