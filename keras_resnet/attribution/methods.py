"""The methods that explain an answer: a row each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.allowed import ATTRIBUTION
from keras_resnet.attribution.perturbation import occlusion, rise
from keras_resnet.errors import UsageError, listed, nearest
from keras_resnet.inference.predictor import Predictor
from keras_resnet.inference.predictors import KerasPredictor

if TYPE_CHECKING:
    from keras_resnet.attribution.class_activation import Score
    from keras_resnet.attribution.network import Cut, Network


@dataclass(frozen=True)
class Subject:
    """A model whose answers are explained.

    Args:
        predictor: The model.
        layer: Where its feature maps are, as `Cut` takes it.
        samples: Masks of RISE.
        seed: Of them.
    """

    predictor: Predictor
    layer: str | None = None
    samples: int = 1000
    seed: int = 0

    @cached_property
    def network(self) -> Network:
        """The whole of it; of a Keras model alone."""
        from keras_resnet.attribution.network import Network

        assert isinstance(self.predictor, KerasPredictor)
        return Network(self.predictor.model)

    @cached_property
    def cut(self) -> Cut:
        """It in two parts; of a Keras model alone."""
        from keras_resnet.attribution.network import Cut

        return Cut(self.network, np.zeros(self.predictor.preprocessing.input_shape), self.layer)

    @cached_property
    def score(self) -> Score:
        """What of the logits is explained."""
        from keras_resnet.attribution.class_activation import score_of

        return score_of(self.predictor.task)

    def fill(self, image: np.ndarray) -> np.ndarray:
        """The colour that stands for nothing, (channels,): what a network was trained to take for 0, its mean colour.

        Where the mean is not known it is that of the image, (height, width, channels).
        """
        mean = np.asarray(self.predictor.preprocessing.mean)
        return np.clip(mean, 0, 255) if mean.any() else image.mean(axis=(0, 1))


Maps = Callable[[Subject, np.ndarray, Sequence[int]], np.ndarray]
"""Is given the model, an image, uint8 (height, width, channels), and numbers of classes.

Returns float32 (classes, height, width), of the image or of feature maps, with 0 for what does nothing.
"""


@dataclass(frozen=True)
class AttributionMethod:
    """A way to say which pixels an answer comes from.

    Args:
        title: What people call it.
        needs: What a model must give for it besides answers; empty: nothing.
        maps: Computes them.
        of_layer: Whether they are of a layer's feature maps.
    """

    title: str
    needs: str
    maps: Maps
    of_layer: bool = False


def _class_activation(name: str) -> Maps:
    def maps(subject: Subject, image: np.ndarray, classes: Sequence[int]) -> np.ndarray:
        from keras_resnet.attribution import class_activation

        found: np.ndarray = getattr(class_activation, name)(subject.cut, image, classes, subject.score)
        return found

    return maps


def _integrated_gradients(subject: Subject, image: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    from keras_resnet.attribution.integrated_gradients import integrated_gradients

    return integrated_gradients(subject.network, image, classes, subject.score, subject.fill(image)).sum(axis=-1)


def _occlusion(subject: Subject, image: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    return occlusion(subject.predictor, image, classes, subject.fill(image))


def _rise(subject: Subject, image: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    return rise(subject.predictor, image, classes, subject.fill(image), samples=subject.samples, seed=subject.seed)


METHODS = {
    "grad-cam": AttributionMethod("Grad-CAM", "gradients", _class_activation("grad_cam"), True),
    "grad-cam++": AttributionMethod("Grad-CAM++", "gradients", _class_activation("grad_cam_plus_plus"), True),
    "ablation-cam": AttributionMethod("Ablation-CAM", "feature maps", _class_activation("ablation_cam"), True),
    "integrated-gradients": AttributionMethod("Integrated gradients", "gradients", _integrated_gradients),
    "occlusion": AttributionMethod("Occlusion", "", _occlusion),
    "rise": AttributionMethod("RISE", "", _rise),
}


assert tuple(METHODS) == ATTRIBUTION.choices, "options and help have them from there"


def chosen_methods(method: str | Sequence[str] | None, predictor: Predictor) -> tuple[str, ...]:
    """The methods that are asked for, each once.

    Args:
        method: Names; None: Grad-CAM and occlusion, or occlusion where Grad-CAM cannot be had.
        predictor: The model.

    Raises:
        UsageError: There is no such method, or the model does not give what it needs.
    """
    closed = _closed(predictor)
    if method is None:
        return ("occlusion",) if closed else ("grad-cam", "occlusion")
    names = tuple(dict.fromkeys([method] if isinstance(method, str) else method))
    if not names:
        raise UsageError(f"by which method? Name one or more of {listed(METHODS)}")
    for name in names:
        if name not in METHODS:
            near = nearest(str(name), METHODS)
            hint = f"; did you mean {near!r}?" if near else ""
            raise UsageError(f"method must be one or more of {listed(METHODS)}; received {name!r}{hint}")
        if METHODS[name].needs and closed:
            free = [one for one, row in METHODS.items() if not row.needs]
            raise UsageError(
                f"{name} needs {METHODS[name].needs}, and {closed}. Ask by {' or '.join(free)}, or explain the float "
                "model that it was made from, a run or a .keras file"
            )
    return names


def _closed(predictor: Predictor) -> str:
    """Why a model gives answers alone; empty: it gives gradients and feature maps, too."""
    from keras_resnet.models.quantization_aware import is_quantization_aware

    if not isinstance(predictor, KerasPredictor):
        return f"{predictor.path} ({predictor.name}) gives answers alone"
    if is_quantization_aware(predictor.model):
        return f"{predictor.path or predictor.model.name} is trained for integers: it rounds, which has no gradients"
    return ""
