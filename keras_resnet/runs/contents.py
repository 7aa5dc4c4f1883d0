"""What each JSON file of a run folder holds; the reader checks every field by it."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from keras_resnet.allowed import COUNT, TTA, one_of
from keras_resnet.settings import Values

FORMAT = 1
OVERWRITTEN = "overwritten"
"""The status of a run that a new one is replacing."""
FIGURE = float | None
"""A number, or null for one that is infinite or NaN."""
FIGURES = dict[str, FIGURE]
"""By stage."""
NUMBER = Annotated[int, Values(int, low=0)]


class KeptEpoch(TypedDict):
    """The epoch whose weights are the model's, and the images that chose it."""

    epoch: NUMBER  # 0: what the training began with
    metric: str
    value: FIGURE
    split: str
    images: NUMBER


class CalibratedRun(TypedDict):
    """Of which run a run is a copy whose logits are divided by a temperature, found on so many validation images."""

    run: str
    temperature: float
    images: NUMBER


class RunFile(TypedDict):
    """run.json: how far the run has come."""

    format: Annotated[int, Values(int, choices=(FORMAT,))]
    status: Annotated[str, one_of("unfinished", "finished", OVERWRITTEN)]
    started: NotRequired[str | None]
    finished: NotRequired[str]
    kept: NotRequired[KeptEpoch]
    calibrated: NotRequired[CalibratedRun]


class RecipeRecord(TypedDict):
    """What is read of the recipe in config.json; it has more settings."""

    model: str
    epochs: Annotated[int, COUNT]
    tta: Annotated[str, TTA]


class DataRecord(TypedDict):
    """What is read of the source in config.json; it has more settings."""

    name: str
    arrays: NotRequired[str]


class Config(TypedDict):
    """config.json: the resolved configuration."""

    recipe: RecipeRecord
    data: DataRecord
    num_classes: NotRequired[Annotated[int | None, COUNT.or_none]]
    budget: NotRequired[dict[str, Any]]
    layers: NotRequired[dict[str, Any]]
    teacher: NotRequired[str]
    network: NotRequired[str]  # what was trained in place of the recipe's


class ImagesPerClass(TypedDict):
    """The number of images of each class, by split."""

    train: list[NUMBER]
    validation: list[NUMBER]
    test: NotRequired[list[NUMBER]]


class DataFile(TypedDict):
    """data.json: what the run is trained on."""

    name: NotRequired[str]
    fingerprint: str
    task: NotRequired[str]
    class_names: NotRequired[list[str]]
    images_per_class: ImagesPerClass


EvaluationRecord = TypedDict(
    "EvaluationRecord",
    {
        "images": NUMBER,
        "correct": NUMBER,
        "groups": NotRequired[NUMBER],
        "correct_95%_interval": NotRequired[list[float]],
    },
)
"""What is read of evaluation/evaluation.json; it has more figures."""


class LogRow(TypedDict):
    """A row of metrics.jsonl, of some updates (`step`) or of an epoch. It may have more figures."""

    event: str
    epoch: NUMBER
    step: NUMBER
    loss: NotRequired[FIGURE]
    accuracy: NotRequired[FIGURE]
    val_loss: NotRequired[FIGURE]
    val_accuracy: NotRequired[FIGURE]
    learning_rate: NotRequired[FIGURE]
    seconds: NotRequired[FIGURE]
    images_per_second: NotRequired[FIGURE]
    image_size: NotRequired[NUMBER]
    gradient_norms: NotRequired[FIGURES | None]
    input_mean: NotRequired[FIGURE]
    input_deviation: NotRequired[FIGURE]
    batchnorm_drift: NotRequired[FIGURES | None]
    batchnorm_gap: NotRequired[FIGURES | None]
    dead_units: NotRequired[FIGURES | None]
    images_looked_at: NotRequired[NUMBER]
    batch_per_normalisation: NotRequired[NUMBER]


class EventRow(TypedDict):
    """A row of events.jsonl. Some events have more fields."""

    time: str
    event: str
    epoch: NUMBER
    step: NUMBER
    updates: NUMBER
    text: NotRequired[str]
    parts: NotRequired[NUMBER]
    variance: NotRequired[FIGURE]
    shift: NotRequired[FIGURE]
    images: NotRequired[NUMBER]
    strength: NotRequired[FIGURE]
