"""What a random split leaks where series matter: augmented copies, and frames of films, made from photographs at hand.

python scripts/show_leaks.py PHOTOS --out FOLDER

PHOTOS has one sub-folder a class. Of each class a few photographs are taken. From each of them are made, in FOLDER,

  augmented/  copies: mirrored, brighter, darker, noisy, blurred, cropped or turned by a little
  films/      frames: a camera that goes along the photograph and nears it

Names and headers of the new files say nothing. On each of both sets one network is trained twice by one recipe: with a
random split, and with --split group --group-by series. It is shown what the check, the training and the evaluation of
the random split say, and both figures. The exit code is 1 if one of them does not warn, or if the random split is not
surely the better one, as it must be: its test images have copies that are trained on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from keras_resnet.cli.running import script_main

SEEN = 0.8
"""The share of a photograph's sides that a frame of a film shows."""
STEP = 0.015
"""Of a frame's side, by which the camera goes on from frame to frame."""


def augmented(photograph: Image.Image, count: int, random: np.random.Generator) -> list[Image.Image]:
    """Make copies as augmentations make them, each by one or two changes.

    Args:
        photograph: In RGB.
        count: How many, the photograph itself the first of them.
        random: Chooses.
    """
    width, height = photograph.size

    def noisy(image: Image.Image) -> Image.Image:
        pixels = np.asarray(image) + random.normal(0, 8, (image.height, image.width, 3))
        return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))

    tones: tuple[Callable[[Image.Image], Image.Image], ...] = (
        lambda one: ImageEnhance.Brightness(one).enhance(random.uniform(0.8, 1.2)),
        lambda one: ImageEnhance.Color(one).enhance(random.uniform(0.5, 1.5)),
        lambda one: one.filter(ImageFilter.GaussianBlur(width / 100)),
        noisy,
    )
    places: tuple[Callable[[Image.Image], Image.Image], ...] = (
        ImageOps.mirror,
        lambda one: one.crop((round(0.02 * width), 0, width, round(0.98 * height))),
        lambda one: one.rotate(random.uniform(-1.5, 1.5), Image.Resampling.BICUBIC),
    )
    copies = [photograph]
    while len(copies) < count:
        changed = tones[random.integers(len(tones))](photograph)
        copies.append(places[random.integers(len(places))](changed))
    return copies


def filmed(photograph: Image.Image, count: int, random: np.random.Generator) -> list[Image.Image]:
    """Make frames of a camera that goes along a photograph, or nears it.

    Args:
        photograph: In RGB.
        count: How many, at most 14: more would leave the photograph.
        random: Chooses where to.
    """
    nears = random.random() < 0.5
    right, down = random.choice([-1, 1], 2)
    side = np.array(photograph.size) * SEEN
    frames = []
    for frame in range(count):
        way = STEP * frame * side
        seen = side - (way if nears else 0)
        corner = (np.array(photograph.size) - seen) / 2
        if not nears:
            corner += np.array([right, down]) * (way - STEP * (count - 1) / 2 * side) / np.sqrt(2)
        size = (round(side[0]), round(side[1]))
        box = (corner[0], corner[1], corner[0] + seen[0], corner[1] + seen[1])
        frames.append(photograph.resize(size, Image.Resampling.BICUBIC, box=box))
    return frames


WAYS: dict[str, Callable[[Image.Image, int, np.random.Generator], list[Image.Image]]] = {
    "augmented": augmented,
    "films": filmed,
}


def make(photographs: Path, folder: Path, way: str, *, originals: int, each: int, seed: int) -> dict[str, str]:
    """Make a set of images.

    Args:
        photographs: A folder with one sub-folder a class.
        folder: Where to; new.
        way: A key of `WAYS`.
        originals: Photographs of each class that are taken.
        each: Images that are made from each.
        seed: Of all that is chosen.

    Returns:
        From the name of each new image to that of its photograph.
    """
    from keras_resnet.data.loading import list_source
    from keras_resnet.errors import UsageError
    from keras_resnet.images.decode import decode
    from keras_resnet.images.image_file import read_header
    from keras_resnet.preprocessing import Fit

    listing, random = list_source(f"folder:{photographs}"), np.random.default_rng(seed)
    if folder.exists():
        raise UsageError(f"{folder} is there already: choose another folder by --out")
    made = {}
    for label, name in enumerate(listing.class_names):
        (folder / name).mkdir(parents=True)
        chosen = random.permutation(np.flatnonzero(listing.labels == label))[:originals]
        numbers = iter(random.permutation(len(chosen) * each).tolist())  # so that no name tells
        for position in chosen.tolist():
            content = listing.contents.read(position)
            pixels = decode(content, Fit(read_header(content, name=listing.names[position]).upright, 3))
            for image in WAYS[way](Image.fromarray(pixels), each, random):
                file = f"{name}/{next(numbers):04}.png"
                image.save(folder / file)
                made[file] = listing.names[position]
    return made


def run(options: argparse.Namespace) -> int:
    import keras_resnet
    from keras_resnet.cli.tables import table
    from keras_resnet.cli.terminal import say
    from keras_resnet.data.leakage import CODE

    recipe = keras_resnet.Recipe(
        model=options.model, epochs=options.epochs, batch_size=16, learning_rate=0.05, augment="none", seed=options.seed
    )
    rows, as_it_must_be = [], True
    for way in WAYS:
        folder = options.out / way
        made = make(options.photographs, folder, way, originals=options.originals, each=options.each, seed=options.seed)
        at_random = keras_resnet.Source(str(folder), image_size=options.image_size, seed=options.seed)
        by_series = keras_resnet.Source(**at_random.settings | {"split": "group", "group_by": "series"})
        checked = [one.title for one in keras_resnet.inspect_data(at_random).findings if one.code == CODE]
        runs = [
            keras_resnet.fit(recipe, source, options.out / "runs" / f"{way}-{name}", verbose=False)
            for name, source in (("random", at_random), ("series", by_series))
        ]
        trained = [event.get("text", "") for event in runs[0].events.rows() if event["event"] == CODE]
        evaluated = keras_resnet.report_run(runs[0]).notes  # before there is a figure by series
        series = keras_resnet.report_run(runs[1])
        random = keras_resnet.report_run(runs[0])
        (found,) = random.splits
        say(f"\n{way}: {len(made):,} images of {len(set(made.values())):,} photographs")
        for command, warnings in (("check", checked), ("train", trained), ("evaluate", evaluated)):
            say(f"  {command}: {warnings[0].partition(': ')[0] if warnings else 'says nothing'}")
        say(f"  {found.text}")
        for figure, report in ((found.first, random), (found.second, series)):
            low, high = report.evaluation.metrics.top1_interval  # by series, where these are known
            right = f"{figure.correct:,} of {figure.images:,}"
            rows.append((way, figure.division, right, f"{figure.accuracy:.1%}", f"{low:.1%} to {high:.1%}"))
        as_it_must_be &= bool(checked and trained and evaluated) and found.is_shown and found.difference < 0
    table("What a random split leaks", ("images", "divided", "right", "accuracy", "95 % interval"), rows)
    return 0 if as_it_must_be else 1


def options_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", metavar="PHOTOS", type=Path, help="a folder with one sub-folder a class")
    parser.add_argument("--out", type=Path, required=True, help="a folder for the images and the runs")
    parser.add_argument("--originals", type=int, default=8, help="photographs of each class (default: 8)")
    parser.add_argument("--each", type=int, default=6, help="images that are made of each (default: 6)")
    parser.add_argument("--model", default="resnet8", help="default: resnet8")
    parser.add_argument("--image-size", type=int, default=32, help="of the training (default: 32)")
    parser.add_argument("--epochs", type=int, default=20, help="default: 20")
    parser.add_argument("--seed", type=int, default=0, help="of images, splits and trainings (default: 0)")
    return parser


if __name__ == "__main__":
    sys.exit(script_main(options_parser(), run))
