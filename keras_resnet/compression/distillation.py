"""A small network that learns from a large one's outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from keras_resnet.allowed import SHARE
from keras_resnet.compat.deep_graphs import deep_recursion
from keras_resnet.errors import UsageError
from keras_resnet.inference.activation import SIGMOID, SOFTMAX, final_activation, gives_shares, logits_model, logs_of
from keras_resnet.models.feature_info import carry_over
from keras_resnet.settings import Values, check_arguments

Tensor = Any
TINY = 1e-30
"""The least share whose logarithm is taken."""


class SoftTargets(keras.losses.Loss):
    """How far a student's outputs are from a teacher's, both softened.

    T² KL(teacher ‖ student) of the softmax of logits / T; T² makes up for gradients that shrink by it.

    Args:
        temperature: T.
        multi_label: Whether each class is a question of its own: the mean over classes of that of two shares, σ(logit /
            T) and 1 − σ.
    """

    def __init__(self, temperature: float, multi_label: bool) -> None:
        super().__init__(name="soft_targets", dtype="float32")
        self.temperature, self.multi_label = temperature, multi_label

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The loss of each image.

        Args:
            y_true: The teacher's logits, (images, classes).
            y_pred: The student's.
        """
        teacher, student = y_true / self.temperature, y_pred / self.temperature
        if self.multi_label:
            yes = ops.sigmoid(teacher) * (ops.log_sigmoid(teacher) - ops.log_sigmoid(student))
            no = ops.sigmoid(-teacher) * (ops.log_sigmoid(-teacher) - ops.log_sigmoid(-student))
            distances = ops.mean(yes + no, axis=-1)
        else:
            logs = ops.log_softmax(teacher, axis=-1)
            distances = ops.sum(ops.exp(logs) * (logs - ops.log_softmax(student, axis=-1)), axis=-1)
        return self.temperature**2 * distances


@dataclass(frozen=True)
class _Pair:
    """What Keras must not find among the attributes of a model, or it would save and train both."""

    student: keras.Model
    teacher: keras.Model
    call: Callable[..., Tensor]
    logits: Callable[[Tensor], Tensor]
    targets: Callable[[Tensor], Tensor]


class Distillation(keras.Model):
    """A student to train in place of itself, which learns from a teacher's outputs as well as from labels.

    The loss is weight · T² · KL(teacher ‖ student) of both outputs softened by the temperature T, and (1 − weight) ·
    the loss of `compile`: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015,
    https://arxiv.org/abs/1503.02531. Both see the same augmented images, as Beyer et al., "Knowledge distillation: A
    good teacher is patient and consistent", CVPR 2022, https://arxiv.org/abs/2106.05237, found to matter. Validation
    reports the loss of `compile` alone, and does not ask the teacher.

    It has the layers and variables of the student, the very same objects, and none of the teacher's: what is trained is
    the student, and `save` saves it. Models that end with a softmax or sigmoid are compared before it.

    Args:
        student: A functional or sequential model of images, (batch, height, width, channels) → (batch, classes).
        teacher: Another, of the same classes in the same order; it is not changed. It gets the images that the student
            gets, pixels as they are, resized bilinearly where it knows another size.
        temperature: T, greater than 0; higher ones tell more of what the teacher takes for unlikely.
        weight: Of the teacher, in [0, 1]; at 1 no labels are needed, and no loss in `compile`.
        multi_label: Whether an image may have several classes, so that each output is compared by itself. None: where
            the student or the teacher ends with a sigmoid.

    Raises:
        UsageError: (a ValueError) The models do not fit each other, have no graph, or several inputs or outputs; or
            a number is out of range.

    Example:
        >>> import keras_resnet
        >>> digits = keras_resnet.load_data("digits")
        >>> teacher = keras_resnet.ResNet8(num_classes=10, input_shape=(16, 16, 1))
        >>> student = keras_resnet.prune_channels(teacher, 0.5)
        >>> model = keras_resnet.Distillation(student, teacher)
        >>> model.compile(keras_resnet.optimizers.SGD(0.1), "categorical_crossentropy", metrics=["accuracy"])
        >>> _ = model.fit(digits.train.batches(64, seed=0).take(2), verbose=0)
        >>> model.count_params() == student.count_params()
        True
    """

    @check_arguments(temperature=Values(float, above=0), weight=SHARE)
    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model,
        *,
        temperature: float = 4.0,
        weight: float = 0.9,
        multi_label: bool | None = None,
    ) -> None:
        student_graph, teacher_graph = _classifier(student, "student"), _classifier(teacher, "teacher")
        _check_fit(student_graph, teacher_graph)
        with deep_recursion():
            super().__init__(student_graph.inputs[0], student_graph.outputs[0], name=student.name)
        self.dtype_policy = student.dtype_policy  # by which Keras decides whether to scale the loss
        ends = {final_activation(student_graph), final_activation(teacher_graph)}
        self.weight = weight
        self._soft = SoftTargets(temperature, SIGMOID in ends if multi_label is None else multi_label)
        self._pair = _Pair(student, teacher, student.call, _logits_of(student_graph), _targets_of(teacher_graph))
        carry_over(student, self)
        preprocessing = getattr(student, "preprocessing", None)
        if preprocessing is not None:
            self.preprocessing = preprocessing

    @property
    def student(self) -> keras.Model:
        """The model that is trained."""
        return self._pair.student

    @property
    def teacher(self) -> keras.Model:
        """The model that it learns from."""
        return self._pair.teacher

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor = None) -> Tensor:
        return self._pair.call(inputs, training=training, mask=mask)

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """In training that of teacher and labels, else that of labels alone.

        Args:
            x: Images, as the student gets them.
            y: Labels, as the loss of `compile` takes them.
            y_pred: The student's outputs.
            sample_weight: Of the images; None: 1.
            training: Whether the student is trained.
        """
        if not training:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        soft = self._soft(self._pair.targets(x), self._pair.logits(y_pred), sample_weight)
        if self.weight == 1:
            return ops.sum([soft, *map(ops.sum, self.losses)])
        penalties = ops.sum(list(map(ops.sum, self.losses))) if self.losses else 0.0
        hard = super().compute_loss(x, y, y_pred, sample_weight, training)
        return self.weight * soft + (1 - self.weight) * (hard - penalties) + penalties

    def save(self, filepath: Any, *arguments: Any, **options: Any) -> None:
        """Save the student, as `student.save` does."""
        self.student.save(filepath, *arguments, **options)


def _classifier(model: Any, role: str) -> Any:
    """The model as a graph from images to one row of numbers."""
    from keras_resnet.compat.graph import graph_of  # which imports Keras

    graph = graph_of(model)
    if graph is None:
        raise UsageError(
            f"the {role} must be a functional model, or a sequential one that knows its input; received "
            f"{type(model).__name__}: write a subclassed one as keras.Model(inputs, outputs)"
        )
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 or len(graph.outputs[0].shape) != 2:
        raise UsageError(
            f"the {role} {model.name} must have one input, images, and one output, (batch, classes); it has inputs "
            f"{[one.shape for one in graph.inputs]} and outputs {[one.shape for one in graph.outputs]}"
        )
    return graph


def _check_fit(student: Any, teacher: Any) -> None:
    classes = [one.outputs[0].shape[-1] for one in (student, teacher)]
    if classes[0] != classes[1]:
        raise UsageError(
            f"the student {student.name} tells {classes[0]} classes and the teacher {teacher.name} {classes[1]}: both "
            "must have the same ones, in the same order"
        )
    shapes = [tuple(one.inputs[0].shape) for one in (student, teacher)]
    if len(shapes[0]) != len(shapes[1]) or (len(shapes[0]) == 4 and shapes[0][-1] != shapes[1][-1]):
        raise UsageError(
            f"the student {student.name} takes {shapes[0]} and the teacher {teacher.name} {shapes[1]}: both get the "
            "same images, which may be resized but must have the same channels"
        )


def _logits_of(student: Any) -> Callable[[Tensor], Tensor]:
    """From what a student gives to its logits; of a softmax's up to a number that is the same for all classes."""
    end = final_activation(student)

    def logs(shares: Tensor) -> Tensor:
        return ops.log(ops.clip(ops.cast(shares, "float32"), TINY, 1.0))

    if end == SIGMOID:
        return lambda shares: logs(shares) - logs(1 - ops.cast(shares, "float32"))
    return logs if end == SOFTMAX or gives_shares(student) else lambda outputs: outputs


def _targets_of(teacher: Any) -> Callable[[Tensor], Tensor]:
    """From images to a teacher's logits, which no gradient goes through."""
    end = final_activation(teacher)
    model = logs_of(teacher) if end is None and gives_shares(teacher) else logits_model(teacher)
    size = tuple(teacher.inputs[0].shape[1:3]) if len(teacher.inputs[0].shape) == 4 else ()

    def targets(images: Tensor) -> Tensor:
        images = keras.tree.flatten(images)[0]
        if size and None not in size and size != tuple(images.shape[1:3]):
            images = ops.image.resize(
                ops.cast(images, "float32"), size, interpolation="bilinear", data_format="channels_last"
            )
        return ops.stop_gradient(model(images, training=False))

    return targets
