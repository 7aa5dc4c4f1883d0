"""A student that learns from a teacher: what the loss is, and that nothing of the teacher gets into the student."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.errors import UsageError

layers = keras.layers
random = np.random.default_rng(0)
IMAGES = random.integers(0, 256, (8, 6, 6, 3)).astype(np.float32)
LABELS = np.eye(4, dtype=np.float32)[random.integers(0, 4, 8)]
WEIGHTS = random.uniform(0.5, 2, 8).astype(np.float32)
T, WEIGHT = 3.0, 0.7


def network(
    width: int, seed: int, size: int = 6, outputs: int = 4, activation: Any = None, **options: Any
) -> keras.Model:
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((size, size, 3))
    x = layers.Conv2D(width, 3, activation="relu", **options)(layers.Rescaling(1 / 255)(inputs))
    x = layers.GlobalAveragePooling2D()(layers.BatchNormalization()(x))
    dense = layers.Dense(
        outputs, kernel_initializer=keras.initializers.RandomNormal(stddev=4.0), activation=activation, dtype="float32"
    )
    return keras.Model(inputs, dense(x), name=f"of_{width}")


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


def divergence(teacher: np.ndarray, student: np.ndarray) -> np.ndarray:
    p, q = softmax(teacher / T), softmax(student / T)
    return T**2 * (p * (np.log(p) - np.log(q))).sum(axis=-1)


def at_once(model: keras.Model, labels: Any = LABELS, weights: Any = None, loss: Any = None, **options: Any) -> float:
    """The loss of one batch, in which the student stays as it is, also its normalisation."""
    model.compile(keras.optimizers.SGD(0.0), loss, **options)
    for layer in model.layers:
        layer.trainable = not isinstance(layer, layers.BatchNormalization)
    return float(model.train_on_batch(IMAGES, labels, sample_weight=weights))


def of_logits() -> keras.losses.Loss:
    return keras.losses.CategoricalCrossentropy(from_logits=True)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighed"])
def test_the_loss_is_the_divergence_from_the_teacher_and_that_of_the_labels(weights: Any) -> None:
    student, teacher = network(3, 1), network(5, 2)
    model = keras_resnet.Distillation(student, teacher, temperature=T, weight=WEIGHT)

    found = at_once(model, weights=weights, loss=of_logits())

    ours, theirs = np.asarray(student(IMAGES)), np.asarray(teacher(IMAGES))
    hard = -(LABELS * np.log(softmax(ours))).sum(axis=-1)
    each = WEIGHT * divergence(theirs, ours) + (1 - WEIGHT) * hard
    assert found == pytest.approx(np.mean(each * (1 if weights is None else weights)), rel=1e-4)
    assert divergence(theirs, ours).mean() > 0.01


def test_a_softmax_at_the_end_of_either_changes_nothing() -> None:
    plain = keras_resnet.Distillation(network(3, 1), network(5, 2), temperature=T, weight=WEIGHT)
    ending = keras_resnet.Distillation(
        network(3, 1, activation="softmax"), network(5, 2, activation="softmax"), temperature=T, weight=WEIGHT
    )

    expected = at_once(plain, loss=of_logits())

    assert at_once(ending, loss="categorical_crossentropy") == pytest.approx(expected, rel=1e-4)


def test_several_labels_are_compared_one_by_one() -> None:
    student, teacher = network(3, 1), network(5, 2, activation="sigmoid")
    model = keras_resnet.Distillation(student, teacher, temperature=T, weight=1.0)

    found = at_once(model, labels=None)

    sigmoid = lambda logits: 1 / (1 + np.exp(-logits / T))  # noqa: E731
    shares = np.asarray(teacher(IMAGES), np.float64)
    p, q = sigmoid(np.log(shares / (1 - shares))), sigmoid(np.asarray(student(IMAGES)))
    each = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    assert found == pytest.approx(T**2 * each.mean(), rel=1e-3)
    asked = keras_resnet.Distillation(network(3, 1), network(5, 2), temperature=T, weight=1.0, multi_label=True)
    assert at_once(asked, labels=None) == pytest.approx(found, rel=1e-3)


def test_a_teacher_of_another_size_sees_the_same_pixels_resized() -> None:
    student, teacher = network(3, 1), network(5, 2, size=9)
    model = keras_resnet.Distillation(student, teacher, temperature=T, weight=1.0)

    found = at_once(model, labels=None)

    theirs = teacher(layers.Resizing(9, 9)(IMAGES))
    assert found == pytest.approx(divergence(np.asarray(theirs), np.asarray(student(IMAGES))).mean(), rel=1e-4)


def test_the_students_penalties_count_whole() -> None:
    student = network(3, 1, kernel_regularizer=keras.regularizers.L2(0.5))
    penalty = float(sum(student.losses))
    model = keras_resnet.Distillation(student, network(5, 2), temperature=T, weight=WEIGHT)
    plain = keras_resnet.Distillation(network(3, 1), network(5, 2), temperature=T, weight=WEIGHT)

    assert penalty > 0.1
    assert at_once(model, loss=of_logits()) - at_once(plain, loss=of_logits()) == pytest.approx(penalty, rel=1e-4)


def test_the_student_is_trained_and_saved_and_the_teacher_is_left_alone(tmp_path: Path) -> None:
    student, teacher = network(3, 1), network(5, 2)
    before = [one.numpy() for one in (*student.weights, *teacher.weights)]
    model = keras_resnet.Distillation(student, teacher)
    model.compile("adam", of_logits(), metrics=["accuracy"])

    model.fit(IMAGES, LABELS, epochs=3, verbose=0)

    changed = [
        (one.numpy() != was).any() for one, was in zip((*student.weights, *teacher.weights), before, strict=True)
    ]
    assert changed == [True] * len(student.weights) + [False] * len(teacher.weights)
    assert [id(one) for one in model.variables[: len(student.variables)]] == [id(one) for one in student.variables]
    assert model.count_params() == student.count_params()
    assert not {id(one) for one in teacher.variables} & {id(one) for one in model.variables}
    model.save(tmp_path / "student.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "student.keras")(IMAGES), student(IMAGES), atol=1e-6)


def test_a_student_comes_to_answer_as_its_teacher() -> None:
    student, teacher = network(8, 1), network(5, 2)
    model = keras_resnet.Distillation(student, teacher, temperature=2.0, weight=1.0)
    model.compile(keras.optimizers.Adam(0.02))

    losses = model.fit(IMAGES, epochs=60, batch_size=8, verbose=0).history["loss"]

    assert losses[-1] < 0.2 * losses[0]


def test_validation_reports_the_loss_of_labels_alone() -> None:
    student = network(3, 1)
    model = keras_resnet.Distillation(student, network(5, 2))
    model.compile("sgd", of_logits())

    found = model.evaluate(IMAGES, LABELS, verbose=0)

    hard = -(LABELS * np.log(softmax(np.asarray(student(IMAGES))))).sum(axis=-1)
    assert found == pytest.approx(hard.mean(), rel=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"run_eagerly": True},
        *(pytest.param(one, marks=pytest.mark.slow) for one in ({"jit_compile": True}, {"steps_per_execution": 2})),
    ],
    ids=lambda one: next(iter(one)),
)
def test_every_way_to_compile_gives_the_same_training(options: dict[str, Any]) -> None:
    def trained(**options: Any) -> np.ndarray:
        student = network(3, 1)
        model = keras_resnet.Distillation(student, network(5, 2, size=9))
        model.compile(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2), of_logits(), **options)
        model.fit(IMAGES, LABELS, batch_size=2, epochs=2, shuffle=False, verbose=0)
        return np.asarray(student(IMAGES))

    np.testing.assert_allclose(trained(**options), trained(jit_compile=False), atol=1e-4)


def test_in_mixed_precision_the_loss_is_scaled_and_computed_in_float32() -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        student = network(3, 1)
    finally:
        keras.config.set_dtype_policy(before)
    model = keras_resnet.Distillation(student, network(5, 2), temperature=T, weight=1.0)
    model.compile(keras.optimizers.SGD(0.1))

    history = model.fit(IMAGES, epochs=2, batch_size=8, verbose=0).history

    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert np.isfinite(history["loss"]).all()


class Subclassed(keras.Model):
    pass


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: (network(3, 1), network(5, 2, outputs=5)), "tells 4 classes and the teacher of_5 5"),
        (lambda: (Subclassed(), network(5, 2)), "the student must be a functional model"),
        (lambda: (network(3, 1), Subclassed()), "the teacher must be a functional model"),
        (
            lambda: (network(3, 1), keras.Sequential([keras.Input((6, 6, 1)), layers.Flatten(), layers.Dense(4)])),
            "must have the same channels",
        ),
        (
            lambda: (network(3, 1), keras.Sequential([keras.Input((6, 6, 3)), layers.Dense(4)])),
            "must have one input, images, and one output",
        ),
    ],
)
def test_models_that_do_not_fit_are_refused(make: Callable[[], tuple[Any, Any]], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        keras_resnet.Distillation(*make())


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"weight": 1.5}])
def test_numbers_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(options))} must be"):
        keras_resnet.Distillation(network(3, 1), network(5, 2), **options)
