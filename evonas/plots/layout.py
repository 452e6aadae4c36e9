"""The layout of the picture of a network, by pure functions in inches, with y growing downwards.

Pictures are layered (Sugiyama, Tagawa and Toda 1981, "Methods for visual understanding of hierarchical system
structures"): layers by longest path, then few crossings by barycentres, then coordinates. Edges bend only in the gaps
between layers, so that they never cross a box.
"""

from __future__ import annotations

import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain, combinations, pairwise
from math import ceil
from statistics import fmean
from typing import NamedTuple

import numpy as np

from evonas.graph import INPUT, Graph

Point = tuple[str, int]  # (node, layer): the node's box or, in a layer below it, the place where its edges pass
Link = tuple[Point, Point]  # points of neighbouring layers, the upper one first
Rows = list[list[Point]]  # the points of each layer, from left to right

CHARACTER, LINE, PADDING = 0.068, 0.135, 0.06  # for text at 7.5 points: width of a letter, height of a line, padding
LANE, BESIDE, BETWEEN = 0.16, 0.3, 0.34  # width of a passing edge; least space between boxes, and between layers
HEAD, MARGIN = 0.09, 0.35  # height of an arrow head; space around the picture
COLUMN = 11.0  # height beyond which the layers continue in another column
MOST_BACK, TURN = 3, 0.4  # most edges from a column to the next; how far their curves reach beyond it


class Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def touches(self, other: Box) -> bool:
        beside = self.right <= other.left or other.right <= self.left
        return not (beside or self.bottom <= other.top or other.bottom <= self.top)


class Leg(NamedTuple):
    """A vertical segment of a route; it leads upwards if `end` is less than `start`."""

    x: float
    start: float
    end: float

    @property
    def rises(self) -> bool:
        return self.end < self.start - 1e-6  # a box as high as its layer has a leg of length 0, up to rounding


class Route(NamedTuple):
    """The route of an edge: legs joined by smooth curves. It is `certain` if its gate is 1."""

    source: str
    target: str
    certain: bool
    legs: list[Leg]

    def curve(self) -> list[tuple[float, float]]:
        """The start, then three control points for each cubic segment."""
        points = [(self.legs[0].x, self.legs[0].start)]
        for leg, after in zip(self.legs, [*self.legs[1:], None], strict=True):
            points += [(leg.x, leg.start), (leg.x, leg.end), (leg.x, leg.end)]
            if after is None:
                break
            first = second = (leg.end + after.start) / 2
            if after.rises or leg.rises:  # turns around
                reach = TURN if after.rises else -TURN
                first, second = leg.end + reach, after.start + reach
            points += [(leg.x, first), (after.x, second), (after.x, after.start)]
        return points


class Layout(NamedTuple):
    boxes: dict[str, Box]
    routes: list[Route]
    bands: list[tuple[str, Box]]  # folder and background
    width: float
    height: float


def layout(graph: Graph) -> Layout:
    """The complete layout of the picture. The edges of a node run together until they have to separate."""
    depth = layers(graph)
    rows, links = with_passages([(edge.source, node.name) for node in graph.nodes for edge in node.inputs], depth)
    rows = untangled(rows, links, depth)
    sizes = {name: box_size(*lines) for name, lines in box_texts(graph).items()}
    width = max(width for width, _ in sizes.values())  # one width for all: a chain looks like a chain
    widths = {point: width + BESIDE if depth[point[0]] == point[1] else LANE for row in rows for point in row}
    x = placed(rows, links, widths)
    heights = [max(sizes[name][1] for name, layer in row if depth[name] == layer) for row in rows]
    reach = [max((abs(x[p] - x[q]) for p, q in links if p[1] == row), default=0.0) for row in range(len(rows))]
    gaps = [BETWEEN + 0.06 * distance for distance in reach]  # wide curves need height, or they lie flat
    column = columns(rows, links, [height + gap for height, gap in zip(heights, gaps, strict=True)])
    extents = row_extents(heights, gaps, column)
    x, gutters, full_width = side_by_side(x, widths, links, column)
    boxes = {}
    for name, layer in depth.items():
        middle, half = sum(extents[layer]) / 2, sizes[name][1] / 2
        boxes[name] = Box(x[name, layer] - width / 2, middle - half, x[name, layer] + width / 2, middle + half)
    routes = routed(graph, depth, links, x, boxes, extents, gutters)
    height = max(bottom for _, bottom in extents) + (TURN if gutters else 0) + MARGIN
    bands = banded(boxes, routes, {name: column[layer] for name, layer in depth.items()})
    return Layout(boxes, routes, bands, full_width, height)


def layers(graph: Graph) -> dict[str, int]:
    """The longest path from the input to each node."""
    depth = {INPUT: 0}
    for node in graph.nodes:
        depth[node.name] = 1 + max(depth[edge.source] for edge in node.inputs)
    return depth


def way(depth: Mapping[str, int], source: str, target: str) -> list[Point]:
    """The points of an edge: its source, its passages through the layers between, its target."""
    return [*((source, layer) for layer in range(depth[source], depth[target])), (target, depth[target])]


def with_passages(edges: Iterable[tuple[str, str]], depth: Mapping[str, int]) -> tuple[Rows, list[Link]]:
    """The points of each layer, and the links between points of neighbouring layers, for edges (source, target)."""
    ways = [way(depth, source, target) for source, target in edges]
    rows: Rows = [[] for _ in range(max(depth.values()) + 1)]
    for point in dict.fromkeys(chain(depth.items(), *ways)):  # each once, in this order
        rows[point[1]].append(point)
    return rows, list(dict.fromkeys(chain.from_iterable(map(pairwise, ways))))


def neighbours(links: Iterable[Link]) -> tuple[dict[Point, list[Point]], dict[Point, list[Point]]]:
    """The points above and the points below each point."""
    above, below = defaultdict(list), defaultdict(list)
    for upper, lower in links:
        above[lower].append(upper)
        below[upper].append(lower)
    return above, below


def crossings(rows: Rows, links: Iterable[Link]) -> int:
    place = {point: at for row in rows for at, point in enumerate(row)}
    gaps = defaultdict(list)
    for upper, lower in links:
        gaps[upper[1]].append((place[upper], place[lower]))
    return sum((a - c) * (b - d) < 0 for ways in gaps.values() for (a, b), (c, d) in combinations(ways, 2))


def untangled(rows: Rows, links: list[Link], depth: Mapping[str, int]) -> Rows:
    """The layers, ordered with the fewest crossings that sweeps by barycentre find."""
    # a good start for chains with skips: edges of every second node pass on the left, the others on the right
    side = {name: -1 if nth % 2 else 1 for nth, name in enumerate(depth)}
    order = [sorted(row, key=lambda point: side[point[0]] * (depth[point[0]] != point[1])) for row in rows]
    found = [order]
    towards = neighbours(links)
    for sweep in range(16):
        place: dict[Point, float] = {}
        order = [list(row) for row in order]
        for row in order[:: -1 if sweep % 2 else 1]:
            near = towards[sweep % 2]
            centre = {p: fmean([place[q] for q in near[p]] or [at]) for at, p in enumerate(row)}
            row.sort(key=centre.__getitem__)
            place |= {point: at for at, point in enumerate(row)}
        found.append(order)
    return min(found, key=lambda rows: crossings(rows, links))


def placed(rows: Rows, links: list[Link], widths: Mapping[Point, float]) -> dict[Point, float]:
    """The centres of all points: near their neighbours, in the order of their layer, and without overlap."""
    x = {point: 0.0 for row in rows for point in row}
    towards = neighbours(links)
    for sweep in range(41):  # the last one downwards, so that chains end up straight
        for row in rows[:: -1 if sweep % 2 else 1]:
            wanted = []
            for point in row:
                near = towards[sweep % 2][point] or [point]
                weights = [widths[other] for other in near]  # boxes attract more than passing edges, for less zigzag
                wanted.append(float(np.average([x[other] for other in near], weights=weights)))
            x |= zip(row, apart(wanted, [widths[point] for point in row]), strict=True)
    return x


def apart(wanted: Sequence[float], widths: Sequence[float]) -> list[float]:
    """The centres nearest to `wanted`, in least squares, that keep order and widths (pool adjacent violators)."""
    offsets = list(accumulate(((a + b) / 2 for a, b in pairwise(widths)), initial=0.0))
    pools: list[tuple[float, int]] = []  # runs of touching points: where each starts, and its size
    for mean, size in ((want - offset, 1) for want, offset in zip(wanted, offsets, strict=True)):
        while pools and pools[-1][0] > mean:
            other, count = pools.pop()
            mean, size = (mean * size + other * count) / (size + count), size + count
        pools.append((mean, size))
    starts = [mean for mean, size in pools for _ in range(size)]
    return [start + offset for start, offset in zip(starts, offsets, strict=True)]


def columns(rows: Rows, links: Iterable[Link], pitches: Sequence[float]) -> list[int]:
    """The column of each layer. Long pictures are cut where few edges cross, preferably between folders."""
    ends = list(accumulate(pitches))
    crossing = Counter(upper[1] for upper, _ in links)
    folders = [{_folder(name) for name, _ in row} - {""} for row in rows]
    wanted, cuts = ceil(ends[-1] / COLUMN), set()
    for ideal in (ends[-1] * nth / wanted for nth in range(1, wanted)):
        cost = {row: abs(ends[row] - ideal) for row in range(len(rows) - 1) if crossing[row] <= MOST_BACK}
        near = {row: off + 2 * bool(folders[row] & folders[row + 1]) for row, off in cost.items() if off < COLUMN / 3}
        cuts |= {min(near, key=near.__getitem__)} if near else set()
    return [sum(cut < row for cut in cuts) for row in range(len(rows))]


def _folder(name: str) -> str:
    return name.split("/")[0] if "/" in name else ""


def row_extents(heights: Sequence[float], gaps: Sequence[float], column: Sequence[int]) -> list[tuple[float, float]]:
    """The upper and lower edge of each layer."""
    extents: list[tuple[float, float]] = []
    for row, height in enumerate(heights):
        top = TURN if column[-1] else 0.0
        if row and column[row] == column[row - 1]:
            top = extents[-1][1] + gaps[row - 1]
        extents.append((top, top + height))
    return extents


def side_by_side(
    x: Mapping[Point, float], widths: Mapping[Point, float], links: Iterable[Link], column: Sequence[int]
) -> tuple[dict[Point, float], dict[Link, float], float]:
    """The centres with the columns side by side, the places where edges rise to a next column, and the total width."""
    moved: dict[Point, float] = {}
    gutters: dict[Link, float] = {}
    right = MARGIN
    for number in range(column[-1] + 1):
        points = [point for point in x if column[point[1]] == number]
        shift = right - min(x[point] - widths[point] / 2 for point in points)
        moved |= {point: x[point] + shift for point in points}
        right = max(moved[point] + widths[point] / 2 for point in points)
        for link in links:
            if column[link[0][1]] == number < column[link[1][1]]:
                right += LANE
                gutters[link] = right
        right += BESIDE
    return moved, gutters, right


def routed(
    graph: Graph,
    depth: Mapping[str, int],
    links: list[Link],
    x: Mapping[Point, float],
    boxes: Mapping[str, Box],
    extents: Sequence[tuple[float, float]],
    gutters: Mapping[Link, float],
) -> list[Route]:
    """The route of every edge: vertical within layers, where the boxes are, and bent only in the gaps between them."""
    above, below = neighbours(links)
    leave: dict[Link, float] = {}
    arrive: dict[Link, float] = {}
    for name, box in boxes.items():
        me = (name, depth[name])
        leave |= {(me, other): at for other, at in ports(box, below[me], x).items()}
        arrive |= {(other, me): at for other, at in ports(box, above[me], x).items()}
    routes = []
    for source, target, gate in ((edge.source, node.name, edge.gate) for node in graph.nodes for edge in node.inputs):
        passed = list(pairwise(way(depth, source, target)))
        legs = [Leg(leave[passed[0]], boxes[source].bottom, extents[depth[source]][1])]
        for link in passed:
            top, bottom = extents[link[1][1]]
            if link in gutters:
                legs.append(Leg(gutters[link], extents[link[0][1]][1], top - HEAD))
            if link == passed[-1]:
                legs.append(Leg(arrive[link], top - HEAD, boxes[target].top))
            else:
                legs.append(Leg(x[link[1]], top, bottom))
        routes.append(Route(source, target, gate == 1, legs))
    return routes


def ports(box: Box, others: Iterable[Point], x: Mapping[Point, float]) -> dict[Point, float]:
    """Where the links between a box and these points touch its edge: side by side, in the order of the points."""
    ends = sorted(others, key=x.__getitem__)
    spacing = min(0.2, 0.75 * (box.right - box.left) / max(1, len(ends)))
    middle = (box.left + box.right) / 2 - (len(ends) - 1) / 2 * spacing
    return {end: middle + at * spacing for at, end in enumerate(ends)}


def banded(boxes: Mapping[str, Box], routes: Iterable[Route], column: Mapping[str, int]) -> list[tuple[str, Box]]:
    """The bands behind folders of several nodes, one in each column, unless it would lie behind other nodes too."""
    groups: dict[tuple[str, int], list[str]] = defaultdict(list)
    for name in boxes:
        groups[_folder(name), column[name]].append(name)
    bands = []
    for (folder, _), names in groups.items():
        inside = [boxes[name] for name in names]
        within = [leg.x for route in routes if {route.source, route.target} <= set(names) for leg in route.legs]
        left, right = min([box.left for box in inside] + within), max([box.right for box in inside] + within)
        # the label is vertical, at the left
        band = Box(left - 0.25, min(box.top for box in inside) - 0.1, right + 0.1, max(b.bottom for b in inside) + 0.1)
        alone = not any(band.touches(box) for name, box in boxes.items() if name not in names)
        if folder and len(names) > 1 and alone:
            bands.append((folder, band))
    return bands


def box_texts(graph: Graph) -> dict[str, list[str]]:
    """The lines of text in each box: name, shape, and operations."""
    texts = {name: [name, "×".join(map(str, shape))] for name, shape in graph.shapes.items()}
    for node in graph.nodes:
        names = [str(operation).replace("batch_norm", "BN").replace("relu", "ReLU") for operation in node.operations]
        unbroken = [name.replace("_", "\xa0").replace(" ", "\xa0") for name in names]
        texts[node.name] += textwrap.wrap("\xa0· ".join(unbroken), 30)
    return texts


def box_size(name: str, shape: str, *lines: str) -> tuple[float, float]:
    letters = max(map(len, (f"{name}   {shape}", *lines)))
    return letters * CHARACTER + 2 * PADDING, (1 + len(lines)) * LINE + 2 * PADDING
