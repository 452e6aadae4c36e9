"""The picture of cells as they are published: the operations on earlier states that each node sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path

from evonas.plots.style import (
    BLACK,
    BLUE,
    DPI,
    GREEN,
    LETTERS,
    ORANGE,
    PURPLE,
    SKY,
    TICK,
    VERMILION,
    WIDTH,
    Picture,
    literal,
    wrapped,
)

Nodes = Sequence[Sequence[tuple[str, int]]]  # for each node its (operation, earlier state) pairs

_COLORS = (BLACK, VERMILION, BLUE, GREEN, ORANGE, PURPLE, SKY)  # of the edges from a state
_LINES = ("-", "--", "-.", ":")
BOX, ROW, GAP = 0.36, 1.25, 0.5  # heights of a box, of a row, and of the free lane above a row


def cells(found: Mapping[str, tuple[Nodes, Sequence[int], Sequence[int]]], *, title: str | None = None) -> Figure:
    """Draw each cell in its own panel. `found` maps a name to the nodes of a cell, the states that its output
    concatenates, and the nodes that concatenate their operations instead of adding them.

    States 0 and 1 are the inputs (0 the older); node n is state n + 2. Each node has its own column. Edges run in the
    lanes between rows and up the target's column, so that none passes through a box.
    """
    heights = [_height(nodes) for nodes, _, _ in found.values()]
    lines = wrapped(title, LETTERS)
    whole = sum(heights) + 0.23 + 0.17 * max(1, len(lines))
    figure = Picture(figsize=(WIDTH, whole), dpi=DPI)
    figure.text(0.5, 1 - 0.1 / whole, "\n".join(lines), ha="center", va="top", fontsize=10)
    bottom = sum(heights)
    for (name, (nodes, concat, joins)), height in zip(found.items(), heights, strict=True):
        bottom -= height
        axes = figure.add_axes((0, bottom / whole, 1, height / whole))
        axes.set(xlim=(0, WIDTH), ylim=(0, height))  # a unit is an inch
        axes.axis("off")
        _draw_cell(axes, name, nodes, concat, joins, height)
    return figure


def depths(nodes: Nodes) -> list[int]:
    """The depth of each state: 0 for the inputs of the cell, otherwise one more than that of its deepest input."""
    found = [0, 0]
    for pairs in nodes:
        found.append(1 + max((found[source] for _, source in pairs), default=0))
    return found


def _height(nodes: Nodes) -> float:
    return 1.15 + ROW * max(depths(nodes)) + 0.35


def _draw_cell(axes: Axes, name: str, nodes: Nodes, concat: Sequence[int], joins: Sequence[int], height: float) -> None:
    axes.text(0.15, height - 0.2, literal(name, LETTERS), fontsize=9, weight="bold", va="center")
    shares = [max(len(pairs), 1) for pairs in nodes]
    unit = (WIDTH - 0.3) / sum(shares)
    tops = [(WIDTH / 3, 0.15 + BOX), (2 * WIDTH / 3, 0.15 + BOX)]  # where the edges of each state begin
    for (x, y), label in zip(tops, ("0: the cell before the last", "1: the last cell"), strict=True):
        _box(axes, x, y - BOX / 2, 2.0, label, "#EEEEEE")
    left = 0.15
    for pairs, share, depth in zip(nodes, shares, depths(nodes)[2:], strict=True):
        state, x = len(tops), left + unit * share / 2
        row = 0.15 + BOX + GAP + ROW * (depth - 1)  # the lower edge of the operations
        node = row + BOX + 0.28
        for nth, (operation, source) in enumerate(pairs):
            at = left + unit * (nth + 0.5)
            _edge(axes, tops[source], (at, row), source)
            _box(axes, at, row + BOX / 2, min(unit - 0.06, 0.95), _in_two_lines(operation),
                 "#DCEAF7")  # fmt: skip
            axes.plot([at, x], [row + BOX, node], color="#444444", linewidth=0.9, zorder=1)
        joining = state in joins
        _box(axes, x, node + 0.09, 0.95 if joining else 0.34, f"{state}: concat" if joining else str(state),
             "#D6EFE5" if joining else "#FFFFFF", height=0.2)  # fmt: skip
        tops.append((x, node + 0.19))
        left += unit * share
    above = height - 0.5
    for state in concat:
        if state < 2:
            _around(axes, state, tops[state], above)
        else:
            _edge(axes, tops[state], (tops[state][0], above - 0.1), state)
    _box(
        axes,
        WIDTH / 2,
        above,
        WIDTH - 0.5,
        f"output: {', '.join(map(str, concat))} concatenated",
        "#D6EFE5",
        height=0.2,
    )


def _edge(axes: Axes, start: tuple[float, float], end: tuple[float, float], source: int) -> None:
    """Draw an edge from a state through the lane above it, then up the column of the target."""
    (x, y), (to, top) = start, end
    lane = min(y + GAP * 0.9, top)
    points = [(x, y), (x, (y + lane) / 2), (to, (y + lane) / 2), (to, lane), (to, top)]
    codes = [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4, Path.LINETO]
    color, line = _COLORS[source % len(_COLORS)], _LINES[source % len(_LINES)]
    axes.add_patch(PathPatch(Path(points, codes), fill=False, edgecolor=color, linestyle=line, linewidth=1.1, zorder=1))


def _around(axes: Axes, state: int, top: tuple[float, float], above: float) -> None:
    """Draw an edge from an input to the output along the margin, because columns of operations block the direct way."""
    side, margin, bar = ((-1, 0.08, 0.25), (1, WIDTH - 0.08, WIDTH - 0.25))[state]
    low = top[1] - BOX / 2
    points = [(top[0] + side, low), (margin, low), (margin, above), (bar, above)]
    axes.add_patch(PathPatch(Path(points), fill=False, edgecolor=_COLORS[state], linestyle=_LINES[state], linewidth=1.1,
                             zorder=1))  # fmt: skip


def _in_two_lines(operation: str) -> str:
    first, _, last = literal(operation, TICK).rpartition("_")
    return f"{first}\n{last}".replace("_", " ").lstrip()


def _box(axes: Axes, x: float, y: float, width: float, text: str, fill: str, *, height: float = BOX) -> None:
    form = "round,pad=0,rounding_size=0.05"
    axes.add_patch(FancyBboxPatch((x - width / 2, y - height / 2), width, height, boxstyle=form, facecolor=fill,
                                  edgecolor="#444444", linewidth=0.8, zorder=2))  # fmt: skip
    axes.text(x, y, text, fontsize=7.5, ha="center", va="center", linespacing=1.0, zorder=3)
