"""Cut each image of a batch at a place of its own, and mirror some."""

from __future__ import annotations

import math
from dataclasses import dataclass

import tensorflow as tf

from keras_resnet.augment.dispatch import each_its_own, identity
from keras_resnet.augment.randomness import SampleRandom, integer_between
from keras_resnet.errors import UsageError

ATTEMPTS = 10


def pad_crop(images: tf.Tensor, random: SampleRandom, *, margin: int, flip: bool) -> tf.Tensor:
    """Pad with black by `margin` pixels, crop the old size at a random place, mirror half if `flip`.

    The CIFAR augmentation of He et al., 2015. Pixels of three bytes are slow to gather one by one, so
    whole padded rows are, a black one where there is none, for all images of one shift to the side
    and one direction at once, which then lose their outermost columns and are mirrored together.

    Args:
        images: (batch, height, width, channels), any dtype; all but the batch is static.
        random: One number a sample decides each of shift down, shift right, mirror.
        margin: Pixels, at least 0; shifts are uniform in -margin … margin.
        flip: Mirror left and right with probability one half.

    Returns:
        The images' shape and dtype.
    """
    batch, (height, width, channels) = tf.shape(images)[0], images.shape[1:]
    shifts, length = 2 * margin + 1, width * channels
    down, right, mirrored = tf.unstack(random.uniforms(("crop top", "crop left", "flip")))
    rows = tf.concat([tf.reshape(images, (-1, length)), tf.zeros((1, length), images.dtype)], axis=0)
    side = tf.zeros((batch * height + 1, margin * channels), images.dtype)
    rows = tf.concat([side, rows, side], axis=1)
    row = integer_between(down, -margin, margin)[:, None] + tf.range(height)
    row = tf.where((row >= 0) & (row < height), tf.range(batch)[:, None] * height + row, batch * height)
    kind = integer_between(right, 0, 2 * margin)
    if flip:
        kind += tf.cast(mirrored < 0.5, tf.int32) * shifts
    places = tf.dynamic_partition(tf.range(batch), kind, shifts * (1 + flip))
    parts = []
    for number, place in enumerate(places):
        first = number % shifts * channels
        part = tf.gather(rows, tf.gather(row, place))[:, :, first : first + length]
        part = tf.reshape(part, (-1, height, width, channels))
        parts.append(mirror(part) if number >= shifts else part)
    return tf.reshape(tf.dynamic_stitch(places, parts), (-1, height, width, channels))


def mirror(images: tf.Tensor) -> tf.Tensor:
    """All images with left and right changed."""
    # On three axes TensorFlow reverses whole pixels at once, on four byte by byte.
    return tf.reshape(tf.reverse(tf.reshape(images, (-1, *images.shape[2:])), [1]), tf.shape(images))


def flip(images: tf.Tensor, random: SampleRandom) -> tf.Tensor:
    """Mirror half of the images left and right."""
    chosen = tf.cast(random.event("flip", 0.5), tf.int32)
    return each_its_own(images, (identity, lambda part, _: mirror(part)), chosen, tf.zeros(tf.shape(chosen)))


@dataclass(frozen=True)
class ResizedCrop:
    """A part of random size, shape and place, brought to the network's size (Szegedy et al., 2014).

    Sizes and shapes are drawn as torchvision draws them: up to ten tries of an area and an aspect
    ratio, the ratio log-uniform, and failing these the largest centre part whose ratio is allowed.

    Args:
        scale: Least and largest share of the image's area, in (0, 1].
        ratio: Least and largest width over height.

    Raises:
        UsageError: A range is empty or out of bounds.
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise UsageError(f"scale must be two numbers in (0, 1], the smaller first; received {self.scale}")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise UsageError(f"ratio must be two positive numbers, the smaller first; received {self.ratio}")

    def boxes(self, sizes: tf.Tensor, random: SampleRandom) -> tf.Tensor:
        """Where to cut.

        Args:
            sizes: int32 (batch, 2), height and width of each image.
            random: Of the samples.

        Returns:
            int32 (batch, 4): top, left, height, width of each part, inside its image.
        """
        height, width = (tf.cast(sizes[:, side], tf.float32)[:, None] for side in (0, 1))
        area = height * width * random.several("crop area", ATTEMPTS, *self.scale)
        ratio = tf.exp(random.several("crop ratio", ATTEMPTS, math.log(self.ratio[0]), math.log(self.ratio[1])))
        heights, widths = tf.round(tf.sqrt(area / ratio)), tf.round(tf.sqrt(area * ratio))
        fits = (heights > 0) & (widths > 0) & (heights <= height) & (widths <= width)
        first = tf.argmax(fits, axis=1, output_type=tf.int32)
        found = tf.reduce_any(fits, axis=1)
        height, width = height[:, 0], width[:, 0]
        part_height = tf.where(found, tf.gather(heights, first, batch_dims=1), self._tallest(height, width))
        part_width = tf.where(found, tf.gather(widths, first, batch_dims=1), self._widest(height, width))
        across, down = random.uniform("crop left"), random.uniform("crop top")
        top = tf.where(found, tf.floor(down * (height - part_height + 1)), tf.floor((height - part_height) / 2))
        left = tf.where(found, tf.floor(across * (width - part_width + 1)), tf.floor((width - part_width) / 2))
        return tf.cast(tf.stack([top, left, part_height, part_width], axis=1), tf.int32)

    def _tallest(self, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
        return tf.maximum(1.0, tf.minimum(height, tf.round(width / self.ratio[0])))

    def _widest(self, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
        return tf.maximum(1.0, tf.minimum(width, tf.round(height * self.ratio[1])))


def crop_resize(images: tf.Tensor, boxes: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Cut a part of each image and bring it to one size, bilinear.

    Not antialiased: it is meant for images that are no larger than `size`, whose parts it enlarges.

    Args:
        images: (batch, height, width, channels), uint8 or float.
        boxes: int32 (batch, 4): top, left, height, width.
        size: Height and width of the result.
    """
    top, left, height, width = (tf.cast(boxes[:, side], tf.float32) for side in range(4))
    down, across = height / size[0], width / size[1]
    nothing = tf.zeros_like(top)
    # Output pixel i has its centre at i + 1/2; the kernel counts from the centre of the first pixel.
    transforms = tf.stack(
        [across, nothing, left + across / 2 - 0.5, nothing, down, top + down / 2 - 0.5, nothing, nothing], axis=1
    )
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=tf.constant(size),
        interpolation="BILINEAR",
        fill_mode="NEAREST",  # a part at the edge ends with the edge's own colour
        fill_value=0.0,
    )
