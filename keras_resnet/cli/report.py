"""Write the report of a run as one HTML page: what the model is good for, where it fails, how far to trust its figure.

Beside it lies README.md, a model card as Hugging Face reads it; one that was changed by hand stays.
The page needs no network and no other file. What the run lacks is made first: its evaluation, and a look through its
images for copies, series and labels that may be wrong. Where the images are gone, it tells what is known.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("run_folder", metavar="RUN", type=Path, help="folder of a run")
    command.add_argument("--out", type=Path, metavar="FILE", help="default: report.html in the run")
    command.add_argument("--no-look", action="store_true", help="do not look through the images, which takes as long "
                         "as `check`, unless that was done before")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    from keras_resnet.cli.terminal import say
    from keras_resnet.display import Display
    from keras_resnet.errors import KerasResNetError
    from keras_resnet.reporting.model_card import write_model_card
    from keras_resnet.reporting.report import write_report

    with Display() as progress:
        path = write_report(
            options.run_folder,
            path=options.out,
            look=not options.no_look,
            progress=progress.reading,
            note=progress.note,
        )
    say(f"wrote {path}")
    try:
        say(f"wrote {write_model_card(options.run_folder)}")
    except KerasResNetError as error:  # the page is there nevertheless
        say(f"note: {error}")
    return 0
