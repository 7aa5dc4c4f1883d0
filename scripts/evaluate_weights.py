"""Score published CIFAR-10 weights of akamaster's networks on a prepared CIFAR-10.

python scripts/evaluate_weights.py resnet20-12fca82f.th resnet32-d509ac18.th --data-dir PREPARED
python scripts/evaluate_weights.py resnet20-12fca82f.th --data-dir PREPARED --expect 91.73   # the original images

The network follows from the file's name. Needs the extra `torch`. Images are normalised as the
weights were trained: mean .485 .456 .406, deviation .229 .224 .225.
"""

import argparse
import re
import sys
from pathlib import Path

from keras_resnet.cli.running import script_main
from keras_resnet.preprocessing import Fit

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def run(options: argparse.Namespace) -> int:
    from keras_resnet import Preprocessing, Source, build, evaluate, load_data, spec
    from keras_resnet.cli.tables import table
    from keras_resnet.errors import UsageError
    from keras_resnet.inference.predictors import KerasPredictor

    data = load_data(Source("tfds:cifar10", data_dir=options.data_dir))
    scale = [tuple(255 * value for value in values) for values in (MEAN, STD)]
    preprocessing = Preprocessing(Fit((32, 32), 3), *scale, data.class_names)
    if options.expect and len(options.expect) != len(options.weights):
        raise UsageError(f"--expect takes one figure a file; received {len(options.expect)} for {len(options.weights)}")
    rows, far = [], []
    for path, expected in zip(options.weights, options.expect or [None] * len(options.weights), strict=True):
        named = re.match(r"resnet\d+", path.name)
        if not named:
            raise UsageError(f"the name of {path} does not begin with its network, as resnet20-12fca82f.th does")
        model = build(spec(named[0]), weights=path, preprocessing=preprocessing, classifier_activation=None)
        metrics = evaluate(KerasPredictor(model, preprocessing), data, split="test").metrics
        low, high = metrics.top1_interval
        rows.append((path.name, f"{metrics.top1:.2%}", f"{low:.2%} to {high:.2%}", f"{metrics.images:,}"))
        if expected is not None and abs(100 * metrics.top1 - expected) > 0.1:
            far.append(f"{path.name} has {metrics.top1:.2%}, expected {expected} % ± 0.1")
    table(f"Published weights on {data.name}", ("weights", "top-1", "95 % interval", "images"), rows)
    print("\n".join(far), file=sys.stderr, end="\n" if far else "")
    return int(bool(far))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, nargs="+", help="PyTorch or safetensors files")
    parser.add_argument("--data-dir", required=True, help="CIFAR-10 as TensorFlow Datasets prepared it")
    parser.add_argument("--expect", type=float, nargs="+", help="exit 1 unless each top-1, in percent, is within 0.1")
    return script_main(parser, run)


if __name__ == "__main__":
    sys.exit(main())
