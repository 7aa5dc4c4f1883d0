"""The pages in a browser, wide and narrow, light and dark: `make test-browser`."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_resnet.data.loading import from_arrays, load_data
from keras_resnet.data.mosaic import Batch
from keras_resnet.data.sources.source import Source
from keras_resnet.evaluation.compare import compare
from keras_resnet.exports.evidence import Cause, Disagreement, Evidence, OnRuntime
from keras_resnet.exports.layers import Layer
from keras_resnet.exports.page import page as verification_page
from keras_resnet.inspection.inspection import inspect_data
from keras_resnet.reporting.comparison import write_comparison
from keras_resnet.reporting.report import write_report
from keras_resnet.training.fit import fit
from tests.data.test_duplicates import scene
from tests.shared import TINY

playwright = pytest.importorskip("playwright.sync_api", reason="not installed: make browser-tools")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="not installed: make browser-tools")

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium")
SIZES = {"wide": (1280, 900), "narrow": (390, 844)}
SCRIPT = "<script>alert('run')</script>"
HOSTILE = (
    SCRIPT,
    '"><img src=x onerror="alert(\'run\')">',
    "'\"&amp;</td></table></main><iframe src='https://example.org'>",
    "\u202egpj.exe",
    "n" * 300,
    "--" + "o" * 300,
)
"""Names of classes that would run something, end the table, turn the text, or make the page wide."""
ON_PAPER = 718
"""Pixels between the margins of A4, as a browser prints it: 210 mm less 1 cm on each side, at 96 to the inch."""
AS_STRICT_FOR_LARGE_TEXT = {"contrastRatio": {"normal": {"expected": 4.5}, "large": {"expected": 4.5}}}


@dataclass
class Visit:
    """A page that a browser shows, and what it did meanwhile."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def show(self, path: Path) -> "Visit":
        """Open a file with all that is folded unfolded."""
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.goto(path.as_uri())
        self.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        return self

    def fetched(self) -> list[str]:
        """What was asked of any place but the page."""
        return [one for one in self.requests if not one.startswith("data:") and one != self.page.url]

    def beyond_the_window(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def barriers(self) -> list[str]:
        """What keeps people from reading it, by axe-core: contrast, order of headings, tables, descriptions."""
        options = {"checks": {"color-contrast": {"options": AS_STRICT_FOR_LARGE_TEXT}}}
        found = axe.Axe().run(self.page, options=options).response["violations"]
        places = [(rule["id"], node) for rule in found for node in rule["nodes"]]
        return [f"{rule}: {node['html'][:120]} {node['failureSummary']}" for rule, node in places]

    def foreign_elements(self) -> int:
        """Elements that no page of ours has, and attributes that run something."""
        script = """[...document.querySelectorAll('*')].filter(one =>
            one.matches('script, iframe, object, form, link') || [...one.attributes].some(a => a.name.startsWith('on'))
        ).length"""
        return int(self.page.evaluate(script))


def check_page(folder: Path) -> Path:
    """The check of a table whose labels are hostile, with every kind of trouble, and a batch."""
    names = []
    for number in range(4 * len(HOSTILE)):
        name = f"\"'><b>{number}{'ö' * 40 * (number % 3)}.png"
        scene(number).save(folder / name)
        names.append(name)
    (folder / names[0]).write_bytes(b"")  # unreadable
    Image.new("RGB", (900, 30)).save(folder / names[1])  # blank, and long
    (folder / names[2]).write_bytes((folder / names[3]).read_bytes())  # a copy under another label
    quoted = ['"' + text.replace('"', '""') + '"' for text in (*names, *HOSTILE)]
    rows = [f"{quoted[place]},{quoted[len(names) + place % len(HOSTILE)]}" for place in range(len(names))]
    (folder / "labels.csv").write_text("\n".join(["path,label", *rows]), "utf-8")
    batch = Batch(np.full((len(HOSTILE), 16, 16, 3), 90, np.uint8), HOSTILE, SCRIPT)
    return inspect_data(f"csv:{folder / 'labels.csv'}").write_page(folder / "check.html", batch)


def verification(folder: Path) -> Path:
    """The evidence of a file that does not pass, with hostile names."""
    timed = {1: (1.0, 2.0, 30.0), 2: (1.0, 2.0, 3.0)}
    evidence = Evidence(
        file=f"{SCRIPT}.tflite",
        against=HOSTILE[1],
        images=len(HOSTILE),
        model_right=4,
        runtimes=(
            OnRuntime("litert", "", 0.8, 3, -20.0, (-40.0, 0.0), 1.0, 1, timed, 2**20, 0, {"CONV_2D": 8}, (SCRIPT,)),
            OnRuntime("litert-reference", f"it failed: {HOSTILE[1]}"),
        ),
        layers=tuple(Layer(name, "CONV_2D", 4.0 * place, 0.01) for place, name in enumerate(HOSTILE)),
        operators={"CONV_2D": 12, "SOFTMAX": 1},
        floats=(HOSTILE[2],),
        size=123456,
        macs=10**9,
        disagreements=tuple(Disagreement(at, name, name, SCRIPT, 0.1) for at, name in enumerate(HOSTILE)),
        causes=(Cause(HOSTILE[4], HOSTILE[2]), Cause(SCRIPT, HOSTILE[3], True)),
        max_drop=1.0,
        failures=(f"it lost much: {HOSTILE[4]}",),
        estimates={"ethos-u55-128": {"inferences a second": 12.5, "KiB of SRAM": 80}, "ethos-u85": {}},
    )
    images = np.random.default_rng(0).integers(0, 256, (len(HOSTILE), 16, 16, 3), np.uint8)
    path = folder / "verification.html"
    path.write_text(verification_page(evidence, images, (HOSTILE[0], HOSTILE[4])), "utf-8")
    return path


def report(folder: Path) -> Path:
    """The report of a run on classes with hostile names, which folders may have."""
    for label, name in enumerate(HOSTILE):
        (folder / "images" / name.replace("/", "")[:250]).mkdir(parents=True)
        for number in range(12):
            path = folder / "images" / name.replace("/", "")[:250] / f"<i>{number}.png"
            scene(20 * label + number).resize((24, 24)).save(path)
    data = load_data(Source(f"folder:{folder / 'images'}", image_size=8))
    run = fit(TINY, data, folder / "run", verbose=False)
    return write_report(run, data)


def many_classes(folder: Path) -> Path:
    """The report of a run on more classes than a matrix has room for, with hostile names."""
    names = tuple(f"{HOSTILE[place % len(HOSTILE)]} {place}" for place in range(40))
    images = np.random.default_rng(0).integers(0, 256, (240, 8, 8, 3), np.uint8)
    data = from_arrays(images, np.arange(240) % 40, class_names=names)
    run = fit(TINY.but(epochs=1), data, folder / "run", verbose=False)
    return write_report(run, data, look=False)


def comparison(folder: Path) -> Path:
    """A run and one that learnt less beside one another, with hostile names."""
    report(folder)
    runs = [folder / "run", folder / "<b>other"]
    data = load_data(Source(f"folder:{folder / 'images'}", image_size=8))
    fit(TINY.but(epochs=1, learning_rate=0.01), data, runs[1], verbose=False)
    return write_comparison(compare(*runs, data=data), runs, folder / "comparison.html")


PAGES: dict[str, Callable[[Path], Path]] = {
    "check": check_page, "verification": verification, "report": report, "many-classes": many_classes,
    "comparison": comparison,
}  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: make browser-tools")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Writes a page, each once."""
    return cache(lambda name: PAGES[name](tmp_path_factory.mktemp(name)))


@pytest.fixture(scope="module", params=list(product(PAGES, SIZES, ("light", "dark"))), ids="-".join)
def visit(request: pytest.FixtureRequest, browser: Any, written: Callable[[str], Path]) -> Iterator[Visit]:
    name, size, scheme = request.param
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    yield Visit(context.new_page()).show(written(name))
    context.close()


def test_the_page_asks_for_nothing_and_the_browser_has_no_complaint(visit: Visit) -> None:
    assert visit.fetched() == []
    assert visit.complaints == []


def test_the_page_is_no_wider_than_the_window(visit: Visit) -> None:
    assert visit.beyond_the_window() <= 0


def test_nothing_keeps_people_from_reading(visit: Visit) -> None:
    assert visit.barriers() == []


def test_hostile_names_stay_text(visit: Visit) -> None:
    assert visit.foreign_elements() == 0
    assert visit.complaints == []
    text = visit.page.inner_text("main")
    assert SCRIPT.replace("/", "") in text.replace("/", "")  # a folder's name has no slash
    assert "\\u202egpj.exe" in text
    assert "\u202e" not in visit.page.content()


def test_what_is_folded_is_unfolded_by_the_keyboard(visit: Visit) -> None:
    if not visit.page.locator("summary").count():
        pytest.skip("nothing on this page is folded")
    last = visit.page.locator("details").last
    last.locator("> summary").focus()
    for expected in (False, True):
        visit.page.keyboard.press("Enter")
        assert last.evaluate("one => one.open") is expected


def test_the_first_key_offers_to_skip_what_stands_before_the_contents(visit: Visit) -> None:
    visit.page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    visit.page.mouse.click(1, 1)
    visit.page.keyboard.press("Tab")
    focused = visit.page.evaluate_handle("document.activeElement")
    assert focused.get_attribute("class") == "skip"
    assert focused.bounding_box()["width"] > 20, "it is seen once it has the focus"
    visit.page.keyboard.press("Enter")
    assert visit.page.evaluate("location.hash") == "#content"


def test_what_scrolls_sideways_can_be_scrolled_by_the_keyboard(visit: Visit) -> None:
    script = """[...document.querySelectorAll('*')].filter(one =>
        ['auto', 'scroll'].includes(getComputedStyle(one).overflowX) && one.scrollWidth > one.clientWidth
        && one.tabIndex < 0).map(one => one.outerHTML.slice(0, 100))"""
    assert visit.page.evaluate(script) == []


def test_nothing_is_cut_off_on_paper(visit: Visit) -> None:
    window = visit.page.viewport_size
    assert visit.page.pdf(format="A4").startswith(b"%PDF")
    visit.page.emulate_media(media="print")
    visit.page.set_viewport_size({"width": ON_PAPER, "height": 1000})
    cut = visit.page.evaluate(f"""[...document.querySelectorAll('main *')].filter(one =>
        one.getBoundingClientRect().right > {ON_PAPER} + 1 && !one.closest('.hidden, svg'))
        .map(one => one.outerHTML.slice(0, 100))""")
    visit.page.emulate_media(media="screen")
    visit.page.set_viewport_size(window)
    assert cut == []
    assert visit.complaints == []


def test_the_checks_find_what_they_look_for(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text(
        "<main><h1>Bad</h1><h3>Too deep</h3><p style='color: #999'>Faint</p><img src='http://127.0.0.1:9/x.png'>"
        f"<div style='width: 3000px'>Wide</div><b onclick='x()'>Runs</b>{SCRIPT}</main>"
    )
    context = browser.new_context()
    found = Visit(context.new_page()).show(path)
    found.page.wait_for_load_state()

    assert found.fetched() == ["http://127.0.0.1:9/x.png"]
    assert "dialog: run" in found.complaints
    assert any("ERR_" in one for one in found.complaints)
    assert found.beyond_the_window() > 1000
    assert {one.split(":")[0] for one in found.barriers()} >= {"color-contrast", "image-alt", "heading-order"}
    assert found.foreign_elements() == 2
    context.close()
