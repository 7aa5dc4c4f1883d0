"""When an image was taken, and with what: what cameras write into their files (EXIF 3.0, CIPA DC-008-2023)."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime

from PIL import Image

WITHOUT_PIXELS = ("JPEG", "TIFF", "WEBP")
"""Formats whose EXIF Pillow gives without decoding the pixels."""
MAKE, MODEL, DIGITISED, EXIF = 0x010F, 0x0110, 0x0132, 0x8769
TAKEN, FRACTION = 0x9003, 0x9291


@dataclass(frozen=True)
class Capture:
    """What a file says of its taking.

    Args:
        time: In seconds, by the camera's own clock; None: it does not say.
        camera: Make and model; empty: it does not say.
    """

    time: float | None = None
    camera: str = ""


def capture(content: bytes) -> Capture:
    """What an image file says of its taking; nothing of a file that says nothing, or is broken.

    Args:
        content: Of the file.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> tags = Image.Exif()
        >>> tags[0x010F], tags[0x0110], tags[0x0132] = "Canon", "Canon EOS 550D", "1970:01:01 00:01:40"
        >>> file = io.BytesIO()
        >>> Image.new("RGB", (8, 8)).save(file, "JPEG", exif=tags)
        >>> capture(file.getvalue())
        Capture(time=100.0, camera='Canon EOS 550D')
    """
    try:
        with Image.open(io.BytesIO(content), formats=WITHOUT_PIXELS) as image:
            return capture_of(image)
    except Exception:  # no image, or one of another format
        return Capture()


def capture_of(image: Image.Image) -> Capture:
    """As `capture`, of an image that is open.

    Args:
        image: As Pillow opens it.
    """
    try:
        tags = image.getexif()
        inner = tags.get_ifd(EXIF)
        camera = _camera(_text(tags.get(MAKE)), _text(tags.get(MODEL)))
        moment, fraction = _text(inner.get(TAKEN)) or _text(tags.get(DIGITISED)), _text(inner.get(FRACTION))
    except Exception:  # EXIF is broken in even more ways than images are
        return Capture()
    return Capture(_seconds(moment, fraction), camera)


def _text(value: object) -> str:
    """A tag as one line of printable text."""
    text = "".join(one for one in value if one.isprintable()) if isinstance(value, str) else ""
    return " ".join(text.split())


def _camera(make: str, model: str) -> str:
    """`Apple`, `iPhone 7` is the Apple iPhone 7, and `Canon`, `Canon EOS 550D` the Canon EOS 550D."""
    return model if model.lower().startswith(make.lower()) else f"{make} {model}".strip()


def _seconds(moment: str, fraction: str) -> float | None:
    try:
        seconds = datetime.strptime(moment[:19], "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    except ValueError:  # none, or 0000:00:00 of a clock that was never set
        return None
    return seconds + (float(f"0.{fraction}") if fraction.isdecimal() else 0.0)
