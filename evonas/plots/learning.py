"""The progress of a strategy that learns to generate genomes: its rewards, its certainty, and its choices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

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
    TICK,
    VERMILION,
    Objectives,
    Record,
    beside,
    dress,
    evaluated,
    legend,
    literal,
    page,
    quantity,
    say,
)

WINDOWS = 40  # columns of the heat map
OPTIONS = 20  # rows of the heat map: the tokens chosen most often
Choice = tuple[str, str]  # kind of the decision, and the token
CERTAINTY = {"epsilon": (PURPLE, "epsilon"), "entropy": (GREEN, "entropy (nats)")}


def learning(
    records: Iterable[Record],
    *,
    objectives: Objectives = ACCURACY,
    kinds: Callable[[Sequence[Any]], Sequence[str]] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw three panels over the evaluations of the search: the first objective with its running mean, and the
    baseline; epsilon or the policy's entropy; the share of each token among the choices of its kind.

    The `proposal` of a record holds what the strategy reports of it: epsilon, entropy (nats), baseline (of the first
    objective), reward_baseline (of a reward in another unit, which has its own axis).

    kinds   function from a genome to the kind of decision that each token answers; None: all are of one kind
    """
    search = evaluated(records, "search")
    figure = page(8.0, title)
    if not search:
        say(figure.add_subplot(), "nothing has been evaluated yet")
        return figure
    upper, middle, lower = figure.subplots(3, 1, sharex=True, height_ratios=[3, 1.6, 3])
    entries = _draw_rewards(upper, search, *next(iter(objectives.items())))
    entries |= _draw_certainty(middle, search)
    _draw_choices(figure, lower, [_choices(record["genome"], kinds) for record in search])
    lower.set_xlabel("evaluations", fontsize=9)
    lower.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    legend(figure, entries)
    return figure


def _draw_rewards(axes: Axes, search: Sequence[Record], objective: str, weight: float) -> dict[str, Line2D]:
    shown = quantity(objective, search)
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
    style: dict[str, Any] = {"color": ORANGE, "linewidth": 1.4, "linestyle": "--"}
    told_at, baseline = _said(search, "baseline")
    if len(baseline):
        axes.plot(told_at, weight * shown.factor * baseline, **style)
        entries["baseline"] = Line2D([], [], **style)
    told_at, baseline = _said(search, "reward_baseline")
    if len(baseline):
        beside(axes, y="baseline of the reward", color=ORANGE).plot(told_at, baseline, **style)
        entries["baseline of the reward (right)"] = Line2D([], [], **style)
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
    say(axes, "the strategy does not report its certainty")
    return {}


def _choices(genome: Sequence[Any], kinds: Callable[[Sequence[Any]], Sequence[str]] | None) -> list[Choice]:
    return list(zip(kinds(genome) if kinds else [""] * len(genome), map(str, genome), strict=True))


def _draw_choices(figure: Figure, axes: Axes, genomes: Sequence[Sequence[Choice]]) -> None:
    """Draw the share of each token among the choices of its kind, in each of at most WINDOWS spans of evaluations."""
    spans = np.array_split(np.arange(len(genomes)), min(WINDOWS, len(genomes)))
    whole = Counter(choice for genome in genomes for choice in genome)
    met = list(whole)  # grouped by kind, in the order of the genome
    shown = sorted((choice for choice, _ in whole.most_common(OPTIONS)), key=lambda choice: _place(choice, met))
    shares = np.zeros((len(shown), len(spans)))
    for column, span in enumerate(spans):
        counts = Counter(choice for at in span for choice in genomes[at])
        of_kind = Counter(kind for at in span for kind, _ in genomes[at])
        shares[:, column] = [100 * counts[choice] / max(of_kind[choice[0]], 1) for choice in shown]
    several = len({kind for kind, _ in whole}) > 1
    names = [f"{kind} {token}" if several else token for kind, token in shown]
    edges = [0.5, *(span[-1] + 1.5 for span in spans)]
    mesh = axes.pcolormesh(edges, np.arange(len(names) + 1), shares, cmap="viridis", vmin=0)
    rest = len(whole) - len(names)
    axes.set_yticks(np.arange(len(names)) + 0.5, [literal(name, TICK) for name in names])
    axes.tick_params(labelsize=7.5)
    axes.invert_yaxis()
    axes.set_ylabel("tokens" + (f" (and {rest} rarer ones)" if rest else ""), fontsize=9)
    bar = figure.colorbar(mesh, ax=axes, pad=0.01)
    bar.set_label("share of such choices (%)" if several else "share of the choices (%)", fontsize=8)
    bar.ax.tick_params(labelsize=7.5)


def _place(choice: Choice, met: Sequence[Choice]) -> tuple[int, str]:
    """A sort key: the first place of the kind, then the token, numbers by value."""
    kind, token = choice
    first = next(place for place, (other, _) in enumerate(met) if other == kind)
    return first, token.rjust(12) if token.isdigit() else token


def _said(search: Sequence[Record], name: str) -> tuple[np.ndarray, np.ndarray]:
    """The places of the evaluations for which the strategy reported this quantity, and its values."""
    said = [(at, record["proposal"][name]) for at, record in enumerate(search, 1) if name in record.get("proposal", {})]
    return np.array([at for at, _ in said]), np.array([number for _, number in said])
