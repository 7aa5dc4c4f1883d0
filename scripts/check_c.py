"""Whether the C of a network gives what LiteRT's reference kernels give on photographs, to the last bit.

python scripts/check_c.py saved_models/photos/exports/c PHOTOGRAPHS
python scripts/check_c.py resnet50 PHOTOGRAPHS --images 8

It takes a folder that was exported and a folder of image files, which need no labels. Exits with 1 where a bit differs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np


def run(options: argparse.Namespace) -> int:
    from keras_resnet.inference.c_folder import CPredictor
    from keras_resnet.inference.inputs import image_batch
    from keras_resnet.inference.predictors import TFLitePredictor, network_in
    from keras_resnet.stamp import read_stamp

    file = network_in(options.network)
    stamp = read_stamp(file)
    code, reference = CPredictor(options.network, stamp), TFLitePredictor(file, stamp, reference=True)
    images = image_batch(options.photographs, stamp.fit)
    images = images[np.unique(np.linspace(0, len(images) - 1, min(options.images, len(images))).astype(int))]
    ours, theirs = code.logits(images), reference.logits(images)
    wrong = np.count_nonzero(ours != theirs)
    classes = len(np.unique(theirs.argmax(axis=1)))
    print(f"{wrong} of {ours.size:,} outputs differ; the {len(images)} images are put into {classes} classes")
    return int(wrong > 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, help="a folder of C that was exported")
    parser.add_argument("photographs", help="a folder of image files")
    parser.add_argument("--images", type=int, default=8, help="at most so many, spread over all (default: 8)")
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
