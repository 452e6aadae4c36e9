"""The progress of a supernet search: its certainty, the weights of its options, and what it derived."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from evonas.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LETTERS,
    ORANGE,
    PURPLE,
    SKY,
    TICK,
    VERMILION,
    Record,
    beside,
    dress,
    evaluated,
    legend,
    literal,
    page,
    say,
)
from evonas.supernets.collapse import SKIPS

COLORS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, BLACK, GREY)
DASHES = ("-", "--", ":")
OPTIONS = 12  # most options with their own line
ROWS = 40  # most decisions that the heat map names


def relaxation(records: Iterable[Record], *, title: str | None = None) -> Figure:
    """Draw three panels over the epochs of a supernet: the mean entropy of its decisions, with the number of skip
    connections in the derived genome; the mean probability of each option; and, for each decision, the probability of
    its likeliest option, which is named at the right. Edge weights, where there are any, are included.
    """
    epochs = [record for record in evaluated(records, "search") if "weights" in record.get("proposal", {})]
    decisions = list(epochs[-1]["proposal"]["weights"]) if epochs else []
    figure = page(7.0 + 0.13 * min(len(decisions), ROWS), title)
    if not epochs:
        say(figure.add_subplot(), "no epoch of a supernet is complete yet")
        return figure
    heights = [2.0, 3.0, 1.5 + 0.13 * min(len(decisions), ROWS)]
    upper, middle, lower = figure.subplots(3, 1, sharex=True, height_ratios=heights)
    entries = _draw_certainty(upper, epochs)
    _draw_options(middle, epochs)
    _draw_decisions(figure, lower, epochs, decisions)
    lower.set_xlabel("epochs", fontsize=9)
    lower.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    legend(figure, entries)
    return figure


def _draw_certainty(axes: Axes, epochs: Sequence[Record]) -> dict[str, Line2D]:
    places = [record["proposal"]["epoch"] for record in epochs]
    dress(axes, x="", y="entropy (nats)")
    entropies = [record["proposal"]["entropy"] for record in epochs]
    axes.plot(places, entropies, color=GREEN, linewidth=1.6, marker="o", markersize=3)
    axes.set_ylim(0, 1.1 * max(entropies) or 1)
    entries = {"entropy of a decision, mean": Line2D([], [], color=GREEN, linewidth=1.6, marker="o", markersize=3)}
    counted = [record["proposal"]["skips"] for record in epochs]
    if any(str(token) in SKIPS for of in epochs[-1]["proposal"]["weights"].values() for token in of):
        edges = max(edges for _, edges in counted)
        right = beside(axes, y="skip connections", color=VERMILION)
        right.step(places, [skips for skips, _ in counted], where="mid", color=VERMILION, linewidth=1.4)
        right.set_ylim(0, edges + 0.5)
        right.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        label = f"skip connections of {edges} operations derived (right)"
        if warning := epochs[-1].get("warning"):
            axes.set_title(literal(warning, LETTERS), fontsize=8.5, color=VERMILION, loc="left")
        entries[label] = Line2D([], [], color=VERMILION, linewidth=1.4)
    return entries


def _draw_options(axes: Axes, epochs: Sequence[Record]) -> None:
    """Draw a line for each option: its probability, as the mean over the decisions that have it."""
    dress(axes, x="", y="mean probability (%)")
    places = [record["proposal"]["epoch"] for record in epochs]
    found: dict[str, list[float]] = {}
    for record in epochs:
        sums: dict[str, list[float]] = {}
        for of in record["proposal"]["weights"].values():
            for option, share in _shares(of).items():
                sums.setdefault(option, []).append(100 * share)
        for option, shares in sums.items():
            found.setdefault(option, []).append(float(np.mean(shares)))
    largest = sorted(found, key=lambda option: -found[option][-1])
    entries: dict[str, Line2D] = {}
    for number, option in enumerate(largest[:OPTIONS]):
        color, dash = COLORS[number % len(COLORS)], DASHES[number // len(COLORS)]
        (entries[literal(option, TICK)],) = axes.plot(places, found[option], color=color, linestyle=dash, linewidth=1.5)
    for option in largest[OPTIONS:]:
        axes.plot(places, found[option], color=GREY, linewidth=0.6)
    axes.legend(list(entries.values()), list(entries), loc="upper left", bbox_to_anchor=(1.01, 1.02), fontsize=7.5,
                frameon=False)  # fmt: skip


def _draw_decisions(figure: Figure, axes: Axes, epochs: Sequence[Record], decisions: Sequence[str]) -> None:
    shares = np.array(
        [[100 * max(_shares(record["proposal"]["weights"][name]).values()) for record in epochs] for name in decisions]
    )
    places = [record["proposal"]["epoch"] for record in epochs]
    edges = [places[0] - 0.5, *(place + 0.5 for place in places)]
    mesh = axes.pcolormesh(edges, np.arange(len(decisions) + 1), shares, cmap="viridis", vmin=0)
    axes.invert_yaxis()
    last = epochs[-1]["proposal"]["weights"]
    step = -(-len(decisions) // ROWS)
    named = range(0, len(decisions), step)
    axes.set_yticks([row + 0.5 for row in named], [literal(decisions[row], TICK) for row in named])
    axes.tick_params(labelsize=7)
    for row in named:
        likeliest = max(last[decisions[row]], key=last[decisions[row]].__getitem__)
        axes.text(edges[-1], row + 0.5, f" {literal(likeliest, TICK)}", va="center", ha="left", fontsize=7)
    bar = figure.colorbar(mesh, ax=axes, pad=0.15)
    bar.set_label("probability of the likeliest (%)", fontsize=8)
    bar.ax.tick_params(labelsize=7.5)


def _shares(of: dict[str, Any]) -> dict[str, float]:
    total = sum(of.values()) or 1.0
    return {option: weight / total for option, weight in of.items()}
