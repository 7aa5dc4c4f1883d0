"""Classify image files by a finished run or an exported file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from keras_resnet.allowed import TTA


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="MODEL", type=Path, help="run folder, .keras file, or exported file")
    command.add_argument("images", metavar="IMAGE", nargs="+",
                         help="image files of any size, folders of them, or - for standard input")  # fmt: skip
    command.add_argument("--top", type=int, default=3, help="classes to show for each image (default: 3)")
    command.add_argument("--tta", choices=TTA.choices, default="none",
                         help="average over views of each image (default: none)")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    from keras_resnet.cli.tables import table
    from keras_resnet.cli.terminal import say
    from keras_resnet.errors import UsageError
    from keras_resnet.inference.inputs import files_in
    from keras_resnet.inference.predict import predict

    if options.top < 1:
        raise UsageError(f"--top must be at least 1; received {options.top}")
    if "-" in options.images and sys.stdin is None:
        raise UsageError("standard input is closed: - needs an image there")
    names = [str(name) for image in options.images for name in ([image] if image == "-" else files_in(image))]
    images = [sys.stdin.buffer.read() if name == "-" else name for name in names]
    found = predict(options.model, images, tta=options.tta)
    rows = [
        (name, *(f"{label} {share:.1%}" for label, share in found.top(row, options.top)))
        for row, name in enumerate(names)
    ]
    count = min(options.top, len(found.class_names))
    for remark in found.remarks:
        say(f"note: {remark}", error=True)
    table(None, ("image", "first", *(str(n) + "." for n in range(2, count + 1))), rows)
    return 0
