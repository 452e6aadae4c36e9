"""The learning curve of a single training."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evonas.plots.style import BLUE, GREY, ORANGE, dress, page, quantity


def training_curve(
    rows: Sequence[tuple[int, float, float | None]],
    *,
    metric: str = "accuracy",
    chosen: int | None = None,
    title: str | None = None,
) -> Figure:
    """Draw loss and a metric of the validation split over epochs, and mark `chosen`; a row is (epoch, loss, value)."""
    figure, shown = page(4.0, title), quantity(metric)
    values = [(epoch, shown.factor * value) for epoch, _, value in rows if value is not None]
    panels = figure.subplots(1 + bool(values), sharex=True, squeeze=False)[:, 0]
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].plot(
        [epoch for epoch, _, _ in rows], [loss for _, loss, _ in rows], color=ORANGE, marker=".", ms=3, lw=1.4
    )
    dress(panels[0], x="" if values else "epoch", y="training loss")
    if values:
        panels[1].plot(*zip(*values, strict=True), color=BLUE, marker=".", ms=3, lw=1.4)
        dress(panels[1], x="epoch", y=shown.label)
    for panel in panels:
        if chosen is not None:
            panel.axvline(chosen, color=GREY, linestyle=":", linewidth=1)
    if chosen is not None:
        early = chosen <= (rows[0][0] + rows[-1][0]) / 2  # write the text on the side that has room for it
        panels[0].annotate(f"kept: epoch {chosen}", (chosen, 1), xycoords=("data", "axes fraction"), fontsize=8,
                           xytext=(3 if early else -3, -2), textcoords="offset points", va="top",
                           ha="left" if early else "right")  # fmt: skip
    return figure
