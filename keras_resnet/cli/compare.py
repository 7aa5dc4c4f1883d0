"""Say which of two or more models is better on the same test images, by how much, and how sure that is.

Each model after the first is compared with the first. A and B are finished runs, which are asked for their own test
images if both have the same; model files of any kind; tables predictions.csv that `evaluate` wrote; or folders of
several runs, which are paired by seed and fold. Runs of the same images that are divided otherwise, as at random and
by group, or folders of such runs, are each asked for their own test images: it is said what the split makes of the
figure.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_resnet.display import Display
    from keras_resnet.evaluation.compare import PairedComparison
    from keras_resnet.evaluation.split_comparison import SplitComparison

MOST_SHOWN = 20
"""Images on which two models differ."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("models", metavar="MODEL", nargs="+", type=Path, help="A B …: what is compared, two or more")
    command.add_argument(
        "--data", metavar="SOURCE", help="images that no model was trained on, as `train` takes them; with groups, if "
        "it has a column `group`"
    )  # fmt: skip
    command.add_argument("--data-dir", type=Path, help="for tfds: a prepared folder, read with no network")
    command.add_argument("--limit", type=int, metavar="N", help="with --data: use at most N images, by class")
    command.add_argument("--split", choices=("train", "validation", "test", "all"), help="default: as `evaluate`")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap (default: 0)")
    command.add_argument("--report", type=Path, metavar="FILE", help="also write it as an HTML page with figures, "
                         "curves, settings, and images on which models differ")  # fmt: skip
    command.add_argument("--json", action="store_true", help="print JSON, with all images on which models differ")


def run(options: argparse.Namespace) -> int:
    from keras_resnet.atomic import json_text
    from keras_resnet.cli.show import show_splits
    from keras_resnet.cli.terminal import say
    from keras_resnet.data.sources.source import Source
    from keras_resnet.display import Display
    from keras_resnet.errors import UsageError
    from keras_resnet.evaluation.compare import compare
    from keras_resnet.evaluation.split_comparison import compare_splits, divided_otherwise

    if not options.data and (options.data_dir or options.limit):
        raise UsageError("--data-dir and --limit go with --data; without it the runs' own data are used")
    data_dir = str(options.data_dir) if options.data_dir else None
    data = Source(options.data, data_dir=data_dir, limit=options.limit) if options.data else None
    if not (options.data or options.split) and divided_otherwise(options.models):
        with Display() as progress:
            splits = compare_splits(*options.models, progress=progress.reading)
            _write_report(options, splits, progress)
        if options.json:
            say(json_text([one.to_dict() for one in splits]))
        else:
            show_splits(splits)
        return 0
    with Display() as progress:
        found = compare(*options.models, data=data, split=options.split, seed=options.seed, progress=progress.reading)
        _write_report(options, found, progress)
    if options.json:
        say(json_text([one.to_dict() for one in found]))
    else:
        show(found)
    return 0


def _write_report(
    options: argparse.Namespace,
    found: tuple[PairedComparison, ...] | tuple[SplitComparison, ...],
    progress: Display,
) -> None:
    from keras_resnet.reporting.comparison import write_comparison

    if options.report:
        path = write_comparison(found, options.models, options.report, progress=progress.reading, note=progress.note)
        progress.note(f"wrote {path}")


def show(found: tuple[PairedComparison, ...]) -> None:
    """Print tables and words.

    Args:
        found: What `compare` gives.
    """
    from keras_resnet.cli.show import accuracy_text, points_between
    from keras_resnet.cli.tables import table
    from keras_resnet.cli.terminal import say
    from keras_resnet.evaluation.compare import shown_p

    first = found[0]
    of = f"{first.images:,} images" + (f" of {first.groups:,} groups" if first.groups else "")
    title = f"on {of}" + (f", {first.trainings} trainings each" if first.trainings > 1 else "")
    rows = [(first.first, accuracy_text(first.accuracies[0]), *["–"] * 6)]
    for one in found:
        rows.append(
            (
                one.second,
                accuracy_text(one.accuracies[1]),
                f"{one.difference:+.2f}",
                points_between(one.interval),
                "–" if one.bootstrap is None else points_between(one.bootstrap),
                shown_p(one.p),
                shown_p(one.corrected),
                f"{one.only_first} / {one.only_second}",
            )
        )
    heads = ["model", "accuracy", "points", "95 % interval", "bootstrap", "p", "p (Holm)", "right alone: first / this"]
    drop = {heads.index("p (Holm)")} if len(found) == 1 else set()
    drop |= {heads.index("bootstrap")} if first.bootstrap is None else set()
    kept = [place for place in range(len(heads)) if place not in drop]
    table(title, [heads[place] for place in kept], [[row[place] for place in kept] for row in rows])
    if len(found) == 1 and first.differing:
        shown = first.differing[:MOST_SHOWN]
        cells = [(one.image, one.label, one.first, one.second) for one in shown]
        names = (first.first, first.second)
        table("images on which they differ", ("image", "label", *names), cells, left=("label", *names))
        if len(first.differing) > len(shown):
            say(f"and {len(first.differing) - len(shown)} more; --json lists all")
    say(f"{first.method}:")
    for one in found:
        say(one.text if len(found) == 1 else f"{one.second} against {one.first}: {one.text}")
