"""Tasks for tests that care for the number of classes only."""

from keras_resnet.tasks.classification import Classification


def classes(count: int) -> Classification:
    """Classification of `count` classes that are called by their numbers."""
    return Classification(tuple(map(str, range(count))))
