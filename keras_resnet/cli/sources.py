"""The options that say where images come from and how they are cut up, for every command that reads some."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_resnet.data.source import Source

SOURCE_HELP = "digits, folder:PATH, csv:PATH, jsonl:PATH, tfds:NAME, or a path that exists"


def add_source_options(command: argparse.ArgumentParser) -> None:
    """All that `source_of` reads but the source's name itself."""
    group = command.add_argument_group("images")
    group.add_argument("--data-dir", type=Path, help="for tfds: a prepared folder, read with no network")
    group.add_argument("--image-size", type=int, metavar="SIDE", help="side in pixels that images are brought to")
    group.add_argument("--channels", type=int, choices=(1, 3), help="1 for grey, 3 for RGB")
    group.add_argument("--crop-fraction", type=float, metavar="SHARE", help="cut this share out of the centre (0.875 "
                       "is usual) and keep the aspect ratio; default: squeeze the whole image")  # fmt: skip
    group.add_argument("--resize", choices=("bilinear", "bicubic"), default="bilinear", help="default: bilinear")
    group.add_argument("--background", default="white", help="colour that transparency is laid over (default: white)")
    group.add_argument("--on-error", choices=("fail", "skip"), default="fail",
                       help="skip images that cannot be read, up to 1 %% (default: fail)")  # fmt: skip
    group.add_argument("--limit", type=int, metavar="N", help="use at most N images of each split, by class")
    group.add_argument("--split", choices=("class", "group", "time"), default="class",
                       help="how images are divided that come undivided (default: class)")  # fmt: skip
    group.add_argument("--fold", metavar="K/N", help="the Kth of N folds is the test, as 2/5")
    group.add_argument("--split-file", type=Path, metavar="FILE", help="use this split, as a run's split.json")


def source_of(options: argparse.Namespace) -> Source:
    """The source that the options name.

    Raises:
        UsageError: One is out of range.
    """
    from keras_resnet.data.source import Source
    from keras_resnet.data.split_plan import parse_fold

    return Source(
        options.source,
        image_size=options.image_size,
        channels=options.channels,
        data_dir=str(options.data_dir) if options.data_dir else None,
        limit=options.limit,
        seed=options.seed,
        split=options.split,
        fold=parse_fold(options.fold) if options.fold else None,
        split_file=str(options.split_file) if options.split_file else None,
        resize=options.resize,
        crop_fraction=options.crop_fraction,
        background=options.background,
        on_error=options.on_error,
    )


def add_cache_option(command: argparse.ArgumentParser) -> None:
    """Where decoded pixels are kept."""
    command.add_argument("--cache", choices=("auto", "memory", "disk", "none"), default="auto",
                         help="where decoded pixels are kept (default: in a quarter of the memory)")  # fmt: skip
