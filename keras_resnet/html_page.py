"""What all HTML pages share: one dress for screen and paper, light and dark; no scripts, all pictures inside."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from keras_resnet.visible import visible

SIDE = 96
"""The longer side of a small picture, in pixels."""


def render(room: str, template: str, **values: object) -> str:
    """Fill a room's template, which extends `html_page.html.jinja` by its blocks `title`, `style` and `body`.

    Every text that is filled in is escaped, and characters that no one would see are made visible, so names of files
    and classes can be passed as they are. A page may load nothing: its Content-Security-Policy allows pictures that it
    contains, and styles.

    Args:
        room: Where the template lies, as `keras_resnet.exports`.
        template: Its file's name.
        values: What it uses; one that it misses is an error.

    Returns:
        HTML.

    Example:
        >>> from keras_resnet.html_page import render
        >>> '<title>Check of a&lt;b</title>' in render("keras_resnet.inspection", "check.html.jinja", name="a<b", ...)
        ... # doctest: +SKIP
        True
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(room, "."), PackageLoader("keras_resnet", ".")]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["grouped"] = lambda count: f"{int(count):,}"  # `int` refuses a value that is missing
    environment.filters["with_code"] = _with_code
    environment.filters["options"] = with_options
    environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    return environment.get_template(template).render(**values)


def picture(pixels: np.ndarray, side: int = SIDE, kind: str = "JPEG") -> str:
    """A small copy of an image, as the `src` of an `<img>`.

    Args:
        pixels: uint8 (height, width, channels); of more than three channels the first three are shown.
        side: The longer side at most, in pixels.
        kind: `JPEG`, or `PNG` where every pixel matters.

    Returns:
        A `data:` URL.

    Example:
        >>> import numpy as np
        >>> from keras_resnet.html_page import picture
        >>> picture(np.zeros((200, 100, 3), np.uint8))[:22]
        'data:image/jpeg;base64'
    """
    shown = Image.fromarray(pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., 0])
    shown.thumbnail((side, side))
    stream = io.BytesIO()
    shown.save(stream, kind, **({"quality": 85} if kind == "JPEG" else {}))
    return embedded(stream.getvalue(), f"image/{kind.lower()}")


def embedded(content: bytes, media_type: str) -> str:
    """Bytes of a file, as the `src` of an `<img>`: a `data:` URL."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _with_code(text: str) -> Markup:
    """What stands between backticks, as code; options of a command, there and elsewhere, stay in one line."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(with_options(text))))


def with_options(command: str) -> Markup:
    """A command whose options stay in one line; what is longer is none of ours, and may break."""
    shown = str(escape(visible(command)))
    return Markup(re.sub(r"(?<![\w-])(--[a-z][a-z-]{1,24})(?![\w-])", r'<span class="option">\1</span>', shown))


def _shown(value: Any) -> Any:
    return value if isinstance(value, Markup) else visible(str(value))  # also of paths and other objects
