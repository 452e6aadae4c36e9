"""A comparison of strategies by regret: how far the best network so far is from the best of all."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from evonas.plots.style import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, dress, legend, page

_COLORS = (ORANGE, BLUE, GREEN, VERMILION, PURPLE, SKY)
_LINES = ("-", "--", "-.", ":")
NORMAL_95 = 1.96
MUCH = 20


def regret(
    regrets: Mapping[str, np.ndarray], *, of: str = "test accuracy", unit: str = "points", title: str | None = None
) -> Figure:
    """Draw the mean regret of each strategy over queries, with 95 % confidence bands of the mean. Where means differ
    more than MUCH-fold, and none of them is 0, they are on a log scale.

    regrets   strategy -> array of trials x queries: by how much the incumbent is below the best; at least one trial
              each
    of        what it is by which the incumbent is below the best
    unit      of that; of accuracy, percentage points
    """
    figure = page(4.2, title)
    axes = figure.add_subplot()
    dress(axes, x="queries", y=f"mean regret in {of}" + f" ({unit})" * bool(unit))
    if not regrets:
        return figure
    entries = {}
    means = {name: found.mean(0) for name, found in regrets.items()}
    bands = {
        name: NORMAL_95 * found.std(0, ddof=min(1, len(found) - 1)) / np.sqrt(len(found))
        for name, found in regrets.items()
    }
    low = min(mean.min() for mean in means.values())
    high = max((mean + bands[name]).max() for name, mean in means.items())
    for number, (name, found) in enumerate(regrets.items()):
        color, line = _COLORS[number % len(_COLORS)], _LINES[number % len(_LINES)]
        queries, mean, band = np.arange(1, found.shape[1] + 1), means[name], bands[name]
        axes.fill_between(queries, mean - band, mean + band, color=color, alpha=0.2, linewidth=0)
        (entries[f"{name} ({mean[-1]:.2f} at the end)"],) = axes.plot(queries, mean, line, color=color, linewidth=1.6)
    longest = max(found.shape[1] for found in regrets.values())
    axes.set_xlim(1 - 0.02 * longest, 1.02 * longest)
    if longest > 30:
        axes.set_xscale("log")
        axes.set_xlim(0.95, 1.05 * longest)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.0f}"))
    if 0 < MUCH * low < high:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.5, 1.2 * high)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
    else:
        axes.set_ylim(0, 1.05 * high or 1)
    legend(figure, entries, columns=2)
    return figure
