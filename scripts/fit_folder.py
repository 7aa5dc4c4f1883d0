"""Train on a folder of images, one sub-folder a class.

python scripts/fit_folder.py PATH
python scripts/fit_folder.py PATH --model resnet8 --image-size 48 --epochs 20 --augment shift
"""

import sys

from keras_resnet.cli.train import script

if __name__ == "__main__":
    sys.exit(script(__doc__, "folder:"))
