"""The history of a run: its objectives, evaluation by evaluation."""

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
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

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
    stopped,
)


def logbook(records: Iterable[Record], place: int = 0) -> tools.Logbook:
    """A DEAP logbook with a row for each generation of the phase "search": gen, nevals, failed, and min, avg, max, std
    of the objective at that place.

    `nevals` counts all evaluations. Failed ones do not enter the statistics, which are nan for a generation without any
    valid fitness.
    """
    statistics = tools.Statistics(key=lambda record: record["values"][place])
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
    """Draw each objective over evaluations, of the search and of its random baseline, in a panel of its own.

    The best so far is that of each objective by itself. Evaluations are counted within their phase. The phase "final"
    and evaluations still in flight are omitted.
    """
    records = list(records)
    search, baseline = evaluated(records, "search"), evaluated(records, "baseline")
    early = sum(len(stopped(records, phase)) for phase in ("search", "baseline"))
    figure = page(4.0 + 2.4 * (len(objectives) - 1), title)
    panels = figure.subplots(len(objectives), sharex=True, squeeze=False)[:, 0]
    quantities = [quantity(name, search) for name in objectives]
    for axes, shown in zip(panels, quantities, strict=True):
        counted = "evaluations" if not early else "evaluations that came to their end"
        dress(axes, x=counted if axes is panels[-1] else "", y=shown.label)
    if not search and not baseline:
        say(panels[0], "nothing has been evaluated yet")
        return figure
    longest = max(len(search), len(baseline))
    panels[-1].set_xlim(0.5 - 0.01 * longest, longest + 0.5 + 0.01 * longest)
    panels[-1].xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    scales = []
    for place, (axes, shown, weight) in enumerate(zip(panels, quantities, objectives.values(), strict=True)):
        show_counts(axes, y=shown)
        scales.append(_scale(axes, place, shown, weight, [search, baseline]))
    entries: dict[str, Any] = {}
    for axes, scale in zip(panels, scales, strict=True):
        entries |= _draw_generations(axes, search, scale)
        entries |= _draw_phase(axes, search, scale, BLUE, "-", "search", 0.6, _bests(search, scales))
        name = baseline_name(baseline)
        entries |= _draw_phase(axes, baseline, scale, ORANGE, "--", name, 0.35, _bests(baseline, scales))
        entries |= _draw_worse_edge(axes, scale, {BLUE: search, ORANGE: baseline})
    if early:
        entries[f"stopped early, not drawn ({early})"] = Line2D([], [], linestyle="")
    legend(figure, entries, columns=3 if len(objectives) == 1 else 2)
    return figure


@dataclass(frozen=True)
class _Scale:
    """How the objective at a place is drawn. Beyond the range from `low` to `high`, on its worse side, is a strip for
    marks of evaluations outside the range."""

    place: int
    shown: Quantity
    weight: float
    low: float
    high: float

    def numbers(self, records: Sequence[Record]) -> tuple[list[int], list[float]]:
        """The places and numbers of the evaluations that did not fail."""
        valid = [(at, self.shown.factor * r["values"][self.place]) for at, r in enumerate(records, 1) if r["values"]]
        return [at for at, _ in valid], [number for _, number in valid]

    def has(self, number: float) -> bool:
        """Whether a number is at least as good as the worse end of the range."""
        return number >= self.low if self.weight > 0 else number <= self.high

    def best(self, numbers: Sequence[float]) -> list[float]:
        return list(accumulate(numbers, max if self.weight > 0 else min))


def _bests(records: list[Record], scales: Iterable[_Scale]) -> str:
    """The best number of each objective."""
    found = [(scale, scale.best(scale.numbers(records)[1])) for scale in scales]
    return ", ".join(scale.shown.text(best[-1]) for scale, best in found if best)


def _scale(axes: Axes, place: int, shown: Quantity, weight: float, phases: Iterable[list[Record]]) -> _Scale:
    """Set the y range, with room at its worse edge for marks of evaluations outside it."""
    found = [[shown.factor * r["values"][place] for r in records if r["values"]] for records in phases]
    every = [number for numbers in found for number in numbers]
    if shown.is_count and every and 0 < 10 * min(every) < max(every):
        return _log_scale(axes, place, shown, weight, min(every), max(every))
    largest = max(map(abs, every), default=100.0)
    least = 2.0 if shown.unit == "%" else 0.02 * largest or 1.0
    ranges = [readable_range(numbers, weight=weight, least=least) for numbers in found if numbers]
    low = min((low for low, _ in ranges), default=0.0)
    high = max((high for _, high in ranges), default=100.0)
    below, above = (0.13, 0.04) if weight > 0 else (0.04, 0.13)
    axes.set_ylim(low - below * (high - low), high + above * (high - low))
    top = min(high + 0.04 * (high - low), 100) if shown.unit == "%" else high
    axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= top])
    return _Scale(place, shown, weight, low, high)


def _log_scale(axes: Axes, place: int, shown: Quantity, weight: float, low: float, high: float) -> _Scale:
    """The scale of counts that differ by more than tenfold, which all lie in the range."""
    below, above = (0.13, 0.04) if weight > 0 else (0.04, 0.13)
    axes.set_yscale("log")
    axes.set_ylim(low / (high / low) ** below, high * (high / low) ** above)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    axes.yaxis.set_minor_locator(NullLocator())
    show_counts(axes, y=shown)  # a scale brings a formatter of its own
    return _Scale(place, shown, weight, low, high)


def _draw_phase(
    axes: Axes, records: list[Record], scale: _Scale, color: str, line: str, name: str, alpha: float, bests: str
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
    return {f"{name}: networks": dot, f"{name}: best so far ({bests})": axes.lines[-1]}


def _draw_generations(axes: Axes, search: list[Record], scale: _Scale) -> dict[str, Any]:
    """Draw the mean and the standard deviation of each generation, over the evaluations that it spans."""
    spans: dict[int, list[int]] = defaultdict(list)
    for at, record in enumerate(search, 1):
        spans[record["generation"]].append(at)
    rows = [row for row in logbook(search, scale.place) if row["nevals"] > row["failed"]]
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
