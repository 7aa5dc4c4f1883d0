"""Random crops, different for each image of a batch, and mirroring."""

from __future__ import annotations

import math
from dataclasses import dataclass

import tensorflow as tf

from keras_resnet.augment.dispatch import each_its_own, identity
from keras_resnet.augment.randomness import SampleRandom, in_whole_packets, integer_between
from keras_resnet.errors import UsageError

ATTEMPTS = 10
"""Random rectangles that are tried until one fits."""


def pad_crop(images: tf.Tensor, random: SampleRandom, *, margin: int, flip: bool) -> tf.Tensor:
    """Pad with black by `margin` pixels, crop the old size at a random place, and mirror half of the images if `flip`.

    This is the CIFAR augmentation of He et al., 2015. Pixels of three bytes are slow to gather one by one. So whole
    padded rows are gathered, a black row where the image has none. Images with the same shift to the side and the
    same direction are handled together: their surplus columns are cut off and they are mirrored.

    Args:
        images: (batch, height, width, channels), any dtype; all but the batch is static.
        random: Three numbers for each sample decide the shift down, the shift right and the mirroring.
        margin: Pixels, at least 0; shifts are uniform in -margin … margin.
        flip: Mirror left and right with probability one half.

    Returns:
        Images of the same shape and dtype.
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
    """Mirror all images left and right."""
    # TensorFlow reverses three axes by whole pixels, but four axes byte by byte.
    return tf.reshape(tf.reverse(tf.reshape(images, (-1, *images.shape[2:])), [1]), tf.shape(images))


def flip(images: tf.Tensor, random: SampleRandom) -> tf.Tensor:
    """Mirror half of the images left and right."""
    chosen = tf.cast(random.event("flip", 0.5), tf.int32)
    return each_its_own(images, (identity, lambda part, _: mirror(part)), chosen, tf.zeros(tf.shape(chosen)))


@dataclass(frozen=True)
class ResizedCrop:
    """A part of random size, shape and place, resized to the network's input (Szegedy et al., 2014).

    Sizes and shapes are drawn as in torchvision: up to ten tries of an area and a log-uniform aspect ratio. If none
    fits into the image, the crop is the largest centred part with an allowed ratio.

    Args:
        scale: Smallest and largest share of the image's area, in (0, 1].
        ratio: Smallest and largest width divided by height, above 0.

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
        """Draw the part of each image.

        Args:
            sizes: int32 (batch, 2), height and width of each image in pixels.
            random: The randomness of the batch.

        Returns:
            int32 (batch, 4): top, left, height and width of each part in pixels, inside its image.
        """
        height, width = (tf.cast(sizes[:, side], tf.float32)[:, None] for side in (0, 1))
        area = height * width * random.several("crop area", ATTEMPTS, *self.scale)
        logarithm = random.several("crop ratio", ATTEMPTS, math.log(self.ratio[0]), math.log(self.ratio[1]))
        ratio = in_whole_packets(tf.exp, logarithm)
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
    """Crop a part of each image and resize all to one size, bilinear.

    It does not antialias: it is meant for images that are no larger than `size`, so that parts are enlarged.

    Args:
        images: (batch, height, width, channels), uint8 or float.
        boxes: int32 (batch, 4): top, left, height, width in pixels.
        size: Height and width of the results in pixels.

    Returns:
        (batch, *size, channels), of the images' dtype.
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
        fill_mode="NEAREST",  # beyond the edge, the colour of the edge
        fill_value=0.0,
    )
