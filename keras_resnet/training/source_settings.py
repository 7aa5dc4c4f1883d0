"""What files and options may say of a source of images, beside what a recipe has of it (size, crop, seed)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from keras_resnet.settings import Setting

if TYPE_CHECKING:
    from keras_resnet.data.sources.source import Source

text = partial(Setting, kind=str, default=None, optional=True, group="source")
number = partial(Setting, kind=int, default=None, optional=True, group="source")
word = partial(Setting, kind=str, group="source")

# Their defaults are those of `Source`, which is not imported here, so that help answers at once.
SOURCE_SETTINGS = {
    one.name: one
    for one in (
        text("data_dir", text="for tfds: a prepared folder, read with no network"),
        number("channels", text="1 for grey, 3 for RGB; none: as the data have it", low=1, high=3),
        word("resize", default="bilinear", text="how images are resized", choices=("bilinear", "bicubic")),
        word("background", default="white", text="colour that transparency is laid over"),
        word("on_error", default="fail", text="skip up to 1 % of images that cannot be read", choices=("fail", "skip")),
        number("limit", text="use at most this many images of each split, by class", low=1),
        word(
            "split",
            default="class",
            text="how images are divided that come undivided",
            choices=("class", "group", "time"),
        ),
        Setting(
            "task",
            str,
            None,
            "what is asked of an image: one class, or any number; none: as the source has it",
            "source",
            optional=True,
            choices=("classification", "multi-label"),
        ),
        text("fold", text="K/N: the Kth of N folds is the test, as 2/5"),
        text("split_file", text="use this split, as a run's split.json"),
    )
}


def source_of(data: str, seed: int, values: dict[str, Any]) -> Source:
    """The source of this name, as these values of `SOURCE_SETTINGS` have it.

    Raises:
        UsageError: One is out of range.
    """
    from keras_resnet.data.sources.source import Source
    from keras_resnet.data.splits.plan import parse_fold

    fold = parse_fold(values["fold"]) if values["fold"] else None
    return Source(data, seed=seed, **{**values, "fold": fold})
