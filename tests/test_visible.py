import json
import unicodedata

from keras_resnet.visible import visible, visible_cell, visible_json

WRITTEN = (
    range(0x600, 0x606), (0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x200C, 0x200D, 0x110BD, 0x110CD), range(0x13430, 0x13440)
)  # fmt: skip


def test_what_a_terminal_would_obey_is_written_as_an_escape() -> None:
    assert visible("a\x1b[31mb\x9b2J\x07\r") == "a\\x1b[31mb\\x9b2J\\x07\\r"
    assert visible("photo\u202egpj.exe \u2066x\u2069 \u200e\u200f\u061c") == (
        "photo\\u202egpj.exe \\u2066x\\u2069 \\u200e\\u200f\\u061c"
    )
    assert visible("caf\udce9") == "caf\\udce9"


def test_every_control_character_mark_of_direction_and_character_of_no_width_is_seen_and_only_those() -> None:
    changed = {chr(code) for code in range(0x110000) if visible(chr(code)) != chr(code)}

    control = {chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Cc", "Cs")}
    # Formats of these scripts are signs that are seen; the joiners are a part of how scripts and emoji are written.
    written = {chr(code) for part in WRITTEN for code in part}
    formats = {chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Cf"} - written
    fillers = set("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2028\u2029\u2065")
    tags = {chr(code) for code in range(0xE0000, 0xE0080)}
    assert changed == (control | formats | fillers | tags) - {"\n", "\t"}


def test_json_has_escapes_for_what_nobody_sees_and_is_read_as_it_was() -> None:
    name = "red\u200b \u202e\x9b \U000e0041 größer\udce9"

    written = visible_json(json.dumps({name: [name]}, ensure_ascii=False))

    assert json.loads(written) == {name: [name]}
    assert written == r'{"red\u200b \u202e\u009b \udb40\udc41 größer' + '\udce9": ["' + (
        r"red\u200b \u202e\u009b \udb40\udc41 größer" + '\udce9"]}'
    )


def test_line_breaks_and_all_scripts_stay() -> None:
    for text in ("two\n\tlines", "größer, 犬, כלב, كلب, 🐕"):
        assert visible(text) == text


def test_a_cell_of_a_table_stays_on_its_line() -> None:
    assert visible_cell("a\tb\nc\x1b.png") == r"a\tb\nc\x1b.png"
