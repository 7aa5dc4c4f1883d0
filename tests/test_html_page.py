"""The dress of the HTML pages: nothing is loaded, nothing is run, and every text stays text."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from jinja2 import UndefinedError
from PIL import Image

from keras_resnet.html_page import picture, render

TEMPLATE = """{% extends "html_page.html.jinja" %}
{% block title %}{{ name }}{% endblock %}
{% block body %}
<h1>{{ name|capitalize_first }}</h1><img src="x" alt="{{ name }}">{{ count|grouped }}
<p>{{ ("run `" ~ name ~ "`")|with_code }}</p>
{% endblock %}
"""

PAGE_OF_AN_OBJECT = """{% extends "html_page.html.jinja" %}{% block body %}<h1>{{ value }}</h1>{% endblock %}"""


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "a_room_of_pages"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "page.html.jinja").write_text(TEMPLATE)
    (folder / "object.html.jinja").write_text(PAGE_OF_AN_OBJECT)
    monkeypatch.syspath_prepend(tmp_path)
    return folder.name


def test_every_text_is_escaped_in_titles_in_attributes_and_behind_filters(room: str) -> None:
    text = render(room, "page.html.jinja", name="\"><script>alert('1')</script>", count=1)

    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 4
    assert "run <code>&#34;&gt;&lt;script&gt;" in text
    assert 'alt="&#34;&gt;' in text


def test_characters_that_turn_or_hide_text_are_shown(room: str) -> None:
    text = render(room, "page.html.jinja", name="gpj.\u202eexe\x00", count=1)

    assert text.count("pj.\\u202eexe\\x00") == 4

    assert "\u202e" not in text
    assert "\x00" not in text


def test_of_paths_and_other_objects_nothing_is_hidden_either(room: str) -> None:
    class Named:
        def __str__(self) -> str:
            return "<b>\u202egpj"

    for value in (Named(), Path("<b>\u202egpj")):
        text = render(room, "object.html.jinja", value=value)
        assert "&lt;b&gt;\\u202egpj" in text
        assert "\u202e" not in text


def test_a_page_may_load_nothing_and_has_a_language_and_a_title(room: str) -> None:
    text = render(room, "page.html.jinja", name="cats", count=12345)

    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in text
    assert '<html lang="en">' in text
    assert "<title>cats</title>" in text
    assert "<h1>Cats</h1>" in text
    assert "12,345" in text


def test_a_value_that_the_template_misses_is_an_error(room: str) -> None:
    with pytest.raises(UndefinedError, match="name"):
        render(room, "page.html.jinja", count=1)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (5, "RGB")])
def test_a_picture_is_a_small_copy_of_its_first_channels(channels: int, mode: str) -> None:
    pixels = np.zeros((200, 100, channels), np.uint8)
    pixels[:, :50] = 255

    url = picture(pixels, side=40, kind="PNG")

    assert url.startswith("data:image/png;base64,")
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as shown:
        assert (shown.size, shown.mode) == ((20, 40), mode)
        assert shown.convert("L").getpixel((4, 20)) == 255
        assert shown.convert("L").getpixel((16, 20)) == 0
