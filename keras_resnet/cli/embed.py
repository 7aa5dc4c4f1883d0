"""Write what a trained network sees in images, as vectors, or find the images that are most like one.

An IMAGE is a file, a folder (all images in it and below) or a pattern. Of images in sub-folders, the sub-folder is
their label. Vectors that were computed before are taken from the cache.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import numpy as np

    from keras_resnet.display import Display
    from keras_resnet.preprocessing import Fit

SUFFIXES = (".npz", ".parquet")


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("images", metavar="IMAGE", nargs="+", help="image files, folders or patterns")
    command.add_argument("--weights", metavar="FILE", help="a run's folder, a .keras file, or weights by file or name "
                         "(default: those that `train` would begin with)")  # fmt: skip
    command.add_argument("--model", metavar="NETWORK", help="the network of the weights (default: the file's own)")
    command.add_argument("--weights-preprocessing", metavar="WORD", default="",
                         help="what pixels a weights file needs, as in `train`")  # fmt: skip
    command.add_argument("--out", type=Path, metavar="FILE", help="where vectors go: .npz or .parquet")
    command.add_argument("--like", metavar="IMAGE", help="show the images that are most like this one")
    command.add_argument("--top", type=int, default=10, help="how many of them (default: 10)")


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
    files, labels = _files(options.images)
    with Display() as display:
        weights, model = options.weights, options.model
        if weights is None:
            weights, model = _usual_weights(model, display)
        network, fit = trained_network(weights, model, weights_preprocessing=options.weights_preprocessing)
        read, features = _vectors(network, files, fit, display)
        asked = _vectors(network, [Path(options.like)], fit, display)[1] if options.like else None
    kept = [labels[row] for row in read]
    names = [str(files[row]) for row in read]
    if not names or (options.like and not len(asked)):  # type: ignore[arg-type]
        return 3
    if asked is not None:
        order, alike = nearest(features, asked, options.top)
        rows = [(names[one], kept[one], f"{share:.3f}") for one, share in zip(order[0], alike[0], strict=True)]
        table(f"images like {options.like}", ("image", "label", "alike"), rows, left=("label",))
    if options.out is not None:
        _write(options.out, names, kept, features)
        say(f"wrote {options.out}: {len(names)} images, {features.shape[1]} numbers each")
    _say_how_neighbours_agree(features, kept)
    return 3 if len(read) < len(files) else 0


def _files(images: Sequence[str]) -> tuple[list[Path], list[str]]:
    """The image files, and the sub-folder that each lies in."""
    from keras_resnet.inference.inputs import files_in

    files: list[Path] = []
    labels: list[str] = []
    for image in images:
        found = files_in(image)
        files += found
        inside = Path(image).expanduser()
        parts = [file.relative_to(inside).parts if inside.is_dir() else () for file in found]
        labels += [part[0] if len(part) > 1 else "" for part in parts]
    return files, labels


def _usual_weights(model: str | None, display: Display) -> tuple[str, str]:
    from keras_resnet.errors import UsageError
    from keras_resnet.models.variants import spec
    from keras_resnet.tuning.first_choice import NETWORKS, best_weights

    why, found = best_weights((spec(model).name,) if model else NETWORKS)
    if found is None:
        raise UsageError(f"no weights are named by --weights, and {why}")
    display.note(f"{found.model} with weights {found.place} ({found.weights})")
    return found.weights, found.model


def _vectors(network: keras.Model, files: Sequence[Path], fit: Fit, display: Display) -> tuple[list[int], np.ndarray]:
    """Which files can be read, and their vectors; the others are named."""
    from keras_resnet.errors import DataError
    from keras_resnet.images.decode import decode
    from keras_resnet.transfer.features import image_features

    read: list[int] = []

    def images() -> Iterator[np.ndarray]:
        for number, file in enumerate(files):
            try:
                image = decode(file, fit)
            except DataError as error:
                display.note(f"keras-resnet: {error}")
                continue
            read.append(number)
            yield image

    found = image_features(network, images(), progress=lambda done, _: display.show("images", done, len(files)))
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


def _say_how_neighbours_agree(features: np.ndarray, labels: Sequence[str]) -> None:
    """How well a vote of neighbours tells the sub-folders apart: what a classifier may hope for."""
    import numpy as np
    from scipy.stats import binomtest

    from keras_resnet.cli.terminal import say
    from keras_resnet.transfer.neighbours import VOTERS, vote_of_neighbours

    names, coded = np.unique(np.array(labels), return_inverse=True)
    if len(names) < 2 or "" in names or len(labels) <= VOTERS:
        return
    right = int((vote_of_neighbours(features, coded) == coded).sum())
    interval = binomtest(right, len(labels)).proportion_ci(method="wilson")
    say(
        f"a vote of {VOTERS} neighbours, each image left out, tells {right} of {len(labels)} labels "
        f"({right / len(labels):.2%}; 95 % interval {interval.low:.2%} to {interval.high:.2%})"
    )
