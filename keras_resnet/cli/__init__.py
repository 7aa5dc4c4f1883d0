"""The command line `keras-resnet`: one module a command. TensorFlow is imported when a command runs.

Nothing here imports TensorFlow before a command runs, so that help and version answer at once.
"""

from keras_resnet.cli.main import main as main
