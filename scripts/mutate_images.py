"""Damage small images of every format at random, decode each, whole and in part, and count what becomes of them.

python scripts/mutate_images.py --count 2000 --seed 0

Nothing but an `ImageError` may be raised, and none for a part of what is decoded as a whole. The seed and an image's
number make the same image again.
"""

import argparse
import io
import resource
import struct
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from keras_resnet.images.decode import decode, decode_box
from keras_resnet.images.image_file import ImageError, read_header
from keras_resnet.preprocessing import Fit

FORMATS: tuple[dict[str, object], ...] = (
    {"format": "JPEG"}, {"format": "JPEG", "progressive": True}, {"format": "JPEG", "mode": "CMYK"},
    {"format": "JPEG", "mode": "L", "restart_marker_blocks": 1}, {"format": "PNG"}, {"format": "PNG", "mode": "RGBA"},
    {"format": "PNG", "mode": "P", "transparency": 3}, {"format": "GIF", "mode": "P"}, {"format": "BMP"},
    {"format": "WEBP"}, {"format": "WEBP", "mode": "RGBA", "lossless": True}, {"format": "TIFF"},
    {"format": "TIFF", "compression": "tiff_lzw"},
)  # fmt: skip
ODD_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@dataclass
class Outcome:
    counts: Counter[str] = field(default_factory=Counter)  # decoded, and the reason codes
    failures: list[tuple[int, str]] = field(default_factory=list)  # an image's number, and what was no `ImageError`
    longest: float = 0.0  # seconds for one image
    memory: float = 0.0  # MiB by which the process's peak grew


def corpus() -> list[bytes]:
    """A small valid image of each format."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8))
    contents = []
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    for options in FORMATS:
        stream = io.BytesIO()
        mode = str(options.get("mode", "RGB"))
        picture.convert(mode).save(stream, exif=exif, **{k: v for k, v in options.items() if k != "mode"})
        contents.append(stream.getvalue())
    return contents


def damaged(contents: list[bytes], random: np.random.Generator) -> bytes:
    """One of the images with one to four injuries."""
    content = bytearray(contents[random.integers(len(contents))])
    for _ in range(random.integers(1, 5)):
        start, end = sorted(random.integers(0, len(content) + 1, 2).tolist())
        place = start if random.random() < 0.5 else int(random.integers(0, min(64, len(content)) + 1))  # or the header
        match random.integers(7):
            case 0:  # a bit
                content[place : place + 1] = bytes(b ^ 1 << random.integers(8) for b in content[place : place + 1])
            case 1:  # some bytes
                content[place : place + 8] = random.bytes(len(content[place : place + 8]))
            case 2:
                del content[end:]
            case 3:
                del content[start : min(end, start + 64)]
            case 4:
                content[start:start] = content[start:end]
            case 5:  # the end of another image
                other = contents[random.integers(len(contents))]
                content[end:] = other[random.integers(len(other)) :]
            case 6:  # a size or length
                layout = str(random.choice(["<I", ">I", "<H", ">H"]))
                number = int(random.choice(ODD_NUMBERS)) % 256 ** struct.calcsize(layout)
                content[place : place + struct.calcsize(layout)] = struct.pack(layout, number)
    return bytes(content)


def mutate(count: int, seed: int) -> Outcome:
    """Decode `count` damaged images."""
    contents, outcome = corpus(), Outcome()
    for content in contents:
        decode(content, Fit((32, 24), 3))  # undamaged
        decode_corner(content)  # TensorFlow is imported, and the resize compiled
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        content = damaged(contents, np.random.default_rng([seed, number]))
        start = time.perf_counter()
        try:
            decode(content, Fit((32, 32), 3))
            outcome.counts["decoded"] += 1
            try:
                decode_corner(content)
            except ImageError as error:
                outcome.failures.append((number, f"decoded as a whole, not in part: {error}"))
        except ImageError as error:
            outcome.counts[error.code] += 1
        except Exception as error:
            outcome.failures.append((number, f"{type(error).__name__}: {error}"))
        outcome.longest = max(outcome.longest, time.perf_counter() - start)
    outcome.memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return outcome


def decode_corner(content: bytes) -> None:
    """The last quarter of an image, as random crops are decoded."""
    header = read_header(content)
    height, width = header.upright
    decode_box(content, header, (height // 2, width // 2, height - height // 2, width - width // 2), Fit((16, 16), 3))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds-limit", type=float, default=20.0, help="more for one image is a failure")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata
    outcome = mutate(options.count, options.seed)
    for code, count in outcome.counts.most_common():
        print(f"{count:6} {code}")
    print(f"longest {outcome.longest:.2f} s, peak memory grew by {outcome.memory:.0f} MiB")
    for number, error in outcome.failures:
        print(f"seed {options.seed}, image {number}: {error}", file=sys.stderr)
    return int(bool(outcome.failures) or outcome.longest > options.seconds_limit)


if __name__ == "__main__":
    sys.exit(main())
