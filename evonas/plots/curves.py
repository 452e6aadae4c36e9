"""The learning curves of the last population of a search."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from evonas.plots.style import (
    ACCURACY,
    BLUE,
    GREY,
    VERMILION,
    Objectives,
    Record,
    dress,
    evaluated,
    legend,
    page,
    quantity,
    say,
    stopped,
    winner_id,
)

LAST = 20  # networks shown for a search without generations

Curves = dict[int, list[float]]  # id -> per cent after each epoch


def curves(records: Iterable[Record], *, objectives: Objectives = ACCURACY, title: str | None = None) -> Figure:
    """Draw the first objective after each epoch, of the last generation or otherwise of the LAST most recent networks.

    The winner, or until there is one the best network so far, is emphasised and labelled with its id, also where it is
    of an earlier generation. Failed networks are counted but not drawn. Trainings that a scheduler has stopped are thin
    grey lines to where they stopped: those of the last generation, or since the first of the networks shown was asked.
    """
    records = list(records)
    metric, weight = next(iter(objectives.items()))
    shown = quantity(metric, records)
    figure = page(4.0, title)
    axes = figure.add_subplot()
    dress(axes, x="epochs", y=shown.label)
    members, name = last_population(records)
    failed = sum(not record["values"] for record in members)
    valued = [record for record in members if record["values"] and record.get("curve")]
    trained = {record["id"]: [shown.factor * value for value in record["curve"]] for record in valued}
    if not trained:
        say(axes, f"{name}: all {failed} failed" if failed else "there are no learning curves yet")
        return figure
    best, role = _emphasised(records, weight)
    here = len(trained)
    trained[best["id"]] = [shown.factor * value for value in best["curve"]]
    early = [[shown.factor * value for value in record["curve"]] for record in _stopped(records, members)]
    for numbers in early:
        axes.plot(range(1, len(numbers) + 1), numbers, color=GREY, linewidth=0.7, alpha=0.6, zorder=1)
        axes.plot(len(numbers), numbers[-1], "x", color=GREY, markersize=4, alpha=0.8, zorder=1)
    draw = _draw_curves if max(map(len, trained.values())) > 1 else _draw_dots
    others, own = draw(axes, trained, best["id"])
    axes.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    entries = {f"{name}: {here} network{'s' * (here > 1)}": others} if len(trained) > 1 else {}
    entries[f"{role}: #{best['id']} ({shown.text(shown.factor * best['values'][0])})"] = own
    if early:
        label = f"stopped early: {len(early)} training{'s' * (len(early) > 1)}"
        entries[label] = Line2D([], [], color=GREY, linewidth=0.7, marker="x", markersize=4)
    if failed:
        entries[f"failed, not drawn ({failed})"] = Line2D([], [], linestyle="", marker="x", color=GREY, markersize=4)
    legend(figure, entries)
    return figure


def _emphasised(records: list[Record], weight: float) -> tuple[Record, str]:
    """The network that stands out, and what it is. At least one of the search has a curve."""
    found = [record for record in evaluated(records, "search") if record["values"] and record.get("curve")]
    drawn = {record["id"]: record for record in found}
    if (winner := winner_id(records)) in drawn:
        return drawn[winner], "winner"
    return max(found, key=lambda record: weight * record["values"][0]), "best so far"


def last_population(records: Iterable[Record]) -> tuple[list[Record], str]:
    """The last generation of the search, or otherwise the LAST most recent networks, and a name for them."""
    search = evaluated(records, "search")
    generations = {record["generation"] for record in search} - {None}
    if generations:
        last = max(generations)
        return [record for record in search if record["generation"] == last], f"generation {last}"
    return sorted(search, key=lambda record: record["t"])[-LAST:], f"last {min(LAST, len(search))} evaluations"


def _stopped(records: list[Record], members: list[Record]) -> list[Record]:
    """The trainings that were stopped beside these."""
    early = [record for record in stopped(records, "search") if record.get("curve")]
    generations = {record["generation"] for record in members}
    if generations != {None}:
        return [record for record in early if record["generation"] in generations]
    first = min(record["id"] for record in members)
    return [record for record in early if record["id"] >= first]


def _draw_curves(axes: Axes, trained: Curves, best: int) -> tuple[Any, Any]:
    """Draw a line for each network with a dot at its end; the best one is thick."""
    alpha = min(0.6, max(0.12, 12 / len(trained)))  # a thousand lines must not merge into a carpet
    for id, numbers in trained.items():
        color, width, opaque = (VERMILION, 2.2, 1) if id == best else (BLUE, 1.0, alpha)
        epochs = range(1, len(numbers) + 1)
        axes.plot(epochs, numbers, color=color, linewidth=width, alpha=opaque, zorder=3 if id == best else 2)
        axes.plot(epochs[-1], numbers[-1], "o", color=color, markersize=3.5, alpha=opaque, markeredgewidth=0,
                  zorder=4 if id == best else 2)  # fmt: skip
    longest = max(map(len, trained.values()))
    axes.set_xlim(1 - 0.02 * (longest - 1), longest + 0.09 * (longest - 1))
    _label(axes, best, len(trained[best]), trained[best][-1], (20, 0))
    return (
        Line2D([], [], color=BLUE, linewidth=1, marker="o", markersize=3.5, alpha=0.7),
        Line2D([], [], color=VERMILION, linewidth=2.2, marker="o", markersize=3.5),
    )


def _draw_dots(axes: Axes, trained: Curves, best: int) -> tuple[Any, Any]:
    """Draw dots for a single epoch, side by side in order of proposal, so that equal ones stay visible; the best is a
    star."""
    places = dict(zip(trained, 1 + np.linspace(-0.3, 0.3, len(trained) + 2)[1:-1], strict=True))
    others = [id for id in trained if id != best]
    size = min(20, max(4, 2400 / len(trained)))  # points^2
    axes.scatter([places[id] for id in others], [trained[id][0] for id in others], s=size, color=BLUE, alpha=0.6,
                 linewidths=0)  # fmt: skip
    axes.plot(places[best], trained[best][0], "*", color=VERMILION, markersize=11, markeredgewidth=0)
    axes.set_xlim(0.5, 1.5)
    axes.margins(y=0.12)
    _label(axes, best, places[best], trained[best][0], (0, 11))
    return (
        Line2D([], [], color=BLUE, linestyle="", marker="o", markersize=4, alpha=0.6, markeredgewidth=0),
        Line2D([], [], color=VERMILION, linestyle="", marker="*", markersize=11, markeredgewidth=0),
    )


def _label(axes: Axes, id: int, x: float, y: float, shift: tuple[float, float]) -> None:
    """Write the id, shifted by points."""
    axes.annotate(f"#{id}", (x, y), shift, textcoords="offset points", fontsize=8, ha="center", va="center",
                  color=VERMILION, weight="bold", zorder=5,
                  path_effects=[withStroke(linewidth=2.5, foreground="white")])  # fmt: skip
