"""Which decisions of a genome mattered."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from evonas.plots.style import BLUE, GREY, TICK, dress, literal, page, say

SHOWN = 20  # decisions, at most


def importance(
    shares: Sequence[tuple[str, float, float]], *, objective: str = "accuracy", title: str | None = None
) -> Figure:
    """Draw a bar for each decision, the most important first.

    shares   name of a decision, the share of the objective's variance that it explains by itself, and the share that
             chance would explain (95 %)
    """
    shown = shares[:SHOWN]
    figure = page(max(1.6, 0.26 * len(shown) + 1.1), title)
    axes = figure.add_subplot()
    if not shown:
        say(axes, "no decision was tried often enough")
        return figure
    names = [literal(name, TICK) for name, _, _ in shown]
    values = [100 * share for _, share, _ in shown]
    noise = [100 * chance for _, _, chance in shown]
    dress(axes, x=f"share of the variance of {objective} (%)", y="")
    colours = [BLUE if value > least else GREY for value, least in zip(values, noise, strict=True)]
    axes.barh(range(len(shown)), values, color=colours, height=0.7)
    axes.scatter(noise, range(len(shown)), marker="|", s=110, color="#222222", linewidths=1.4, zorder=3)
    axes.set_yticks(range(len(shown)), names, fontsize=8)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color="#E5E5E5", linewidth=0.6)
    axes.set_xlim(0, None)
    return figure
