"""The history of a run: the first objective, evaluation by evaluation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import nan
from typing import Any

import numpy as np
from deap import tools
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from evonas.plots.style import (
    ACCURACY,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
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
)


def logbook(records: Iterable[Record]) -> tools.Logbook:
    """A DEAP logbook with a row for each generation of the phase "search": gen, nevals, failed, and min, avg, max, std
    of the fitness.

    `nevals` counts all evaluations. Failed ones do not enter the statistics, which are nan for a generation without any
    valid fitness.
    """
    statistics = tools.Statistics(key=lambda record: record["values"][0])
    for name, function in {"min": np.min, "avg": np.mean, "max": np.max, "std": np.std}.items():
        statistics.register(name, _float_or_nan, function)
    generations = defaultdict(list)
    for record in evaluated(records, "search"):
        if record["generation"] is not None:
            generations[record["generation"]].append(record)
    book = tools.Logbook()
    book.header = ["gen", "nevals", "failed", "min", "avg", "max", "std"]
    for generation, members in sorted(generations.items()):
        valid = [record for record in members if record["values"]]
        failed = len(members) - len(valid)
        book.record(gen=generation, nevals=len(members), failed=failed, **statistics.compile(valid))
    return book


def _float_or_nan(function: Callable[[Sequence[float]], float], values: Sequence[float]) -> float:
    return float(function(values)) if values else nan


def history(records: Iterable[Record], *, objectives: Objectives = ACCURACY, title: str | None = None) -> Figure:
    """Draw the first objective over evaluations, of the search and of its random baseline.

    Evaluations are counted within their phase. The phase "final" and evaluations still in flight are omitted.
    """
    records = list(records)
    search, baseline = evaluated(records, "search"), evaluated(records, "baseline")
    name, weight = next(iter(objectives.items()))
    shown = quantity(name)
    figure = page(4.0, title)
    axes = figure.add_subplot()
    dress(axes, x="evaluations", y=shown.label)
    if not search and not baseline:
        say(axes, "nothing has been evaluated yet")
        return figure
    longest = max(len(search), len(baseline))
    axes.set_xlim(0.5 - 0.01 * longest, longest + 0.5 + 0.01 * longest)
    axes.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    show_counts(axes, y=shown)
    scale = _scale(axes, shown, weight, [search, baseline])
    entries = _draw_generations(axes, search, scale)
    entries |= _draw_phase(axes, search, scale, BLUE, "-", "search", 0.6)
    entries |= _draw_phase(axes, baseline, scale, ORANGE, "--", baseline_name(baseline), 0.35)
    entries |= _draw_worse_edge(axes, scale, {BLUE: search, ORANGE: baseline})
    legend(figure, entries)
    return figure


@dataclass(frozen=True)
class _Scale:
    """How the objective is drawn. Beyond the range from `low` to `high`, on its worse side, is a strip for marks of
    evaluations outside the range."""

    shown: Quantity
    weight: float
    low: float
    high: float

    def numbers(self, records: Sequence[Record]) -> tuple[list[int], list[float]]:
        """The places and numbers of the evaluations that did not fail."""
        valid = [(at, self.shown.factor * r["values"][0]) for at, r in enumerate(records, 1) if r["values"]]
        return [at for at, _ in valid], [number for _, number in valid]

    def has(self, number: float) -> bool:
        """Whether a number is at least as good as the worse end of the range."""
        return number >= self.low if self.weight > 0 else number <= self.high

    def best(self, numbers: Sequence[float]) -> list[float]:
        return list(accumulate(numbers, max if self.weight > 0 else min))


def _scale(axes: Axes, shown: Quantity, weight: float, phases: Iterable[list[Record]]) -> _Scale:
    """Set the y range, with room at its worse edge for marks of evaluations outside it."""
    found = [[shown.factor * r["values"][0] for r in records if r["values"]] for records in phases]
    largest = max((abs(number) for numbers in found for number in numbers), default=100.0)
    least = 2.0 if shown.unit == "%" else 0.02 * largest or 1.0
    ranges = [readable_range(numbers, weight=weight, least=least) for numbers in found if numbers]
    low = min((low for low, _ in ranges), default=0.0)
    high = max((high for _, high in ranges), default=100.0)
    below, above = (0.13, 0.04) if weight > 0 else (0.04, 0.13)
    axes.set_ylim(low - below * (high - low), high + above * (high - low))
    top = min(high + 0.04 * (high - low), 100) if shown.unit == "%" else high
    axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= top])
    return _Scale(shown, weight, low, high)


def _draw_phase(
    axes: Axes, records: list[Record], scale: _Scale, color: str, line: str, name: str, alpha: float
) -> dict[str, Any]:
    places, numbers = scale.numbers(records)
    if not places:
        return {}
    inside = [(at, number) for at, number in zip(places, numbers, strict=True) if scale.has(number)]
    size = min(20, max(4, 2400 / len(records)))  # points^2, small enough that a thousand dots do not merge
    xs, ys = zip(*inside, strict=True)
    axes.scatter(xs, ys, s=size, color=color, alpha=alpha, linewidths=0, zorder=4)
    best = scale.best(numbers)
    # the best value so far extends to the last evaluation, even if that one failed
    axes.step([*places, len(records)], [*best, best[-1]], line, where="post", color=color, lw=1.6, zorder=3,
              label=f"{name}: best so far")  # fmt: skip
    dot = Line2D([], [], linestyle="", marker="o", markersize=4, color=color, alpha=alpha, markeredgewidth=0)
    return {f"{name}: networks": dot, f"{name}: best so far ({scale.shown.text(best[-1])})": axes.lines[-1]}


def _draw_generations(axes: Axes, search: list[Record], scale: _Scale) -> dict[str, Any]:
    """Draw the mean and the standard deviation of each generation, over the evaluations that it spans."""
    spans: dict[int, list[int]] = defaultdict(list)
    for at, record in enumerate(search, 1):
        spans[record["generation"]].append(at)
    rows = [row for row in logbook(search) if row["nevals"] > row["failed"]]
    factor = scale.shown.factor
    for row in rows:
        span = [min(spans[row["gen"]]) - 0.5, max(spans[row["gen"]]) + 0.5]
        low, high = max(row["min"], row["avg"] - row["std"]), min(row["max"], row["avg"] + row["std"])
        edges = np.clip([factor * low, factor * high], scale.low, scale.high)
        axes.fill_between(span, *edges, color=GREEN, alpha=0.18, linewidth=0, zorder=1)
        if scale.has(factor * row["avg"]):
            axes.plot(span, [factor * row["avg"]] * 2, color=GREEN, linewidth=1.4, zorder=5)
    sample = (Patch(color=GREEN, alpha=0.18, linewidth=0), Line2D([], [], color=GREEN, linewidth=1.4))
    return {"search: generation, mean ± std": sample} if rows else {}


def _draw_worse_edge(axes: Axes, scale: _Scale, phases: Mapping[str, list[Record]]) -> dict[str, Any]:
    """Mark evaluations that failed or lie outside the y range along its worse edge."""
    pointer, limit = ("v", scale.low) if scale.weight > 0 else ("^", scale.high)
    counts = {pointer: 0, "x": 0}
    for color, records in phases.items():
        beyond = [at for at, number in zip(*scale.numbers(records), strict=True) if not scale.has(number)]
        failed = [at for at, record in enumerate(records, 1) if not record["values"]]
        for places, depth, marker in ((beyond, 0.075, pointer), (failed, 0.03, "x")):
            counts[marker] += len(places)
            y = depth if scale.weight > 0 else 1 - depth
            axes.scatter(places, [y] * len(places), s=12, marker=marker, color=color, linewidths=0.9, zorder=3,
                         transform=axes.get_xaxis_transform())  # fmt: skip
    side = "below" if scale.weight > 0 else "above"
    labels = {pointer: f"{side} {scale.shown.text(limit)} ({counts[pointer]})", "x": f"failed ({counts['x']})"}
    return {
        label: Line2D([], [], linestyle="", marker=marker, color=GREY, markersize=4)
        for marker, label in labels.items()
        if counts[marker]
    }
