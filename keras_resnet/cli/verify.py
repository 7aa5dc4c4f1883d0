"""Verify an exported file against the model it came from, on every runtime at hand, and write what was found.

Writes verification.html and verification.json beside the file, or FILE-verification.html and .json if those there are
of another file. Exits with 5 if the file does not pass: on some runtime it loses more accuracy than --max-drop allows,
or gives no answers.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from keras_resnet.cli.terminal import say


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", metavar="FILE", type=Path, help="an exported file or folder")
    command.add_argument(
        "--against", metavar="RUN|MODEL", type=Path, required=True, help="the run or .keras file that it came from"
    )
    command.add_argument("--data", metavar="SOURCE", help="images, as `train` takes them (default: the run's test)")
    command.add_argument("--split", choices=("train", "validation", "test", "all"), help="default: as `evaluate`")
    command.add_argument("--limit", type=int, metavar="N", help="with --data: use at most N images, by class")
    command.add_argument(
        "--max-drop", type=float, default=1.0, metavar="POINTS", help="of accuracy that the file may lose (default: 1)"
    )
    command.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (default: beside the file)")


def run(options: argparse.Namespace) -> int:
    from keras_resnet.cli.tables import table
    from keras_resnet.display import Display
    from keras_resnet.errors import ModelError
    from keras_resnet.exports.verification import verify_file, write_evidence
    from keras_resnet.inference.runtimes import RUNTIMES

    with Display() as progress:
        found, images = verify_file(
            options.file,
            options.against,
            options.data,
            split=options.split,
            limit=options.limit,
            max_drop=options.max_drop,
            progress=progress.reading,
            show=progress.show,
        )
        progress.close()
    files = write_evidence(found, images, options.out or options.file.parent, options.file)
    rows = []
    for one in found.runtimes:
        if one.failure:
            rows.append((RUNTIMES[one.runtime].title, one.failure, "", "", ""))
            continue
        between = "–" if one.interval is None else f"{one.interval[0]:+.2f} to {one.interval[1]:+.2f}"
        drop = "–" if one.difference is None else f"{one.difference:+.2f}"
        usual = one.latency.get(1)
        latency = "–" if usual is None else f"{usual[0]:.3g} ms"
        rows.append((RUNTIMES[one.runtime].title, f"{one.agreement:.2%}", drop, between, latency))
    heads = ("runtime", "decides as the model", "points", "95 % interval", "one image")
    table(f"{options.file.name} on {found.images} images", heads, rows, left=("runtime",))
    for one in found.runtimes:
        if one.unfused:
            say(f"{RUNTIMES[one.runtime].title} does not fuse all: {'; '.join(one.unfused)}")
    for cause in found.causes:
        say(f"{cause.title}: {cause.text}")
    for path in files:
        say(f"wrote {path}")
    if not found.passes:
        raise ModelError(f"{options.file} does not pass: {'; '.join(found.failures)}")
    say("it passes")
    return 0
