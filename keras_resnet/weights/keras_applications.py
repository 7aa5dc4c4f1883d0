"""The weights files that keras.applications publishes, recognised by digests of their content.

They were ported from Caffe (v1) and TF-Slim (v2). The v1 networks read blue, green, red.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from keras_resnet.weights.files import Tensors

URL = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"


@dataclass(frozen=True)
class Official:
    """One published file.

    Args:
        builder: The function in `keras.applications`.
        file: Its name.
        md5: Of its content, as Keras itself checks it.
        include_top: Whether it holds the classifier.
    """

    builder: str
    file: str
    md5: str
    include_top: bool

    @property
    def url(self) -> str:
        return URL + self.file


def _pair(builder: str, with_top: str, without_top: str) -> tuple[Official, Official]:
    stem = f"{builder.lower()}_weights_tf_dim_ordering_tf_kernels"
    return (
        Official(builder, f"{stem}.h5", with_top, True),
        Official(builder, f"{stem}_notop.h5", without_top, False),
    )


# By our name of the network. Digests: keras/src/applications/resnet.py of Keras 3.15.1.
FILES = {
    "resnet50v1": _pair("ResNet50", "2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626"),
    "resnet101v1": _pair("ResNet101", "f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21"),
    "resnet152v1": _pair("ResNet152", "100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c"),
    "resnet50v2": _pair("ResNet50V2", "3ef43a0b657b3be2300d5770ece849e0", "fac2f116257151a9d068a22e544a4917"),
    "resnet101v2": _pair("ResNet101V2", "6343647c601c52e1368623803854d971", "c0ed64b8031c3730f411d2eb4eea35b5"),
    "resnet152v2": _pair("ResNet152V2", "a49b44d1979771252814e80f8ec446f9", "ed17cf2e0169df9d443503ef94b23b33"),
}


def official(path: Path) -> Official | None:
    """Which published file this is, by its content; None: none of them."""
    if path.suffix != ".h5" or not path.is_file():
        return None
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "md5").hexdigest()
    return next((file for pair in FILES.values() for file in pair if file.md5 == digest), None)


def read_official(path: Path) -> Tensors | None:
    """The tensors of a published file; None for any other file.

    Keras fills its own model with it, by order: the files are older than the names of today's layers.
    """
    found = official(path)
    if found is None:
        return None
    import keras

    builder = getattr(keras.applications, found.builder)
    model = builder(weights=str(path), include_top=found.include_top)
    return {variable.path: variable.numpy() for variable in model.variables}


def reads_bgr(tensors: Tensors) -> bool:
    """Whether the tensors of a published file are of a network that reads blue, green, red: a v1."""
    return "post_bn/gamma" not in tensors
