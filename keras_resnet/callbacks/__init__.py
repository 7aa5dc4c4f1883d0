"""Keras callbacks for anyone's `model.fit`: exact checkpoints, a moving average of the weights.

Names are resolved on first use (PEP 562), so that Keras is imported when the first one is needed.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
