"""What an exported file is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import numpy as np

    from keras_resnet.preprocessing import Preprocessing
    from keras_resnet.quantize.post_training import Quantization


@dataclass(frozen=True)
class Material:
    """What a file is made of.

    Args:
        model: Raw pixels in, logits out.
        preprocessing: How its input is prepared; stored in the file.
        calibration: Training images, uint8 (n, height, width, channels), for formats that need them; else None.
        quantization: How it becomes integers, for formats of integers; None: as is best.
        right: How many images of the verification a graph is right on, and of how many; None: it is not asked.
        verification: Images that it is verified with, like those that calibrate; None: there are none.
        show: Called with what is done, how far it is, and of how much.
    """

    model: keras.Model
    preprocessing: Preprocessing
    calibration: np.ndarray | None = None
    quantization: Quantization | None = None
    right: Callable[[bytes], tuple[int, int]] | None = None
    verification: np.ndarray | None = None
    show: Callable[[str, int, int], None] = field(default=lambda what, done, total: None)
