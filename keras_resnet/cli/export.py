"""Export a finished run or a .keras file to another format and verify the file against the model it came from."""

from __future__ import annotations

import argparse
from pathlib import Path

from keras_resnet.cli.terminal import say
from keras_resnet.exports.formats import FORMATS


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="RUN|MODEL", type=Path, help="folder of a finished run, or a .keras file")
    command.add_argument("--format", choices=FORMATS, required=True)
    command.add_argument(
        "--out", type=Path, help="where to (default: the run's exports/ folder; beside the .keras file)"
    )
    command.add_argument(
        "--data",
        metavar="SOURCE",
        help="images to calibrate and verify with; for a run: where its data are now, if they were moved",
    )


def run(options: argparse.Namespace) -> int:
    from keras_resnet.display import Display
    from keras_resnet.exports.export import export
    from keras_resnet.runs.run import is_run

    with Display() as progress:
        exported = export(options.model, options.out, options.format, data=options.data, progress=progress.reading)
    checked = exported.verification
    for remark in exported.remarks:
        say(f"note: {remark}")
    size = exported.predictor.size_in_bytes or 0
    say(f"wrote {exported.path} ({size:,} bytes)")
    say(
        f"verified on {checked.images} images: it decides as the Keras model on "
        f"{checked.agreement:.2%}; logits differ by at most {checked.largest_difference:.3g} of a range of "
        f"{checked.logit_range:.3g}"
    )
    if is_run(options.model):
        say(f"test it: keras-resnet evaluate {options.model} --artifact {exported.path}")
    return 0
