"""ResNets in Keras: build, train on your own images, evaluate, export to the edge.

Public names are resolved on first use (PEP 562), so that importing this package, or asking the
command line for help, does not import TensorFlow.
"""

import lazy_loader

from keras_resnet._version import __version__ as __version__
from keras_resnet.registration import register_with_keras

register_with_keras()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
