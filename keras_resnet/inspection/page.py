"""A check's report as one page that a browser shows without a network: no scripts, every picture inside."""

from __future__ import annotations

import base64
import html
import io
from collections import Counter
from collections.abc import Iterator

from PIL import Image

from keras_resnet.data.sources.listing import Listing
from keras_resnet.images.decode import pixels_of
from keras_resnet.images.image_file import ImageError, opened
from keras_resnet.inspection.check import Report
from keras_resnet.inspection.findings import SEVERITIES, Finding, Subject, imbalance, printable
from keras_resnet.preprocessing import Fit

SIDE = 96
"""Of a picture's longer side, in pixels."""
MOST_PICTURES = 24
MOST_OF_GROUP = 8
MOST_CLASSES = 200

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1c1c1c; background: #fafafa; margin: 2rem auto; max-width: 66rem;
       padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; } h3 { font-size: 1rem; margin: 0; }
.verdict, .finding { background: #fff; border: 1px solid #ddd; border-left: .4rem solid #888; padding: .8rem 1rem;
                     margin: .8rem 0; }
.error { border-left-color: #b3261e; } .warning { border-left-color: #c77700; } .note { border-left-color: #3b6ea5; }
.fine { border-left-color: #2e7d32; }
.finding p { margin: .2rem 0 .6rem; } .code { color: #666; font: .85rem monospace; }
.pictures { display: flex; flex-wrap: wrap; gap: .5rem; }
.group { display: flex; flex-wrap: wrap; border: 1px solid #e4e4e4; padding: .15rem; }
figure { margin: .15rem; width: 7.2rem; font-size: .75rem; line-height: 1.25; overflow-wrap: anywhere; }
figure img, .missing { display: block; margin: 0 0 .2rem; max-width: 96px; }
.missing { width: 96px; height: 64px; background: #eee; color: #666; text-align: center; line-height: 64px; }
table { border-collapse: collapse; } td, th { padding: .1rem .8rem .1rem 0; text-align: left; font-weight: normal; }
td.number { text-align: right; font-variant-numeric: tabular-nums; } th { color: #555; }
.bar { height: .8rem; background: #3b6ea5; min-width: 1px; } .wide { width: 24rem; }
"""


def page(report: Report, listing: Listing, name: str) -> str:
    """The whole page.

    Args:
        report: What a check has found.
        listing: The images it has looked at; those that are shown are read once more.
        name: What to call them.
    """
    title = f"Check of {_text(name)}"
    worst = report.findings[0].severity if report.findings else "fine"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
            "style-src 'unsafe-inline'\">",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title><style>{STYLE}</style></head><body>",
            f"<h1>{title}</h1>",
            f'<div class="verdict {worst}"><strong>{_text(report.verdict)}</strong><br>{_text(summary(report))}</div>',
            *(f"<p>{_text(note)}</p>" for note in report.notes),
            "<h2>Findings</h2>" if report.findings else "",
            *(_finding(finding, report, listing) for finding in report.findings),
            "<h2>Images of each class</h2>",
            *_classes(report),
            "<h2>Sizes and formats</h2>",
            *_sizes(report),
            "</body></html>",
            "",
        ]
    )


def summary(report: Report) -> str:
    """The figures in one sentence."""
    number = Counter(finding.severity for finding in report.findings)
    kinds = ", ".join(f"{number[severity]} {severity}{'s' * (number[severity] != 1)}" for severity in SEVERITIES)
    readable = int(report.readable.sum())
    return f"{len(report.names):,} images of {len(report.class_names):,} classes, {readable:,} readable: {kinds}."


def _finding(finding: Finding, report: Report, listing: Listing) -> str:
    shown = tuple(_shown(finding))
    left = finding.images - sum(map(len, shown))
    boxes = [
        f'<div class="group">{"".join(_figure(subject, report, listing) for subject in group)}</div>' for group in shown
    ]
    count = f"{finding.images:,} image{'s' * (finding.images != 1)}: " if finding.images else ""
    return "\n".join(
        [
            f'<section class="finding {finding.severity}">',
            f'<h3>{count}{_text(finding.title)}</h3><span class="code">{finding.severity} · {finding.code}</span>',
            f"<p>{_text(finding.advice)}</p>",
            f'<div class="pictures">{"".join(boxes)}</div>' if boxes else "",
            f"<p>and {left:,} more, all of them in check.json</p>" if left else "",
            "</section>",
        ]
    )


def _shown(finding: Finding) -> Iterator[tuple[Subject, ...]]:
    """As many groups, and of each as many images, as a page can bear."""
    room = MOST_PICTURES
    for group in finding.groups:
        part = group[: min(room, MOST_OF_GROUP)]
        if not part:
            return
        room -= len(part)
        yield part


def _figure(subject: Subject, report: Report, listing: Listing) -> str:
    described = report.image(subject.position)
    lines = [described["image"], " · ".join(filter(None, (described["class"], described["split"]))), subject.remark]
    picture = _picture(listing, subject.position)
    shown = (
        f'<img src="data:image/jpeg;base64,{picture}" alt="{_text(described["class"])}">'
        if picture
        else '<span class="missing">no picture</span>'
    )
    return f"<figure>{shown}<figcaption>{'<br>'.join(_text(line) for line in lines if line)}</figcaption></figure>"


def _picture(listing: Listing, position: int) -> str:
    """An image made small, base64 of a JPEG; empty if it cannot be read."""
    try:
        with opened(listing.contents.read(position), None) as (image, header):
            height, width = header.upright
            scale = SIDE / max(height, width)
            size = max(1, round(height * scale)), max(1, round(width * scale))
            pixels = pixels_of(image, header, Fit(size, 3))
    except ImageError:
        return ""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=85)
    return base64.b64encode(stream.getvalue()).decode("ascii")


def _classes(report: Report) -> Iterator[str]:
    counts = report.counts
    most = max(1, int(counts.max()))
    splits = [name for name in ("train", "validation", "test") if name in report.split_names]
    yield "<table><tr><th>class<th>readable<th class=wide>" + "".join(f"<th>{name}" for name in splits) + "</tr>"
    for label in counts.argsort(kind="stable")[::-1][:MOST_CLASSES].tolist():
        inside = report.splits_of(label)
        bar = f'<td class=wide><div class="bar" style="width: {100 * counts[label] / most:.1f}%"></div>'
        cells = "".join(f'<td class="number">{inside.get(name, 0):,}' for name in splits)
        yield f'<tr><td>{_text(report.class_names[label])}<td class="number">{counts[label]:,}{bar}{cells}</tr>'
    yield "</table>"
    if len(counts) > MOST_CLASSES:
        yield f"<p>and {len(counts) - MOST_CLASSES:,} smaller classes, all of them in check.json</p>"
    if counts.any():
        yield (
            f"<p>The largest class has {imbalance(counts):.1f} times as many images as the smallest; "
            f"always guessing it is right on {counts.max() / counts.sum():.1%} of them.</p>"
        )


def _sizes(report: Report) -> Iterator[str]:
    if report.sizes is None:
        yield "<p>Nothing could be read.</p>"
        return
    yield "<table><tr><th><th>smallest<th>median<th>largest</tr>"
    for name, side in (("width", report.sizes.widths), ("height", report.sizes.heights)):
        yield f"<tr><td>{name}" + "".join(f'<td class="number">{pixels:,}' for pixels in side) + "</tr>"
    yield "</table>"
    counted = [f"{count:,} {name}" for kinds in (report.formats, report.modes) for name, count in kinds.items()]
    sizes = f"{report.sizes.different:,} different size{'s' * (report.sizes.different != 1)}"
    yield f"<p>{sizes}; {_text(', '.join(counted))}</p>"


def _text(text: str) -> str:
    """Safe in an element and in an attribute, whatever a file may be called."""
    return html.escape(printable(text))
