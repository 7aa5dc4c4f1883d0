import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from keras_resnet.data import duplicates
from keras_resnet.data.duplicates import FEWEST, alike_groups, exact_groups, kin_groups, near_groups
from keras_resnet.data.loading import list_source
from keras_resnet.data.sources.folder import list_folder
from keras_resnet.images.decode import decode
from keras_resnet.preprocessing import Fit
from tests.shared import shared_data


def scene(seed: int, side: int = 80) -> Image.Image:
    """A picture unlike any of another seed: smooth coloured noise."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 7, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def thumbnail(image: Image.Image, **options: int) -> np.ndarray:
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "JPEG" if options else "PNG", **options)
    return decode(stream.getvalue(), Fit((32, 32), 3))


def saved_again(image: Image.Image) -> dict[str, np.ndarray]:
    image = image.convert("RGB")
    width, height = image.size
    return {
        "JPEG of quality 60": thumbnail(image, quality=60),
        "resized to 80 %": thumbnail(image.resize((width * 4 // 5, height * 4 // 5))),
        "10 % brighter": thumbnail(ImageEnhance.Brightness(image).enhance(1.1)),
        "10 % darker": thumbnail(ImageEnhance.Brightness(image).enhance(0.9)),
        "2 % cropped": thumbnail(image.crop((width // 50, height // 50, width, height))),
    }


SCENES = np.stack([thumbnail(scene(seed)) for seed in range(60)])


def test_the_same_bytes_form_groups_in_the_order_of_their_first() -> None:
    digests = [bytes([number]) * 32 for number in (7, 3, 7, 9, 3, 7)]

    assert [group.tolist() for group in exact_groups(digests)] == [[0, 2, 5], [1, 4]]
    assert exact_groups([]) == []


def test_digests_that_end_in_zeros_are_not_confused() -> None:
    assert exact_groups([b"\x01" + bytes(31), b"\x01\x00\x02" + bytes(29)]) == []


def test_different_pictures_are_no_duplicates() -> None:
    assert near_groups(SCENES) == []


@pytest.mark.parametrize("change", saved_again(scene(0)))
def test_a_picture_saved_again_is_found(change: str) -> None:
    copies = np.stack([saved_again(scene(seed))[change] for seed in range(20)])

    found = near_groups(np.concatenate([SCENES, copies]))

    assert [group.tolist() for group in found] == [[number, 60 + number] for number in range(20)]


def test_kin_are_copies_mirrored_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    copies = [thumbnail(ImageEnhance.Brightness(ImageOps.mirror(scene(seed))).enhance(1.1)) for seed in range(20)]
    pictures = np.concatenate([SCENES, np.stack(copies)])

    assert near_groups(pictures) == []
    assert [group.tolist() for group in kin_groups(pictures)] == [[number, 60 + number] for number in range(20)]
    monkeypatch.setattr(duplicates, "BLOCK", 7 * 80)
    assert [group.tolist() for group in kin_groups(pictures)] == [[number, 60 + number] for number in range(20)]
    assert kin_groups(SCENES) == kin_groups(SCENES[:1]) == kin_groups(SCENES[:0]) == []


def test_kin_are_found_where_every_picture_has_many_copies() -> None:
    shifted = [thumbnail(scene(seed).crop((place, 0, 68 + place, 68))) for seed in range(30) for place in range(10)]

    assert [len(group) for group in kin_groups(np.stack(shifted))] == [10] * 30


def test_which_pictures_are_near_depends_on_no_order_of_sums() -> None:
    vectors = duplicates._shapes(SCENES)

    assert np.array_equal(vectors, np.rint(vectors))
    assert np.abs(np.linalg.norm(vectors, axis=1) - duplicates.LENGTH).max() < 10
    exact = vectors.astype(np.int64) @ vectors.T.astype(np.int64)
    assert np.array_equal(vectors @ vectors.T, exact)
    assert np.array_equal(vectors[:, ::-1] @ vectors[:, ::-1].T, exact)


def test_copies_that_outnumber_the_originals_are_still_found() -> None:
    copies = [thumbnail(scene(seed), quality=quality) for quality in (50, 60, 70) for seed in range(60)]

    found = near_groups(np.concatenate([SCENES, np.stack(copies)]))

    assert [group.tolist() for group in found] == [[n, 60 + n, 120 + n, 180 + n] for n in range(60)]


def test_one_shape_in_other_colours_is_another_picture() -> None:
    def sign(colour: tuple[int, int, int]) -> np.ndarray:
        disc = (np.indices((32, 32)) - 15.5).__pow__(2).sum(0) < 120
        return np.where(disc[..., None], np.array(colour), 250).astype(np.uint8)

    # red and green of one brightness, so that grey thumbnails are alike
    found = near_groups(np.stack([*SCENES, sign((200, 20, 20)), sign((20, 112, 20)), sign((205, 25, 25))]))

    assert [group.tolist() for group in found] == [[60, 62]]


def test_blank_pictures_are_not_called_copies_of_each_other() -> None:
    blank = np.full((5, 32, 32, 3), 200, np.uint8)

    assert near_groups(blank) == []
    assert near_groups(blank[:1]) == []
    assert near_groups(blank[:0]) == []


def test_what_can_hardly_be_seen_is_not_compared() -> None:
    faint = np.full((3, 32, 32, 3), 200, np.uint8)
    faint[:, :, 16:] += 1

    assert near_groups(np.concatenate([SCENES, faint])) == []


def test_pictures_that_share_much_are_still_two() -> None:
    blended = Image.blend(scene(0), scene(61), 0.35)

    assert near_groups(np.concatenate([SCENES, thumbnail(blended)[None]])) == []


def test_pictures_that_share_much_are_two_even_where_all_others_share_nothing() -> None:
    noise = np.random.default_rng(0).integers(0, 80, (61, 16, 16, 3)).repeat(2, 1).repeat(2, 2)
    noise += np.indices((32, 32)).sum(0)[None, ..., None] * 2  # so that colours are alike in all of them
    copied, mixed = noise[0] * 0.7 + noise[60] * 0.3, noise[1] * 0.57 + noise[60] * 0.43  # distances 0.07 and 0.20

    found = near_groups(np.stack([*noise[:60], copied, mixed]).astype(np.uint8))

    assert [group.tolist() for group in found] == [[0, 60]]


def test_blocks_of_the_comparison_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    copies = np.stack([thumbnail(scene(seed), quality=60) for seed in (0, 59)])
    monkeypatch.setattr(duplicates, "BLOCK", 7 * 62)

    assert [group.tolist() for group in near_groups(np.concatenate([SCENES, copies]))] == [[0, 60], [59, 61]]


def test_of_too_many_pictures_a_choice_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MOST_COMPARED", 60)

    found = near_groups(np.concatenate([SCENES, SCENES]))

    assert 0 < len(found) < 60
    assert all(second - first == 60 for first, second in found)


def test_handwritten_digits_of_8_pixels_are_hardly_ever_called_copies() -> None:
    listing = list_source("digits")
    thumbnails = np.stack([decode(listing.contents.read(n), Fit((32, 32), 3)) for n in range(len(listing))])

    assert sum(map(len, near_groups(thumbnails))) < 20


def test_photographs_of_hands_saved_again_are_found_and_others_are_not() -> None:
    listing = list_folder(shared_data("folders/sign-digits"))
    contents = [listing.contents.read(n) for n in range(0, len(listing), 4)]
    originals = np.stack([decode(content, Fit((32, 32), 3)) for content in contents])
    copies = [saved_again(Image.open(io.BytesIO(content))) for content in contents[::10]]

    pairs = 0
    for change in copies[0]:
        groups = near_groups(np.concatenate([originals, np.stack([copy[change] for copy in copies])]))
        right = [group for group in groups if group.tolist() == [group[0], len(originals) + group[0] // 10]]
        assert len(groups) - len(right) <= 1
        pairs += len(right)

    assert pairs >= 0.95 * len(copies) * len(copies[0])


def seen_by_a_network(series: int, each: int = 8, spread: float = 0.5, seed: int = 0) -> np.ndarray:
    """Vectors of series of photographs, those of one more like each other than those of others."""
    random = np.random.default_rng(seed)
    return np.repeat(random.normal(size=(series, 50)), each, axis=0) + spread * random.normal(size=(series * each, 50))


def test_what_a_network_hardly_tells_apart_is_found_beside_series_that_are_alike() -> None:
    vectors = seen_by_a_network(8)
    random = np.random.default_rng(1)
    copies = vectors[[3, 3, 40]] + 0.1 * random.normal(size=(3, 50))

    found = alike_groups(np.concatenate([vectors, copies]))

    assert [group.tolist() for group in found] == [[3, 64, 65], [40, 66]]
    assert alike_groups(vectors) == []
    assert alike_groups(vectors[: FEWEST - 1].repeat(2, axis=0)[: FEWEST - 1]) == [], "of few nothing can be said"


def test_the_same_to_a_network_is_found_however_many_there_are() -> None:
    vectors = seen_by_a_network(8)
    found = alike_groups(np.concatenate([vectors, vectors[[7] * 9]]))

    assert [group.tolist() for group in found] == [[7, *range(64, 73)]]


def test_what_is_near_in_one_series_is_far_in_another() -> None:
    wide, narrow = seen_by_a_network(6, spread=0.8), seen_by_a_network(6, spread=0.2, seed=2)
    vectors = np.concatenate([wide, narrow, wide[5:6] + 0.05 * np.random.default_rng(1).normal(size=(1, 50))])

    assert [group.tolist() for group in alike_groups(vectors)] == [[5, 96]]
