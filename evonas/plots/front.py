"""The networks of a search in the plane of its first objective and their size, and the Pareto front among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from evonas.plots.style import (
    ACCURACY,
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    VERMILION,
    Objectives,
    Quantity,
    Record,
    baseline_name,
    dress,
    evaluated,
    legend,
    page,
    quantity,
    readable_range,
    say,
    show_counts,
    winner_id,
)
from evonas.ranking import undominated

MOST_LABELS = 12  # ids at the front; more would be unreadable


class Dot(NamedTuple):
    """A network in the plane, in the units of the axes."""

    x: float
    y: float
    id: int


def front(records: Iterable[Record], *, objectives: Objectives = ACCURACY, title: str | None = None) -> Figure:
    """Draw the first objective against the second one, or, for a single objective, against the number of parameters.

    Dots are networks of the search and of its random baseline. A stepped line is the Pareto front of the search in this
    plane, whose members are labelled with their ids; a star is the winner. Failed networks are omitted.
    """
    records = list(records)
    (y_name, y_weight), (x_name, x_weight) = [*objectives.items(), ("parameters", -1.0)][:2]
    across, up = quantity(x_name, records), quantity(y_name, records)
    search, baseline = (
        _dots(evaluated(records, phase), len(objectives), across, up) for phase in ("search", "baseline")
    )
    figure = page(4.4, title)
    axes = figure.add_subplot()
    dress(axes, x=across.label, y=up.label)
    if not search:
        say(axes, "no network of known size has been evaluated yet")
        return figure
    members = undominated(((y_weight * dot.y, x_weight * dot.x), dot) for dot in search)
    _set_x_range(axes, [dot.x for dot in search + baseline])
    worst = _set_y_range(axes, search + baseline, members, y_weight, up)
    show_counts(axes, x=across, y=up)
    entries = _draw_dots(axes, "search: networks", search, worst, y_weight, color=BLUE, marker="o", alpha=0.5,
                         linewidths=0, zorder=2)  # fmt: skip
    entries |= _draw_dots(axes, f"{baseline_name(records)}: networks", baseline, worst, y_weight, facecolor="none",
                          edgecolor=ORANGE, marker="D", linewidths=0.8, zorder=3)  # fmt: skip
    entries |= _draw_steps(axes, members, x_weight, "Pareto front" + " of these two" * (len(objectives) > 2))
    entries |= _draw_winner(axes, search, winner_id(records))
    entries |= _draw_beyond(axes, {BLUE: search, ORANGE: baseline}, worst, y_weight, up)
    legend(figure, entries)
    _label(axes, members, (x_weight, y_weight))
    return figure


def _dots(records: Iterable[Record], objectives: int, across: Quantity, up: Quantity) -> list[Dot]:
    """The networks for which both coordinates are known."""
    dots = []
    for record in records:
        if record["values"]:
            x = record["values"][1] if objectives > 1 else record.get("measures", {}).get("parameters")
            if x is not None:
                dots.append(Dot(across.factor * x, up.factor * record["values"][0], record["id"]))
    return dots


# ---- ranges -------------------------------------------------------------------------------------------------------


def _set_x_range(axes: Axes, xs: Sequence[float]) -> None:
    """Set the x range with a margin for the ids on either side, in log scale if the largest x is over ten times the
    smallest."""
    low, high = min(xs), max(xs)
    if 0 < 10 * low < high:
        margin = (high / low) ** 0.09
        axes.set_xscale("log")
        axes.set_xlim(low / margin, high * margin)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        margin = 0.09 * (high - low) or 0.05 * abs(high) or 1.0
        axes.set_xlim(low - margin, high + margin)
        axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]))


def _set_y_range(axes: Axes, dots: list[Dot], members: list[Dot], weight: float, shown: Quantity) -> float:
    """Set a readable y range that contains the whole front, with room for its ids; return the worst number drawn as a
    dot."""
    least = 2.0 if shown.unit == "%" else 0.02 * max(abs(dot.y) for dot in dots) or 1.0
    low, high = readable_range([dot.y for dot in dots], weight=weight, least=least)
    low, high = min([low, *(dot.y for dot in members)]), max([high, *(dot.y for dot in members)])
    worse, better = 0.09 * (high - low), 0.14 * (high - low)
    below, above = (worse, better) if weight > 0 else (better, worse)
    axes.set_ylim(low - below, high + above)
    top = 100 if shown.unit == "%" else high + above
    axes.set_yticks([tick for tick in axes.get_yticks() if low - below <= tick <= top])
    return low if weight > 0 else high


# ---- marks --------------------------------------------------------------------------------------------------------


def _is_drawn(dot: Dot, worst: float, weight: float) -> bool:
    return weight * dot.y >= weight * worst


def _draw_dots(axes: Axes, name: str, dots: list[Dot], worst: float, weight: float, **style: Any) -> dict[str, Any]:
    if not dots:
        return {}
    inside = [dot for dot in dots if _is_drawn(dot, worst, weight)]
    size = min(22, max(7, 3000 / len(dots)))  # points^2, small enough that a thousand dots do not merge
    return {name: axes.scatter([dot.x for dot in inside], [dot.y for dot in inside], s=size, **style)}


def _draw_steps(axes: Axes, members: list[Dot], x_weight: float, name: str) -> dict[str, Any]:
    """Draw the attainment line of the search: the value of a member is attained at every worse x too."""
    ordered = sorted(members)
    axes.step([dot.x for dot in ordered], [dot.y for dot in ordered], where="post" if x_weight < 0 else "pre",
              color=BLACK, linewidth=1.3, marker="s", markersize=4, label=name, zorder=4)  # fmt: skip
    return {name: axes.lines[-1]}


def _draw_winner(axes: Axes, search: list[Dot], id: int | None) -> dict[str, Any]:
    winner = next((dot for dot in search if dot.id == id), None)
    if winner is None:
        return {}
    axes.plot([winner.x], [winner.y], linestyle="", marker="*", markersize=12, color=VERMILION,
              markeredgecolor="white", markeredgewidth=0.7, label="winner", zorder=5)  # fmt: skip
    return {f"winner (#{id})": axes.lines[-1]}


def _draw_beyond(
    axes: Axes, phases: Mapping[str, list[Dot]], worst: float, weight: float, shown: Quantity
) -> dict[str, Any]:
    """Mark networks outside the y range along its worse edge."""
    marker, edge, side = ("v", 0.025, "below") if weight > 0 else ("^", 0.975, "above")
    beyond = 0
    for color, dots in phases.items():
        xs = [dot.x for dot in dots if not _is_drawn(dot, worst, weight)]
        axes.scatter(xs, [edge] * len(xs), s=12, marker=marker, color=color, linewidths=0.9, zorder=3,
                     transform=axes.get_xaxis_transform())  # fmt: skip
        beyond += len(xs)
    sample = Line2D([], [], linestyle="", marker=marker, color=GREY, markersize=4)
    return {f"{side} {shown.text(worst)} ({beyond})": sample} if beyond else {}


def _label(axes: Axes, members: Sequence[Dot], weights: tuple[float, float]) -> None:
    """Write ids beside the members, on the empty side of the front, and farther out where others are in the way.

    Of many members an even selection with both ends is labelled; a member without room for its id gets none.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # fixes the position of the axes
    wanted = np.unique(np.linspace(0, len(members) - 1, min(MOST_LABELS, len(members))).round().astype(int))
    right, up = (1 if weight > 0 else -1 for weight in weights)
    boxes: list[Bbox] = []
    ties: list[Path] = []
    for dot in (members[nth] for nth in wanted):
        x, y = axes.transData.transform((dot.x, dot.y)) / figure.dpi
        width = 0.075 * len(f"#{dot.id}") + 0.05
        for out in (0.07, 0.2, 0.33, 0.46, 0.59):  # inches
            ends = sorted((x + right * out, x + right * (out + width))), sorted((y + up * out, y + up * (out + 0.13)))
            box, tie = Bbox(np.transpose(ends)), Path([(x, y), (x + right * out, y + up * out)])
            inside = axes.bbox.x0 < box.x0 * figure.dpi and box.x1 * figure.dpi < axes.bbox.x1
            crossing = any(tie.intersects_bbox(other) for other in boxes) or any(t.intersects_bbox(box) for t in ties)
            if inside and not crossing and not any(box.overlaps(other) for other in boxes):
                boxes.append(box)
                ties.append(tie)
                _draw_id(axes, dot, right * out, up * out)
                break


def _draw_id(axes: Axes, dot: Dot, right: float, up: float) -> None:
    """Write the id so many inches to the right of its dot and above it, with a connecting line if it is far away."""
    far = abs(up) > 0.1
    tie = {"arrowstyle": "-", "linewidth": 0.5, "color": GREY, "shrinkA": 0, "shrinkB": 2} if far else None
    axes.annotate(f"#{dot.id}", (dot.x, dot.y), (72 * right, 72 * up), textcoords="offset points", fontsize=7.5,
                  ha="left" if right > 0 else "right", va="bottom" if up > 0 else "top", arrowprops=tie, zorder=6,
                  path_effects=[withStroke(linewidth=2, foreground="white")])  # fmt: skip
