"""Compare our input pipeline with others: images per second on one core and on two.

python scripts/benchmark_data.py                        # 32×32: crop-flip, RandAugment, MixUp; JPEG to 224×224
python scripts/benchmark_data.py --tasks jpeg --cores 1 --rounds 15 --photos FOLDER

It needs the extras `kerascv` and `plots`. The pipelines take turns, A B C A B C, in one process for each number of
cores. Each turn starts its pipeline anew, measures some batches, and stops what was read ahead. The figures are
medians over the turns: images per second, and ours divided by theirs (above 1: ours is faster). Ours is the whole
training pipeline, with shuffling. The others go through images in memory in their order: keras.layers and KerasCV by
batches, `tf.image` one image at a time, and Pillow as torchvision uses it, in one process for each core, which do not
even send their results back. `libjpeg-turbo alone` only decodes whole JPEGs, in one thread for each core, and drops
the pixels. The photographs are two of scikit-learn's and one of matplotlib's, 640×427 and 512×600 pixels, unless
--photos names others.
"""

import argparse
import io
import itertools
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

Turn = Callable[[], int]
"""Processes some images and returns their number."""
SIDE, BATCH = 32, 256
TASKS = ("crop-flip", "randaugment", "mixup", "jpeg")


def pillow_crop_flip(image: Image.Image) -> Image.Image:
    left, top = random.randint(0, 8), random.randint(0, 8)
    cropped = ImageOps.expand(image, 4).crop((left, top, left + SIDE, top + SIDE))
    return ImageOps.mirror(cropped) if random.random() < 0.5 else cropped


def pillow_randaugment(image: Image.Image) -> Image.Image:
    sign = random.choice((-1, 1)) * 0.3
    operations = (
        lambda x: x,
        lambda x: x.transform(x.size, Image.Transform.AFFINE, (1, sign * 0.3, 0, 0, 1, 0)),
        lambda x: x.transform(x.size, Image.Transform.AFFINE, (1, 0, 0, sign * 0.3, 1, 0)),
        lambda x: x.transform(x.size, Image.Transform.AFFINE, (1, 0, int(sign * 14), 0, 1, 0)),
        lambda x: x.transform(x.size, Image.Transform.AFFINE, (1, 0, 0, 0, 1, int(sign * 14))),
        lambda x: x.rotate(sign * 30),
        lambda x: ImageEnhance.Brightness(x).enhance(1 + sign * 0.9),
        lambda x: ImageEnhance.Color(x).enhance(1 + sign * 0.9),
        lambda x: ImageEnhance.Contrast(x).enhance(1 + sign * 0.9),
        lambda x: ImageEnhance.Sharpness(x).enhance(1 + sign * 0.9),
        lambda x: ImageOps.posterize(x, 7),
        lambda x: ImageOps.solarize(x, 178),
        ImageOps.autocontrast,
        ImageOps.equalize,
    )
    for _ in range(2):
        image = random.choice(operations)(image)
    return image


def pillow_resized_crop(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content)).convert("RGB")
    for _ in range(10):
        area = image.width * image.height * random.uniform(0.08, 1)
        ratio = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3)))
        width, height = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if width <= image.width and height <= image.height:
            break
    else:
        width, height = image.size
    left, top = random.randint(0, image.width - width), random.randint(0, image.height - height)
    cut = image.crop((left, top, left + width, top + height)).resize((224, 224), Image.Resampling.BILINEAR)
    return ImageOps.mirror(cut) if random.random() < 0.5 else cut


PILLOW = {"crop-flip": pillow_crop_flip, "randaugment": pillow_randaugment, "jpeg": pillow_resized_crop}


def by_pillow(task: str, items: list[object]) -> int:
    """Run in a worker process: augment every item to an array and drop it."""
    for item in items:
        np.asarray(PILLOW[task](item if isinstance(item, bytes) else Image.fromarray(item)))  # type: ignore[operator]
    return len(items)


def photographs(folder: str | None) -> list[bytes]:
    if folder:
        paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))[:64]
    else:
        import matplotlib
        import sklearn.datasets

        samples = Path(sklearn.datasets.__file__).parent / "images"
        paths = [samples / "china.jpg", samples / "flower.jpg"]
        paths.append(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")
    return [path.read_bytes() for path in paths]


def pictures(count: int) -> np.ndarray:
    """uint8 (count, 32, 32, 3): smooth images with some noise, so that operations on histograms have work to do."""
    numbers = np.random.default_rng(0)
    coarse = numbers.integers(0, 256, (count, 4, 4, 3)).astype(np.uint8)
    smooth = [np.asarray(Image.fromarray(one).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for one in coarse]
    return np.clip(np.stack(smooth) + numbers.normal(0, 8, (count, SIDE, SIDE, 3)), 0, 255).astype(np.uint8)


def small_contenders(task: str, pool: object, cores: int) -> dict[str, Turn]:
    """The pipelines for 32×32 images by their names, ours first.

    Args:
        task: One of `TASKS` except `jpeg`.
        pool: A pool of processes, for Pillow.
        cores: The number of processes in it.
    """
    import keras
    import keras_cv
    import tensorflow as tf

    from keras_resnet import policy
    from keras_resnet.data.batches import training_batches
    from keras_resnet.data.images import Split
    from keras_resnet.data.memory import aligned
    from keras_resnet.data.stores import ArrayImages
    from keras_resnet.tasks.classification import Classification

    images = pictures(5120)
    labels = np.arange(len(images)) % 10
    ours = {"crop-flip": policy("crop-flip"), "randaugment": policy("none", automatic="randaugment"),
            "mixup": policy("none", mixup=0.2)}[task]  # fmt: skip
    split = Split(ArrayImages(aligned(images)), np.arange(len(images)), labels, Classification(tuple("0123456789")))
    found = {"ours": turns(training_batches(split, BATCH, ours, seed=0, epochs=100_000))}
    batches = tf.data.Dataset.from_tensor_slices((images, np.eye(10, dtype=np.float32)[labels])).repeat().batch(BATCH)

    def mapped(layers: list[object], keys: bool = False) -> Turn:
        def augment(x: tf.Tensor, y: tf.Tensor) -> object:
            value: object = {"images": tf.cast(x, tf.float32), "labels": y} if keys else tf.cast(x, tf.float32)
            for layer in layers:
                value = layer(value, training=True)  # type: ignore[operator]
            return value

        return turns(batches.map(augment, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2))

    if task == "crop-flip":

        def one(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            x = tf.image.random_crop(tf.pad(x, ((4, 4), (4, 4), (0, 0))), (SIDE, SIDE, 3))
            return tf.image.random_flip_left_right(x), y

        single = batches.unbatch().map(one, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH).prefetch(2)
        found["tf.image, image by image"] = turns(single)
        eighth = {"fill_mode": "constant", "interpolation": "nearest"}
        for name, layers in (("keras.layers", keras.layers), ("KerasCV", keras_cv.layers)):
            found[name] = mapped([layers.RandomTranslation(0.125, 0.125, **eighth), layers.RandomFlip("horizontal")])
    if task == "randaugment":
        found["keras.layers"] = mapped([keras.layers.RandAugment(num_ops=2, factor=0.3)])
        found["KerasCV"] = mapped([keras_cv.layers.RandAugment((0, 255), augmentations_per_image=2, magnitude=0.3)])
    if task == "mixup":
        found["keras.layers"] = mapped([keras.layers.MixUp(0.2)], keys=True)
        found["KerasCV"] = mapped([keras_cv.layers.MixUp(0.2)], keys=True)
    if task in PILLOW:
        found["Pillow"] = pooled(pool, task, list(images[:1024]), cores)
    return found


def jpeg_contenders(contents: list[bytes], pool: object, cores: int) -> dict[str, Turn]:
    """The pipelines from whole JPEGs to random crops of 224×224 by their names, ours first.

    Args:
        contents: JPEG files.
        pool: A pool of processes, for Pillow.
        cores: The number of processes in it, and of threads that decode.
    """
    import keras_cv
    import tensorflow as tf

    from keras_resnet import policy
    from keras_resnet.data.batches import training_batches
    from keras_resnet.data.images import Split
    from keras_resnet.data.sources.listing import Blob
    from keras_resnet.data.stores import EncodedImages
    from keras_resnet.images.decode import decode
    from keras_resnet.images.image_file import read_header
    from keras_resnet.preprocessing import Fit
    from keras_resnet.tasks.classification import Classification

    many = list(itertools.islice(itertools.cycle(contents), 96))
    headers = tuple(read_header(content) for content in many)
    fit = Fit((224, 224), 3)
    store = EncodedImages(Blob.of(many), tuple(map(str, range(96))), headers, fit)
    split = Split(store, np.arange(96), np.arange(96) % 2, Classification(("a", "b")))
    crops = training_batches(split, 24, policy("resized-crop-flip"), seed=0, epochs=100_000)
    threads = ThreadPoolExecutor(cores)
    encoded = tf.data.Dataset.from_tensor_slices(many).repeat()

    def one(content: tf.Tensor) -> tf.Tensor:
        shape = tf.io.extract_jpeg_shape(content)
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            shape, tf.constant([[[0.0, 0.0, 1.0, 1.0]]]), area_range=(0.08, 1.0), aspect_ratio_range=(3 / 4, 4 / 3)
        )
        part = tf.io.decode_and_crop_jpeg(content, tf.concat([begin[:2], size[:2]], 0), channels=3)
        return tf.image.random_flip_left_right(tf.image.resize(part, (224, 224), antialias=True))

    def whole(content: tf.Tensor) -> tf.Tensor:
        return tf.image.resize(tf.io.decode_jpeg(content, channels=3), (256, 256))

    layer = keras_cv.layers.RandomCropAndResize((224, 224), (0.08, 1.0), (3 / 4, 4 / 3))
    parallel = tf.data.AUTOTUNE
    resized = encoded.map(whole, num_parallel_calls=parallel).batch(24).map(lambda x: layer(x, training=True))

    def alone(work: Callable[[bytes], object]) -> Turn:
        return lambda: sum(1 for _ in threads.map(work, many))

    return {
        "ours": turns(crops),
        "ours, whole image squeezed": alone(lambda content: decode(content, fit)),
        "libjpeg-turbo alone": alone(lambda content: Image.open(io.BytesIO(content)).load()),
        "tf.image, image by image": turns(encoded.map(one, num_parallel_calls=parallel).batch(24).prefetch(2)),
        "KerasCV": turns(resized.prefetch(2)),
        "Pillow": pooled(pool, "jpeg", many, cores),
    }


def turns(batches: object, count: int = 8, seconds: float = 0.25) -> Turn:
    """A turn that starts a pipeline anew, measures batches after the first two, and stops what is read ahead.

    Args:
        batches: A `tf.data.Dataset`.
        count: The least number of batches to measure.
        seconds: The least time to measure.
    """

    def turn() -> int:
        iterator: Iterator[object] = iter(batches)  # type: ignore[call-overload]
        next(iterator), next(iterator)
        turn.started = time.perf_counter()  # type: ignore[attr-defined]
        done = sum(_length(next(iterator)) for _ in range(count))
        while time.perf_counter() < turn.started + seconds:  # type: ignore[attr-defined]
            done += _length(next(iterator))
        turn.ended = time.perf_counter()  # type: ignore[attr-defined]
        del iterator  # or it would go on reading during the next turns
        return done

    return turn


def _length(batch: object) -> int:
    if isinstance(batch, dict):
        batch = batch["images"]
    return len(batch[0] if isinstance(batch, tuple) else batch)  # type: ignore[arg-type]


def pooled(pool: object, task: str, items: list[object], cores: int) -> Turn:
    """A turn that shares items out over the processes of a pool.

    Args:
        pool: A pool of processes.
        task: A key of `PILLOW`.
        items: Images, or JPEG files.
        cores: The number of processes.
    """
    parts = [items[core::cores] for core in range(cores)]
    return lambda: sum(pool.starmap(by_pillow, [(task, part) for part in parts]))  # type: ignore[attr-defined]


def measured(contenders: dict[str, Turn], rounds: int) -> dict[str, list[float]]:
    """Images per second of each pipeline in each round, after one round to warm up."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, turn in contenders.items():
            began = time.perf_counter()
            count = turn()
            seconds = getattr(turn, "ended", time.perf_counter()) - getattr(turn, "started", began)
            if number:
                rates[name].append(count / seconds)
        print(f"round {number} of {rounds}", file=sys.stderr)
    return rates


def in_this_process(options: argparse.Namespace) -> None:
    """Measure in this process, on the given number of cores, and print the rates as JSON."""
    cores = options.cores[0]
    # Before TensorFlow starts threads: all of them then stay on these cores, and forking is safe.
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:cores]))
    with multiprocessing.get_context("fork").Pool(cores) as pool:
        for task in options.tasks:
            found = (
                jpeg_contenders(photographs(options.photos), pool, cores)
                if task == "jpeg"
                else small_contenders(task, pool, cores)
            )
            print(json.dumps([task, measured(found, options.rounds)]), flush=True)


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    command.add_argument("--cores", nargs="+", type=int, default=[1, 2])
    command.add_argument("--rounds", type=int, default=9)
    command.add_argument("--photos", help="folder of JPEG files")
    command.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = command.parse_args()
    if options.child:
        in_this_process(options)
        return
    from keras_resnet.cli.tables import table
    from keras_resnet.errors import MissingExtraError

    if find_spec("keras_cv") is None:
        command.error(str(MissingExtraError("the comparison with KerasCV", "kerascv")))

    for cores in options.cores:
        arguments = ["--tasks", *options.tasks, "--cores", str(cores), "--rounds", str(options.rounds), "--child"]
        arguments += ["--photos", options.photos] if options.photos else []
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": str(cores)}
        run = subprocess.run(
            [sys.executable, __file__, *arguments], env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        rows = []
        for line in run.stdout.splitlines():
            task, rates = json.loads(line)
            ours = rates["ours"]
            for name, of in rates.items():
                ratios = [mine / theirs for mine, theirs in zip(ours, of, strict=True)]
                spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
                rows.append((task, name, f"{statistics.median(of):,.0f}", f"{statistics.median(ratios):.2f}", spread))
        table(f"{cores} core{'s' * (cores > 1)}", ("task", "pipeline", "images/s", "ours over it", "rounds"), rows,
              left=("pipeline",))  # fmt: skip


if __name__ == "__main__":
    main()
