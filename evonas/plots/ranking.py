"""What networks are worth in truth, over what proxies say of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from evonas.plots.style import BLUE, VERMILION, dress, legend, page, quantity, readable_range, show_counts


def ranking(
    drawn: Mapping[str, Mapping[str, np.ndarray]],
    proxies: Mapping[str, str],
    taus: Mapping[str, float],
    *,
    truth: str = "in truth",
    title: str | None = None,
) -> Figure:
    """Draw a panel for each proxy, of all networks (arrows: worse than the axis shows).

    drawn     where networks are from -> "true" and each proxy -> their values; colours tell them apart
    proxies   proxy -> the label of its axis
    taus      proxy -> Kendall's tau of the networks that are named first
    """
    figure = page(3.8, title)
    panels = figure.subplots(1, len(proxies), sharey=True, squeeze=False)[0]
    low, high = readable_range([true for values in drawn.values() for true in values["true"]], least=1e-3)
    entries = {}
    for axes, (proxy, label) in zip(panels, proxies.items(), strict=True):
        tau = taus[proxy]
        said = "no tau" if np.isnan(tau) else f"Kendall's tau {tau:.2f}".replace("-", "−")
        axes.set_title(f"{len(next(iter(drawn.values()))['true'])} networks, {said}", fontsize=9)
        dress(axes, x=label, y=truth if axes is panels[0] else "")
        for color, (name, values) in zip((BLUE, VERMILION), drawn.items(), strict=False):
            worse = values["true"] < low
            shown = np.maximum(values["true"], low)
            (dots,) = axes.plot(values[proxy][~worse], shown[~worse], "o", color=color, markersize=3.5, alpha=0.8)
            axes.plot(values[proxy][worse], shown[worse], "v", color=color, markersize=3.5, alpha=0.8)
            entries[name] = dots
        show_counts(axes, x=quantity(label.replace("-", "_")))
    slack = 0.04 * (high - low)
    panels[0].set_ylim(low - slack, high + slack)
    legend(figure, entries if len(drawn) > 1 else {})
    return figure
