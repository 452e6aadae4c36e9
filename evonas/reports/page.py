"""The report of a run: one static HTML page that holds everything it shows and asks for nothing else."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence
from html import escape

DPI = 150  # dots an inch of the pictures: twice as fine as text, where a page is shown at 96 dots an inch

STYLE = """
body { margin: 0 auto; max-width: 62rem; padding: 1rem; color: #222; background: #fff;
       font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0.5rem 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 0.6rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.15rem 1.2rem; margin: 0; }
dt { color: #555; }
dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.9rem 0.3rem 0; text-align: left; vertical-align: top; white-space: nowrap; }
th { border-bottom: 2px solid #999; }
td { border-bottom: 1px solid #ddd; }
figure { margin: 2rem 0 0; }
img { display: block; }
figcaption { color: #444; font-size: 0.9rem; max-width: 44rem; margin-top: 0.3rem; }
@media (max-width: 40rem) {
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 0.4rem; }
}
"""


def page(
    *,
    title: str,
    facts: Mapping[str, str],
    summary: Sequence[Mapping[str, str]],
    top: Sequence[Mapping[str, str]],
    pictures: Mapping[str, bytes],
    captions: Mapping[str, str],
    missing: Mapping[str, str],
) -> str:
    """The page as text.

    facts       what the run was: data, budget, device, versions, ...
    summary     a row each for the winner and what it is compared with
    top         a row each for the best networks
    pictures    PNG at DPI dots an inch, by name, which is the heading
    captions    a sentence or two on each picture, by the same name; it is the alternative text of the picture too
    missing     why a picture could not be drawn, by its name

    A table without rows is left out. Columns stand in the order in which the rows name them.
    """
    parts = [
        f"<h1>{escape(title)}</h1>",
        _definitions(facts),
        _table("Winner and baselines", summary),
        _table("Best networks", top),
        *(_figure(name, png, captions.get(name, "")) for name, png in pictures.items()),
        *(_absence(name, reason) for name, reason in missing.items()),
    ]
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        '<link rel="icon" href="data:,">\n'  # or the browser would ask for one
        f"<style>{STYLE}</style>\n</head>\n<body>\n" + "\n".join(filter(None, parts)) + "\n</body>\n</html>\n"
    )


def _definitions(facts: Mapping[str, str]) -> str:
    lines = [f"<dt>{escape(name)}</dt><dd>{escape(fact)}</dd>" for name, fact in facts.items()]
    return "\n".join(["<dl>", *lines, "</dl>"]) if lines else ""


def _table(heading: str, rows: Sequence[Mapping[str, str]]) -> str:
    if not rows:
        return ""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    lines = ["".join(f"<td>{escape(row.get(name, ''))}</td>" for name in columns) for row in rows]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return (
        f"<h2>{escape(heading)}</h2>\n{_wide(heading)}<table>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _absence(name: str, reason: str) -> str:
    return f"{_heading(name)}\n<p>This picture could not be drawn: {escape(reason)}</p>"


def _heading(name: str) -> str:
    return f"<h2>{escape(name[:1].upper() + name[1:])}</h2>"


def _wide(name: str) -> str:
    """The start of a frame that scrolls sideways, also by keys."""
    return f'<div class="wide" role="region" aria-label="{escape(name)}" tabindex="0">'


def _figure(name: str, png: bytes, caption: str) -> str:
    """The picture in its own size, so that its text stays as large as the page's; it scrolls where there is no room."""
    data = base64.b64encode(png).decode()
    width, height = (round(96 / DPI * dots) for dots in struct.unpack(">2I", png[16:24]))  # of the PNG's header
    return (
        f'{_heading(name)}\n<figure>{_wide(name)}<img width="{width}" height="{height}" '
        f'alt="{escape(caption or name)}" src="data:image/png;base64,{data}"></div>\n'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
