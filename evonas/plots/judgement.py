"""What a classifier makes of its test pictures: the confusion matrix, and pictures with what it said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from evonas.plots.style import TICK, literal, page

NUMBERED, NAMED = 15, 40  # classes up to which the cells have their numbers, and the axes their names
COLUMNS = 5  # of pictures
LINES = 22  # letters of a line below a picture


def confusion(judged: Mapping[str, Any], *, title: str | None = None) -> Figure:
    """Draw how many examples of each class (row) were said to be of which (column); the colour is the share of the row.

    judged   as `evonas.judgement.Judgement.to_json` gives it
    """
    names, counts = list(judged["classes"]), np.array(judged["confusion"])
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = min(0.42 * len(names) + 1.6, 7.0)
    figure = page(side, title)
    axes = figure.add_subplot()
    shown = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
    bar = figure.colorbar(shown, ax=axes, shrink=0.8)
    bar.set_label("share of the row (%)", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    axes.set_xlabel("the network said", fontsize=9)
    axes.set_ylabel("the picture shows", fontsize=9)
    if len(names) <= NAMED:
        labels = [literal(name, TICK) for name in names]
        size = 8 if len(names) <= NUMBERED else 6
        axes.set_xticks(range(len(names)), labels, fontsize=size, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), labels, fontsize=size)
    if len(names) <= NUMBERED:
        for row, column in np.argwhere(counts > 0):
            colour = "white" if shares[row, column] > 0.5 else "#222222"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=8, color=colour)
    return figure


def pictures(images: np.ndarray, captions: Sequence[Sequence[str]], *, title: str | None = None) -> Figure:
    """Draw pictures in rows, each with the lines of its caption below.

    images   (N, H, W) grey or (N, H, W, 3), 0 to 1
    """
    rows = -(-len(images) // COLUMNS)
    lines = max((len(caption) for caption in captions), default=1)
    figure = page(rows * (1.4 + 0.2 * lines) + 0.4, title)
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for axes, image, caption in zip(grid.flat, images, captions, strict=False):
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_xlabel("\n".join(literal(line, LINES) for line in caption), fontsize=8)
    return figure
