"""Weights that others trained, by name: what there is, how images must be prepared, where the file lies."""

from __future__ import annotations

import csv
import hashlib
import logging
import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from keras_resnet.errors import ModelError, UsageError, listed
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.shortage import refuse_shortage
from keras_resnet.weights import keras_applications

logger = logging.getLogger(__name__)

# What "imagenet" means where timm has no a1_in1k: the first of these that it has.
PREFERRED = ("a1_in1k", "ra2_in1k", "bt_in1k", "tf_in1k", "tv2_in1k", "c1_in1k", "miil_in1k", "gluon_in1k")
SECONDS = 2.0
"""How long an answer of the network is waited for, before anything is fetched."""


@dataclass(frozen=True)
class Pretrained:
    """Weights for one network under one name.

    Args:
        model: The network, as `list_models` has it.
        name: What `weights=` takes: `"timm/a1_in1k"`, `"keras"`.
        preprocessing: How images were prepared when it was trained, and the names of its 1,000 classes.
        url: Where the file lies.
        license: As its publisher states it.
        digest: `sha256:` or `md5:` and the digest of the file's content, where it is known.
    """

    model: str
    name: str
    preprocessing: Preprocessing
    url: str
    license: str
    digest: str | None = None


def list_weights(model: str) -> list[str]:
    """Names that `weights=` takes for a network, the one that `"imagenet"` means first.

    Args:
        model: As `list_models` has it.
    """
    return list(_catalogue().get(_plain(model), {}))


def pretrained(model: str, weights: str = "imagenet") -> Pretrained:
    """What is known of weights: preprocessing with class names, address, license.

    Args:
        model: As `list_models` has it.
        weights: `"imagenet"`, `"timm/<tag>"` or `"keras"`.

    Raises:
        UsageError: (a ValueError) The network has no weights of this name; the message lists those it has.
    """
    model = _plain(model)
    known = _catalogue().get(model, {})
    if weights == "imagenet" and known:
        weights = next(iter(known))
    # The full name of timm's repository is as good: timm/resnet50.a1_in1k.
    full = next((name for name, row in known.items() if row.url.startswith(f"https://huggingface.co/{weights}/")), None)
    weights = full or weights
    if weights not in known:
        there = f"there are {listed(known, most=30)}" if known else "there are none for this network"
        hint = ""
        if weights == "keras" and f"{model}v1" in _catalogue():
            hint = f"; keras.applications' are for {model}v1, which strides in the 1×1 convolution"
        raise UsageError(
            f"there are no weights {weights!r} for {model}: {there}{hint}. A path needs an ending such as .safetensors"
        )
    return known[weights]


def published(path: Path) -> Pretrained | None:
    """Which of the weights that have a name a file holds: by its content, or as the hub's cache calls its folder.

    Args:
        path: An existing file.

    Returns:
        None: none of them.
    """
    known = keras_applications.official(path)
    if known is not None:
        model = next(model for model, pair in keras_applications.FILES.items() if known in pair)
        return pretrained(model, "keras")
    with path.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    rows = [row for rows in _catalogue().values() for row in rows.values() if row.name != "keras"]
    cached = {f"models--timm--{row.url.split('/')[4]}": row for row in rows}
    by_folder = next((cached[part] for part in path.parts if part in cached), None)
    return next((row for row in rows if row.digest == digest), by_folder)


def is_name(weights: str | os.PathLike[str]) -> bool:
    """Whether what `weights=` was given is a name; everything else is a path."""
    return weights in ("imagenet", "keras") or (isinstance(weights, str) and weights.startswith("timm/"))


def cached(model: str, weights: str, *, include_top: bool = True) -> Path | None:
    """The file of named weights where it was downloaded before; None: it was not.

    Args: as `fetch`.

    Raises:
        UsageError: The network has no weights of this name.
    """
    found = pretrained(model, weights)
    if found.name == "keras":
        file = keras_applications.FILES[found.model][0 if include_top else 1]
        path = _keras_folder() / "models" / file.file
        return path if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    there = try_to_load_from_cache(*_in_hub(found.url))
    return Path(there) if isinstance(there, str) else None


def fetch(model: str, weights: str, *, include_top: bool = True) -> Path:
    """The file of named weights, downloaded unless it was before.

    Where the network gives no answer within two seconds, nothing is tried.

    Args:
        model: As `list_models` has it.
        weights: `"imagenet"`, `"timm/<tag>"` or `"keras"`.
        include_top: keras.applications has files with and without the classifier.

    Raises:
        UsageError: The network has no weights of this name.
        ModelError: The file cannot be fetched, or is not the one that was published.
    """
    found = pretrained(model, weights)
    url, digest = found.url, found.digest
    if found.name == "keras":
        file = keras_applications.FILES[found.model][0 if include_top else 1]
        url, digest = file.url, f"md5:{file.md5}"
    path = cached(model, found.name, include_top=include_top)
    if path is not None:
        verify(path, digest)
        return path
    logger.info("%s for %s: %s", found.name, model, url)
    try:
        path = _from_keras(url) if found.name == "keras" else _from_hub(url)
    except Exception as error:  # every layer of the network has exceptions of its own
        refuse_shortage(error, f"fetch the weights {found.name!r} for {model}")
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"cannot fetch the weights {found.name!r} for {model} ({reason}). Fetch {url} by other means and pass its "
            "path: weights='PATH'; how to prepare images is keras_resnet.pretrained"
            f"({model!r}, {weights!r}).preprocessing"
        ) from None
    verify(path, digest)
    return path


def answers(url: str, seconds: float = SECONDS) -> bool:
    """Whether an address can be reached, through a proxy where the environment names one.

    Args:
        url: The address; nothing of it is read.
        seconds: How long is waited for. Looking its name up alone may take longer, and nothing can cut that short: it
            is left behind in a thread.

    Returns:
        No, unasked, where the environment variable `HF_HUB_OFFLINE` is set, as for huggingface_hub.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return False
    reached = threading.Event()
    done = threading.Event()

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds):
                reached.set()
        except urllib.error.HTTPError:  # it answers, if only that it will not
            reached.set()
        except (OSError, ValueError):
            pass
        done.set()

    threading.Thread(target=ask, daemon=True).start()
    done.wait(seconds)
    return reached.is_set()


def verify(path: Path, digest: str | None) -> None:
    """Compare a file with the digest that is known of it.

    Raises:
        ModelError: They differ; the file is damaged or is not the published one.
    """
    if digest is None:
        return
    algorithm, _, expected = digest.partition(":")
    with path.open("rb") as file:
        received = hashlib.file_digest(file, algorithm).hexdigest()
    if received != expected:
        raise ModelError(
            f"{path} is not the published file: its {algorithm} is {received}, expected {expected}. Delete it and "
            "fetch it again"
        )


def _from_hub(url: str) -> Path:
    from huggingface_hub import constants, hf_hub_download

    _refuse_silence(constants.ENDPOINT)
    return Path(hf_hub_download(*_in_hub(url)))


def _refuse_silence(url: str) -> None:
    if not answers(url):
        raise OSError(f"{url.split('/')[2]} does not answer")


def _in_hub(url: str) -> tuple[str, str]:
    """The repository and the file in it."""
    owner, repository, *_, file = url.removeprefix("https://huggingface.co/").split("/")
    return f"{owner}/{repository}", file


def _keras_folder() -> Path:
    return Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))


def _from_keras(url: str) -> Path:
    import keras

    _refuse_silence(url)
    return Path(keras.utils.get_file(url.rsplit("/", 1)[-1], url, cache_subdir="models"))


def _plain(model: str) -> str:
    """The name as the catalogue has it, however it is spelled."""
    letters = re.sub(r"[^a-z0-9]", "", str(model).lower())
    return next((name for name in _catalogue() if name.replace("_", "") == letters), letters)


@cache
def _catalogue() -> dict[str, dict[str, Pretrained]]:
    found: dict[str, dict[str, Pretrained]] = {}
    for row in (*_timm(), *_keras()):
        found.setdefault(row.model, {})[row.name] = row
    return found


def _timm() -> Iterator[Pretrained]:
    """Timm's weights for ImageNet-1k, as timm 1.0.31 describes them; preferred ones first."""
    rows = list(csv.DictReader(_read("timm.csv").splitlines()))
    rank = {tag: place for place, tag in enumerate(PREFERRED)}
    for row in sorted(rows, key=lambda row: (rank.get(row["tag"], len(rank)), row["tag"])):
        size = int(row["image_size"])
        preprocessing = Preprocessing(
            Fit((size, size), 3, row["interpolation"], float(row["crop_fraction"])),
            tuple(round(255 * float(value), 3) for value in row["mean"].split()),
            tuple(round(255 * float(value), 3) for value in row["std"].split()),
            imagenet_classes(),
        )
        url = f"https://huggingface.co/timm/{row['timm_model']}.{row['tag']}/resolve/main/model.safetensors"
        digest = f"sha256:{row['sha256']}" if row["sha256"] else None
        yield Pretrained(row["model"], f"timm/{row['tag']}", preprocessing, url, row["license"], digest)


def _keras() -> Iterator[Pretrained]:
    """keras.applications': v1 as Caffe prepared images, means only; v2 scaled to −1…1."""
    for model, (with_top, _) in keras_applications.FILES.items():
        v2 = model.endswith("v2")
        preprocessing = Preprocessing(
            Fit((224, 224), 3, crop_fraction=0.875),
            (127.5,) * 3 if v2 else (123.68, 116.779, 103.939),
            (127.5,) * 3 if v2 else (1.0,) * 3,
            imagenet_classes(),
        )
        yield Pretrained(model, "keras", preprocessing, with_top.url, "mit", f"md5:{with_top.md5}")


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Names of the 1,000 classes of ImageNet-1k, in the order of the logits; torchvision's, which are all different."""
    return tuple(_read("imagenet_classes.txt").splitlines())


@cache
def imagenet_synsets() -> tuple[tuple[str, str], ...]:
    """WordNet's number and the word for each class, as keras.applications has them; two words stand for two classes."""
    words = {"crane bird": "crane", "maillot tank suit": "maillot"}  # torchvision's, to be all different
    names = (words.get(name, name).replace(" ", "_") for name in imagenet_classes())
    return tuple(zip(_read("imagenet_synsets.txt").split(), names, strict=True))


def _read(name: str) -> str:
    return files("keras_resnet.weights").joinpath(name).read_text(encoding="utf-8")
