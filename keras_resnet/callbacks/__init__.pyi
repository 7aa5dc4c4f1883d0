from .exact_checkpoint import ExactCheckpoint as ExactCheckpoint
from .moving_average import MovingAverage as MovingAverage
