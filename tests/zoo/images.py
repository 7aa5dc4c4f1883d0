"""Odd and broken images, made here byte by byte, each with the pixels a person would see or the reason it is refused.

The expected pixels come from what an image was made of, never from the decoder.
"""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

Pixels = np.ndarray
"""uint8 (height, width) or (height, width, 3)."""


@dataclass(frozen=True)
class Specimen:
    """One image file.

    Args:
        name: What is odd about it.
        content: The file.
        expected: Its upright pixels, or a key of `decode.REASONS`.
        tolerance: How far a pixel may be off: 0, or what a lossy format loses.
        rows: Compare only so many rows; None for all.
        suffix: Of the file name.
    """

    name: str
    content: bytes
    expected: Pixels | str
    tolerance: int = 0
    rows: int | None = None
    suffix: str = ".jpg"


def random(*shape: int, below: int = 256, seed: int = 7) -> Pixels:
    return np.random.default_rng(seed).integers(0, below, shape).astype(np.uint8)


def smooth(height: int, width: int) -> Pixels:
    """Slow gradients, which lossy formats keep."""
    rows, columns = np.indices((height, width))
    return np.stack([60 + 6 * rows, 50 + 5 * columns, 200 - 3 * rows - 3 * columns], -1).astype(np.uint8)


def over_white(colour: Pixels, alpha: Pixels) -> Pixels:
    share = alpha.astype(float)[..., None] / 255
    return np.rint(colour * share + 255 * (1 - share)).astype(np.uint8)


def eight_bits(values: np.ndarray) -> Pixels:
    return np.rint(values / 257).astype(np.uint8)


def encoded(pixels: Pixels | Image.Image, file_format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, file_format, **options)
    return stream.getvalue()


def packed(values: Pixels, bits: int) -> list[bytes]:
    """Rows of values of 1, 2, 4 or 8 bits."""
    unpacked = np.unpackbits(values[..., None], axis=-1)[..., 8 - bits :]
    return [np.packbits(row.reshape(-1)).tobytes() for row in unpacked]


def upright(orientation: int, stored: Pixels) -> Pixels:
    """What EXIF says of where row 0 and column 0 of the stored image are to be seen."""
    height, width = stored.shape[:2]
    tall, wide = (width, height) if orientation > 4 else (height, width)
    seen = np.empty((tall, wide, *stored.shape[2:]), np.uint8)
    for row in range(height):
        for column in range(width):
            right, low = width - 1 - column, height - 1 - row
            place = {
                1: (row, column), 2: (row, right), 3: (low, right), 4: (low, column),
                5: (column, row), 6: (column, low), 7: (right, low), 8: (right, row),
            }[orientation]  # fmt: skip
            seen[place] = stored[row, column]
    return seen


# --- PNG ---

ALPHA = np.array([0, 1, 64, 127, 128, 254, 255], np.uint8) * np.ones((5, 1), np.uint8)
RGB = random(5, 7, 3)
GREY = random(5, 7)
DEEP = np.random.default_rng(3).integers(0, 65536, (5, 7)).astype(">u2")
DEEP_RGB = np.random.default_rng(4).integers(0, 65536, (5, 7, 3)).astype(">u2")
PALETTE = random(256, 3, seed=9)


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    size: tuple[int, int],
    bits: int,
    kind: int,
    rows: list[bytes],
    *,
    before: bytes = b"",
    after: bytes = b"",
    end: bytes = chunk(b"IEND"),
    interlaced: bool = False,
) -> bytes:
    header = struct.pack(">IIBBBBB", size[1], size[0], bits, kind, 0, 0, interlaced)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + chunk(b"IDAT", data) + after + end


def png_of(pixels: np.ndarray, kind: int, **options: Any) -> bytes:
    """8 or 16 bits a channel."""
    bits = 8 * pixels.dtype.itemsize
    return png(pixels.shape[:2], bits, kind, [row.tobytes() for row in pixels], **options)


def interlaced_png(pixels: Pixels) -> bytes:
    """In the seven passes that Adam M. Costello thought out."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    parts = [pixels[top::down, left::right] for top, left, down, right in passes]
    return png(pixels.shape[:2], 8, 2, [row.tobytes() for part in parts if part.size for row in part], interlaced=True)


def exif(orientation: int) -> bytes:
    return b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHHI", 0x0112, 3, 1, orientation, 0, 0)


def flipped(content: bytes, position: int, mask: int = 0xFF) -> bytes:
    changed = bytearray(content)
    changed[position] ^= mask
    return bytes(changed)


def with_size(content: bytes, position: int, layout: str, *size: int) -> bytes:
    """A header that says another size than the image has."""
    changed = bytearray(content)
    struct.pack_into(layout, changed, position, *size)
    return bytes(changed)


def png_header_only(height: int, width: int) -> bytes:
    return png((height, width), 1, 0, [b"\0"])


def pngs() -> list[Specimen]:
    rows: list[Specimen] = []

    def add(name: str, content: bytes, expected: Pixels | str, tolerance: int = 0) -> None:
        rows.append(Specimen(f"PNG {name}", content, expected, tolerance, suffix=".png"))

    for bits in (1, 2, 4, 8):
        values = random(5, 7, below=2**bits)
        colours, opacity = PALETTE[: 2**bits], random(2**bits, seed=2)
        table = chunk(b"PLTE", colours.tobytes())
        lines = packed(values, bits)
        add(f"grey of {bits} bits", png((5, 7), bits, 0, lines), values * (255 // (2**bits - 1)))
        add(f"palette of {bits} bits", png((5, 7), bits, 3, lines, before=table), colours[values])
        add(
            f"palette of {bits} bits with transparency",
            png((5, 7), bits, 3, lines, before=table + chunk(b"tRNS", opacity.tobytes())),
            over_white(colours[values], opacity[values]),
            1,
        )
    deep_alpha = ALPHA.astype(">u2") * 257
    add("grey of 16 bits", png_of(DEEP, 0), eight_bits(DEEP))
    add("RGB", png_of(RGB, 2), RGB)
    add("RGB of 16 bits", png_of(DEEP_RGB, 2), eight_bits(DEEP_RGB), 1)
    add("RGBA", png_of(np.dstack([RGB, ALPHA]), 6), over_white(RGB, ALPHA), 1)
    add(
        "RGBA of 16 bits",
        png_of(np.dstack([DEEP_RGB, deep_alpha]).astype(">u2"), 6),
        over_white(eight_bits(DEEP_RGB), ALPHA),
        2,
    )
    grey_rgb = np.dstack([GREY] * 3)
    add("grey with alpha", png_of(np.dstack([GREY, ALPHA]), 4), over_white(grey_rgb, ALPHA), 1)
    deep_grey = over_white(np.dstack([eight_bits(DEEP)] * 3), ALPHA)
    add("grey with alpha, 16 bits", png_of(np.dstack([DEEP, deep_alpha]).astype(">u2"), 4), deep_grey, 2)
    add(
        "grey with a transparent value",
        png_of(GREY, 0, before=chunk(b"tRNS", struct.pack(">H", GREY[2, 3]))),
        np.where(GREY[2, 3] == GREY, np.uint8(255), GREY),
    )
    add(
        "RGB with a transparent colour",
        png_of(RGB, 2, before=chunk(b"tRNS", struct.pack(">HHH", *RGB[1, 1]))),
        np.where((RGB[1, 1] == RGB).all(-1, keepdims=True), np.uint8(255), RGB),
    )
    for bits, step in ((2, 85), (4, 17)):
        few = random(5, 7, below=2**bits)
        clear = png((5, 7), bits, 0, packed(few, bits), before=chunk(b"tRNS", struct.pack(">H", 1)))
        add(
            f"grey of {bits} bits with a transparent value", clear, np.where(few == 1, 255, few * step).astype(np.uint8)
        )
    clear = png_of(DEEP, 0, before=chunk(b"tRNS", struct.pack(">H", DEEP[0, 0])))
    add(
        "grey of 16 bits with a transparent value", clear, np.where(DEEP[0, 0] == DEEP, np.uint8(255), eight_bits(DEEP))
    )
    # Pillow knows the high bytes of 16-bit colours only, so that (3, 2, 1) would hide the (768, 512, 256) of this one.
    colours = np.array([[[3, 2, 1], [768, 512, 256], [9000, 40_000, 65_535]]], ">u2")
    opaque = png_of(colours, 2, before=chunk(b"tRNS", colours[0, 0].tobytes()))
    add("colours of 16 bits with a transparent one, shown opaque", opaque, (colours >> 8).astype(np.uint8))

    plain = png_of(RGB, 2)
    data = plain.index(b"IDAT")
    gamma = chunk(b"gAMA", struct.pack(">I", 10_000))
    text = chunk(b"tEXt", b"Comment\0hi")
    add("interlaced", interlaced_png(RGB), RGB)
    add("with a gamma, which is not applied", png_of(RGB, 2, before=gamma), RGB)
    add("with an unknown critical chunk", png_of(RGB, 2, before=chunk(b"ABCD", b"hi")), RGB)
    add("with EXIF that turns it", png_of(RGB, 2, before=chunk(b"eXIf", exif(6))), upright(6, RGB))
    add("with EXIF behind the pixels", png_of(RGB, 2, after=chunk(b"eXIf", exif(8))), upright(8, RGB))
    add("with broken EXIF", png_of(RGB, 2, before=chunk(b"eXIf", b"MM\0*\xff\xff\xff")), RGB)
    add("without its end", png_of(RGB, 2, end=b""), RGB)
    add("with garbage behind its end", plain + b"PK\x03\x04" + bytes(500), RGB)
    add("with a wrong checksum of its header", flipped(plain, 30), "damaged")
    add("with a wrong checksum of its pixels", flipped(plain, len(plain) - 14), RGB)
    add("with a wrong checksum of its end", flipped(plain, len(plain) - 1), RGB)
    add("with a wrong checksum of a comment", png_of(RGB, 2, before=flipped(text, -1)), "damaged")
    add("with damaged pixels", flipped(plain, data + 30), "damaged")
    add("with damaged pixels and EXIF", flipped(png_of(RGB, 2, before=chunk(b"eXIf", exif(3))), data + 70), "damaged")
    add("of no width", png((5, 0), 8, 2, [b""] * 5), "damaged")
    add("of a depth of 3 bits", png((5, 7), 3, 0, [b"\0" * 3] * 5), "damaged")
    add("with a palette missing", png((5, 7), 8, 3, packed(GREY, 8)), "damaged")
    add(
        "with colours beyond its palette, shown black",
        png((1, 2), 8, 3, [b"\x00\x09"], before=chunk(b"PLTE", bytes([10, 20, 30]))),
        np.array([[[10, 20, 30], [0, 0, 0]]], np.uint8),
    )
    add("cut in its header", plain[:20], "truncated")
    add("cut in its pixels", plain[: data + 40], "truncated")
    # Its compressed stream is whole and too short, which Pillow lets pass.
    add("with rows missing, shown black", png((5, 7), 8, 0, packed(GREY[:3], 8)), np.vstack([GREY[:3], GREY[3:] * 0]))
    add("of one very long row", png((1, 65535), 8, 0, [bytes(65535)]), np.zeros((1, 65535), np.uint8))
    add("that says 100000×100000", png_header_only(100_000, 100_000), "too-large")
    add("that says 12000×12000", png_header_only(12_000, 12_000), "too-large")
    add("that says 2147483647×2147483647", png_header_only(2**31 - 1, 2**31 - 1), "too-large")
    bomb = zlib.compress(bytes(60_000_000))
    add("with a comment of 60 MB", png_of(RGB, 2, before=chunk(b"zTXt", b"Comment\0\0" + bomb)), "damaged")
    add("with a colour profile of 60 MB", png_of(RGB, 2, before=chunk(b"iCCP", b"icc\0\0" + bomb)), "damaged")
    add("with 100 comments of 1 MB", png_of(RGB, 2, before=chunk(b"zTXt", b"C\0\0" + bomb[:1200]) * 100), "damaged")
    add("of 4×4 with 60 MB of pixels", png((4, 4), 8, 0, [bytes(60_000_000)]), np.zeros((4, 4), np.uint8))
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    add("animated", encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]), RGB)
    return rows


# --- JPEG ---


def jpeg(pixels: Pixels | Image.Image, **options: Any) -> bytes:
    return encoded(pixels, "JPEG", **{"quality": 98, "subsampling": 0} | options)


def frame(content: bytes) -> int:
    """Where the frame header's marker is, baseline or progressive."""
    return max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))


def scan(content: bytes) -> int:
    """Where the first scan's coded data begin."""
    start = content.index(b"\xff\xda")
    return start + 2 + int.from_bytes(content[start + 2 : start + 4], "big")


def without_segment(content: bytes, marker: bytes) -> bytes:
    start = content.index(marker)
    return content[:start] + content[start + 2 + int.from_bytes(content[start + 2 : start + 4], "big") :]


def segment(marker: bytes, data: bytes) -> bytes:
    return marker + struct.pack(">H", len(data) + 2) + data


def jpegs() -> list[Specimen]:
    rows: list[Specimen] = []

    def add(name: str, content: bytes, expected: Pixels | str, tolerance: int = 4, **options: Any) -> None:
        rows.append(Specimen(f"JPEG {name}", content, expected, tolerance, **options))

    picture = smooth(16, 24)
    plain = jpeg(picture)
    grey = picture[..., 1]
    add("RGB 4:4:4", plain, picture)
    add("RGB 4:2:0", jpeg(picture, subsampling=2), picture, 16)
    add("grey", jpeg(grey), grey)
    add("RGB not turned into YCbCr", jpeg(picture, keep_rgb=True), picture)
    add("progressive", jpeg(picture, progressive=True), picture)
    add("with restart markers", jpeg(picture, restart_marker_blocks=1), picture)
    add("of 1×1", jpeg(smooth(1, 1)), smooth(1, 1))
    add("of odd sides, 4:2:0", jpeg(smooth(9, 17), subsampling=2), smooth(9, 17), 16)
    add("that is called .png", plain, picture, suffix=".png")
    add("with two pictures, MPO", encoded(
        Image.fromarray(picture), "MPO", quality=98, save_all=True, append_images=[Image.fromarray(255 - picture)]
    ), picture, 16)  # fmt: skip

    ink = np.zeros((8, 8, 4), np.uint8) + np.array([55, 127, 200, 40], np.uint8)
    paper = np.rint((255.0 - ink[..., :3]) * (255 - ink[..., 3:]) / 255).astype(np.uint8)
    cmyk = jpeg(Image.fromarray(ink, "CMYK"))
    add("CMYK by Adobe's custom of inverted ink", cmyk, paper)
    add("CMYK without Adobe's marker, read as inverted all the same", without_segment(cmyk, b"\xff\xee"), paper)
    # The same four numbers read as YCCK: Y = 255 - 55 and neither Cb nor Cr make a grey of 200, inverted once more.
    ycck = jpeg(Image.fromarray(np.zeros((8, 8, 4), np.uint8) + np.array([55, 127, 127, 0], np.uint8), "CMYK"))
    marker = ycck.index(b"Adobe") + 11
    add("YCCK", ycck[:marker] + b"\x02" + ycck[marker + 1 :], np.full((8, 8), 55, np.uint8))

    for orientation in range(1, 9):
        content = jpeg(picture, exif=b"Exif\0\0" + exif(orientation))
        add(f"with EXIF orientation {orientation}", content, upright(orientation, picture))
    for orientation in (0, 9, 77):
        add(f"with an EXIF orientation {orientation}", jpeg(picture, exif=b"Exif\0\0" + exif(orientation)), picture)
    for name, block in (("broken", b"MM\0*\0\0\xff\xff\xff"), ("no", b""), ("random", random(60).tobytes())):
        add(f"with {name} EXIF", plain[:2] + segment(b"\xff\xe1", b"Exif\0\0" + block) + plain[2:], picture)

    size = frame(plain) + 5
    add("cut behind its first two bytes", plain[:2], "damaged")
    add("cut in its tables", plain[:100], "truncated")
    add("cut before its scan", plain[: scan(plain) - 4], "truncated")
    add("cut in its scan", plain[: scan(plain) + 60], "truncated")
    add("cut in its scan, progressive", jpeg(picture, progressive=True)[:-40], "truncated")
    add("without its end", plain[:-2], "truncated")
    add("without its beginning", plain[2:], "not-an-image")
    add("with garbage behind its end", plain + random(300).tobytes(), picture)
    add("with garbage before its beginning", b"\n" + plain, "not-an-image")
    add("that says 65500×65500", with_size(plain, size, ">HH", 65500, 65500), "too-large")
    add("of no height", with_size(plain, size, ">HH", 0, 24), "damaged")
    add("of 12 bits", with_size(plain, size - 1, ">B", 12), "damaged")
    add("of two components", with_size(plain, size + 4, ">B", 2), "damaged")
    add("without its Huffman tables, which are the usual ones", jpeg_without_tables(plain), picture)
    # Nothing in such data is ever wrong: libjpeg makes some picture of it.
    arithmetic = flipped(plain, frame(plain) + 1, 0xC0 ^ 0xC9)
    add("that says it is arithmetic coded and is not", arithmetic, picture, 255)
    add("that says it is lossless", flipped(plain, frame(plain) + 1, 0xC0 ^ 0xC3), "damaged")
    restarts = jpeg(smooth(32, 8), restart_marker_blocks=1)
    last = restarts.rindex(b"\xff\xd2")
    # libjpeg warns of damaged coded data and goes on; so do Pillow and TensorFlow.
    broken = restarts[: last + 4] + bytes(b ^ 0x3C for b in restarts[last + 4 : -2]) + restarts[-2:]
    add("with damage that libjpeg only warns of, after its rows 0–23", broken, smooth(32, 8), rows=23)
    return rows


def jpeg_without_tables(content: bytes) -> bytes:
    """As cameras write frames of a film; libjpeg then takes the standard's tables, which Pillow's files use too."""
    while b"\xff\xc4" in content[: scan(content)]:
        content = without_segment(content, b"\xff\xc4")
    return content


# --- BMP and GIF ---


def bmp(
    size: tuple[int, int],
    bits: int,
    rows: list[bytes],
    *,
    palette: bytes = b"",
    compression: int = 0,
    masks: bytes = b"",
) -> bytes:
    data = b"".join(row if compression == 1 else row + bytes(-len(row) % 4) for row in rows)
    offset = 14 + 40 + len(masks) + len(palette)
    head = struct.pack("<2sIHHI", b"BM", offset + len(data), 0, 0, offset)
    colours = len(palette) // 4
    info = struct.pack("<IiiHHIIiiII", 40, size[1], size[0], 1, bits, compression, len(data), 2835, 2835, colours, 0)
    return head + info + masks + palette + data


def bmps() -> list[Specimen]:
    rows: list[Specimen] = []

    def add(name: str, content: bytes, expected: Pixels | str, tolerance: int = 0) -> None:
        rows.append(Specimen(f"BMP {name}", content, expected, tolerance, suffix=".bmp"))

    bgr = RGB[..., ::-1]
    for bits in (1, 4, 8):
        values = random(5, 7, below=2**bits)
        table = np.dstack([PALETTE[None, : 2**bits, ::-1], np.zeros((1, 2**bits, 1), np.uint8)]).tobytes()
        content = bmp((5, 7), bits, packed(values, bits)[::-1], palette=table)
        add(f"with a palette of {bits} bits", content, PALETTE[values])
    small = random(5, 7, 3, below=32)
    words = (small[..., 0].astype("<u2") << 10 | small[..., 1].astype("<u2") << 5 | small[..., 2]).astype("<u2")
    add("of 16 bits", bmp((5, 7), 16, [row.tobytes() for row in words[::-1]]), np.rint(small * (255 / 31)), 1)
    wide = (small[..., 0].astype("<u2") << 11 | small[..., 1].astype("<u2") << 6 | small[..., 2]).astype("<u2")
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    expected = np.rint(small * np.array([255 / 31, 2 * 255 / 63, 255 / 31]))
    add("of 5, 6 and 5 bits", bmp((5, 7), 16, [row.tobytes() for row in wide[::-1]], compression=3, masks=masks),
        expected, 1)  # fmt: skip
    plain = bmp((5, 7), 24, [row.tobytes() for row in bgr[::-1]])
    add("of 24 bits", plain, RGB)
    add("of 24 bits, top row first", bmp((-5, 7), 24, [row.tobytes() for row in bgr]), RGB)
    add("of 32 bits, the fourth unused", bmp((5, 7), 32, [r.tobytes() for r in np.dstack([bgr, ALPHA])[::-1]]), RGB)
    values = np.repeat(random(5, 1, below=4), 6, axis=1)
    runs = [bytes([6, value, 0, 0]) for value in values[::-1, 0]]
    grey_table = b"".join(bytes([v, v, v, 0]) for v in (5, 90, 170, 250))
    add("run-length coded", bmp((5, 6), 8, [*runs, b"\0\1"], palette=grey_table, compression=1),
        np.array([5, 90, 170, 250], np.uint8)[values])  # fmt: skip
    add("that says 60000×60000", with_size(plain, 18, "<ii", 60_000, 60_000), "too-large")
    add("that says a height of −2147483648", with_size(plain, 18, "<ii", 7, -(2**31)), "too-large")
    add("of no width", with_size(plain, 18, "<ii", 0, 5), "damaged")
    add("cut in its header", plain[:30], "truncated")
    add("cut in its pixels", plain[:-20], "truncated")
    add("with an unknown compression", with_size(plain, 30, "<I", 9), "damaged")
    return rows


def gif(
    canvas: tuple[int, int],
    values: Pixels,
    *,
    place: tuple[int, int] = (0, 0),
    transparent: int | None = None,
    interlaced: bool = False,
) -> bytes:
    """A GIF whose codes are bytes: 7-bit pixels, the code table cleared before it would grow to 9 bits."""
    height, width = values.shape
    rows = [*range(0, height, 8), *range(4, height, 8), *range(2, height, 4), *range(1, height, 2)]
    flat = values[rows if interlaced else range(height)].tobytes()
    codes = b"".join(b"\x80" + flat[i : i + 100] for i in range(0, len(flat), 100)) + b"\x81"
    blocks = b"".join(bytes([len(codes[i : i + 255])]) + codes[i : i + 255] for i in range(0, len(codes), 255)) + b"\0"
    extension = b"" if transparent is None else b"\x21\xf9\x04\x01\0\0" + bytes([transparent, 0])
    return (
        b"GIF89a" + struct.pack("<HHBBB", canvas[1], canvas[0], 0xF6, 0, 0) + PALETTE[:128].tobytes() + extension
        + b"," + struct.pack("<HHHHB", place[1], place[0], width, height, 0x40 * interlaced) + b"\x07" + blocks + b";"
    )  # fmt: skip


def gifs() -> list[Specimen]:
    rows: list[Specimen] = []

    def add(name: str, content: bytes, expected: Pixels | str) -> None:
        rows.append(Specimen(f"GIF {name}", content, expected, suffix=".gif"))

    values = random(20, 15, below=128)
    colours = PALETTE[values]
    plain = gif((20, 15), values)
    white = np.array([255, 255, 255], np.uint8)
    add("of one frame", plain, colours)
    add("interlaced", gif((20, 15), values, interlaced=True), colours)
    add("with a transparent colour", gif((20, 15), values, transparent=int(values[3, 3])),
        np.where((values == values[3, 3])[..., None], white, colours))  # fmt: skip
    framed = np.broadcast_to(PALETTE[0], (24, 18, 3)).copy()
    framed[2:22, 1:16] = colours
    add("with a frame smaller than its canvas", gif((24, 18), values, place=(2, 1)), framed)
    second = gif((20, 15), 127 - values)
    add("animated", plain[:-1] + second[second.index(b",") :], colours)
    add("cut in its header", plain[:5], "damaged")
    add("cut before its frame", plain[:100], "damaged")
    add("cut in its frame", plain[:-100], "truncated")
    add("without its end", plain[:-1], colours)
    add("that says a canvas of 65535×65535", with_size(plain, 6, "<HH", 65535, 65535), "too-large")
    add("that says a frame of 65535×65535", with_size(plain, plain.index(b",") + 5, "<HH", 65535, 65535), "too-large")
    return rows


# --- WebP and TIFF ---


def webps() -> list[Specimen]:
    rows: list[Specimen] = []

    def add(name: str, content: bytes, expected: Pixels | str, tolerance: int = 0) -> None:
        rows.append(Specimen(f"WebP {name}", content, expected, tolerance, suffix=".webp"))

    picture = smooth(16, 24)
    clear = np.dstack([RGB, ALPHA])
    lossy, lossless = encoded(picture, "WEBP", quality=98), encoded(RGB, "WEBP", lossless=True)
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    animated = encoded(frames[0], "WEBP", lossless=True, save_all=True, append_images=frames[1:])
    canvas = animated.index(b"VP8X") + 12
    add("lossy", lossy, picture, 12)
    add("lossless", lossless, RGB)
    add("with alpha", encoded(clear, "WEBP", lossless=True, exact=True), over_white(RGB, ALPHA), 1)
    add("with hidden colour", encoded(np.dstack([RGB, ALPHA * 0]), "WEBP", lossless=True, exact=True),
        np.full((5, 7), 255, np.uint8))  # fmt: skip
    add("animated", animated, RGB)
    add("with EXIF that turns it", encoded(RGB, "WEBP", lossless=True, exif=exif(5)), upright(5, RGB))
    add("cut in its header", lossless[:15], "damaged")
    add("cut in its pixels", lossless[:-20], "damaged")
    add("cut in its pixels, lossy", lossy[:-20], "damaged")
    add("with garbage behind its end", lossless + bytes(99), RGB)
    add(
        "that says a canvas of 16777216×16777216", animated[:canvas] + b"\xff" * 6 + animated[canvas + 6 :], "too-large"
    )
    return rows


def tiff(size: tuple[int, int], tags: dict[int, int | list[int]], data: bytes, order: str = "<") -> bytes:
    """Uncompressed, in one strip behind the header; a tag with a list of numbers is stored behind that."""
    entries = {256: size[1], 257: size[0], 259: 1, 262: 1, 273: 8, 277: 1, 278: size[0], 279: len(data)} | tags
    start = 8 + len(data)
    behind = start + 2 + 12 * len(entries) + 4
    table, lists = struct.pack(order + "H", len(entries)), b""
    for tag, value in sorted(entries.items()):
        if isinstance(value, list):
            table += struct.pack(order + "HHII", tag, 3, len(value), behind + len(lists))
            lists += struct.pack(f"{order}{len(value)}H", *value)
        else:
            table += struct.pack(order + "HHII", tag, 4, 1, value)
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start) + data + table + bytes(4) + lists


def tiffs() -> list[Specimen]:
    rows: list[Specimen] = []

    def add(name: str, content: bytes, expected: Pixels | str, tolerance: int = 0) -> None:
        rows.append(Specimen(f"TIFF {name}", content, expected, tolerance, suffix=".tif"))

    three: dict[int, int | list[int]] = {258: [8, 8, 8], 262: 2, 277: 3}
    plain = tiff((5, 7), three, RGB.tobytes())
    add("RGB", plain, RGB)
    add("RGB, big-endian", tiff((5, 7), three, RGB.tobytes(), ">"), RGB)
    for orientation in range(2, 9):
        content = tiff((5, 7), three | {274: orientation}, RGB.tobytes())
        add(f"with orientation {orientation}", content, upright(orientation, RGB))
    add("of 1 bit", tiff((5, 7), {258: 1}, b"".join(packed(GREY // 128, 1))), GREY // 128 * 255)
    add("grey", tiff((5, 7), {258: 8}, GREY.tobytes()), GREY)
    add("grey, 0 is white", tiff((5, 7), {258: 8, 262: 0}, GREY.tobytes()), 255 - GREY)
    add("grey of 16 bits", tiff((5, 7), {258: 16}, DEEP.astype("<u2").tobytes()), eight_bits(DEEP))
    add("grey of 16 bits, big-endian", tiff((5, 7), {258: 16}, DEEP.tobytes(), ">"), eight_bits(DEEP))
    add("grey of 32 bits that fit 16", tiff((5, 7), {258: 32}, DEEP.astype("<u4").tobytes()), eight_bits(DEEP))
    add("grey of 32 bits", tiff((5, 7), {258: 32}, (DEEP.astype("<u4") << 12).tobytes()), "unsupported-pixels")
    add("grey, signed", tiff((5, 7), {258: 16, 339: 2}, (-DEEP.astype("<i2")).tobytes()), "unsupported-pixels")
    add("of floats", tiff((5, 7), {258: 32, 339: 3}, np.float32(GREY / 255).tobytes()), "unsupported-pixels")
    # Lightness 0–100 as 0–255, then two colour axes in two's complement: white, black, red.
    lab = bytes([255, 0, 0, 0, 0, 0, 136, 80, 67])
    seen = np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0]]], np.uint8)
    add("CIELAB", tiff((1, 3), three | {262: 8}, lab), seen, 12)
    ink = random(5, 7, 4, seed=5)
    paper = np.rint((255.0 - ink[..., :3]) * (255 - ink[..., 3:]) / 255)
    add("CMYK", tiff((5, 7), {258: [8] * 4, 262: 5, 277: 4}, ink.tobytes()), paper, 1)
    alpha = tiff((5, 7), {258: [8] * 4, 262: 2, 277: 4, 338: 2}, np.dstack([RGB, ALPHA]).tobytes())
    add("with alpha", alpha, over_white(RGB, ALPHA), 1)
    for compression in ("tiff_lzw", "tiff_deflate", "packbits"):
        add(f"compressed by {compression}", encoded(RGB, "TIFF", compression=compression), RGB)
    pages = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    add("of two pages", encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]), RGB)
    add("cut before its table", plain[:60], "damaged")
    early = encoded(RGB, "TIFF")
    add("cut in its pixels", early[:-30], "truncated")
    add("that says 60000×60000", tiff((60_000, 60_000), three, RGB.tobytes()), "too-large")
    add("of no height", tiff((0, 7), three, RGB.tobytes()), "damaged")
    add("whose table is itself", b"II*\0" + struct.pack("<I", 0), "damaged")
    return rows


# --- All else ---


def others() -> list[Specimen]:
    import gzip
    import zipfile

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("a.jpg", jpeg(RGB))
    resource_fork = struct.pack(">II16xHIII", 0x00051607, 0x00020000, 1, 9, 38, 32) + bytes(32)
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
    contents = {
        "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40), "unsupported-format"),
        "AVIF": (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(40), "unsupported-format"),
        "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>', "unsupported-format"),
        "SVG behind an XML declaration": (b'<?xml version="1.0"?>\n<svg/>', "unsupported-format"),
        "PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "unsupported-format"),
        "Photoshop": (b"8BPS\0\x01" + bytes(40), "unsupported-format"),
        "PostScript, which Ghostscript would run": (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(ran) (w) file closefile\n", "unsupported-format",
        ),
        "icon": (b"\0\0\x01\0\x01\0" + bytes(40), "unsupported-format"),
        "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), "unsupported-format"),
        "JPEG XL": (b"\xff\x0a" + bytes(40), "unsupported-format"),
        "JPEG XL in its container": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "unsupported-format"),
        "QOI": (b"qoif" + bytes(40), "unsupported-format"),
        "OpenEXR": (b"v/1\x01" + bytes(40), "unsupported-format"),
        "web page of an error": (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "not-an-image"),
        "text": (b"a cat\n", "not-an-image"),
        "text in UTF-16": ("a cat\n".encode("utf-16"), "not-an-image"),
        "nothing": (b"", "empty"),
        "one byte": (b"\xff", "not-an-image"),
        "one megabyte of zeros": (bytes(1 << 20), "not-an-image"),
        "random bytes": (random(5000).tobytes(), "not-an-image"),
        "portable pixmap": (b"P6 2 1 255 abcdef", "not-an-image"),
        "ZIP archive": (archive.getvalue(), "not-an-image"),
        "compressed JPEG": (gzip.compress(jpeg(RGB), mtime=0), "not-an-image"),
        "JPEG in Base64": (b"/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAg==", "not-an-image"),
        "resource fork of a Mac": (resource_fork, "not-an-image"),
        "pointer of Git LFS": (pointer, "not-an-image"),
        "text that begins as a BMP": (b"BM is the beginning of a sentence as well", "truncated"),
    }  # fmt: skip
    return [Specimen(name, content, expected) for name, (content, expected) in contents.items()]


MAKERS: tuple[Callable[[], list[Specimen]], ...] = (pngs, jpegs, bmps, gifs, webps, tiffs, others)
ZOO = tuple(specimen for make in MAKERS for specimen in make())
