"""The corruptions of Hendrycks and Dietterich, for images of any size.

Benchmarking Neural Network Robustness to Common Corruptions and Perturbations (2019): fifteen corruptions of four
families and four more, each in five severities. Formulas and numbers are those of the programs that made ImageNet-C
(for 224 pixels) and CIFAR-10-C (for 32); an image takes the numbers of the size that its own is nearer to. All is
computed with NumPy, SciPy and Pillow. What differs from the published sets:

- frost is a texture that is computed, in place of their photographs, so its figures are not comparable with theirs;
- images are not saved as JPEG afterwards, as those of ImageNet-C are;
- OpenCV's and ImageMagick's filters are computed by their formulas, without rounding to whole numbers in between;
- random numbers are others.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from keras_resnet.errors import DataError, UsageError, listed, nearest

SEVERITIES = (1, 2, 3, 4, 5)
LARGE, SMALL = 224, 32
BETWEEN = round(math.sqrt(LARGE * SMALL))
"""Images whose shorter side has fewer pixels are nearer to 32 than to 224."""
ELASTIC_SIDE = 244 / 224
"""For ImageNet-C, lengths were taken of 244 pixels where images have 224."""

Corrupting = Callable[[np.ndarray, Any, np.random.Generator], np.ndarray]
"""An image, float64 (height, width, channels) in 0–1; a severity's numbers; randomness → an image, which is clipped."""


@dataclass(frozen=True)
class Corruption:
    """One way in which images get worse.

    Args:
        family: `noise`, `blur`, `weather` or `digital`.
        apply: What it does.
        large: The numbers of the five severities, for images of about 224 pixels.
        small: The same for about 32.
        is_extra: Whether it is one of the four that mean figures leave out.
    """

    family: str
    apply: Corrupting
    large: tuple[Any, ...]
    small: tuple[Any, ...]
    is_extra: bool = False


def corrupt(images: np.ndarray, name: str, severity: int, seed: int = 0) -> np.ndarray:
    """Make images worse, as ImageNet-C and CIFAR-10-C do.

    The randomness of an image depends on the seed, the corruption, the severity and its own pixels: so it does not
    depend on which images are in a batch with it.

    Args:
        images: uint8 (n, height, width, channels) or (height, width, channels), of 1 or 3 channels.
        name: `gaussian_noise`, `shot_noise`, `impulse_noise`; `defocus_blur`, `glass_blur`, `motion_blur`, `zoom_blur`;
            `snow`, `frost`, `fog`, `brightness`; `contrast`, `elastic_transform`, `pixelate`, `jpeg_compression`; and
            the extra `speckle_noise`, `gaussian_blur`, `spatter`, `saturate`.
        severity: 1–5.
        seed: Of the randomness, 0 or more.

    Returns:
        uint8, of the same shape.

    Raises:
        DataError: The images have another type or shape.
        UsageError: There is no such corruption or severity.

    Example:
        >>> import numpy as np
        >>> import keras_resnet
        >>> images = np.full((2, 32, 32, 3), 128, np.uint8)
        >>> worse = keras_resnet.corrupt(images, "gaussian_noise", severity=3)
        >>> worse.shape, worse.dtype, bool(18 < worse.std() < 22)  # 0.08 of 255 is 20.4
        ((2, 32, 32, 3), dtype('uint8'), True)
    """
    row = CORRUPTIONS.get(name)
    if row is None:
        near = nearest(name, CORRUPTIONS)
        raise UsageError(
            f"there is no corruption {name!r}{f'; did you mean {near!r}?' if near else ''} There are "
            f"{listed(CORRUPTIONS, len(CORRUPTIONS))}"
        )
    if severity not in SEVERITIES or seed < 0:
        raise UsageError(f"severity must be 1–5 and seed 0 or more; received {severity!r} and {seed!r}")
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.shape[-1] not in (1, 3) or not images.size:
        raise DataError(
            "expected images of uint8 (n, height, width, channels), of 1 or 3 channels; received "
            f"{images.dtype}{images.shape}"
        )
    if images.ndim == 3:
        return corrupt(images[None], name, severity, seed)[0]
    numbers = (row.small if min(images.shape[1:3]) < BETWEEN else row.large)[severity - 1]
    place = list(CORRUPTIONS).index(name)
    worse = np.empty_like(images)
    for number, image in enumerate(images):
        digest = hashlib.sha256(image.tobytes()).digest()[:16]
        random = np.random.default_rng([seed, place, severity, *np.frombuffer(digest, "<u4").tolist()])
        found = np.clip(row.apply(image / 255.0, numbers, random), 0, 1)
        worse[number] = 255 * found + 1e-6  # cut off as theirs are, but not because of rounding errors
    return worse


# Noise


def _gaussian_noise(image: np.ndarray, deviation: float, random: np.random.Generator) -> np.ndarray:
    return image + random.normal(0, deviation, image.shape)


def _shot_noise(image: np.ndarray, photons: float, random: np.random.Generator) -> np.ndarray:
    return random.poisson(image * photons) / photons


def _impulse_noise(image: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    hit, salt = random.random(image.shape) <= share, random.random(image.shape) <= 0.5
    return np.where(hit, salt, image)


def _speckle_noise(image: np.ndarray, deviation: float, random: np.random.Generator) -> np.ndarray:
    return image + image * random.normal(0, deviation, image.shape)


# Blur


def _blurred(image: np.ndarray, deviation: float, mode: str = "nearest", truncate: float = 4.0) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    axes = (deviation, deviation, 0)[: image.ndim]
    return gaussian_filter(image, axes, mode=mode, truncate=truncate)


def _gaussian_blur(image: np.ndarray, deviation: float, random: np.random.Generator) -> np.ndarray:
    return _blurred(image, deviation)


def _disk(radius: float, deviation: float) -> np.ndarray:
    """A disk whose edge is softened; its outer zeros are left out."""
    from scipy.ndimage import correlate1d

    reach, half = (8, 1) if radius <= 8 else (math.ceil(radius), 2)
    line = np.arange(-reach, reach + 1)
    disk = (line[:, None] ** 2 + line**2 <= radius**2).astype(np.float64)
    disk /= disk.sum()
    kernel = np.exp(-(np.arange(-half, half + 1) ** 2) / (2 * deviation**2))
    for axis in (0, 1):
        disk = correlate1d(disk, kernel / kernel.sum(), axis, mode="mirror")
    used = np.flatnonzero(disk.any(axis=0))
    return disk[used[0] : used[-1] + 1, used[0] : used[-1] + 1]


def _defocus_blur(image: np.ndarray, disk: tuple[float, float], random: np.random.Generator) -> np.ndarray:
    from scipy.ndimage import correlate

    return correlate(image, _disk(*disk)[..., None], mode="mirror")


def _glass_blur(image: np.ndarray, numbers: tuple[float, int, int], random: np.random.Generator) -> np.ndarray:
    deviation, most, rounds = numbers
    height, width = image.shape[:2]
    blurred = _blurred(image, deviation).reshape(height * width, -1)
    source = list(range(height * width))
    for _ in range(rounds):
        rows, columns = range(height - most, most, -1), range(width - most, most, -1)
        moves = random.integers(-most, most, (len(rows), len(columns), 2))
        offsets = (moves[..., 1] * width + moves[..., 0]).tolist()
        for row, line in zip(rows, offsets, strict=True):
            for column, offset in zip(columns, line, strict=True):
                # The paper exchanges the two pixels. Its program gives this one the other's colour and leaves the other
                # alone, as NumPy's views do in such an exchange; so were the published images made.
                here = row * width + column
                source[here] = source[here + offset]
    return _blurred(blurred[source].reshape(image.shape), deviation)


def _motion(image: np.ndarray, radius: int, deviation: float, angle: float) -> np.ndarray:
    """ImageMagick's motion blur: half a Gaussian along a line of whole pixels.

    Args:
        image: (height, width, channels).
        radius: The line has 2·radius + 1 pixels.
        deviation: Of the Gaussian, in pixels.
        angle: Of the line, in degrees.
    """
    height, width = image.shape[:2]
    steps = np.arange(2 * radius + 1)
    shares = np.exp(-(steps**2) / (2 * deviation**2))
    direction = math.radians(angle)
    down = np.ceil(steps * math.sin(direction) - 0.5).astype(np.int64)
    right = np.ceil(steps * math.cos(direction) - 0.5).astype(np.int64)
    found = np.zeros(image.shape)
    for share, dy, dx in zip(shares / shares.sum(), down, right, strict=True):
        rows, columns = np.clip(np.arange(height) + dy, 0, height - 1), np.clip(np.arange(width) + dx, 0, width - 1)
        found += share * image[rows[:, None], columns]
    return found


def _motion_blur(image: np.ndarray, numbers: tuple[int, float], random: np.random.Generator) -> np.ndarray:
    return _motion(image, *numbers, random.uniform(-45, 45))


def _zoomed(image: np.ndarray, factor: float) -> np.ndarray:
    """The middle of an image, enlarged to its size by linear interpolation where SciPy's `zoom` has its pixels."""
    for axis, side in enumerate(image.shape[:2]):
        part = math.ceil(side / factor)
        longer = round(part * factor)
        places = np.linspace(0, part - 1, longer)[(longer - side) // 2 :][:side]
        before = np.minimum(places.astype(np.int64), max(part - 2, 0))
        share = (places - before).reshape(-1, *(1,) * (2 - axis))
        before += (side - part) // 2
        after = np.minimum(before + 1, side - 1)
        image = image.take(before, axis) * (1 - share) + image.take(after, axis) * share
    return image


def _zoom_blur(image: np.ndarray, factors: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return (image + sum(_zoomed(image, factor) for factor in factors)) / (len(factors) + 1)


# Weather


def _plasma(shape: tuple[int, ...], decay: float, random: np.random.Generator) -> np.ndarray:
    """A plasma fractal by the diamond-square algorithm, (height, width) in 0–1.

    Args:
        shape: Of the image.
        decay: By how much the noise falls from a scale to the next finer one.
        random: Where numbers come from.
    """
    side = 1 << max(1, (max(shape[:2]) - 1).bit_length())
    field, step, noise = np.zeros((side, side)), side, 100.0

    def around(total: np.ndarray) -> np.ndarray:
        return total / 4 + noise * random.uniform(-noise, noise, total.shape)

    while step >= 2:
        half = step // 2
        corners = field[::step, ::step]
        squares = corners + np.roll(corners, -1, axis=0)
        field[half::step, half::step] = around(squares + np.roll(squares, -1, axis=1))
        centres = field[half::step, half::step]
        beside = centres + np.roll(centres, 1, axis=0) + corners + np.roll(corners, -1, axis=1)
        field[::step, half::step] = around(beside)
        above = centres + np.roll(centres, 1, axis=1) + corners + np.roll(corners, -1, axis=0)
        field[half::step, ::step] = around(above)
        step, noise = half, noise / decay
    field -= field.min()
    return (field / field.max())[: shape[0], : shape[1]]


def _fog(image: np.ndarray, numbers: tuple[float, float], random: np.random.Generator) -> np.ndarray:
    density, decay = numbers
    most = image.max()
    return (image + density * _plasma(image.shape, decay, random)[..., None]) * most / (most + density)


def _frost_texture(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Ice on a pane: ridges of fractals are needles, a smooth fractal says where ice is thick; (height, width, 3)."""
    needles = [1 - np.abs(2 * _plasma(shape, decay, random) - 1) for decay in (1.6, 2.0)]
    thick = _plasma(shape, 2.2, random)
    ice = np.clip(0.15 + 0.5 * thick + 0.6 * needles[0] ** 4 + 0.3 * needles[1] ** 8, 0, 1)
    return ice[..., None] * np.array([0.84, 0.93, 1.0])


def _frost(image: np.ndarray, numbers: tuple[float, float], random: np.random.Generator) -> np.ndarray:
    texture = _frost_texture(image.shape, random)
    return numbers[0] * image + numbers[1] * (texture if image.shape[2] == 3 else _grey(texture))


def _grey(image: np.ndarray) -> np.ndarray:
    """Luma (BT.601), (height, width, 1)."""
    return image @ np.array([0.299, 0.587, 0.114])[:, None] if image.shape[2] == 3 else image


def _snow(image: np.ndarray, numbers: tuple[float, ...], random: np.random.Generator) -> np.ndarray:
    mean, deviation, zoom, least, radius, blur, share = numbers
    flakes = _zoomed(random.normal(mean, deviation, (*image.shape[:2], 1)), zoom)
    flakes = np.clip(np.where(flakes < least, 0, flakes), 0, 1)
    flakes = _motion(flakes, int(radius), blur, random.uniform(-135, -45))
    whiter = np.maximum(image, _grey(image) * 1.5 + 0.5)
    return share * image + (1 - share) * whiter + flakes + np.rot90(flakes, 2)


def _edges(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """Canny's edges, bool (height, width), as OpenCV computes them with a Sobel filter of 3×3."""
    from scipy.ndimage import label, sobel

    across, down = (sobel(image, axis, mode="nearest") for axis in (1, 0))
    strength = np.abs(across) + np.abs(down)
    padded = np.pad(strength, 1)

    def beside(dy: int, dx: int) -> np.ndarray:
        return padded[1 + dy : padded.shape[0] - 1 + dy, 1 + dx : padded.shape[1] - 1 + dx]

    slope = math.tan(math.pi / 8)
    flat, steep = np.abs(down) <= slope * np.abs(across), np.abs(across) <= slope * np.abs(down)
    falls = across * down < 0
    first = np.select([flat, steep, falls], [beside(0, -1), beside(-1, 0), beside(-1, 1)], beside(-1, -1))
    second = np.select([flat, steep, falls], [beside(0, 1), beside(1, 0), beside(1, -1)], beside(1, 1))
    thin = (strength > first) & np.where(flat | steep, strength >= second, strength > second) & (strength > low)
    pieces, _ = label(thin, np.ones((3, 3)))
    strong = np.unique(pieces[thin & (strength > high)])
    return np.isin(pieces, strong[strong > 0])


def _equalised(values: np.ndarray) -> np.ndarray:
    """A histogram spread over 0–255; whole numbers in, whole numbers out."""
    counts = np.bincount(values.ravel(), minlength=256)
    total, first = np.cumsum(counts), counts[counts > 0][0]
    if first == values.size:
        return values
    return np.rint((total - first).clip(0) * 255 / (values.size - first)).astype(np.int64)[values]


def _spatter(image: np.ndarray, numbers: tuple[float, ...], random: np.random.Generator) -> np.ndarray:
    from scipy.ndimage import correlate, distance_transform_edt, uniform_filter

    mean, deviation, blur, least, strength, is_mud = numbers
    liquid = _blurred(random.normal(mean, deviation, image.shape[:2]), blur)
    liquid[liquid < least] = 0
    if is_mud:
        drops = _blurred((liquid > least).astype(np.float64), strength)[..., None]
        drops[drops < 0.8] = 0
        return image * (1 - drops) + drops * _coloured((63, 42, 20), image)
    liquid = np.floor(255 * np.clip(liquid, 0, 1))
    edges = _edges(liquid, 50, 150)
    far = np.minimum(distance_transform_edt(~edges), 20) if edges.any() else np.full(liquid.shape, 20.0)
    far = _equalised(uniform_filter(far, 3, mode="mirror").astype(np.int64)).astype(np.float64)
    relief = correlate(far, np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float64), mode="mirror").clip(0, 255)
    drops = liquid * uniform_filter(relief, 3, mode="mirror")
    drops = strength * drops / max(float(drops.max()), 1e-9)
    return image + drops[..., None] * _coloured((175, 238, 238), image)


def _coloured(colour: tuple[int, int, int], image: np.ndarray) -> np.ndarray:
    """A colour in as many channels as an image has."""
    shown = np.array(colour)[None, None] / 255
    return shown if image.shape[2] == 3 else _grey(shown)


def _brightness(image: np.ndarray, more: float, random: np.random.Generator) -> np.ndarray:
    """More of HSV's value; hue and saturation stay, so that all channels grow in proportion."""
    value = image.max(axis=2, keepdims=True)
    brighter = np.minimum(value + more, 1)
    return np.where(value > 0, image * brighter / np.maximum(value, 1e-9), brighter)


# Digital


def _contrast(image: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    means = image.mean(axis=(0, 1), keepdims=True)
    return (image - means) * share + means


def _saturate(image: np.ndarray, numbers: tuple[float, float], random: np.random.Generator) -> np.ndarray:
    """More or less of HSV's saturation. Grey, which has no hue, counts as red; images of one channel stay."""
    if image.shape[2] == 1:
        return image
    value = image.max(axis=2, keepdims=True)
    fall = value - image
    least = fall.max(axis=2, keepdims=True)
    saturation = np.where(value > 0, least / np.maximum(value, 1e-9), 0)
    wanted = np.clip(saturation * numbers[0] + numbers[1], 0, 1)
    share = np.where(least > 0, fall / np.maximum(least, 1e-9), np.array([0.0, 1.0, 1.0]))  # of the fall, 0–1
    return value * (1 - wanted * share)


def _pillow(image: np.ndarray) -> Image.Image:
    return Image.fromarray(np.rint(255 * image).astype(np.uint8)[..., 0 if image.shape[2] == 1 else slice(None)])


def _pixels(image: Image.Image, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(image).reshape(shape) / 255


def _jpeg_compression(image: np.ndarray, quality: int, random: np.random.Generator) -> np.ndarray:
    stream = io.BytesIO()
    _pillow(image).save(stream, "JPEG", quality=quality)
    with Image.open(stream) as opened:
        return _pixels(opened, image.shape)


def _pixelate(image: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    few = max(1, int(width * share)), max(1, int(height * share))
    smaller = _pillow(image).resize(few, Image.Resampling.BOX)
    return _pixels(smaller.resize((width, height), Image.Resampling.BOX), image.shape)


def _elastic_transform(image: np.ndarray, numbers: tuple[float, ...], random: np.random.Generator) -> np.ndarray:
    """A random affine map, then each pixel a little elsewhere.

    Args:
        image: As `Corrupting`.
        numbers: How far pixels go, how smoothly, and how far the corners of the affine map go, as shares of the side.
        random: Where numbers come from.
    """
    from scipy.ndimage import map_coordinates

    height, width, channels = image.shape
    far, smooth, corners = (min(height, width) * number for number in numbers)
    middle, reach = np.array([height // 2, width // 2]), min(height, width) // 3
    before = middle + reach * np.array([[1, 1], [1, -1], [-1, -1]])
    after = before + random.uniform(-corners, corners, (3, 2))
    here = np.indices((height, width)).reshape(2, -1).T
    back, *_ = np.linalg.lstsq(np.c_[after, np.ones(3)], before, rcond=None)
    places = (np.c_[here, np.ones(len(here))] @ back).T
    moved = np.empty(image.shape)
    for one in range(channels):
        moved[..., one] = map_coordinates(image[..., one], places, order=1, mode="mirror").reshape(height, width)
    offsets = [far * _blurred(random.uniform(-1, 1, (height, width)), smooth, "reflect", 3.0).ravel() for _ in range(2)]
    places = here.T + np.array(offsets)
    found = np.empty(image.shape)
    for one in range(channels):
        found[..., one] = map_coordinates(moved[..., one], places, order=1, mode="reflect").reshape(height, width)
    return found


def _steps(ends: tuple[tuple[float, float], ...]) -> tuple[np.ndarray, ...]:
    """Factors of zoom from 1 on, up to an end that is left out."""
    return tuple(np.arange(1, end, step) for end, step in ends)


def _shares(*numbers: tuple[float, float, float], side: float = 1.0) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(side * one for one in row) for row in numbers)


CORRUPTIONS: dict[str, Corruption] = {
    "gaussian_noise": Corruption(
        "noise", _gaussian_noise, (0.08, 0.12, 0.18, 0.26, 0.38), (0.04, 0.06, 0.08, 0.09, 0.10)
    ),
    "shot_noise": Corruption("noise", _shot_noise, (60, 25, 12, 5, 3), (500, 250, 100, 75, 50)),
    "impulse_noise": Corruption(
        "noise", _impulse_noise, (0.03, 0.06, 0.09, 0.17, 0.27), (0.01, 0.02, 0.03, 0.05, 0.07)
    ),
    "defocus_blur": Corruption(
        "blur",
        _defocus_blur,
        ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
        ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    ),
    "glass_blur": Corruption(
        "blur",
        _glass_blur,
        ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
        ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    ),
    "motion_blur": Corruption(
        "blur",
        _motion_blur,
        ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
        ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    ),
    "zoom_blur": Corruption(
        "blur",
        _zoom_blur,
        _steps(((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))),
        _steps(((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01))),
    ),
    "snow": Corruption(
        "weather",
        _snow,
        (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
    ),
    "frost": Corruption(
        "weather",
        _frost,
        ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
        ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
    ),
    "fog": Corruption(
        "weather",
        _fog,
        ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
        ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    ),
    "brightness": Corruption("weather", _brightness, (0.1, 0.2, 0.3, 0.4, 0.5), (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": Corruption("digital", _contrast, (0.4, 0.3, 0.2, 0.1, 0.05), (0.75, 0.5, 0.4, 0.3, 0.15)),
    "elastic_transform": Corruption(
        "digital",
        _elastic_transform,
        _shares(
            (2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02), side=ELASTIC_SIDE
        ),
        _shares((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    ),
    "pixelate": Corruption("digital", _pixelate, (0.6, 0.5, 0.4, 0.3, 0.25), (0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg_compression": Corruption("digital", _jpeg_compression, (25, 18, 15, 10, 7), (80, 65, 58, 50, 40)),
    "speckle_noise": Corruption(
        "noise", _speckle_noise, (0.15, 0.2, 0.35, 0.45, 0.6), (0.06, 0.1, 0.12, 0.16, 0.2), is_extra=True
    ),
    "gaussian_blur": Corruption("blur", _gaussian_blur, (1, 2, 3, 4, 6), (0.4, 0.6, 0.7, 0.8, 1), is_extra=True),
    "spatter": Corruption(
        "weather",
        _spatter,
        (
            (0.65, 0.3, 4, 0.69, 0.6, 0),
            (0.65, 0.3, 3, 0.68, 0.6, 0),
            (0.65, 0.3, 2, 0.68, 0.5, 0),
            (0.65, 0.3, 1, 0.65, 1.5, 1),
            (0.67, 0.4, 1, 0.65, 1.5, 1),
        ),
        (
            (0.62, 0.1, 0.7, 0.7, 0.5, 0),
            (0.65, 0.1, 0.8, 0.7, 0.5, 0),
            (0.65, 0.3, 1, 0.69, 0.5, 0),
            (0.65, 0.1, 0.7, 0.69, 0.6, 1),
            (0.65, 0.1, 0.5, 0.68, 0.6, 1),
        ),
        is_extra=True,
    ),
    "saturate": Corruption(
        "digital",
        _saturate,
        ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
        ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
        is_extra=True,
    ),
}
"""By name, in the paper's order; the extra ones last."""
PUBLISHED = tuple(name for name, row in CORRUPTIONS.items() if not row.is_extra)
"""The fifteen that the mean corruption error is of."""
