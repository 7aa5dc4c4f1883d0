"""Export a finished run or a .keras file to another format and verify the file against the model it came from.

Formats of integers (tflite-int8, onnx-int8, tflm, c) are calibrated on training images. Unless it is said how, all ways
are tried, and the one is taken whose logits differ least from the model's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from keras_resnet.cli.terminal import say
from keras_resnet.exports.formats import FORMATS
from keras_resnet.quantize.choices import ENGINES, RANGES, TYPES, WIDE


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="RUN|MODEL", type=Path, help="folder of a finished run, or a .keras file")
    command.add_argument("--format", choices=FORMATS, required=True, help=_formats())
    command.add_argument(
        "--out", type=Path, help="where to (default: the run's exports/ folder; beside the .keras file)"
    )
    command.add_argument(
        "--data",
        metavar="SOURCE",
        help="images to calibrate and verify with; for a run: where its data are now, if they were moved",
    )
    how = command.add_argument_group("integers", "how they are found (default: what is best on calibration images)")
    how.add_argument("--ranges", choices=RANGES, help="how the range of each activation is found")
    how.add_argument("--equalize", action=argparse.BooleanOptionalAction, help="balance channels between layers first")
    how.add_argument("--correct-bias", action=argparse.BooleanOptionalAction, help="move biases by the mean error")
    how.add_argument("--io", choices=TYPES, default="int8", help="type of pixels and logits (default: int8)")
    how.add_argument(
        "--max-drop",
        type=float,
        metavar="POINTS",
        help="of accuracy that it may lose: layers are widened, the most sensitive first, until it loses no more",
    )
    how.add_argument(
        "--wide",
        choices=WIDE,
        default="int16",
        help="what they are widened to (default: int16; in onnx-int8 always float)",
    )
    how.add_argument("--engine", choices=ENGINES, default="tensorflow", help="what quantises (default: tensorflow)")


def run(options: argparse.Namespace) -> int:
    from keras_resnet.display import Display
    from keras_resnet.exports.export import export
    from keras_resnet.quantize.post_training import Quantization
    from keras_resnet.runs.run import is_run

    how = Quantization(
        ranges=options.ranges,
        equalize=options.equalize,
        correct_bias=options.correct_bias,
        io=options.io,
        engine=options.engine,
        max_drop=options.max_drop,
        wide=options.wide,
    )
    with Display() as progress:
        exported = export(
            options.model,
            options.out,
            options.format,
            data=options.data,
            quantization=how,
            progress=progress.reading,
            show=progress.show,
        )
        progress.close()
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


def _formats() -> str:
    return "; ".join(f"{name}: {one.device}" for name, one in FORMATS.items())
