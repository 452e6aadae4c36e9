"""Rules that stop trainings early: what each saves, beside what it loses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from evonas.plots.style import BLUE, VERMILION, literal, page

NAME = 34  # letters of a rule


def stopping(rules: Mapping[str, Sequence[tuple[float, float]]], *, title: str | None = None) -> Figure:
    """Draw a row for each rule: the share of all epochs that it trains, and its regret.

    rules   rule -> for each order of the trainings, the share of the epochs, from 0 to 1, and the regret, in the unit
            of the metric; infinite where it lets none come to its end
    """
    figure = page(0.42 * len(rules) + 1.3, title)
    left, right = figure.subplots(1, 2, sharey=True)
    places = np.arange(len(rules))
    worst = max((regret for each in rules.values() for _, regret in each if np.isfinite(regret)), default=0.0)
    for row, found in zip(places, rules.values(), strict=True):
        left.barh(row, 100 * fmean(share for share, _ in found), color=BLUE, alpha=0.35, height=0.6)
        left.plot([100 * share for share, _ in found], [row] * len(found), "o", color=BLUE, markersize=4)
        regrets = [100 * regret if np.isfinite(regret) else 110 * (worst or 0.01) for _, regret in found]
        spread = row + np.linspace(-0.2, 0.2, len(regrets)) if len(regrets) > 1 else np.array([row])
        right.plot(regrets, spread, "o", color=VERMILION, markersize=4)
    left.set_yticks(places, [literal(name, NAME) for name in rules], fontsize=8)
    left.invert_yaxis()
    left.set_xlim(0, 105)
    left.set_xlabel("epochs that it trains (% of all)", fontsize=9)
    right.set_xlim(-5 * (worst or 0.02), 115 * (worst or 0.02))
    right.set_xlabel("regret (points); 0: the best is kept", fontsize=9)
    right.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        axes.grid(axis="x", alpha=0.3)
    return figure
