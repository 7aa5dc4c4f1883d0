"""Why a model says what it says of an image: maps of what an answer comes from, and how far to trust them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet import pictures
from keras_resnet.allowed import COUNT, SEED
from keras_resnet.atomic import write_json
from keras_resnet.attribution.explanation import Attribution, Explanation
from keras_resnet.attribution.faithfulness import faithfulness
from keras_resnet.attribution.methods import METHODS, Subject, chosen_methods
from keras_resnet.attribution.overlays import draw_explanation
from keras_resnet.data.sources.source import fitting
from keras_resnet.errors import UsageError, nearest
from keras_resnet.inference.inputs import Images, image_batch
from keras_resnet.inference.predictor import Predictor
from keras_resnet.inference.predictors import KerasPredictor, open_predictor
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.runs.run import Run
from keras_resnet.settings import check_arguments

if TYPE_CHECKING:
    import keras

Progress = Callable[[str, int, int], None]
"""Called with what is done, how far it is, and of how much."""


@dataclass(frozen=True)
class Explanations(Sequence[Explanation]):
    """Those of some images, in their order.

    Args:
        model: What the model is called.
        layer: The layer whose feature maps were taken; None: of none.
        seed: Of all that was random.
        items: One for each image.
        remarks: What speaks against all of them.
    """

    model: str
    layer: str | None
    seed: int
    items: tuple[Explanation, ...]
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any) -> Any:
        return self.items[index]

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return {
            "model": self.model,
            "layer": self.layer,
            "seed": self.seed,
            "remarks": list(self.remarks),
            "images": [one.to_dict() for one in self.items],
        }

    def write(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write `explanations.json`, and a picture of each image where matplotlib is installed.

        Args:
            folder: Made if it is missing. Pictures are called as their images are.

        Returns:
            The files.
        """
        folder = Path(folder)
        files = [folder / "explanations.json"]
        write_json(files[0], self.to_dict())
        if pictures.available():
            for path, one in zip(picture_paths(folder, [item.name for item in self.items]), self.items, strict=True):
                draw_explanation(one, path)
                files.append(path)
        return files


@check_arguments(top=COUNT, samples=COUNT, seed=SEED)
def explain(
    model: Predictor | Run | str | os.PathLike[str] | keras.Model,
    images: Images,
    method: str | Sequence[str] | None = None,
    *,
    classes: str | int | Sequence[str | int] | None = None,
    top: int = 1,
    layer: str | None = None,
    samples: int = 1000,
    check: bool = True,
    names: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Explanations:
    """Show which pixels of images a model's answers come from, and test whether that is true.

    Methods, with what they need of the model:

    - `grad-cam` (Selvaraju et al. 2017), `grad-cam++` (Chattopadhay et al. 2018): gradients;
    - `ablation-cam` (Ramaswamy and Desai 2020): its feature maps, and no gradients;
    - `integrated-gradients` (Sundararajan et al. 2017): gradients;
    - `occlusion` (Zeiler and Fergus 2014), `rise` (Petsiuk et al. 2018): answers alone, so of exported files, too.

    Args:
        model: A run, a model file, a Keras model with models inside or not, or a `Predictor`.
        images: One image or some, as `predict` takes them.
        method: One or more of the above. None: `grad-cam` and `occlusion` of a Keras model, `occlusion` of other files.
        classes: Names or numbers of the classes that are explained, one or more. None: of each image the classes that
            the model decides for, then the likeliest.
        top: So many of these, where no classes are named.
        layer: The layer whose feature maps are taken, or its path in a model inside. None: the last ones of more than
            one pixel.
        samples: Masks of `rise`: more give less noise. Each asks the model once.
        check: Also erase and show pixels in the order of each map (deletion and insertion, Petsiuk et al. 2018). It
            asks the model 75 times for each map.
        names: Of the images; None: their paths or numbers.
        preprocessing: As `predict`.
        seed: Of masks, and of the order of pixels that a map does not tell apart.
        progress: Called after each map.

    Returns:
        An explanation for each image, with a map for each class and method; `write(folder)` draws them.

    Raises:
        DataError: An image cannot be read.
        ModelError: The model cannot be read.
        UsageError: There is no such class, method or layer, or the model does not give what the method needs.

    Example:
        >>> import numpy as np
        >>> import keras_resnet
        >>> model = keras_resnet.ResNet8(num_classes=3, input_shape=(16, 16, 3), seed=0)
        >>> image = np.random.default_rng(0).integers(0, 256, (16, 16, 3))
        >>> found = keras_resnet.explain(model, image, ["grad-cam", "occlusion"], classes=[0, 2])
        >>> [(one.method, one.number, one.values.shape) for one in found[0].maps][:2]
        [('grad-cam', 0, (16, 16)), ('occlusion', 0, (16, 16))]
        >>> found[0].map_of("occlusion", "2").faithfulness.text  # of a network that is not trained
        'cannot tell: ...'
    """
    predictor = model if isinstance(model, Predictor) else open_predictor(model, preprocessing)
    methods = chosen_methods(method, predictor)
    chosen = None if classes is None else _numbers(classes, predictor)
    batch = image_batch(images, predictor.preprocessing.fit)
    names = _names(images, len(batch)) if names is None else names
    if len(names) != len(batch):
        raise UsageError(f"names must be one for each of {len(batch)} images; received {len(names)}")
    doubt = predictor.check_pixels(batch) if isinstance(predictor, KerasPredictor) and predictor.is_assumed else ""
    logits = predictor.logits(batch).astype(np.float64)
    shares = predictor.task.probabilities(logits)
    decided = predictor.task.membership(predictor.task.decisions(logits))
    orders = [np.lexsort((-share, ~decides)) for share, decides in zip(shares, decided, strict=True)]
    wanted = [chosen or [int(one) for one in order[:top]] for order in orders]
    total, done = len(methods) * sum(map(len, wanted)), 0
    subject, items = Subject(predictor, layer, samples, seed), []
    for row, image in enumerate(batch):
        found = {name: _enlarged(METHODS[name].maps(subject, image, wanted[row]), image.shape[:2]) for name in methods}
        maps = []
        for position, number in enumerate(wanted[row]):
            for name in methods:
                values = found[name][position]
                honest = found["occlusion"][position] if "occlusion" in methods and name != "occlusion" else None
                maps.append(
                    Attribution(
                        name,
                        predictor.task.class_names[number],
                        number,
                        float(shares[row, number]),
                        values,
                        faithfulness(predictor, image, number, values, subject.fill(image), seed) if check else None,
                        None if honest is None else _rank_correlation(values, honest),
                        _remark(values),
                    )
                )
                done += 1
                if progress:
                    progress("maps", done, total)
        best = tuple((predictor.task.class_names[one], float(shares[row, one])) for one in orders[row][:3])
        items.append(Explanation(names[row], image, best, tuple(maps)))
    called = str(predictor.path or (predictor.model.name if isinstance(predictor, KerasPredictor) else predictor.name))
    place = subject.cut.place.path if any(METHODS[name].of_layer for name in methods) else None
    return Explanations(called, place, seed, tuple(items), (doubt,) if doubt else ())


def _enlarged(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Maps of any size as maps of the image, float32 (classes, height, width)."""
    if maps.shape[1:] == size:
        return maps.astype(np.float32)
    import tensorflow as tf

    return tf.image.resize(maps[..., None], size).numpy()[..., 0]


def _remark(values: np.ndarray) -> str:
    if not np.isfinite(values).all():
        return "it is not finite: the model's numbers overflow"
    if not (values > 0).any():
        return "nothing in the image speaks for this class by this method"
    return ""


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    from scipy.stats import spearmanr

    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first.ravel(), second.ravel()).statistic)


def _numbers(classes: str | int | Sequence[str | int], predictor: Predictor) -> list[int]:
    """The classes that are named, by number, each once."""
    names = list(predictor.task.class_names)
    found = []
    for one in [classes] if isinstance(classes, str | int) else classes:
        if isinstance(one, str) and one in names:
            found.append(names.index(one))
        elif not isinstance(one, bool | str) and 0 <= one < len(names):
            found.append(int(one))
        else:
            near = nearest(str(one), names)
            raise UsageError(
                f"the model knows no class {one!r}: it has {len(names)}, by name or by number from 0"
                + (f"; did you mean {near!r}?" if near else "")
            )
    if not found:
        raise UsageError("classes must name one or more; leave them out for those that the model decides for")
    return list(dict.fromkeys(found))


def _names(images: Any, count: int) -> list[str]:
    """What images are called: by their paths, if each is one file, or else by numbers."""
    many = list(images) if isinstance(images, list | tuple) else [images]
    if len(many) == count and all(isinstance(one, str | os.PathLike) for one in many):
        return [os.fspath(one) for one in many]
    return [f"image {number}" for number in range(count)]


def picture_paths(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """A PNG file in a folder for each image; one of the same name in another folder gets a number."""
    taken: set[str] = set()
    for name in names:
        stem = fitting(Path(name).stem.replace("\0", "") or "image")
        unique, number = stem, 1
        while unique in taken:
            number += 1
            unique = f"{stem}-{number}"
        taken.add(unique)
        yield folder / f"{unique}.png"
