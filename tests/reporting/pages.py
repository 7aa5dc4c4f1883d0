"""A page as a browser takes it."""

from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """Its elements and its text.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.headings: list[tuple[int, str]] = []
        self.feed(self.source)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag[0] == "h" and tag[1:].isdigit():
            self.headings.append((int(tag[1:]), ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            return
        self.words.append(data)
        for tag in self.open:
            if tag[0] == "h" and tag[1:].isdigit():
                level, text = self.headings[-1]
                self.headings[-1] = (level, text + data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def section(self, title: str) -> str:
        """The text from a heading on, up to the next of the same rank."""
        start = self.source.index(f">{title}</h2>")
        return self.source[start : self.source.find("<h2", start)]


def check_page(page: Page) -> None:
    """Assert what every page must be: alone, without scripts, and legible without eyes."""
    policies = [tag["content"] for tag in page.named("meta") if "http-equiv" in tag]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert not page.named("script")
    assert not page.named("link")
    for image in page.named("img"):
        assert str(image["src"]).startswith("data:image/")
        assert image["alt"]
    assert [level for level, _ in page.headings if level == 1] == [1]
    for (before, _), (after, _) in zip(page.headings, page.headings[1:], strict=False):
        assert after <= before + 1, "a rank of headings is left out"
    ids = [str(attributes["id"]) for _, attributes in page.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    links = [str(tag["href"]) for tag in page.named("a")]
    assert {link.removeprefix("#") for link in links} <= set(ids)
    named = [str(tag["aria-labelledby"]).split() for _, tag in page.tags if "aria-labelledby" in tag]
    assert {one for names in named for one in names} <= set(ids)
    for drawing in (tag for tag in page.named("svg") if "aria-hidden" not in tag):
        assert drawing["role"] == "img"
        assert drawing["aria-labelledby"]
    assert all(tag.get("scope") for tag in page.named("th"))
    regions = [str(tag["aria-label"]).lower() for _, tag in page.tags if tag.get("role") == "region"]
    assert not {*regions} & {text.lower() for level, text in page.headings if level == 2}, "two landmarks of one name"
    assert len(page.named("main")) == 1
    assert page.named("a")[0] == {"class": "skip", "href": "#content"}
