"""Classify image files by a finished run or an exported file."""

from __future__ import annotations

import argparse
from pathlib import Path

from keras_resnet.allowed import TTA


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="MODEL", type=Path, help="run folder, .keras file, or exported file")
    command.add_argument("images", metavar="IMAGE", type=Path, nargs="+", help="image files of any size")
    command.add_argument("--top", type=int, default=3, help="classes to show for each image (default: 3)")
    command.add_argument("--tta", choices=TTA.choices, default="none",
                         help="average over views of each image (default: none)")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    from keras_resnet.cli.tables import table
    from keras_resnet.errors import UsageError
    from keras_resnet.inference.predict import predict

    if options.top < 1:
        raise UsageError(f"--top must be at least 1; received {options.top}")
    found = predict(options.model, options.images, tta=options.tta)
    rows = [
        (str(path), *(f"{name} {share:.1%}" for name, share in found.top(row, options.top)))
        for row, path in enumerate(options.images)
    ]
    count = min(options.top, len(found.class_names))
    table(None, ("image", "first", *(str(n) + "." for n in range(2, count + 1))), rows)
    return 0
