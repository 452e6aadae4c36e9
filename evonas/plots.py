"""Figures: the history of a run, and the picture of a network. Plain values go in, a matplotlib Figure comes out.

Nothing is shown or saved, and pyplot is left alone.
"""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from math import nan
from typing import Any

import numpy as np
from deap import tools
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch, PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from evonas.graph import Graph
from evonas.layout import CHARACTER, HEAD, LINE, PADDING, Box, Route, box_texts, layout

Record = Mapping[str, Any]

# from Okabe and Ito's palette, which colour-blind readers can tell apart
ORANGE, GREEN, BLUE, GREY = "#E69F00", "#009E73", "#0072B2", "#777777"


# ---- history of a run ---------------------------------------------------------------------------------------------


def logbook(records: Iterable[Record]) -> tools.Logbook:
    """One row for each generation of the phase "search": gen, nevals, failed, and min, avg, max, std of the fitness.

    `nevals` counts all that were evaluated; the failed among them do not enter the statistics, which are nan for a
    generation without any valid fitness.
    """
    statistics = tools.Statistics(key=lambda record: record["values"][0])
    for name, function in {"min": np.min, "avg": np.mean, "max": np.max, "std": np.std}.items():
        statistics.register(name, _float_or_nan, function)
    generations = defaultdict(list)
    for record in _evaluated(records, "search"):
        if record["generation"] is not None:
            generations[record["generation"]].append(record)
    book = tools.Logbook()
    book.header = ["gen", "nevals", "failed", "min", "avg", "max", "std"]
    for generation, members in sorted(generations.items()):
        valid = [record for record in members if record["values"]]
        failed = len(members) - len(valid)
        book.record(gen=generation, nevals=len(members), failed=failed, **statistics.compile(valid))
    return book


def history(records: Iterable[Record], *, title: str | None = None) -> Figure:
    """Validation accuracy over evaluations, of the search and of its random baseline.

    Evaluations are counted within their phase. The phase "final" is left out, and so is what is still in flight.
    """
    records = list(records)
    search, baseline = _evaluated(records, "search"), _evaluated(records, "baseline")
    figure = Figure(figsize=(7, 4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel("evaluations", fontsize=9)
    axes.set_ylabel("validation accuracy (%)", fontsize=9)
    axes.tick_params(labelsize=8.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title or "", fontsize=10, wrap=True)
    if not search and not baseline:
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "nothing has been evaluated yet", transform=axes.transAxes, ha="center", fontsize=10)
        return figure
    longest = max(len(search), len(baseline))
    axes.set_xlim(0.5 - 0.01 * longest, longest + 0.5 + 0.01 * longest)
    axes.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.6)
    axes.set_axisbelow(True)
    low = _set_readable_range(axes, [search, baseline])
    entries = _draw_generations(axes, search, low)
    entries |= _draw_phase(axes, search, low, BLUE, "-", "search", 0.6)
    entries |= _draw_phase(axes, baseline, low, ORANGE, "--", "random search", 0.35)
    entries |= _draw_bottom_edge(axes, low, {BLUE: search, ORANGE: baseline})
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def _evaluated(records: Iterable[Record], phase: str) -> list[Record]:
    """What has been told of a phase, without the reference network beside it."""
    return [r for r in records if r["phase"] == phase and "values" in r and r.get("role") is None]


def _float_or_nan(function: Callable[[Sequence[float]], float], values: Sequence[float]) -> float:
    return float(function(values)) if values else nan


def _per_cent(records: Sequence[Record]) -> tuple[list[int], list[float]]:
    """Numbers and accuracies of the evaluations that did not fail."""
    valid = [(number, 100 * record["values"][0]) for number, record in enumerate(records, 1) if record["values"]]
    return [number for number, _ in valid], [accuracy for _, accuracy in valid]


def _set_readable_range(axes: Axes, phases: Iterable[list[Record]]) -> float:
    """Set the y range, with room below for marks of what has no place in it; returns where that strip begins."""
    ranges = [readable_range(accuracies) for records in phases if (accuracies := _per_cent(records)[1])]
    low = min((low for low, _ in ranges), default=0.0)
    high = max((high for _, high in ranges), default=100.0)
    axes.set_ylim(low - 0.13 * (high - low), high + 0.04 * (high - low))
    axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= min(high + 1, 100)])
    return low


def readable_range(values: Sequence[float]) -> tuple[float, float]:
    """Limits that leave out few awful values: below the first quartile by over twice the quartiles' distance."""
    first, third = np.percentile(values, [25, 75])
    low, high = max(min(values), first - 2 * (third - first)), max(values)
    slack = max(0.0, 2 - (high - low)) / 2  # two points at least: one network, or equal ones, still get an axis
    return float(low - slack), float(high + slack)


def _draw_phase(
    axes: Axes, records: list[Record], low: float, color: str, line: str, name: str, alpha: float
) -> dict[str, Any]:
    numbers, accuracies = _per_cent(records)
    if not numbers:
        return {}
    inside = [(number, accuracy) for number, accuracy in zip(numbers, accuracies, strict=True) if accuracy >= low]
    size = min(20, max(4, 2400 / len(records)))  # points^2: a thousand dots must not merge into a carpet
    xs, ys = zip(*inside, strict=True)
    axes.scatter(xs, ys, s=size, color=color, alpha=alpha, linewidths=0, zorder=4)
    best = list(accumulate(accuracies, max))
    # the last best stands until the last evaluation, even where that one failed
    axes.step([*numbers, len(records)], [*best, best[-1]], line, where="post", color=color, lw=1.6, zorder=3,
              label=f"{name}: best so far")  # fmt: skip
    dot = Line2D([], [], linestyle="", marker="o", markersize=4, color=color, alpha=alpha, markeredgewidth=0)
    return {f"{name}: networks": dot, f"{name}: best so far ({best[-1]:.1f} %)": axes.lines[-1]}


def _draw_generations(axes: Axes, search: list[Record], floor: float) -> dict[str, Any]:
    """Mean and standard deviation of each generation, over the evaluations that it spans."""
    spans: dict[int, list[int]] = defaultdict(list)
    for number, record in enumerate(search, 1):
        spans[record["generation"]].append(number)
    rows = [row for row in logbook(search) if row["nevals"] > row["failed"]]
    for row in rows:
        span = [min(spans[row["gen"]]) - 0.5, max(spans[row["gen"]]) + 0.5]
        low, high = max(row["min"], row["avg"] - row["std"]), min(row["max"], row["avg"] + row["std"])
        edges = max(floor, 100 * low), max(floor, 100 * high)
        axes.fill_between(span, *edges, color=GREEN, alpha=0.18, linewidth=0, zorder=1)
        axes.plot(span, [100 * row["avg"]] * 2, color=GREEN, linewidth=1.4, zorder=5)
    sample = (Patch(color=GREEN, alpha=0.18, linewidth=0), Line2D([], [], color=GREEN, linewidth=1.4))
    return {"search: generation, mean ± std": sample} if rows else {}


def _draw_bottom_edge(axes: Axes, low: float, phases: Mapping[str, list[Record]]) -> dict[str, Any]:
    """Mark along the bottom edge the evaluations that failed, and those too far below to be shown."""
    counts = {"v": 0, "x": 0}
    for color, records in phases.items():
        below = [number for number, accuracy in zip(*_per_cent(records), strict=True) if accuracy < low]
        failed = [number for number, record in enumerate(records, 1) if not record["values"]]
        for numbers, y, marker in ((below, 0.075, "v"), (failed, 0.03, "x")):
            counts[marker] += len(numbers)
            axes.scatter(numbers, [y] * len(numbers), s=12, marker=marker, color=color, linewidths=0.9, zorder=3,
                         transform=axes.get_xaxis_transform())  # fmt: skip
    labels = {"v": f"below {low:.1f} % ({counts['v']})", "x": f"failed ({counts['x']})"}
    return {
        label: Line2D([], [], linestyle="", marker=marker, color=GREY, markersize=4)
        for marker, label in labels.items()
        if counts[marker]
    }


# ---- picture of a network -----------------------------------------------------------------------------------------

FILLS = {"conv": "#DCEAF7", "pool": "#FBE9CC", "linear": "#D6EFE5"}  # of boxes with such an operation


def architecture(graph: Graph, *, title: str | None = None) -> Figure:
    """The network from its input, at the top, to its output; dashed edges depend on open decisions.

    The title defaults to the number of weights and multiply-adds.
    """
    picture = layout(graph)
    width = max(picture.width, 4.0)
    lines = textwrap.wrap(title or _summary(graph), int(width / 0.085))
    above = 0.4 + 0.17 * len(lines)
    figure = Figure(figsize=(width, above + picture.height), dpi=150)
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
            _draw_join(axes, picture.boxes[node.name], "+" if node.combine == "sum" else "‖")
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
    axes.text(band.left + 0.12, (band.top + band.bottom) / 2, text, rotation=90, fontsize=7.5, color="#666666",
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
    axes.text(left, y, name, fontsize=7.5, weight="bold", va="center_baseline", zorder=3)
    axes.text(box.right - PADDING, y, shape, fontsize=7, ha="right", va="center_baseline", zorder=3)
    for nth, line in enumerate(lines, 1):
        axes.text(left, y + nth * LINE, line, fontsize=7.5, va="center_baseline", zorder=3)


def _draw_join(axes: Axes, box: Box, sign: str) -> None:
    x, y = box.left + 0.02, box.top + 0.02
    axes.plot([x], [y], "o", markersize=9, color="white", markeredgecolor="#444444", markeredgewidth=0.8, zorder=4)
    axes.text(x, y, sign, fontsize=7, ha="center", va="center_baseline" if sign == "+" else "center", zorder=5)
