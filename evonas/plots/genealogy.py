"""The ancestors of a network: the operators that led to it, and the founders that it descends from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import accumulate
from math import ceil
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path

from evonas.plots.layout import (
    CHARACTER,
    LANE,
    LINE,
    PADDING,
    Box,
    Leg,
    Link,
    Point,
    Route,
    Rows,
    apart,
    neighbours,
    placed,
    ports,
    untangled,
    way,
    with_passages,
)
from evonas.plots.lineage import gained
from evonas.plots.style import (
    ACCURACY,
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
    Objectives,
    Picture,
    Quantity,
    Record,
    blank,
    descendant,
    literal,
    quantity,
    told,
    wrapped,
)
from evonas.support.text import brief

MOST_ROWS, MOST_BESIDE = 15, 8  # most rows shown; most networks in a row
HEIGHT, BETWEEN, BESIDE = 2 * LINE + 2 * PADDING, 0.34, 0.12  # of boxes; least space between rows, and within a row
SIDE, MORE = 0.1, 0.62  # margin; room at the right for "+12 more"

Dashes = Any  # as matplotlib takes them

# the lines of operators differ in colour and in dashes
LINES: list[tuple[str, Dashes]] = [(BLUE, "-"), (ORANGE, (0, (5, 1.5))), (GREEN, (0, (1.2, 1.2))),
                                   (VERMILION, (0, (6, 1.5, 1.2, 1.5))), (PURPLE, (0, (2.5, 1.5))),
                                   (SKY, (0, (6, 1.5, 1.2, 1.5, 1.2, 1.5)))]  # fmt: skip
OTHER_LINE: tuple[str, Dashes] = (BLACK, "-")


def genealogy(
    records: Iterable[Record], *, id: int | None = None, objectives: Objectives = ACCURACY, title: str | None = None
) -> Figure:
    """Draw the ancestors of evaluation `id`, by default of the winner, with parents above children and founders on top.

    Each network is drawn once, in the row of the longest line of descent from it. At most MOST_ROWS rows and the best
    connected networks of each row are shown; the picture says how many it leaves out. Raises UserError for an `id`
    that has not been evaluated.
    """
    records = list(records)
    known = {record["id"]: record for record in told(records)}
    if (shown := descendant(records, id)) is None:
        return blank("there is no winner yet", title)
    return _drawn(family(known, shown, quantity(next(iter(objectives)), records)), title, shown)


# ---- who is shown -------------------------------------------------------------------------------------------------


def generations_between(known: Mapping[int, Record], id: int) -> dict[int, int]:
    """The greatest number of generations from each ancestor down to the individual, and 0 for the individual itself."""
    rows = {id: 0}
    for child in sorted(known, reverse=True):  # children are proposed after their parents
        if child in rows:
            for parent in set(known[child]["parents"]) & set(known):
                rows[parent] = max(rows.get(parent, 0), rows[child] + 1)
    return rows


def best_connected(known: Mapping[int, Record], rows: Mapping[int, int], most: int) -> list[int]:
    """At most `most` networks of each row, chosen from the bottom up by the number of children already chosen."""
    chosen = [id for id, row in rows.items() if row == 0]
    for row in range(1, MOST_ROWS):
        children = Counter(parent for child in chosen for parent in set(known[child]["parents"]))
        members = [id for id in children if rows.get(id) == row]
        chosen += sorted(members, key=lambda id: (-children[id], id))[:most]
    return chosen


# ---- where everything lies ------------------------------------------------------------------------------------------


class Family(NamedTuple):
    """The elements of the picture, in inches, with y growing downwards.

    boxes     box of each network, with its texts: id, fitness, operator
    descents  lines from parent to child, with the operator that made the child
    founders  networks without parents
    beside    of a network that is alone in its row: what it gained over its first parent, and its code
    hidden    position of a row -> number of networks that are left out of it
    rows      number of rows, including those that are not shown
    """

    boxes: dict[int, Box]
    texts: dict[int, tuple[str, str, str]]
    descents: list[tuple[Route, str]]
    founders: set[int]
    beside: dict[int, tuple[str, str]]
    hidden: dict[float, int]
    rows: int


def family(known: Mapping[int, Record], id: int, shown: Quantity) -> Family:
    """The ancestors of an individual, laid out over the width of the page."""
    rows = generations_between(known, id)
    texts = {id: _texts(known[id], shown) for id, row in rows.items() if row < MOST_ROWS}
    width = max(_width(*lines) for lines in texts.values())
    depth, edges, links, x, hidden = arranged(known, rows, width)
    tops = _tops(x, links)
    alone = {layer for layer, points in Counter(layer for _, layer in x).items() if points == 1} - set(hidden)
    boxes = {n: Box(x[n, d] - width / 2, tops[d], x[n, d] + width / 2, tops[d] + HEIGHT) for n, d in depth.items()}
    return Family(
        {int(name): box for name, box in boxes.items()},
        texts,
        [(route, known[int(route.target)]["operator"]) for route in _routes(edges, depth, links, x, boxes, tops)],
        {int(name) for name in boxes if not known[int(name)]["parents"]},
        {int(name): _beside(known, int(name), shown, width) for name, layer in depth.items() if layer in alone},
        {tops[layer] + HEIGHT / 2: count for layer, count in hidden.items()},
        1 + max(rows.values()),
    )


class Arranged(NamedTuple):
    """The chosen ancestors in layers, from the top, as in the picture of a network.

    depth   layer of each ancestor
    edges   pairs of parent and child
    links   pairs of points in neighbouring layers
    x       centres of all points, in inches
    hidden  layer -> number of networks that are left out of it
    """

    depth: dict[str, int]
    edges: list[tuple[str, str]]
    links: list[Link]
    x: dict[Point, float]
    hidden: dict[int, int]


def arranged(known: Mapping[int, Record], rows: Mapping[int, int], width: float) -> Arranged:
    """The arrangement with as many ancestors in a row as there is room for, with boxes of that width."""
    for most in range(MOST_BESIDE, 0, -1):
        chosen = best_connected(known, rows, most)
        top = max(rows[id] for id in chosen)
        depth = {str(id): top - rows[id] for id in chosen}
        edges = [(str(a), str(b)) for b in chosen for a in sorted(set(known[b]["parents"])) if str(a) in depth]
        order, links = with_passages(edges, depth)
        order = untangled(order, links, depth)
        widths = {p: width + BESIDE if depth[p[0]] == p[1] else LANE for layer in order for p in layer}
        hidden = Counter(top - row for id, row in rows.items() if row <= top and id not in chosen)
        room = WIDTH - 2 * SIDE - (MORE if hidden else 0)
        x = squeezed(order, placed(order, links, widths), widths, room)
        left, right = _extent(x, widths)
        if right - left <= room:
            break
    shift = SIDE + room / 2 - (left + right) / 2
    return Arranged(depth, edges, links, {point: at + shift for point, at in x.items()}, hidden)


def squeezed(order: Rows, x: dict[Point, float], widths: Mapping[Point, float], room: float) -> dict[Point, float]:
    """The centres, moved together just enough for all layers to fit into the room."""
    for share in (1.0, 0.8, 0.6, 0.4, 0.2, 0.0):
        near: dict[Point, float] = {}
        for layer in order:
            near |= zip(layer, apart([share * x[p] for p in layer], [widths[p] for p in layer]), strict=True)
        left, right = _extent(near, widths)
        if right - left <= room:
            break
    return near


def _extent(x: Mapping[Point, float], widths: Mapping[Point, float]) -> tuple[float, float]:
    return min(x[p] - widths[p] / 2 for p in x), max(x[p] + widths[p] / 2 for p in x)


def _texts(record: Record, shown: Quantity) -> tuple[str, str, str]:
    fitness = shown.text(shown.factor * record["values"][0]) if record["values"] else "failed"
    operator = record["operator"]
    return f"#{record['id']}", fitness, operator if len(operator) <= 14 else operator[:13] + "…"


def _beside(known: Mapping[int, Record], id: int, shown: Quantity, width: float) -> tuple[str, str]:
    record, room = known[id], int((WIDTH / 2 - width / 2 - BESIDE - SIDE) / CHARACTER)
    parent = known.get(record["parents"][0]) if record["parents"] else None
    gain = None if parent is None else gained(parent, record)
    text = "" if gain is None else f"{'+' * (gain >= 0)}{shown.text(shown.factor * gain)} over #{record['parents'][0]}"
    return text, brief(record.get("code", ""), room)


def _width(id: str, fitness: str, operator: str) -> float:
    return CHARACTER * max(len(f"{id}  {fitness}"), len(operator)) + 2 * PADDING


def _tops(x: Mapping[Point, float], links: Iterable[Link]) -> list[float]:
    """The upper edges of the layers. Lines that run far to the side get more height, so that they are not too flat."""
    reach = {layer: 0.0 for _, layer in sorted(x, key=lambda point: point[1])}
    for upper, lower in links:
        reach[upper[1]] = max(reach[upper[1]], abs(x[upper] - x[lower]))
    pitches = [HEIGHT + BETWEEN + 0.06 * far for far in reach.values()]
    return list(accumulate(pitches[:-1], initial=0.0))


def _routes(
    edges: Iterable[tuple[str, str]],
    depth: Mapping[str, int],
    links: list[Link],
    x: Mapping[Point, float],
    boxes: Mapping[str, Box],
    tops: list[float],
) -> list[Route]:
    """The routes from the lower edge of a parent to the upper edge of a child, vertical where they pass other rows."""
    above, below = neighbours(links)
    leave = {name: ports(box, below[name, depth[name]], x) for name, box in boxes.items()}
    arrive = {name: ports(box, above[name, depth[name]], x) for name, box in boxes.items()}
    routes = []
    for parent, child in edges:
        points = way(depth, parent, child)
        start, end = boxes[parent].bottom, boxes[child].top
        legs = [Leg(leave[parent][points[1]], start, start)]
        legs += [Leg(x[point], tops[point[1]], tops[point[1]] + HEIGHT) for point in points[1:-1]]
        routes.append(Route(parent, child, True, [*legs, Leg(arrive[child][points[-2]], end, end)]))
    return routes


# ---- drawing ------------------------------------------------------------------------------------------------------


def _drawn(family: Family, title: str | None, id: int) -> Figure:
    notes = [f"#{id} and its ancestors: parents above their children, founders in grey"]
    if family.rows > MOST_ROWS:
        notes.append(f"the last {MOST_ROWS} of {family.rows} generations of ancestry")
    heading = wrapped(title, LETTERS)
    lines = _lines(family)
    above = 0.2 + 0.17 * len(heading) + 0.15 * len(notes)
    below = 0.15 + 0.2 * ceil(len(lines) / 4)
    bottom = max(box.bottom for box in family.boxes.values())
    figure = Picture(figsize=(WIDTH, above + bottom + below), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(bottom + below, -above))  # a unit is an inch
    axes.axis("off")
    middle = WIDTH / 2
    axes.text(middle, 0.1 - above, "\n".join(heading), ha="center", va="top", fontsize=10)
    axes.text(middle, -0.1, "\n".join(notes), ha="center", va="bottom", fontsize=8, color="#555555")
    for route, operator in family.descents:
        _draw_descent(axes, route, *lines[operator])
    for name, box in family.boxes.items():
        _draw_box(axes, box, family.texts[name], founder=name in family.founders, itself=name == id)
        for line, text in enumerate(family.beside.get(name, ())):
            y = box.top + PADDING + LINE * (line + 0.5)
            axes.text(box.right + BESIDE, y, literal(text), fontsize=7.5, va="center_baseline", color="#555555")
    for y, count in family.hidden.items():
        axes.text(WIDTH - SIDE, y, f"+{count} more", ha="right", va="center", fontsize=7.5, color="#555555")
    if lines:
        samples = [Line2D([], [], color=color, linestyle=dashes, linewidth=1.3) for color, dashes in lines.values()]
        names = [literal(operator, TICK) for operator in lines]
        figure.legend(samples, names, loc="lower center", ncols=4, fontsize=8, frameon=False, handlelength=3.5,
                      borderaxespad=0.1)  # fmt: skip
    return figure


def _lines(family: Family) -> dict[str, tuple[str, Dashes]]:
    """The line style of each operator, the most frequent ones first."""
    operators = Counter(operator for _, operator in family.descents)
    names = [operator for operator, _ in operators.most_common()]
    return {name: LINES[nth] if nth < len(LINES) else OTHER_LINE for nth, name in enumerate(names)}


def _draw_descent(axes: Axes, route: Route, color: str, dashes: Dashes) -> None:
    points = route.curve()
    path = Path(points, [Path.MOVETO] + [Path.CURVE4] * (len(points) - 1))
    axes.add_patch(PathPatch(path, fill=False, edgecolor=color, linestyle=dashes, linewidth=1.3, zorder=1))


def _draw_box(axes: Axes, box: Box, texts: tuple[str, str, str], *, founder: bool, itself: bool) -> None:
    form = "round,pad=0,rounding_size=0.06"
    size = (box.right - box.left, box.bottom - box.top)
    fill, edge, width = "#E4E4E4" if founder else "white", VERMILION if itself else "#444444", 1.8 if itself else 0.8
    axes.add_patch(FancyBboxPatch((box.left, box.top), *size, boxstyle=form, facecolor=fill, edgecolor=edge,
                                  linewidth=width, zorder=2))  # fmt: skip
    id, fitness, operator = texts
    y = box.top + PADDING + LINE / 2
    axes.text(box.left + PADDING, y, id, fontsize=7.5, weight="bold", va="center_baseline", zorder=3)
    axes.text(box.right - PADDING, y, fitness, fontsize=7.5, ha="right", va="center_baseline", zorder=3)
    axes.text(box.left + PADDING, y + LINE, literal(operator), fontsize=7.5, va="center_baseline", zorder=3)
