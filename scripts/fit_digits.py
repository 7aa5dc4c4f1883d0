"""Train on the 1,797 handwritten digits that ship with scikit-learn.

python scripts/fit_digits.py
python scripts/fit_digits.py --model resnet20 --epochs 20 --out saved_models/my-digits
"""

import sys

from keras_resnet.cli.train import script

if __name__ == "__main__":
    sys.exit(script(__doc__, "digits"))
