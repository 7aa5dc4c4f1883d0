"""Write what a trained network sees in images, as vectors, or find the images that are most like one.

IMAGES are a file, a folder (all images in it and below) or a pattern; of images in sub-folders, the sub-folder is their
label. Or they are a source as `train` takes it, with its labels: folder:PATH, csv:PATH, jsonl:PATH, tfds:NAME, digits.
Vectors that were computed before are taken from the cache.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.cli.options import add_settings
from keras_resnet.training.configuration import SOURCE_SETTINGS

if TYPE_CHECKING:
    import keras
    import numpy as np

    from keras_resnet.display import Display
    from keras_resnet.preprocessing import Fit

SUFFIXES = (".npz", ".parquet")
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")
"""Files that are no images."""


@dataclass(frozen=True)
class _Image:
    """An image that is not read yet; without a label, `label` is empty."""

    name: str
    label: str
    read: Callable[[], bytes]


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("images", metavar="IMAGES", nargs="+", help="image files, folders, patterns, or sources as "
                         "`train` takes them: folder:PATH, csv:PATH, jsonl:PATH, tfds:NAME, digits")  # fmt: skip
    command.add_argument("--weights", metavar="FILE", help="a run's folder, a .keras file, or weights by file or name "
                         "(default: those that `train` would begin with)")  # fmt: skip
    command.add_argument("--model", metavar="NETWORK", help="the network of the weights (default: the file's own)")
    command.add_argument("--weights-preprocessing", metavar="WORD", default="",
                         help="what pixels a weights file needs, as in `train`")  # fmt: skip
    command.add_argument("--out", type=Path, metavar="FILE", help="where vectors go: .npz or .parquet")
    command.add_argument("--like", metavar="IMAGE", help="show the images that are most like this one")
    command.add_argument("--top", type=int, default=10, help="how many of them (default: 10)")
    add_settings(command, [SOURCE_SETTINGS["data_dir"]])


def run(options: argparse.Namespace) -> int:
    from keras_resnet.cli.tables import table
    from keras_resnet.cli.terminal import say
    from keras_resnet.display import Display
    from keras_resnet.errors import UsageError
    from keras_resnet.transfer.neighbours import nearest
    from keras_resnet.transfer.networks import trained_network

    if options.out is None and options.like is None:
        raise UsageError("what for? --out FILE writes the vectors, --like IMAGE shows the images most like it")
    if options.out is not None and options.out.suffix not in SUFFIXES:
        raise UsageError(f"--out must end in {' or '.join(SUFFIXES)}; received {options.out}")
    if options.top < 1:
        raise UsageError(f"--top must be at least 1; received {options.top}")
    if options.out is not None and options.out.suffix == ".parquet":
        _require_parquet()
    if options.data_dir is not None and not any(named.startswith("tfds:") for named in options.images):
        raise UsageError(f"--data-dir is for tfds:NAME; received {' '.join(options.images)}")
    images = [image for named in options.images for image in _images(named, options.data_dir)]
    with Display() as display:
        weights, model = options.weights, options.model
        if weights is None:
            weights, model = _usual_weights(model, display)
        network, fit = trained_network(weights, model, weights_preprocessing=options.weights_preprocessing)
        read, features = _vectors(network, images, fit, display)
        asked = _vectors(network, _images(options.like), fit, display)[1] if options.like else None
    kept, names = [image.label for image in read], [image.name for image in read]
    if not names or (options.like and not len(asked)):  # type: ignore[arg-type]
        return 3
    if asked is not None:
        order, alike = nearest(features, asked, options.top)
        rows = [(names[one], kept[one], f"{share:.3f}") for one, share in zip(order[0], alike[0], strict=True)]
        table(f"images like {options.like}", ("image", "label", "alike"), rows, left=("label",))
        _say_what_neighbours_make_of_it(options.like, features, kept, asked)
    if options.out is not None:
        _write(options.out, names, kept, features)
        say(f"wrote {options.out}: {len(names)} images, {features.shape[1]} numbers each")
    _say_how_neighbours_agree(features, kept)
    return 3 if len(read) < len(images) else 0


def _images(named: str, data_dir: str | None = None) -> list[_Image]:
    """The images that one argument stands for, with the labels of a source, or the sub-folder that each lies in."""
    from keras_resnet.data.sources.source import KINDS

    if named.partition(":")[0] in KINDS or Path(named).suffix.lower() in TABLES:
        return _images_of_source(named, data_dir)

    from keras_resnet.images.image_file import read_file
    from keras_resnet.inference.inputs import files_in

    found = files_in(named)
    inside = Path(named).expanduser()
    parts = [file.relative_to(inside).parts if inside.is_dir() else () for file in found]
    labels = [part[0] if len(part) > 1 else "" for part in parts]
    return [
        _Image(str(file), label, partial(read_file, file, str(file))) for file, label in zip(found, labels, strict=True)
    ]


def _images_of_source(name: str, data_dir: str | None) -> list[_Image]:
    from keras_resnet.data.loading import list_source
    from keras_resnet.data.sources.listing import Files
    from keras_resnet.data.sources.source import Source
    from keras_resnet.data.sources.table_rows import LABEL_SEPARATOR

    source = Source(name, data_dir=data_dir if name.startswith("tfds:") else None)
    listing = list_source(source)
    contents = listing.contents
    names = [str(path) for path in contents.paths] if isinstance(contents, Files) else listing.names
    return [
        _Image(name, LABEL_SEPARATOR.join(listing.task.names_of(label)), partial(contents.read, position))
        for position, (name, label) in enumerate(zip(names, listing.labels, strict=True))
    ]


def _usual_weights(model: str | None, display: Display) -> tuple[str, str]:
    from keras_resnet.errors import UsageError
    from keras_resnet.models.variants import spec
    from keras_resnet.tuning.first_choice import NETWORKS, best_weights

    why, found = best_weights((spec(model).name,) if model else NETWORKS)
    if found is None:
        raise UsageError(f"no weights are named by --weights, and {why}")
    display.note(f"{found.model} with weights {found.place} ({found.weights})")
    return found.weights, found.model


def _vectors(
    network: keras.Model, images: Sequence[_Image], fit: Fit, display: Display
) -> tuple[list[_Image], np.ndarray]:
    """The images that can be read, and their vectors; the others are named."""
    from keras_resnet.errors import DataError
    from keras_resnet.images.decode import decode
    from keras_resnet.transfer.features import image_features

    read: list[_Image] = []

    def pixels() -> Iterator[np.ndarray]:
        for image in images:
            try:
                decoded = decode(image.read(), fit, name=image.name)
            except DataError as error:
                display.note(f"keras-resnet: {error}")
                continue
            read.append(image)
            yield decoded

    found = image_features(network, pixels(), progress=lambda done, _: display.show("images", done, len(images)))
    display.close()
    return read, found


def _write(path: Path, names: Sequence[str], labels: Sequence[str], features: np.ndarray) -> None:
    import io

    import numpy as np

    from keras_resnet.atomic import write_with

    content = io.BytesIO()
    if path.suffix == ".npz":
        np.savez(content, path=np.array(names), label=np.array(labels), features=features)
    else:
        import pyarrow  # type: ignore[import-untyped]
        from pyarrow import parquet

        vectors = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(features.ravel()), features.shape[1])
        columns = {"path": pyarrow.array(names), "label": pyarrow.array(labels), "features": vectors}
        parquet.write_table(pyarrow.table(columns), content)
    write_with(path, lambda temporary: temporary.write_bytes(content.getvalue()))


def _require_parquet() -> None:
    from importlib.util import find_spec

    from keras_resnet.errors import MissingExtraError

    if find_spec("pyarrow") is None:
        raise MissingExtraError("writing Parquet", "parquet")


def _say_what_neighbours_make_of_it(name: str, features: np.ndarray, labels: Sequence[str], asked: np.ndarray) -> None:
    """The labels that its nearest neighbours would give an image, those without a label left out."""
    import numpy as np

    from keras_resnet.cli.terminal import say
    from keras_resnet.transfer.neighbours import VOTERS, classify_by_neighbours

    labelled = np.array([bool(label) for label in labels])
    names, coded = np.unique(np.array(labels)[labelled], return_inverse=True)
    if len(names) < 2:
        return
    _, shares = classify_by_neighbours(features[labelled], coded, asked)
    best = np.argsort(-shares[0], kind="stable")
    votes = ", ".join(f"{names[one]} {shares[0, one]:.0%}" for one in best if round(shares[0, one], 2))
    say(f"{name} by a vote of its {min(VOTERS, int(labelled.sum()))} nearest with a label: {votes}")


def _say_how_neighbours_agree(features: np.ndarray, labels: Sequence[str]) -> None:
    """How well a vote of neighbours tells the labels apart: what a classifier may hope for."""
    import numpy as np

    from keras_resnet.cli.terminal import say
    from keras_resnet.tasks.intervals import wilson_interval
    from keras_resnet.transfer.neighbours import VOTERS, vote_of_neighbours

    names, coded = np.unique(np.array(labels), return_inverse=True)
    if len(names) < 2 or "" in names or len(labels) <= VOTERS:
        return
    right = int((vote_of_neighbours(features, coded) == coded).sum())
    low, high = wilson_interval(right, len(labels))
    say(
        f"a vote of {VOTERS} neighbours, each image left out, tells {right} of {len(labels)} labels "
        f"({right / len(labels):.2%}; 95 % interval {low:.2%} to {high:.2%})"
    )
