"""The ResNets of `keras.applications` under its names, with its order of arguments, built of this package's layers.

A script that imports its network from here instead goes on as before, and may use the rest of the package on it.
Names are resolved on first use (PEP 562), so that Keras is imported when a network is built.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
