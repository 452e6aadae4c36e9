"""Which decisions of a space mattered for what networks are worth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from statistics import fmean
from typing import Any

import numpy as np

from evonas.errors import UserError
from evonas.ranking import comparable
from evonas.space import Space

LEAST = 8  # networks from which anything can be told
SHUFFLED = 200  # times, for what chance would explain
LEVEL = 95  # per cent of them
ABSENT = "not asked"  # stands for the answer where a genome did not come to a decision


def importance(records: Iterable[Mapping[str, Any]], space: Space) -> list[tuple[str, float, float]]:
    """For each decision its name, the share of the variance of the first objective that its answer explains by itself,
    and the share that chance would explain in 95 of 100 cases; the most important first.

    The share is the correlation ratio, eta squared, of a one-way analysis of variance over the networks of search and
    baseline that were evaluated, each genome once. It says nothing of how decisions act together, and a search that has
    settled on an answer has left little to be explained.
    """
    values: dict[tuple, list[float]] = {}
    for record in comparable(records, phase=None):
        if record.get("role") is None:
            values.setdefault(tuple(record["genome"]), []).append(record["values"][0])
    answers: list[dict[str, Any]] = []
    worth: list[float] = []
    for genome, found in values.items():
        try:
            answers.append(space.answers(genome))
        except UserError:
            continue
        worth.append(fmean(found))
    if len(worth) < LEAST:
        return []
    target = np.array(worth)
    if not np.isfinite(target).all() or np.ptp(target) == 0:
        return []
    shuffles = _shuffles(len(target))
    shares = []
    for name in dict.fromkeys(name for each in answers for name in each):
        groups = np.unique([str(each.get(name, ABSENT)) for each in answers], return_inverse=True)[1]
        if groups.max() > 0:
            by_chance = [_explained(target[order], groups) for order in shuffles]
            shares.append((name, _explained(target, groups), float(np.percentile(by_chance, LEVEL))))
    return sorted(shares, key=lambda each: -each[1])


def _explained(values: np.ndarray, groups: np.ndarray) -> float:
    """Eta squared: the variance of the means of the groups over that of all values."""
    sums, counts = np.bincount(groups, weights=values), np.bincount(groups)
    mean = values.mean()
    between = (counts * (sums / np.maximum(counts, 1) - mean) ** 2).sum()
    return float(between / ((values - mean) ** 2).sum())


def _shuffles(count: int) -> Sequence[np.ndarray]:
    """Orders that are the same for every report of as many networks."""
    rng, orders = Random(count), []
    for _ in range(SHUFFLED):
        order = list(range(count))
        rng.shuffle(order)
        orders.append(np.array(order))
    return orders
