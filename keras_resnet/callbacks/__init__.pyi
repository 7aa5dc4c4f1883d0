from .diagnosis import Diagnosis as Diagnosis
from .exact_checkpoint import ExactCheckpoint as ExactCheckpoint
from .export import Export as Export
from .guard import Guard as Guard
from .magnitude_pruning import MagnitudePruning as MagnitudePruning
from .moving_average import MovingAverage as MovingAverage
from .progress import Progress as Progress
