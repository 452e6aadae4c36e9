"""Parts of a static HTML page that holds everything it shows and asks for nothing else."""

from __future__ import annotations

import base64
import os
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from evonas.plots.style import DPI, SCREEN

STYLE = """
body { margin: 0 auto; max-width: 62rem; padding: 1rem; color: #222; background: #fff;
       font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0.5rem 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 0.6rem; padding-top: 0.5rem; border-top: 1px solid #ddd; }
h3 { font-size: 1.05rem; margin: 1.8rem 0 0.5rem; }
nav { font-size: 0.9rem; }
nav a { margin-right: 1rem; white-space: nowrap; display: inline-block; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.15rem 1.2rem; margin: 0; }
dt { color: #555; }
dd { margin: 0; overflow-wrap: anywhere; }
p, li { max-width: 46rem; }
ul { padding-left: 1.2rem; }
.wide { overflow-x: auto; }
.tall { max-height: 34rem; overflow: auto; box-shadow: inset 0 -0.6rem 0.6rem -0.6rem #999; }
pre { background: #f5f5f5; padding: 0.6rem 0.8rem; overflow-x: auto; font-size: 0.85rem; line-height: 1.45; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.9rem 0.3rem 0; text-align: left; vertical-align: top; white-space: nowrap; }
th { border-bottom: 2px solid #999; background: #fff; position: sticky; top: 0; }
td { border-bottom: 1px solid #ddd; }
th button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; text-align: left; }
th button::after { content: " \\2195"; color: #999; }
th[aria-sort="ascending"] button::after { content: " \\2191"; color: #222; }
th[aria-sort="descending"] button::after { content: " \\2193"; color: #222; }
figure { margin: 1rem 0 0; }
img { display: block; }
figcaption { color: #444; font-size: 0.9rem; max-width: 46rem; margin-top: 0.3rem; }
@media (max-width: 40rem) {
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 0.4rem; }
}
@media print { .tall { max-height: none; box-shadow: none; } }
"""

# within a notebook, whose colours of text and page are kept, as they may be dark
WITHIN = """
div.evonas .wide { overflow-x: auto; }
div.evonas table { border-collapse: collapse; margin: 0.5em 0; font-variant-numeric: tabular-nums; }
div.evonas div.wide th, div.evonas div.wide td { text-align: left; vertical-align: top; padding: 0.3em 1em 0.3em 0; }
div.evonas pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0.3em 0; }
div.evonas h3 { margin: 0.3em 0 0.6em; }
div.evonas ul { margin: 0.5em 0; padding-left: 1.2em; max-width: 46rem; }
div.evonas dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.1em 1em; margin: 0.5em 0; }
div.evonas dt { float: none; width: auto; font-weight: normal; opacity: 0.75; }
div.evonas dd { width: auto; margin: 0; overflow-wrap: anywhere; }
div.evonas figure { margin: 0.5em 0; }
div.evonas img { max-width: 100%; height: auto; background: white; }
"""

# Sorts a table by the column whose heading is pressed: numbers by their value, everything else as text.
SCRIPT = """
document.querySelectorAll("table.sortable th button").forEach(button => button.addEventListener("click", () => {
  const head = button.parentElement, table = head.closest("table"), body = table.tBodies[0];
  const column = head.cellIndex, down = head.getAttribute("aria-sort") === "descending";
  table.querySelectorAll("th").forEach(each => each.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "ascending" : "descending");
  const value = row => {
    const text = row.cells[column].textContent.replace(/,/g, ""), number = parseFloat(text);
    return /^[-\\u2212]?[0-9.]/.test(text) && !isNaN(number) ? number : text;
  };
  const order = (a, b) => typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? 1 : -1;
  [...body.rows].map(row => [value(row), row]).sort((a, b) => (down ? 1 : -1) * order(a[0], b[0]))
    .forEach(pair => body.append(pair[1]));
}));
"""


def page(title: str, lead: Iterable[str], sections: Mapping[str, Sequence[str]]) -> str:
    """The page as text.

    lead       parts above everything else
    sections   parts (HTML, of the functions below) by heading; those that are empty are left out, and so is a section
               without any
    """
    kept = {heading: parts for heading, given in sections.items() if (parts := [*filter(None, given)])}
    links = "".join(f'<a href="#{_anchor(heading)}">{escape(heading)}</a>' for heading in kept)
    body = [f"<h1>{escape(title)}</h1>", *filter(None, lead), f"<nav>{links}</nav>"]
    for heading, parts in kept.items():
        body += [f'<h2 id="{_anchor(heading)}">{escape(heading)}</h2>', *parts]
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        '<link rel="icon" href="data:,">\n'  # or the browser would ask for one
        f"<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + f"\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def fragment(parts: Iterable[str]) -> str:
    """Parts within a page that is not ours: that of a notebook."""
    return "\n".join([f'<div class="evonas"><style>{WITHIN}</style>', *filter(None, parts), "</div>"])


def paragraphs(*texts: str) -> str:
    """Texts, each a paragraph; an empty line within one begins another. A block of lines that are indented is kept as
    it is."""
    found = []
    for text in "\n\n".join(texts).split("\n\n"):
        if text.startswith("    "):
            found.append(code(*(line.removeprefix("    ") for line in text.splitlines())))
        elif text.strip():
            found.append(f"<p>{_text(' '.join(text.split()))}</p>")
    return "\n".join(found)


def items(sentences: Iterable[str]) -> str:
    lines = [f"<li>{escape(sentence)}</li>" for sentence in sentences if sentence]
    return "\n".join(["<ul>", *lines, "</ul>"]) if lines else ""


def code(*lines: str) -> str:
    return f"<pre>{escape(chr(10).join(lines))}</pre>"


def heading(text: str) -> str:
    """The heading of a fragment."""
    return f"<h3>{escape(text)}</h3>"


def subheading(text: str) -> str:
    return f"<h3>{escape(text[:1].upper() + text[1:])}</h3>"


def definitions(facts: Mapping[str, str]) -> str:
    return marked_definitions({name: _text(fact) for name, fact in facts.items()})


def marked_definitions(facts: Mapping[str, str]) -> str:
    """The same for facts that are HTML already."""
    lines = [f"<dt>{escape(name)}</dt><dd>{fact}</dd>" for name, fact in facts.items()]
    return "\n".join(["<dl>", *lines, "</dl>"]) if lines else ""


def link(path: Path) -> str:
    """A path that can be followed where it lies in the working directory, as that of a notebook is its folder."""
    if not path.resolve().is_relative_to(Path.cwd()):
        return f"<code>{escape(str(path))}</code>"
    return f'<a href="{escape(quote(os.fsencode(os.path.relpath(path))))}" target="_blank">{escape(str(path))}</a>'


def table(name: str, rows: Sequence[Mapping[str, str]], *, sortable: bool = False) -> str:
    """Rows that name their columns, in the order in which they name them; nothing where there are none.

    sortable   the headings sort it, and it scrolls where it is long
    """
    if not rows:
        return ""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    head = "".join(
        f'<th scope="col">{f"<button>{escape(each)}</button>" if sortable else escape(each)}</th>' for each in columns
    )
    lines = ["".join(f"<td>{escape(row.get(column, ''))}</td>" for column in columns) for row in rows]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    kind = ' class="sortable"' if sortable else ""
    return (
        f"{_frame(name, tall=sortable)}<table{kind}>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def figure(name: str, png: bytes, caption: str) -> str:
    """The picture in its own size, so that its text stays as large as the page's; it scrolls where there is no room."""
    data = base64.b64encode(png).decode()
    width, height = (round(SCREEN / DPI * dots) for dots in struct.unpack(">2I", png[16:24]))  # of the PNG's header
    return (
        f'<figure>{_frame(name)}<img width="{width}" height="{height}" '
        f'alt="{escape(caption or name)}" src="data:image/png;base64,{data}"></div>\n'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def absence(reason: str) -> str:
    return f"<p>This could not be shown: {escape(reason)}</p>"


def _text(text: str) -> str:
    """With what stands in backquotes as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _anchor(heading: str) -> str:
    return re.sub(r"\W+", "-", heading.lower()).strip("-")


def _frame(name: str, *, tall: bool = False) -> str:
    """The start of a frame that scrolls, also by keys."""
    return f'<div class="wide{" tall" * tall}" role="region" aria-label="{escape(name)}" tabindex="0">'
