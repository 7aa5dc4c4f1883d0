"""Each symptom on both sides of its threshold."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from keras_resnet.explanation.diagnosis import CAUSES, CHECKS, LabelAgreement, diagnose
from keras_resnet.explanation.history import History
from keras_resnet.weights.first_normalisation import FirstStatistics

Rows = list[dict[str, Any]]
LOSSES = [2.3, 1.5, 1.0, 0.8, 0.7, 0.6, 0.55, 0.52, 0.51, 0.5]
STEPS_PER_EPOCH = 4


def rows(*, losses: list[float] = LOSSES, step: dict[str, Any] | None = None, **epoch: Any) -> Rows:
    """A healthy training's rows, with these figures in every row instead; a list gives one an epoch."""
    found: Rows = []
    for number, loss in enumerate(losses):
        for part in range(STEPS_PER_EPOCH):
            updates = 10 * (STEPS_PER_EPOCH * number + part + 1)
            usual = {
                "event": "step",
                "epoch": number + 1,
                "step": updates,
                "loss": loss,
                "accuracy": 0.9,
                "learning_rate": 0.1,
                "images_per_second": 1000.0,
                "gradient_norms": {"stem": 0.2, "stage1": 0.1, "head": 0.2},
            }
            found.append(usual | at(step or {}, STEPS_PER_EPOCH * number + part))
        usual = {
            "event": "epoch",
            "epoch": number + 1,
            "step": 10 * STEPS_PER_EPOCH * (number + 1),
            "loss": loss,
            "accuracy": 0.9,
            "val_loss": loss,
            "val_accuracy": 0.88,
            "learning_rate": 0.1,
            "seconds": 30.0,
            "images_per_second": 1000.0,
            "batchnorm_drift": {"stem": 0.05, "stage1": 0.1},
            "batchnorm_gap": {"stem": 0.1, "stage1": 0.1},
            "dead_units": {"stem": 0.0, "stage1": 0.02},
            "images_looked_at": 256,
            "batch_per_normalisation": 64,
        }
        found.append(usual | at(epoch, number))
    return found


def at(changes: dict[str, Any], place: int) -> dict[str, Any]:
    return {key: value[place] if isinstance(value, list) else value for key, value in changes.items()}


def found(
    rows: Rows, validation_images: int | None = None, agreement: LabelAgreement | None = None, **known: Any
) -> dict[str, str]:
    as_read = json.loads(json.dumps(rows))
    history = History.of(as_read, validation_images, **known)
    return {one.code: one.text for one in diagnose(history, lambda: agreement)}


def norms(stem: float, head: float = 1.0) -> dict[str, Any]:
    return {"gradient_norms": {"stem": stem, "stage1": 0.5, "head": head}}


def test_of_a_healthy_training_nothing_is_said() -> None:
    assert found(rows()) == {}


def rate(*rates: float) -> dict[str, Any]:
    """Images a second that change in the course of the training."""
    updates = STEPS_PER_EPOCH * len(LOSSES)
    return {"images_per_second": [float(rates[len(rates) * n // updates]) for n in range(updates)]}


def scaled(factor: float) -> dict[str, Any]:
    """Gradients that grow by this factor in the course of the training."""
    updates = STEPS_PER_EPOCH * len(LOSSES)
    growth = [factor if n >= updates // 2 else 1.0 for n in range(updates)]
    return {"gradient_norms": [{"stem": 0.2 * one, "stage1": 0.1 * one, "head": 0.2 * one} for one in growth]}


FLAT = [2.3] * 10
SIDES: dict[str, tuple[str, Callable[[], Rows], Callable[[], Rows], str]] = {
    # name: code, ill, healthy, what the text says
    "first to last layer": (
        "vanishing-gradients",
        lambda: rows(step=norms(0.9e-3)),
        lambda: rows(step=norms(1.1e-3)),
        "Gradients vanish during the whole training: the norm in stem is 0.0009 of that in head",
    ),
    "last to first layer": (
        "exploding-gradients",
        lambda: rows(step=norms(1100.0)),
        lambda: rows(step=norms(900.0)),
        "at the end the norm in stem is 1.1e+03 times that in head",
    ),
    "in the course": (
        "exploding-gradients",
        lambda: rows(step=scaled(101.0)),
        lambda: rows(step=scaled(99.0)),
        "The gradient norm grew from 0.3 to 30",
    ),
    "dead": (
        "dead-relu",
        lambda: rows(dead_units={"stem": 0.1, "stage1": 0.21}),
        lambda: rows(dead_units={"stem": 0.1, "stage1": 0.19}),
        "Dead ReLUs: the channels that are zero for all 256 validation images are 21% in stage1; without",
    ),
    "risen loss": (
        "learning-rate-too-high",
        lambda: rows(losses=[2.0] * 5 + [2.3] * 5),
        lambda: rows(losses=[2.0] * 5 + [1.0] * 5),
        "rose from 2 to 2.3 (learning rate 0.1 at its highest). The learning rate is too high: try a tenth of it.",
    ),
    "flat loss": (
        "not-learning",
        lambda: rows(losses=[2.0] * 5 + [1.85] * 5, accuracy=0.2),
        lambda: rows(losses=[2.0] * 5 + [1.75] * 5, accuracy=0.2),
        "the training loss was 2 at first and is 1.85 after 10 epochs ",
    ),
    "risen validation loss": (
        "overfitting",
        lambda: rows(val_loss=[2.0, 1.0, 1.0] + [1.26] * 7, val_accuracy=0.8),
        lambda: rows(val_loss=[2.0, 1.0, 1.0] + [1.24] * 7, val_accuracy=0.8),
        "lowest after epoch 2 (1) and has risen to 1.26 while the training loss fell to 0.5",
    ),
    "risen validation loss without a gap": (
        "overfitting",
        lambda: rows(val_loss=[2.0, 1.0, 1.0] + [1.3] * 7, val_accuracy=0.84),
        lambda: rows(val_loss=[2.0, 1.0, 1.0] + [1.3] * 7, val_accuracy=0.86),
        "training accuracy is 90%, validation accuracy 84%",
    ),
    "gap": (
        "overfitting",
        lambda: rows(val_accuracy=0.69),
        lambda: rows(val_accuracy=0.71),
        "Overfitting: training accuracy is 90%, validation accuracy 69%",
    ),
    "batch": (
        "batch-too-small",
        lambda: rows(batch_per_normalisation=15),
        lambda: rows(batch_per_normalisation=16),
        "Batch normalisation sees 15 images at a time; with fewer than 16",
    ),
    "drift": (
        "batchnorm-unsettled",
        lambda: rows(batchnorm_drift={"stem": 0.1, "stage1": 0.51}),
        lambda: rows(batchnorm_drift={"stem": 0.1, "stage1": 0.49}),
        "the moving statistics of stage1 still move by 0.51 standard deviations an epoch",
    ),
    "statistics of other weights": (
        "batchnorm-unsettled",
        lambda: rows(batchnorm_gap={"stem": 0.51, "stage1": 0.1}),
        lambda: rows(batchnorm_gap={"stem": 0.49, "stage1": 0.1}),
        "the moving statistics of stem differ by 0.51 standard deviations from the layers' inputs",
    ),
    "slow": (
        "throughput-collapse",
        lambda: rows(step=rate(1000, 700, 490)),
        lambda: rows(step=rate(1000, 700, 510)),
        "Training slowed down from 1000 to 490 images a second",
    ),
}


@pytest.mark.parametrize("name", SIDES)
def test_each_side_of_each_threshold(name: str) -> None:
    code, ill, healthy, text = SIDES[name]

    assert found(healthy()) == {}
    symptoms = found(ill())
    assert list(symptoms) == [code]
    assert text in symptoms[code]


def test_every_symptom_is_tried() -> None:
    assert {code for code, *_ in SIDES.values()} == set(CHECKS) - set(CAUSES)


@pytest.mark.parametrize(
    ("place", "key", "text"),
    [
        ("step", "loss", "The training loss was infinite or not a number at update 90"),
        ("epoch", "val_loss", "The validation loss was infinite or not a number at the end of epoch 3"),
    ],
)
@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_numbers_that_are_none_are_told_with_their_place(place: str, key: str, text: str, value: Any) -> None:
    training = rows()
    next(row for row in training if row["event"] == place and row["epoch"] == 3)[key] = value

    assert text in found(training)["exploding-gradients"]


def test_a_gradient_that_is_no_number_is_told() -> None:
    training = rows()
    training[0]["gradient_norms"]["stage1"] = None

    assert "The gradient was infinite or not a number at update 10" in found(training)["exploding-gradients"]


def test_gradients_that_vanished_at_first_only_are_not_spoken_of() -> None:
    updates = STEPS_PER_EPOCH * len(LOSSES)
    course = [norms(1e-5 if n < updates - 10 else 0.1)["gradient_norms"] for n in range(updates)]
    assert found(rows(step={"gradient_norms": course})) == {}

    course = course[::-1]
    late = [norms(0.1 if n < 25 else 1e-5)["gradient_norms"] for n in range(updates)]
    assert "Gradients vanish at the end" in found(rows(step={"gradient_norms": late}))["vanishing-gradients"]


def test_units_that_were_dead_at_the_beginning_are_put_down_to_the_initial_weights() -> None:
    dying = [{"stage1": share} for share in (0.0, 0.1, 0.3, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5)]

    assert (
        "Check the initial weights or begin anew with a lower" in found(rows(dead_units={"stage1": 0.5}))["dead-relu"]
    )
    assert "Begin anew with a lower --learning-rate" in found(rows(dead_units=dying))["dead-relu"]


def test_stages_that_are_not_trained_have_not_vanished() -> None:
    assert found(rows(step={"gradient_norms": {"stem": 0.0, "stage1": 0.1, "head": 0.2}})) == {}


def test_a_classifier_trained_alone_at_first_is_no_growth_and_no_collapse() -> None:
    updates = STEPS_PER_EPOCH * len(LOSSES)
    alone, all_of_them = {"stem": 0.0, "head": 0.01}, {"stem": 5.0, "head": 5.0}
    step = {"gradient_norms": [alone if n < updates // 2 else all_of_them for n in range(updates)], **rate(1000, 300)}

    assert found(rows(step=step)) == {}


def test_larger_images_are_no_collapse() -> None:
    updates = STEPS_PER_EPOCH * len(LOSSES)
    sizes = [128 if n < updates // 2 else 224 for n in range(updates)]

    assert found(rows(step={"image_size": sizes, **rate(1000, 300)})) == {}
    assert "throughput-collapse" in found(rows(step=rate(1000, 300)))


def test_a_rate_over_seconds_is_chance() -> None:
    assert found(rows(step=rate(1000, 300), seconds=5.0)) == {}


def test_weights_that_hardly_move_say_that_the_rate_is_too_low() -> None:
    still = rows(losses=FLAT, accuracy=0.1, val_accuracy=0.1, batchnorm_drift={"stem": 0.1, "stage1": 0.01})
    moving = rows(losses=FLAT, accuracy=0.1, val_accuracy=0.1)

    assert "so the learning rate is too low: try ten times as much." in found(still)["not-learning"]
    assert "Check first that the labels fit the images" in found(moving)["not-learning"]


def test_a_network_that_knew_it_all_before_need_not_learn() -> None:
    assert found(rows(losses=[0.3] * 10, accuracy=0.95, val_accuracy=0.94)) == {}


def test_a_gap_that_may_be_chance_is_not_spoken_of() -> None:
    training = rows(accuracy=0.75, val_accuracy=0.5)

    assert found(training, validation_images=10) == {}
    assert "overfitting" in found(training, validation_images=100)


def test_frozen_statistics_are_neither_too_small_a_batch_nor_unsettled() -> None:
    assert found(rows(batch_per_normalisation=0, batchnorm_gap={"stem": 3.0})) == {}


def test_a_gap_seen_with_few_images_is_chance() -> None:
    assert found(rows(images_looked_at=31, batchnorm_gap={"stem": 3.0})) == {}
    assert "batchnorm-unsettled" in found(rows(images_looked_at=32, batchnorm_gap={"stem": 3.0}))


@pytest.mark.parametrize("epochs", [0, 1, 2])
def test_of_the_first_epochs_course_nothing_is_said(epochs: int) -> None:
    assert found(rows(losses=[2.3] * epochs, accuracy=0.1, val_accuracy=0.1, batchnorm_drift={"stem": 3.0})) == {}


def test_a_record_without_health_and_steps_is_read_as_far_as_it_goes() -> None:
    keep = ("event", "epoch", "step", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")
    bare = [{key: row[key] for key in keep} for row in rows(val_accuracy=0.5) if row["event"] == "epoch"]

    assert list(found(bare)) == ["overfitting"]


def test_texts_hold_no_numbers_that_are_none() -> None:
    everything = rows(
        losses=[2.0] * 5 + [2.3] * 5, batchnorm_drift={"stem": None}, learning_rate=None, step=norms(1e-9)
    )

    assert list(found(everything)) == ["vanishing-gradients", "learning-rate-too-high"]
    assert not any("nan" in text for text in found(everything).values())


ILL = {"losses": FLAT, "accuracy": 0.1, "val_accuracy": 0.1}
RATES = ("rate", "warmup", "clip", "tenth", "ten times")
UNLIKE = FirstStatistics(variance=1 / 60, shift=0.1, images=32)
LIKE = FirstStatistics(variance=0.5, shift=0.1, images=32)
BY_CHANCE = LabelAgreement(0.11, 0.1, 1000)
FITTING = LabelAgreement(0.6, 0.1, 1000)


def advises_rates(text: str) -> bool:
    return any(word in text.partition("(learning rate")[0] + text.partition("highest)")[2] for word in RATES)


def test_pixels_that_the_initial_weights_were_not_trained_on_come_first_and_no_rate_is_advised() -> None:
    ill = found(rows(**ILL, batchnorm_drift={"stage1": 0.01}), first=UNLIKE)

    assert list(ill) == ["wrong-normalisation", "not-learning"]
    assert "0.0167 times the variance that it saw in training" in ill["wrong-normalisation"]
    assert "by --weights-preprocessing" in ill["wrong-normalisation"]
    assert "What stands first is probably the cause" in ill["not-learning"]
    assert not any(advises_rates(text) for text in ill.values())
    assert list(found(rows(), first=UNLIKE)) == ["wrong-normalisation"]
    alike = found(rows(**ILL, batchnorm_drift={"stage1": 0.01}), first=LIKE)
    assert list(alike) == ["not-learning"]
    assert advises_rates(alike["not-learning"])


@pytest.mark.parametrize(("deviation", "said"), [(0.0039, "0.0039"), (73.0, "73")])
def test_pixels_that_are_not_normalised_are_to_blame_where_a_training_is_ill(deviation: float, said: str) -> None:
    ill = found(rows(**ILL, input_deviation=deviation))

    assert list(ill) == ["wrong-normalisation", "not-learning"]
    assert f"receives numbers that deviate by {said}, where 1 is usual" in ill["wrong-normalisation"]
    assert not any(advises_rates(text) for text in ill.values())
    assert found(rows(input_deviation=deviation)) == {}  # it learns nevertheless
    assert list(found(rows(**ILL, input_deviation=0.03))) == ["not-learning"]
    assert list(found(rows(**ILL, input_deviation=deviation), first=LIKE)) == ["not-learning"]  # Caffe's, say


def test_numbers_that_are_none_are_put_down_to_pixels_too() -> None:
    training = rows(input_deviation=73.0, losses=[float("nan")] * 10)

    ill = found(training)
    assert list(ill) == ["wrong-normalisation", "exploding-gradients"]
    assert not any(advises_rates(text) for text in ill.values())


def test_frozen_parts_are_named_before_any_rate() -> None:
    still = {"batchnorm_drift": {"stem": 0.0, "stage1": 0.0}}
    frozen = found(rows(**ILL, **still, step={"gradient_norms": {"head": 0.2}}))

    assert list(frozen) == ["frozen-parts", "not-learning"]
    assert "no gradient reaches stem and stage1" in frozen["frozen-parts"]
    assert "Let them learn (layer.trainable = True)" in frozen["frozen-parts"]
    assert not any(advises_rates(text) for text in frozen.values())
    zeros = found(rows(**ILL, step={"gradient_norms": {"stem": 0.0, "stage1": 0.1, "head": 0.2}}))
    assert "no gradient reaches stem," in zeros["frozen-parts"]
    assert "frozen-parts" not in found(rows(**ILL, **still))


def test_frozen_parts_are_named_where_training_brings_no_more() -> None:
    alone = {"gradient_norms": {"head": 0.2}}
    stuck = [2.3, 2.0, 1.6, 1.55, 1.52, 1.51, 1.5, 1.5, 1.5, 1.5]

    assert list(found(rows(losses=stuck, accuracy=0.5, val_accuracy=0.5, step=alone))) == ["frozen-parts"]
    assert found(rows(losses=stuck, accuracy=0.5, val_accuracy=0.5)) == {}
    assert found(rows(losses=stuck, accuracy=0.95, val_accuracy=0.9, step=alone)) == {}


def test_frozen_statistics_that_do_not_fit_are_named() -> None:
    gap = {"batch_per_normalisation": 0, "batchnorm_gap": {"stem": 0.1, "stage1": 3.1}}
    ill = found(rows(**ILL, **gap))

    assert list(ill) == ["frozen-parts", "not-learning"]
    assert "those of stage1 lie 3.1 standard deviations from what its layers receive" in ill["frozen-parts"]
    assert list(found(rows(**ILL, **gap | {"batchnorm_gap": {"stage1": 2.9}}))) == ["not-learning"]


def test_labels_that_a_simple_model_only_guesses_are_to_blame() -> None:
    ill = found(rows(**ILL), agreement=BY_CHANCE)

    assert list(ill) == ["wrong-labels", "not-learning"]
    assert "predicts the labels of 1000 training images at 11%, where guessing has 10%" in ill["wrong-labels"]
    assert not any(advises_rates(text) for text in ill.values())
    fitting = found(rows(**ILL), agreement=FITTING)
    assert list(fitting) == ["not-learning"]
    assert "Labels are not the cause" in fitting["not-learning"]
    assert "find-lr" in fitting["not-learning"]
    assert found(rows(), agreement=BY_CHANCE) == {}  # what is too fine for a simple model


def test_images_learnt_by_heart_make_labels_doubtful() -> None:
    training = rows(accuracy=0.95, val_accuracy=0.12)
    ill = found(training, 1000, BY_CHANCE, guesses=(0.1, 0.11))

    assert list(ill) == ["wrong-labels"]  # and not overfitting: more images would not help
    assert (
        "(95%), but validation images it tells no better (12%) than by naming the most frequent" in ill["wrong-labels"]
    )
    assert "Probably labels do not belong to their images" in ill["wrong-labels"]
    others = found(training, 1000, FITTING, guesses=(0.1, 0.11))
    assert "the same classes in the same order" in others["wrong-labels"]
    assert list(found(rows(accuracy=0.95, val_accuracy=0.14), 1000, guesses=(0.1, 0.11))) == ["overfitting"]
    assert list(found(rows(accuracy=0.95, val_accuracy=0.14), 50, guesses=(0.1, 0.11))) == ["wrong-labels"]


def test_no_two_symptoms_advise_the_opposite() -> None:
    explodes = found(rows(**ILL, step=scaled(101.0), batchnorm_drift={"stage1": 0.01}))

    assert list(explodes) == ["exploding-gradients", "not-learning"]
    assert "Lower --learning-rate" in explodes["exploding-gradients"]
    assert not advises_rates(explodes["not-learning"])

    overfits = found(rows(accuracy=0.9, val_accuracy=0.4, batchnorm_gap={"stage1": 0.6}, batch_per_normalisation=8))
    assert list(overfits) == ["overfitting", "batch-too-small", "batchnorm-unsettled"]
    assert "train fewer --epochs" in overfits["overfitting"]
    assert "rain longer" not in overfits["batchnorm-unsettled"]
    assert "raise --batch-size" in overfits["batchnorm-unsettled"]


def test_a_loss_that_is_flat_after_a_few_updates_only_asks_for_more_of_them() -> None:
    training = rows(**ILL)
    for row in training:
        row["step"] //= 5  # 80 in all

    assert "It made only 80 updates. Train longer." in found(training)["not-learning"]
    assert "updates" not in found(rows(**ILL))["not-learning"]
