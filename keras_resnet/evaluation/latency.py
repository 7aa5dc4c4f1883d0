"""How long one image takes: models measured in turn, so that a machine's moods hit all of them alike."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from keras_resnet.inference.predictors import Predictor

ROUNDS = 9
CALLS = 20


def median_latency(predictors: Sequence[Predictor], image: np.ndarray) -> list[float]:
    """Milliseconds for one image, batch 1: the median of `ROUNDS` interleaved rounds' medians of `CALLS` calls.

    Args:
        predictors: What to measure, A B A B.
        image: uint8 (height, width, channels), already of the right size; decoding is not measured.
    """
    calls = [predictor.one(image) for predictor in predictors]
    for call in calls:  # the first call traces and allocates
        call(), call()
    rounds = np.empty((ROUNDS, len(calls)))
    for turn in range(ROUNDS):
        for index, call in enumerate(calls):
            times = np.empty(CALLS)
            for repetition in range(CALLS):
                began = time.perf_counter()
                call()
                times[repetition] = time.perf_counter() - began
            rounds[turn, index] = np.median(times)
    return [float(value) * 1000 for value in np.median(rounds, axis=0)]
