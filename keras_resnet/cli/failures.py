"""Show failures first: the largest losses, confused classes, labels that may be wrong, images unlike all others.

Images are judged by networks that were not trained on them: of a folder that `train --folds` made all images, of a run
its validation and test images. Writes failures.json, failures.png and labels-to-check.csv. Fill in the column
correct_label of that list, and give it back by --apply: a corrected table, labels-to-check-corrected.csv,
is written beside it. Image files and the source are never changed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_resnet.data.sources.source import Source
    from keras_resnet.failures.failures import Failures

MOST_SHOWN = 5


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="RUN|FILE", type=Path,
                         help="folder of a finished run, or of a training by folds, or a model file")  # fmt: skip
    command.add_argument("--data", metavar="SOURCE", help="a SOURCE, as `train` takes it, that it was not trained on")
    command.add_argument("--data-dir", metavar="PATH", help="for tfds: a prepared folder, read with no network")
    command.add_argument("--limit", type=int, metavar="N", help="with --data: use at most N images, by class")
    command.add_argument("--most", type=int, default=100, metavar="N", help="largest losses (default: 100)")
    command.add_argument("--apply", type=Path, metavar="FILE",
                         help="a labels-to-check.csv that is filled in: write the corrected table")  # fmt: skip
    command.add_argument("--out", type=Path, metavar="FOLDER",
                         help="default: failures/ in the run, or a folder beside the file")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    from keras_resnet.cli.terminal import say
    from keras_resnet.display import Display
    from keras_resnet.errors import UsageError
    from keras_resnet.failures.failures import find_failures
    from keras_resnet.runs.run import Run, is_run

    if not options.data and (options.data_dir or options.limit):
        raise UsageError("--data-dir and --limit go with --data; without it the run's own data are used")
    data = _data(options)
    if options.apply:
        return _apply(options, data)
    with Display() as progress:
        found = find_failures(options.model, data, most=options.most, progress=progress.reading)
    # Not inside an exported folder, which is a model file.
    own = is_run(options.model) or (options.model.is_dir() and not options.data)
    inside = Run(options.model).folder("failures") if own else None
    files = found.write(options.out or inside or options.model.with_name(f"{options.model.stem}-failures"))
    _show(found)
    for file in files:
        say(f"wrote {file}")
    return 0


def _data(options: argparse.Namespace) -> Source | None:
    from keras_resnet.data.sources.source import Source

    return Source(options.data, data_dir=options.data_dir, limit=options.limit) if options.data else None


def _apply(options: argparse.Namespace, data: Source | None) -> int:
    from keras_resnet.cli.terminal import say
    from keras_resnet.errors import UsageError
    from keras_resnet.failures.corrections import correct_labels
    from keras_resnet.failures.out_of_sample import source_of

    source = data
    if source is None and options.model.is_dir():
        source = source_of(options.model)
    if source is None:
        raise UsageError(f"{options.model} does not know the source of the images: name it by --data SOURCE")
    corrections = correct_labels(options.apply, source)
    say(corrections)
    say(f"wrote {corrections.path}")
    return 0


def _show(found: Failures) -> None:
    from keras_resnet.cli.tables import table
    from keras_resnet.cli.terminal import say

    wrong = int((~found.judged.answers.right).sum())
    say(f"{found.judged.name}: {wrong:,} of {len(found.judged.names):,} images are answered wrong")
    losses = [
        (one.path, one.label, one.prediction, f"{one.probability:.2%}", f"{one.loss:.2f}")
        for one in found.top_losses[:MOST_SHOWN]
    ]
    columns = ("path", "label", "taken for", "probability of the label", "loss")
    table("Largest losses", columns, losses, left=("label", "taken for"))
    if found.confused:
        pairs = [
            (f"{one.label} → {one.prediction}", str(one.images), f"{one.share:.2%}")
            for one in found.confused[:MOST_SHOWN]
        ]
        table("Most confused", ("class → taken for", "images", "of the class"), pairs)
    if found.suspects:
        rows = [(one.path, one.label, one.suggested or "–", one.reason) for one in found.suspects[:MOST_SHOWN]]
        left = ("label", "suggested", "reason")
        table("To look at first", ("path", "label", "suggested", "reason"), rows, left=left)
    others = len(found.suspects) - len(found.doubted)
    say(f"{len(found.doubted):,} labels may be wrong; {others:,} more images are nearly uniform or unlike all others")
    for remark in found.remarks:
        say(f"note: {remark}")
