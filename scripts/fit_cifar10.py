"""Train on CIFAR-10 from TensorFlow Datasets, downloaded unless --data-dir names a prepared folder.

python scripts/fit_cifar10.py
python scripts/fit_cifar10.py --data-dir PREPARED --model resnet8 --epochs 5 --limit 10000
"""

import sys

from keras_resnet.cli.train import script

if __name__ == "__main__":
    sys.exit(script(__doc__, "tfds:cifar10"))
