"""What a predictor thought of the networks that it chose, against what came out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.figure import Figure

from evonas.plots.style import (
    ACCURACY,
    BLUE,
    GREY,
    VERMILION,
    Objectives,
    Record,
    blank,
    dress,
    evaluated,
    legend,
    page,
    quantity,
    readable_range,
    show_counts,
)
from evonas.ranking import rank_correlation

WINDOW = 20  # predictions in a running rank correlation
FEWEST = 5  # predictions for a rank correlation


def predictions(records: Iterable[Record], *, objectives: Objectives = ACCURACY, title: str | None = None) -> Figure:
    """Draw what came out of each network (arrows: beyond the axes) over what was predicted of it, with a line of one
    standard deviation to each side where the predictor says so; and the rank correlation of both over the last 20
    networks, beside that of the cross-validation by which a predictor was trusted, in the order of the search.

    The `proposal` of a record holds `predicted`, and may hold `low`, `high` and `rank_correlation`, of the first
    objective.
    """
    name, weight = next(iter(objectives.items()))
    search = evaluated(records, "search")
    shown = quantity(name, search)
    said = [(r["proposal"], r["values"][0]) for r in search
            if r["values"] and "predicted" in r.get("proposal", {})]  # fmt: skip
    if not said:
        return blank("no network was proposed by a predictor", title)
    predicted = shown.factor * np.array([proposal["predicted"] for proposal, _ in said])
    found = shown.factor * np.array([value for _, value in said])
    figure = page(3.6, title)
    left, right = figure.subplots(1, 2)
    left.set_title(f"{len(said)} networks, rank correlation {_correlation(predicted, found)}", fontsize=9)
    dress(left, x=f"predicted {shown.label}", y=f"found {shown.label}")
    low, high = readable_range([*predicted, *found], weight=weight, least=1e-3)
    for (proposal, _), middle, value in zip(said, predicted, found, strict=True):
        if "low" in proposal:
            ends = sorted(shown.factor * proposal[end] for end in ("low", "high"))
            left.plot(ends, [value, value], color=GREY, alpha=0.35, linewidth=0.8, zorder=1)
        inside = min(max(value, low), high)
        marker = "o" if inside == value else "v" if value < low else "^"  # an arrow towards what lies outside
        left.plot(middle, inside, marker, color=BLUE, markersize=3.5)
    left.plot([low, high], [low, high], color=GREY, linewidth=1, linestyle="--", zorder=0)
    slack = 0.04 * (high - low)
    left.set(xlim=(low - slack, high + slack), ylim=(low - slack, high + slack))
    show_counts(left, x=shown, y=shown)
    dress(right, x="networks that a predictor chose", y="rank correlation")
    right.set_ylim(-1.05, 1.05)
    right.axhline(0, color=GREY, linewidth=0.8)
    entries = {}
    running = [(end, rank_correlation(predicted[:end][-WINDOW:], found[:end][-WINDOW:]))
               for end in range(FEWEST, len(said) + 1)]  # fmt: skip
    if running:
        (entries[f"with what came out, the last {WINDOW}"],) = right.plot(*zip(*running, strict=True), color=BLUE)
    trusted = [(at, p["rank_correlation"]) for at, (p, _) in enumerate(said, 1) if "rank_correlation" in p]
    if trusted:
        (entries["cross-validated on what was known"],) = right.plot(*zip(*trusted, strict=True), color=VERMILION)
    if len(said) > 1:
        (entries["equal"],) = left.plot([], [], color=GREY, linewidth=1, linestyle="--")
    legend(figure, entries)
    return figure


def _correlation(one: np.ndarray, other: np.ndarray) -> str:
    value = rank_correlation(one, other)
    return "unknown" if np.isnan(value) else f"{value:.2f}".replace("-", "−")
