"""Show which parts of images a model's answers come from, and test whether that is true.

An IMAGE is a file, a folder (all images in it and below) or a pattern, as of `predict`. Each gets a picture with a map
for each class and method. Under a map, curves show how far it tells what the model goes by: they compare it with the
same map laid elsewhere. Exported files (.tflite, ONNX, SavedModel) give answers alone: occlusion and rise explain them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.allowed import ATTRIBUTION

if TYPE_CHECKING:
    import numpy as np

    from keras_resnet.attribution.explain import Explanations
    from keras_resnet.data.images import Split
    from keras_resnet.display import Display
    from keras_resnet.inference.predictor import Predictor


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="RUN|FILE", type=Path, help="run folder, .keras file, or exported file")
    command.add_argument("images", metavar="IMAGE", nargs="*", help="image files, folders or patterns")
    command.add_argument("--method", action="append", choices=ATTRIBUTION.choices,
                         help="may be repeated (default: grad-cam and occlusion; of a file occlusion)")  # fmt: skip
    command.add_argument("--class", action="append", dest="classes", metavar="CLASS",
                         help="explain this class, by name or number; may be repeated (default: what the model "
                         "decides for)")  # fmt: skip
    command.add_argument("--top", type=int, default=1, metavar="N",
                         help="without --class: explain the N likeliest classes (default: 1)")  # fmt: skip
    command.add_argument("--layer", metavar="NAME", help="the layer whose feature maps are taken (default: the last)")
    command.add_argument("--samples", type=int, default=1000, help="masks of rise (default: 1000)")
    command.add_argument("--no-check", action="store_true",
                         help="leave out deletion and insertion, 75 questions for each map")  # fmt: skip
    command.add_argument("--seed", type=int, default=0, help="of all that is random (default: 0)")
    command.add_argument("--out", type=Path, metavar="FOLDER",
                         help="default: explanations/ in the run, or a folder beside the file")  # fmt: skip
    inside = command.add_argument_group("what is inside", "for Keras models")
    inside.add_argument("--filters", action="store_true", help="draw the filters of the first convolution")
    inside.add_argument("--activations", action="store_true", help="draw what each stage makes of each IMAGE")
    inside.add_argument("--data", metavar="SOURCE",
                        help="draw the images of a SOURCE, as `train` takes it, that excite channels most")  # fmt: skip
    inside.add_argument("--data-dir", metavar="PATH", help="for tfds: a prepared folder, read with no network")
    inside.add_argument("--limit", type=int, metavar="N", help="with --data: use at most N images, by class")
    inside.add_argument("--channels", type=int, nargs="+", metavar="N",
                        help="with --data: these channels (default: the eight most selective ones)")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    from keras_resnet.attribution import inside
    from keras_resnet.attribution.explain import explain, picture_paths
    from keras_resnet.attribution.methods import chosen_methods
    from keras_resnet.cli.terminal import say
    from keras_resnet.display import Display
    from keras_resnet.errors import UsageError
    from keras_resnet.inference.inputs import files_in
    from keras_resnet.inference.predictors import open_predictor
    from keras_resnet.runs.run import Run, is_run

    if not (options.images or options.filters or options.data):
        raise UsageError("explain what? Name images, or draw the network by --filters or --data SOURCE")
    if not options.data and (options.channels or options.limit or options.data_dir):
        raise UsageError("--channels, --limit and --data-dir go with --data SOURCE")
    if options.activations and not options.images:
        raise UsageError("--activations are of images: name some")
    names = [str(file) for image in options.images for file in files_in(image)]
    predictor = open_predictor(options.model)
    chosen_methods(options.method, predictor)  # refused before images are read
    finished = Run.at(options.model, finished=True) if is_run(options.model) else None
    beside = options.model.with_name(f"{options.model.name}-explanations")
    folder: Path = options.out or (finished.folder("explanations") if finished else beside)
    files: list[Path] = []
    read, images = _read(names, predictor)
    with Display() as display:
        if images:
            found = explain(
                predictor,
                images,
                options.method,
                classes=_classes(options.classes, predictor),
                top=options.top,
                layer=options.layer,
                samples=options.samples,
                check=not options.no_check,
                names=read,
                seed=options.seed,
                progress=display.show,
            )
            display.close()
            files += found.write(folder)
        if options.filters:
            files.append(inside.show_filters(predictor, folder / "filters.png"))
        for image, path in zip(images, picture_paths(folder, read), strict=True) if options.activations else ():
            files.append(inside.show_activations(predictor, image, path.with_name(f"{path.stem}-activations.png")))
        if options.data:
            data = _split(options, predictor, display)
            path = folder / "exciting_images.png"
            files.append(
                inside.show_exciting_images(predictor, data, path, channels=options.channels, layer=options.layer)
            )
    if images:
        _show(found)
    for file in files:
        say(f"wrote {file}")
    return 3 if len(read) < len(names) else 0


def _read(names: Sequence[str], predictor: Predictor) -> tuple[list[str], list[np.ndarray]]:
    """The images that can be read, with their pixels; the others are named."""
    from keras_resnet.cli.terminal import say
    from keras_resnet.errors import DataError
    from keras_resnet.inference.inputs import image_batch

    read: list[str] = []
    images: list[np.ndarray] = []
    for name in names:
        try:
            images.append(image_batch(name, predictor.preprocessing.fit)[0])
        except DataError as error:
            say(f"keras-resnet: {error}", error=True)
        else:
            read.append(name)
    return read, images


def _classes(named: Sequence[str] | None, predictor: Predictor) -> list[str | int] | None:
    """The classes that are named; what is no name may be a number."""
    if named is None:
        return None
    known = predictor.task.class_names
    return [int(one) if one not in known and one.isdecimal() else one for one in named]


def _split(options: argparse.Namespace, predictor: Predictor, display: Display) -> Split:
    from keras_resnet.data.loading import load_data, merge
    from keras_resnet.data.sources.source import Source

    source = Source(options.data, data_dir=options.data_dir, limit=options.limit)
    return merge(load_data(source, display.reading, whole=True, fit=predictor.preprocessing.fit))


def _show(found: Explanations) -> None:
    """Say of each map how far it is to be trusted."""
    from keras_resnet.attribution.overlays import percent
    from keras_resnet.cli.terminal import say

    for remark in found.remarks:
        say(f"note: {remark}", error=True)
    if found.layer:
        say(f"feature maps of the layer {found.layer}")
    for one in found:
        top = ", ".join(f"{name} {percent(share)}" for name, share in one.top)
        say(f"{one.name}: the model says {top}")
        for of_class in one.maps:
            said = of_class.remark or (of_class.faithfulness.text if of_class.faithfulness else "not tested")
            say(f"  {of_class.class_name}, {of_class.title}: {said}")
