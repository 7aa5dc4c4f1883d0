"""Check labelled images for what would spoil a training; nothing in them is changed.

Finds images that cannot be read, odd ones, copies (the same file, or the same picture saved again)
under other labels or in other splits, classes that are too small, and labels that may be wrong. Writes
check.json and check.html, a page that needs no network. Exits with 0 if a training could begin,
whatever else was found, and with 3 if not: images cannot be read, or cannot be split.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.cli.options import SOURCE_HELP, add_settings, configuration_of
from keras_resnet.cli.terminal import say
from keras_resnet.training.configuration import SOURCE_SETTINGS
from keras_resnet.training.recipe import SETTINGS

if TYPE_CHECKING:
    from rich.progress import Progress

    from keras_resnet.data.sources.source import Source
    from keras_resnet.inspection.check import Report
    from keras_resnet.training.recipe import Recipe


MOST_NAMED = 5
"""Images of a finding that are named on the terminal; the files name all."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("source", metavar="SOURCE", help=SOURCE_HELP)
    command.add_argument("--out", type=Path, metavar="DIR", help="default: saved_models/check-<data>")
    command.add_argument("--show-batch", action="store_true",
                         help="also draw a training batch as the network gets it: batch.png")  # fmt: skip
    add_settings(command, [SETTINGS["seed"], SETTINGS["image_size"], SETTINGS["crop_fraction"]])
    add_settings(command, [one for one in SETTINGS.values() if one.group == "augmentation"])
    add_settings(command, SOURCE_SETTINGS.values())


def run(options: argparse.Namespace) -> int:
    import numpy as np

    from keras_resnet.atomic import write_json, write_text
    from keras_resnet.data.loading import divided, list_source
    from keras_resnet.data.reading import MOST_SKIPPED
    from keras_resnet.data.splits.plan import SplitPlan
    from keras_resnet.errors import DataError, UsageError
    from keras_resnet.inspection.check import check
    from keras_resnet.inspection.page import page

    configuration = configuration_of(options)
    source, recipe = configuration.source, configuration.recipe
    out = options.out or Path("saved_models") / f"check-{source.short_name}"
    holder = Path(source.location if source.kind == "folder" else source.data_dir or "").resolve()
    if (source.kind == "folder" or source.data_dir) and out.resolve().is_relative_to(holder):
        raise UsageError(f"{out} lies in the data, which are left as they are: give --out a folder elsewhere")
    listing = list_source(source)
    # Split as training would. Without a plan, `check` makes the split itself and reports if that fails.
    tolerated = MOST_SKIPPED if source.on_error == "skip" else 0.0
    planned = source.split_file or source.limit or source.plan != SplitPlan()
    splits = divided(source, listing) if planned else None
    if source.split_file and splits:
        listing = replace(listing, given=splits)
    if source.limit and splits:
        used = np.sort(np.concatenate(list(splits.values())))
        listing, splits = listing.chosen(used), {name: np.searchsorted(used, part) for name, part in splits.items()}
    with _bar() as bar:
        task = bar.add_task("reading images", total=len(listing))
        report = check(
            listing,
            splits=splits,
            seed=recipe.seed,
            tolerated=tolerated,
            progress=lambda done, _: bar.update(task, completed=done),
        )
    write_json(out / "check.json", {"source": source.name, **report.to_dict()})
    write_text(out / "check.html", page(report, listing, source.short_name))
    _show(report, source.short_name)
    for name in ("check.json", "check.html"):
        say(f"wrote {out / name}")
    if options.show_batch:
        say(f"wrote {_show_batch(source, recipe, out / 'batch.png')}")
    return 0 if report.trainable else DataError.exit_code


def _show_batch(source: Source, recipe: Recipe, path: Path) -> Path:
    from keras_resnet.data.loading import load_data
    from keras_resnet.data.mosaic import show_batch

    return show_batch(load_data(source, cache="none"), recipe.policy, path, seed=recipe.seed)


def _show(report: Report, name: str) -> None:
    from keras_resnet.cli.tables import table
    from keras_resnet.errors import listed
    from keras_resnet.inspection.page import summary

    rows = [(f.severity, f"{f.images:,}" if f.images else "–", f.title, f.code) for f in report.findings]
    if rows:
        table(name, ("severity", "images", "what", "code"), rows, left=("what", "code"), whole=("code",), compact=True)
    for finding in report.findings:
        if not finding.groups:
            say(f"{finding.severity}: {finding.title}: {finding.advice}")
        elif finding.severity != "note":
            names = [report.names[subject.position] for group in finding.groups for subject in group]
            say(f"{finding.severity}: {finding.title}: {listed(names, MOST_NAMED)}")
    for note in report.notes:
        say(f"note: {note}")
    say(summary(report))
    say(report.verdict)


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
