"""Shared parts of the figures: records, colours, axes, and numbers with their units."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import FuncFormatter

from evonas.errors import UserError
from evonas.ranking import comparable
from evonas.support.text import brief

Record = Mapping[str, Any]
Objectives = Mapping[str, float]  # name -> weight (+1: maximised, -1: minimised), in the order of a record's values

ACCURACY: Objectives = {"accuracy": 1.0}
WIDTH = 7.0  # width of a page in inches
DPI, SCREEN = 150, 96  # dots an inch: of the pictures, and of the pages that show them, where they are finer than text
LETTERS = 82  # of a title in a line of that width
LABEL, TICK = 56, 24  # most letters of a label of an axis or of the legend, and of a tick

# from Okabe and Ito's palette, whose colours colour-blind readers can distinguish
ORANGE, SKY, GREEN, BLUE = "#E69F00", "#56B4E9", "#009E73", "#0072B2"
VERMILION, PURPLE, BLACK, GREY = "#D55E00", "#CC79A7", "#222222", "#777777"


# ---- records ------------------------------------------------------------------------------------------------------


def told(records: Iterable[Record]) -> list[Record]:
    """The records that have been evaluated. Networks that broke a limit were never trained and are left out."""
    return [record for record in records if "values" in record and record["status"] != "rejected"]


def evaluated(records: Iterable[Record], phase: str) -> list[Record]:
    """The evaluated records of a phase, without the reference network beside it: the failed ones, and those whose
    outcomes may be compared."""
    found = [record for record in told(records) if record["phase"] == phase and record.get("role") is None]
    ranked = {record["id"] for record in comparable(found, phase=phase)}
    return [record for record in found if record["id"] in ranked or record["status"] == "failed"]


def stopped(records: Iterable[Record], phase: str) -> list[Record]:
    """Those of a phase whose trainings a scheduler has stopped before their end: they are compared with no other."""
    records = list(records)
    ranked = {record["id"] for record in evaluated(records, phase)}
    return [record for record in told(records) if record["phase"] == phase and record.get("role") is None
            and record["id"] not in ranked and record.get("reached")]  # fmt: skip


def baseline_name(records: Iterable[Record]) -> str:
    """The name of the baseline of a run."""
    descended = any(record["parents"] for record in evaluated(records, "baseline"))
    return "no selection" if descended else "random search"


def winner_id(records: Iterable[Record]) -> int | None:
    """The id of the network that a run chose as its winner, once its final training is complete."""
    ids = [record["parents"][0] for record in told(records) if record.get("role") == "winner" and record["parents"]]
    return ids[-1] if ids else None


def descendant(records: Iterable[Record], id: int | None) -> int | None:
    """The individual whose ancestors are shown: evaluation `id`, by default the winner; None if there is none yet.

    Raises UserError for an `id` that has not been evaluated.
    """
    if id is None:
        return winner_id(records)
    if all(record["id"] != id for record in told(records)):
        raise UserError(f"there is nothing to show for evaluation #{id}: it has not been evaluated; name one that has")
    return id


# ---- numbers with their units -------------------------------------------------------------------------------------


class Quantity(NamedTuple):
    """How an objective or a measure is displayed.

    label     label of an axis, with the unit
    factor    from the value to the displayed number
    unit      unit after a number: "%", "ms"; "" for counts and for quantities defined by a user
    """

    label: str
    factor: float = 1.0
    unit: str = ""

    @property
    def is_count(self) -> bool:
        return self.label in ("parameters", "multiply-adds")

    def text(self, number: float) -> str:
        """A displayed number with its unit."""
        if self.is_count:
            return count(number)
        digits = f"{number:.1f}" if self.unit == "%" else f"{number:.4g}"
        return f"{digits} {self.unit}".rstrip().replace("-", "−")  # as on the axes


_KNOWN = {
    "accuracy": Quantity("validation accuracy (%)", 100.0, "%"),
    "parameters": Quantity("parameters"),
    "multiply_adds": Quantity("multiply-adds"),
    "latency": Quantity("latency (ms)", unit="ms"),
}
_BY_SHARED_WEIGHTS = Quantity("validation accuracy by shared weights (%)", 100.0, "%")


def quantity(objective: str, records: Iterable[Record] = ()) -> Quantity:
    """How an objective is displayed. One that is not known here keeps its own name and has no unit. Where records were
    judged by the weights of a supernet it is said so: by itself a network reaches another accuracy."""
    if objective == "accuracy" and any(record.get("status") == "shared" for record in records):
        return _BY_SHARED_WEIGHTS
    return _KNOWN.get(objective, Quantity(objective.replace("_", " ")))


def count(number: float) -> str:
    """A count in thousands, millions or billions: 950, 17.8k, 1.2M."""
    size, letter = next((s for s in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if abs(number) >= s[0]), (1.0, ""))
    return f"{number / size:.3g}{letter}" if abs(number / size) < 999.5 else f"{number / size:.0f}{letter}"


def readable_range(values: Sequence[float], *, weight: float = 1.0, least: float = 2.0) -> tuple[float, float]:
    """Limits that exclude outliers on the worse side, beyond the worse quartile by over twice the interquartile range.

    weight    below 0 where less is better
    least     minimal width of the limits, for a single network or equal ones
    """
    first, third = np.percentile(values, [25, 75])
    low, high = min(values), max(values)
    if weight > 0:
        low = max(low, first - 2 * (third - first))
    else:
        high = min(high, third + 2 * (third - first))
    slack = max(0.0, least - (high - low)) / 2
    return float(low - slack), float(high + slack)


# ---- texts from outside -------------------------------------------------------------------------------------------


def literal(text: str, longest: int | None = None) -> str:
    """A text that a user has chosen, such as a name, for matplotlib to draw as it is.

    `$` begins no formula, white space is a space, and a question mark stands for what cannot be printed or is not in
    the font. What is longer than `longest` is cut off.
    """
    fonts = [get_font(findfont(FontProperties(family=[family]))) for family in rcParams["font.family"]]

    def drawn(character: str) -> str:
        if character.isspace():
            return " "
        known = character.isascii() or any(font.get_char_index(ord(character)) for font in fonts)
        return character if character.isprintable() and known else "?"

    return "".join(map(drawn, text if longest is None else brief(text, longest))).replace("$", r"\$")


def wrapped(title: str | None, width: int) -> list[str]:
    """The lines of a title, each of so many letters at most."""
    return [literal(line) for line in textwrap.wrap(title or "", width)]


# ---- axes ---------------------------------------------------------------------------------------------------------


class Picture(Figure):
    """A figure that a notebook shows as it is drawn here, without `%matplotlib inline`."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        width, height = (round(SCREEN * inches) for inches in self.get_size_inches())
        return png(self), {"width": width, "height": height}


def png(figure: Figure) -> bytes:
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    return drawn.getvalue()


def page(height: float, title: str | None) -> Figure:
    """An empty figure as wide as a page; the height is in inches."""
    figure = Picture(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    if title:
        figure.suptitle("\n".join(wrapped(title, LETTERS)), fontsize=10)
    return figure


def dress(axes: Axes, *, x: str, y: str) -> None:
    """Add labels, and no more ink than is needed to read the numbers."""
    axes.set_xlabel(literal(x, LABEL), fontsize=9)
    axes.set_ylabel(literal(y, LABEL), fontsize=9)
    axes.tick_params(labelsize=8.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.6)
    axes.set_axisbelow(True)


def beside(axes: Axes, *, y: str, color: str) -> Axes:
    """Axes for another quantity over the same x, with its scale at the right."""
    other = axes.twinx()
    other.set_ylabel(y, fontsize=9, color=color)
    other.tick_params(labelsize=8, colors=color)
    other.spines[["top", "left"]].set_visible(False)
    return other


def show_counts(axes: Axes, **which: Quantity) -> None:
    """Set tick labels with k, M or G on those of the axes "x" and "y" that show a count."""
    for name, shown in which.items():
        if shown.is_count:
            getattr(axes, f"{name}axis").set_major_formatter(FuncFormatter(lambda number, _: count(number)))


def blank(text: str, title: str | None) -> Figure:
    """A figure that says why it shows nothing."""
    figure = page(3.0, title)
    axes = figure.add_subplot()
    axes.spines[:].set_visible(False)
    say(axes, text)
    return figure


def say(axes: Axes, text: str) -> None:
    """Write a text where there is nothing to draw."""
    axes.set(xticks=[], yticks=[])
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", fontsize=10)


def legend(figure: Figure, entries: Mapping[str, Any], *, columns: int = 3) -> None:
    """Place the legend below everything else, so that it hides nothing."""
    if entries:
        names = [literal(name, LABEL) for name in entries]
        figure.legend(list(entries.values()), names, loc="outside lower center", ncols=columns, fontsize=8,
                      frameon=False)  # fmt: skip
