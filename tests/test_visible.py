import unicodedata

from keras_resnet.visible import visible


def test_what_a_terminal_would_obey_is_written_as_an_escape() -> None:
    assert visible("a\x1b[31mb\x9b2J\x07\r") == "a\\x1b[31mb\\x9b2J\\x07\\r"
    assert visible("photo\u202egpj.exe \u2066x\u2069 \u200e\u200f\u061c") == (
        "photo\\u202egpj.exe \\u2066x\\u2069 \\u200e\\u200f\\u061c"
    )
    assert visible("caf\udce9") == "caf\\udce9"


def test_every_control_character_and_mark_of_direction_is_seen_and_only_those() -> None:
    changed = {chr(code) for code in range(0x110000) if visible(chr(code)) != chr(code)}

    control = {chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Cc", "Cs")}
    direction = {
        chr(code)
        for code in range(0x110000)
        if unicodedata.bidirectional(chr(code)) in ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI")
    }
    assert changed == (control | direction | {"\u200e", "\u200f", "\u061c"}) - {"\n", "\t"}


def test_line_breaks_and_all_scripts_stay() -> None:
    for text in ("two\n\tlines", "größer, 犬, כלב, كلب, 🐕"):
        assert visible(text) == text
