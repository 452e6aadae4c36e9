"""How a network came to be, one ancestor per row: what changed, and the gain (Real et al. 2017, figure 3)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evonas.plots.style import (
    ACCURACY,
    BLUE,
    DPI,
    GREEN,
    GREY,
    LETTERS,
    TICK,
    VERMILION,
    WIDTH,
    Objectives,
    Picture,
    Quantity,
    Record,
    blank,
    count,
    descendant,
    literal,
    quantity,
    told,
    wrapped,
)

MOST_ROWS = 16  # most ancestors shown, including the network itself
ROW, ABOVE, BELOW = 0.29, 0.85, 0.55  # inches
ID, CHANGE, PLOT, GAIN, SIZE, EPOCHS = 0.065, 0.08, (0.43, 0.66), 0.75, 0.87, 0.97  # fractions of the width
LONGEST = 38  # most letters in the description of a change


class Row(NamedTuple):
    """An ancestor, and how many ancestors between it and the row above are left out."""

    record: Record
    gain: float | None  # over its parent, in the units of the objective
    hidden: int


def lineage(
    records: Iterable[Record], *, id: int | None = None, objectives: Objectives = ACCURACY, title: str | None = None
) -> Figure:
    """Draw the line of first parents of evaluation `id`, by default of the winner, from its founder to itself.

    If there are more than MOST_ROWS, those with the largest gains are shown. Raises UserError for an `id` that has not
    been evaluated.
    """
    records = list(records)
    known = {record["id"]: record for record in told(records)}
    if (shown := descendant(records, id)) is None:
        return blank("there is no winner yet", title)
    weight = next(iter(objectives.values()))
    return _drawn(rows(ancestry(known, shown), weight), quantity(next(iter(objectives)), records), title)


def ancestry(known: Mapping[int, Record], id: int) -> list[Record]:
    """The line of first parents, beginning with the founder."""
    line = [known[id]]
    while line[-1]["parents"] and line[-1]["parents"][0] in known:
        line.append(known[line[-1]["parents"][0]])
    return line[::-1]


def rows(line: list[Record], weight: float) -> list[Row]:
    """The founder, the network itself, and between them the ancestors with the largest gains."""
    gains = [None, *(gained(parent, child) for parent, child in pairwise(line))]
    between = sorted(range(1, len(line) - 1), key=lambda n: -weight * (gains[n] or 0.0))[: MOST_ROWS - 2]
    shown = sorted({0, *between, len(line) - 1})
    before = [-1, *shown]
    return [Row(line[n], gains[n], n - last - 1) for last, n in zip(before, shown, strict=False)]


def gained(parent: Record, child: Record) -> float | None:
    """By how much the first objective of a child is above its parent's; None where one of them failed."""
    return child["values"][0] - parent["values"][0] if parent["values"] and child["values"] else None


# ---- drawing --------------------------------------------------------------------------------------------------------


def _drawn(shown: list[Row], objective: Quantity, title: str | None) -> Figure:
    heading = wrapped(title, LETTERS)
    height = ABOVE + 0.17 * len(heading) + ROW * len(shown) + BELOW
    figure = Picture(figsize=(WIDTH, height), dpi=DPI)
    top, bottom = 1 - (ABOVE + 0.17 * len(heading) - 0.1) / height, BELOW / height
    axes = figure.add_axes((PLOT[0], bottom, PLOT[1] - PLOT[0], top - bottom))
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.grid(axis="x", color="#E0E0E0", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(literal(objective.label, TICK), fontsize=8)
    axes.tick_params(labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    figure.text(0.5, 1 - 0.1 / height, "\n".join(heading), ha="center", va="top", fontsize=10)
    itself = shown[-1].record["id"]
    note = f"how #{itself} came to be: each row descends from the one above; gains are over the parent"
    figure.text(
        0.5, 1 - (0.17 + 0.17 * len(heading)) / height, note, ha="center", va="top", fontsize=8, color="#555555"
    )
    _heads(figure, top, height)
    for at, row in enumerate(shown):
        _row(axes, at, row, objective, itself=row.record["id"] == itself)
    points = [(objective.factor * row.record["values"][0], at) for at, row in enumerate(shown) if row.record["values"]]
    axes.plot(*zip(*points, strict=True), "-", color=BLUE, linewidth=1, zorder=2)
    return figure


def _heads(figure: Figure, top: float, height: float) -> None:
    y = top + 0.06 / height
    for x, text, side in (
        (ID, "id", "right"), (CHANGE + 0.01, "what changed", "left"), (GAIN, "gain", "right"),
        (SIZE, "parameters", "right"), (EPOCHS, "epochs", "right"),
    ):  # fmt: skip
        figure.text(x, y, text, ha=side, va="bottom", fontsize=8, color="#555555")


def _row(axes: Axes, at: int, row: Row, objective: Quantity, *, itself: bool) -> None:
    record, figure = row.record, axes.figure
    assert isinstance(figure, Figure), "a page is not a subfigure"
    y = axes.transData.transform((0, at))[1] / figure.bbox.height
    bold = "bold" if itself else "normal"

    def write(x: float, text: str, side: str, color: str = "#222222", weight: str = bold) -> None:
        figure.text(x, y, text, ha=side, va="center", fontsize=8, color=color, weight=weight)

    write(ID, f"#{record['id']}", "right")
    write(CHANGE + 0.01, literal(change_of(record)), "left")
    if row.gain is not None:
        text = objective.text(objective.factor * row.gain)
        write(GAIN, text if row.gain < 0 else f"+{text}", "right", GREEN if row.gain > 0 else GREY)
    parameters = record.get("measures", {}).get("parameters")
    write(SIZE, "" if parameters is None else count(parameters), "right")
    write(EPOCHS, str(record.get("lineage", {}).get("epochs", "")), "right")
    if record["values"]:
        color, marker, size = (VERMILION, "*", 10) if itself else (BLUE, "o", 4)
        axes.plot(objective.factor * record["values"][0], at, marker, color=color, markersize=size, zorder=3)
    if row.hidden:
        between = (y + axes.transData.transform((0, at - 1))[1] / figure.bbox.height) / 2
        figure.text(CHANGE + 0.01, between, f"… {row.hidden} more …", ha="left", va="center", fontsize=6.5, color=GREY)


def change_of(record: Record) -> str:
    """A description of the change that made an individual."""
    steps = [
        step.removeprefix("mut_").removeprefix("cx_").replace("_", " ") for step in record["operator"].split(" + ")
    ]
    return textwrap.shorten(", ".join(steps), LONGEST, placeholder=" …")
