"""The picture of a network."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path

from evonas.graph import Graph
from evonas.plots.layout import CHARACTER, HEAD, LINE, PADDING, Box, Route, box_texts, layout
from evonas.plots.style import DPI, Picture, literal, wrapped

FILLS = {"conv": "#DCEAF7", "pool": "#FBE9CC", "linear": "#D6EFE5"}  # colours of boxes with such an operation
SIGNS = {"sum": "+", "concat": "‖", "attention": "α", "blend": "λ"}  # how a node combines its inputs


def architecture(graph: Graph, *, title: str | None = None) -> Picture:
    """Draw a network from its input, at the top, to its output; dashed edges depend on open decisions.

    The title defaults to the number of weights and multiply-adds.
    """
    picture = layout(graph)
    width = max(picture.width, 4.0)
    lines = wrapped(title or _summary(graph), int(width / 0.085))
    above = 0.4 + 0.17 * len(lines)
    figure = Picture(figsize=(width, above + picture.height), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    middle = picture.width / 2
    axes.set(xlim=(middle - width / 2, middle + width / 2), ylim=(picture.height, -above))  # a unit is an inch
    axes.axis("off")
    axes.text(middle, 0.15 - above, "\n".join(lines), ha="center", va="top", fontsize=9)
    for label, band in picture.bands:
        _draw_band(axes, label, band)
    for route in sorted(picture.routes, key=lambda route: route.certain):
        _draw_route(axes, route)
    for name, texts in box_texts(graph).items():
        _draw_box(axes, picture.boxes[name], *texts)
    for node in graph.nodes:
        if len(node.inputs) > 1:
            _draw_join(axes, picture.boxes[node.name], SIGNS[node.combine])
    return figure


def _summary(graph: Graph) -> str:
    counts = f"{graph.parameters:,} parameters, {graph.multiply_adds:,} multiply-adds"
    return f"{counts} of all candidates; dashed: undecided" if graph.is_open else counts


def _rounded(axes: Axes, box: Box, **style: Any) -> None:
    form = "round,pad=0,rounding_size=0.06"
    size = (box.right - box.left, box.bottom - box.top)
    axes.add_patch(FancyBboxPatch((box.left, box.top), *size, boxstyle=form, **style))


def _draw_band(axes: Axes, label: str, band: Box) -> None:
    _rounded(axes, band, color="#F3F3F3", linewidth=0, zorder=0)
    letters = int((band.bottom - band.top) / CHARACTER)
    text = label if len(label) <= letters else label[: letters - 1] + "…"
    axes.text(band.left + 0.12, (band.top + band.bottom) / 2, literal(text), rotation=90, fontsize=7.5, color="#666666",
              ha="center", va="center", zorder=3)  # fmt: skip


def _draw_route(axes: Axes, route: Route) -> None:
    points = route.curve()
    color, line = ("#444444", "-") if route.certain else ("#999999", (0, (4, 2)))
    path = Path(points, [Path.MOVETO] + [Path.CURVE4] * (len(points) - 1))
    axes.add_patch(PathPatch(path, fill=False, edgecolor=color, linestyle=line, linewidth=0.9, zorder=1))
    x, y = points[-1]
    axes.fill([x - 0.035, x + 0.035, x], [y - HEAD, y - HEAD, y], color=color, linewidth=0, zorder=2)


def _draw_box(axes: Axes, box: Box, name: str, shape: str, *lines: str) -> None:
    fill = next((color for word, color in FILLS.items() if word in " ".join(lines)), "#FFFFFF")
    _rounded(axes, box, facecolor=fill, edgecolor="#444444", linewidth=0.8, zorder=2)
    left, y = box.left + PADDING, box.top + PADDING + LINE / 2
    axes.text(left, y, literal(name), fontsize=7.5, weight="bold", va="center_baseline", zorder=3)
    axes.text(box.right - PADDING, y, shape, fontsize=7, ha="right", va="center_baseline", zorder=3)
    for nth, line in enumerate(lines, 1):
        axes.text(left, y + nth * LINE, literal(line), fontsize=7.5, va="center_baseline", zorder=3)


def _draw_join(axes: Axes, box: Box, sign: str) -> None:
    x, y = box.left + 0.02, box.top + 0.02
    axes.plot([x], [y], "o", markersize=9, color="white", markeredgecolor="#444444", markeredgewidth=0.8, zorder=4)
    axes.text(x, y, sign, fontsize=7, ha="center", va="center_baseline" if sign == "+" else "center", zorder=5)
