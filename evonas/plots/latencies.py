"""What networks take, against what a table of latencies has predicted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from evonas.plots.style import BLUE, GREY, VERMILION, dress, legend, page
from evonas.ranking import rank_correlation

FEWEST = 5  # networks for a rank correlation


def latencies(taken: Mapping[str, Any], *, title: str | None = None) -> Figure:
    """Draw the measured milliseconds of networks over the predicted ones, the first network as a star, and the target
    where it is near them.

    taken   `target`, the `device` and `machine` of the table, and `networks`, each with `predicted` and `measured`, as
            summary.json has it
    """
    pairs = np.array([(each["predicted"], each["measured"]) for each in taken["networks"]])
    predicted, measured = pairs.T
    off = np.mean(np.abs(predicted / measured - 1))
    said = f"{len(pairs)} networks on {taken['machine']} ({taken['device']}), within {off:.0%} in the mean"
    if len(pairs) >= FEWEST and not np.isnan(order := rank_correlation(predicted.tolist(), measured.tolist())):
        said += f", rank correlation {order:.2f}".replace("-", "−")
    figure = page(3.8, title)
    axes = figure.add_subplot()
    axes.set_title(said, fontsize=9)
    dress(axes, x="predicted (ms)", y="measured (ms)")
    low, high = 0.95 * pairs.min(), 1.05 * pairs.max()
    if high < taken["target"] < 1.5 * high:  # one that is further away would crowd all networks into a corner
        high = 1.05 * taken["target"]
    entries = {}
    (entries["equal"],) = axes.plot([low, high], [low, high], color=GREY, linewidth=1, linestyle="--", zorder=0)
    if low < taken["target"] < high:
        entries["target"] = axes.axvline(taken["target"], color=VERMILION, linewidth=1, linestyle=":", zorder=0)
    if len(pairs) > 1:
        (entries["other networks"],) = axes.plot(predicted[1:], measured[1:], "o", color=BLUE, markersize=3.5)
    (entries["winner"],) = axes.plot(predicted[:1], measured[:1], "*", color=VERMILION, markersize=11)
    axes.set(xlim=(low, high), ylim=(low, high))
    legend(figure, entries, columns=4)
    return figure
