"""How a strategy that learns to write genomes went: what it was rewarded with, how certain it was, what it chose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from evonas.plots.style import (
    ACCURACY,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    VERMILION,
    Objectives,
    Record,
    dress,
    evaluated,
    legend,
    page,
    quantity,
    say,
)

WINDOWS = 40  # columns of the heat map
OPTIONS = 20  # its rows: the tokens that were chosen most
CERTAINTY = {"epsilon": (PURPLE, "epsilon"), "entropy": (GREEN, "entropy (nats)")}


def learning(records: Iterable[Record], *, objectives: Objectives = ACCURACY, title: str | None = None) -> Figure:
    """Three panels over the evaluations of the search: the first objective with its running mean, and the baseline
    where there is one in its unit; epsilon or the policy's entropy; how often each token was chosen, wherever.

    What a strategy says of a proposal is its record's `proposal`: epsilon, entropy (nats), baseline (of the reward).
    """
    search = evaluated(records, "search")
    figure = page(8.0, title)
    if not search:
        say(figure.add_subplot(), "nothing has been evaluated yet")
        return figure
    upper, middle, lower = figure.subplots(3, 1, sharex=True, height_ratios=[3, 1.6, 3])
    entries = _draw_rewards(upper, search, *next(iter(objectives.items())))
    entries |= _draw_certainty(middle, search)
    _draw_choices(figure, lower, [record["genome"] for record in search])
    lower.set_xlabel("evaluations", fontsize=9)
    lower.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    legend(figure, entries)
    return figure


def _draw_rewards(axes: Axes, search: Sequence[Record], objective: str, weight: float) -> dict[str, Line2D]:
    shown = quantity(objective)
    dress(axes, x="", y=shown.label)
    valid = [(at, shown.factor * record["values"][0]) for at, record in enumerate(search, 1) if record["values"]]
    if not valid:
        say(axes, "all evaluations failed")
        return {}
    places, numbers = map(np.array, zip(*valid, strict=True))
    axes.scatter(places, numbers, s=min(20, max(4, 2400 / len(search))), color=BLUE, alpha=0.5, linewidths=0)
    window = max(1, len(numbers) // 10)
    mean = np.convolve(numbers, np.ones(window) / window, mode="valid")
    axes.plot(places[window - 1 :], mean, color=VERMILION, linewidth=1.6)
    entries = {
        "networks": Line2D([], [], linestyle="", marker="o", markersize=4, color=BLUE, alpha=0.5, markeredgewidth=0),
        f"mean of the last {window}": Line2D([], [], color=VERMILION, linewidth=1.6),
    }
    told_at, baseline = _said(search, "baseline")
    baseline = weight * shown.factor * baseline
    if len(baseline) and min(numbers) <= baseline[-1] <= max(numbers):  # else the reward is of another unit
        axes.plot(told_at, baseline, color=ORANGE, linewidth=1.4, linestyle="--")
        entries["baseline"] = Line2D([], [], color=ORANGE, linewidth=1.4, linestyle="--")
    return entries


def _draw_certainty(axes: Axes, search: Sequence[Record]) -> dict[str, Line2D]:
    for name, (color, label) in CERTAINTY.items():
        places, numbers = _said(search, name)
        if len(places):
            dress(axes, x="", y=label)
            axes.step(places, numbers, where="post", color=color, linewidth=1.4)
            axes.set_ylim(0, 1.08 * max(numbers) or 1)
            return {}
    dress(axes, x="", y="")
    say(axes, "the strategy says nothing of its certainty")
    return {}


def _draw_choices(figure: Figure, axes: Axes, genomes: Sequence[Sequence[object]]) -> None:
    """Shares of the tokens in each of at most WINDOWS spans of evaluations."""
    spans = np.array_split(np.arange(len(genomes)), min(WINDOWS, len(genomes)))
    whole = Counter(str(token) for genome in genomes for token in genome)
    names = [name for name, _ in whole.most_common(OPTIONS)]
    shares = np.zeros((len(names), len(spans)))
    for column, span in enumerate(spans):
        counts = Counter(str(token) for at in span for token in genomes[at])
        shares[:, column] = [100 * counts[name] / counts.total() for name in names]
    edges = [0.5, *(span[-1] + 1.5 for span in spans)]
    mesh = axes.pcolormesh(edges, np.arange(len(names) + 1), shares, cmap="viridis", vmin=0)
    rest = len(whole) - len(names)
    axes.set_yticks(np.arange(len(names)) + 0.5, [name if len(name) <= 18 else f"{name[:17]}…" for name in names])
    axes.tick_params(labelsize=7.5)
    axes.invert_yaxis()
    axes.set_ylabel("tokens" + (f" (and {rest} rarer ones)" if rest else ""), fontsize=9)
    bar = figure.colorbar(mesh, ax=axes, pad=0.01)
    bar.set_label("share of the choices (%)", fontsize=8)
    bar.ax.tick_params(labelsize=7.5)


def _said(search: Sequence[Record], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Places and numbers of the evaluations of which the strategy said this."""
    said = [(at, record["proposal"][name]) for at, record in enumerate(search, 1) if name in record.get("proposal", {})]
    return np.array([at for at, _ in said]), np.array([number for _, number in said])
