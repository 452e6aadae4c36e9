"""The recurrent cells of NAS-Bench-NLP (Klyuchnikov et al. 2020, arXiv:2006.07116), as rows for predictors.

Its space holds about 10^53 cells, of which some hundreds were trained here: they are a list to fit and test predictors
on, and nothing that a search could look up.
"""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import numpy as np
from msgspec import Struct

from evonas.errors import UserError
from evonas.evaluation.table.sheet import read_lines
from evonas.support.schema import checked

ITERATIONS = 2  # of the relabelling: a label stands for a node and what it reads, so many edges back


class Step(Struct):
    """A node of a recipe: what it computes, of which other nodes, input (x) or states of the step before (h_prev_0)."""

    op: str
    input: list[str]


@dataclass(frozen=True, eq=False)
class Recipes:
    """Different recurrent cells.

    codes     of each, its recipe
    names     of the columns
    features  cells x columns: counts of the whole cell, and of Weisfeiler-Lehman labels
    values    of each, the lowest validation loss (the logarithm of the perplexity), the mean over its trainings
    """

    codes: tuple[str, ...]
    names: tuple[str, ...]
    features: np.ndarray
    values: np.ndarray


def nasbench_nlp(path: Path) -> Recipes:
    """The different recipes of a file that have at least one validation loss, in their order there.

    Raises UserError for a file that is no such table, a recipe that is none, and a loss that is no number.
    """
    _, lines = read_lines(path, "recipe", "best_val_loss")
    losses: dict[str, list[float]] = {}
    counts: dict[str, Counter[str]] = {}
    for number, row in lines:
        code, text = row["recipe"], row["best_val_loss"]
        try:
            loss = float(text) if text else math.nan
        except ValueError:
            raise UserError(f"{path}, line {number}: best_val_loss is {text!r}; give a number, or nothing") from None
        if code not in counts:
            counts[code] = features(_steps(code, f"{path}, line {number}: the recipe"))
        if math.isfinite(loss):
            losses.setdefault(code, []).append(loss)
    if not losses:
        raise UserError(f"{path} is no such table: no recipe has a best_val_loss")
    codes = tuple(losses)
    names = tuple(dict.fromkeys(name for code in codes for name in counts[code]))
    rows = np.array([[counts[code][name] for name in names] for code in codes], dtype=float)
    return Recipes(codes, names, rows, np.array([statistics.fmean(losses[code]) for code in codes]))


def _steps(code: str, called: str) -> dict[str, Step]:
    try:
        return checked(json.loads(code), dict[str, Step], called)
    except ValueError as error:
        raise UserError(f"{called} cannot be read: {error}") from None


def features(steps: Mapping[str, Step]) -> Counter[str]:
    """What a recipe consists of, by name: nodes, edges, depth (edges of the longest path), inputs and states that are
    read, new states, and Weisfeiler-Lehman labels (Shervashidze et al. 2011): at first the operation of a node, then
    with the labels of all that it reads. Raises UserError for a recipe whose nodes read each other in a circle."""
    sources = {source for step in steps.values() for source in step.input} - steps.keys()
    try:
        order = list(TopologicalSorter({name: step.input for name, step in steps.items()}).static_order())
    except CycleError as error:
        raise UserError(f"the nodes {' <- '.join(error.args[1])} read each other in a circle") from None
    depth = dict.fromkeys(order, 0)
    for name in order:
        if name in steps:
            depth[name] = 1 + max((depth[source] for source in steps[name].input), default=-1)
    found = Counter({
        "nodes": len(steps),
        "edges": sum(len(step.input) for step in steps.values()),
        "depth": max(depth.values(), default=0),
        "sources": len(sources),
        "states read": sum(source.startswith("h_prev") for source in sources),
        "new states": sum(name.startswith("h_new") for name in steps),
    })  # fmt: skip
    labels = {name: steps[name].op if name in steps else name for name in order}
    for _ in range(ITERATIONS + 1):
        found.update(f"label {labels[name]}" for name in steps)
        labels = {
            name: f"{steps[name].op}({', '.join(sorted(labels[source] for source in steps[name].input))})"
            if name in steps else name
            for name in order
        }  # fmt: skip
    return found
