"""A comparison of strategies by regret: how far the best network so far is from the best of all."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from evonas.plots.style import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, dress, legend, page

_COLORS = (ORANGE, BLUE, GREEN, VERMILION, PURPLE, SKY)
_LINES = ("-", "--", "-.", ":")
NORMAL_95 = 1.96


def regret(regrets: Mapping[str, np.ndarray], *, title: str | None = None) -> Figure:
    """Draw the mean regret of each strategy over queries, with 95 % confidence bands of the mean.

    regrets   strategy -> array of trials x queries: percentage points of accuracy by which the incumbent is below the
              best; at least one trial each
    """
    figure = page(4.2, title)
    axes = figure.add_subplot()
    dress(axes, x="queries", y="mean regret of the incumbent (points of accuracy)")
    entries = {}
    for number, (name, found) in enumerate(regrets.items()):
        color, line = _COLORS[number % len(_COLORS)], _LINES[number % len(_LINES)]
        queries = np.arange(1, found.shape[1] + 1)
        mean = found.mean(0)
        band = NORMAL_95 * found.std(0, ddof=min(1, len(found) - 1)) / np.sqrt(len(found))
        axes.fill_between(queries, mean - band, mean + band, color=color, alpha=0.2, linewidth=0)
        (entries[f"{name} ({mean[-1]:.2f} at the end)"],) = axes.plot(queries, mean, line, color=color, linewidth=1.6)
    if regrets:
        longest = max(found.shape[1] for found in regrets.values())
        axes.set_xlim(1, max(longest, 2))
        if longest > 30:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.0f}"))
        axes.set_ylim(0, 1.05 * max(np.quantile(found.mean(0)[1:] if found.shape[1] > 1 else found.mean(0), 1.0)
                                    for found in regrets.values()))  # fmt: skip
    legend(figure, entries, columns=2)
    return figure
